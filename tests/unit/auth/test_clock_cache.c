#include "auth/clock_cache.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct item {
    struct clock_node node;
    uint64_t value;
};

static size_t live;

static void dispose(void *context, struct clock_node *node)
{
    cr_assert_eq(context, &live);
    cr_assert(!node->cached && node->references == 0);
    live--;
    free(node);
}

/* Few hashes, of which two share a bucket: every bucket has a chain. */
static uint64_t hash_of(uint64_t value)
{
    return value % 3 + (value % 2) * 65536;
}

static struct item *make(uint64_t value)
{
    struct item *item = calloc(1, sizeof(*item));
    item->value = value;
    clock_node_init(&item->node, span_make(&item->value, sizeof(item->value)), hash_of(value));
    live++;
    return item;
}

static struct item *find(struct clock_cache *cache, uint64_t value)
{
    return (struct item *)clock_cache_acquire(cache, span_make(&value, sizeof(value)),
                                              hash_of(value));
}

static void put(struct clock_cache *cache, uint64_t value)
{
    struct item *item = make(value);
    clock_cache_insert(cache, &item->node);
    clock_cache_release(cache, &item->node);
}

static bool has(struct clock_cache *cache, uint64_t value)
{
    struct item *item = find(cache, value);
    if (item != NULL) {
        cr_assert_eq(item->value, value);
        clock_cache_release(cache, &item->node);
    }
    return item != NULL;
}

static void open_cache(struct clock_cache *cache, uint32_t capacity)
{
    live = 0;
    cr_assert_eq(clock_cache_init(cache, capacity, dispose, &live), STATUS_OK);
}

Test(clock_cache, finds_what_was_put_in_by_every_byte)
{
    struct clock_cache cache;
    open_cache(&cache, 100);
    for (uint64_t i = 0; i < 100; i++) {
        put(&cache, i);
    }
    for (uint64_t i = 0; i < 100; i++) {
        cr_expect(has(&cache, i));
    }
    cr_expect_not(has(&cache, 300));
    cr_expect_null(clock_cache_acquire(&cache, span_make("abc", 3), 0), "same hash, other bytes");
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}

Test(clock_cache, is_bounded_and_evicts_what_was_not_used)
{
    struct clock_cache cache;
    open_cache(&cache, 8);
    for (uint64_t i = 0; i < 1000; i++) {
        put(&cache, i);
        cr_assert_leq(live, 8);
    }
    cr_expect_eq(cache.evictions, 992);
    for (uint64_t i = 1000; i < 2000; i++) { /* one is used all the time */
        put(&cache, 5);
        cr_assert(has(&cache, 5));
        put(&cache, i);
        cr_assert(has(&cache, 5), "%llu", (unsigned long long)i);
    }
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}

Test(clock_cache, never_evicts_what_someone_holds)
{
    struct clock_cache cache;
    open_cache(&cache, 4);
    struct item *held[4];
    for (uint64_t i = 0; i < 4; i++) {
        held[i] = make(i);
        clock_cache_insert(&cache, &held[i]->node);
    }
    /* All are held: a fifth stays private, and is disposed of by its release. */
    struct item *fifth = make(5);
    clock_cache_insert(&cache, &fifth->node);
    cr_expect_not(fifth->node.cached);
    cr_expect_null(find(&cache, 5));
    clock_cache_release(&cache, &fifth->node);
    cr_expect_eq(live, 4);
    clock_cache_release(&cache, &held[2]->node);
    put(&cache, 6);
    cr_expect_not(has(&cache, 2), "the one nobody held went");
    cr_expect(has(&cache, 0) && has(&cache, 1) && has(&cache, 3) && has(&cache, 6));
    for (int i = 0; i < 4; i++) {
        if (i != 2) {
            clock_cache_release(&cache, &held[i]->node);
        }
    }
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}

Test(clock_cache, gives_up_after_a_bounded_scan)
{
    struct clock_cache cache;
    open_cache(&cache, CLOCK_SCAN_MAX * 2);
    struct item *held[CLOCK_SCAN_MAX * 2];
    for (uint64_t i = 0; i < CLOCK_SCAN_MAX * 2; i++) {
        held[i] = make(i);
        clock_cache_insert(&cache, &held[i]->node);
    }
    /* The hand stands at 0 and goes up: the free one is beyond its first scan. */
    clock_cache_release(&cache, &held[CLOCK_SCAN_MAX + 10]->node);
    put(&cache, 1000);
    cr_expect_not(has(&cache, 1000));
    put(&cache, 1000);
    cr_expect(has(&cache, 1000), "the next insert gets there, and it is all there is to evict");
    cr_expect_not(has(&cache, CLOCK_SCAN_MAX + 10));
    for (uint64_t i = 0; i < CLOCK_SCAN_MAX * 2; i++) {
        if (i != CLOCK_SCAN_MAX + 10) {
            clock_cache_release(&cache, &held[i]->node);
        }
    }
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}

Test(clock_cache, a_second_of_the_same_key_stays_private)
{
    struct clock_cache cache;
    open_cache(&cache, 4);
    struct item *first = make(1), *second = make(1);
    clock_cache_insert(&cache, &first->node);
    clock_cache_insert(&cache, &second->node);
    cr_expect_not(second->node.cached);
    cr_expect_eq(find(&cache, 1), first);
    clock_cache_release(&cache, &first->node);
    clock_cache_release(&cache, &first->node);
    clock_cache_release(&cache, &second->node);
    cr_expect_eq(live, 1);
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}

Test(clock_cache, clearing_leaves_held_ones_to_their_holders)
{
    struct clock_cache cache;
    open_cache(&cache, 16);
    for (uint64_t i = 0; i < 16; i++) {
        put(&cache, i);
    }
    struct item *held = find(&cache, 7);
    clock_cache_clear(&cache);
    cr_expect_eq(live, 1);
    cr_expect_not(has(&cache, 7));
    put(&cache, 7);
    cr_expect(has(&cache, 7), "a new one with the same key");
    cr_expect_eq(held->value, 7);
    clock_cache_release(&cache, &held->node);
    cr_expect_eq(live, 1);
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}

Test(clock_cache, random_steps_against_a_plain_model)
{
    struct clock_cache cache;
    open_cache(&cache, 16);
    struct item *held[64] = {0};
    uint32_t seed = 12345, held_count = 0;
    for (int step = 0; step < 200000; step++) {
        seed = seed * 1664525u + 1013904223u;
        uint64_t value = seed >> 26;
        switch (seed >> 8 & 3) {
        case 0:
            put(&cache, value);
            break;
        case 1:
            if (held[value] == NULL) {
                held[value] = find(&cache, value);
                held_count += held[value] != NULL ? 1 : 0;
            }
            break;
        case 2:
            if (held[value] != NULL) {
                cr_assert_eq(held[value]->value, value);
                clock_cache_release(&cache, &held[value]->node);
                held[value] = NULL;
                held_count--;
            }
            break;
        default:
            if ((seed >> 16 & 0x3ff) == 0) {
                clock_cache_clear(&cache);
            }
        }
        cr_assert_leq(live, 16 + held_count);
    }
    for (uint64_t i = 0; i < 64; i++) {
        if (held[i] != NULL) {
            clock_cache_release(&cache, &held[i]->node);
        }
    }
    clock_cache_cleanup(&cache);
    cr_expect_eq(live, 0);
}
