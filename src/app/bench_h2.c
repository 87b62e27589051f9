#include "app/bench_h2.h"

#include "http/h2_session.h"
#include "proxy/h2_fields.h"

#include <assert.h>
#include <stdlib.h>

/* A request under way, or a place for one. */
struct stream {
    struct h2_stream stream; /* first: the callbacks get its address */
    struct stream *next;     /* free ones */
    size_t body_left;
    uint64_t due_ns;
    uint16_t status;
};

struct bench_h2 {
    struct h2_session *session;
    const struct bench_h2_events *events;
    void *owner;
    struct stream *free;
    struct stream streams[];
};

static const struct http_limits limits = {.head_bytes_max = 16384, .headers_max = 128};

/* ---- what the session says ---- */

static void on_head(void *owner, struct h2_stream *stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct bench_h2 *h2 = owner;
    if (refusal != NULL) {
        h2_session_reset(h2->session, stream, H2_PROTOCOL_ERROR);
    } else if (head->status >= 200) {
        ((struct stream *)stream)->status = head->status;
    }
}

static void on_data(void *owner, struct h2_stream *stream, struct span payload)
{
    struct bench_h2 *h2 = owner;
    (void)payload;
    h2_session_consume(h2->session, stream, stream->unconsumed);
}

static void on_end(void *owner, struct h2_stream *stream, const struct http_head *trailers)
{
    (void)owner;
    (void)stream;
    (void)trailers;
}

static void on_broken(void *owner, struct h2_stream *stream, const char *reason)
{
    struct bench_h2 *h2 = owner;
    (void)reason; /* `closed` follows, and says that it did not end well */
    h2_session_reset(h2->session, stream, H2_PROTOCOL_ERROR);
}

static void on_closed(void *owner, struct h2_stream *closed, uint32_t error)
{
    struct bench_h2 *h2 = owner;
    struct stream *stream = (struct stream *)closed;
    bool whole = error == H2_NO_ERROR && closed->remote_ended && stream->status != 0;
    stream->next = h2->free;
    h2->free = stream;
    if (whole) {
        h2->events->answered(h2->owner, stream->status, stream->due_ns);
    } else {
        h2->events->failed(h2->owner, closed->was_reset ? "the answer is malformed"
                                                        : "the server reset the stream");
    }
}

static size_t on_read(void *owner, struct h2_stream *reading, struct span_mut into, bool *end)
{
    struct stream *stream = (struct stream *)reading;
    size_t size = stream->body_left < into.size ? stream->body_left : into.size;
    (void)owner;
    memset(into.data, 0, size);
    stream->body_left -= size;
    *end = stream->body_left == 0;
    return size;
}

static const struct h2_handler handler = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .broken = on_broken,
    .closed = on_closed,
    .read = on_read,
};

/* ---- for the connection ---- */

struct bench_h2 *bench_h2_new(const struct bench_h2_events *events, void *owner,
                              unsigned streams_max)
{
    struct bench_h2 *h2 = calloc(1, sizeof *h2 + streams_max * sizeof h2->streams[0]);
    struct h2_options options = {.client = true, .limits = &limits};
    if (h2 == NULL) {
        return NULL;
    }
    h2->events = events;
    h2->owner = owner;
    for (unsigned i = streams_max; i > 0; i--) {
        h2->streams[i - 1].next = h2->free;
        h2->free = &h2->streams[i - 1];
    }
    if (h2_session_new(&handler, h2, &options, &h2->session) != STATUS_OK) {
        free(h2);
        return NULL;
    }
    return h2;
}

void bench_h2_free(struct bench_h2 *h2)
{
    if (h2 != NULL) {
        h2_session_free(h2->session);
        free(h2);
    }
}

/* What comes before the first `byte`, and takes it and that off `text`. */
static struct span take_until(struct span *text, uint8_t byte)
{
    size_t size = span_find(*text, byte);
    struct span taken = span_first(*text, size);
    *text = span_after(*text, size < text->size ? size + 1 : size);
    return taken;
}

bool bench_h2_has_room(const struct bench_h2 *h2, unsigned under_way)
{
    if (!h2_session_peer_is_known(h2->session)) {
        return under_way == 0;
    }
    return h2->free != NULL && under_way < h2_session_peer_streams_max(h2->session);
}

enum status bench_h2_request(struct bench_h2 *h2, struct span head, size_t body_bytes,
                             uint64_t due_ns)
{
    struct h2_fields fields = {0};
    struct stream *stream = h2->free;
    assert(stream != NULL);
    struct span method = take_until(&head, ' ');
    struct span path = take_until(&head, ' ');
    (void)take_until(&head, '\n');
    struct span host = take_until(&head, '\n');
    (void)take_until(&host, ' ');
    h2_fields_add(&fields, SPAN_LITERAL(":method"), method);
    h2_fields_add(&fields, SPAN_LITERAL(":scheme"), SPAN_LITERAL("https"));
    h2_fields_add(&fields, SPAN_LITERAL(":authority"), take_until(&host, '\r'));
    h2_fields_add(&fields, SPAN_LITERAL(":path"), path);
    h2_fields_add_lines(&fields, head);
    h2->free = stream->next;
    *stream = (struct stream){.body_left = body_bytes, .due_ns = due_ns};
    stream->stream.method = span_equal_string(method, "HEAD") ? SPAN_LITERAL("HEAD")
                                                              : SPAN_LITERAL("GET");
    enum status status = h2_session_request(h2->session, &stream->stream, fields.list, fields.count,
                                            body_bytes > 0);
    if (status != STATUS_OK) {
        stream->next = h2->free;
        h2->free = stream;
    }
    return status;
}

enum status bench_h2_receive(struct bench_h2 *h2, struct span plain, uint64_t now_ms)
{
    return h2_session_receive(h2->session, plain, now_ms);
}

enum status bench_h2_send(struct bench_h2 *h2, struct span *plain)
{
    return h2_session_send(h2->session, plain);
}

const char *bench_h2_failure(const struct bench_h2 *h2)
{
    const char *failure = h2_session_failure(h2->session);
    return failure != NULL ? failure : "the HTTP/2 session failed";
}
