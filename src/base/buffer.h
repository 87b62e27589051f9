/* A queue of bytes in chunks from a slab: what waits to be sent. An empty queue holds no chunk, so
 * an idle connection costs nothing here. One thread. */
#ifndef POPGATE_BASE_BUFFER_H
#define POPGATE_BASE_BUFFER_H

#include "base/memory.h"
#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

struct chunk {
    struct chunk *next;
    uint32_t start; /* first byte not yet consumed */
    uint32_t end;   /* one past the last byte written */
    uint8_t bytes[];
};

/* Shared by all queues of a worker. */
struct chunk_pool {
    struct slab slab;
    size_t chunk_bytes; /* payload of one chunk */
};

void chunk_pool_init(struct chunk_pool *pool, size_t chunk_bytes, size_t chunks_max);
void chunk_pool_cleanup(struct chunk_pool *pool);

struct buffer {
    struct chunk_pool *pool;
    struct chunk *first;
    struct chunk *last;
    size_t size; /* bytes queued */
};

void buffer_init(struct buffer *buffer, struct chunk_pool *pool);

/* Gives every chunk back. */
void buffer_clear(struct buffer *buffer);

/* Appends all of `bytes`, or nothing: STATUS_OK or STATUS_FULL. */
MUST_CHECK enum status buffer_append(struct buffer *buffer, struct span bytes);

/* Room at the end, at least one byte, taking a chunk if need be; size 0 when the pool is full. What
 * was written there is made part of the queue by buffer_commit. */
struct span_mut buffer_reserve(struct buffer *buffer);
void buffer_commit(struct buffer *buffer, size_t size);

/* Up to `spans_max` spans from the front, without consuming; returns how many. */
size_t buffer_peek(const struct buffer *buffer, struct span *spans, size_t spans_max);

/* Drops `size` bytes (at most buffer->size) from the front and gives emptied chunks back. */
void buffer_consume(struct buffer *buffer, size_t size);

/* Moves everything in `from` behind what is in `to`; both use the same pool. */
void buffer_move(struct buffer *to, struct buffer *from);

#endif
