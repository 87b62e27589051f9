#include "replay/replay_cache.h"
#include "replay/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

/* The state of a stream lives on the stack, which takes its definition. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define SECRET_BYTES        192  /* XXH3 takes at least 136 */
#define SHORT_FIELDS_BYTES  1024 /* hashed in one call; longer ones as a stream */
#define COUNTED_BUCKETS_MAX 8192

struct replay_cache {
    struct table table;
    uint64_t capacity;
    uint64_t window_s_max;
    uint64_t (*clock_boot_s)(void *context);
    void *clock_context;
    size_t bytes;
    uint8_t secret[SECRET_BYTES];
};

static uint64_t system_boot_s(void *context)
{
    (void)context;
    struct timespec boot = {0};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (uint64_t)boot.tv_sec;
}

/* All of it now: a page that cannot be had is found out at start, not by a request. */
static enum status take_memory(struct replay_cache *cache, char *error, size_t error_size)
{
    cache->bytes = cache->table.buckets * TABLE_BUCKET_BYTES;
    void *memory = mmap(NULL, cache->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        snprintf(error, error_size, "replay.capacity: %zu bytes cannot be had: %m", cache->bytes);
        return STATUS_NO_MEMORY;
    }
    cache->table.slots = memory;
    return STATUS_OK;
}

enum status replay_cache_new(const struct replay_options *options, struct replay_cache **out,
                             int *survived, char *error, size_t error_size)
{
    *survived = 0;
    uint64_t buckets = table_buckets_for(options->capacity);
    if (options->capacity == 0 || options->capacity > TABLE_BUCKETS_MAX ||
        buckets > TABLE_BUCKETS_MAX) {
        snprintf(error, error_size, "replay.capacity: must be from 1 to %llu",
                 (unsigned long long)TABLE_BUCKETS_MAX);
        return STATUS_TOO_LARGE;
    }
    if (options->path != NULL && options->path[0] != '\0') {
        snprintf(error, error_size, "replay.path: not supported by this version yet; leave it out");
        return STATUS_UNSUPPORTED;
    }
    struct replay_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        snprintf(error, error_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    cache->table.buckets = buckets;
    cache->capacity = options->capacity;
    cache->window_s_max = options->window_s_max;
    cache->clock_boot_s = options->clock_boot_s != NULL ? options->clock_boot_s : system_boot_s;
    cache->clock_context = options->clock_context;
    if (getrandom(cache->secret, sizeof cache->secret, 0) != (ssize_t)sizeof cache->secret) {
        snprintf(error, error_size, "getrandom: %m");
        free(cache);
        return STATUS_SYSTEM;
    }
    enum status status = take_memory(cache, error, error_size);
    if (status != STATUS_OK) {
        free(cache);
        return status;
    }
    *out = cache;
    return STATUS_OK;
}

void replay_cache_free(struct replay_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    munmap(cache->table.slots, cache->bytes);
    free(cache);
}

/* The length goes before the bytes, so that no two lists of fields make the same bytes. */
static size_t put_field(uint8_t *out, struct span field)
{
    uint32_t size = (uint32_t)field.size;
    memcpy(out, &size, sizeof size);
    memcpy(out + sizeof size, field.data, field.size);
    return sizeof size + field.size;
}

static XXH128_hash_t hash_short(const struct replay_cache *cache, const struct span fields[4])
{
    uint8_t bytes[SHORT_FIELDS_BYTES];
    size_t size = 0;
    for (int i = 0; i < 4; i++) {
        size += put_field(bytes + size, fields[i]);
    }
    return XXH3_128bits_withSecret(bytes, size, cache->secret, sizeof cache->secret);
}

static XXH128_hash_t hash_long(const struct replay_cache *cache, const struct span fields[4])
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset_withSecret(&state, cache->secret, sizeof cache->secret);
    for (int i = 0; i < 4; i++) {
        uint32_t size = (uint32_t)fields[i].size;
        XXH3_128bits_update(&state, &size, sizeof size);
        XXH3_128bits_update(&state, fields[i].data, fields[i].size);
    }
    return XXH3_128bits_digest(&state);
}

struct replay_key replay_key_hash(const struct replay_cache *cache, const uint8_t jkt[32],
                                  const struct span *htu, const struct span *htm,
                                  const struct span *jti)
{
    const struct span fields[4] = {span_make(jkt, 32), *htu, *htm, *jti};
    size_t size = 0;
    for (int i = 0; i < 4; i++) {
        size += sizeof(uint32_t) + fields[i].size;
    }
    XXH128_hash_t hash = size <= SHORT_FIELDS_BYTES ? hash_short(cache, fields)
                                                    : hash_long(cache, fields);
    return (struct replay_key){.low = hash.low64, .high = hash.high64};
}

void replay_prefetch(const struct replay_cache *cache, struct replay_key key)
{
    table_prefetch(&cache->table, key);
}

enum status replay_insert(struct replay_cache *cache, struct replay_key key, uint64_t now_boot_s,
                          uint64_t expires_boot_s)
{
    if (expires_boot_s <= now_boot_s || expires_boot_s - now_boot_s > cache->window_s_max ||
        expires_boot_s > SLOT_EXPIRY_MAX) {
        return STATUS_DENIED;
    }
    enum status status = table_insert(&cache->table, key, now_boot_s, expires_boot_s);
    if (status != STATUS_OK) {
        return status;
    }
    /* `now` was read a while ago. Had this thread been stopped since, an earlier entry of the same
     * key could have expired and made room before it looked. The clock, read after looking, rules
     * that out: until it reaches `expires` no entry of this key has been reused. */
    return cache->clock_boot_s(cache->clock_context) < expires_boot_s ? STATUS_OK : STATUS_EXPIRED;
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
