#include "crypto/boringssl_memory.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks are of powers of two, 64 bytes to 32 KiB. */
#define CLASS_BITS_MIN 6
#define CLASSES        10
#define CLASS_NONE     UINT32_MAX /* larger: never kept */

/* In front of what BoringSSL sees. */
struct block {
    alignas(16) struct block *next; /* while it is kept */
    size_t size;                    /* asked for */
    uint32_t size_class;
};

_Static_assert(sizeof(struct block) % 16 == 0, "what follows is aligned for anything");

/* The hooks have no context to hang this on: the one piece of state that belongs to a thread. */
struct cache {
    bool enabled;
    struct block *free[CLASSES];
    uint32_t count[CLASSES];
    size_t bytes;
};

static _Thread_local struct cache cache;

static uint32_t class_of(size_t size)
{
    if (size > BORINGSSL_MEMORY_BLOCK_BYTES_MAX) {
        return CLASS_NONE;
    }
    uint32_t index = 0;
    while ((size_t)1 << (index + CLASS_BITS_MIN) < size) {
        index++;
    }
    return index;
}

static size_t class_bytes(uint32_t size_class)
{
    return (size_t)1 << (size_class + CLASS_BITS_MIN);
}

static struct block *take_kept(uint32_t size_class)
{
    if (size_class == CLASS_NONE || cache.free[size_class] == NULL) {
        return NULL;
    }
    struct block *block = cache.free[size_class];
    cache.free[size_class] = block->next;
    cache.count[size_class]--;
    cache.bytes -= class_bytes(size_class);
    return block;
}

void *OPENSSL_memory_alloc(size_t size)
{
    uint32_t size_class = class_of(size);
    struct block *block = take_kept(size_class);
    if (block == NULL) {
        size_t room = size_class == CLASS_NONE ? size : class_bytes(size_class);
        if (room > SIZE_MAX - sizeof *block) {
            return NULL;
        }
        block = malloc(sizeof *block + room);
        if (block == NULL) {
            return NULL;
        }
    }
    block->size_class = size_class;
    block->size = size;
    return block + 1;
}

void OPENSSL_memory_free(void *memory)
{
    struct block *block = (struct block *)memory - 1;
    uint32_t size_class = block->size_class;
    explicit_bzero(memory, block->size);
    if (!cache.enabled || size_class == CLASS_NONE ||
        cache.count[size_class] >= BORINGSSL_MEMORY_BLOCKS_KEPT) {
        free(block);
        return;
    }
    block->next = cache.free[size_class];
    cache.free[size_class] = block;
    cache.count[size_class]++;
    cache.bytes += class_bytes(size_class);
}

size_t OPENSSL_memory_get_size(void *memory)
{
    return ((struct block *)memory - 1)->size;
}

/* AddressSanitizer sees a use after free only in memory that was really freed. */
#if defined(__SANITIZE_ADDRESS__)
#define MAY_KEEP false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAY_KEEP false
#endif
#endif
#ifndef MAY_KEEP
#define MAY_KEEP true
#endif

void boringssl_memory_thread_begin(void)
{
    cache.enabled = MAY_KEEP;
}

void boringssl_memory_thread_end(void)
{
    cache.enabled = false;
    for (uint32_t i = 0; i < CLASSES; i++) {
        struct block *block;
        while ((block = take_kept(i)) != NULL) {
            free(block);
        }
    }
}

size_t boringssl_memory_kept(void)
{
    return cache.bytes;
}
