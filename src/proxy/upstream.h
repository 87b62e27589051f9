/* One connection to the service, HTTP/1.1: carries one exchange at a time, and waits in the
 * worker's pool between them. */
#ifndef POPGATE_PROXY_UPSTREAM_H
#define POPGATE_PROXY_UPSTREAM_H

#include "base/buffer.h"
#include "http/http1.h"
#include "io/io.h"
#include "proxy/metrics.h"

struct proxy;
struct exchange;

enum upstream_state {
    UPSTREAM_CONNECTING,
    UPSTREAM_OPEN,
    UPSTREAM_CLOSING, /* waits for io's `closed` */
};

enum upstream_timer {
    UPSTREAM_TIMER_NONE,
    UPSTREAM_TIMER_CONNECT,
    UPSTREAM_TIMER_SEND, /* the service does not read */
    UPSTREAM_TIMER_HEAD,
    UPSTREAM_TIMER_BODY,
    UPSTREAM_TIMER_IDLE,
};

struct upstream {
    struct io_socket socket; /* first */
    struct proxy *proxy;
    struct exchange *exchange;                /* NULL: idle, or closing */
    struct upstream *next, *previous;         /* of all open ones */
    struct upstream *pool_older, *pool_newer; /* while pooled */
    struct upstream *dirty_next;
    struct buffer out;
    size_t sending; /* bytes of `out` that the kernel is being given */
    struct io_timer timer;

    uint8_t *input; /* a response head that came in pieces; NULL between heads */
    uint32_t input_size;
    struct http1_scan scan;
    struct http1_body body;
    struct buffer trailers; /* of the answer, as they came, until its body ends */

    bool is_stream; /* of an HTTP/2 connection: proxy/upstream_h2.h */
    uint64_t epoch; /* of the service's address: a connection to an old one is not pooled */
    uint8_t state, timer_kind;
    uint8_t informational_count;
    bool pooled, dirty, reused;
    bool written;      /* the kernel took bytes of this exchange's request, or may have */
    bool request_done; /* every byte of the request is in `out`, or sent */
    bool send_failed;
    bool head_done;
    bool keep_alive; /* as the response says */
    /* Connection named fields that are not known any more when trailers come: none of them passes.
     */
    bool drop_trailers;
    bool poisoned;    /* framing in doubt: never pooled */
    bool half_close;  /* once `out` is empty */
    bool end_pending; /* closed by the service while a send was in flight: judged when that ends */
};

/* A connection for `exchange`: the newest idle one, or (and always if `fresh`) a new one. NULL:
 * *kind says why. */
struct upstream *upstream_acquire(struct proxy *proxy, struct exchange *exchange, bool fresh,
                                  enum proxy_upstream_error *kind);

/* Appends bytes of the request; STATUS_FULL: the worker's buffers are used up, nothing was
 * appended. STATUS_UNSUPPORTED: a WebSocket is asked for, and the service's HTTP/2 takes none. */
MUST_CHECK enum status upstream_write_head(struct upstream *upstream, struct span head_text,
                                           bool has_body);
MUST_CHECK enum status upstream_write(struct upstream *upstream, struct span bytes);
/* Trailers, as lines, behind the body of a stream. Before upstream_request_end. */
MUST_CHECK enum status upstream_write_trailers(struct upstream *upstream, struct span lines);
/* Everything was appended. */
void upstream_request_end(struct upstream *upstream);
/* The tunnel's client will send no more: nor do we, after what was appended. */
void upstream_half_close(struct upstream *upstream);
/* Bytes appended that the kernel has not taken. */
size_t upstream_waiting(const struct upstream *upstream);

void upstream_pause(struct upstream *upstream);
void upstream_resume(struct upstream *upstream);

/* The exchange is over: pooled if nothing speaks against it, else closed. */
void upstream_release(struct upstream *upstream);
/* The exchange was given up: closed at once. */
void upstream_abandon(struct upstream *upstream);

/* Moves what was to be sent to another connection (a retry). */
void upstream_move_request(struct upstream *from, struct upstream *to);

/* Hands the waiting bytes to io: at the end of the turn. */
void upstream_flush_all(struct proxy *proxy);
/* Closes what is idle (drain, another upstream address). */
void upstream_close_idle(struct proxy *proxy);

#endif
