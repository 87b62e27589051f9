#include "replay/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct table make(uint64_t buckets)
{
    struct table table = {
        .slots = aligned_alloc(TABLE_BUCKET_BYTES, buckets * TABLE_BUCKET_BYTES),
        .buckets = buckets,
    };
    cr_assert_not_null(table.slots);
    memset(table.slots, 0, buckets * TABLE_BUCKET_BYTES);
    return table;
}

/* splitmix64: a seeded generator of the test's own. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct replay_key next_key(uint64_t *state)
{
    struct replay_key key;
    key.low = next(state);
    key.high = next(state);
    return key;
}

Test(table, first_is_told_ok_and_every_other_exists)
{
    struct table table = make(16);
    uint64_t seed = 1;
    for (int i = 0; i < 50; i++) {
        struct replay_key key = next_key(&seed);
        cr_assert_eq(table_insert(&table, key, 100, 160), STATUS_OK);
        cr_assert_eq(table_insert(&table, key, 100, 160), STATUS_EXISTS);
        cr_assert_eq(table_insert(&table, key, 159, 220), STATUS_EXISTS);
    }
    free(table.slots);
}

Test(table, an_entry_is_forgotten_at_its_expiry_and_not_before)
{
    struct table table = make(16);
    struct replay_key key = {1, 2};
    cr_assert_eq(table_insert(&table, key, 100, 160), STATUS_OK);
    cr_assert_eq(table_insert(&table, key, 159, 161), STATUS_EXISTS);
    cr_assert_eq(table_count_live(&table, 159, 16), 1);
    cr_assert_eq(table_count_live(&table, 160, 16), 0);
    cr_assert_eq(table_insert(&table, key, 160, 220), STATUS_OK);
    free(table.slots);
}

Test(table, keys_that_differ_in_one_bit_are_different)
{
    for (int bit = 0; bit < 128; bit++) {
        struct table table = make(1 << 16);
        struct replay_key a = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)}, b = a;
        if (bit < 64) {
            b.low ^= UINT64_C(1) << bit;
        } else {
            b.high ^= UINT64_C(1) << (bit - 64);
        }
        cr_assert_eq(table_insert(&table, a, 1, 60), STATUS_OK);
        /* The low half of `low` is kept only as the bucket: with 2^16 buckets, its upper 16 bits.
         */
        enum status expected = bit < 16 ? STATUS_EXISTS : STATUS_OK;
        cr_assert_eq(table_insert(&table, b, 1, 60), expected, "bit %d", bit);
        free(table.slots);
    }
}

Test(table, both_buckets_full_is_full_and_nothing_live_is_lost)
{
    struct table table = make(2);
    struct replay_key keys[2 * TABLE_BUCKET_SLOTS];
    uint64_t seed = 7;
    for (int i = 0; i < 2 * TABLE_BUCKET_SLOTS; i++) {
        keys[i] = next_key(&seed);
        cr_assert_eq(table_insert(&table, keys[i], 10, 20 + (uint64_t)i), STATUS_OK);
    }
    struct replay_key more = next_key(&seed);
    cr_assert_eq(table_insert(&table, more, 10, 30), STATUS_FULL);
    for (int i = 0; i < 2 * TABLE_BUCKET_SLOTS; i++) {
        cr_assert_eq(table_insert(&table, keys[i], 10, 30), STATUS_EXISTS);
    }
    cr_assert_eq(table_insert(&table, more, 20, 30), STATUS_OK, "the first has expired");
    for (int i = 1; i < 2 * TABLE_BUCKET_SLOTS; i++) {
        cr_assert_eq(table_insert(&table, keys[i], 20, 30), STATUS_EXISTS);
    }
    free(table.slots);
}

Test(table, capacity_fits)
{
    static const uint64_t capacities[] = {1, 10, 1000, 65536, 1000000};
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct table table = make(table_buckets_for(capacities[c]));
            uint64_t state = seed;
            for (uint64_t i = 0; i < capacities[c]; i++) {
                cr_assert_eq(table_insert(&table, next_key(&state), 1, 60), STATUS_OK,
                             "%llu of %llu", (unsigned long long)i,
                             (unsigned long long)capacities[c]);
            }
            cr_assert_eq(table_count_live(&table, 1, table.buckets), capacities[c]);
            free(table.slots);
        }
    }
}

Test(table, count_estimates_from_a_sample)
{
    struct table table = make(table_buckets_for(200000));
    uint64_t seed = 3;
    for (int i = 0; i < 100000; i++) {
        cr_assert_eq(table_insert(&table, next_key(&seed), 1, 60), STATUS_OK);
    }
    uint64_t estimate = table_count_live(&table, 1, 4096);
    cr_assert(estimate > 97000 && estimate < 103000, "%llu", (unsigned long long)estimate);
    free(table.slots);
}

/* A tentative twin: left by a thread that was stopped, or a process that was killed. */
Test(table, a_tentative_entry_counts_as_used)
{
    struct table table = make(16);
    struct replay_key key = {UINT64_C(5) << 32 | 5, 6};
    cr_assert_eq(table_insert(&table, key, 1, 60), STATUS_OK);
    for (uint64_t i = 0; i < 16 * TABLE_BUCKET_SLOTS; i++) {
        if (table.slots[i].low != 0) {
            table.slots[i].low = slot_make(key, 60, SLOT_TENTATIVE).low;
        }
    }
    cr_assert_eq(table_insert(&table, key, 2, 60), STATUS_EXISTS);
    cr_assert_eq(table_insert(&table, key, 60, 90), STATUS_OK);
    free(table.slots);
}
