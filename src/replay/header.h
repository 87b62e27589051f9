/* What stands before the slots, in the file and in memory alike. */
#ifndef POPGATE_REPLAY_HEADER_H
#define POPGATE_REPLAY_HEADER_H

#include <stdatomic.h>
#include <stdint.h>

#define REPLAY_HEADER_BYTES 4096 /* a page: the slots begin on one */
#define REPLAY_SECRET_BYTES 192  /* XXH3 takes at least 136 */
#define REPLAY_MAGIC        "popgate\001"
#define REPLAY_VERSION      1

/* Never changes once the file is ready; the checksum is over all that is before it. */
struct replay_identity {
    char magic[8];
    uint32_t version;
    uint32_t slot_bytes;
    uint64_t buckets;
    uint64_t capacity;
    uint8_t boot_id[16];
    uint64_t time_namespace; /* the boot clock is that of a boot and of a time namespace */
    uint8_t secret[REPLAY_SECRET_BYTES];
    uint64_t checksum;
};

/* Changes while in use, by any of the processes that share the file. Each member stands for itself
 * and only goes up (reach_s and ahead_s start anew when nobody else has the file), so relaxed
 * loads and exchanges are enough. */
struct replay_shared {
    /* A proof is good until reach_s after its iat, which is at most ahead_s after now: the most
     * that any process of this file allows. */
    _Atomic uint64_t reach_s, ahead_s;
    /* The longest that any entry here was ever made to live: later ones are damage. */
    _Atomic uint64_t window_s_ever;
    /* For the process after this one (auth/gate.h): the floor, and wall minus boot clock. */
    _Atomic int64_t floor_s, clock_offset_ns;
};

struct replay_header {
    struct replay_identity identity;
    _Alignas(64) struct replay_shared shared; /* read by every insert: a line of its own */
};

_Static_assert(sizeof(struct replay_header) <= REPLAY_HEADER_BYTES, "it fits its page");

#endif
