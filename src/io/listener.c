#include "base/container_of.h"
#include "io/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum listener_state { LISTENER_NONE, LISTENER_OPEN, LISTENER_CLOSING, LISTENER_CLOSED };

static void backed_off(struct io_timer *timer)
{
    struct io_transfer *transfer = CONTAINER_OF(timer, struct io_transfer, backoff);
    struct io_listener *listener = transfer->backing_off;
    io_touch(listener->io, listener->backend_data);
}

enum status io_listen(struct io *io, struct io_listener *listener, int descriptor)
{
    assert(descriptor >= 0 && listener->accepted != NULL && listener->closed != NULL);
    struct io_transfer *transfer = slab_take(&io->transfers);
    if (transfer == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct io_endpoint *endpoint = io_endpoint_take(io);
    if (endpoint == NULL) {
        slab_give(&io->transfers, transfer);
        return STATUS_NO_MEMORY;
    }
    transfer->backoff = (struct io_timer){.fired = backed_off};
    transfer->backoff_ms = 0;
    transfer->backing_off = listener;
    endpoint->transfer = transfer;
    endpoint->listener = listener;
    endpoint->is_listener = true;
    listener->io = io;
    listener->descriptor = descriptor;
    listener->generation = endpoint->generation;
    listener->state = LISTENER_OPEN;
    listener->paused = false;
    listener->backend_data = endpoint;
    listener->accept_failures = 0;
    if (io->backend->kind != IO_SIM) {
        /* What is accepted inherits it: no system call for each connection. Not TCP: it fails,
         * rightly. */
        int on = 1;
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    io_touch(io, endpoint);
    return STATUS_OK;
}

static void set_paused(struct io_listener *listener, bool paused)
{
    if (listener->state != LISTENER_OPEN || listener->paused == paused) {
        return;
    }
    listener->paused = paused;
    io_touch(listener->io, listener->backend_data);
}

void io_listener_pause(struct io_listener *listener)
{
    set_paused(listener, true);
}

void io_listener_resume(struct io_listener *listener)
{
    set_paused(listener, false);
}

void io_listener_close(struct io_listener *listener)
{
    if (listener->state != LISTENER_OPEN) {
        return;
    }
    struct io_endpoint *endpoint = listener->backend_data;
    listener->state = LISTENER_CLOSING;
    io_timer_cancel(listener->io, &endpoint->transfer->backoff);
    io_touch(listener->io, endpoint);
}

bool io_listener_step(struct io *io, struct io_endpoint *endpoint)
{
    struct io_listener *listener = endpoint->listener;
    if (listener->state == LISTENER_CLOSING) {
        if (!endpoint->close_started) {
            endpoint->close_started = io->backend->close(io, endpoint);
        }
        return endpoint->close_started;
    }
    bool want = !listener->paused && !io_timer_is_set(&endpoint->transfer->backoff);
    if (want && !endpoint->accepting) {
        endpoint->accepting = io->backend->start_accept(io, endpoint);
        return endpoint->accepting;
    }
    if (!want && endpoint->accepting && !endpoint->cancelling) {
        endpoint->cancelling = io->backend->cancel(io, endpoint, OP_ACCEPT);
        return endpoint->cancelling;
    }
    return true;
}

/* Out of descriptors or memory: accepting again at once would only burn the CPU. */
static void back_off(struct io *io, struct io_endpoint *endpoint)
{
    struct io_transfer *transfer = endpoint->transfer;
    uint32_t doubled = transfer->backoff_ms * 2;
    transfer->backoff_ms = doubled < IO_BACKOFF_MS_MIN   ? IO_BACKOFF_MS_MIN
                           : doubled > IO_BACKOFF_MS_MAX ? IO_BACKOFF_MS_MAX
                                                         : doubled;
    endpoint->listener->accept_failures++;
    io->counters.accept_backoffs++;
    io_timer_set(io, &transfer->backoff, transfer->backoff_ms);
}

static void complete_accept(struct io *io, struct io_endpoint *endpoint, struct io_completion done)
{
    struct io_listener *listener = endpoint->listener;
    endpoint->cancelling = false;
    if (!(done.flags & COMPLETION_MORE)) {
        endpoint->accepting = false;
    }
    bool open = listener->state == LISTENER_OPEN;
    if (done.result >= 0 && !open) {
        io->backend->drop(io, done.result);
    } else if (done.result >= 0) {
        endpoint->transfer->backoff_ms = 0;
        listener->accepted(listener, (struct io_accepted){.descriptor = done.result});
    } else if (open) {
        switch (-done.result) {
        case EAGAIN:
        case ECANCELED:
        case ECONNABORTED: /* a client that came and went */
        case EINTR:
        case EPROTO:
            break;
        default:
            back_off(io, endpoint);
        }
    }
    if (listener->state == LISTENER_OPEN && endpoint->accepting == listener->paused) {
        io_touch(io, endpoint);
    }
}

void io_listener_complete(struct io *io, struct io_endpoint *endpoint, struct io_completion done)
{
    struct io_listener *listener = endpoint->listener;
    switch (io_tag_operation(done.tag)) {
    case OP_ACCEPT:
        complete_accept(io, endpoint, done);
        break;
    case OP_CLOSE:
        endpoint->close_done = true;
        break;
    default:
        assert(!"an operation that listeners do not have");
    }
    if (endpoint->close_done && !endpoint->accepting) {
        io_endpoint_give(io, endpoint);
        listener->backend_data = NULL;
        listener->descriptor = -1;
        listener->state = LISTENER_CLOSED;
        listener->closed(listener); /* the memory may be gone now */
    }
}

void io_peer_address(int descriptor, struct sockaddr_storage *address)
{
    socklen_t size = sizeof *address;
    if (getpeername(descriptor, (struct sockaddr *)address, &size) != 0) {
        address->ss_family = AF_UNSPEC;
    }
}
