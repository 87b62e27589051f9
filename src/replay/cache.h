/* The insides of struct replay_cache, for replay's own files. */
#ifndef POPGATE_REPLAY_CACHE_H
#define POPGATE_REPLAY_CACHE_H

#include "replay/file.h"
#include "replay/guard.h"
#include "replay/share.h"
#include "replay/table.h"

/* What an entry outlives its expiry by: replay_cache.h, replay_insert. */
#define REPLAY_SLACK_S 1

struct replay_cache {
    struct table table;
    struct replay_header *header; /* the slots follow it */
    size_t bytes;
    uint64_t capacity;
    uint64_t (*clock_boot_s)(void *context);
    void *clock_context;
    struct replay_file file; /* descriptor -1: memory only */
    atomic_bool lost;        /* the file was cut short: nothing is certain any more */
    uint8_t secret[REPLAY_SECRET_BYTES];
    struct share share;
};

#endif
