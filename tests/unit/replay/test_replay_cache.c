#include "replay/replay_cache.h"

#include <criterion/criterion.h>
#include <time.h>

struct test_clock {
    uint64_t now;
};

static uint64_t read_test_clock(void *context)
{
    return ((struct test_clock *)context)->now;
}

static struct replay_cache *make(uint64_t capacity, struct test_clock *clock)
{
    struct replay_options options = {
        .capacity = capacity,
        .window_s_max = 73,
        .clock_boot_s = read_test_clock,
        .clock_context = clock,
    };
    struct replay_cache *cache = NULL;
    int survived = 1;
    char error[256] = "";
    cr_assert_eq(replay_cache_new(&options, &cache, &survived, error, sizeof error), STATUS_OK,
                 "%s", error);
    cr_assert_eq(survived, 0, "memory alone never survives");
    return cache;
}

static struct replay_key key_of(const struct replay_cache *cache, const char *htu, const char *htm,
                                const char *jti)
{
    static const uint8_t jkt[32] = {1, 2, 3};
    struct span u = span_from_string(htu), m = span_from_string(htm), j = span_from_string(jti);
    return replay_key_hash(cache, jkt, &u, &m, &j);
}

static bool equal(struct replay_key a, struct replay_key b)
{
    return a.low == b.low && a.high == b.high;
}

Test(replay_cache, one_proof_passes_once)
{
    struct test_clock clock = {1000};
    struct replay_cache *cache = make(100, &clock);
    struct replay_key key = key_of(cache, "https://a/", "GET", "1");
    cr_assert_eq(replay_insert(cache, key, 1000, 1070), STATUS_OK);
    cr_assert_eq(replay_insert(cache, key, 1000, 1070), STATUS_EXISTS);
    struct replay_counters counters;
    replay_read_counters(cache, 1000, &counters);
    cr_assert_eq(counters.entries, 1);
    cr_assert_eq(counters.capacity, 100);
    replay_cache_free(cache);
}

Test(replay_cache, times_that_cannot_be_are_denied)
{
    struct test_clock clock = {1000};
    struct replay_cache *cache = make(100, &clock);
    struct replay_key key = key_of(cache, "https://a/", "GET", "1");
    cr_assert_eq(replay_insert(cache, key, 1000, 1000), STATUS_DENIED);
    cr_assert_eq(replay_insert(cache, key, 1000, 999), STATUS_DENIED);
    cr_assert_eq(replay_insert(cache, key, 1000, 1074), STATUS_DENIED);
    cr_assert_eq(replay_insert(cache, key, (1u << 28) - 1, 1u << 28), STATUS_DENIED);
    cr_assert_eq(replay_insert(cache, key, 1000, 1073), STATUS_OK, "none of them was stored");
    replay_cache_free(cache);
}

/* The thread was stopped between reading its clock and inserting: its proof's time is over, an
 * earlier entry of it may be gone, and OK would be a second OK. */
Test(replay_cache, a_late_insert_is_expired)
{
    struct test_clock clock = {1000};
    struct replay_cache *cache = make(100, &clock);
    struct replay_key key = key_of(cache, "https://a/", "GET", "1");
    clock.now = 1060;
    cr_assert_eq(replay_insert(cache, key, 1000, 1060), STATUS_EXPIRED);
    clock.now = 1059;
    struct replay_key other = key_of(cache, "https://a/", "GET", "2");
    cr_assert_eq(replay_insert(cache, other, 1000, 1060), STATUS_OK);
    replay_cache_free(cache);
}

Test(replay_cache, fields_do_not_run_into_each_other)
{
    struct test_clock clock = {1};
    struct replay_cache *cache = make(1, &clock);
    struct replay_key base = key_of(cache, "https://a/b", "GET", "12");
    cr_assert(equal(base, key_of(cache, "https://a/b", "GET", "12")));
    cr_assert_not(equal(base, key_of(cache, "https://a/bG", "ET", "12")));
    cr_assert_not(equal(base, key_of(cache, "https://a/b", "GET1", "2")));
    cr_assert_not(equal(base, key_of(cache, "https://a/b", "GET", "1")));
    cr_assert_not(equal(base, key_of(cache, "https://a/", "bGET", "12")));
    uint8_t jkt[32] = {1, 2, 4};
    struct span u = SPAN_LITERAL("https://a/b"), m = SPAN_LITERAL("GET"), j = SPAN_LITERAL("12");
    cr_assert_not(equal(base, replay_key_hash(cache, jkt, &u, &m, &j)));
    replay_cache_free(cache);
}

Test(replay_cache, long_fields_hash_as_one_value)
{
    struct test_clock clock = {1};
    struct replay_cache *cache = make(1, &clock);
    static uint8_t path[8192];
    memset(path, 'a', sizeof path);
    static const uint8_t jkt[32] = {1, 2, 3};
    struct span method = SPAN_LITERAL("GET"), jti = SPAN_LITERAL("x");
    struct replay_key previous = {0, 0};
    /* Over the border between the two ways of hashing: equal for equal fields, different for each
     * size. */
    for (size_t size = 900; size < 1100; size++) {
        struct span htu = span_make(path, size);
        struct replay_key key = replay_key_hash(cache, jkt, &htu, &method, &jti);
        cr_assert(equal(key, replay_key_hash(cache, jkt, &htu, &method, &jti)));
        cr_assert_not(equal(key, previous));
        previous = key;
    }
    replay_cache_free(cache);
}

Test(replay_cache, two_caches_have_two_keys)
{
    struct test_clock clock = {1};
    struct replay_cache *a = make(1, &clock), *b = make(1, &clock);
    cr_assert_not(equal(key_of(a, "https://a/", "GET", "1"), key_of(b, "https://a/", "GET", "1")));
    replay_cache_free(a);
    replay_cache_free(b);
    replay_cache_free(NULL);
}

Test(replay_cache, capacity_out_of_range_is_refused_with_a_reason)
{
    static const uint64_t bad[] = {0, (UINT64_C(1) << 32) + 1, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct replay_options options = {.capacity = bad[i], .window_s_max = 70};
        struct replay_cache *cache = NULL;
        int survived;
        char error[256] = "";
        cr_assert_neq(replay_cache_new(&options, &cache, &survived, error, sizeof error),
                      STATUS_OK);
        cr_assert_neq(error[0], '\0');
    }
}

Test(replay_cache, the_system_clock_is_boot_time)
{
    struct replay_options options = {.capacity = 10, .window_s_max = 70};
    struct replay_cache *cache = NULL;
    int survived;
    char error[256];
    cr_assert_eq(replay_cache_new(&options, &cache, &survived, error, sizeof error), STATUS_OK);
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    uint64_t now = (uint64_t)boot.tv_sec;
    struct replay_key key = key_of(cache, "https://a/", "GET", "1");
    replay_prefetch(cache, key);
    cr_assert_eq(replay_insert(cache, key, now, now + 60), STATUS_OK);
    replay_cache_free(cache);
}
