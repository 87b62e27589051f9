#include "io/internal.h"
#include "io/sim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NS_PER_MS 1000000u

static uint32_t power_of_two(uint32_t value, uint32_t low, uint32_t high)
{
    uint32_t power = low;
    while (power < value && power < high) {
        power *= 2;
    }
    return power;
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static struct io_options resolve(const struct io_options *options)
{
    struct io_options taken = *options;
    taken.operations_max = power_of_two(or_default(options->operations_max, IO_OPERATIONS_DEFAULT),
                                        IO_OPERATIONS_MIN, IO_OPERATIONS_MAX);
    taken.buffers = power_of_two(or_default(options->buffers, IO_BUFFERS_DEFAULT), IO_BUFFERS_MIN,
                                 IO_BUFFERS_MAX);
    taken.buffer_bytes = or_default(options->buffer_bytes, IO_BUFFER_BYTES_DEFAULT);
    if (taken.buffer_bytes > IO_BUFFER_BYTES_MAX) {
        taken.buffer_bytes = IO_BUFFER_BYTES_MAX;
    }
    taken.buffers_per_socket_max = or_default(options->buffers_per_socket_max,
                                              IO_BUFFERS_PER_SOCKET_DEFAULT);
    /* At most half of them, so that no socket can take them all. */
    uint32_t limit = taken.buffers / 2 < IO_BUFFERS_PER_SOCKET_MAX ? taken.buffers / 2
                                                                   : IO_BUFFERS_PER_SOCKET_MAX;
    if (taken.buffers_per_socket_max > limit) {
        taken.buffers_per_socket_max = limit;
    }
    return taken;
}

enum status io_new(const struct io_options *options, struct io **io)
{
    *io = NULL;
    struct io_options taken = resolve(options);
    switch (options->backend) {
    case IO_URING:
        return io_uring_new(&taken, io);
    case IO_EPOLL:
        return io_epoll_new(&taken, io);
    case IO_SIM:
        return io_sim_new_resolved(&taken, &(struct io_sim_options){0}, io);
    case IO_AUTO:
        break;
    }
    if (io_uring_new(&taken, io) == STATUS_OK) {
        return STATUS_OK;
    }
    int refused = errno;
    enum status status = io_epoll_new(&taken, io);
    if (status == STATUS_OK) {
        errno = refused;
        io_note(*io, "io_uring not taken: %m");
    }
    return status;
}

enum status io_sim_new(const struct io_options *options, const struct io_sim_options *sim,
                       struct io **io)
{
    *io = NULL;
    struct io_options taken = resolve(options);
    return io_sim_new_resolved(&taken, sim, io);
}

void io_free(struct io *io)
{
    if (io == NULL) {
        return;
    }
    assert(!io->in_turn);
    io->backend->release(io);
}

enum status io_init_common(struct io *io, const struct io_backend_functions *backend,
                           const struct io_options *options, uint32_t ready_reserved)
{
    io->backend = backend;
    io->options = *options;
    io->ready_reserved = ready_reserved;
    io->ready_max = ready_reserved + IO_STEP_ROOM;
    slab_init(&io->transfers, sizeof(struct io_transfer), 0, SIZE_MAX);
    io->wake_descriptor = eventfd(0, EFD_CLOEXEC);
    if (io->wake_descriptor < 0) {
        return STATUS_SYSTEM;
    }
    io->ready = malloc(io->ready_max * sizeof *io->ready);
    if (io->ready == NULL ||
        io_buffers_init(&io->buffers, options->buffers, options->buffer_bytes) != STATUS_OK) {
        free(io->ready);
        close(io->wake_descriptor);
        errno = ENOMEM;
        return STATUS_NO_MEMORY;
    }
    atomic_init(&io->wake_pending, false);
    return STATUS_OK;
}

void io_start_common(struct io *io)
{
    io->now = io->backend->clock(io);
    timer_wheel_init(&io->timers, io->now.boot_ns / NS_PER_MS);
}

void io_cleanup_common(struct io *io)
{
    assert(io->buffers.out == 0); /* every buffer received was returned */
    io_endpoints_cleanup(io);
    slab_cleanup(&io->transfers);
    io_buffers_cleanup(&io->buffers);
    free(io->ready);
    close(io->wake_descriptor);
}

void io_note(struct io *io, const char *format, ...)
{
    size_t used = strlen(io->notes);
    if (used > 0 && used < sizeof io->notes - 3) {
        memcpy(io->notes + used, "; ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(io->notes + used, sizeof io->notes - used, format, arguments);
    va_end(arguments);
}

enum io_backend io_backend_of(const struct io *io)
{
    return io->backend->kind;
}

const char *io_backend_name(enum io_backend backend)
{
    switch (backend) {
    case IO_AUTO:
        return "auto";
    case IO_URING:
        return "io_uring";
    case IO_EPOLL:
        return "epoll";
    case IO_SIM:
        return "sim";
    }
    return "unknown";
}

const char *io_notes(const struct io *io)
{
    return io->notes;
}

/* ---- the turn ---- */

static bool step(struct io *io, struct io_endpoint *endpoint)
{
    return endpoint->is_listener ? io_listener_step(io, endpoint) : io_socket_step(io, endpoint);
}

static void hand_over(struct io *io)
{
    io_feed_starved(io);
    while (io->todo_first != NULL) {
        struct io_endpoint *endpoint = io->todo_first;
        bool room = io->ready_count + IO_STEP_COMPLETIONS_MAX <= io->ready_max - io->ready_reserved;
        if (!room || !step(io, endpoint)) {
            return; /* the rest next turn */
        }
        io->todo_first = endpoint->next;
        if (io->todo_first == NULL) {
            io->todo_last = NULL;
        }
        endpoint->queued = false;
    }
}

static uint64_t wait_ns(struct io *io, uint32_t wait_ms_max)
{
    bool work = io->ready_count > 0 || io->todo_first != NULL ||
                (io->starved_count > 0 && io->buffers.free > 0);
    if (work || wait_ms_max == 0) {
        return 0;
    }
    uint64_t wait = (uint64_t)wait_ms_max * NS_PER_MS;
    uint64_t next_ms = timer_wheel_next_ms(&io->timers);
    if (next_ms != TIMER_WHEEL_NEVER) {
        uint64_t now_ns = io->backend->boot_ns(io);
        uint64_t next_ns = next_ms * NS_PER_MS;
        uint64_t until = next_ns > now_ns ? next_ns - now_ns : 0;
        wait = until < wait ? until : wait;
    }
    return wait;
}

enum status io_turn(struct io *io, uint32_t wait_ms_max)
{
    assert(!io->in_turn);
    io->in_turn = true;
    io->counters.turns++;
    hand_over(io);
    enum status status = io->backend->wait(io, wait_ns(io, wait_ms_max));
    io->now = io->backend->clock(io);
    timer_wheel_advance(&io->timers, io->now.boot_ns / NS_PER_MS);
    /* Nothing is added meanwhile: callbacks only write down what they want. */
    for (uint32_t i = 0; i < io->ready_count; i++) {
        io_dispatch(io, io->ready[i]);
    }
    io->counters.completions += io->ready_count;
    io->ready_count = 0;
    timer_wheel_fire(&io->timers);
    if (io->wake_seen) {
        io->wake_seen = false;
        if (io->woken != NULL) {
            io->woken(io->wake_context);
        }
    }
    io->in_turn = false;
    return status;
}

/* The completion of an operation whose endpoint is gone: what it brought must not leak. */
static void discard(struct io *io, struct io_completion done)
{
    io->stale++;
    if (done.flags & COMPLETION_BUFFER) {
        io_buffers_give(io, done.flags >> COMPLETION_BUFFER_SHIFT);
    }
    if (io_tag_operation(done.tag) == OP_ACCEPT && done.result >= 0) {
        io->backend->drop(io, done.result);
    }
}

void io_dispatch(struct io *io, struct io_completion done)
{
    switch (io_tag_operation(done.tag)) {
    case OP_NONE:
        return;
    case OP_WAKE:
        /* Read from the descriptor first, cleared second, `woken` run last: whoever found it set
         * after our read published its work before our exchange (acquire), and `woken` sees it. */
        atomic_exchange_explicit(&io->wake_pending, false, memory_order_acq_rel);
        io->wake_seen = true;
        return;
    default:
        break;
    }
    struct io_endpoint *endpoint = io_endpoint_find(io, done.tag);
    if (endpoint == NULL) {
        discard(io, done);
    } else if (endpoint->is_listener) {
        io_listener_complete(io, endpoint, done);
    } else {
        io_socket_complete(io, endpoint, done);
    }
}

const struct clock_now *io_now(const struct io *io)
{
    return &io->now;
}

void io_set_wake(struct io *io, void (*woken)(void *context), void *context)
{
    io->woken = woken;
    io->wake_context = context;
}

void io_wake(struct io *io)
{
    /* Release: what the caller did before is seen by `woken`. One write until it is read, however
     * many call. */
    if (!atomic_exchange_explicit(&io->wake_pending, true, memory_order_acq_rel)) {
        io->backend->wake(io);
    }
}

/* ---- timers ---- */

static void set_timer(struct io *io, struct io_timer *timer, uint64_t now_ns, uint64_t delay_ms)
{
    uint64_t now_ms = (now_ns + NS_PER_MS - 1) / NS_PER_MS; /* rounded up: never early */
    uint64_t due_ms = delay_ms < UINT64_MAX / 2 ? now_ms + delay_ms : UINT64_MAX / 2;
    timer_wheel_set(&io->timers, timer, due_ms);
}

void io_timer_set(struct io *io, struct io_timer *timer, uint64_t delay_ms)
{
    if (delay_ms == 0) {
        timer_wheel_set(&io->timers, timer, 0);
        return;
    }
    /* From the time it is now, not from the turn's. */
    set_timer(io, timer, io->backend->boot_ns(io), delay_ms);
}

void io_timer_set_from_turn(struct io *io, struct io_timer *timer, uint64_t delay_ms)
{
    set_timer(io, timer, io->now.boot_ns, delay_ms);
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
    timer_wheel_cancel(&io->timers, timer);
}

void io_timer_rest(struct io_timer *timer)
{
    timer_wheel_rest(timer);
}

void io_read_counters(const struct io *io, struct io_counters *out)
{
    *out = io->counters;
}
