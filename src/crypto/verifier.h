/* The inside of struct verifier and struct verify_scratch: verifier.c makes them, batch.c uses
 * them. */
#ifndef POPGATE_CRYPTO_VERIFIER_H
#define POPGATE_CRYPTO_VERIFIER_H

#include "crypto/key_contexts.h"

/* Contexts built at the end of one call, at most: bounds what a turn waits for new keys (four
 * tables, below half a millisecond). */
#define BUILDS_PER_TURN_MAX 4

struct verifier {
    enum engine_tier tier;
    const struct engine *engines[KEY_TYPES];
    void *shared[KEY_TYPES];
    unsigned table_sizes[KEY_TYPES];
    struct key_contexts *contexts;
    /* Written once a call, not once a signature. */
    _Atomic uint64_t signatures[SIGNATURE_ALGORITHMS][ENGINE_TIERS];
    _Atomic uint64_t hits, misses;
};

struct verify_group {
    size_t count;
    struct engine_job jobs[ENGINE_JOBS_MAX];
};

struct verify_pending {
    uint64_t hash;
    struct public_key key;
};

struct verify_scratch {
    struct verify_group known[KEY_TYPES], unknown[KEY_TYPES];
    uint64_t signatures[SIGNATURE_ALGORITHMS][ENGINE_TIERS];
    uint64_t hits, misses;
    bool defer_builds;
    size_t pending_count;
    struct verify_pending pending[BUILDS_PER_TURN_MAX];
    _Alignas(ENGINE_ALIGNMENT) uint8_t engine[];
};

#endif
