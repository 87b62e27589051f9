/* One remembered proof: 16 bytes that change only by 16-byte compare-and-swap, so that no thread,
 * and no process that was killed, ever leaves one half written.
 *
 *   low   [63:32] fingerprint, the key's low word's upper half
 *         [31:4]  expiry, whole seconds on CLOCK_BOOTTIME (2^28 s is eight years of uptime)
 *         [3:0]   state
 *   high  the key's high word
 *
 * Two keys are one to the table if these 96 bits and a bucket are: a proof is refused wrongly with
 * a chance below 2^-92. Zero is the empty slot: its expiry has passed at any time. The states, and
 * who may change which: README.md. */
#ifndef POPGATE_REPLAY_SLOT_H
#define POPGATE_REPLAY_SLOT_H

#include "replay/replay_cache.h"

#include <stdbool.h>

enum slot_state {
    SLOT_TENTATIVE = 1, /* placed; its owner has not yet looked for a twin */
    SLOT_COMMITTED = 2, /* its owner was told STATUS_OK */
    SLOT_BEATEN = 3,    /* was tentative; a twin at an earlier place decided that it goes */
};

#define SLOT_EXPIRY_BITS 28
#define SLOT_EXPIRY_MAX  ((UINT64_C(1) << SLOT_EXPIRY_BITS) - 1)

struct slot_value {
    uint64_t low, high;
};

struct slot {
    _Alignas(16) uint64_t low;
    uint64_t high;
};

static inline struct slot_value slot_make(struct replay_key key, uint64_t expires_boot_s,
                                          enum slot_state state)
{
    return (struct slot_value){
        .low = (key.low & UINT64_C(0xffffffff00000000)) | expires_boot_s << 4 | (uint64_t)state,
        .high = key.high,
    };
}

static inline uint64_t slot_expiry(struct slot_value value)
{
    return (uint32_t)value.low >> 4;
}

static inline bool slot_is_live(struct slot_value value, uint64_t now_boot_s)
{
    return now_boot_s < slot_expiry(value);
}

static inline enum slot_state slot_state(struct slot_value value)
{
    return (enum slot_state)(value.low & 15);
}

static inline struct slot_value slot_with_state(struct slot_value value, enum slot_state state)
{
    value.low = (value.low & ~UINT64_C(15)) | (uint64_t)state;
    return value;
}

static inline bool slot_holds(struct slot_value value, struct replay_key key)
{
    return value.high == key.high && (value.low ^ key.low) >> 32 == 0;
}

/* The two words may come from two different moments. That is harmless: what was put there before
 * this call began and not taken away since is seen whole, and a mixed value never equals what
 * slot_replace expects. Acquire keeps the order of what a scan reads. */
static inline struct slot_value slot_load(const struct slot *slot)
{
    return (struct slot_value){
        .low = __atomic_load_n(&slot->low, __ATOMIC_ACQUIRE),
        .high = __atomic_load_n(&slot->high, __ATOMIC_ACQUIRE),
    };
}

/* A full barrier, whatever it returns: what this thread loads afterwards is not older than the
 * exchange. The protocol (place, then look for twins) rests on that. */
#if defined(__x86_64__)
__attribute__((target("cx16")))
#endif
static inline bool
slot_replace(struct slot *slot, struct slot_value expected, struct slot_value desired)
{
    unsigned __int128 old = (unsigned __int128)expected.high << 64 | expected.low;
    unsigned __int128 new = (unsigned __int128)desired.high << 64 | desired.low;
    return __sync_bool_compare_and_swap((unsigned __int128 *)(void *)slot, old, new);
}

/* Tentative to committed, by its owner. The low word is enough, and cheaper: until the expiry in it
 * nobody but the owner gives the slot to another entry, and after it nobody who asks is told OK. */
static inline bool slot_commit(struct slot *slot, struct slot_value mine)
{
    return __atomic_compare_exchange_n(&slot->low, &mine.low,
                                       slot_with_state(mine, SLOT_COMMITTED).low, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

#endif
