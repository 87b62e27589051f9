/* What one worker's proxy counts. Written by the worker, read by the admin thread, which adds the
 * workers up (base/metrics.h). Every label comes from a list here, so that a page printed from it
 * cannot miss one. */
#ifndef POPGATE_PROXY_METRICS_H
#define POPGATE_PROXY_METRICS_H

#include "base/metrics.h"

/* requests_total{outcome}: exactly one a request, also for what was never a request (malformed). */
#define PROXY_OUTCOME_LIST(X)                                                                      \
    X(ALLOWED, "allowed")             /* forwarded and answered by the service */                  \
    X(DENIED, "denied")               /* auth said no: denials_total{check} says which check */    \
    X(SHADOW_DENIED, "shadow_denied") /* auth said no, forwarded all the same: mode shadow */      \
    X(REJECTED, "rejected")           /* malformed, misdirected or over a limit */                 \
    X(UPSTREAM_ERROR,                                                                              \
      "upstream_error") /* allowed, and the service failed before or during the answer */          \
    X(CLIENT_GONE, "client_gone") /* the client left, or stalled, before it was done */            \
    X(OVERLOADED, "overloaded")   /* a bound of our own: memory, descriptors */

enum proxy_outcome {
#define X(name, label) PROXY_OUTCOME_##name,
    PROXY_OUTCOME_LIST(X)
#undef X
        PROXY_OUTCOMES
};

/* handshakes_total{result,resumed="no"|"yes"} */
#define PROXY_HANDSHAKE_LIST(X)                                                                    \
    X(OK, "ok")                                                                                    \
    X(REFUSED, "refused") /* TLS or our own certificate rules said no */                           \
    X(TIMEOUT, "timeout")                                                                          \
    X(CLOSED, "closed") /* the client left in the middle */

enum proxy_handshake {
#define X(name, label) PROXY_HANDSHAKE_##name,
    PROXY_HANDSHAKE_LIST(X)
#undef X
        PROXY_HANDSHAKES
};

/* upstream_errors_total{kind} */
#define PROXY_UPSTREAM_ERROR_LIST(X)                                                               \
    X(REFUSED, "refused")                                                                          \
    X(CONNECT_TIMEOUT, "connect_timeout")                                                          \
    X(SEND, "send")     /* stopped reading the request */                                          \
    X(CLOSED, "closed") /* closed before a whole head */                                           \
    X(HEAD_TIMEOUT, "head_timeout")                                                                \
    X(ILLEGAL, "illegal") /* a head or framing that is not HTTP/1.1 */                             \
    X(CUT, "cut")         /* closed in the middle of a body */                                     \
    X(BODY_TIMEOUT, "body_timeout")                                                                \
    X(DESCRIPTORS, "descriptors") /* no socket to be had on this machine */                        \
    X(WEBSOCKET, "websocket")     /* the client's WebSocket met a service that takes none */

enum proxy_upstream_error {
#define X(name, label) PROXY_UPSTREAM_ERROR_##name,
    PROXY_UPSTREAM_ERROR_LIST(X)
#undef X
        PROXY_UPSTREAM_ERRORS
};

/* limits_hit_total{limit}: the configuration's own names, and the bounds of our memory. */
#define PROXY_LIMIT_LIST(X)                                                                        \
    X(HEAD_BYTES, "head_bytes")                                                                    \
    X(HEADER_BYTES, "header_bytes")                                                                \
    X(HEADERS, "headers")                                                                          \
    X(BODY_BYTES, "body_bytes")                                                                    \
    X(CONNECTIONS, "connections")                                                                  \
    X(DESCRIPTORS, "descriptors") /* accepting paused: RLIMIT_NOFILE allows no more */             \
    X(STREAMS, "streams")                                                                          \
    X(REQUESTS_PER_CONNECTION, "requests_per_connection")                                          \
    X(MISBEHAVIOUR, "misbehaviour") /* the budget of an HTTP/2 connection */                       \
    X(PIPELINE, "pipeline")         /* a connection's queue was full and reading paused */         \
    X(BUFFERS, "buffers")           /* the worker's buffer memory ran out */                       \
    X(HANDSHAKE, "handshake")                                                                      \
    X(HEAD, "head")                                                                                \
    X(BODY_PROGRESS, "body_progress")                                                              \
    X(EXPIRY, "expiry") /* a tunnel or stream reached the end of its token or certificate */       \
    X(IDLE, "idle")                                                                                \
    X(STREAM_IDLE, "stream_idle")                                                                  \
    X(TOTAL, "total")                                                                              \
    X(UPSTREAM_CONNECT, "upstream_connect")                                                        \
    X(UPSTREAM_HEAD, "upstream_head")                                                              \
    X(UPSTREAM_IDLE, "upstream_idle")                                                              \
    X(DRAIN, "drain")

enum proxy_limit {
#define X(name, label) PROXY_LIMIT_##name,
    PROXY_LIMIT_LIST(X)
#undef X
        PROXY_LIMITS
};

struct proxy_metrics {
    counter requests[PROXY_OUTCOMES];
    counter handshakes[PROXY_HANDSHAKES][2]; /* [result][resumed] */
    counter upstream_errors[PROXY_UPSTREAM_ERRORS];
    counter limits_hit[PROXY_LIMITS];
    counter connections_downstream, connections_upstream; /* gauges: open now */
    counter upstream_connects, upstream_reuses, upstream_retries;
    counter bytes_from_client, bytes_to_client; /* body bytes, before TLS */
    struct histogram request_duration; /* nanoseconds: head complete to last byte of the answer */
};

void proxy_metrics_init(struct proxy_metrics *metrics);

/* The label of a value, e.g. "allowed". Never NULL for a value of the enum. */
const char *proxy_outcome_label(enum proxy_outcome outcome);
const char *proxy_handshake_label(enum proxy_handshake result);
const char *proxy_upstream_error_label(enum proxy_upstream_error kind);
const char *proxy_limit_label(enum proxy_limit limit);

#endif
