/* The backend for where io_uring is not to be had. Sockets are edge-triggered and registered once;
 * what epoll said of them is kept until a call answers EAGAIN. Listeners are level-triggered and
 * registered while they accept. */
#include "io/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256

enum { ARMED_RECEIVE = 1, ARMED_SEND = 2, ARMED_CONNECT = 4, ARMED_ACCEPT = 8 };
enum { READABLE = 1, WRITABLE = 2, HUNG_UP = 4, REGISTERED = 8 };

struct epoll_io {
    struct io io;
    int epoll;
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll_io *self_of(struct io *io)
{
    return (struct epoll_io *)io;
}

static void release(struct io *io)
{
    close(self_of(io)->epoll);
    io_cleanup_common(io);
    free(io);
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

/* An operation ends. */
static void end(struct io *io, struct io_endpoint *endpoint, unsigned armed,
                enum io_operation operation, int32_t result)
{
    endpoint->armed &= (uint16_t)~armed;
    io_complete(io, io_tag(endpoint, operation), result, 0);
}

static int control(struct io *io, int operation, int descriptor, uint32_t events, uint64_t tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};
    io->counters.system_calls++;
    return epoll_ctl(self_of(io)->epoll, operation, descriptor, &event);
}

/* 0 or a negative errno. */
static int register_socket(struct io *io, struct io_endpoint *endpoint, bool connecting)
{
    if (endpoint->readiness & REGISTERED) {
        return 0;
    }
    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (control(io, EPOLL_CTL_ADD, endpoint->socket->descriptor, events,
                io_tag(endpoint, OP_NONE)) != 0) {
        return -errno;
    }
    /* A fresh connection can be written to. If it can be read, the first wait says so. */
    endpoint->readiness |= (uint16_t)(connecting ? REGISTERED : REGISTERED | WRITABLE);
    return 0;
}

/* ---- receive ---- */

/* One receive into `id`. True: there may be more to receive now. */
static bool receive_one(struct io *io, struct io_endpoint *endpoint, uint32_t id)
{
    uint32_t bytes = io->buffers.bytes;
    io->counters.system_calls++;
    ssize_t size = recv(endpoint->socket->descriptor, io->buffers.slots[id].data, bytes,
                        MSG_DONTWAIT);
    if (size <= 0) {
        int error = size == 0 ? 0 : errno;
        io_buffers_put_back(&io->buffers, id);
        if (size < 0 && error == EINTR) {
            return true;
        }
        if (size < 0 && error == EAGAIN) {
            endpoint->readiness &= (uint16_t)~READABLE;
            return false;
        }
        end(io, endpoint, ARMED_RECEIVE, OP_RECEIVE, -error);
        return false;
    }
    io_buffers_received(&io->buffers, id, (uint32_t)size);
    endpoint->budget--;
    if (endpoint->budget == 0) {
        endpoint->armed &= (uint16_t)~ARMED_RECEIVE;
    }
    if ((uint32_t)size < bytes && !(endpoint->readiness & HUNG_UP)) {
        /* epoll(7): a short read from a stream says that it is drained. Not after a hang-up: its
         * end comes without another event. */
        endpoint->readiness &= (uint16_t)~READABLE;
    }
    io_complete(io, io_tag(endpoint, OP_RECEIVE), (int32_t)size,
                COMPLETION_BUFFER | (endpoint->budget > 0 ? COMPLETION_MORE : 0) |
                    id << COMPLETION_BUFFER_SHIFT);
    return endpoint->budget > 0;
}

static void receive_now(struct io *io, struct io_endpoint *endpoint)
{
    while (endpoint->readiness & READABLE) {
        uint32_t id = io_buffers_take(&io->buffers);
        if (id == BUFFER_NONE) {
            end(io, endpoint, ARMED_RECEIVE, OP_RECEIVE, -ENOBUFS);
            return;
        }
        if (!receive_one(io, endpoint, id)) {
            return;
        }
    }
}

static bool start_receive(struct io *io, struct io_endpoint *endpoint, uint32_t buffers_max)
{
    int result = register_socket(io, endpoint, false);
    if (result < 0) {
        end(io, endpoint, 0, OP_RECEIVE, result);
        return true;
    }
    endpoint->armed |= ARMED_RECEIVE;
    endpoint->budget = buffers_max;
    receive_now(io, endpoint);
    return true;
}

/* ---- send ---- */

static void send_now(struct io *io, struct io_endpoint *endpoint)
{
    struct io_transfer *transfer = endpoint->transfer;
    ssize_t size;
    do {
        io->counters.system_calls++;
        if (transfer->message.msg_iovlen == 1) {
            size = send(endpoint->socket->descriptor, transfer->message.msg_iov->iov_base,
                        transfer->message.msg_iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else {
            size = sendmsg(endpoint->socket->descriptor, &transfer->message,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN) {
        endpoint->readiness &= (uint16_t)~WRITABLE;
        return;
    }
    /* A short one is tried again before it waits: epoll tells an edge only after EAGAIN. */
    end(io, endpoint, ARMED_SEND, OP_SEND, size < 0 ? -errno : (int32_t)size);
}

static bool start_send(struct io *io, struct io_endpoint *endpoint)
{
    int result = register_socket(io, endpoint, false);
    if (result < 0) {
        end(io, endpoint, 0, OP_SEND, result);
        return true;
    }
    endpoint->armed |= ARMED_SEND;
    if (endpoint->readiness & WRITABLE) {
        send_now(io, endpoint);
    }
    return true;
}

/* ---- connect ---- */

static bool start_connect(struct io *io, struct io_endpoint *endpoint)
{
    const struct io_transfer *transfer = endpoint->connect;
    io->counters.system_calls++;
    int result = connect(endpoint->socket->descriptor, (const struct sockaddr *)&transfer->address,
                         transfer->address_size);
    int error = result == 0 ? 0 : errno;
    if (error != 0 && error != EINPROGRESS && error != EINTR) {
        end(io, endpoint, 0, OP_CONNECT, -error);
        return true;
    }
    /* EINTR: it goes on all the same (POSIX). */
    result = register_socket(io, endpoint, error != 0);
    if (result < 0 || error == 0) {
        end(io, endpoint, 0, OP_CONNECT, result);
        return true;
    }
    endpoint->armed |= ARMED_CONNECT;
    return true;
}

static void finish_connect(struct io *io, struct io_endpoint *endpoint)
{
    int error = 0;
    socklen_t size = sizeof error;
    io->counters.system_calls++;
    if (getsockopt(endpoint->socket->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    end(io, endpoint, ARMED_CONNECT, OP_CONNECT, -error);
}

/* ---- accept ---- */

static bool start_accept(struct io *io, struct io_endpoint *endpoint)
{
    /* Exclusive: of the workers that listen on one socket, one is woken for a connection. */
    if (control(io, EPOLL_CTL_ADD, endpoint->listener->descriptor, EPOLLIN | EPOLLEXCLUSIVE,
                io_tag(endpoint, OP_NONE)) != 0) {
        end(io, endpoint, 0, OP_ACCEPT, -errno);
        return true;
    }
    endpoint->armed |= ARMED_ACCEPT;
    return true;
}

static void end_accept(struct io *io, struct io_endpoint *endpoint, int32_t result)
{
    (void)control(io, EPOLL_CTL_DEL, endpoint->listener->descriptor, 0, 0);
    end(io, endpoint, ARMED_ACCEPT, OP_ACCEPT, result);
}

static void accept_now(struct io *io, struct io_endpoint *endpoint)
{
    for (int i = 0; i < IO_ACCEPT_BATCH_MAX - 1; i++) {
        io->counters.system_calls++;
        int descriptor = accept4(endpoint->listener->descriptor, NULL, NULL,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            io_complete(io, io_tag(endpoint, OP_ACCEPT), descriptor, COMPLETION_MORE);
        } else if (errno == EAGAIN) {
            return;
        } else {
            end_accept(io, endpoint, -errno);
            return;
        }
    }
}

/* ---- the rest ---- */

static bool cancel(struct io *io, struct io_endpoint *endpoint, enum io_operation operation)
{
    if (operation == OP_ACCEPT && (endpoint->armed & ARMED_ACCEPT)) {
        end_accept(io, endpoint, -ECANCELED);
    } else if (operation == OP_RECEIVE && (endpoint->armed & ARMED_RECEIVE)) {
        end(io, endpoint, ARMED_RECEIVE, OP_RECEIVE, -ECANCELED);
    }
    return true; /* else its completion is on the ready list already */
}

static bool close_endpoint(struct io *io, struct io_endpoint *endpoint)
{
    static const struct {
        unsigned armed;
        enum io_operation operation;
    } operations[] = {
        {ARMED_RECEIVE, OP_RECEIVE},
        {ARMED_SEND, OP_SEND},
        {ARMED_CONNECT, OP_CONNECT},
        {ARMED_ACCEPT, OP_ACCEPT},
    };
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (endpoint->armed & operations[i].armed) {
            end(io, endpoint, operations[i].armed, operations[i].operation, -ECANCELED);
        }
    }
    /* Closing takes it out of the epoll set too, and an event already fetched is of an older
     * generation then. */
    io->counters.system_calls++;
    close(endpoint->is_listener ? endpoint->listener->descriptor : endpoint->socket->descriptor);
    end(io, endpoint, 0, OP_CLOSE, 0);
    return true;
}

static void shutdown_socket(struct io *io, struct io_endpoint *endpoint)
{
    io->counters.system_calls++;
    (void)shutdown(endpoint->socket->descriptor, SHUT_WR);
}

static void buffer_given(struct io *io, uint32_t id)
{
    io_buffers_put_back(&io->buffers, id);
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

static void wake_event(struct io *io)
{
    uint64_t count;
    io->counters.system_calls++;
    if (read(io->wake_descriptor, &count, sizeof count) == (ssize_t)sizeof count) {
        io_complete(io, (uint64_t)OP_WAKE << 56, 0, 0);
    }
}

static void socket_event(struct io *io, struct io_endpoint *endpoint, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        endpoint->readiness |= HUNG_UP | READABLE;
    }
    if (events & EPOLLIN) {
        endpoint->readiness |= READABLE;
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        endpoint->readiness |= WRITABLE;
        if (endpoint->armed & ARMED_CONNECT) {
            finish_connect(io, endpoint);
        }
        if (endpoint->armed & ARMED_SEND) {
            send_now(io, endpoint);
        }
    }
    if (endpoint->armed & ARMED_RECEIVE) {
        receive_now(io, endpoint);
    }
}

static enum status wait(struct io *io, uint64_t wait_ns)
{
    struct epoll_io *self = self_of(io);
    /* Rounded up: a turn that ends before its timer only turns again. */
    uint64_t wait_ms = (wait_ns + 999999) / 1000000;
    io->counters.system_calls++;
    int count = epoll_wait(self->epoll, self->events, EVENTS_MAX,
                           wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);
    if (count < 0) {
        return errno == EINTR ? STATUS_OK : STATUS_SYSTEM;
    }
    for (int i = 0; i < count; i++) {
        uint64_t tag = self->events[i].data.u64;
        if (io_tag_operation(tag) == OP_WAKE) {
            wake_event(io);
            continue;
        }
        struct io_endpoint *endpoint = io_endpoint_find(io, tag);
        if (endpoint == NULL) {
            continue;
        }
        if (!endpoint->is_listener) {
            socket_event(io, endpoint, self->events[i].events);
        } else if (endpoint->armed & ARMED_ACCEPT) {
            accept_now(io, endpoint);
        }
    }
    return STATUS_OK;
}

static const struct io_backend_functions epoll_functions = {
    .kind = IO_EPOLL,
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

enum status io_epoll_new(const struct io_options *options, struct io **io)
{
    struct epoll_io *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint32_t reserved = EVENTS_MAX * IO_ACCEPT_BATCH_MAX;
    enum status status = io_init_common(&self->io, &epoll_functions, options, reserved);
    if (status != STATUS_OK) {
        free(self);
        return status;
    }
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0 || control(&self->io, EPOLL_CTL_ADD, self->io.wake_descriptor, EPOLLIN,
                                   (uint64_t)OP_WAKE << 56) != 0) {
        int error = errno;
        if (self->epoll >= 0) {
            close(self->epoll);
        }
        io_cleanup_common(&self->io);
        free(self);
        errno = error;
        return STATUS_SYSTEM;
    }
    io_start_common(&self->io);
    *io = &self->io;
    return STATUS_OK;
}
