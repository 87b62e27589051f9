/* Fixed-size slabs and request arenas: after warm-up neither calls the allocator. One thread each.
 */
#ifndef POPGATE_BASE_MEMORY_H
#define POPGATE_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A free list of equal objects. Objects are not zeroed. */
struct slab {
    size_t object_bytes;
    size_t live;       /* handed out now */
    size_t cached;     /* on the free list */
    size_t cached_max; /* above it a freed object goes back to the allocator */
    size_t live_max;   /* 0: unbounded; else slab_take returns NULL at it */
    void *free_list;
};

void slab_init(struct slab *slab, size_t object_bytes, size_t live_max, size_t cached_max);

/* Returns owned memory of object_bytes, or NULL at live_max or when the allocator fails. */
void *slab_take(struct slab *slab);

/* Takes `object`, which slab_take gave. NULL is allowed. */
void slab_give(struct slab *slab, void *object);

/* Frees the free list. Objects still live are the caller's bug, and are asserted on. */
void slab_cleanup(struct slab *slab);

/* Bump allocation for what lives as long as one request. Blocks are kept across arena_reset. */
struct arena_block;
struct arena {
    struct arena_block *first;
    struct arena_block *current;
    size_t used;        /* in the current block */
    size_t block_bytes; /* of a new block */
    size_t total_max;   /* bytes over all blocks; arena_take returns NULL beyond */
    size_t total;
};

void arena_init(struct arena *arena, size_t block_bytes, size_t total_max);

/* Returns memory aligned to 16, valid until arena_reset, or NULL. Not zeroed. */
void *arena_take(struct arena *arena, size_t size);

/* Everything taken becomes invalid; the first block is kept, the others are freed. */
void arena_reset(struct arena *arena);

void arena_cleanup(struct arena *arena);

#endif
