#include "replay/cache.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define COUNTED_BUCKETS_MAX 8192 /* for the metrics */
#define SAMPLED_BUCKETS_MAX 256  /* once a second, by a request: 2,048 slots, 1 % */

static uint64_t system_boot_s(void *context)
{
    (void)context;
    struct timespec boot = {0};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (uint64_t)boot.tv_sec;
}

/* All of it now: a page that cannot be had is found out at start, not by a request. */
static enum status take_memory(struct replay_cache *cache, const struct replay_identity *identity,
                               char *error, size_t error_size)
{
    cache->bytes = REPLAY_HEADER_BYTES + identity->buckets * TABLE_BUCKET_BYTES;
    void *memory = mmap(NULL, cache->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);
    if (memory != MAP_FAILED) {
        /* Each insert is two accesses anywhere in it: in small pages each costs a page walk too. A
         * kernel without huge pages says no, and does without. */
        (void)madvise(memory, cache->bytes, MADV_HUGEPAGE);
        for (size_t at = 0; at < cache->bytes; at += 4096) {
            ((volatile char *)memory)[at] = 0;
        }
    } else {
        snprintf(error, error_size, "replay.capacity: %zu bytes cannot be had: %m", cache->bytes);
        return STATUS_NO_MEMORY;
    }
    cache->header = memory;
    cache->header->identity = *identity;
    error[0] = '\0';
    return STATUS_OK;
}

static enum status take_file(struct replay_cache *cache, const struct replay_options *options,
                             const struct replay_identity *identity, char *error, size_t error_size)
{
    enum status status = replay_file_open(options->path, identity,
                                          cache->clock_boot_s(cache->clock_context), &cache->file,
                                          error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    cache->header = cache->file.memory;
    cache->bytes = cache->file.bytes;
    if (guard_add(cache->header, cache->bytes, &cache->lost) != STATUS_OK) {
        snprintf(error, error_size, "replay.path: no guard against a truncated file: %m");
        replay_file_close(&cache->file);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

/* Raises `value`; what it was. */
static uint64_t raise_to(_Atomic uint64_t *value, uint64_t to)
{
    uint64_t old = atomic_load_explicit(value, memory_order_relaxed);
    while (old < to && !atomic_compare_exchange_weak_explicit(value, &old, to, memory_order_relaxed,
                                                              memory_order_relaxed)) {
    }
    return old;
}

static void raise_signed_to(_Atomic int64_t *value, int64_t to)
{
    int64_t old = atomic_load_explicit(value, memory_order_relaxed);
    while (old < to && !atomic_compare_exchange_weak_explicit(value, &old, to, memory_order_relaxed,
                                                              memory_order_relaxed)) {
    }
}

bool replay_widen(struct replay_cache *cache, uint64_t window_s_max, uint64_t reach_s)
{
    struct replay_shared *shared = &cache->header->shared;
    uint64_t reach = reach_s != 0 ? reach_s : window_s_max;
    assert(reach <= window_s_max);
    bool grew = raise_to(&shared->reach_s, reach) < reach;
    raise_to(&shared->ahead_s, window_s_max - reach);
    raise_to(&shared->window_s_ever, replay_reach_s(cache) + replay_ahead_s(cache));
    return grew;
}

/* The reach of those before us is what their entries were made for; ours, from now on, if nobody
 * else has the file. */
static enum replay_memory set_window(struct replay_cache *cache,
                                     const struct replay_options *options)
{
    struct replay_shared *shared = &cache->header->shared;
    bool fresh = !cache->file.found;
    uint64_t before_s = atomic_load_explicit(&shared->reach_s, memory_order_relaxed);
    uint64_t reach_s = options->reach_s != 0 ? options->reach_s : options->window_s_max;
    bool grew = replay_widen(cache, options->window_s_max, options->reach_s);
    if (!fresh && cache->file.alone && !grew) {
        atomic_store_explicit(&shared->reach_s, reach_s, memory_order_relaxed);
    }
    return fresh ? REPLAY_FRESH : reach_s > before_s ? REPLAY_SHORTER : REPLAY_SURVIVED;
}

enum status replay_cache_new(const struct replay_options *options, struct replay_cache **out,
                             int *survived, char *error, size_t error_size)
{
    *survived = REPLAY_FRESH;
    struct replay_identity identity = {
        .magic = REPLAY_MAGIC,
        .version = REPLAY_VERSION,
        .slot_bytes = sizeof(struct slot),
        .buckets = table_buckets_for(options->capacity),
        .capacity = options->capacity,
    };
    if (options->capacity == 0 || options->capacity > TABLE_BUCKETS_MAX ||
        identity.buckets > TABLE_BUCKETS_MAX) {
        snprintf(error, error_size, "replay.capacity: must be from 1 to %llu",
                 (unsigned long long)TABLE_BUCKETS_MAX);
        return STATUS_TOO_LARGE;
    }
    struct replay_cache *cache = aligned_alloc(_Alignof(struct replay_cache), sizeof *cache);
    if (cache == NULL) {
        snprintf(error, error_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    memset(cache, 0, sizeof *cache);
    cache->file.descriptor = -1;
    cache->clock_boot_s = options->clock_boot_s != NULL ? options->clock_boot_s : system_boot_s;
    cache->clock_context = options->clock_context;
    enum status status = STATUS_OK;
    if (getrandom(identity.secret, sizeof identity.secret, 0) != (ssize_t)sizeof identity.secret) {
        snprintf(error, error_size, "getrandom: %m");
        status = STATUS_SYSTEM;
    } else if (options->path != NULL && options->path[0] != '\0') {
        status = take_file(cache, options, &identity, error, error_size);
    } else {
        status = take_memory(cache, &identity, error, error_size);
    }
    if (status != STATUS_OK) {
        free(cache);
        return status;
    }
    /* Copies: nobody who writes into the file moves our bounds, and hashing stays in the cache. */
    cache->table.slots = (void *)((char *)cache->header + REPLAY_HEADER_BYTES);
    cache->table.buckets = (cache->bytes - REPLAY_HEADER_BYTES) / TABLE_BUCKET_BYTES;
    cache->capacity = cache->header->identity.capacity;
    memcpy(cache->secret, cache->header->identity.secret, sizeof cache->secret);
    share_init(&cache->share, cache->capacity);
    *survived = (int)set_window(cache, options);
    /* Not before: the reach of who came in between would be lowered again, and what we remember be
     * accepted there for longer. */
    if (cache->file.descriptor >= 0 && replay_file_let_in(&cache->file) != STATUS_OK) {
        snprintf(error, error_size, "replay.path: %s cannot be locked: %m", options->path);
        replay_cache_free(cache);
        *survived = REPLAY_FRESH;
        return STATUS_SYSTEM;
    }
    *out = cache;
    return STATUS_OK;
}

void replay_cache_free(struct replay_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    if (cache->file.descriptor >= 0) {
        guard_remove(cache->header);
        replay_file_close(&cache->file);
    } else {
        munmap(cache->header, cache->bytes);
    }
    explicit_bzero(cache->secret, sizeof cache->secret);
    free(cache);
}

uint64_t replay_reach_s(const struct replay_cache *cache)
{
    return atomic_load_explicit(&cache->header->shared.reach_s, memory_order_relaxed);
}

uint64_t replay_ahead_s(const struct replay_cache *cache)
{
    return atomic_load_explicit(&cache->header->shared.ahead_s, memory_order_relaxed);
}

int64_t replay_kept_floor_s(const struct replay_cache *cache)
{
    return atomic_load_explicit(&cache->header->shared.floor_s, memory_order_relaxed);
}

void replay_keep_floor(struct replay_cache *cache, int64_t floor_s)
{
    raise_signed_to(&cache->header->shared.floor_s, floor_s);
}

int64_t replay_kept_clock_offset_ns(const struct replay_cache *cache)
{
    return atomic_load_explicit(&cache->header->shared.clock_offset_ns, memory_order_relaxed);
}

void replay_keep_clock_offset(struct replay_cache *cache, int64_t offset_ns)
{
    atomic_store_explicit(&cache->header->shared.clock_offset_ns, offset_ns, memory_order_relaxed);
}

void replay_prefetch(const struct replay_cache *cache, struct replay_key key)
{
    table_prefetch(&cache->table, key);
}

/* Also after the access: the flag is set before the range becomes readable again (guard.h), so who
 * does not see it has been at the file. */
static bool is_lost(const struct replay_cache *cache)
{
    return atomic_load_explicit(&cache->lost, memory_order_acquire);
}

/* At least 1, also when the header was lost between two looks at it: it is divided by. */
static uint64_t window_s(const struct replay_cache *cache)
{
    uint64_t window = replay_reach_s(cache) + replay_ahead_s(cache);
    return window > 0 ? window : 1;
}

/* All but the last look at the clock. */
static enum status insert(struct replay_cache *cache, struct replay_key key, uint64_t now_boot_s,
                          uint64_t expires_boot_s, uint64_t window)
{
    if (expires_boot_s <= now_boot_s || expires_boot_s - now_boot_s > window ||
        expires_boot_s >= SLOT_EXPIRY_MAX) {
        return STATUS_DENIED;
    }
    return table_insert(&cache->table, key, now_boot_s, expires_boot_s + REPLAY_SLACK_S);
}

void replay_insert_many(struct replay_cache *cache, struct replay_insertion *all, size_t count,
                        uint64_t now_boot_s)
{
    uint64_t window = window_s(cache);
    bool lost = is_lost(cache);
    for (size_t i = 0; i < count; i++) {
        all[i].status = STATUS_FAILED;
        if (!lost) {
            all[i].status = insert(cache, all[i].key, now_boot_s, all[i].expires_boot_s, window);
        }
    }
    /* `now` was read a while ago. Had this thread been stopped since, an earlier entry of the same
     * key could have expired and made room before it looked. The clock, read after looking, rules
     * that out: until it reaches `expires` no entry of this key has been reused. */
    uint64_t clock_boot_s = cache->clock_boot_s(cache->clock_context);
    lost = is_lost(cache);
    for (size_t i = 0; i < count; i++) {
        if (lost) {
            all[i].status = STATUS_SYSTEM;
        } else if (all[i].status == STATUS_OK && clock_boot_s >= all[i].expires_boot_s) {
            all[i].status = STATUS_EXPIRED;
        }
    }
}

enum status replay_insert(struct replay_cache *cache, struct replay_key key, uint64_t now_boot_s,
                          uint64_t expires_boot_s)
{
    struct replay_insertion one = {.key = key, .expires_boot_s = expires_boot_s};
    replay_insert_many(cache, &one, 1, now_boot_s);
    return one.status;
}

enum status replay_admit(struct replay_cache *cache, uint64_t client, uint64_t now_boot_s)
{
    if (share_sample_is_due(&cache->share, now_boot_s)) {
        share_sampled(&cache->share,
                      table_count_live(&cache->table, now_boot_s, SAMPLED_BUCKETS_MAX));
        if (cache->file.descriptor >= 0 && !replay_file_is_whole(&cache->file)) {
            atomic_store_explicit(&cache->lost, true, memory_order_release);
        }
    }
    return share_admit(&cache->share, client, now_boot_s, window_s(cache));
}

void replay_account(struct replay_cache *cache, uint64_t client, uint64_t now_boot_s)
{
    share_account(&cache->share, client, now_boot_s, window_s(cache));
}

void replay_read_counters(const struct replay_cache *cache, uint64_t now_boot_s,
                          struct replay_counters *out)
{
    *out = (struct replay_counters){
        .entries = table_count_live(&cache->table, now_boot_s, COUNTED_BUCKETS_MAX),
        .capacity = cache->capacity,
        .bytes = cache->bytes,
    };
}
