/* include/popgate/replay_cache.h: the cache without our types. */
#include "popgate/replay_cache.h"

#include "replay/cache.h"

#include <time.h>

/* Never defined: a popgate_replay_cache is a replay_cache under another name. */
static struct replay_cache *inner(const struct popgate_replay_cache *cache)
{
    return (struct replay_cache *)(void *)(uintptr_t)cache;
}

struct popgate_replay_cache *popgate_replay_new(const struct popgate_replay_options *options,
                                                enum popgate_replay_memory *memory, char *error,
                                                size_t error_size)
{
    struct replay_options ours = {
        .capacity = options->capacity,
        .window_s_max = options->window_s_max,
        .path = options->path,
    };
    struct replay_cache *cache = NULL;
    int survived = REPLAY_FRESH;
    if (replay_cache_new(&ours, &cache, &survived, error, error_size) != STATUS_OK) {
        return NULL;
    }
    if (memory != NULL) {
        *memory = survived == REPLAY_SURVIVED  ? POPGATE_REPLAY_SURVIVED
                  : survived == REPLAY_SHORTER ? POPGATE_REPLAY_SHORTER
                                               : POPGATE_REPLAY_FRESH;
    }
    return (struct popgate_replay_cache *)(void *)cache;
}

void popgate_replay_free(struct popgate_replay_cache *cache)
{
    replay_cache_free(inner(cache));
}

uint64_t popgate_replay_now_boot_s(void)
{
    struct timespec boot = {0};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (uint64_t)boot.tv_sec;
}

enum popgate_replay_result popgate_replay_insert(struct popgate_replay_cache *cache,
                                                 const void *bytes, size_t size,
                                                 uint64_t expires_boot_s)
{
    uint64_t now_boot_s = popgate_replay_now_boot_s();
    if (expires_boot_s <= now_boot_s) {
        return POPGATE_REPLAY_EXPIRED;
    }
    struct replay_key key = replay_bytes_hash(inner(cache), span_make(bytes, size));
    switch (replay_insert(inner(cache), key, now_boot_s, expires_boot_s)) {
    case STATUS_OK:
        return POPGATE_REPLAY_NEW;
    case STATUS_EXISTS:
        return POPGATE_REPLAY_USED;
    case STATUS_FULL:
        return POPGATE_REPLAY_FULL;
    case STATUS_EXPIRED:
        return POPGATE_REPLAY_EXPIRED;
    case STATUS_DENIED:
        return POPGATE_REPLAY_INVALID;
    default:
        return POPGATE_REPLAY_UNAVAILABLE;
    }
}

uint64_t popgate_replay_count(const struct popgate_replay_cache *cache)
{
    struct replay_counters counters;
    replay_read_counters(inner(cache), popgate_replay_now_boot_s(), &counters);
    return counters.entries;
}
