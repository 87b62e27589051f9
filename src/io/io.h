/* The completion interface: the only way anything here touches a descriptor or waits for time. One
 * `struct io` per thread. Backends: uring, epoll, sim. No callback ever runs inside a call of this
 * interface: completions go to a ready list and run from io_turn. */
#ifndef POPGATE_IO_IO_H
#define POPGATE_IO_IO_H

#include "base/clock.h"
#include "base/span.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum io_backend { IO_AUTO, IO_URING, IO_EPOLL, IO_SIM };

struct io;
struct io_socket;
struct io_listener;
struct io_timer;

struct io_options {
    enum io_backend
        backend; /* IO_AUTO submits a real operation and falls back to epoll; IO_URING fails hard */
    uint32_t operations_max; /* submission queue entries, a power of two; 0: default */
    uint32_t buffers;        /* receive buffers in the shared ring, a power of two; 0: default */
    uint32_t
        buffer_bytes; /* of one receive buffer; 0: default (16 KiB + a TLS record's overhead) */
    uint32_t buffers_per_socket_max; /* one socket may hold so many unreturned; 0: default (4) */
};

/* STATUS_OK, STATUS_DENIED (the kernel blocks io_uring and it was asked for by name), STATUS_SYSTEM
 * (errno kept). Call after privileges are dropped, on the thread that will run it. */
MUST_CHECK enum status io_new(const struct io_options *options, struct io **io);
/* Every socket, listener and timer must be closed first. */
void io_free(struct io *io);

/* The backend taken: never IO_AUTO. "io_uring", "epoll", "sim". */
enum io_backend io_backend_of(const struct io *io);
const char *io_backend_name(enum io_backend backend);
/* For the log, at start: why IO_AUTO did not take io_uring, which features the kernel lacks and
 * what stands in for them, what was made smaller to fit into locked memory. "; " between them; ""
 * when there is nothing to say. */
const char *io_notes(const struct io *io);

/* One turn: hands over what was asked since the last one, waits until something completes, a timer
 * is due, io_wake is called, or wait_ms_max has passed (0: do not wait), then runs the callbacks of
 * everything that completed. One system call where the backend allows it. */
MUST_CHECK enum status io_turn(struct io *io, uint32_t wait_ms_max);

/* The clocks as read at the start of the callbacks of this turn. */
const struct clock_now *io_now(const struct io *io);

/* From any thread: makes a waiting io_turn return and run `woken` (set once before). */
void io_set_wake(struct io *io, void (*woken)(void *context), void *context);
void io_wake(struct io *io);

/* ---- listening ---- */

struct io_accepted {
    int descriptor; /* non-blocking, close-on-exec */
};

/* Embedded by its owner; memory stays until `closed` has run. */
struct io_listener {
    struct io *io;
    /* Takes the descriptor: adopt it with io_socket_open or close(2) it. */
    void (*accepted)(struct io_listener *listener, struct io_accepted accepted);
    void (*closed)(struct io_listener *listener);
    int descriptor;
    uint32_t generation;
    uint8_t state;
    bool paused;
    void *backend_data;
    uint64_t accept_failures; /* EMFILE and kin: counted, backed off, retried */
};

/* Listens on a bound, listening, non-blocking descriptor (taken; on failure it stays the caller's).
 * TCP sockets accepted from it have TCP_NODELAY. */
MUST_CHECK enum status io_listen(struct io *io, struct io_listener *listener, int descriptor);
/* Stops and restarts accepting: for overload. What the kernel had accepted by then still comes. */
void io_listener_pause(struct io_listener *listener);
void io_listener_resume(struct io_listener *listener);
/* Closes; `closed` runs from a later turn. */
void io_listener_close(struct io_listener *listener);

/* Where an accepted descriptor's peer is; ss_family AF_UNSPEC if the kernel does not say. */
void io_peer_address(int descriptor, struct sockaddr_storage *address);

/* ---- sockets ---- */

/* A received buffer: valid until given back with io_buffer_return, which the owner must do exactly
 * once. */
struct io_buffer {
    const uint8_t *data;
    uint32_t size;
    uint32_t id;
};

struct io_socket_events {
    /* STATUS_OK: `buffer` holds at least one byte and now belongs to the owner. STATUS_CLOSED: the
     * peer will send no more. STATUS_SYSTEM: the socket broke. After anything but STATUS_OK nothing
     * more is received. */
    void (*received)(struct io_socket *socket, enum status status, struct io_buffer buffer);
    /* All of the last io_send went out (STATUS_OK), or it failed (STATUS_SYSTEM). */
    void (*sent)(struct io_socket *socket, enum status status);
    void (*connected)(struct io_socket *socket, enum status status);
    /* No operation is in flight any more, the descriptor is closed: the memory may be freed. Last
     * of all callbacks. */
    void (*closed)(struct io_socket *socket);
};

#define IO_SEND_SPANS_MAX 16

/* Embedded by its owner; memory stays until `closed` has run. Fields are the backend's. */
struct io_socket {
    struct io *io;
    const struct io_socket_events *events;
    int descriptor;
    uint32_t generation;
    uint16_t in_flight; /* operations the kernel still holds */
    uint8_t state;
    bool receiving, receive_wanted, sending, closing;
    bool sent_some; /* the kernel took bytes of the last io_send, also if that then failed */
    uint16_t buffers_held;
    int error; /* errno of the last failure, for the log */
    void *backend_data;
};

/* Adopts an accepted descriptor (taken; on failure it stays the caller's). Receiving starts only
 * with io_receive. */
MUST_CHECK enum status io_socket_open(struct io *io, struct io_socket *socket,
                                      const struct io_socket_events *events, int descriptor);

/* Makes a stream socket (AF_INET, AF_INET6, AF_UNIX; TCP_NODELAY) and connects; `connected`
 * follows, once. The address is copied. Receiving and sending may be asked for at once; they begin
 * when connected. On failure (no descriptor is left) socket->error says why and no callback
 * follows. After a failed `connected` only io_close is of use. */
MUST_CHECK enum status io_connect(struct io *io, struct io_socket *socket,
                                  const struct io_socket_events *events,
                                  const struct sockaddr *address, socklen_t address_size);

/* Keeps receiving until io_receive_pause. Both are cheap and idempotent. After a pause nothing is
 * received before the next io_receive: what was on its way waits inside io, outside the shared
 * buffers. At most buffers_per_socket_max are ever held by one socket; receiving goes on when one
 * is returned. */
void io_receive(struct io_socket *socket);
void io_receive_pause(struct io_socket *socket);
void io_buffer_return(struct io_socket *socket, struct io_buffer buffer);

/* Sends all of `count` (1 to IO_SEND_SPANS_MAX) spans, however short the kernel's writes are; one
 * at a time per socket. The bytes stay the caller's and must stay unchanged until `sent`; the spans
 * array itself is copied. */
void io_send(struct io_socket *socket, const struct span *spans, size_t count);

/* Half-close towards the peer, after what was sent. Nothing can be sent afterwards. */
void io_shutdown(struct io_socket *socket);

/* Ends everything: pending operations are cancelled, `closed` follows from a later turn; no other
 * callback runs after this call except `closed`. Buffers still held must be returned before
 * `closed` runs or within it. */
void io_close(struct io_socket *socket);

/* ---- timers: a hashed wheel of our own, 1 ms grain, never early ---- */

struct io_timer {
    struct io_timer *next, *previous; /* wheel links; next == NULL: not on the wheel */
    uint64_t due_ms;                  /* or IO_TIMER_RESTS */
    uint64_t placed_ms;               /* when the wheel looks at it: at due_ms or before */
    void (*fired)(struct io_timer *timer);
};
#define IO_TIMER_RESTS UINT64_MAX

/* Sets or moves. O(1), no system call. Zero-initialise a timer before first use. */
void io_timer_set(struct io *io, struct io_timer *timer, uint64_t delay_ms);
/* The same, counted from io_now: early by what the turn has lasted so far, and no clock is read.
 * For the timeouts that every request sets. */
void io_timer_set_from_turn(struct io *io, struct io_timer *timer, uint64_t delay_ms);
/* Calls it off. Afterwards its memory may go. */
void io_timer_cancel(struct io *io, struct io_timer *timer);
/* Calls it off, to be set again soon: for the timers that every request sets. io_timer_cancel
 * before its memory goes. */
void io_timer_rest(struct io_timer *timer);
static inline bool io_timer_is_set(const struct io_timer *timer)
{
    return timer->next != NULL && timer->due_ms != IO_TIMER_RESTS;
}

/* ---- what the admin page shows ---- */
struct io_counters {
    uint64_t turns, system_calls, completions;
    uint64_t overflows;      /* completion queue overflows, survived */
    uint64_t out_of_buffers; /* ENOBUFS */
    uint64_t accept_backoffs;
    uint64_t short_sends;
    uint64_t locked_bytes;
};
void io_read_counters(const struct io *io, struct io_counters *out);

#endif
