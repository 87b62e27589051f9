/* Between upstream_h2.c (the connection), upstream_h2_stream.c (its streams) and upstream_h2_head.c
 * (the head of a request). */
#ifndef POPGATE_PROXY_UPSTREAM_H2_INTERNAL_H
#define POPGATE_PROXY_UPSTREAM_H2_INTERNAL_H

#include "http/h2_session.h"
#include "proxy/core.h"
#include "proxy/exchange.h"
#include "proxy/h2_fields.h"
#include "proxy/upstream_h2.h"

struct upstream_h2_stream {
    struct h2_stream stream;  /* first */
    struct upstream upstream; /* what the exchange holds; its own socket and buffers are not used */
    struct upstream_h2 *connection;
    struct upstream_h2_stream *next, *previous;
    struct buffer out, trailers;
    struct io_timer timer;
    /* A WebSocket's head, until the service's first SETTINGS say whether it takes one. */
    char *held;
    size_t held_size;
    bool out_end;
    bool submitted;
    bool whole; /* the request is: its answer is waited for */
    uint8_t informational_count;
};

struct upstream_h2 {
    struct io_socket socket; /* first */
    struct proxy *proxy;
    struct upstream_h2 *next, *previous; /* of all open ones */
    struct upstream_h2 *dirty_next;
    struct h2_session *session;
    struct upstream_h2_stream *streams;
    uint32_t streams_count;
    struct buffer out;
    size_t sending;
    struct io_timer timer; /* connecting, idle, or a service that is silent */
    struct http_limits limits;
    uint64_t epoch, heard_ms;
    uint8_t state; /* enum upstream_state */
    bool dirty, busy, retiring;
    bool asked; /* a PING is on its way */
};

static inline uint64_t upstream_h2_now_ms(const struct proxy *proxy)
{
    return io_now(proxy->io)->boot_ns / 1000000u;
}

/* ---- upstream_h2.c ---- */

/* Of a connection that has room for one more stream, or a new one; NULL: there is none to be had.
 */
struct upstream_h2 *upstream_h2_connection(struct proxy *proxy);
/* The end of the turn will send. */
void upstream_h2_mark_dirty(struct upstream_h2 *connection);
/* Moves the timer to what the connection's state wants. */
void upstream_h2_update_timer(struct upstream_h2 *connection);

/* ---- upstream_h2_stream.c ---- */

extern const struct h2_handler upstream_h2_handler;

void upstream_h2_stream_free(struct upstream_h2_stream *stream);
/* Tells the exchange, which is then rid of the stream. */
void upstream_h2_stream_fail(struct upstream_h2_stream *stream, enum proxy_upstream_error kind,
                             enum exchange_reach reach, const char *reason);

/* ---- upstream_h2_head.c ---- */

/* The head as request_head_write gives it, so that what is stripped and set is the same for both
 * versions: the request line and Host become pseudo-header fields, the framing is HTTP/2's, and a
 * WebSocket extended CONNECT (RFC 8441). The fields point into `text` and `head`. */
void upstream_h2_fill_head(struct h2_fields *fields, struct span text,
                           const struct http_head *head);

#endif
