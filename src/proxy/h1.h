/* HTTP/1.1 on a downstream connection. One exchange at a time: pipelined requests wait in the input
 * and the backlog, so that answers are in order by construction and a request behind one that
 * closes the connection is never begun. */
#ifndef POPGATE_PROXY_H1_H
#define POPGATE_PROXY_H1_H

#include "base/buffer.h"
#include "http/http1.h"

struct downstream;
struct exchange;
struct proxy;

enum h1_state {
    H1_IDLE,
    H1_HEAD,     /* the first bytes of a head are there */
    H1_EXCHANGE, /* a request is in progress */
    H1_OVER,     /* answered: the pump goes on from here */
    H1_DISCARD,  /* answered; the rest of its body is read and dropped */
    H1_ENDED,    /* nothing more is read */
};

struct h1 {
    struct exchange *exchange;
    uint8_t *input; /* capacity bytes for heads, then capacity + 8 for the normalised target; NULL
                       when idle */
    uint32_t input_capacity;
    uint32_t input_start; /* in H1_EXCHANGE: where the bytes behind the head begin */
    uint32_t input_size;
    uint32_t parsed_size; /* the head's bytes that the parser has seen */
    struct http1_scan scan;
    struct http1_body body;
    struct buffer backlog;  /* plaintext behind the input, not yet wanted */
    struct buffer trailers; /* of the request, as they came, until its body ends */
    uint64_t turn;          /* of begun_in_turn */
    uint32_t begun_in_turn;
    uint32_t begun;      /* of all requests */
    bool waits_for_turn; /* limits.pipeline requests were begun in this one */
    uint8_t state;
    uint8_t framing; /* enum http_body_kind of the answer in progress */
    bool pumping;
    bool close_after;      /* the answer in progress said Connection: close */
    bool trailers_sent;    /* the answer's, and so the last chunk */
    bool body_wanted_sent; /* 100 Continue, if it was asked for, has been considered */
    bool client_done;      /* the client will send no more */
};

void h1_init(struct h1 *h1, struct proxy *proxy);
/* The connection can carry requests. */
void h1_open(struct downstream *downstream);
/* Takes all of `plain`. */
void h1_received(struct downstream *downstream, struct span plain);
/* The client closed its side in good order: what it asked for whole is still answered. */
void h1_client_done(struct downstream *downstream);
/* Bytes went out. */
void h1_room(struct downstream *downstream);
/* Goes on with the connections that had had their share (limits.pipeline) of the turn before. */
void h1_next_turn(struct proxy *proxy);
/* A timer of h1's kinds (IDLE, HEAD, BODY) fired. */
void h1_timeout(struct downstream *downstream, int kind);
void h1_drain(struct downstream *downstream);
/* The connection ends: the exchange in progress is given up, memory is given back. */
void h1_end(struct downstream *downstream, const char *reason);

#endif
