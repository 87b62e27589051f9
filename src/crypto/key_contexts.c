#include "crypto/key_contexts.h"

#include "crypto/table_memory.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

/* The filter of keys seen once: sets of four, one word of four 16-bit tags, the newest lowest. A
 * set is found by some bits of the hash, the tag is others. 128 KiB; a flood pushes a key out after
 * about 65536 proofs, so a client that comes back sooner is recognised through it. Four to a set,
 * because two keys that shared a slot and came in turns would push each other out for ever. */
#define SEEN_SETS 16384
#define SEEN_WAYS 4
/* Distinct keys being built at the same moment, at most: one a worker. */
#define BUILDING_MAX 64
/* The smallest context: bounds the clock's slots. */
#define CONTEXT_BYTES_MIN 4096
/* "A sidecar sees a few hundred clients": tables are of the largest size of which so many contexts
 * fit. Who gives more memory than FEW_KEYS_MEMORY_MAX has thousands of them: then a context takes
 * three quarters of what it takes with the default memory, for the last quarter saves a twentieth
 * of a signature, and a key without a table costs five times as much. */
#define KEYS_WANTED          256
#define FEW_KEYS_MEMORY_MAX  ((size_t)128 << 20)
#define MANY_KEYS_BYTES_EACH ((size_t)96 << 10)
/* XXH3's own secret has this size. */
#define HASH_SECRET_BYTES 192

struct key_contexts {
    struct key_contexts_options options;
    struct rcu_map *map;
    uint8_t secret[HASH_SECRET_BYTES]; /* random: XXH3's key */
    _Atomic uint64_t *seen;

    _Atomic uint64_t live, bytes, builds, evictions, refusals;
    _Atomic uint64_t retired_bytes; /* of `bytes`, unlinked and waiting for their grace period */
    _Atomic uint64_t
        built_until_ns; /* the bucket: a build is allowed while this is at most burst ahead */

    pthread_mutex_t mutex;   /* everything below; never taken on the way of a hit */
    struct table_pool *pool; /* NULL: no memory at all */
    struct key_context **clock;
    size_t clock_size, clock_used, clock_hand;
    uint64_t building[BUILDING_MAX];
    size_t building_count;
};

/* The bytes that make two keys of a type different keys. */
static struct span identity(const struct public_key *key)
{
    _Static_assert(offsetof(struct public_key, y) == offsetof(struct public_key, x) + 66,
                   "x and y are read as one");
    switch (key->type) {
    case KEY_P256:
        return span_make(key->x, 66 + 32);
    case KEY_P384:
        return span_make(key->x, 66 + 48);
    case KEY_P521:
        return span_make(key->x, 66 + 66);
    case KEY_ED25519:
        return span_make(key->x, 32);
    case KEY_RSA:
        return span_make(key->modulus, key->modulus_size <= RSA_MODULUS_BYTES_MAX
                                           ? key->modulus_size
                                           : RSA_MODULUS_BYTES_MAX);
    default:
        return span_make(NULL, 0);
    }
}

static bool match(const struct rcu_map_node *node, const void *key)
{
    const struct key_context *context = (const struct key_context *)(const void *)node;
    const struct public_key *wanted = key;
    return context->key.type == wanted->type && context->key.exponent == wanted->exponent &&
           span_equal(identity(&context->key), identity(wanted));
}

struct key_contexts *key_contexts_new(const struct key_contexts_options *options)
{
    struct key_contexts *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    store->options = *options;
    store->clock_size = options->memory_max / CONTEXT_BYTES_MIN;
    store->map = rcu_map_new(store->clock_size < 65536 ? store->clock_size : 65536);
    store->seen = calloc(SEEN_SETS, sizeof *store->seen);
    store->clock = calloc(store->clock_size + 1, sizeof(struct key_context *));
    /* Whole pieces only, so that memory_max is the bound. A context is a clock's slot, or retired
     * and waiting: each is a piece of CONTEXT_BYTES_MIN at least. */
    const size_t pooled = options->memory_max / ENGINE_ALIGNMENT * ENGINE_ALIGNMENT;
    store->pool = pooled > 0 ? table_pool_new(pooled, store->clock_size + 1) : NULL;
    if (store->map == NULL || store->seen == NULL || store->clock == NULL ||
        (pooled > 0 && store->pool == NULL) ||
        RAND_bytes(store->secret, sizeof store->secret) != 1 ||
        pthread_mutex_init(&store->mutex, NULL) != 0) {
        rcu_map_free(store->map);
        table_pool_free(store->pool);
        free(store->seen);
        free(store->clock);
        free(store);
        return NULL;
    }
    return store;
}

static void context_cleanup(struct key_context *context)
{
    if (context->engine->table_cleanup != NULL) {
        context->engine->table_cleanup(context->table);
    }
}

/* The mutex is held. */
static void give_back(struct key_contexts *store, void *memory, size_t bytes)
{
    table_pool_give(store->pool, memory, bytes);
    atomic_fetch_sub(&store->bytes, bytes);
}

static void free_retired(struct rcu_deferred *deferred)
{
    struct key_context *context = (struct key_context *)(void *)((uint8_t *)deferred -
                                                                 offsetof(struct key_context,
                                                                          deferred));
    struct key_contexts *store = context->store;
    size_t bytes = context->bytes;
    context_cleanup(context);
    pthread_mutex_lock(&store->mutex);
    give_back(store, context, bytes);
    atomic_fetch_sub(&store->retired_bytes, bytes);
    pthread_mutex_unlock(&store->mutex);
}

void key_contexts_free(struct key_contexts *store)
{
    if (store == NULL) {
        return;
    }
    rcu_wait_deferred();
    for (size_t i = 0; i < store->clock_used; i++) {
        rcu_map_remove(store->map, &store->clock[i]->node);
        context_cleanup(store->clock[i]);
    }
    rcu_map_free(store->map);
    table_pool_free(store->pool);
    pthread_mutex_destroy(&store->mutex);
    free(store->seen);
    free(store->clock);
    free(store);
}

uint64_t key_contexts_hash(const struct key_contexts *store, const struct public_key *key)
{
    struct span bytes = identity(key);
    return XXH3_64bits_withSecret(bytes.data, bytes.size, store->secret, sizeof store->secret);
}

const struct key_context *key_contexts_find(struct key_contexts *store, uint64_t hash,
                                            const struct public_key *key)
{
    struct key_context *context = (struct key_context *)(void *)rcu_map_find(store->map, hash,
                                                                             match, key);
    /* Stored only when it changes, so that a key many workers use stays shared in their caches.
     * Relaxed: a lost mark costs an eviction that could have been another's. */
    if (context != NULL && !atomic_load_explicit(&context->referenced, memory_order_relaxed)) {
        atomic_store_explicit(&context->referenced, true, memory_order_relaxed);
    }
    return context;
}

bool key_contexts_admit(struct key_contexts *store, uint64_t hash)
{
    if (store->options.memory_max == 0) {
        return false;
    }
    uint64_t tag = hash >> 48;
    tag += tag == 0; /* zero is an empty place */
    _Atomic uint64_t *set = &store->seen[hash % SEEN_SETS];
    /* Relaxed, and not exchanged at once: the filter is a guess. */
    const uint64_t tags = atomic_load_explicit(set, memory_order_relaxed);
    for (unsigned way = 0; way < SEEN_WAYS; way++) {
        if ((tags >> (16 * way) & 0xffff) == tag) {
            return true;
        }
    }
    atomic_store_explicit(set, tags << 16 | tag, memory_order_relaxed);
    return false;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The bucket as GCRA (ITU-T I.371): one number, the time up to which building has been paid for. */
static bool budget_allows(struct key_contexts *store)
{
    return store->options.build_share == 0 ||
           atomic_load_explicit(&store->built_until_ns, memory_order_relaxed) <=
               clock_ns(CLOCK_MONOTONIC) +
                   store->options.build_burst_ns * store->options.build_share;
}

static void budget_charge(struct key_contexts *store, uint64_t cpu_ns)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    uint64_t until = atomic_load_explicit(&store->built_until_ns, memory_order_relaxed);
    uint64_t next;
    do {
        next = (until > now ? until : now) + cpu_ns * store->options.build_share;
    } while (!atomic_compare_exchange_weak_explicit(&store->built_until_ns, &until, next,
                                                    memory_order_relaxed, memory_order_relaxed));
}

static void retire(struct key_contexts *store, struct key_context *context)
{
    store->clock_used--;
    store->clock[context->slot] = store->clock[store->clock_used];
    store->clock[context->slot]->slot = context->slot;
    store->clock[store->clock_used] = NULL;
    rcu_map_remove(store->map, &context->node);
    atomic_fetch_sub(&store->live, 1);
    atomic_fetch_add(&store->evictions, 1);
    atomic_fetch_add(&store->retired_bytes, context->bytes);
    rcu_defer(&context->deferred, free_retired);
}

/* CLOCK: retires the first context whose mark is down; every pass takes marks down, so two rounds
 * always find one. There is one. */
static void evict_one(struct key_contexts *store)
{
    for (;;) {
        if (store->clock_hand >= store->clock_used) {
            store->clock_hand = 0;
        }
        struct key_context *context = store->clock[store->clock_hand];
        if (!atomic_load_explicit(&context->referenced, memory_order_relaxed)) {
            retire(store, context); /* the last one takes its place under the hand */
            return;
        }
        atomic_store_explicit(&context->referenced, false, memory_order_relaxed);
        store->clock_hand++;
    }
}

/* Retires contexts until what is live leaves room for `bytes`. */
static void evict(struct key_contexts *store, size_t bytes)
{
    while (store->clock_used > 0) {
        uint64_t live = atomic_load(&store->bytes) - atomic_load(&store->retired_bytes);
        if (live + bytes <= store->options.memory_max && store->clock_used < store->clock_size) {
            return;
        }
        evict_one(store);
    }
}

static bool is_building(const struct key_contexts *store, uint64_t hash)
{
    for (size_t i = 0; i < store->building_count; i++) {
        if (store->building[i] == hash) {
            return true;
        }
    }
    return false;
}

/* Reserves the memory and the right to build. */
static enum status build_begin(struct key_contexts *store, size_t bytes, uint64_t hash,
                               const struct public_key *key, struct key_context **context)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&store->mutex);
    if (is_building(store, hash) || rcu_map_find(store->map, hash, match, key) != NULL) {
        status = STATUS_EXISTS;
    } else if (store->building_count == BUILDING_MAX || bytes > store->options.memory_max) {
        status = STATUS_FULL;
    } else {
        evict(store, bytes);
        /* What was retired is free only after its grace period: then the next use of this key
         * builds. */
        if (atomic_load(&store->bytes) + bytes > store->options.memory_max ||
            store->clock_used + store->building_count >= store->clock_size) {
            status = STATUS_FULL;
        } else {
            *context = table_pool_take(store->pool, bytes);
            if (*context == NULL) {
                /* Room enough, but not in one piece: tables of another kind stand between. One more
                 * makes way, for the next time, unless some already do. */
                if (store->clock_used > 0 && atomic_load(&store->retired_bytes) == 0) {
                    evict_one(store);
                }
                status = STATUS_FULL;
            }
        }
    }
    if (status == STATUS_OK) {
        atomic_fetch_add(&store->bytes, bytes);
        store->building[store->building_count++] = hash;
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* Publishes `context`, or when it was not built gives the reservation back. */
static void build_end(struct key_contexts *store, struct key_context *context, size_t bytes,
                      uint64_t hash, bool built)
{
    pthread_mutex_lock(&store->mutex);
    for (size_t i = 0; i < store->building_count; i++) {
        if (store->building[i] == hash) {
            store->building[i] = store->building[--store->building_count];
            break;
        }
    }
    if (built && rcu_map_add(store->map, hash, match, &context->key, &context->node)) {
        context->slot = store->clock_used;
        store->clock[store->clock_used++] = context;
        atomic_fetch_add(&store->live, 1);
        atomic_fetch_add(&store->builds, 1);
    } else {
        if (built) {
            context_cleanup(context);
        }
        give_back(store, context, bytes);
    }
    pthread_mutex_unlock(&store->mutex);
}

enum status key_contexts_build(struct key_contexts *store, const struct engine *engine,
                               const void *shared, void *scratch, unsigned size, uint64_t hash,
                               const struct public_key *key)
{
    size_t bytes = sizeof(struct key_context) + engine->table_bytes(size);
    bytes = (bytes + ENGINE_ALIGNMENT - 1) / ENGINE_ALIGNMENT * ENGINE_ALIGNMENT;
    struct key_context *context = NULL;
    enum status status = budget_allows(store) ? build_begin(store, bytes, hash, key, &context)
                                              : STATUS_FULL;
    if (status != STATUS_OK) {
        if (status == STATUS_FULL) {
            atomic_fetch_add(&store->refusals, 1);
        }
        return status;
    }
    uint64_t begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    memset(context, 0, sizeof *context);
    context->store = store;
    context->engine = engine;
    context->bytes = bytes;
    context->key = *key;
    /* Not marked: a key that is not used again goes first. */
    status = engine->table_build(shared, scratch, size, key, context->table);
    build_end(store, context, bytes, hash, status == STATUS_OK);
    budget_charge(store, clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun);
    return status;
}

void key_contexts_unlimit_builds(struct key_contexts *store)
{
    store->options.build_share = 0;
}

void key_contexts_read_counters(struct key_contexts *store, struct key_contexts_counters *out)
{
    *out = (struct key_contexts_counters){
        .live = atomic_load(&store->live),
        .bytes = atomic_load(&store->bytes),
        .builds = atomic_load(&store->builds),
        .evictions = atomic_load(&store->evictions),
        .refusals = atomic_load(&store->refusals),
    };
}

unsigned key_contexts_table_size(const struct engine *engine, size_t memory_max)
{
    const size_t each = memory_max <= FEW_KEYS_MEMORY_MAX ? memory_max / KEYS_WANTED
                                                          : MANY_KEYS_BYTES_EACH;
    unsigned size = engine->size_max;
    while (size > 0 && sizeof(struct key_context) + engine->table_bytes(size) > each) {
        size--;
    }
    return size;
}
