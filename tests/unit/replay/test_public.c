/* The public header, and nothing else of ours. */
#include <popgate/replay_cache.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct popgate_replay_cache *make(uint64_t capacity, const char *path,
                                         enum popgate_replay_memory expected)
{
    struct popgate_replay_options options = {
        .capacity = capacity, .window_s_max = 60, .path = path};
    char error[512] = "";
    enum popgate_replay_memory memory = POPGATE_REPLAY_SHORTER;
    struct popgate_replay_cache *cache = popgate_replay_new(&options, &memory, error, sizeof error);
    cr_assert_not_null(cache, "%s", error);
    cr_assert_eq(memory, expected, "%s", error);
    return cache;
}

Test(popgate_replay, a_string_is_new_once)
{
    struct popgate_replay_cache *cache = make(1000, NULL, POPGATE_REPLAY_FRESH);
    uint64_t expires = popgate_replay_now_boot_s() + 50;
    cr_expect_eq(popgate_replay_insert(cache, "one", 3, expires), POPGATE_REPLAY_NEW);
    cr_expect_eq(popgate_replay_insert(cache, "one", 3, expires), POPGATE_REPLAY_USED);
    cr_expect_eq(popgate_replay_insert(cache, "one", 2, expires), POPGATE_REPLAY_NEW);
    cr_expect_eq(popgate_replay_insert(cache, "", 0, expires), POPGATE_REPLAY_NEW);
    cr_expect_eq(popgate_replay_insert(cache, "", 0, expires), POPGATE_REPLAY_USED);
    cr_expect_eq(popgate_replay_count(cache), 3);
    popgate_replay_free(cache);
    popgate_replay_free(NULL);
}

Test(popgate_replay, times_that_cannot_be)
{
    struct popgate_replay_cache *cache = make(10, NULL, POPGATE_REPLAY_FRESH);
    uint64_t now = popgate_replay_now_boot_s();
    cr_expect_eq(popgate_replay_insert(cache, "x", 1, now), POPGATE_REPLAY_EXPIRED);
    cr_expect_eq(popgate_replay_insert(cache, "x", 1, now + 100), POPGATE_REPLAY_INVALID);
    cr_expect_eq(popgate_replay_insert(cache, "x", 1, UINT64_MAX), POPGATE_REPLAY_INVALID);
    cr_expect_eq(popgate_replay_count(cache), 0);
    popgate_replay_free(cache);
}

Test(popgate_replay, full_is_said)
{
    struct popgate_replay_cache *cache = make(1, NULL, POPGATE_REPLAY_FRESH);
    uint64_t expires = popgate_replay_now_boot_s() + 50;
    enum popgate_replay_result result = POPGATE_REPLAY_NEW;
    int count = 0;
    for (; result == POPGATE_REPLAY_NEW && count < 1000; count++) {
        result = popgate_replay_insert(cache, &count, sizeof count, expires);
    }
    cr_expect_eq(result, POPGATE_REPLAY_FULL);
    for (int i = 0; i < count - 1; i++) {
        cr_expect_eq(popgate_replay_insert(cache, &i, sizeof i, expires), POPGATE_REPLAY_USED);
    }
    popgate_replay_free(cache);
}

Test(popgate_replay, options_that_cannot_be_are_told)
{
    struct popgate_replay_options options = {.capacity = 0, .window_s_max = 60};
    char error[256] = "";
    cr_expect_null(popgate_replay_new(&options, NULL, error, sizeof error));
    cr_expect_neq(error[0], '\0');
}

Test(popgate_replay, a_file_outlives_the_cache_until_it_is_cut_short)
{
    char path[] = "/tmp/popgate-public-XXXXXX";
    close(mkstemp(path));
    uint64_t expires = popgate_replay_now_boot_s() + 50;
    struct popgate_replay_cache *cache = make(1000, path, POPGATE_REPLAY_FRESH);
    cr_expect_eq(popgate_replay_insert(cache, "a", 1, expires), POPGATE_REPLAY_NEW);
    popgate_replay_free(cache);
    cache = make(1000, path, POPGATE_REPLAY_SURVIVED);
    cr_expect_eq(popgate_replay_insert(cache, "a", 1, expires), POPGATE_REPLAY_USED);
    cr_expect_eq(truncate(path, 0), 0);
    cr_expect_eq(popgate_replay_insert(cache, "b", 1, expires), POPGATE_REPLAY_UNAVAILABLE);
    popgate_replay_free(cache);
    unlink(path);
}

Test(popgate_replay, what_became_of_the_memory_need_not_be_asked)
{
    char path[] = "/tmp/popgate-public-XXXXXX", error[256];
    close(mkstemp(path));
    struct popgate_replay_options options = {.capacity = 1000, .window_s_max = 60, .path = path};
    struct popgate_replay_cache *cache = popgate_replay_new(&options, NULL, error, sizeof error);
    cr_assert_not_null(cache);
    popgate_replay_free(cache);
    enum popgate_replay_memory memory = POPGATE_REPLAY_FRESH;
    options.window_s_max = 61;
    cache = popgate_replay_new(&options, &memory, error, sizeof error);
    cr_assert_not_null(cache);
    cr_expect_eq(memory, POPGATE_REPLAY_SHORTER, "the one before remembered for less long");
    popgate_replay_free(cache);
    unlink(path);
}

struct race {
    struct popgate_replay_cache *cache;
    uint64_t expires;
    atomic_uint new;
};

static void *race(void *context)
{
    struct race *all = context;
    for (int i = 0; i < 2000; i++) {
        if (popgate_replay_insert(all->cache, &i, sizeof i, all->expires) == POPGATE_REPLAY_NEW) {
            atomic_fetch_add(&all->new, 1);
        }
    }
    return NULL;
}

Test(popgate_replay, each_string_has_one_winner)
{
    struct race all = {.cache = make(2000, NULL, POPGATE_REPLAY_FRESH),
                       .expires = popgate_replay_now_boot_s() + 50};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, race, &all);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_expect_eq(all.new, 2000);
    popgate_replay_free(all.cache);
}
