#include "crypto/table_memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* So that a piece read after it was given back is found as with malloc. */
#if defined(__has_include)
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#endif
#endif
#if !defined(ASAN_POISON_MEMORY_REGION)
#define ASAN_POISON_MEMORY_REGION(memory, bytes)   ((void)(memory), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)(memory), (void)(bytes))
#endif

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static size_t rounded(size_t bytes)
{
    return (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
}

void *table_memory_new(size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t size = rounded(bytes);
    /* One huge page more than needed, and what sticks out on either side given back: mmap aligns to
     * small pages only. */
    uint8_t *mapped = mmap(NULL, size + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    size_t before = rounded((uintptr_t)mapped) - (uintptr_t)mapped;
    if (before > 0) {
        munmap(mapped, before);
    }
    if (before < HUGE_PAGE_BYTES) {
        munmap(mapped + before + size, HUGE_PAGE_BYTES - before);
    }
    /* A wish: a kernel without huge pages says no, and small ones do. */
    (void)madvise(mapped + before, size, MADV_HUGEPAGE);
    return mapped + before;
}

void table_memory_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, rounded(bytes));
    }
}

/* ---- a pool ---- */

struct range {
    size_t from, size;
};

/* The free ranges, ascending, none touching the next. */
struct table_pool {
    uint8_t *memory;
    size_t bytes, free_max, free_count;
    struct range free[];
};

struct table_pool *table_pool_new(size_t bytes, size_t pieces_max)
{
    /* Between n pieces there are at most n + 1 ranges; one more while a piece is given back. */
    struct table_pool *pool = calloc(1, sizeof *pool + (pieces_max + 2) * sizeof pool->free[0]);
    if (pool == NULL) {
        return NULL;
    }
    pool->memory = table_memory_new(bytes);
    if (pool->memory == NULL) {
        free(pool);
        return NULL;
    }
    pool->bytes = bytes;
    pool->free_max = pieces_max + 2;
    pool->free[0] = (struct range){0, bytes};
    pool->free_count = 1;
    ASAN_POISON_MEMORY_REGION(pool->memory, bytes);
    return pool;
}

void table_pool_free(struct table_pool *pool)
{
    if (pool != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(pool->memory, pool->bytes);
        table_memory_free(pool->memory, pool->bytes);
        free(pool);
    }
}

void *table_pool_take(struct table_pool *pool, size_t bytes)
{
    for (size_t i = 0; i < pool->free_count; i++) {
        struct range *range = &pool->free[i];
        if (range->size < bytes) {
            continue;
        }
        uint8_t *piece = pool->memory + range->from;
        range->from += bytes;
        range->size -= bytes;
        if (range->size == 0) {
            pool->free_count--;
            memmove(range, range + 1, (pool->free_count - i) * sizeof *range);
        }
        ASAN_UNPOISON_MEMORY_REGION(piece, bytes);
        return piece;
    }
    return NULL;
}

/* A range and the one after it, if they touch. */
static void join(struct table_pool *pool, size_t at)
{
    struct range *range = &pool->free[at], *next = range + 1;
    if (range->from + range->size == next->from) {
        range->size += next->size;
        pool->free_count--;
        memmove(next, next + 1, (pool->free_count - at - 1) * sizeof *next);
    }
}

void table_pool_give(struct table_pool *pool, void *piece, size_t bytes)
{
    const size_t from = (size_t)((uint8_t *)piece - pool->memory);
    size_t at = 0;
    ASAN_POISON_MEMORY_REGION(piece, bytes);
    while (at < pool->free_count && pool->free[at].from < from) {
        at++;
    }
    assert(pool->free_count < pool->free_max);
    memmove(&pool->free[at + 1], &pool->free[at], (pool->free_count - at) * sizeof pool->free[0]);
    pool->free[at] = (struct range){from, bytes};
    pool->free_count++;
    if (at + 1 < pool->free_count) {
        join(pool, at);
    }
    if (at > 0) {
        join(pool, at - 1);
    }
}
