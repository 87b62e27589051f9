#include "io/sim.h"
#include "io/sim_network.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define NS_PER_MS            1000000u
#define BOOT_START_NS        1000000000000u /* the machine has been up for a while */
#define WALL_START_S         1799971200
#define TURN_NS              20000 /* a turn takes some time, so that a loop that never waits gets on */
#define PIPE_BYTES           65536
#define READY_RESERVED       4096
#define POLL_COMPLETIONS_MAX (IO_BUFFERS_PER_SOCKET_MAX + 8)

enum {
    ARMED_RECEIVE = 1,
    ARMED_SEND = 2,
    ARMED_CONNECT = 4,
    ARMED_ACCEPT = 8,
    ARMED_CLOSE = 16,
    CANCELLED = 32, /* the receive or accept */
};

static struct sim *self_of(struct io *io)
{
    return (struct sim *)io;
}

static void arm(struct io_endpoint *endpoint, unsigned operation)
{
    endpoint->armed |= (uint16_t)operation;
}

static bool armed(const struct io_endpoint *endpoint, unsigned operation)
{
    return (endpoint->armed & operation) != 0;
}

static void complete(struct sim *sim, struct io_endpoint *endpoint, enum io_operation operation,
                     int32_t result, uint32_t flags)
{
    uint64_t tag = io_tag(endpoint, operation);
    uint64_t values[] = {tag, (uint64_t)(uint32_t)result << 32 | flags, sim->now_ns};
    for (size_t i = 0; i < 3; i++) {
        sim->fingerprint = (sim->fingerprint ^ values[i]) * 0x100000001b3u;
        sim->fingerprint ^= sim->fingerprint >> 29;
    }
    io_complete(&sim->io, tag, result, flags);
}

static void end(struct sim *sim, struct io_endpoint *endpoint, unsigned operation_armed,
                enum io_operation operation, int32_t result)
{
    endpoint->armed &= (uint16_t)~operation_armed;
    complete(sim, endpoint, operation, result, 0);
}

/* ---- what is asked for ---- */

static bool start_receive(struct io *io, struct io_endpoint *endpoint, uint32_t buffers_max)
{
    (void)io;
    arm(endpoint, ARMED_RECEIVE);
    endpoint->armed &= (uint16_t)~CANCELLED;
    endpoint->budget = buffers_max;
    return true;
}

static bool start_send(struct io *io, struct io_endpoint *endpoint)
{
    (void)io;
    arm(endpoint, ARMED_SEND);
    return true;
}

static bool start_accept(struct io *io, struct io_endpoint *endpoint)
{
    struct sim_end *listener = sim_end_of(self_of(io), endpoint->listener->descriptor);
    if (listener == NULL || !listener->listening) {
        end(self_of(io), endpoint, 0, OP_ACCEPT, -EINVAL);
        return true;
    }
    arm(endpoint, ARMED_ACCEPT);
    endpoint->armed &= (uint16_t)~CANCELLED;
    return true;
}

static bool start_connect(struct io *io, struct io_endpoint *endpoint)
{
    struct sim *sim = self_of(io);
    arm(endpoint, ARMED_CONNECT);
    struct sim_end *client = sim_end_of(sim, endpoint->socket->descriptor);
    const struct io_transfer *to = endpoint->connect;
    struct sim_end *listener = sim_listener_at(sim, (const struct sockaddr *)&to->address,
                                               to->address_size);
    if (listener == NULL || sim_chance(sim, sim->faults.refused_connects)) {
        return true; /* not joined: refused when it is polled */
    }
    struct sim_end *server = sim_end_new(sim);
    if (server != NULL) {
        sim_end_join(client, server);
        sim_listener_enqueue(sim, listener, server);
        client->due_ns = server->due_ns;
    }
    return true;
}

static bool cancel(struct io *io, struct io_endpoint *endpoint, enum io_operation operation)
{
    (void)io;
    (void)operation;
    arm(endpoint, CANCELLED);
    return true;
}

static void try_receive(struct sim *sim, struct io_endpoint *endpoint, struct sim_end *from);

static bool close_endpoint(struct io *io, struct io_endpoint *endpoint)
{
    struct sim *sim = self_of(io);
    int descriptor = endpoint->is_listener ? endpoint->listener->descriptor
                                           : endpoint->socket->descriptor;
    struct sim_end *closed = sim_end_of(sim, descriptor);
    if (armed(endpoint, ARMED_RECEIVE) && sim_random(sim, 2) == 0) {
        try_receive(sim, endpoint, closed); /* it was faster than the close */
    }
    sim_end_close(sim, closed);
    arm(endpoint, ARMED_CLOSE);
    return true;
}

static void shutdown_socket(struct io *io, struct io_endpoint *endpoint)
{
    struct sim *sim = self_of(io);
    struct sim_end *from = sim_end_of(sim, endpoint->socket->descriptor);
    if (from->peer != NULL && !from->sent_fin && !from->reset) {
        (void)sim_deliver_fin(sim, from->peer);
    }
    from->sent_fin = true;
}

/* ---- what comes of it ---- */

static void try_receive(struct sim *sim, struct io_endpoint *endpoint, struct sim_end *from)
{
    struct io_buffers *buffers = &sim->io.buffers;
    while (armed(endpoint, ARMED_RECEIVE)) {
        if (sim_chance(sim, sim->faults.resets)) {
            sim_end_reset(sim, from);
        }
        size_t arrived = sim_arrived(sim, from);
        if (from->reset) {
            end(sim, endpoint, ARMED_RECEIVE, OP_RECEIVE, -ECONNRESET);
            return;
        }
        if (arrived == 0 && sim_fin_arrived(sim, from)) {
            end(sim, endpoint, ARMED_RECEIVE, OP_RECEIVE, 0);
            return;
        }
        if (arrived == 0) {
            return;
        }
        uint32_t id = BUFFER_NONE;
        if (!sim_chance(sim, sim->faults.no_buffers)) {
            id = io_buffers_take(buffers);
        }
        if (id == BUFFER_NONE) {
            end(sim, endpoint, ARMED_RECEIVE, OP_RECEIVE, -ENOBUFS);
            return;
        }
        size_t size = arrived < buffers->bytes ? arrived : buffers->bytes;
        if (sim_chance(sim, sim->faults.short_receives)) {
            size = 1 + sim_random(sim, size);
        }
        sim_take(from, buffers->slots[id].data, size);
        io_buffers_received(buffers, id, (uint32_t)size);
        endpoint->budget--;
        bool more = endpoint->budget > 0;
        if (!more) {
            endpoint->armed &= (uint16_t)~ARMED_RECEIVE;
        }
        complete(sim, endpoint, OP_RECEIVE, (int32_t)size,
                 COMPLETION_BUFFER | (more ? COMPLETION_MORE : 0) | id << COMPLETION_BUFFER_SHIFT);
    }
}

static void try_send(struct sim *sim, struct io_endpoint *endpoint, struct sim_end *from)
{
    const struct io_transfer *transfer = endpoint->transfer;
    if (sim_chance(sim, sim->faults.resets)) {
        sim_end_reset(sim, from);
    }
    if (from->reset || from->sent_fin || !from->was_connected) {
        end(sim, endpoint, ARMED_SEND, OP_SEND, from->reset ? -ECONNRESET : -EPIPE);
        return;
    }
    if (from->peer == NULL) {
        /* Sent to one that has closed: it goes out, and a reset comes back. */
        from->reset = true;
        end(sim, endpoint, ARMED_SEND, OP_SEND, (int32_t)transfer->remaining);
        return;
    }
    size_t room = sim->pipe_bytes - from->peer->inbound;
    size_t size = transfer->remaining < room ? transfer->remaining : room;
    if (size == 0) {
        return;
    }
    if (sim_chance(sim, sim->faults.short_sends)) {
        size = 1 + sim_random(sim, size);
    }
    bool gone = !sim_deliver(sim, from->peer, transfer->message.msg_iov,
                             transfer->message.msg_iovlen, size);
    end(sim, endpoint, ARMED_SEND, OP_SEND, gone ? -ENOMEM : (int32_t)size);
}

static void try_connect(struct sim *sim, struct io_endpoint *endpoint, struct sim_end *client)
{
    if (!client->was_connected) {
        end(sim, endpoint, ARMED_CONNECT, OP_CONNECT, -ECONNREFUSED);
    } else if (client->reset || client->peer == NULL) {
        end(sim, endpoint, ARMED_CONNECT, OP_CONNECT, -ECONNRESET);
    } else if (client->due_ns <= sim->now_ns) {
        end(sim, endpoint, ARMED_CONNECT, OP_CONNECT, 0);
    }
}

static void try_accept(struct sim *sim, struct io_endpoint *endpoint, struct sim_end *listener)
{
    for (int i = 0; i < POLL_COMPLETIONS_MAX - 1; i++) {
        struct sim_end *waiting = listener->waiting_first;
        if (waiting == NULL || waiting->due_ns > sim->now_ns) {
            return;
        }
        if (sim_chance(sim, sim->faults.accept_failures)) {
            end(sim, endpoint, ARMED_ACCEPT, OP_ACCEPT, -EMFILE);
            return;
        }
        listener->waiting_first = waiting->next_waiting;
        complete(sim, endpoint, OP_ACCEPT, waiting->descriptor, COMPLETION_MORE);
    }
}

/* After its close, everything that was in flight is cancelled, in any order with the close itself.
 */
static void poll_closed(struct sim *sim, struct io_endpoint *endpoint)
{
    static const enum io_operation operations[] = {OP_RECEIVE, OP_SEND, OP_CONNECT, OP_ACCEPT};
    unsigned first = (unsigned)sim_random(sim, 5);
    for (unsigned i = 0; i < 5; i++) {
        unsigned index = (first + i) % 5;
        unsigned bit = 1u << index;
        if (!armed(endpoint, bit) || sim_chance(sim, sim->faults.delays)) {
            continue;
        }
        bool close = bit == ARMED_CLOSE;
        end(sim, endpoint, bit, close ? OP_CLOSE : operations[index], close ? 0 : -ECANCELED);
    }
}

static void poll_open(struct sim *sim, struct io_endpoint *endpoint)
{
    if (endpoint->is_listener) {
        struct sim_end *listener = sim_end_of(sim, endpoint->listener->descriptor);
        bool cancelled = armed(endpoint, CANCELLED);
        if (armed(endpoint, ARMED_ACCEPT) && (!cancelled || sim_random(sim, 2) == 0)) {
            try_accept(sim, endpoint, listener);
        }
        if (armed(endpoint, ARMED_ACCEPT) && cancelled) {
            end(sim, endpoint, ARMED_ACCEPT | CANCELLED, OP_ACCEPT, -ECANCELED);
        }
        return;
    }
    struct sim_end *from = sim_end_of(sim, endpoint->socket->descriptor);
    if (armed(endpoint, ARMED_CONNECT)) {
        try_connect(sim, endpoint, from);
        return;
    }
    if (armed(endpoint, ARMED_SEND) && !sim_chance(sim, sim->faults.delays)) {
        try_send(sim, endpoint, from);
    }
    if (!armed(endpoint, ARMED_RECEIVE) || sim_chance(sim, sim->faults.delays)) {
        return;
    }
    bool cancelled = armed(endpoint, CANCELLED);
    if (!cancelled || sim_random(sim, 2) == 0) {
        try_receive(sim, endpoint, from);
    }
    if (armed(endpoint, ARMED_RECEIVE) && cancelled) {
        end(sim, endpoint, ARMED_RECEIVE | CANCELLED, OP_RECEIVE, -ECANCELED);
    }
}

static uint32_t list_armed(struct sim *sim)
{
    uint32_t total = sim->io.endpoints.chunk_count * ENDPOINTS_PER_CHUNK;
    if (sim->order_max < total) {
        struct io_endpoint **grown = realloc(sim->order, total * sizeof(struct io_endpoint *));
        if (grown == NULL) {
            return 0;
        }
        sim->order = grown;
        sim->order_max = total;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < total; i++) {
        struct io_endpoint
            *endpoint = &sim->io.endpoints.chunks[i / ENDPOINTS_PER_CHUNK][i % ENDPOINTS_PER_CHUNK];
        if (endpoint->socket != NULL && (endpoint->armed & ~CANCELLED) != 0) {
            sim->order[count++] = endpoint;
        }
    }
    for (uint32_t i = count; sim->faults.reorder && i > 1; i--) {
        uint32_t other = (uint32_t)sim_random(sim, i);
        struct io_endpoint *moved = sim->order[i - 1];
        sim->order[i - 1] = sim->order[other];
        sim->order[other] = moved;
    }
    return count;
}

static void poll_all(struct sim *sim)
{
    uint32_t count = list_armed(sim);
    for (uint32_t i = 0; i < count; i++) {
        if (sim->io.ready_count + POLL_COMPLETIONS_MAX > sim->io.ready_max) {
            return; /* the rest next turn */
        }
        struct io_endpoint *endpoint = sim->order[i];
        if (endpoint->close_started) {
            poll_closed(sim, endpoint);
        } else {
            poll_open(sim, endpoint);
        }
    }
    if (atomic_exchange(&sim->woken, false)) {
        io_complete(&sim->io, (uint64_t)OP_WAKE << 56, 0, 0);
    }
}

/* When something is to arrive; UINT64_MAX: nothing is under way. */
static uint64_t next_arrival(const struct sim *sim)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < sim->ends_max; i++) {
        const struct sim_end *e = sim->ends[i];
        if (e == NULL) {
            continue;
        }
        uint64_t due[] = {
            e->first != NULL ? e->first->due_ns : UINT64_MAX,
            e->waiting_first != NULL ? e->waiting_first->due_ns : UINT64_MAX,
            e->due_ns,
        };
        for (size_t k = 0; k < 3; k++) {
            if (due[k] > sim->now_ns && due[k] < next) {
                next = due[k];
            }
        }
    }
    return next;
}

static enum status wait(struct io *io, uint64_t wait_ns)
{
    struct sim *sim = self_of(io);
    uint64_t until = sim->now_ns + wait_ns;
    sim->now_ns += TURN_NS;
    sim_sweep(sim);
    poll_all(sim);
    while (io->ready_count == 0 && sim->now_ns < until) {
        uint64_t next = next_arrival(sim);
        /* What was delayed gets another chance a millisecond later. */
        if (sim->faults.delays > 0 && next > sim->now_ns + NS_PER_MS) {
            next = sim->now_ns + NS_PER_MS;
        }
        sim->now_ns = next < until ? next : until;
        poll_all(sim);
    }
    return STATUS_OK;
}

/* ---- the rest ---- */

static uint64_t boot_ns(struct io *io)
{
    return self_of(io)->now_ns;
}

static struct clock_now read_clock(struct io *io)
{
    const struct sim *sim = self_of(io);
    uint64_t wall = (uint64_t)((int64_t)sim->now_ns + sim->wall_offset_ns);
    return (struct clock_now){
        .wall_s = (int64_t)(wall / 1000000000u),
        .wall_ns = wall,
        .boot_ns = sim->now_ns,
    };
}

static void buffer_given(struct io *io, uint32_t id)
{
    io_buffers_put_back(&io->buffers, id);
}

static void drop(struct io *io, int descriptor)
{
    struct sim_end *dropped = sim_end_of(self_of(io), descriptor);
    if (dropped != NULL) {
        sim_end_close(self_of(io), dropped);
    }
}

static void wake(struct io *io)
{
    atomic_store(&self_of(io)->woken, true);
}

static int make_socket(struct io *io, int family)
{
    (void)family;
    struct sim_end *made = sim_end_new(self_of(io));
    return made != NULL ? made->descriptor : -1;
}

static void release(struct io *io)
{
    struct sim *sim = self_of(io);
    for (uint32_t i = 0; i < sim->ends_max; i++) {
        if (sim->ends[i] != NULL) {
            sim_end_close(sim, sim->ends[i]);
        }
    }
    free(sim->ends);
    free(sim->order);
    io_cleanup_common(io);
    free(sim);
}

static const struct io_backend_functions sim_functions = {
    .kind = IO_SIM,
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
    .make_socket = make_socket,
};

/* ---- io/sim.h ---- */

enum status io_sim_new_resolved(const struct io_options *options, const struct io_sim_options *from,
                                struct io **io)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = io_init_common(&sim->io, &sim_functions, options, READY_RESERVED);
    if (status != STATUS_OK) {
        free(sim);
        return status;
    }
    int64_t wall_s = from->wall_start_s != 0 ? from->wall_start_s : WALL_START_S;
    sim->now_ns = BOOT_START_NS;
    sim->wall_offset_ns = wall_s * 1000000000 - (int64_t)BOOT_START_NS;
    sim->random = from->seed;
    sim->fingerprint = 0xcbf29ce484222325u;
    sim->faults = from->faults;
    sim->pipe_bytes = from->pipe_bytes != 0 ? from->pipe_bytes : PIPE_BYTES;
    atomic_init(&sim->woken, false);
    io_start_common(&sim->io);
    *io = &sim->io;
    return STATUS_OK;
}

void io_sim_set_faults(struct io *io, const struct io_sim_faults *faults)
{
    assert(io->backend == &sim_functions);
    self_of(io)->faults = *faults;
}

enum status io_sim_listener(struct io *io, const struct sockaddr *address, socklen_t address_size,
                            int *descriptor)
{
    assert(io->backend == &sim_functions && address_size <= sizeof(struct sockaddr_storage));
    struct sim *sim = self_of(io);
    if (sim_listener_at(sim, address, address_size) != NULL) {
        return STATUS_EXISTS;
    }
    struct sim_end *listener = sim_end_new(sim);
    if (listener == NULL) {
        return STATUS_SYSTEM;
    }
    listener->listening = true;
    memcpy(&listener->address, address, address_size);
    listener->address_size = address_size;
    *descriptor = listener->descriptor;
    return STATUS_OK;
}

enum status io_sim_pair(struct io *io, int descriptors[2])
{
    assert(io->backend == &sim_functions);
    struct sim *sim = self_of(io);
    struct sim_end *a = sim_end_new(sim);
    struct sim_end *b = sim_end_new(sim);
    if (a == NULL || b == NULL) {
        if (a != NULL) {
            sim_end_close(sim, a);
        }
        return STATUS_SYSTEM;
    }
    sim_end_join(a, b);
    descriptors[0] = a->descriptor;
    descriptors[1] = b->descriptor;
    return STATUS_OK;
}

void io_sim_reset(struct io *io, int descriptor)
{
    assert(io->backend == &sim_functions);
    struct sim_end *broken = sim_end_of(self_of(io), descriptor);
    if (broken != NULL) {
        sim_end_reset(self_of(io), broken);
    }
}

void io_sim_step_wall(struct io *io, int64_t seconds)
{
    assert(io->backend == &sim_functions);
    self_of(io)->wall_offset_ns += seconds * 1000000000;
}

uint64_t io_sim_random(struct io *io, uint64_t limit)
{
    assert(io->backend == &sim_functions);
    return sim_random(self_of(io), limit);
}

uint64_t io_sim_fingerprint(const struct io *io)
{
    return ((const struct sim *)io)->fingerprint;
}

uint32_t io_sim_ends(const struct io *io)
{
    return ((const struct sim *)io)->live;
}
