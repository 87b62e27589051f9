/* Which proofs have been used. Insert-if-absent with an expiry, shared by all workers, lock-free,
 * in memory that is taken once. The guarantee: of all inserts of one key while it is remembered,
 * exactly one is told STATUS_OK; a live entry is never evicted; when there is no room the answer is
 * STATUS_FULL, never STATUS_OK. How, and why every memory order: replay/README.md. */
#ifndef POPGATE_REPLAY_REPLAY_CACHE_H
#define POPGATE_REPLAY_REPLAY_CACHE_H

#include "base/span.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct replay_key {
    uint64_t low, high; /* keyed 128-bit XXH3 over the length-prefixed fields */
};

struct replay_cache;

struct replay_options {
    uint64_t capacity;     /* proofs that are guaranteed to fit, at least 1 */
    uint64_t window_s_max; /* the longest any entry lives: auth_replay_window_s() */
    const char *path;      /* NULL: memory only; else a file that survives the process */
    /* Seconds of CLOCK_BOOTTIME; NULL: the system's. For tests that move time. Any thread. */
    uint64_t (*clock_boot_s)(void *context);
    void *clock_context;
};

/* *cache is owned by the caller. *survived says whether the memory of an earlier process was taken
 * over whole: if not, the caller raises the floor. `error` gets a sentence on failure. */
MUST_CHECK enum status replay_cache_new(const struct replay_options *options,
                                        struct replay_cache **cache, int *survived, char *error,
                                        size_t error_size);
void replay_cache_free(struct replay_cache *cache);

/* Hash of the replay fields under the cache's own random key. Fields: jkt (32 bytes), canonical
 * htu, htm, jti, each with its length before it. */
struct replay_key replay_key_hash(const struct replay_cache *cache, const uint8_t jkt[32],
                                  const struct span *htu, const struct span *htm,
                                  const struct span *jti);

/* Asks for the memory that replay_insert will look at; worth it a microsecond ahead. */
void replay_prefetch(const struct replay_cache *cache, struct replay_key key);

/* Inserts `key` until `expires_boot_s` (whole seconds on CLOCK_BOOTTIME; live while now < expires).
 * `now_boot_s` is the turn's clock. Any thread; never waits for another.
 * STATUS_OK: it was absent and is now remembered, and this caller alone was told so.
 * STATUS_EXISTS: it is a replay. STATUS_FULL: no room, or too contended; nothing was stored.
 * STATUS_EXPIRED: by the time it was stored (this thread may have been stopped meanwhile) its time
 * had passed. STATUS_DENIED: expires is not after now, or not within window_s_max of it. */
MUST_CHECK enum status replay_insert(struct replay_cache *cache, struct replay_key key,
                                     uint64_t now_boot_s, uint64_t expires_boot_s);

struct replay_counters {
    uint64_t entries;  /* live now; above 65,536 slots an estimate from a sample */
    uint64_t capacity; /* proofs */
    uint64_t bytes;    /* of the table */
};
/* Slow path: reads up to 1 MiB of the table. Any thread. */
void replay_read_counters(const struct replay_cache *cache, uint64_t now_boot_s,
                          struct replay_counters *out);

#endif
