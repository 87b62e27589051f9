/* Between h2.c (the connection and what comes in) and h2_answer.c (what goes out). */
#ifndef POPGATE_PROXY_H2_INTERNAL_H
#define POPGATE_PROXY_H2_INTERNAL_H

#include "http/h2_session.h"
#include "proxy/core.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/h2.h"

/* One stream. */
struct h2_request {
    struct h2_stream stream; /* first */
    struct downstream *downstream;
    struct h2_request *next, *previous;
    struct exchange *exchange; /* NULL once it is over */
    uint8_t *text;             /* of the head */
    uint32_t text_capacity;
    bool head_seen; /* the exchange has begun */
    bool body_end;  /* the client's body is whole */
    bool continue_sent;
    bool answer_end;      /* `answer` is all there is */
    bool malformed;       /* RFC 9113 section 8.1.1: a stream error after the answer */
    struct buffer body;   /* from the client, not yet wanted */
    struct buffer answer; /* to the client, waits for its window */
    struct buffer trailers_in, trailers_out;
    bool trailers_lost; /* there was no room for them: the answer must not end well */
    struct io_timer body_timer, answer_timer, deadline;
    struct io_timer idle_timer; /* nothing passes either way */
};

struct h2 {
    struct downstream *owner;
    struct h2_session *session;
    struct h2_request *requests;
    uint32_t requests_count;
    uint32_t begun;      /* of all requests */
    size_t answer_bytes; /* of all streams */
    struct downstream *flush_next;
    struct io_timer drain_timer, rest_timer;
    bool flush_wanted;
    bool busy;    /* within the session */
    bool ended;   /* freed as soon as it is not busy */
    bool leaving; /* the last GOAWAY is queued */
};

extern const struct exchange_client h2_client_ops;

/* The end of the turn will send. */
void h2_want_flush(struct downstream *downstream);
/* The exchange is over: the rest of the body is dropped, the stream ends when the answer is out. */
void h2_request_over(struct h2_request *request);
/* Hands over what waits of the client's body, as far as it is wanted. */
void h2_pump_body(struct h2_request *request);
/* Something passed, one way or the other: the idle time of a tunnel or stream begins anew. */
void h2_request_alive(struct h2_request *request);
/* Starts, restarts or stops the timer of a client that does not read. */
void h2_answer_progress(struct h2_request *request);
void h2_answer_read_trailers(void *owner, struct h2_stream *stream);
size_t h2_answer_read(void *owner, struct h2_stream *stream, struct span_mut into, bool *end);
void h2_goaway(struct downstream *downstream);

#endif
