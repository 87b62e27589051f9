/* Between the files of the session: h2_session.c (the connection), h2_receive.c (what comes in) and
 * h2_send.c (what goes out). */
#ifndef POPGATE_HTTP_H2_INTERNAL_H
#define POPGATE_HTTP_H2_INTERNAL_H

#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>

/* Trailers, and every head of a client session: only one is ever open on a connection. */
struct h2_scratch {
    struct http_head head;
    uint32_t text_capacity;
    uint8_t text[];
};

enum { H2_CLOSED_REMEMBERED = 64, H2_DEFLATE_TABLE_BYTES = 1024 };

struct h2_session {
    nghttp2_session *session;
    const struct h2_handler *handler;
    void *owner;
    const struct http_limits *limits;
    bool client;
    bool calm;   /* the budget is used up */
    bool failed; /* nothing more is received */
    bool in_head, in_trailers;
    bool peer_leaves, peer_known;
    bool leaving; /* the last GOAWAY is queued: streams from here on are refused */
    uint8_t continuations;
    const char *failure;
    int64_t budget;
    uint64_t refilled_ms;
    size_t memory;
    /* http/h2_memory.c */
    uint8_t *region;
    uint32_t region_used, frame_start, frame_end;
    bool region_open, restless;
    uint64_t *packed; /* while it rests: then `session` must not be touched, but by h2_inner */
    uint32_t streams, streams_max; /* servers: open ones */
    int32_t last_stream;           /* servers: the highest that was opened */
    /* Streams that closed lately; negative: by our RST_STREAM, behind which frames may still come.
     */
    int32_t closed[H2_CLOSED_REMEMBERED];
    uint32_t closed_next;
    struct h2_head block; /* of the head that is open */
    struct h2_scratch *scratch;
};

/* The functions that nghttp2 takes its memory by; behind h2_memory_made the region is whole. */
nghttp2_mem h2_memory_begin(struct h2_session *session);
void h2_memory_made(struct h2_session *session);
void h2_memory_cleanup(struct h2_session *session);
nghttp2_session *h2_wake(struct h2_session *session);

/* The session, awake. */
static inline nghttp2_session *h2_inner(struct h2_session *session)
{
    return session->packed == NULL ? session->session : h2_wake(session);
}

struct h2_stream *h2_stream_of(struct h2_session *session, int32_t id);
/* What a callback returns: 0, or the end of the connection. */
int h2_charge(struct h2_session *session, uint32_t cost);
void h2_credit(struct h2_session *session, uint32_t amount);

void h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks);
void h2_set_send_callbacks(nghttp2_session_callbacks *callbacks);

#endif
