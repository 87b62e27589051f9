/* One request and its answer: the check, the way to the service and back, the outcome and its log
 * line. Knows nothing of the version the client speaks: the connection that owns it brings the
 * parsed head and the body's payload, and is told what to answer through `struct exchange_client`.
 */
#ifndef POPGATE_PROXY_EXCHANGE_H
#define POPGATE_PROXY_EXCHANGE_H

#include "auth/gate.h"
#include "http/message.h"
#include "io/io.h"
#include "proxy/answer.h"
#include "proxy/client_address.h"
#include "proxy/metrics.h"
#include "proxy/websocket.h"
#include "store/store.h"
#include "tls/peer.h"

struct proxy;
struct upstream;
struct exchange;

/* What an exchange asks of its owner. After answer_end, answer_made and answer_cut the exchange is
 * over: its memory stays until the turn ends, but nothing more comes from it. */
struct exchange_client {
    /* The request is allowed: its body may come (exchange_takes_body says how long). */
    void (*body_wanted)(struct exchange *exchange);
    void (*informational)(struct exchange *exchange, struct http_head *head);
    void (*answer_head)(struct exchange *exchange, struct http_head *head);
    void (*answer_body)(struct exchange *exchange, struct span payload);
    /* Before answer_end. Live for the call. */
    void (*answer_trailers)(struct exchange *exchange, const struct http_head *trailers);
    void (*answer_end)(struct exchange *exchange);
    /* A whole answer of the gate's own; nothing was answered before. */
    void (*answer_made)(struct exchange *exchange, const struct answer *answer);
    /* The answer cannot be completed: the client must see a cut, never a clean end. */
    void (*answer_cut)(struct exchange *exchange);
    /* Bytes that the client has not taken yet. */
    size_t (*answer_waiting)(const struct exchange *exchange);
};

struct exchange {
    struct proxy *proxy;
    const struct exchange_client *client;
    void *owner;
    struct exchange *next; /* of the finished ones */
    struct exchange *waiting_next;

    /* Set by the owner before exchange_start; live until the exchange is over. */
    const struct tls_peer *peer;
    struct span server_name;
    const struct client_address *client_address; /* may be NULL */
    bool has_head;      /* `request` is whole: false for what could not be parsed */
    bool body_complete; /* the whole request body has been handed over (at the start: there is none)
                         */

    struct upstream *upstream;
    bool submitted; /* the check may hold something of auth's */
    bool deciding;  /* the check is pending or storing */
    bool over;
    bool answer_begun; /* the answer's head went to the client */
    bool body_dropped; /* the service reads no more of the body: take it and drop it */
    bool paused;       /* reading the answer waits for the client */
    bool retried;
    bool waiting; /* for a connection to the service: proxy/upstream_wait.h */
    bool shadow_denied;
    bool long_lived;              /* gRPC: silence is no fault of either side */
    struct span request_trailers; /* lines; live for exchange_body_end, or empty */
    /* After the 101, or the 2xx to extended CONNECT: body_complete means that the client
     * half-closed. */
    bool tunnel;

    struct store_request stored; /* while the check is AUTH_STORING */

    struct io_timer expiry; /* of what has no end of its own: at the token's exp, or the
                               certificate's end */
    int64_t expires_s;
    struct io_timer total;                         /* timeouts.total, until a tunnel opens */
    char websocket_accept[WEBSOCKET_ACCEPT_BYTES]; /* if the request asks for an upgrade */
    char websocket_key[WEBSOCKET_KEY_BYTES];       /* our own, for extended CONNECT */

    /* for the log and the metrics */
    enum proxy_outcome outcome;
    uint16_t status;
    const char *reason; /* static words, or NULL */
    uint64_t bytes_in, bytes_out;
    uint64_t started_ns, forwarded_ns; /* boot clock */
    size_t success_fields_size;        /* of what auth adds to an allowed request's answer */

    struct auth_check check;
    /* large: last, not zeroed */
    char success_fields[AUTH_CHALLENGE_BYTES_MAX];
    struct http_head request;
};

/* From the slab; NULL at its bound. Everything but the large members is zeroed. */
struct exchange *exchange_new(struct proxy *proxy, const struct exchange_client *client,
                              void *owner);
/* For one that never started. */
void exchange_discard(struct exchange *exchange);

/* ---- from the owner ---- */

/* The head is in `request`: checks the origin and submits to auth. May answer at once. */
void exchange_start(struct exchange *exchange);
/* There is no usable head: answers, closing the connection. */
void exchange_reject(struct exchange *exchange, const struct http_refusal *refusal);
bool exchange_takes_body(const struct exchange *exchange);
void exchange_body(struct exchange *exchange, struct span payload);
void exchange_body_end(struct exchange *exchange);
/* The body is broken, too large or too slow: answers if nothing was answered yet, cuts if something
 * was. */
void exchange_body_failed(struct exchange *exchange, const struct http_refusal *refusal);
/* A bound of ours on time has passed: 408 while the body has not come, else 504 or a cut. */
void exchange_too_slow(struct exchange *exchange, const char *reason);
/* grpc-timeout has passed. */
void exchange_deadline(struct exchange *exchange);
/* The client has taken bytes of the answer. */
void exchange_client_room(struct exchange *exchange);
/* The client is gone: nothing can be answered. */
void exchange_client_gone(struct exchange *exchange, const char *reason);

/* ---- from the worker's turn ---- */
void exchange_decided(struct exchange *exchange);
/* After waiting for a connection to the service; `last_try`: it is refused rather than wait again.
 */
void exchange_forward_again(struct exchange *exchange, bool last_try);
void exchange_free_finished(struct proxy *proxy);

/* ---- from the upstream ---- */
void exchange_upstream_room(struct exchange *exchange);
void exchange_upstream_stopped_reading(struct exchange *exchange);
void exchange_upstream_informational(struct exchange *exchange, struct http_head *head);
void exchange_upstream_head(struct exchange *exchange, struct http_head *head);
/* Of a service that speaks HTTP/1.1: whether a 101 answers what was asked for; then
 * exchange_upstream_head opens the tunnel. */
bool exchange_upstream_switches(const struct exchange *exchange, const struct http_head *head);
/* The same service did not switch, with an answer that is no refusal: to the client of an extended
 * CONNECT a 2xx would be an open tunnel. */
bool exchange_upstream_misleads(const struct exchange *exchange, const struct http_head *head);
/* The service's HTTP/2 takes no extended CONNECT: an Upgrade is ignored, a CONNECT is answered. The
 * exchange leaves the upstream. */
void exchange_upstream_unfit(struct exchange *exchange);
void exchange_upstream_body(struct exchange *exchange, struct span payload);
void exchange_upstream_trailers(struct exchange *exchange, const struct http_head *trailers);
void exchange_upstream_end(struct exchange *exchange);
/* What a connection that was used before had come to when it failed. */
enum exchange_reach {
    EXCHANGE_UNSENT,     /* not one byte of the request was taken by the kernel */
    EXCHANGE_UNANSWERED, /* closed, without one byte of an answer */
    EXCHANGE_REFUSED,    /* the service says that it did not look at it */
    EXCHANGE_REACHED,    /* anything else, and every failure of a new connection */
};
/* It failed; the upstream is closing by itself. */
void exchange_upstream_failed(struct exchange *exchange, enum proxy_upstream_error kind,
                              enum exchange_reach reach);

#endif
