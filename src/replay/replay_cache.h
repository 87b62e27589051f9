/* Which proofs have been used. Insert-if-absent with an expiry, shared by all workers, lock-free.
 * The guarantee: of all inserts of one key while it is remembered, exactly one is told STATUS_OK; a live entry is
 * never evicted; when there is no room the answer is STATUS_FULL, never STATUS_OK. */
#ifndef POPGATE_REPLAY_REPLAY_CACHE_H
#define POPGATE_REPLAY_REPLAY_CACHE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct replay_key {
    uint64_t low, high; /* keyed 128-bit XXH3 over the length-prefixed fields */
};

struct replay_cache;

struct replay_options {
    uint64_t capacity;     /* proofs that are guaranteed to fit */
    uint64_t window_s_max; /* the longest any entry lives: auth_replay_window_s() */
    const char *path;      /* NULL: memory only; else a file that survives the process */
};

/* *cache is owned by the caller. *survived says whether the memory of an earlier process was taken over whole: if
 * not, the caller raises the floor. `error` gets a sentence on failure. */
MUST_CHECK enum status replay_cache_new(const struct replay_options *options,
                                        struct replay_cache **cache, int *survived, char *error,
                                        size_t error_size);
void replay_cache_free(struct replay_cache *cache);

/* Hash of the replay fields under the cache's own random key. Fields: jkt (32 bytes), canonical htu, htm, jti. */
struct span;
struct replay_key replay_key_hash(const struct replay_cache *cache, const uint8_t jkt[32],
                                  const struct span *htu, const struct span *htm,
                                  const struct span *jti);

/* Inserts `key` until `expires_boot_s` (whole seconds on CLOCK_BOOTTIME; the entry is live while now < expires).
 * `now_boot_s` is the turn's clock. STATUS_OK: it was absent and is now remembered, this caller alone was told so.
 * STATUS_EXISTS: it is a replay. STATUS_FULL: no room within the bound, nothing was stored. Any thread. Expires must be
 * after now and within window_s_max. */
MUST_CHECK enum status replay_insert(struct replay_cache *cache, struct replay_key key,
                                     uint64_t now_boot_s, uint64_t expires_boot_s);

struct replay_counters {
    uint64_t entries; /* live now, approximately */
    uint64_t capacity, bytes;
    uint64_t inserted, replayed, full;
};
void replay_read_counters(const struct replay_cache *cache, uint64_t now_boot_s,
                          struct replay_counters *out);

#endif
