#include "base/log_ring.h"

#include <stdlib.h>

/* A record is its size in a word of eight bytes, then its bytes, filled up to the next multiple of
 * eight: a word never straddles the ring's end. */
#define WORD 8u

static uint64_t record_bytes(uint64_t size)
{
    return WORD + ((size + WORD - 1) & ~(uint64_t)(WORD - 1));
}

static _Atomic uint64_t *size_word(struct log_ring *ring, uint64_t position)
{
    return (_Atomic uint64_t *)(void *)(ring->bytes + (position & (ring->capacity - 1)));
}

enum status log_ring_init(struct log_ring *ring, size_t bytes)
{
    uint64_t capacity = LOG_RING_BYTES_MIN;
    while (capacity < bytes && capacity < LOG_RING_BYTES_MAX) {
        capacity *= 2;
    }
    ring->capacity = capacity;
    ring->bytes = aligned_alloc(64, capacity);
    if (ring->bytes == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(ring->bytes, 0, capacity);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    return STATUS_OK;
}

void log_ring_cleanup(struct log_ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

/* The part of `size` bytes from `position` that lies before the ring's end. */
static size_t before_end(const struct log_ring *ring, uint64_t position, size_t size)
{
    uint64_t left = ring->capacity - (position & (ring->capacity - 1));
    return size < left ? size : (size_t)left;
}

enum status log_ring_push(struct log_ring *ring, struct span record)
{
    if (record.size == 0 || record.size > ring->capacity / 4) {
        return STATUS_TOO_LARGE;
    }
    uint64_t bytes = record_bytes(record.size);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    do {
        /* acquire: the consumer's zeroes come before our bytes. Read after head, so it is never
         * ahead of it in a way that matters: an old tail only makes the ring look fuller. */
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        /* A stale head may lie behind a fresh tail; the swap then fails and brings the new one. */
        if (head >= tail && head + bytes - tail > ring->capacity) {
            return STATUS_FULL;
        }
        /* relaxed: head only divides the room among producers; the bytes are published by the size
         * word. */
    } while (!atomic_compare_exchange_weak_explicit(&ring->head, &head, head + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    uint64_t start = head + WORD;
    size_t first = before_end(ring, start, record.size);
    memcpy(ring->bytes + (start & (ring->capacity - 1)), record.data, first);
    memcpy(ring->bytes, record.data + first, record.size - first);
    /* seq_cst, beyond the release that publishes the bytes: the writer's "I sleep" and this store
     * must not pass each other (log.c). */
    atomic_store_explicit(size_word(ring, head), record.size, memory_order_seq_cst);
    return STATUS_OK;
}

size_t log_ring_pop(struct log_ring *ring, struct span_mut out, size_t *records)
{
    size_t moved = 0;
    *records = 0;
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        uint64_t size = atomic_load_explicit(size_word(ring, tail), memory_order_acquire);
        if (size == 0 || size > out.size - moved) {
            return moved;
        }
        uint64_t start = tail + WORD, end = tail + record_bytes(size);
        size_t first = before_end(ring, start, size);
        memcpy(out.data + moved, ring->bytes + (start & (ring->capacity - 1)), first);
        memcpy(out.data + moved + first, ring->bytes, size - first);
        /* All of it: any word of it may become a size word, and text must never be read as one. */
        size_t front = before_end(ring, tail, end - tail);
        memset(ring->bytes + (tail & (ring->capacity - 1)), 0, front);
        memset(ring->bytes, 0, end - tail - front);
        /* release: the zeroes come before anyone reserves these bytes. */
        atomic_store_explicit(&ring->tail, end, memory_order_release);
        tail = end;
        moved += size;
        (*records)++;
    }
}

bool log_ring_has_record(struct log_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    return atomic_load_explicit(size_word(ring, tail), memory_order_seq_cst) != 0;
}
