#include "crypto/ed25519_engine.h"
#include "crypto/key_contexts.h"
#include "crypto/p256_engine.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <time.h>

/* An engine whose tables are as big as a test wants and whose key 0xff is invalid. */
#define TABLE_BYTES 8192
#define CONTEXT_BYTES                                                                              \
    ((sizeof(struct key_context) + TABLE_BYTES + ENGINE_ALIGNMENT - 1) / ENGINE_ALIGNMENT *        \
     ENGINE_ALIGNMENT)

static atomic_int tables;
static uint64_t build_spin_ns;

static size_t fake_bytes(unsigned size)
{
    return size == 0 ? TABLE_BYTES : (size_t)4096 << size;
}

static enum status fake_build(const void *shared, void *scratch, unsigned size,
                              const struct public_key *key, void *table)
{
    (void)shared;
    (void)scratch;
    (void)size;
    if (key->x[0] == 0xff) {
        return STATUS_FAILED;
    }
    cr_assert_eq((uintptr_t)table % ENGINE_ALIGNMENT, 0);
    memset(table, key->x[0], TABLE_BYTES);
    atomic_fetch_add(&tables, 1);
    struct timespec begun, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((uint64_t)(now.tv_sec - begun.tv_sec) * 1000000000u + (uint64_t)now.tv_nsec -
                 (uint64_t)begun.tv_nsec <
             build_spin_ns);
    return STATUS_OK;
}

static void fake_cleanup(void *table)
{
    memset(table, 0, TABLE_BYTES);
    atomic_fetch_sub(&tables, 1);
}

static const struct engine fake = {
    .key_type = KEY_ED25519,
    .table_bytes = fake_bytes,
    .table_build = fake_build,
    .table_cleanup = fake_cleanup,
};

static struct public_key key_number(unsigned number)
{
    struct public_key key = {.type = KEY_ED25519};
    key.x[0] = (uint8_t)number;
    key.x[1] = (uint8_t)(number >> 8);
    return key;
}

static struct key_contexts *store_for(size_t contexts)
{
    rcu_register();
    struct key_contexts_options options = {.memory_max = contexts * CONTEXT_BYTES};
    struct key_contexts *store = key_contexts_new(&options);
    cr_assert_not_null(store);
    return store;
}

static enum status build(struct key_contexts *store, unsigned number)
{
    struct public_key key = key_number(number);
    return key_contexts_build(store, &fake, NULL, NULL, 0, key_contexts_hash(store, &key), &key);
}

static const struct key_context *find(struct key_contexts *store, unsigned number)
{
    struct public_key key = key_number(number);
    return key_contexts_find(store, key_contexts_hash(store, &key), &key);
}

static void done(struct key_contexts *store)
{
    key_contexts_free(store);
    cr_assert_eq(atomic_load(&tables), 0, "every table was cleaned up");
    rcu_unregister();
}

Test(key_contexts, a_key_is_found_after_it_was_built_and_only_by_itself)
{
    struct key_contexts *store = store_for(4);
    cr_assert_null(find(store, 1));
    cr_assert_eq(build(store, 1), STATUS_OK);
    cr_assert_eq(build(store, 1), STATUS_EXISTS);
    const struct key_context *context = find(store, 1);
    cr_assert_not_null(context);
    cr_assert_eq(context->table[TABLE_BYTES - 1], 1);
    cr_assert_null(find(store, 2));
    /* The same bytes under another type, and the same hash under another key, are other keys. */
    struct public_key other = key_number(1);
    uint64_t hash = key_contexts_hash(store, &other);
    other.type = KEY_P256;
    cr_assert_null(key_contexts_find(store, hash, &other));
    other = key_number(1);
    other.x[31] ^= 1;
    cr_assert_null(key_contexts_find(store, hash, &other));
    struct key_contexts_counters counters;
    key_contexts_read_counters(store, &counters);
    cr_assert_eq(counters.live, 1);
    cr_assert_eq(counters.builds, 1);
    cr_assert_eq(counters.bytes, CONTEXT_BYTES);
    done(store);
}

Test(key_contexts, every_type_is_told_apart_by_all_that_makes_it_a_key)
{
    struct key_contexts *store = store_for(4);
    struct public_key key = {.type = KEY_P256};
    uint64_t hash = key_contexts_hash(store, &key);
    key.y[31] = 1;
    cr_assert_neq(key_contexts_hash(store, &key), hash);
    key = (struct public_key){.type = KEY_P384};
    hash = key_contexts_hash(store, &key);
    key.y[47] = 1;
    cr_assert_neq(key_contexts_hash(store, &key), hash);
    key = (struct public_key){.type = KEY_P521};
    hash = key_contexts_hash(store, &key);
    key.y[65] = 1;
    cr_assert_neq(key_contexts_hash(store, &key), hash);
    key = (struct public_key){.type = KEY_RSA, .modulus_size = 256, .exponent = 3};
    hash = key_contexts_hash(store, &key);
    struct public_key other = key;
    other.modulus[255] = 1;
    cr_assert_neq(key_contexts_hash(store, &other), hash);
    /* Another exponent may hash the same, but is not found. */
    cr_assert_eq(key_contexts_build(store, &fake, NULL, NULL, 0, hash, &key), STATUS_OK);
    cr_assert_not_null(key_contexts_find(store, hash, &key));
    other = key;
    other.exponent = 5;
    cr_assert_null(key_contexts_find(store, hash, &other));
    done(store);
}

Test(key_contexts, two_stores_hash_differently)
{
    struct key_contexts *a = store_for(1), *b = key_contexts_new(&(struct key_contexts_options){
                                               .memory_max = CONTEXT_BYTES});
    struct public_key key = key_number(1);
    cr_assert_neq(key_contexts_hash(a, &key), key_contexts_hash(b, &key));
    key_contexts_free(b);
    done(a);
}

Test(key_contexts, keys_that_share_a_set_of_the_filter_are_admitted_all_the_same)
{
    struct key_contexts *store = store_for(4);
    /* Equal low bits are the same set, whatever its size; four keys that come in turns. */
    for (uint64_t set = 0; set < 3; set++) {
        for (uint64_t key = 0; key < 4; key++) {
            cr_assert_not(key_contexts_admit(store, set | (key * 1000 + 1) << 48));
        }
        for (uint64_t key = 0; key < 4; key++) {
            cr_assert(key_contexts_admit(store, set | (key * 1000 + 1) << 48), "key %d", (int)key);
        }
        /* A fifth pushes the oldest out, and nobody else. */
        cr_assert_not(key_contexts_admit(store, set | UINT64_C(9999) << 48));
        cr_assert(key_contexts_admit(store, set | UINT64_C(1001) << 48));
        cr_assert(key_contexts_admit(store, set | UINT64_C(9999) << 48));
        cr_assert_not(key_contexts_admit(store, set | UINT64_C(1) << 48));
    }
    /* A tag of zero is not an empty place. */
    cr_assert_not(key_contexts_admit(store, 77));
    cr_assert(key_contexts_admit(store, 77));
    done(store);
}

Test(key_contexts, a_key_is_admitted_when_it_comes_again)
{
    struct key_contexts *store = store_for(1);
    for (unsigned i = 0; i < 100; i++) {
        struct public_key key = key_number(i);
        cr_assert_not(key_contexts_admit(store, key_contexts_hash(store, &key)));
    }
    unsigned again = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct public_key key = key_number(i);
        again += key_contexts_admit(store, key_contexts_hash(store, &key));
    }
    /* 100 keys in 65536 slots: two meet in one slot once in fourteen runs. */
    cr_assert(again >= 95, "%u", again);
    done(store);
}

Test(key_contexts, no_memory_means_no_contexts)
{
    struct key_contexts *store = store_for(0);
    cr_assert_not(key_contexts_admit(store, 5));
    cr_assert_not(key_contexts_admit(store, 5));
    cr_assert_eq(build(store, 1), STATUS_FULL);
    cr_assert_null(find(store, 1));
    done(store);
}

Test(key_contexts, an_invalid_key_leaves_nothing_behind)
{
    struct key_contexts *store = store_for(1);
    struct public_key key = key_number(0xff);
    cr_assert_eq(key_contexts_build(store, &fake, NULL, NULL, 0, 9, &key), STATUS_FAILED);
    struct key_contexts_counters counters;
    key_contexts_read_counters(store, &counters);
    cr_assert_eq(counters.bytes, 0);
    cr_assert_eq(counters.live, 0);
    cr_assert_eq(build(store, 1), STATUS_OK, "the room is there again");
    done(store);
}

/* Retire, let the grace period pass, build: what a worker does over two uses of a key. */
static void build_at_last(struct key_contexts *store, unsigned number)
{
    enum status status = build(store, number);
    if (status == STATUS_FULL) {
        rcu_wait_deferred();
        status = build(store, number);
    }
    cr_assert_eq(status, STATUS_OK);
}

Test(key_contexts, the_clock_evicts_what_was_not_used)
{
    struct key_contexts *store = store_for(3);
    build_at_last(store, 1);
    build_at_last(store, 2);
    build_at_last(store, 3);
    cr_assert_not_null(find(store, 1));
    cr_assert_not_null(find(store, 3));
    build_at_last(store, 4);
    cr_assert_not_null(find(store, 1));
    cr_assert_null(find(store, 2), "the one nobody used went");
    cr_assert_not_null(find(store, 3));
    cr_assert_not_null(find(store, 4));
    /* All are marked now: the hand goes round once and evicts one all the same. */
    build_at_last(store, 5);
    struct key_contexts_counters counters;
    key_contexts_read_counters(store, &counters);
    cr_assert_eq(counters.live, 3);
    cr_assert_eq(counters.evictions, 2);
    cr_assert_eq(counters.builds, 5);
    cr_assert_eq(counters.refusals, 2, "each eviction cost the key one more use");
    for (unsigned i = 0; i < 500; i++) {
        build_at_last(store, 256 * (1 + i));
        key_contexts_read_counters(store, &counters);
        cr_assert(counters.bytes <= 3 * CONTEXT_BYTES);
    }
    done(store);
}

Test(key_contexts, memory_held_by_a_reader_counts_until_it_is_freed)
{
    struct key_contexts *store = store_for(1);
    cr_assert_eq(build(store, 1), STATUS_OK);
    const struct key_context *held = find(store, 1);
    /* The call evicts, but this very thread has not been quiescent: nothing is free. */
    cr_assert_eq(build(store, 2), STATUS_FULL);
    cr_assert_eq(build(store, 2), STATUS_FULL);
    cr_assert_null(find(store, 1), "out of the map");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    cr_assert_eq(held->table[TABLE_BYTES / 2], 1, "and still whole");
    struct key_contexts_counters counters;
    key_contexts_read_counters(store, &counters);
    cr_assert_eq(counters.live, 0);
    cr_assert_eq(counters.bytes, CONTEXT_BYTES);
    rcu_wait_deferred();
    key_contexts_read_counters(store, &counters);
    cr_assert_eq(counters.bytes, 0);
    cr_assert_eq(build(store, 2), STATUS_OK);
    done(store);
}

Test(key_contexts, a_context_larger_than_all_memory_evicts_nothing)
{
    struct key_contexts *store = store_for(1);
    cr_assert_eq(build(store, 1), STATUS_OK);
    struct public_key key = key_number(2);
    cr_assert_eq(key_contexts_build(store, &fake, NULL, NULL, 10, 77, &key), STATUS_FULL);
    cr_assert_not_null(find(store, 1));
    done(store);
}

Test(key_contexts, building_keeps_to_its_share_of_the_cpu)
{
    rcu_register();
    struct key_contexts_options options = {
        .memory_max = 1000 * CONTEXT_BYTES, .build_share = 10, .build_burst_ns = 2000000};
    struct key_contexts *store = key_contexts_new(&options);
    build_spin_ns = 1000000;
    unsigned built = 0, refused = 0;
    for (unsigned i = 0; i < 100; i++) {
        enum status status = build(store, i);
        built += status == STATUS_OK;
        refused += status == STATUS_FULL;
    }
    build_spin_ns = 0;
    /* A burst of two milliseconds, which a machine that stops may spend on one, one more that was
     * begun within it, and what a slow machine earns meanwhile. */
    cr_assert(built >= 1 && built <= 20, "%u built", built);
    cr_assert_eq(built + refused, 100);
    struct key_contexts_counters counters;
    key_contexts_read_counters(store, &counters);
    cr_assert_eq(counters.refusals, refused);
    /* Ten times a build's time later there is one more. */
    nanosleep(&(struct timespec){.tv_nsec = 60000000}, NULL);
    cr_assert_eq(build(store, 200), STATUS_OK);
    done(store);
}

static void *build_same(void *argument)
{
    struct key_contexts *store = argument;
    rcu_register();
    unsigned built = 0;
    for (unsigned i = 0; i < 200; i++) {
        built += build(store, i % 250) == STATUS_OK;
        rcu_quiescent();
    }
    rcu_unregister();
    return (void *)(uintptr_t)built;
}

Test(key_contexts, one_builder_at_a_time_per_key)
{
    struct key_contexts *store = store_for(250);
    pthread_t threads[4];
    rcu_offline();
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, build_same, store), 0);
    }
    uintptr_t built = 0;
    for (size_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        built += (uintptr_t)result;
    }
    rcu_online();
    cr_assert_eq(built, 200);
    cr_assert_eq(atomic_load(&tables), 200, "no table was built twice");
    done(store);
}

/* Tables of two sizes: where the room there is lies in pieces, contexts make way until one is large
 * enough, and memory stays within its bound. */
Test(key_contexts, tables_of_two_sizes_share_the_memory)
{
    struct key_contexts *store = store_for(12);
    const struct engine large = {.key_type = KEY_ED25519,
                                 .table_bytes = fake_bytes,
                                 .table_build = fake_build,
                                 .table_cleanup = fake_cleanup};
    unsigned built[2] = {0};
    for (unsigned turn = 0; turn < 400; turn++) {
        const bool is_large = turn / 50 % 2 != 0;
        struct public_key key = key_number(turn % 200);
        enum status status = key_contexts_build(store, &large, NULL, NULL, is_large ? 4 : 0,
                                                key_contexts_hash(store, &key), &key);
        cr_assert(status == STATUS_OK || status == STATUS_FULL || status == STATUS_EXISTS);
        built[is_large] += status == STATUS_OK;
        rcu_quiescent();
        rcu_wait_deferred();
        struct key_contexts_counters counters;
        key_contexts_read_counters(store, &counters);
        cr_assert_leq(counters.bytes, 12 * CONTEXT_BYTES);
    }
    cr_assert_gt(built[0], 60);
    cr_assert_gt(built[1], 60);
    done(store);
}

Test(key_contexts, the_size_of_tables_follows_the_memory)
{
    static const struct engine sizes = {.size_max = 6, .table_bytes = fake_bytes};
    cr_assert_eq(key_contexts_table_size(&sizes, 0), 0);
    cr_assert_eq(key_contexts_table_size(&sizes, (size_t)8 << 20), 2);
    cr_assert_eq(key_contexts_table_size(&sizes, (size_t)32 << 20), 4);
    cr_assert_eq(key_contexts_table_size(&sizes, (size_t)96 << 20), 6);
    cr_assert_eq(key_contexts_table_size(&sizes, (size_t)128 << 20), 6);
    /* More memory than that is for more keys. */
    cr_assert_eq(key_contexts_table_size(&sizes, ((size_t)128 << 20) + 1), 4);
    cr_assert_eq(key_contexts_table_size(&sizes, (size_t)192 << 20), 4);
    cr_assert_eq(key_contexts_table_size(&sizes, SIZE_MAX), 4);
    /* 256 of them within the default memory, and within what more is worth most. */
    cr_assert_eq(p256_windows_of(key_contexts_table_size(&p256_engine_portable, (size_t)32 << 20)),
                 39);
    cr_assert_eq(p256_windows_of(key_contexts_table_size(&p256_engine_portable, (size_t)96 << 20)),
                 P256_WINDOWS_MIN);
    cr_assert_eq(
        ed25519_windows_of(key_contexts_table_size(&ed25519_engine_portable, (size_t)32 << 20)),
        43);
    cr_assert_eq(
        ed25519_windows_of(key_contexts_table_size(&ed25519_engine_portable, (size_t)96 << 20)),
        ED25519_WINDOWS_MIN);
    cr_assert_eq(key_contexts_table_size(&fake, (size_t)32 << 20), 0);
}
