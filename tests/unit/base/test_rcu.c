#include "base/rcu.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct item {
    struct rcu_map_node node;
    struct rcu_deferred deferred;
    uint64_t key;
    atomic_int *freed;
};

static bool match(const struct rcu_map_node *node, const void *key)
{
    return ((const struct item *)(const void *)node)->key == *(const uint64_t *)key;
}

static void item_free(struct rcu_deferred *deferred)
{
    struct item *item = (struct item *)(void *)((char *)deferred - offsetof(struct item, deferred));
    atomic_fetch_add(item->freed, 1);
    free(item);
}

Test(rcu, a_map_finds_what_was_added_and_not_what_was_removed)
{
    rcu_register();
    struct rcu_map *map = rcu_map_new(3);
    cr_assert_not_null(map);
    atomic_int freed = 0;
    struct item *items[200];
    for (uint64_t i = 0; i < 200; i++) {
        items[i] = calloc(1, sizeof *items[i]);
        items[i]->key = i;
        items[i]->freed = &freed;
        /* Seven hashes only: equal hashes of unequal keys must be told apart by the match. */
        cr_assert(rcu_map_add(map, i % 7, match, &i, &items[i]->node));
    }
    for (uint64_t i = 0; i < 200; i++) {
        cr_assert_eq(rcu_map_find(map, i % 7, match, &i), &items[i]->node);
        cr_assert_null(rcu_map_find(map, i % 7 + 1, match, &i), "another hash");
    }
    struct item twin = {.key = 5};
    cr_assert_not(rcu_map_add(map, 5, match, &twin.key, &twin.node), "an equal one is there");
    for (uint64_t i = 0; i < 200; i++) {
        cr_assert(rcu_map_remove(map, &items[i]->node));
        cr_assert_not(rcu_map_remove(map, &items[i]->node), "only one remover wins");
        cr_assert_null(rcu_map_find(map, i % 7, match, &i));
        rcu_defer(&items[i]->deferred, item_free);
    }
    rcu_wait_deferred();
    cr_assert_eq(atomic_load(&freed), 200);
    rcu_map_free(map);
    rcu_map_free(NULL);
    rcu_unregister();
}

struct reader {
    atomic_int stage; /* 1: online and holding; the test sets 2: become quiescent; 3: done */
};

static void *hold(void *argument)
{
    struct reader *reader = argument;
    rcu_register();
    atomic_store(&reader->stage, 1);
    while (atomic_load(&reader->stage) != 2) {
    }
    rcu_quiescent();
    while (atomic_load(&reader->stage) != 3) {
        rcu_quiescent();
    }
    rcu_offline();
    rcu_online();
    rcu_unregister();
    return NULL;
}

static void set(struct rcu_deferred *deferred)
{
    struct item *item = (struct item *)(void *)((char *)deferred - offsetof(struct item, deferred));
    atomic_store(item->freed, 1);
}

Test(rcu, nothing_is_freed_before_every_reader_was_quiescent)
{
    rcu_register();
    rcu_offline();
    struct reader reader = {0};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, hold, &reader), 0);
    while (atomic_load(&reader.stage) != 1) {
    }
    atomic_int freed = 0;
    struct item item = {.freed = &freed};
    rcu_online();
    rcu_defer(&item.deferred, set);
    rcu_offline();
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    cr_assert_eq(atomic_load(&freed), 0, "the reader still holds");
    atomic_store(&reader.stage, 2);
    rcu_wait_deferred();
    cr_assert_eq(atomic_load(&freed), 1);
    rcu_synchronize();
    atomic_store(&reader.stage, 3);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    rcu_online();
    rcu_unregister();
}
