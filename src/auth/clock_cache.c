#include "auth/clock_cache.h"

#include <assert.h>
#include <stdlib.h>

enum status clock_cache_init(struct clock_cache *cache, uint32_t capacity,
                             void (*dispose)(void *context, struct clock_node *node), void *context)
{
    uint32_t buckets = 1;
    while (buckets < capacity * 2) {
        buckets *= 2;
    }
    *cache = (struct clock_cache){
        .buckets = calloc(buckets, sizeof(struct clock_node *)),
        .ring = calloc(capacity, sizeof(struct clock_node *)),
        .bucket_mask = buckets - 1,
        .capacity = capacity,
        .dispose = dispose,
        .context = context,
    };
    if (cache->buckets == NULL || cache->ring == NULL) {
        free(cache->buckets);
        free(cache->ring);
        *cache = (struct clock_cache){0};
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

void clock_cache_cleanup(struct clock_cache *cache)
{
    clock_cache_clear(cache);
    free(cache->buckets);
    free(cache->ring);
    *cache = (struct clock_cache){0};
}

void clock_node_init(struct clock_node *node, struct span key, uint64_t hash)
{
    *node = (struct clock_node){.key = key, .hash = hash, .references = 1};
}

static struct clock_node *find(const struct clock_cache *cache, struct span key, uint64_t hash)
{
    struct clock_node *node = cache->buckets[hash & cache->bucket_mask];
    while (node != NULL && !(node->hash == hash && span_equal(node->key, key))) {
        node = node->chain;
    }
    return node;
}

struct clock_node *clock_cache_acquire(struct clock_cache *cache, struct span key, uint64_t hash)
{
    struct clock_node *node = find(cache, key, hash);
    if (node != NULL) {
        node->references++;
        node->used = true;
    }
    return node;
}

/* Takes a node out of the table; it is disposed of if nobody holds it. The last of the ring fills
 * the gap. */
static void uncache(struct clock_cache *cache, struct clock_node *node)
{
    struct clock_node **link = &cache->buckets[node->hash & cache->bucket_mask];
    while (*link != node) {
        link = &(*link)->chain;
    }
    *link = node->chain;
    struct clock_node *last = cache->ring[--cache->count];
    cache->ring[node->position] = last;
    last->position = node->position;
    node->cached = false;
    if (node->references == 0) {
        cache->dispose(cache->context, node);
    }
}

/* The node to evict: the first behind the hand that nobody holds and nobody used since the hand
 * came by last, or, if the scan meets none, the first that nobody holds. NULL: all it saw are held.
 */
static struct clock_node *find_victim(struct clock_cache *cache)
{
    struct clock_node *unheld = NULL;
    for (uint32_t seen = 0; seen < CLOCK_SCAN_MAX; seen++) {
        cache->hand = (cache->hand + 1) % cache->count;
        struct clock_node *node = cache->ring[cache->hand];
        if (node->references > 0) {
            continue;
        }
        if (!node->used) {
            return node;
        }
        node->used = false;
        unheld = unheld != NULL ? unheld : node;
    }
    return unheld;
}

/* Whether there is room now. */
static bool make_room(struct clock_cache *cache)
{
    if (cache->count < cache->capacity) {
        return true;
    }
    struct clock_node *victim = find_victim(cache);
    if (victim == NULL) {
        return false;
    }
    uncache(cache, victim);
    cache->evictions++;
    return true;
}

void clock_cache_insert(struct clock_cache *cache, struct clock_node *node)
{
    assert(!node->cached && node->references > 0);
    if (find(cache, node->key, node->hash) != NULL || !make_room(cache)) {
        return;
    }
    struct clock_node **bucket = &cache->buckets[node->hash & cache->bucket_mask];
    node->chain = *bucket;
    *bucket = node;
    node->position = cache->count;
    node->cached = true;
    node->used = true;
    cache->ring[cache->count++] = node;
}

void clock_cache_release(struct clock_cache *cache, struct clock_node *node)
{
    assert(node->references > 0);
    node->references--;
    if (node->references == 0 && !node->cached) {
        cache->dispose(cache->context, node);
    }
}

void clock_cache_clear(struct clock_cache *cache)
{
    while (cache->count > 0) {
        uncache(cache, cache->ring[cache->count - 1]);
    }
}
