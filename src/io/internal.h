/* What the parts of io share. A backend only starts operations and delivers completions; everything
 * that follows from a completion (who may be called, what is re-armed, when memory is free) is
 * decided once, in socket.c and listener.c.
 *
 * One turn:   to-do list --start_*()--> backend --completions--> ready list --dispatch--> callbacks
 *                 ^                                                               |
 *                 +------------- io_send, io_receive, io_close ... ---------------+
 *
 * A call of the interface only writes down what is wanted and puts the endpoint on the to-do list.
 * The next turn hands over what is still wanted then. So no call can fail for want of a submission
 * entry, and none runs a callback. */
#ifndef POPGATE_IO_INTERNAL_H
#define POPGATE_IO_INTERNAL_H

#include "base/memory.h"
#include "io/io.h"
#include "io/timer_wheel.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define IO_OPERATIONS_DEFAULT         1024
#define IO_OPERATIONS_MIN             8
#define IO_OPERATIONS_MAX             32768
#define IO_BUFFERS_DEFAULT            256
#define IO_BUFFERS_MIN                2
#define IO_BUFFERS_MAX                32768
#define IO_BUFFER_BYTES_DEFAULT       16704 /* TLSCiphertext: 2^14 + 256 + 5, and whole cache lines */
#define IO_BUFFER_BYTES_MAX           (1u << 20)
#define IO_BUFFERS_PER_SOCKET_DEFAULT 4
#define IO_BUFFERS_PER_SOCKET_MAX     16
#define IO_SPILL_MAX                  1024 /* buffers' worth of data that waits outside the shared buffers */
#define IO_LOCKED_BYTES_MAX           (8u << 20)
#define IO_ACCEPT_BATCH_MAX                                                                        \
    32 /* connections taken from one listener a turn, where we take them                           \
        */
#define IO_STEP_COMPLETIONS_MAX (IO_BUFFERS_PER_SOCKET_MAX + 8) /* of one endpoint in one step */
#define IO_STEP_ROOM            1024 /* completions that steps may add before the backend waits */
#define IO_BACKOFF_MS_MIN       10   /* accept at EMFILE and kin: doubles ... */
#define IO_BACKOFF_MS_MAX       160
#define IO_NOTES_BYTES          512

enum io_operation {
    OP_NONE, /* nobody waits for it: cancellations */
    OP_RECEIVE,
    OP_SEND,
    OP_CONNECT,
    OP_ACCEPT,
    OP_CLOSE,
    OP_WAKE,
    OP_DELIVER, /* our own: hand over what was received while nobody wanted it */
};

/* What an operation came to; `result` and `flags` as io_uring has them, so that its entries are
 * copied as they are. */
struct io_completion {
    uint64_t tag;
    int32_t result;
    uint32_t flags;
};
#define COMPLETION_BUFFER       1u /* the id of a receive buffer is in the upper half */
#define COMPLETION_MORE         2u /* the operation goes on */
#define COMPLETION_BUFFER_SHIFT 16

/* A send's progress, a connect's address or a listener's back-off: what an endpoint needs only at
 * times. */
struct io_transfer {
    union {
        struct {
            struct msghdr message; /* what is left of the spans */
            size_t remaining;
            struct iovec spans[IO_SEND_SPANS_MAX];
        };
        struct {
            struct sockaddr_storage address;
            socklen_t address_size;
        };
        struct {
            struct io_timer backoff;
            uint32_t backoff_ms;
            struct io_listener *backing_off;
        };
    };
};

/* One socket or listener as io sees it. Slots are reused, addresses and indices are stable; the
 * generation tells a slot's users apart, so that what completes late for an earlier one is
 * recognised. */
struct io_endpoint {
    struct io_endpoint *next; /* on the to-do list; among the free ones */
    struct io_endpoint *next_starved, *previous_starved;
    union {
        struct io_socket *socket;
        struct io_listener *listener;
    };
    struct io_transfer *transfer; /* a socket's send, a listener's back-off */
    struct io_transfer *connect;
    uint32_t index;
    uint32_t generation;                  /* 24 bits */
    uint32_t pending_first, pending_last; /* buffers received and not wanted yet, linked by id */
    uint16_t pending_count;
    int32_t end_result; /* 0: end of stream, negative: errno; valid with `ended` */
    bool is_listener, queued, starved;
    bool ended;    /* nothing more will be received */
    bool end_told; /* and the owner knows */
    bool connect_wanted, send_wanted, shutdown_wanted;
    bool cancelling; /* of the receive or accept in flight */
    bool close_started, close_done;
    bool accepting; /* listener: in flight */
    /* the backend's own */
    uint16_t armed;
    uint16_t readiness;
    uint32_t budget;
    void *link;
};

#define ENDPOINTS_PER_CHUNK 256
#define ENDPOINT_CHUNKS_MAX 4096

struct io_endpoints {
    struct io_endpoint *chunks[ENDPOINT_CHUNKS_MAX];
    uint32_t chunk_count;
    uint32_t live;
    struct io_endpoint *free_first;
};

/* Ids below `count` are the shared buffers, in the kernel's hands or ours; those above are spill:
 * memory of our own, made on first use, where data waits whose socket does not want it now. */
struct io_buffer_slot {
    uint8_t *data;
    uint32_t size;
    uint32_t next : 31;
    uint32_t out : 1; /* received into and not given back */
};
#define BUFFER_NONE 0x7fffffffu

struct io_buffers {
    uint8_t *memory;
    size_t memory_bytes;
    struct io_buffer_slot *slots;
    uint32_t count, bytes;
    uint32_t free;       /* shared buffers that can be received into */
    uint32_t free_first; /* among ours: last returned, first used, for it is warm */
    uint32_t spill_first;
    uint32_t out; /* all that is received into and not given back */
    uint64_t spilled;
};

struct io_backend_functions {
    enum io_backend kind;
    void (*release)(struct io *io);
    /* CLOCK_BOOTTIME, or the simulated one. */
    uint64_t (*boot_ns)(struct io *io);
    struct clock_now (*clock)(struct io *io);
    /* Submits, waits for a first completion up to wait_ns, and puts all there are on the ready
     * list. */
    enum status (*wait)(struct io *io, uint64_t wait_ns);
    /* Each starts an operation that ends with a completion tagged so; false: no room now, ask again
     * next turn. start_receive: into at most `buffers_max` buffers. */
    bool (*start_receive)(struct io *io, struct io_endpoint *endpoint, uint32_t buffers_max);
    bool (*start_send)(struct io *io, struct io_endpoint *endpoint);
    bool (*start_connect)(struct io *io, struct io_endpoint *endpoint);
    bool (*start_accept)(struct io *io, struct io_endpoint *endpoint);
    /* The receive or accept in flight ends soon, with -ECANCELED or as it happens. */
    bool (*cancel)(struct io *io, struct io_endpoint *endpoint, enum io_operation operation);
    /* Cancels all, closes the descriptor, completes OP_CLOSE; operations in flight complete before
     * or after it. */
    bool (*close)(struct io *io, struct io_endpoint *endpoint);
    void (*shutdown)(struct io *io, struct io_endpoint *endpoint);
    /* A shared buffer can be received into again. */
    void (*buffer_given)(struct io *io, uint32_t id);
    /* Closes a descriptor that nobody took. */
    void (*drop)(struct io *io, int descriptor);
    void (*wake)(struct io *io);
    /* NULL: a kernel socket is made. */
    int (*make_socket)(struct io *io, int family);
};

struct io {
    const struct io_backend_functions *backend;
    struct io_options options; /* as taken: no zeros */
    struct clock_now now;
    struct timer_wheel timers;
    struct io_counters counters;
    struct io_endpoints endpoints;
    struct io_endpoint *todo_first, *todo_last;
    struct io_endpoint *starved_first, *starved_last;
    uint32_t starved_count;
    struct io_completion *ready;
    uint32_t ready_count, ready_max;
    uint32_t ready_reserved; /* what `wait` may add */
    struct io_buffers buffers;
    struct slab transfers;
    void (*woken)(void *context);
    void *wake_context;
    int wake_descriptor;
    atomic_bool wake_pending; /* written to the descriptor and not yet seen */
    bool wake_seen;
    bool in_turn;
    uint64_t stale; /* completions for an earlier user of a slot: none may come, all are survived */
    char notes[IO_NOTES_BYTES];
};

/* ---- io.c ---- */

/* The parts all backends share; `io` is zeroed. `ready_reserved`: completions one `wait` may add at
 * most. On failure nothing is left to release. */
MUST_CHECK enum status io_init_common(struct io *io, const struct io_backend_functions *backend,
                                      const struct io_options *options, uint32_t ready_reserved);
/* Once the backend can tell the time: reads it, and sets the timers going. */
void io_start_common(struct io *io);
void io_cleanup_common(struct io *io);
/* Adds to io_notes. */
__attribute__((format(printf, 2, 3))) void io_note(struct io *io, const char *format, ...);
void io_dispatch(struct io *io, struct io_completion done);

/* There is always room: the turn keeps `ready_reserved` free for the backend. */
static inline void io_complete(struct io *io, uint64_t tag, int32_t result, uint32_t flags)
{
    assert(io->ready_count < io->ready_max);
    io->ready[io->ready_count++] = (struct io_completion){tag, result, flags};
}

/* ---- endpoint.c ---- */

struct io_endpoint *io_endpoint_take(struct io *io);
void io_endpoint_give(struct io *io, struct io_endpoint *endpoint);
/* NULL when the tag is of an earlier user of the slot. */
struct io_endpoint *io_endpoint_find(struct io *io, uint64_t tag);
void io_endpoints_cleanup(struct io *io);

static inline uint64_t io_tag(const struct io_endpoint *endpoint, enum io_operation operation)
{
    return (uint64_t)operation << 56 | (uint64_t)endpoint->generation << 32 | endpoint->index;
}

static inline enum io_operation io_tag_operation(uint64_t tag)
{
    return (enum io_operation)(tag >> 56);
}

/* Puts the endpoint on the to-do list, if it is not there. */
static inline void io_touch(struct io *io, struct io_endpoint *endpoint)
{
    if (endpoint->queued) {
        return;
    }
    endpoint->queued = true;
    endpoint->next = NULL;
    if (io->todo_last != NULL) {
        io->todo_last->next = endpoint;
    } else {
        io->todo_first = endpoint;
    }
    io->todo_last = endpoint;
}

/* ---- buffers.c ---- */

MUST_CHECK enum status io_buffers_init(struct io_buffers *buffers, uint32_t count, uint32_t bytes);
void io_buffers_cleanup(struct io_buffers *buffers);
/* For backends that receive themselves: a free shared buffer, BUFFER_NONE when there is none. */
uint32_t io_buffers_take(struct io_buffers *buffers);
void io_buffers_put_back(struct io_buffers *buffers, uint32_t id);
/* Data came into the shared buffer `id`. */
void io_buffers_received(struct io_buffers *buffers, uint32_t id, uint32_t size);
/* Copies into spill and gives the shared buffer back; returns the new id, or the old one when spill
 * is full. */
uint32_t io_buffers_spill(struct io *io, uint32_t id);
/* The owner is done with it. */
void io_buffers_give(struct io *io, uint32_t id);

/* ---- socket.c, listener.c ---- */

/* Starts what is wanted. False: the backend has no room, ask again next turn. */
bool io_socket_step(struct io *io, struct io_endpoint *endpoint);
bool io_listener_step(struct io *io, struct io_endpoint *endpoint);
void io_socket_complete(struct io *io, struct io_endpoint *endpoint, struct io_completion done);
void io_listener_complete(struct io *io, struct io_endpoint *endpoint, struct io_completion done);
/* Lets as many starved sockets try again as there are buffers. */
void io_feed_starved(struct io *io);
/* Drops `size` bytes from the front of what is to be sent. */
void io_transfer_advance(struct io_transfer *transfer, size_t size);

/* ---- backends ---- */

/* errno is kept. */
MUST_CHECK enum status io_epoll_new(const struct io_options *options, struct io **io);
MUST_CHECK enum status io_uring_new(const struct io_options *options, struct io **io);
struct io_sim_options;
MUST_CHECK enum status io_sim_new_resolved(const struct io_options *options,
                                           const struct io_sim_options *sim, struct io **io);

/* Features of a kernel that a test can deny (io_uring_new_without), each otherwise tried at start.
 */
enum {
    URING_DEFER_TASKRUN = 1 << 0,
    URING_COOP_TASKRUN = 1 << 1,
    URING_MULTISHOT_ACCEPT = 1 << 2,
    URING_MULTISHOT_RECEIVE = 1 << 3,
    URING_MULTISHOT_CAP = 1 << 4,
    URING_SEND_WHOLE = 1 << 5, /* MSG_WAITALL on a send */
    URING_RING_DESCRIPTOR = 1 << 6,
};
MUST_CHECK enum status io_uring_new_without(const struct io_options *options, unsigned denied,
                                            struct io **io);

#endif
