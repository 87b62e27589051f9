#include "base/buffer.h"

#include <assert.h>

void chunk_pool_init(struct chunk_pool *pool, size_t chunk_bytes, size_t chunks_max)
{
    slab_init(&pool->slab, sizeof(struct chunk) + chunk_bytes, chunks_max, 256);
    pool->chunk_bytes = chunk_bytes;
}

void chunk_pool_cleanup(struct chunk_pool *pool)
{
    slab_cleanup(&pool->slab);
}

void buffer_init(struct buffer *buffer, struct chunk_pool *pool)
{
    *buffer = (struct buffer){.pool = pool};
}

void buffer_clear(struct buffer *buffer)
{
    while (buffer->first != NULL) {
        struct chunk *chunk = buffer->first;
        buffer->first = chunk->next;
        slab_give(&buffer->pool->slab, chunk);
    }
    buffer->last = NULL;
    buffer->size = 0;
}

static struct chunk *add_chunk(struct buffer *buffer)
{
    struct chunk *chunk = slab_take(&buffer->pool->slab);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (struct chunk){0};
    if (buffer->last != NULL) {
        buffer->last->next = chunk;
    } else {
        buffer->first = chunk;
    }
    buffer->last = chunk;
    return chunk;
}

struct span_mut buffer_reserve(struct buffer *buffer)
{
    struct chunk *chunk = buffer->last;
    if (chunk == NULL || chunk->end == buffer->pool->chunk_bytes) {
        chunk = add_chunk(buffer);
        if (chunk == NULL) {
            return (struct span_mut){NULL, 0};
        }
    }
    return (struct span_mut){chunk->bytes + chunk->end, buffer->pool->chunk_bytes - chunk->end};
}

void buffer_commit(struct buffer *buffer, size_t size)
{
    assert(buffer->last != NULL && size <= buffer->pool->chunk_bytes - buffer->last->end);
    buffer->last->end += (uint32_t)size;
    buffer->size += size;
}

/* Undoes a partial append: drops everything behind the first `size` bytes. */
static void truncate_to(struct buffer *buffer, size_t size)
{
    if (size == 0) {
        buffer_clear(buffer);
        return;
    }
    size_t left = size;
    struct chunk *chunk = buffer->first;
    while (left > chunk->end - chunk->start) {
        left -= chunk->end - chunk->start;
        chunk = chunk->next;
        assert(chunk != NULL); /* `size` is at most what is queued */
    }
    chunk->end = chunk->start + (uint32_t)left;
    struct chunk *extra = chunk->next;
    chunk->next = NULL;
    buffer->last = chunk;
    buffer->size = size;
    while (extra != NULL) {
        struct chunk *next = extra->next;
        slab_give(&buffer->pool->slab, extra);
        extra = next;
    }
}

enum status buffer_append(struct buffer *buffer, struct span bytes)
{
    size_t before = buffer->size;
    while (bytes.size > 0) {
        struct span_mut room = buffer_reserve(buffer);
        if (room.size == 0) {
            truncate_to(buffer, before);
            return STATUS_FULL;
        }
        size_t size = bytes.size < room.size ? bytes.size : room.size;
        memcpy(room.data, bytes.data, size);
        buffer_commit(buffer, size);
        bytes = span_after(bytes, size);
    }
    return STATUS_OK;
}

size_t buffer_peek(const struct buffer *buffer, struct span *spans, size_t spans_max)
{
    size_t count = 0;
    for (const struct chunk *chunk = buffer->first; chunk != NULL && count < spans_max;
         chunk = chunk->next) {
        if (chunk->end > chunk->start) {
            spans[count++] = span_make(chunk->bytes + chunk->start, chunk->end - chunk->start);
        }
    }
    return count;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->size);
    buffer->size -= size;
    while (buffer->first != NULL) {
        struct chunk *chunk = buffer->first;
        size_t here = chunk->end - chunk->start;
        if (size < here) {
            chunk->start += (uint32_t)size;
            return;
        }
        size -= here;
        buffer->first = chunk->next;
        if (buffer->first == NULL) {
            buffer->last = NULL;
        }
        slab_give(&buffer->pool->slab, chunk);
    }
}

void buffer_move(struct buffer *to, struct buffer *from)
{
    assert(to->pool == from->pool);
    if (from->first == NULL) {
        return;
    }
    if (to->last != NULL) {
        to->last->next = from->first;
    } else {
        to->first = from->first;
    }
    to->last = from->last;
    to->size += from->size;
    from->first = from->last = NULL;
    from->size = 0;
}
