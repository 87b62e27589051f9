/* popgate's replay cache, for use in another program: a set of byte strings that each may be used
 * once, remembered until they expire.
 *
 * The guarantee: of all insertions of one string while it is remembered, exactly one is told
 * POPGATE_REPLAY_NEW, whatever the threads, the load, the clocks, or a kill -9 (with a path). A
 * live entry is never dropped; when there is no room the answer is POPGATE_REPLAY_FULL. Insertions
 * take no lock and wait for no other thread or process. Memory is taken once: 24 bytes an entry.
 *
 * Times are whole seconds of CLOCK_BOOTTIME. Link with libpopgate and xxHash. */
#ifndef POPGATE_REPLAY_CACHE_PUBLIC_H
#define POPGATE_REPLAY_CACHE_PUBLIC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct popgate_replay_cache;

struct popgate_replay_options {
    uint64_t capacity;     /* entries that fit, 1 to 2^32 */
    uint64_t window_s_max; /* the longest any of them lives, in seconds */
    /* NULL: memory only. Otherwise a file, mode 0600, ours; on tmpfs it costs no disk writes. It
     * is good until the machine's next start. Processes that name the same file share it. */
    const char *path;
};

/* What was remembered when the cache was made. With FRESH or SHORTER, what was used before may be
 * used again unless the caller refuses it by its age. */
enum popgate_replay_memory {
    POPGATE_REPLAY_FRESH = 0, /* nothing */
    POPGATE_REPLAY_SURVIVED,  /* all that earlier processes inserted, and it has not expired */
    POPGATE_REPLAY_SHORTER,   /* likewise, but their window was shorter than this one */
};

/* Returns owned, or NULL; then `error`, of error_size bytes, holds a sentence. On success it holds
 * what was found at `path`, and *memory (which may be NULL) says the same. */
struct popgate_replay_cache *popgate_replay_new(const struct popgate_replay_options *options,
                                                enum popgate_replay_memory *memory, char *error,
                                                size_t error_size);
void popgate_replay_free(struct popgate_replay_cache *cache);

enum popgate_replay_result {
    POPGATE_REPLAY_UNAVAILABLE = 0, /* the file was cut short: nothing can be inserted any more */
    POPGATE_REPLAY_NEW,             /* it was absent, and this caller alone was told so */
    POPGATE_REPLAY_USED,            /* it is remembered */
    POPGATE_REPLAY_FULL,            /* no room, or too contended: nothing was stored */
    POPGATE_REPLAY_EXPIRED,         /* its time was over before it was stored */
    POPGATE_REPLAY_INVALID,         /* expires_boot_s is more than window_s_max ahead */
};

/* Inserts `bytes`, remembered while the boot clock is below expires_boot_s. Insertions of one
 * string must agree on its expiry to within one second. Any thread; never waits. */
enum popgate_replay_result popgate_replay_insert(struct popgate_replay_cache *cache,
                                                 const void *bytes, size_t size,
                                                 uint64_t expires_boot_s);

/* Entries remembered now; of a large cache an estimate. */
uint64_t popgate_replay_count(const struct popgate_replay_cache *cache);

/* The clock of expires_boot_s. */
uint64_t popgate_replay_now_boot_s(void);

#ifdef __cplusplus
}
#endif

#endif
