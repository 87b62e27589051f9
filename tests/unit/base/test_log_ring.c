#include "base/log_ring.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct log_ring ring;

static void setup(void)
{
    cr_assert_eq(log_ring_init(&ring, 0), STATUS_OK);
}

static void teardown(void)
{
    log_ring_cleanup(&ring);
}

TestSuite(log_ring, .init = setup, .fini = teardown);

static size_t pop(uint8_t *out, size_t size, size_t *records)
{
    return log_ring_pop(&ring, (struct span_mut){out, size}, records);
}

Test(log_ring, room_is_a_power_of_two_within_bounds)
{
    cr_assert_eq(ring.capacity, LOG_RING_BYTES_MIN);
    struct log_ring other;
    cr_assert_eq(log_ring_init(&other, LOG_RING_BYTES_MIN + 1), STATUS_OK);
    cr_assert_eq(other.capacity, 2 * LOG_RING_BYTES_MIN);
    log_ring_cleanup(&other);
}

Test(log_ring, records_come_out_in_order_and_whole)
{
    uint8_t out[64];
    size_t records = 9;
    cr_assert_not(log_ring_has_record(&ring));
    cr_assert_eq(pop(out, sizeof out, &records), 0);
    cr_assert_eq(records, 0);
    cr_assert_eq(log_ring_push(&ring, SPAN_LITERAL("one")), STATUS_OK);
    cr_assert_eq(log_ring_push(&ring, SPAN_LITERAL("12345678")), STATUS_OK);
    cr_assert(log_ring_has_record(&ring));
    cr_assert_eq(pop(out, sizeof out, &records), 11);
    cr_assert_eq(records, 2);
    cr_assert_eq(memcmp(out, "one12345678", 11), 0);
    cr_assert_not(log_ring_has_record(&ring));
}

Test(log_ring, a_record_that_does_not_fit_the_output_stays)
{
    uint8_t out[8];
    size_t records = 0;
    cr_assert_eq(log_ring_push(&ring, SPAN_LITERAL("12345")), STATUS_OK);
    cr_assert_eq(log_ring_push(&ring, SPAN_LITERAL("6789")), STATUS_OK);
    cr_assert_eq(pop(out, 8, &records), 5);
    cr_assert_eq(pop(out, 3, &records), 0);
    cr_assert_eq(pop(out, 4, &records), 4);
    cr_assert_eq(memcmp(out, "6789", 4), 0);
}

Test(log_ring, empty_and_huge_records_are_refused)
{
    static uint8_t big[LOG_RING_BYTES_MIN];
    cr_assert_eq(log_ring_push(&ring, span_make(big, 0)), STATUS_TOO_LARGE);
    cr_assert_eq(log_ring_push(&ring, span_make(big, ring.capacity / 4 + 1)), STATUS_TOO_LARGE);
    cr_assert_eq(log_ring_push(&ring, span_make(big, ring.capacity / 4)), STATUS_OK);
}

Test(log_ring, full_means_full_and_room_comes_back)
{
    uint8_t text[56], out[4096];
    memset(text, 'x', sizeof text);
    size_t pushed = 0;
    while (log_ring_push(&ring, span_make(text, sizeof text)) == STATUS_OK) {
        pushed++;
    }
    /* 8 bytes of size and 56 of text: to the last byte. */
    cr_assert_eq(pushed, LOG_RING_BYTES_MIN / 64);
    cr_assert_eq(log_ring_push(&ring, SPAN_LITERAL("y")), STATUS_FULL);
    size_t records = 0;
    cr_assert_eq(pop(out, 56, &records), 56);
    cr_assert_eq(log_ring_push(&ring, span_make(text, sizeof text)), STATUS_OK);
    cr_assert_eq(log_ring_push(&ring, SPAN_LITERAL("y")), STATUS_FULL);
}

/* Random sizes, many times around the ring, against a plain queue; the bytes are all 0xff, so that
 * text read as a size word would be seen. */
Test(log_ring, wraps_at_every_offset)
{
    static uint8_t text[2048], out[8192];
    memset(text, 0xff, sizeof text);
    size_t queue[1024], first = 0, last = 0;
    unsigned seed = 7;
    for (int i = 0; i < 200000; i++) {
        size_t size = 1 + (size_t)rand_r(&seed) % 600;
        if (rand_r(&seed) % 2 == 0 && log_ring_push(&ring, span_make(text, size)) == STATUS_OK) {
            queue[last++ % 1024] = size;
        } else {
            size_t records = 0, want = 0;
            size_t got = pop(out, 600 + (size_t)rand_r(&seed) % 2000, &records);
            for (size_t r = 0; r < records; r++) {
                want += queue[first++ % 1024];
            }
            cr_assert_eq(got, want);
            for (size_t b = 0; b < got; b++) {
                cr_assert_eq(out[b], 0xff);
            }
            cr_assert(records > 0 || first == last);
        }
    }
    cr_assert_gt(first, 50000);
}
