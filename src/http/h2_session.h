/* One HTTP/2 connection (RFC 9113): bytes in, heads, payload and ends out, and back. nghttp2 does
 * the framing and HPACK; what a message may look like is judged by http/h2_head.h, content against
 * Content-Length here, and everything that costs more than it brings is paid from one budget.
 * No descriptor, no clock of its own. One thread. No callback runs but within h2_session_receive
 * and h2_session_send; every other function may be called from a callback. */
#ifndef POPGATE_HTTP_H2_SESSION_H
#define POPGATE_HTTP_H2_SESSION_H

#include "http/h2_head.h"

struct h2_session;

/* Error codes of RFC 9113 section 7 that we name. */
enum h2_error {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_FLOW_CONTROL_ERROR = 3,
    H2_STREAM_CLOSED = 5,
    H2_FRAME_SIZE_ERROR = 6,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

/* Misbehaviour: an empty connection has the whole budget, gets back so much a second, and one for
 * each stream that ended in good order both ways: who brings requests may also cancel some. */
#define H2_BUDGET            1000
#define H2_BUDGET_PER_SECOND 50
#define H2_COST_RESET        5  /* RST_STREAM that came */
#define H2_COST_MADE_RESET   20 /* RST_STREAM that we had to send */
#define H2_COST_EMPTY_DATA   10
#define H2_COST_SETTINGS     20
#define H2_COST_CONTINUATION 10
#define H2_COST_WINDOW       1 /* each DATA frame we send pays for two */
#define H2_COST_CONTROL      2 /* PING, PRIORITY, GOAWAY and frames of unknown types */

#define H2_CONTINUATIONS_MAX 16 /* of one head */

/* Received and not yet taken: of all streams together. */
#define H2_CONNECTION_WINDOW (1024 * 1024)

/* What nghttp2 may allocate for one connection: HPACK tables, streams, frames that wait. */
#define H2_SESSION_BYTES_MAX (1024 * 1024)

/* Embedded by its owner, zeroed at first; lives until `closed` has run. */
struct h2_stream {
    int32_t id;
    struct span method;    /* clients: of the request */
    uint64_t content_left; /* with has_length */
    uint32_t unconsumed;   /* payload that the owner has not taken */
    uint32_t after_code;   /* with resets_after */
    bool has_length, no_content;
    bool tunnel; /* DATA has no end but the stream's, and no field block may come behind the head */
    bool head_done; /* the (final) head came whole */
    bool remote_ended, local_ended;
    bool was_reset;    /* by us */
    bool resets_after; /* RST_STREAM follows our END_STREAM */
    bool has_trailers; /* `trailers` is called when the body has ended */
};

struct h2_field {
    struct span name, value;
};

/* What a session asks of its owner. */
struct h2_handler {
    /* A request's head begins. Returns the stream and sets where the head goes, or NULL: refused.
     */
    struct h2_stream *(*begin)(void *owner, struct h2_head *builder);
    /* The text must hold `needed` more bytes: moves it (h2_head_move) and frees the old one. */
    bool (*grow)(void *owner, struct h2_stream *stream, struct h2_head *builder, size_t needed);
    /* The head is whole, or (refusal not NULL) is not to be served. Clients: 1xx heads too. */
    void (*head)(void *owner, struct h2_stream *stream, struct http_head *head,
                 const struct http_refusal *refusal);
    void (*data)(void *owner, struct h2_stream *stream, struct span payload);
    /* Nothing more comes; `trailers` may be NULL and lives for the call. */
    void (*end)(void *owner, struct h2_stream *stream, const struct http_head *trailers);
    /* The content is not what was announced, or the trailers are malformed. */
    void (*broken)(void *owner, struct h2_stream *stream, const char *reason);
    /* The stream is gone: `error` is H2_NO_ERROR after ends in good order. */
    void (*closed)(void *owner, struct h2_stream *stream, uint32_t error);
    /* Fills `into` with payload to send: the size, 0 with !*end when there is none yet
     * (h2_session_resume then says when). */
    size_t (*read)(void *owner, struct h2_stream *stream, struct span_mut into, bool *end);
    /* Called at the body's end if stream->has_trailers: calls h2_session_send_trailers. */
    void (*trailers)(void *owner, struct h2_stream *stream);
    void (*pong)(void *owner); /* clients; may be NULL */
    /* Servers: a stream over streams_max was refused; may be NULL. */
    void (*over_streams)(void *owner);
    /* SETTINGS came: what the peer allows may have changed; may be NULL. */
    void (*settings)(void *owner);
};

struct h2_options {
    bool client;
    const struct http_limits *limits; /* outlive the session */
    uint32_t streams_max;
};

/* Returns owned in *session. The first bytes to send wait already. */
MUST_CHECK enum status h2_session_new(const struct h2_handler *handler, void *owner,
                                      const struct h2_options *options,
                                      struct h2_session **session);
/* `closed` does not run for streams that are still open. Not from a callback. */
void h2_session_free(struct h2_session *session);

/* Takes all of `bytes`. `now_ms` is any clock that only grows. STATUS_OK, or STATUS_FAILED: the
 * connection is over, with a last GOAWAY waiting to be sent, and nothing more is taken. */
MUST_CHECK enum status h2_session_receive(struct h2_session *session, struct span bytes,
                                          uint64_t now_ms);
/* The next bytes to send, valid until the next call; empty when there are none. STATUS_FAILED: as
 * above. */
MUST_CHECK enum status h2_session_send(struct h2_session *session, struct span *bytes);
bool h2_session_wants_send(const struct h2_session *session);
/* Nothing more will be received or sent. */
bool h2_session_finished(const struct h2_session *session);
/* Why the session failed: static words, or NULL. */
const char *h2_session_failure(const struct h2_session *session);
bool h2_session_out_of_budget(const struct h2_session *session);
/* In the middle of a head's frames. */
bool h2_session_head_open(const struct h2_session *session);
size_t h2_session_memory(const struct h2_session *session);

/* Gives back what an idle session needs no more, if nothing waits to be sent; whatever is asked of
 * it next finds it as it was. For servers without open streams. Not from a callback. */
void h2_session_rest(struct h2_session *session);
/* What of the memory that is given back a resting session has kept; 0: it does not rest. */
size_t h2_session_resting_bytes(const struct h2_session *session);

/* ---- servers ---- */

/* Field names are lower-cased. `has_body`: `read` is asked for it. */
void h2_session_respond(struct h2_session *session, struct h2_stream *stream, uint16_t status,
                        const struct h2_field *fields, size_t count, bool has_body);
void h2_session_informational(struct h2_session *session, struct h2_stream *stream, uint16_t status,
                              const struct h2_field *fields, size_t count);

/* ---- clients ---- */

/* `fields` begin with the pseudo-header fields. STATUS_FULL: no stream can be opened any more. */
MUST_CHECK enum status h2_session_request(struct h2_session *session, struct h2_stream *stream,
                                          const struct h2_field *fields, size_t count,
                                          bool has_body);
void h2_session_ping(struct h2_session *session);
/* How many streams the peer lets us have at once; UINT32_MAX while it has not said. */
uint32_t h2_session_peer_streams_max(const struct h2_session *session);
bool h2_session_peer_is_leaving(const struct h2_session *session);
/* The peer's first SETTINGS are here: what is asked about it is no longer a guess. */
bool h2_session_peer_is_known(const struct h2_session *session);
/* It takes extended CONNECT (RFC 8441 section 3, SETTINGS_ENABLE_CONNECT_PROTOCOL). */
bool h2_session_peer_takes_connect(const struct h2_session *session);

/* ---- both ---- */

#define H2_FIELDS_MAX (HTTP_HEADERS_MAX + 32)

void h2_session_send_trailers(struct h2_session *session, struct h2_stream *stream,
                              const struct h2_field *fields, size_t count);
/* `read` has something again. */
void h2_session_resume(struct h2_session *session, struct h2_stream *stream);
void h2_session_reset(struct h2_session *session, struct h2_stream *stream, uint32_t code);
/* The owner is done with so much payload: the peer may send as much again. */
void h2_session_consume(struct h2_session *session, struct h2_stream *stream, size_t size);
/* The first step of a drain (RFC 9113 section 6.8): a GOAWAY that names no last stream. */
void h2_session_notice(struct h2_session *session);
/* The last: streams from here on are refused, those that are open go on. */
void h2_session_goaway(struct h2_session *session, uint32_t code);
/* Charges the budget for what the owner sees and the session cannot. */
void h2_session_charge(struct h2_session *session, uint32_t cost);

#endif
