/* Read-copy-update for read-mostly shared state: liburcu's QSBR flavour behind names of ours, with
 * the annotations ThreadSanitizer needs, since it sees into neither the library nor its fences.
 *
 *   reader (a worker)                      updater
 *   rcu_register()
 *   loop: rcu_online()                     unlink the object from where readers find it
 *         ... reads shared objects,        rcu_defer(&object->deferred, free_object)
 *             no lock, no reference          ... every reader passes rcu_quiescent() or
 * rcu_offline() rcu_quiescent()  once a turn       free_object runs, on the library's own thread
 *         rcu_offline()    before it may block
 *   rcu_unregister()
 *
 * What a reader found stays valid until its next rcu_quiescent, rcu_offline or rcu_unregister, and
 * not longer. A thread that is online and blocks holds up every reclamation: memory stays, nothing
 * breaks. */
#ifndef POPGATE_BASE_RCU_H
#define POPGATE_BASE_RCU_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once a thread, before it reads; it starts online. The thread unregisters before it ends. */
void rcu_register(void);
void rcu_unregister(void);

/* The calling thread, online, holds nothing it found before. A load and a compare when nobody
 * waits. */
void rcu_quiescent(void);

/* Offline a thread holds nothing and nobody waits for it. */
void rcu_offline(void);
void rcu_online(void);

/* Returns when every reader has been quiescent or offline since the call. The caller, if
 * registered, holds nothing it found before (it counts as quiescent). Blocks. */
void rcu_synchronize(void);

/* Embedded in an object whose end is deferred. Opaque. */
struct rcu_deferred {
    alignas(8) uintptr_t head[2];
    void (*run)(struct rcu_deferred *deferred);
};

/* Runs `run` after every reader has been quiescent, on another thread. Never blocks, never fails.
 * The calling thread is registered. */
void rcu_defer(struct rcu_deferred *deferred, void (*run)(struct rcu_deferred *deferred));

/* Returns when everything deferred before the call, by any thread, has run. Blocks; the caller is
 * registered, online, and holds nothing. */
void rcu_wait_deferred(void);

/* A hash table read without locks (cds_lfht), of a fixed number of buckets. Nodes are embedded in
 * the caller's objects; a node removed must not be freed or added again before a grace period
 * (rcu_defer, rcu_synchronize). */
struct rcu_map;
struct rcu_map_node {
    alignas(8) uintptr_t node[2];
};

/* Whether `node`'s object is the one `key` names. */
typedef bool rcu_map_match(const struct rcu_map_node *node, const void *key);

/* Returns owned, or NULL. `buckets` is rounded up to a power of two. Free only when it is empty and
 * nobody reads. */
struct rcu_map *rcu_map_new(size_t buckets);
void rcu_map_free(struct rcu_map *map);

/* The node, valid until the caller's next quiescent state, or NULL. The caller is registered and
 * online. */
struct rcu_map_node *rcu_map_find(struct rcu_map *map, uint64_t hash, rcu_map_match *match,
                                  const void *key);

/* Publishes everything written to the node's object before. false: an equal one is there.
 * Registered and online. */
bool rcu_map_add(struct rcu_map *map, uint64_t hash, rcu_map_match *match, const void *key,
                 struct rcu_map_node *node);

/* false: another thread has removed it already (so exactly one remover owns its end). Registered
 * and online. */
bool rcu_map_remove(struct rcu_map *map, struct rcu_map_node *node);

#endif
