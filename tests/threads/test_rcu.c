/* Readers look objects up and read all of them while a writer replaces and frees them: under TSan
 * and ASan a read after the free, or one without a happens-before, is reported; without them the
 * poison is seen. */
#include "base/rcu.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS      3
#define KEYS         16
#define REPLACEMENTS 20000
#define POISON       0xdddddddddddddddduLL

struct object {
    struct rcu_map_node node;
    struct rcu_deferred deferred;
    uint64_t key;
    uint64_t words[6]; /* all equal */
};

struct shared {
    struct rcu_map *map;
    atomic_bool stop;
    atomic_ulong found, torn, freed;
};

static struct shared *freed_into; /* the callback has no argument; set once before any thread */

static bool match(const struct rcu_map_node *node, const void *key)
{
    return ((const struct object *)(const void *)node)->key == *(const uint64_t *)key;
}

static void object_free(struct rcu_deferred *deferred)
{
    struct object *object = (struct object *)(void *)((char *)deferred -
                                                      offsetof(struct object, deferred));
    for (size_t i = 0; i < 6; i++) {
        object->words[i] = POISON + i;
    }
    free(object);
    atomic_fetch_add_explicit(&freed_into->freed, 1, memory_order_relaxed);
}

static struct object *object_new(uint64_t key, uint64_t word)
{
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL) {
        abort();
    }
    object->key = key;
    for (size_t i = 0; i < 6; i++) {
        object->words[i] = word;
    }
    return object;
}

static void *read_all(void *argument)
{
    struct shared *shared = argument;
    rcu_register();
    unsigned turn = 0;
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        const struct object *held[KEYS];
        for (uint64_t key = 0; key < KEYS; key++) {
            held[key] = (const struct object *)(const void *)rcu_map_find(shared->map, key * 977,
                                                                          match, &key);
        }
        for (uint64_t key = 0; key < KEYS; key++) {
            if (held[key] == NULL) {
                continue;
            }
            bool equal = held[key]->key == key;
            for (size_t i = 1; i < 6; i++) {
                equal = equal && held[key]->words[i] == held[key]->words[0];
            }
            atomic_fetch_add_explicit(equal ? &shared->found : &shared->torn, 1,
                                      memory_order_relaxed);
        }
        if (++turn % 64 == 0) {
            rcu_offline();
            rcu_online();
        } else {
            rcu_quiescent();
        }
    }
    rcu_unregister();
    return NULL;
}

int main(void)
{
    struct shared shared = {.map = rcu_map_new(8)};
    freed_into = &shared;
    rcu_register();
    struct object *objects[KEYS];
    for (uint64_t key = 0; key < KEYS; key++) {
        objects[key] = object_new(key, key);
        if (!rcu_map_add(shared.map, key * 977, match, &key, &objects[key]->node)) {
            abort();
        }
    }
    pthread_t readers[READERS];
    for (size_t i = 0; i < READERS; i++) {
        if (pthread_create(&readers[i], NULL, read_all, &shared) != 0) {
            abort();
        }
    }
    /* On a busy machine all replacements could be over before anybody has read. */
    while (atomic_load(&shared.found) == 0) {
        rcu_quiescent();
        sched_yield();
    }
    unsigned refused = 0;
    for (uint64_t i = 0; i < REPLACEMENTS; i++) {
        uint64_t key = i % KEYS;
        refused += !rcu_map_remove(shared.map, &objects[key]->node);
        rcu_defer(&objects[key]->deferred, object_free);
        objects[key] = object_new(key, i);
        refused += !rcu_map_add(shared.map, key * 977, match, &key, &objects[key]->node);
        rcu_quiescent();
    }
    atomic_store(&shared.stop, true);
    rcu_offline();
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    rcu_online();
    for (size_t key = 0; key < KEYS; key++) {
        refused += !rcu_map_remove(shared.map, &objects[key]->node);
        rcu_defer(&objects[key]->deferred, object_free);
    }
    rcu_wait_deferred();
    rcu_map_free(shared.map);
    rcu_unregister();

    unsigned failed = 0;
    failed += atomic_load(&shared.torn) != 0;
    failed += atomic_load(&shared.found) == 0;
    failed += refused != 0;
    failed += atomic_load(&shared.freed) != REPLACEMENTS + KEYS;
    printf("rcu: %lu reads, %lu torn, %lu freed\n", atomic_load(&shared.found),
           atomic_load(&shared.torn), atomic_load(&shared.freed));
    printf("%u passed, %u failed\n", 4 - failed, failed);
    return failed != 0;
}
