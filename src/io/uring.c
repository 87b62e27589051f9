/* The io_uring backend. Operations are written into the submission ring as the turn hands them
 * over; one io_uring_enter submits them and waits. Completions are copied off the ring before any
 * callback runs. */
#include "io/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct uring *self_of(struct io *io)
{
    return (struct uring *)io;
}

static uint64_t boot_ns(struct io *io)
{
    (void)io;
    struct timespec now = {0};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct clock_now read_clock(struct io *io)
{
    (void)io;
    return clock_read();
}

/* ---- submission ---- */

/* Room for `count` entries, submitting what is there if need be. False: the kernel takes none now.
 */
static bool room(struct uring *self, unsigned count)
{
    if (io_uring_sq_space_left(&self->ring) >= count) {
        return true;
    }
    self->io.counters.system_calls++;
    (void)io_uring_submit(&self->ring);
    return io_uring_sq_space_left(&self->ring) >= count;
}

static bool start_receive(struct io *io, struct io_endpoint *endpoint, uint32_t buffers_max)
{
    struct uring *self = self_of(io);
    if (!room(self, 1)) {
        return false;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    io_uring_prep_recv(entry, endpoint->socket->descriptor, NULL, 0, 0);
    if (buffers_max > 1 && (self->features & URING_MULTISHOT_RECEIVE)) {
        entry->ioprio = IORING_RECV_MULTISHOT;
        if (self->features & URING_MULTISHOT_CAP) {
            /* optlen (6.17): it ends by itself after so many bytes, so that a burst cannot take
             * more buffers than the socket may have. */
            entry->file_index = buffers_max * io->buffers.bytes;
        }
    }
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = URING_BUFFER_GROUP;
    io_uring_sqe_set_data64(entry, io_tag(endpoint, OP_RECEIVE));
    return true;
}

static bool start_send(struct io *io, struct io_endpoint *endpoint)
{
    struct uring *self = self_of(io);
    if (!room(self, 1)) {
        return false;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    struct msghdr *message = &endpoint->transfer->message;
    /* With MSG_WAITALL the kernel goes on after a short write by itself; should it not, socket.c
     * does. */
    int flags = MSG_NOSIGNAL | (self->features & URING_SEND_WHOLE ? MSG_WAITALL : 0);
    if (message->msg_iovlen == 1) {
        io_uring_prep_send(entry, endpoint->socket->descriptor, message->msg_iov->iov_base,
                           message->msg_iov->iov_len, flags);
    } else {
        io_uring_prep_sendmsg(entry, endpoint->socket->descriptor, message, (unsigned)flags);
    }
    io_uring_sqe_set_data64(entry, io_tag(endpoint, OP_SEND));
    return true;
}

static bool start_connect(struct io *io, struct io_endpoint *endpoint)
{
    struct uring *self = self_of(io);
    if (!room(self, 1)) {
        return false;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    io_uring_prep_connect(entry, endpoint->socket->descriptor,
                          (const struct sockaddr *)&endpoint->connect->address,
                          endpoint->connect->address_size);
    io_uring_sqe_set_data64(entry, io_tag(endpoint, OP_CONNECT));
    return true;
}

static bool start_accept(struct io *io, struct io_endpoint *endpoint)
{
    struct uring *self = self_of(io);
    if (!room(self, 1)) {
        return false;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    int descriptor = endpoint->listener->descriptor;
    if (self->features & URING_MULTISHOT_ACCEPT) {
        io_uring_prep_multishot_accept(entry, descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } else {
        io_uring_prep_accept(entry, descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    io_uring_sqe_set_data64(entry, io_tag(endpoint, OP_ACCEPT));
    return true;
}

/* By tag, which the kernel finds in a hash; by descriptor it would look through all that are in
 * flight. */
static void write_cancel(struct uring *self, uint64_t tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    io_uring_prep_cancel64(entry, tag, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, (uint64_t)OP_NONE << 56);
}

static bool cancel(struct io *io, struct io_endpoint *endpoint, enum io_operation operation)
{
    struct uring *self = self_of(io);
    if (!room(self, 1)) {
        return false;
    }
    write_cancel(self, io_tag(endpoint, operation));
    return true;
}

/* Cancels and closes in one go: operations in flight hold the file, not the descriptor, and what
 * they complete with later carries this endpoint's generation. */
static bool close_endpoint(struct io *io, struct io_endpoint *endpoint)
{
    struct uring *self = self_of(io);
    if (!room(self, 4)) {
        return false;
    }
    int descriptor;
    if (endpoint->is_listener) {
        descriptor = endpoint->listener->descriptor;
        if (endpoint->accepting) {
            write_cancel(self, io_tag(endpoint, OP_ACCEPT));
        }
    } else {
        const struct io_socket *socket = endpoint->socket;
        descriptor = socket->descriptor;
        if (socket->receiving) {
            write_cancel(self, io_tag(endpoint, OP_RECEIVE));
        }
        if (socket->sending && !endpoint->send_wanted) {
            write_cancel(self, io_tag(endpoint, OP_SEND));
        }
        if (endpoint->connect != NULL && !endpoint->connect_wanted) {
            write_cancel(self, io_tag(endpoint, OP_CONNECT));
        }
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    io_uring_prep_close(entry, descriptor);
    io_uring_sqe_set_data64(entry, io_tag(endpoint, OP_CLOSE));
    return true;
}

static void shutdown_socket(struct io *io, struct io_endpoint *endpoint)
{
    /* Directly: as an operation of the ring it would go to a worker thread of the kernel. */
    io->counters.system_calls++;
    (void)shutdown(endpoint->socket->descriptor, SHUT_WR);
}

static void buffer_given(struct io *io, uint32_t id)
{
    struct uring *self = self_of(io);
    io_uring_buf_ring_add(self->buffer_ring, io->buffers.slots[id].data, io->buffers.bytes,
                          (unsigned short)id, io_uring_buf_ring_mask(io->buffers.count), 0);
    io_uring_buf_ring_advance(self->buffer_ring, 1);
}

static void drop(struct io *io, int descriptor)
{
    io->counters.system_calls++;
    close(descriptor);
}

static void wake(struct io *io)
{
    uint64_t one = 1;
    /* Cannot fail: the counter is far from full. Not counted: this is another thread. */
    ssize_t size = write(io->wake_descriptor, &one, sizeof one);
    (void)size;
}

static void arm_wake(struct uring *self)
{
    if (self->wake_armed || !room(self, 1)) {
        return;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    io_uring_prep_read(entry, self->io.wake_descriptor, &self->wake_count, sizeof self->wake_count,
                       0);
    io_uring_sqe_set_data64(entry, (uint64_t)OP_WAKE << 56);
    self->wake_armed = true;
}

/* ---- completion ---- */

static void collect(struct uring *self)
{
    struct io *io = &self->io;
    unsigned head, count = 0;
    struct io_uring_cqe *entry;
    io_uring_for_each_cqe(&self->ring, head, entry)
    {
        if (io->ready_count == io->ready_max) {
            break; /* the rest next turn */
        }
        if (entry->flags & IORING_CQE_F_BUFFER) {
            io_buffers_received(&io->buffers, entry->flags >> IORING_CQE_BUFFER_SHIFT,
                                entry->res > 0 ? (uint32_t)entry->res : 0);
        }
        if (io_tag_operation(entry->user_data) == OP_WAKE) {
            self->wake_armed = false;
        }
        io_complete(io, entry->user_data, entry->res, entry->flags);
        count++;
    }
    io_uring_cq_advance(&self->ring, count);
}

static void count_overflow(struct uring *self)
{
    uint32_t lost = IO_URING_READ_ONCE(*self->ring.cq.koverflow);
    if (io_uring_cq_has_overflow(&self->ring) || lost != self->overflow_seen) {
        self->io.counters.overflows++;
        self->overflow_seen = lost;
    }
}

static enum status wait(struct io *io, uint64_t wait_ns)
{
    struct uring *self = self_of(io);
    arm_wake(self);
    int result;
    io->counters.system_calls++;
    if (wait_ns > 0) {
        struct __kernel_timespec limit = {
            .tv_sec = (int64_t)(wait_ns / 1000000000u),
            .tv_nsec = (long long)(wait_ns % 1000000000u),
        };
        struct io_uring_cqe *first;
        result = io_uring_submit_and_wait_timeout(&self->ring, &first, 1, &limit, NULL);
    } else {
        /* Always: IORING_SQ_TASKRUN may be clear while the kernel has put off part of a large
         * batch. */
        result = io_uring_submit_and_get_events(&self->ring);
    }
    count_overflow(self);
    collect(self);
    switch (-result) {
    case ETIME:
    case EINTR:
    case EAGAIN: /* no memory for a request, or too many completions waiting: they are being taken
                    now */
    case EBUSY:
    case EBADR: /* completions were lost; counted above */
        return STATUS_OK;
    default:
        errno = result < 0 ? -result : errno;
        return result < 0 ? STATUS_SYSTEM : STATUS_OK;
    }
}

/* ---- life ---- */

/* Waits for the read of the wake-up, which writes into our memory. */
static void disarm_wake(struct uring *self)
{
    struct __kernel_timespec limit = {.tv_sec = 1};
    if (self->wake_armed && room(self, 1)) {
        write_cancel(self, (uint64_t)OP_WAKE << 56);
    }
    for (int i = 0; self->wake_armed && i < 10; i++) {
        struct io_uring_cqe *first;
        (void)io_uring_submit_and_wait_timeout(&self->ring, &first, 1, &limit, NULL);
        self->io.ready_count = 0;
        collect(self);
    }
}

static void release(struct io *io)
{
    struct uring *self = self_of(io);
    disarm_wake(self);
    uring_cleanup_ring(self);
    io_cleanup_common(io);
    free(self);
}

static const struct io_backend_functions uring_functions = {
    .kind = IO_URING,
    .release = release,
    .boot_ns = boot_ns,
    .clock = read_clock,
    .wait = wait,
    .start_receive = start_receive,
    .start_send = start_send,
    .start_connect = start_connect,
    .start_accept = start_accept,
    .cancel = cancel,
    .close = close_endpoint,
    .shutdown = shutdown_socket,
    .buffer_given = buffer_given,
    .drop = drop,
    .wake = wake,
};

static enum status fail(struct uring *self, int error)
{
    free(self);
    errno = error;
    bool denied = error == EPERM || error == EACCES || error == ENOSYS || error == EINVAL;
    return denied ? STATUS_DENIED : STATUS_SYSTEM;
}

enum status io_uring_new_without(const struct io_options *options, unsigned denied, struct io **io)
{
    struct uring *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    int result = uring_setup_ring(self, options, denied);
    if (result < 0) {
        return fail(self, -result);
    }
    struct io_options taken = *options;
    taken.operations_max = self->io.options.operations_max;
    enum status status = io_init_common(&self->io, &uring_functions, &taken,
                                        self->ring.cq.ring_entries);
    if (status != STATUS_OK) {
        int error = errno;
        uring_cleanup_ring(self);
        (void)fail(self, error);
        return status;
    }
    result = uring_setup_buffers(self, denied);
    if (result < 0) {
        uring_cleanup_ring(self);
        io_cleanup_common(&self->io);
        return fail(self, -result);
    }
    io_start_common(&self->io);
    *io = &self->io;
    return STATUS_OK;
}

enum status io_uring_new(const struct io_options *options, struct io **io)
{
    return io_uring_new_without(options, 0, io);
}
