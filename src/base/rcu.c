/* liburcu is linked dynamically and only its small functions are inlined
 * (URCU_INLINE_SMALL_FUNCTIONS, from the build; _LGPL_SOURCE, which would pull larger ones in, is
 * never defined). */
#include "base/rcu.h"

#ifdef _LGPL_SOURCE
#error "_LGPL_SOURCE must not be defined: it inlines LGPL code into ours"
#endif

#include <pthread.h>
#include <stdlib.h>
#include <urcu/urcu-qsbr.h>
/* cds_lfht_new finds the flavour by what was included before it. */
#include <urcu/rculfhash.h>

#ifdef POPGATE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

_Static_assert(sizeof(struct rcu_head) <= sizeof(((struct rcu_deferred *)0)->head),
               "struct rcu_head grew");
_Static_assert(sizeof(struct cds_lfht_node) <= sizeof(struct rcu_map_node),
               "struct cds_lfht_node grew");
_Static_assert(_Alignof(struct rcu_head) <= 8 && _Alignof(struct cds_lfht_node) <= 8,
               "rcu.h aligns both to 8");

/* What the library's barriers order and the sanitizer does not see: everything a reader did before
 * it was quiescent happens before everything done after the grace period. Only reclaimers acquire,
 * so readers are not ordered among themselves by this and races between them stay visible. */
#ifdef POPGATE_TSAN
static char grace_period; /* an address, never read or written */
static void annotate_release(void *address)
{
    __tsan_release(address);
}
static void annotate_acquire(void *address)
{
    __tsan_acquire(address);
}
#define RELEASE_GRACE_PERIOD() annotate_release(&grace_period)
#define ACQUIRE_GRACE_PERIOD() annotate_acquire(&grace_period)
#else
static inline void annotate_release(void *address)
{
    (void)address;
}
static inline void annotate_acquire(void *address)
{
    (void)address;
}
#define RELEASE_GRACE_PERIOD() ((void)0)
#define ACQUIRE_GRACE_PERIOD() ((void)0)
#endif

void rcu_register(void)
{
    urcu_qsbr_register_thread();
}

void rcu_unregister(void)
{
    RELEASE_GRACE_PERIOD();
    urcu_qsbr_unregister_thread();
}

void rcu_quiescent(void)
{
    RELEASE_GRACE_PERIOD();
    urcu_qsbr_quiescent_state();
}

void rcu_offline(void)
{
    RELEASE_GRACE_PERIOD();
    urcu_qsbr_thread_offline();
}

void rcu_online(void)
{
    urcu_qsbr_thread_online();
}

void rcu_synchronize(void)
{
    RELEASE_GRACE_PERIOD();
    urcu_qsbr_synchronize_rcu();
    ACQUIRE_GRACE_PERIOD();
}

static void run_deferred(struct rcu_head *head)
{
    /* `deferred` is gone when run returns. */
    ACQUIRE_GRACE_PERIOD();
    struct rcu_deferred *deferred = (struct rcu_deferred *)(void *)head;
    deferred->run(deferred);
}

void rcu_defer(struct rcu_deferred *deferred, void (*run)(struct rcu_deferred *deferred))
{
    deferred->run = run;
    RELEASE_GRACE_PERIOD();
    urcu_qsbr_call_rcu((struct rcu_head *)(void *)deferred->head, run_deferred);
}

struct waiter {
    struct rcu_deferred deferred;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
};

static void waiter_done(struct rcu_deferred *deferred)
{
    struct waiter *waiter = (struct waiter *)(void *)deferred;
    pthread_mutex_lock(&waiter->mutex);
    waiter->done = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->mutex);
}

/* One worker of the library runs all callbacks in the order they were queued (we never make it
 * create more), so when our own has run all earlier ones have. urcu's own barrier does the same
 * with memory of its own that it frees on the other thread, which the sanitizer takes for a race.
 */
void rcu_wait_deferred(void)
{
    struct waiter waiter = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    rcu_defer(&waiter.deferred, waiter_done);
    rcu_offline();
    pthread_mutex_lock(&waiter.mutex);
    while (!waiter.done) {
        pthread_cond_wait(&waiter.changed, &waiter.mutex);
    }
    pthread_mutex_unlock(&waiter.mutex);
    pthread_cond_destroy(&waiter.changed);
    pthread_mutex_destroy(&waiter.mutex);
    rcu_online();
    ACQUIRE_GRACE_PERIOD();
}

struct lookup {
    rcu_map_match *match;
    const void *key;
};

static int match_node(struct cds_lfht_node *node, const void *key)
{
    /* Pairs with the release in rcu_map_add: the library publishes the node with a compare-and-swap
     * the sanitizer does not see. */
    annotate_acquire(node);
    const struct lookup *lookup = key;
    return lookup->match((const struct rcu_map_node *)(const void *)node, lookup->key);
}

struct rcu_map *rcu_map_new(size_t buckets)
{
    size_t size = 64;
    while (size < buckets && size < SIZE_MAX / 2) {
        size *= 2;
    }
    /* Neither CDS_LFHT_AUTO_RESIZE nor accounting: the table never grows, so it needs no thread of
     * its own. */
    return (struct rcu_map *)(void *)cds_lfht_new_flavor(size, size, size, 0, &urcu_qsbr_flavor,
                                                         NULL);
}

void rcu_map_free(struct rcu_map *map)
{
    if (map == NULL) {
        return;
    }
    /* It fails when a node is left: then its owner would be left with a dangling table, which is a
     * bug of ours and must not pass. */
    if (cds_lfht_destroy((struct cds_lfht *)(void *)map, NULL) != 0) {
        abort();
    }
}

struct rcu_map_node *rcu_map_find(struct rcu_map *map, uint64_t hash, rcu_map_match *match,
                                  const void *key)
{
    struct lookup lookup = {match, key};
    struct cds_lfht_iter iter;
    cds_lfht_lookup((struct cds_lfht *)(void *)map, hash, match_node, &lookup, &iter);
    return (struct rcu_map_node *)(void *)cds_lfht_iter_get_node(&iter);
}

bool rcu_map_add(struct rcu_map *map, uint64_t hash, rcu_map_match *match, const void *key,
                 struct rcu_map_node *node)
{
    struct lookup lookup = {match, key};
    struct cds_lfht_node *own = (struct cds_lfht_node *)(void *)node;
    annotate_release(own);
    return cds_lfht_add_unique((struct cds_lfht *)(void *)map, hash, match_node, &lookup, own) ==
           own;
}

bool rcu_map_remove(struct rcu_map *map, struct rcu_map_node *node)
{
    return cds_lfht_del((struct cds_lfht *)(void *)map, (struct cds_lfht_node *)(void *)node) == 0;
}
