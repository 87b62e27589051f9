#include "io/internal.h"

#include <stdlib.h>

#define GENERATION_MASK 0xffffffu

static bool grow(struct io_endpoints *endpoints)
{
    if (endpoints->chunk_count == ENDPOINT_CHUNKS_MAX) {
        return false;
    }
    struct io_endpoint *chunk = calloc(ENDPOINTS_PER_CHUNK, sizeof *chunk);
    if (chunk == NULL) {
        return false;
    }
    uint32_t first = endpoints->chunk_count * ENDPOINTS_PER_CHUNK;
    for (uint32_t i = ENDPOINTS_PER_CHUNK; i-- > 0;) {
        chunk[i].index = first + i;
        chunk[i].next = endpoints->free_first;
        endpoints->free_first = &chunk[i];
    }
    endpoints->chunks[endpoints->chunk_count++] = chunk;
    return true;
}

struct io_endpoint *io_endpoint_take(struct io *io)
{
    struct io_endpoints *endpoints = &io->endpoints;
    if (endpoints->free_first == NULL && !grow(endpoints)) {
        return NULL;
    }
    struct io_endpoint *endpoint = endpoints->free_first;
    endpoints->free_first = endpoint->next;
    endpoints->live++;
    *endpoint = (struct io_endpoint){
        .index = endpoint->index,
        .generation = endpoint->generation,
        .pending_first = BUFFER_NONE,
        .pending_last = BUFFER_NONE,
    };
    return endpoint;
}

void io_endpoint_give(struct io *io, struct io_endpoint *endpoint)
{
    assert(!endpoint->queued && !endpoint->starved && endpoint->pending_first == BUFFER_NONE);
    slab_give(&io->transfers, endpoint->transfer);
    endpoint->transfer = NULL;
    endpoint->socket = NULL;
    endpoint->generation = (endpoint->generation + 1) & GENERATION_MASK;
    endpoint->next = io->endpoints.free_first;
    io->endpoints.free_first = endpoint;
    io->endpoints.live--;
}

struct io_endpoint *io_endpoint_find(struct io *io, uint64_t tag)
{
    uint32_t index = (uint32_t)tag;
    uint32_t generation = (uint32_t)(tag >> 32) & GENERATION_MASK;
    if (index >= io->endpoints.chunk_count * ENDPOINTS_PER_CHUNK) {
        return NULL;
    }
    struct io_endpoint
        *endpoint = &io->endpoints.chunks[index / ENDPOINTS_PER_CHUNK][index % ENDPOINTS_PER_CHUNK];
    return endpoint->generation == generation && endpoint->socket != NULL ? endpoint : NULL;
}

void io_endpoints_cleanup(struct io *io)
{
    assert(io->endpoints.live == 0);
    for (uint32_t i = 0; i < io->endpoints.chunk_count; i++) {
        free(io->endpoints.chunks[i]);
    }
}
