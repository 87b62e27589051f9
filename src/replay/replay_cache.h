/* Which proofs have been used. Insert-if-absent with an expiry, shared by all workers, lock-free,
 * in memory that is taken once. The guarantee: of all inserts of one key while it is remembered,
 * exactly one is told STATUS_OK; a live entry is never evicted; when there is no room the answer is
 * STATUS_FULL, never STATUS_OK. How, and why every memory order: replay/README.md. */
#ifndef POPGATE_REPLAY_REPLAY_CACHE_H
#define POPGATE_REPLAY_REPLAY_CACHE_H

#include "base/span.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_key {
    uint64_t low, high; /* keyed 128-bit XXH3 over the length-prefixed fields */
};

struct replay_cache;

struct replay_options {
    uint64_t capacity;     /* proofs that are guaranteed to fit, at least 1 */
    uint64_t window_s_max; /* the longest any entry lives: auth_replay_window_s() */
    uint64_t reach_s; /* of it, what lies after a proof's iat (max_age + clock_skew); the rest is
                         how far ahead iat may be. 0: all of it */
    const char *path; /* NULL: memory only; else a file that survives the process */
    /* Seconds of CLOCK_BOOTTIME; NULL: the system's. For tests that move time. Any thread. */
    uint64_t (*clock_boot_s)(void *context);
    void *clock_context;
};

/* What memory there is of proofs used before. */
enum replay_memory {
    REPLAY_FRESH = 0, /* none: the caller raises the floor */
    REPLAY_SURVIVED,  /* all of it */
    REPLAY_SHORTER,   /* for a shorter reach than ours: the caller raises the floor */
};

/* *cache is owned by the caller. *survived is an enum replay_memory. On failure `error` gets a
 * sentence; on success a phrase about the file, or "" without a path. */
MUST_CHECK enum status replay_cache_new(const struct replay_options *options,
                                        struct replay_cache **cache, int *survived, char *error,
                                        size_t error_size);
void replay_cache_free(struct replay_cache *cache);

/* Hash of the replay fields under the cache's own random key. Fields: jkt (32 bytes), canonical
 * htu, htm, jti, each with its length before it. */
struct replay_key replay_key_hash(const struct replay_cache *cache, const uint8_t jkt[32],
                                  const struct span *htu, const struct span *htm,
                                  const struct span *jti);

/* The same of any bytes. */
struct replay_key replay_bytes_hash(const struct replay_cache *cache, struct span bytes);

/* Asks for the memory that replay_insert will look at; worth it a microsecond ahead. */
void replay_prefetch(const struct replay_cache *cache, struct replay_key key);

/* Inserts `key` until `expires_boot_s` (whole seconds on CLOCK_BOOTTIME; live while now < expires).
 * `now_boot_s` is the turn's clock. Any thread; never waits for another. It is remembered for one
 * second more, so that the guarantee holds also between inserts of one key whose expiries differ by
 * one second (clocks are slewed, and whole seconds rounded).
 * STATUS_OK: it was absent and is now remembered, and this caller alone was told so.
 * STATUS_EXISTS: it is a replay. STATUS_FULL: no room, or too contended; nothing was stored.
 * STATUS_EXPIRED: by the time it was stored (this thread may have been stopped meanwhile) its time
 * had passed. STATUS_DENIED: expires is not after now, or not within window_s_max of it.
 * STATUS_SYSTEM: the file was cut short under us: what it remembered is lost, and nothing will be
 * inserted any more. */
MUST_CHECK enum status replay_insert(struct replay_cache *cache, struct replay_key key,
                                     uint64_t now_boot_s, uint64_t expires_boot_s);

/* One of a batch. `status` is written, and begins as STATUS_FAILED. */
struct replay_insertion {
    struct replay_key key;
    uint64_t expires_boot_s;
    enum status status; /* as replay_insert returns it */
};

/* replay_insert for each, in order, with one look at the clock after the last: cheaper than one by
 * one. */
void replay_insert_many(struct replay_cache *cache, struct replay_insertion *all, size_t count,
                        uint64_t now_boot_s);

/* How long after its iat a proof must be remembered: the most that any user of this memory has
 * allowed. At least options.reach_s. */
uint64_t replay_reach_s(const struct replay_cache *cache);
/* From now on (a reload) proofs may be good for longer. Never for less: what was asked for before
 * may still be in use. Returns whether reach_s grew: the caller raises the floor. */
bool replay_widen(struct replay_cache *cache, uint64_t window_s_max, uint64_t reach_s);
/* The most that iat may be ahead by: a floor is that far above the present. */
uint64_t replay_ahead_s(const struct replay_cache *cache);

/* For the process after this one: the floor (auth/gate.h), and wall minus boot clock. They only go
 * up; 0 is none. Without a path they end with the cache. Any thread. */
int64_t replay_kept_floor_s(const struct replay_cache *cache);
void replay_keep_floor(struct replay_cache *cache, int64_t floor_s);
int64_t replay_kept_clock_offset_ns(const struct replay_cache *cache);
void replay_keep_clock_offset(struct replay_cache *cache, int64_t offset_ns);

/* One client must not fill the cache for all. Before an insert: STATUS_OK, or STATUS_DENIED: the
 * cache is more than three quarters full and `client` has more than its share of it (share.h).
 * After an insert that was told STATUS_OK: replay_account. Any thread. */
MUST_CHECK enum status replay_admit(struct replay_cache *cache, uint64_t client,
                                    uint64_t now_boot_s);
void replay_account(struct replay_cache *cache, uint64_t client, uint64_t now_boot_s);
/* The `client` of these two: a hash of issuer and client_id. */
uint64_t replay_client_hash(const struct replay_cache *cache, const struct span *issuer,
                            const struct span *client_id);

struct replay_counters {
    uint64_t entries;  /* live now; above 65,536 slots an estimate from a sample */
    uint64_t capacity; /* proofs */
    uint64_t bytes;    /* of the table */
};
/* Slow path: reads up to 1 MiB of the table. Any thread. */
void replay_read_counters(const struct replay_cache *cache, uint64_t now_boot_s,
                          struct replay_counters *out);

#endif
