#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

struct slab_free {
    struct slab_free *next;
};

void slab_init(struct slab *slab, size_t object_bytes, size_t live_max, size_t cached_max)
{
    *slab = (struct slab){
        .object_bytes = object_bytes < sizeof(struct slab_free) ? sizeof(struct slab_free)
                                                                : object_bytes,
        .cached_max = cached_max,
        .live_max = live_max,
    };
}

void *slab_take(struct slab *slab)
{
    if (slab->live_max != 0 && slab->live >= slab->live_max) {
        return NULL;
    }
    void *object = slab->free_list;
    if (object != NULL) {
        slab->free_list = ((struct slab_free *)object)->next;
        slab->cached--;
    } else {
        object = malloc(slab->object_bytes);
        if (object == NULL) {
            return NULL;
        }
    }
    slab->live++;
    return object;
}

void slab_give(struct slab *slab, void *object)
{
    if (object == NULL) {
        return;
    }
    assert(slab->live > 0);
    slab->live--;
    if (slab->cached >= slab->cached_max) {
        free(object);
        return;
    }
    ((struct slab_free *)object)->next = slab->free_list;
    slab->free_list = object;
    slab->cached++;
}

void slab_cleanup(struct slab *slab)
{
    assert(slab->live == 0);
    while (slab->free_list != NULL) {
        struct slab_free *object = slab->free_list;
        slab->free_list = object->next;
        free(object);
    }
    slab->cached = 0;
}

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(16) uint8_t bytes[];
};

void arena_init(struct arena *arena, size_t block_bytes, size_t total_max)
{
    *arena = (struct arena){.block_bytes = block_bytes, .total_max = total_max};
}

static struct arena_block *arena_grow(struct arena *arena, size_t size)
{
    size_t bytes = size > arena->block_bytes ? size : arena->block_bytes;
    if (bytes > arena->total_max - arena->total) {
        return NULL;
    }
    struct arena_block *block = malloc(sizeof *block + bytes);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct arena_block){.size = bytes};
    arena->total += bytes;
    if (arena->current != NULL) {
        arena->current->next = block;
    } else {
        arena->first = block;
    }
    arena->current = block;
    arena->used = 0;
    return block;
}

void *arena_take(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - 15) {
        return NULL;
    }
    size = (size + 15) & ~(size_t)15;
    struct arena_block *block = arena->current;
    if (block == NULL || size > block->size - arena->used) {
        block = arena_grow(arena, size);
        if (block == NULL) {
            return NULL;
        }
    }
    void *memory = block->bytes + arena->used;
    arena->used += size;
    return memory;
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_reset(struct arena *arena)
{
    if (arena->first == NULL) {
        return;
    }
    free_blocks(arena->first->next);
    arena->first->next = NULL;
    arena->current = arena->first;
    arena->total = arena->first->size;
    arena->used = 0;
}

void arena_cleanup(struct arena *arena)
{
    free_blocks(arena->first);
    *arena = (struct arena){.block_bytes = arena->block_bytes, .total_max = arena->total_max};
}
