#include "crypto/boringssl_memory.h"

#include <openssl/mem.h>

#include <criterion/criterion.h>
#include <string.h>

Test(boringssl_memory, boringssl_uses_it)
{
    boringssl_memory_thread_begin();
    void *memory = OPENSSL_malloc(1000);
    cr_assert_eq(OPENSSL_memory_get_size(memory), 1000);
    OPENSSL_free(memory);
#ifndef __SANITIZE_ADDRESS__
    cr_assert_eq(boringssl_memory_kept(), 1024);
    cr_assert_eq(OPENSSL_malloc(600), memory, "the same block again");
    cr_assert_eq(boringssl_memory_kept(), 0);
    OPENSSL_free(memory);
#endif
    boringssl_memory_thread_end();
    cr_assert_eq(boringssl_memory_kept(), 0);
}

Test(boringssl_memory, without_asking_nothing_is_kept)
{
    OPENSSL_free(OPENSSL_malloc(1000));
    cr_assert_eq(boringssl_memory_kept(), 0);
}

#ifndef __SANITIZE_ADDRESS__
Test(boringssl_memory, what_was_freed_is_wiped)
{
    boringssl_memory_thread_begin();
    for (size_t size = 1; size <= BORINGSSL_MEMORY_BLOCK_BYTES_MAX; size = size * 3 + 1) {
        unsigned char *memory = OPENSSL_malloc(size);
        memset(memory, 0xa5, size);
        OPENSSL_free(memory);
        unsigned char *again = OPENSSL_malloc(size);
        cr_assert_eq(again, memory);
        for (size_t i = 0; i < size; i++) {
            cr_assert_eq(again[i], 0, "%zu of %zu", i, size);
        }
        OPENSSL_free(again);
    }
    boringssl_memory_thread_end();
}

Test(boringssl_memory, no_more_than_its_bound_is_kept)
{
    void *blocks[BORINGSSL_MEMORY_BLOCKS_KEPT + 10];
    boringssl_memory_thread_begin();
    for (size_t i = 0; i < BORINGSSL_MEMORY_BLOCKS_KEPT + 10; i++) {
        blocks[i] = OPENSSL_malloc(64);
    }
    for (size_t i = 0; i < BORINGSSL_MEMORY_BLOCKS_KEPT + 10; i++) {
        OPENSSL_free(blocks[i]);
    }
    cr_assert_eq(boringssl_memory_kept(), 64 * BORINGSSL_MEMORY_BLOCKS_KEPT);
    OPENSSL_free(OPENSSL_malloc(BORINGSSL_MEMORY_BLOCK_BYTES_MAX + 1));
    cr_assert_eq(boringssl_memory_kept(), 64 * BORINGSSL_MEMORY_BLOCKS_KEPT);
    boringssl_memory_thread_end();
}
#endif

Test(boringssl_memory, sizes_at_the_edges_and_growing_keep_their_bytes)
{
    boringssl_memory_thread_begin();
    unsigned char *memory = OPENSSL_malloc(1);
    memory[0] = 7;
    for (size_t size = 2; size < 200000; size *= 2) {
        memory = OPENSSL_realloc(memory, size + 1);
        cr_assert_eq(OPENSSL_memory_get_size(memory), size + 1);
        cr_assert_eq(memory[0], 7);
        memory[size] = 1;
    }
    OPENSSL_free(memory);
    cr_assert_null(OPENSSL_memory_alloc(SIZE_MAX));
    cr_assert_null(OPENSSL_memory_alloc(SIZE_MAX - 8));
    boringssl_memory_thread_end();
}
