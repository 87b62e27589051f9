/* An owner of HTTP/2 sessions that answers by the bytes it sees, and aborts when a promise of
 * http/h2_session.h is broken. */
#ifndef POPGATE_FUZZ_H2_OWNER_H
#define POPGATE_FUZZ_H2_OWNER_H

#include "http/h2_session.h"

#include <stdlib.h>

enum { OWNER_STREAMS = 40, OWNER_TEXT = 2048 + 64 };

static const struct http_limits owner_limits = {
    .head_bytes_max = 2048, .headers_max = 24, .body_bytes_max = 1 << 20};

struct owner_stream {
    struct h2_stream stream; /* first */
    struct owner_stream *next;
    bool head_seen, ended, broken, over;
    uint64_t got, length;
    size_t to_send;
    uint32_t capacity;
    uint8_t *text;
    struct http_head head;
};

struct owner {
    struct h2_session *session;
    struct owner_stream *streams;
    unsigned count;
    uint8_t mood;
    bool rests;    /* h2_session_rest after each piece */
    uint64_t sent; /* a digest */
};

static inline void owner_check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static inline void owner_check_span(struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        owner_check(span.data[i] == '\t' || (span.data[i] >= ' ' && span.data[i] != 0x7f));
    }
}

static inline void owner_check_fields(const struct http_head *head)
{
    owner_check(head->headers_count <= owner_limits.headers_max);
    for (uint32_t i = 0; i < head->headers_count; i++) {
        const struct http_header *header = &head->headers[i];
        const char *reason;
        /* Joined cookies may end in a space: an empty crumb is the last. */
        owner_check(h2_field_is_sound(header->name, SPAN_LITERAL(""), &reason));
        owner_check_span(header->value);
        owner_check(header->field != HTTP_FIELD_CONNECTION && header->field != HTTP_FIELD_UPGRADE &&
                    header->field != HTTP_FIELD_TRANSFER_ENCODING);
    }
}

static inline struct owner_stream *owner_add(struct owner *owner)
{
    struct owner_stream *one = calloc(1, sizeof *one);
    owner_check(one != NULL);
    one->next = owner->streams;
    owner->streams = one;
    owner->count++;
    return one;
}

__attribute__((unused)) static struct h2_stream *owner_begin(void *context, struct h2_head *builder)
{
    struct owner *owner = context;
    if (owner->count == OWNER_STREAMS) {
        return NULL;
    }
    struct owner_stream *one = owner_add(owner);
    one->capacity = 64;
    one->text = malloc(2 * (size_t)one->capacity + 8);
    owner_check(one->text != NULL);
    h2_head_begin(builder, &one->head, one->text, one->capacity);
    return &one->stream;
}

__attribute__((unused)) static bool owner_grow(void *context, struct h2_stream *stream,
                                               struct h2_head *builder, size_t needed)
{
    struct owner_stream *one = (struct owner_stream *)stream;
    (void)context;
    owner_check(builder->text == one->text);
    owner_check(builder->text_size + needed <= OWNER_TEXT);
    uint32_t capacity = builder->text_size + (uint32_t)needed; /* not a byte more than asked for */
    uint8_t *text = malloc(2 * (size_t)capacity + 8);
    owner_check(text != NULL);
    h2_head_move(builder, text, capacity);
    free(one->text);
    one->text = text;
    one->capacity = capacity;
    return true;
}

static void owner_data(void *context, struct h2_stream *stream, struct span payload)
{
    struct owner *owner = context;
    struct owner_stream *one = (struct owner_stream *)stream;
    owner_check(one->head_seen && !one->ended && !one->broken && !one->over);
    one->got += payload.size;
    owner_check(!stream->has_length || one->got <= one->length);
    owner_check(stream->unconsumed >= payload.size && stream->unconsumed <= 65535);
    if ((owner->mood & 1) == 0) {
        h2_session_consume(owner->session, stream, stream->unconsumed);
    }
}

static void owner_end(void *context, struct h2_stream *stream, const struct http_head *trailers)
{
    struct owner_stream *one = (struct owner_stream *)stream;
    (void)context;
    owner_check(one->head_seen && !one->ended && !one->broken && !one->over);
    owner_check(!stream->has_length || one->got == one->length);
    one->ended = true;
    if (trailers != NULL) {
        owner_check_fields(trailers);
        for (uint32_t i = 0; i < trailers->headers_count; i++) {
            owner_check(trailers->headers[i].dropped ||
                        trailers->headers[i].field == HTTP_FIELD_OTHER);
        }
    }
}

static void owner_broken(void *context, struct h2_stream *stream, const char *reason)
{
    struct owner *owner = context;
    struct owner_stream *one = (struct owner_stream *)stream;
    owner_check(reason != NULL && !one->over && !one->broken);
    one->broken = true;
    h2_session_reset(owner->session, stream, H2_PROTOCOL_ERROR);
}

static void owner_closed(void *context, struct h2_stream *stream, uint32_t error)
{
    struct owner *owner = context;
    struct owner_stream *one = (struct owner_stream *)stream;
    struct owner_stream **link = &owner->streams;
    (void)error;
    owner_check(!one->over);
    while (*link != one) {
        link = &(*link)->next;
    }
    *link = one->next;
    owner->count--;
    free(one->text);
    memset(one, 0xee, sizeof *one); /* who looks at it again will notice */
    free(one);
}

static size_t owner_read(void *context, struct h2_stream *stream, struct span_mut into, bool *end)
{
    struct owner_stream *one = (struct owner_stream *)stream;
    (void)context;
    size_t size = one->to_send < into.size ? one->to_send : into.size;
    memset(into.data, 'r', size);
    one->to_send -= size;
    *end = one->to_send == 0;
    return size;
}

static void owner_trailers(void *context, struct h2_stream *stream)
{
    struct owner *owner = context;
    struct h2_field field = {SPAN_LITERAL("grpc-status"), SPAN_LITERAL("0")};
    h2_session_send_trailers(owner->session, stream, &field, 1);
}

/* Everything that waits is sent into the void. */
static inline void owner_drain(struct owner *owner)
{
    struct span bytes;
    for (unsigned failures = 0; failures < 3;) {
        if (h2_session_send(owner->session, &bytes) != STATUS_OK) {
            failures++;
        } else if (bytes.size == 0) {
            break;
        }
        for (size_t i = 0; i < bytes.size; i++) {
            owner->sent = (owner->sent ^ bytes.data[i]) * UINT64_C(0x100000001b3);
        }
    }
    owner_check(h2_session_memory(owner->session) <= H2_SESSION_BYTES_MAX);
}

/* In pieces whose size the input chooses; true while the session takes them. */
static inline void owner_feed(struct owner *owner, const uint8_t *data, size_t size, size_t piece)
{
    uint64_t now_ms = 0;
    for (size_t at = 0; at < size;) {
        size_t next = piece < size - at ? piece : size - at;
        uint8_t *copy = malloc(next); /* of exactly the right size */
        owner_check(copy != NULL);
        memcpy(copy, data + at, next);
        enum status status = h2_session_receive(owner->session, span_make(copy, next), now_ms);
        free(copy);
        owner_drain(owner);
        if (status != STATUS_OK) {
            owner_check(h2_session_failure(owner->session) != NULL);
            break;
        }
        if (owner->rests) {
            h2_session_rest(owner->session);
        }
        at += next;
        now_ms++;
    }
}

static inline void owner_drop(struct owner *owner)
{
    h2_session_free(owner->session);
    while (owner->streams != NULL) {
        struct owner_stream *one = owner->streams;
        owner->streams = one->next;
        free(one->text);
        free(one);
    }
}

#endif
