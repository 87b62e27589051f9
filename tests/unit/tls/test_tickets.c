#include "tls/tickets.h"

#include <criterion/criterion.h>

static const uint8_t plain[] = "a session";

static enum status seal(struct tls_ticket_keys *keys, uint8_t *out, size_t *size)
{
    return ticket_seal(keys, span_make(plain, sizeof plain),
                       (struct span_mut){out, sizeof plain + TICKET_OVERHEAD_BYTES}, size);
}

static enum status open_it(struct tls_ticket_keys *keys, const uint8_t *ticket, size_t size)
{
    uint8_t out[128];
    size_t opened = 0;
    enum status status = ticket_open(keys, span_make(ticket, size),
                                     (struct span_mut){out, sizeof out}, &opened);
    if (status == STATUS_OK) {
        cr_expect(opened == sizeof plain && memcmp(out, plain, opened) == 0);
    }
    return status;
}

Test(tickets, come_back)
{
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    uint8_t ticket[sizeof plain + TICKET_OVERHEAD_BYTES];
    size_t size = 0;
    cr_assert(seal(keys, ticket, &size) == STATUS_OK);
    cr_expect(size == sizeof ticket);
    cr_expect(open_it(keys, ticket, size) == STATUS_OK);
    tls_ticket_keys_free(keys);
}

Test(tickets, survive_one_rotation_and_no_more)
{
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    uint8_t ticket[sizeof plain + TICKET_OVERHEAD_BYTES];
    size_t size = 0;
    cr_assert(seal(keys, ticket, &size) == STATUS_OK);
    tls_ticket_keys_rotate(keys);
    cr_expect(open_it(keys, ticket, size) == STATUS_OK);
    tls_ticket_keys_rotate(keys);
    cr_expect(open_it(keys, ticket, size) == STATUS_NOT_FOUND);
    tls_ticket_keys_free(keys);
}

Test(tickets, of_another_process_are_unknown)
{
    struct tls_ticket_keys *keys = tls_ticket_keys_new(), *others = tls_ticket_keys_new();
    uint8_t ticket[sizeof plain + TICKET_OVERHEAD_BYTES];
    size_t size = 0;
    cr_assert(seal(others, ticket, &size) == STATUS_OK);
    cr_expect(open_it(keys, ticket, size) == STATUS_NOT_FOUND);
    tls_ticket_keys_free(keys);
    tls_ticket_keys_free(others);
}

Test(tickets, with_any_bit_turned_or_any_byte_missing_do_not_open)
{
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    uint8_t ticket[sizeof plain + TICKET_OVERHEAD_BYTES];
    size_t size = 0;
    cr_assert(seal(keys, ticket, &size) == STATUS_OK);
    for (size_t bit = 0; bit < size * 8; bit++) {
        ticket[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum status expected = bit / 8 < 16 ? STATUS_NOT_FOUND : STATUS_MALFORMED;
        cr_expect(open_it(keys, ticket, size) == expected, "bit %zu", bit);
        ticket[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++) {
        cr_expect(open_it(keys, ticket, cut) == STATUS_MALFORMED, "cut to %zu", cut);
    }
    tls_ticket_keys_free(keys);
}

Test(tickets, never_repeat)
{
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    uint8_t one[sizeof plain + TICKET_OVERHEAD_BYTES], two[sizeof plain + TICKET_OVERHEAD_BYTES];
    size_t size = 0;
    cr_assert(seal(keys, one, &size) == STATUS_OK && seal(keys, two, &size) == STATUS_OK);
    cr_expect(memcmp(one + 16, two + 16, 12) != 0);
    cr_expect(memcmp(one + 28, two + 28, sizeof plain) != 0);
    tls_ticket_keys_free(keys);
}

Test(tickets, need_room)
{
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    uint8_t ticket[sizeof plain + TICKET_OVERHEAD_BYTES];
    size_t size = 0;
    cr_expect(ticket_seal(keys, span_make(plain, sizeof plain),
                          (struct span_mut){ticket, sizeof ticket - 1}, &size) == STATUS_TOO_LARGE);
    tls_ticket_keys_free(keys);
    tls_ticket_keys_free(NULL);
}
