#include "replay/cache.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#define CAPACITY 10000
#define WINDOW_S 100

static struct share *make(void)
{
    struct share *share = aligned_alloc(_Alignof(struct share), sizeof *share);
    memset(share, 0, sizeof *share);
    share_init(share, CAPACITY);
    return share;
}

static uint64_t hash(uint64_t number)
{
    number = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return number ^ number >> 29;
}

/* As many as are admitted, up to `wanted`. */
static uint64_t fill(struct share *share, uint64_t client, uint64_t wanted, uint64_t now)
{
    uint64_t admitted = 0;
    while (admitted < wanted && share_admit(share, hash(client), now, WINDOW_S) == STATUS_OK) {
        share_account(share, hash(client), now, WINDOW_S);
        admitted++;
    }
    return admitted;
}

Test(share, one_client_stops_at_three_quarters_and_others_still_pass)
{
    struct share *share = make();
    cr_assert_eq(fill(share, 1, CAPACITY, 1000), CAPACITY * 3 / 4);
    cr_assert_eq(fill(share, 2, 500, 1000), 500);
    cr_assert_eq(fill(share, 1, 1, 1000), 0);
    for (uint64_t client = 3; client < 20; client++) {
        cr_assert_eq(fill(share, client, 50, 1000), 50, "%llu", (unsigned long long)client);
    }
    free(share);
}

Test(share, greedy_ones_get_equal_parts)
{
    struct share *share = make();
    uint64_t held[4] = {0};
    for (int turn = 0; turn < CAPACITY; turn++) {
        for (uint64_t client = 0; client < 4; client++) {
            held[client] += fill(share, client, 1, 1000);
        }
    }
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        cr_assert(held[i] > 2200 && held[i] < 2400, "%llu", (unsigned long long)held[i]);
        sum += held[i];
    }
    cr_assert_lt(sum, CAPACITY * 13 / 14 + 10, "and leave room: %llu", (unsigned long long)sum);
    free(share);
}

/* What is held is forgotten as it expires, not at the turn of an epoch. */
Test(share, a_share_comes_back_as_entries_expire)
{
    struct share *share = make();
    uint64_t first = fill(share, 1, CAPACITY, 1099);
    cr_assert_eq(first, CAPACITY * 3 / 4);
    cr_assert(share_sample_is_due(share, 1101));
    share_sampled(share, first);
    cr_assert_lt(fill(share, 1, 1000, 1101), 100, "a new epoch: it still holds nearly all");
    share_sampled(share, 0);
    cr_assert_gt(fill(share, 1, CAPACITY, 1250), CAPACITY / 2, "all of them expired");
    free(share);
}

Test(share, an_epoch_nobody_counted_in_is_empty)
{
    struct share *share = make();
    fill(share, 1, CAPACITY, 1000);
    share_sampled(share, CAPACITY * 3 / 4);
    cr_assert_eq(share_admit(share, hash(1), 1000, WINDOW_S), STATUS_DENIED);
    cr_assert_eq(share_admit(share, hash(1), 1500, WINDOW_S), STATUS_OK);
    free(share);
}

Test(share, beyond_the_capacity_everyone_keeps_a_little)
{
    struct share *share = make();
    share_sampled(share, CAPACITY + 10);
    cr_assert_eq(fill(share, 1, CAPACITY, 1000), CAPACITY / SHARE_LEAST_PART + 1);
    free(share);
}

Test(share, one_a_second_counts)
{
    struct share *share = make();
    cr_assert(share_sample_is_due(share, 5));
    cr_assert_not(share_sample_is_due(share, 5));
    cr_assert_not(share_sample_is_due(share, 4));
    cr_assert(share_sample_is_due(share, 6));
    free(share);
}

Test(share, a_cache_limits_the_client_that_fills_it)
{
    struct replay_options options = {.capacity = 64, .window_s_max = 73};
    struct replay_cache *cache = NULL;
    int survived;
    char error[256];
    cr_assert_eq(replay_cache_new(&options, &cache, &survived, error, sizeof error), STATUS_OK);
    struct span issuer = SPAN_LITERAL("https://as"), a = SPAN_LITERAL("a"), b = SPAN_LITERAL("b");
    uint64_t greedy = replay_client_hash(cache, &issuer, &a);
    uint64_t other = replay_client_hash(cache, &issuer, &b);
    cr_assert_neq(greedy, other);
    cr_assert_neq(replay_client_hash(cache, &a, &issuer), replay_client_hash(cache, &issuer, &a));
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    uint64_t now = (uint64_t)boot.tv_sec;
    uint64_t admitted = 0;
    for (uint64_t i = 0; i < 100; i++) {
        if (replay_admit(cache, greedy, now) == STATUS_OK) {
            struct replay_key key = {hash(i), hash(i + 1000)};
            cr_assert_eq(replay_insert(cache, key, now, now + 60), STATUS_OK);
            replay_account(cache, greedy, now);
            admitted++;
        }
    }
    cr_assert_eq(admitted, 48);
    cr_assert_eq(replay_admit(cache, other, now), STATUS_OK);
    replay_cache_free(cache);
}
