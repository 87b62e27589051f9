/* The io_uring backend's own state: uring.c runs it, uring_setup.c makes it. */
#ifndef POPGATE_IO_URING_H
#define POPGATE_IO_URING_H

#include "io/internal.h"

#include <liburing.h>

#define URING_BUFFER_GROUP 0

struct uring {
    struct io io;
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    size_t buffer_ring_bytes;
    unsigned features; /* URING_...: tried and found to work */
    bool wake_armed;
    uint64_t wake_count; /* what the kernel reads into */
    uint32_t overflow_seen;
};

/* Opens the ring with the best of the setup flags that the kernel takes, smaller where memory for
 * it cannot be locked; self->io.options.operations_max says the size taken. 0 or a negative errno.
 */
int uring_setup_ring(struct uring *self, const struct io_options *options, unsigned denied);

/* Registers the buffer ring, fills it, and finds out with real operations on real sockets which
 * ways of accepting and receiving work; notes those that do not. 0 or a negative errno. */
int uring_setup_buffers(struct uring *self, unsigned denied);

void uring_cleanup_ring(struct uring *self);

#endif
