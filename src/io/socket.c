#include "io/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum socket_state { SOCKET_NONE, SOCKET_CONNECTING, SOCKET_OPEN, SOCKET_BROKEN, SOCKET_CLOSED };

static struct io_endpoint *endpoint_of(const struct io_socket *socket)
{
    return socket->backend_data;
}

/* ---- what the owner asks for ---- */

static enum status attach(struct io *io, struct io_socket *socket,
                          const struct io_socket_events *events, int descriptor,
                          enum socket_state state)
{
    *socket = (struct io_socket){.io = io, .events = events, .descriptor = -1};
    struct io_endpoint *endpoint = io_endpoint_take(io);
    if (endpoint == NULL) {
        socket->error = ENOMEM;
        return STATUS_NO_MEMORY;
    }
    endpoint->socket = socket;
    socket->descriptor = descriptor;
    socket->generation = endpoint->generation;
    socket->state = (uint8_t)state;
    socket->backend_data = endpoint;
    return STATUS_OK;
}

enum status io_socket_open(struct io *io, struct io_socket *socket,
                           const struct io_socket_events *events, int descriptor)
{
    assert(descriptor >= 0);
    return attach(io, socket, events, descriptor, SOCKET_OPEN);
}

static int make_socket(struct io *io, int family)
{
    if (io->backend->make_socket != NULL) {
        return io->backend->make_socket(io, family);
    }
    io->counters.system_calls++;
    int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor >= 0 && family != AF_UNIX) {
        int on = 1;
        io->counters.system_calls++;
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return descriptor;
}

enum status io_connect(struct io *io, struct io_socket *socket,
                       const struct io_socket_events *events, const struct sockaddr *address,
                       socklen_t address_size)
{
    *socket = (struct io_socket){.io = io, .events = events, .descriptor = -1};
    if (address_size > sizeof(struct sockaddr_storage) || address_size < sizeof(sa_family_t)) {
        socket->error = EINVAL;
        return STATUS_MALFORMED;
    }
    struct io_transfer *connect = slab_take(&io->transfers);
    if (connect == NULL) {
        socket->error = ENOMEM;
        return STATUS_NO_MEMORY;
    }
    int descriptor = make_socket(io, address->sa_family);
    if (descriptor < 0) {
        socket->error = errno;
        slab_give(&io->transfers, connect);
        return STATUS_SYSTEM;
    }
    enum status status = attach(io, socket, events, descriptor, SOCKET_CONNECTING);
    if (status != STATUS_OK) {
        slab_give(&io->transfers, connect);
        io->backend->drop(io, descriptor);
        return status;
    }
    memcpy(&connect->address, address, address_size);
    connect->address_size = address_size;
    struct io_endpoint *endpoint = endpoint_of(socket);
    endpoint->connect = connect;
    endpoint->connect_wanted = true;
    io_touch(io, endpoint);
    return STATUS_OK;
}

void io_receive(struct io_socket *socket)
{
    if (socket->receive_wanted || socket->closing) {
        return;
    }
    socket->receive_wanted = true;
    io_touch(socket->io, endpoint_of(socket));
}

void io_receive_pause(struct io_socket *socket)
{
    if (!socket->receive_wanted || socket->closing) {
        return;
    }
    socket->receive_wanted = false;
    io_touch(socket->io, endpoint_of(socket));
}

void io_buffer_return(struct io_socket *socket, struct io_buffer buffer)
{
    struct io *io = socket->io;
    assert(socket->buffers_held > 0);
    socket->buffers_held--;
    io_buffers_give(io, buffer.id);
    struct io_endpoint *endpoint = endpoint_of(socket);
    if (endpoint == NULL || socket->closing) {
        return;
    }
    bool stopped = !socket->receiving && !endpoint->ended;
    if (socket->receive_wanted && (stopped || endpoint->pending_count > 0)) {
        io_touch(io, endpoint);
    }
}

void io_send(struct io_socket *socket, const struct span *spans, size_t count)
{
    assert(count > 0 && count <= IO_SEND_SPANS_MAX);
    assert(!socket->sending);
    if (socket->closing) {
        return;
    }
    struct io_endpoint *endpoint = endpoint_of(socket);
    socket->sending = true;
    socket->sent_some = false;
    endpoint->send_wanted = true;
    io_touch(socket->io, endpoint);
    struct io_transfer *transfer = slab_take(&socket->io->transfers);
    endpoint->transfer = transfer;
    if (transfer == NULL) {
        return; /* the step completes it with ENOMEM */
    }
    transfer->message = (struct msghdr){.msg_iov = transfer->spans};
    transfer->remaining = 0;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].size == 0) {
            continue;
        }
        transfer->spans[transfer->message.msg_iovlen++] = (struct iovec){
            .iov_base = (void *)(uintptr_t)spans[i].data,
            .iov_len = spans[i].size,
        };
        transfer->remaining += spans[i].size;
    }
}

void io_shutdown(struct io_socket *socket)
{
    if (socket->closing) {
        return;
    }
    endpoint_of(socket)->shutdown_wanted = true;
    io_touch(socket->io, endpoint_of(socket));
}

void io_close(struct io_socket *socket)
{
    if (socket->closing || socket->state == SOCKET_CLOSED) {
        return;
    }
    socket->closing = true;
    io_touch(socket->io, endpoint_of(socket));
}

/* ---- what is started in a turn ---- */

void io_transfer_advance(struct io_transfer *transfer, size_t size)
{
    assert(size <= transfer->remaining);
    transfer->remaining -= size;
    struct msghdr *message = &transfer->message;
    while (size > 0 && size >= message->msg_iov->iov_len) {
        size -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (size > 0) {
        message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + size;
        message->msg_iov->iov_len -= size;
    }
}

static bool step_close(struct io *io, struct io_endpoint *endpoint)
{
    if (endpoint->close_started) {
        return true;
    }
    if (!io->backend->close(io, endpoint)) {
        return false;
    }
    endpoint->close_started = true;
    endpoint->socket->in_flight++;
    return true;
}

static bool step_send(struct io *io, struct io_endpoint *endpoint)
{
    if (endpoint->transfer == NULL) {
        io_complete(io, io_tag(endpoint, OP_SEND), -ENOMEM, 0);
    } else if (endpoint->transfer->remaining == 0) {
        io_complete(io, io_tag(endpoint, OP_SEND), 0, 0);
    } else if (!io->backend->start_send(io, endpoint)) {
        return false;
    }
    endpoint->send_wanted = false;
    endpoint->socket->in_flight++;
    return true;
}

static bool deliverable(struct io *io, const struct io_endpoint *endpoint)
{
    const struct io_socket *socket = endpoint->socket;
    if (!socket->receive_wanted) {
        return false;
    }
    if (endpoint->pending_count > 0) {
        return socket->buffers_held < io->options.buffers_per_socket_max;
    }
    return endpoint->ended && !endpoint->end_told;
}

/* Buffers the socket may still fill. */
static uint32_t budget(struct io *io, const struct io_endpoint *endpoint)
{
    uint32_t taken = (uint32_t)endpoint->socket->buffers_held + endpoint->pending_count;
    uint32_t limit = io->options.buffers_per_socket_max;
    return taken < limit ? limit - taken : 0;
}

static bool step_receive(struct io *io, struct io_endpoint *endpoint)
{
    struct io_socket *socket = endpoint->socket;
    uint32_t room = budget(io, endpoint);
    bool want = socket->receive_wanted && room > 0;
    if (socket->receiving) {
        if (want || endpoint->cancelling) {
            return true;
        }
        endpoint->cancelling = true;
        if (!io->backend->cancel(io, endpoint, OP_RECEIVE)) {
            endpoint->cancelling = false;
            return false;
        }
        return true;
    }
    if (!want || endpoint->ended || endpoint->starved) {
        return true;
    }
    if (!io->backend->start_receive(io, endpoint, room)) {
        return false;
    }
    socket->receiving = true;
    socket->in_flight++;
    return true;
}

bool io_socket_step(struct io *io, struct io_endpoint *endpoint)
{
    struct io_socket *socket = endpoint->socket;
    if (socket->closing) {
        return step_close(io, endpoint);
    }
    if (endpoint->connect_wanted) {
        if (!io->backend->start_connect(io, endpoint)) {
            return false;
        }
        endpoint->connect_wanted = false;
        socket->in_flight++;
    }
    if (socket->state == SOCKET_CONNECTING || socket->state == SOCKET_BROKEN) {
        return true;
    }
    if (endpoint->send_wanted && !step_send(io, endpoint)) {
        return false;
    }
    if (endpoint->shutdown_wanted && !socket->sending) {
        endpoint->shutdown_wanted = false;
        io->backend->shutdown(io, endpoint);
    }
    if (!step_receive(io, endpoint)) {
        return false;
    }
    if (deliverable(io, endpoint)) {
        io_complete(io, io_tag(endpoint, OP_DELIVER), 0, 0);
    }
    return true;
}

/* ---- starved sockets: the shared buffers were all out ---- */

static void starve(struct io *io, struct io_endpoint *endpoint)
{
    endpoint->starved = true;
    endpoint->next_starved = NULL;
    endpoint->previous_starved = io->starved_last;
    if (io->starved_last != NULL) {
        io->starved_last->next_starved = endpoint;
    } else {
        io->starved_first = endpoint;
    }
    io->starved_last = endpoint;
    io->starved_count++;
}

static void unstarve(struct io *io, struct io_endpoint *endpoint)
{
    if (!endpoint->starved) {
        return;
    }
    struct io_endpoint *next = endpoint->next_starved, *previous = endpoint->previous_starved;
    *(next != NULL ? &next->previous_starved : &io->starved_last) = previous;
    *(previous != NULL ? &previous->next_starved : &io->starved_first) = next;
    endpoint->starved = false;
    io->starved_count--;
}

/* By the number of free buffers, every turn, not once for each buffer returned: a socket that is
 * let try again may find nothing to receive, and its turn must not be lost to the next one. */
void io_feed_starved(struct io *io)
{
    for (uint32_t n = io->buffers.free; n > 0 && io->starved_first != NULL; n--) {
        struct io_endpoint *endpoint = io->starved_first;
        unstarve(io, endpoint);
        io_touch(io, endpoint);
    }
}

/* ---- what came of it ---- */

static struct io_buffer buffer_of(struct io *io, uint32_t id)
{
    const struct io_buffer_slot *slot = &io->buffers.slots[id];
    return (struct io_buffer){.data = slot->data, .size = slot->size, .id = id};
}

static void append_pending(struct io *io, struct io_endpoint *endpoint, uint32_t id)
{
    io->buffers.slots[id].next = BUFFER_NONE;
    if (endpoint->pending_last != BUFFER_NONE) {
        io->buffers.slots[endpoint->pending_last].next = id & BUFFER_NONE;
    } else {
        endpoint->pending_first = id;
    }
    endpoint->pending_last = id;
    endpoint->pending_count++;
}

static uint32_t take_pending(struct io *io, struct io_endpoint *endpoint)
{
    uint32_t id = endpoint->pending_first;
    endpoint->pending_first = io->buffers.slots[id].next;
    if (endpoint->pending_first == BUFFER_NONE) {
        endpoint->pending_last = BUFFER_NONE;
    }
    endpoint->pending_count--;
    return id;
}

static void hand_to_owner(struct io *io, struct io_socket *socket, uint32_t id)
{
    socket->buffers_held++;
    socket->events->received(socket, STATUS_OK, buffer_of(io, id));
}

/* In order, as long as the owner takes it. A callback may pause, resume, return and close. */
static void deliver(struct io *io, struct io_endpoint *endpoint)
{
    struct io_socket *socket = endpoint->socket;
    while (!socket->closing && deliverable(io, endpoint)) {
        if (endpoint->pending_count > 0) {
            hand_to_owner(io, socket, take_pending(io, endpoint));
            continue;
        }
        endpoint->end_told = true;
        enum status status = endpoint->end_result == 0 ? STATUS_CLOSED : STATUS_SYSTEM;
        if (status == STATUS_SYSTEM) {
            socket->error = -endpoint->end_result;
        }
        socket->events->received(socket, status, (struct io_buffer){0});
    }
}

static void received_data(struct io *io, struct io_endpoint *endpoint, uint32_t id)
{
    struct io_socket *socket = endpoint->socket;
    bool direct = socket->receive_wanted && endpoint->pending_count == 0 &&
                  socket->buffers_held < io->options.buffers_per_socket_max;
    if (direct) {
        hand_to_owner(io, socket, id);
        return;
    }
    /* Not wanted now: it must not keep a shared buffer from the other sockets. */
    append_pending(io, endpoint, io_buffers_spill(io, id));
}

static void received_end(struct io *io, struct io_endpoint *endpoint, int32_t result)
{
    struct io_socket *socket = endpoint->socket;
    switch (-result) {
    case ECANCELED:
    case EINTR:
    case EAGAIN:
        return; /* armed again if still wanted */
    case ENOBUFS:
        io->counters.out_of_buffers++;
        if (io->buffers.free == 0 && socket->receive_wanted) {
            starve(io, endpoint);
        }
        return;
    default:
        endpoint->ended = true;
        endpoint->end_result = result;
    }
}

static void complete_receive(struct io *io, struct io_endpoint *endpoint, struct io_completion done)
{
    struct io_socket *socket = endpoint->socket;
    bool has_buffer = (done.flags & COMPLETION_BUFFER) != 0;
    uint32_t id = done.flags >> COMPLETION_BUFFER_SHIFT;
    /* A cancellation can miss a receive that is between two states: when more comes, it is
     * cancelled again. */
    endpoint->cancelling = false;
    if (!(done.flags & COMPLETION_MORE)) {
        socket->receiving = false;
        socket->in_flight--;
    }
    if (has_buffer && (socket->closing || done.result <= 0)) {
        io_buffers_give(io, id);
        has_buffer = false;
    }
    if (socket->closing) {
        return;
    }
    if (has_buffer) {
        received_data(io, endpoint, id);
    } else {
        received_end(io, endpoint, done.result);
        deliver(io, endpoint);
    }
    if (socket->closing) {
        return;
    }
    bool want = socket->receive_wanted && budget(io, endpoint) > 0;
    if (want != socket->receiving && !(want && (endpoint->ended || endpoint->starved))) {
        io_touch(io, endpoint);
    }
}

static void complete_send(struct io *io, struct io_endpoint *endpoint, int32_t result)
{
    struct io_socket *socket = endpoint->socket;
    struct io_transfer *transfer = endpoint->transfer;
    socket->in_flight--;
    if (result > 0) {
        socket->sent_some = true;
        io_transfer_advance(transfer, (size_t)result);
    }
    bool again = (result > 0 && transfer->remaining > 0) || result == -EAGAIN || result == -EINTR;
    if (again && !socket->closing) {
        io->counters.short_sends += result > 0;
        endpoint->send_wanted = true;
        io_touch(io, endpoint);
        return;
    }
    bool whole = transfer != NULL && transfer->remaining == 0;
    endpoint->transfer = NULL;
    slab_give(&io->transfers, transfer);
    socket->sending = false;
    if (socket->closing) {
        return;
    }
    if (endpoint->shutdown_wanted) {
        io_touch(io, endpoint);
    }
    if (!whole) {
        socket->error = result < 0 ? -result : EPIPE;
    }
    socket->events->sent(socket, whole ? STATUS_OK : STATUS_SYSTEM);
}

static void complete_connect(struct io *io, struct io_endpoint *endpoint, int32_t result)
{
    struct io_socket *socket = endpoint->socket;
    socket->in_flight--;
    if (socket->closing) {
        return;
    }
    if (result == -EINTR) {
        endpoint->connect_wanted = true;
        io_touch(io, endpoint);
        return;
    }
    slab_give(&io->transfers, endpoint->connect);
    endpoint->connect = NULL;
    if (result < 0) {
        socket->state = SOCKET_BROKEN;
        socket->error = -result;
        socket->events->connected(socket, STATUS_SYSTEM);
        return;
    }
    socket->state = SOCKET_OPEN;
    io_touch(io, endpoint);
    socket->events->connected(socket, STATUS_OK);
}

static void finish(struct io *io, struct io_endpoint *endpoint)
{
    struct io_socket *socket = endpoint->socket;
    while (endpoint->pending_count > 0) {
        io_buffers_give(io, take_pending(io, endpoint));
    }
    unstarve(io, endpoint);
    slab_give(&io->transfers, endpoint->connect);
    endpoint->connect = NULL;
    io_endpoint_give(io, endpoint);
    socket->backend_data = NULL;
    socket->descriptor = -1;
    socket->state = SOCKET_CLOSED;
    socket->events->closed(socket); /* the memory may be gone now */
}

void io_socket_complete(struct io *io, struct io_endpoint *endpoint, struct io_completion done)
{
    struct io_socket *socket = endpoint->socket;
    switch (io_tag_operation(done.tag)) {
    case OP_RECEIVE:
        complete_receive(io, endpoint, done);
        break;
    case OP_SEND:
        complete_send(io, endpoint, done.result);
        break;
    case OP_CONNECT:
        complete_connect(io, endpoint, done.result);
        break;
    case OP_DELIVER:
        deliver(io, endpoint);
        if (!socket->closing && socket->receive_wanted && !socket->receiving) {
            io_touch(io, endpoint);
        }
        break;
    case OP_CLOSE:
        endpoint->close_done = true;
        socket->in_flight--;
        break;
    default:
        assert(!"an operation that sockets do not have");
    }
    if (endpoint->close_done && socket->in_flight == 0) {
        finish(io, endpoint);
    }
}
