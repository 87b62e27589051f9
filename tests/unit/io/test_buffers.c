#include "harness.h"
#include "io/internal.h"

static uint32_t receive(struct io *io, const char *text)
{
    uint32_t id = io_buffers_take(&io->buffers);
    cr_assert_neq(id, BUFFER_NONE);
    memcpy(io->buffers.slots[id].data, text, strlen(text));
    io_buffers_received(&io->buffers, id, (uint32_t)strlen(text));
    return id;
}

Test(io_buffers, taken_and_given_back)
{
    struct io *io = harness_io_with(
        (struct io_options){.backend = IO_EPOLL, .buffers = 4, .buffer_bytes = 64});
    uint32_t ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = receive(io, "x");
        for (int k = 0; k < i; k++) {
            cr_assert_neq(ids[i], ids[k]);
        }
    }
    cr_assert_eq(io_buffers_take(&io->buffers), BUFFER_NONE);
    cr_assert_eq(io->buffers.free, 0);
    io_buffers_give(io, ids[2]);
    cr_assert_eq(io_buffers_take(&io->buffers), ids[2], "the last returned is the first used");
    io_buffers_put_back(&io->buffers, ids[2]);
    io_buffers_give(io, ids[0]);
    io_buffers_give(io, ids[1]);
    io_buffers_give(io, ids[3]);
    cr_assert_eq(io->buffers.free, 4);
    cr_assert_eq(io->buffers.out, 0);
    io_free(io);
}

Test(io_buffers, spill_frees_the_shared_buffer_and_keeps_the_bytes)
{
    struct io *io = harness_io_with(
        (struct io_options){.backend = IO_EPOLL, .buffers = 2, .buffer_bytes = 64});
    uint32_t spilled[IO_SPILL_MAX];
    for (uint32_t i = 0; i < IO_SPILL_MAX; i++) {
        uint32_t id = receive(io, i % 2 ? "odd" : "even");
        spilled[i] = io_buffers_spill(io, id);
        cr_assert_geq(spilled[i], io->buffers.count);
        cr_assert_eq(io->buffers.free, 2);
        cr_assert_eq(io_buffers_spill(io, spilled[i]), spilled[i], "it is spilled already");
    }
    uint32_t id = receive(io, "last");
    cr_assert_eq(io_buffers_spill(io, id), id, "spill is bounded");
    cr_assert_eq(io->buffers.free, 1);
    io_buffers_give(io, id);
    for (uint32_t i = 0; i < IO_SPILL_MAX; i++) {
        const struct io_buffer_slot *slot = &io->buffers.slots[spilled[i]];
        cr_assert_eq(slot->size, i % 2 ? 3 : 4);
        cr_assert_eq(memcmp(slot->data, i % 2 ? "odd" : "even", slot->size), 0);
        io_buffers_give(io, spilled[i]);
    }
    cr_assert_eq(io->buffers.out, 0);
    io_free(io);
}
