#include "io/internal.h"

#include <stdlib.h>
#include <sys/mman.h>

enum status io_buffers_init(struct io_buffers *buffers, uint32_t count, uint32_t bytes)
{
    *buffers = (struct io_buffers){
        .count = count,
        .bytes = bytes,
        .free = count,
        .memory_bytes = (size_t)count * bytes,
        .free_first = 0,
        .spill_first = count,
    };
    buffers->slots = calloc(count + IO_SPILL_MAX, sizeof *buffers->slots);
    if (buffers->slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    buffers->memory = mmap(NULL, buffers->memory_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffers->memory == MAP_FAILED) {
        buffers->memory = NULL;
        free(buffers->slots);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t id = 0; id < count + IO_SPILL_MAX; id++) {
        bool last = id == count - 1 || id == count + IO_SPILL_MAX - 1;
        buffers->slots[id].next = last ? BUFFER_NONE : id + 1;
        buffers->slots[id].data = id < count ? buffers->memory + (size_t)id * bytes : NULL;
    }
    return STATUS_OK;
}

void io_buffers_cleanup(struct io_buffers *buffers)
{
    if (buffers->slots == NULL) {
        return;
    }
    for (uint32_t id = buffers->count; id < buffers->count + IO_SPILL_MAX; id++) {
        free(buffers->slots[id].data);
    }
    free(buffers->slots);
    munmap(buffers->memory, buffers->memory_bytes);
    *buffers = (struct io_buffers){0};
}

uint32_t io_buffers_take(struct io_buffers *buffers)
{
    uint32_t id = buffers->free_first;
    if (id != BUFFER_NONE) {
        buffers->free_first = buffers->slots[id].next;
    }
    return id;
}

void io_buffers_put_back(struct io_buffers *buffers, uint32_t id)
{
    buffers->slots[id].next = buffers->free_first & BUFFER_NONE;
    buffers->free_first = id;
}

void io_buffers_received(struct io_buffers *buffers, uint32_t id, uint32_t size)
{
    struct io_buffer_slot *slot = &buffers->slots[id];
    assert(!slot->out && size <= buffers->bytes);
    slot->out = 1;
    slot->size = size;
    buffers->free--;
    buffers->out++;
}

uint32_t io_buffers_spill(struct io *io, uint32_t id)
{
    struct io_buffers *buffers = &io->buffers;
    uint32_t spill = buffers->spill_first;
    if (id >= buffers->count || spill == BUFFER_NONE) {
        return id;
    }
    struct io_buffer_slot *to = &buffers->slots[spill];
    if (to->data == NULL) {
        to->data = malloc(buffers->bytes);
        if (to->data == NULL) {
            return id;
        }
    }
    buffers->spill_first = to->next;
    buffers->spilled++;
    to->out = 1;
    to->size = buffers->slots[id].size;
    buffers->out++;
    memcpy(to->data, buffers->slots[id].data, to->size);
    io_buffers_give(io, id);
    return spill;
}

void io_buffers_give(struct io *io, uint32_t id)
{
    struct io_buffers *buffers = &io->buffers;
    assert(id < buffers->count + IO_SPILL_MAX);
    struct io_buffer_slot *slot = &buffers->slots[id];
    assert(slot->out); /* returned twice, or never received */
    slot->out = 0;
    buffers->out--;
    if (id >= buffers->count) {
        slot->next = buffers->spill_first & BUFFER_NONE;
        buffers->spill_first = id;
        return;
    }
    buffers->free++;
    io->backend->buffer_given(io, id);
}
