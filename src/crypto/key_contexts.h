/* The contexts of the keys that are used again and again: one store for all workers, read without a
 * lock or a reference.
 *
 *            first use             second use, signature good     table built           memory
 * needed unknown ----------> seen once ---------------------------> building ----------> live
 * ----------> retired --> freed (16 bits in a filter)                  (one thread)         (in the
 * map)     (unlinked; readers may still hold it)
 *
 * Memory: live and retired contexts together never exceed memory_max; what a retired one holds
 * counts until its grace period is over and it is really freed. Building: by a token bucket of CPU
 * time, so that keys made to be used twice cost an attacker's victim at most 1 / build_share of a
 * core. Eviction: CLOCK (second chance) over the live ones. */
#ifndef POPGATE_CRYPTO_KEY_CONTEXTS_H
#define POPGATE_CRYPTO_KEY_CONTEXTS_H

#include "base/rcu.h"
#include "crypto/engine.h"

#include <stdatomic.h>

struct key_contexts;

/* What a lookup reads comes first: the node and an Ed25519 key share a cache line. */
struct key_context {
    struct rcu_map_node node;
    struct public_key key;
    atomic_bool referenced; /* since the clock's hand last passed */
    struct rcu_deferred deferred;
    struct key_contexts *store;
    const struct engine *engine;
    size_t bytes; /* counted against memory_max */
    size_t slot;  /* in the clock */
    _Alignas(ENGINE_ALIGNMENT) uint8_t table[];
};

struct key_contexts_options {
    size_t memory_max;       /* bytes; 0: no contexts at all */
    unsigned build_share;    /* building may take 1 / build_share of one core; 0: unbounded */
    uint64_t build_burst_ns; /* and this much CPU time at once */
};

/* Returns owned, or NULL. */
struct key_contexts *key_contexts_new(const struct key_contexts_options *options);
/* Nobody reads any more. Waits for what was retired. */
void key_contexts_free(struct key_contexts *store);

/* Keyed, so that nobody can aim at a bucket or at the filter. */
uint64_t key_contexts_hash(const struct key_contexts *store, const struct public_key *key);

/* The context, valid until the calling thread's next quiescent state, or NULL. Registered with
 * base/rcu and online. */
const struct key_context *key_contexts_find(struct key_contexts *store, uint64_t hash,
                                            const struct public_key *key);

/* Notes that a key without a context made a good signature; true when it has before (as far as the
 * filter remembers): then a context is worth building. */
bool key_contexts_admit(struct key_contexts *store, uint64_t hash);

/* Builds the key's context and makes it visible. STATUS_OK; STATUS_EXISTS when it is there or
 * another thread is at it; STATUS_FULL when the budget or the memory does not allow it now
 * (contexts were evicted to make room, if that helps); STATUS_FAILED for a key that is not valid;
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status key_contexts_build(struct key_contexts *store, const struct engine *engine,
                                          const void *shared, void *scratch, unsigned size,
                                          uint64_t hash, const struct public_key *key);

/* Lifts the budget: for tests and benches, before any thread builds. */
void key_contexts_unlimit_builds(struct key_contexts *store);

struct key_contexts_counters {
    uint64_t live, bytes; /* bytes with the retired ones */
    uint64_t builds, evictions, refusals;
};
void key_contexts_read_counters(struct key_contexts *store, struct key_contexts_counters *out);

/* The largest size of `engine`'s tables with which `memory_max` holds a sidecar's few hundred
 * clients, or its smallest; above 128 MiB that of 96 KiB a context, for thousands of clients. */
unsigned key_contexts_table_size(const struct engine *engine, size_t memory_max);

#endif
