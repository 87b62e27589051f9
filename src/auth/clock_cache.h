/* A bounded hash table of reference-counted objects, evicted by CLOCK (second chance). What someone
 * holds is never disposed of: it may leave the table, and goes when it is released. One thread. */
#ifndef POPGATE_AUTH_CLOCK_CACHE_H
#define POPGATE_AUTH_CLOCK_CACHE_H

#include "base/span.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* An insert looks at so many objects for one to evict, then gives up: a bound on the work of one
 * turn. */
#define CLOCK_SCAN_MAX 64

/* Embedded as the first member of what is cached. */
struct clock_node {
    struct clock_node *chain; /* next in the bucket */
    struct span key;          /* compared byte by byte; lives in the object */
    uint64_t hash;            /* of the key: any function, the comparison decides */
    uint32_t references;      /* holders; the table is none */
    uint32_t position;        /* in the ring, while cached */
    bool cached;
    bool used; /* since the hand came by */
};

struct clock_cache {
    struct clock_node **buckets;
    struct clock_node **ring;
    uint32_t bucket_mask, count, capacity, hand;
    uint64_t evictions;
    /* Called when an object is neither cached nor held. */
    void (*dispose)(void *context, struct clock_node *node);
    void *context;
};

/* STATUS_OK or STATUS_NO_MEMORY. `capacity` is at least 1. */
MUST_CHECK enum status clock_cache_init(struct clock_cache *cache, uint32_t capacity,
                                        void (*dispose)(void *context, struct clock_node *node),
                                        void *context);
/* Empties the table and frees it. Objects still held are disposed of by their release, which must
 * not come later. */
void clock_cache_cleanup(struct clock_cache *cache);

/* Makes a fresh node: one reference, the caller's, and not in the table. `key` must live as long as
 * the node. */
void clock_node_init(struct clock_node *node, struct span key, uint64_t hash);

/* Returns the node with exactly these bytes, with one more reference, or NULL. */
struct clock_node *clock_cache_acquire(struct clock_cache *cache, struct span key, uint64_t hash);

/* Puts the caller's node into the table, unless its key is there already or everything the hand saw
 * is held: then the node stays private to its holders. */
void clock_cache_insert(struct clock_cache *cache, struct clock_node *node);

/* Gives one reference back. */
void clock_cache_release(struct clock_cache *cache, struct clock_node *node);

/* Takes every node out of the table. */
void clock_cache_clear(struct clock_cache *cache);

#endif
