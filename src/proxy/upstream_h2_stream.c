/* The streams of a connection to a service that speaks HTTP/2: what the session says of them, and
 * what the exchange wants of them. */
#include "proxy/exchange.h"
#include "proxy/upstream_h2_internal.h"

#include <stdlib.h>

static struct upstream_h2_stream *stream_of(const struct upstream *upstream)
{
    return CONTAINER_OF((struct upstream *)(uintptr_t)upstream, struct upstream_h2_stream,
                        upstream);
}

/* gRPC streams may be silent for as long as they like: what bounds them is their deadline, the
 * token's end, and the PINGs. */
static void update_stream_timer(struct upstream_h2_stream *stream)
{
    struct proxy *proxy = stream->connection->proxy;
    const struct proxy_timeouts *timeouts = &proxy->settings->timeouts;
    struct exchange *exchange = stream->upstream.exchange;
    uint32_t ms = 0;
    if (exchange != NULL && !exchange->long_lived && !exchange->tunnel) {
        if (stream->out.size > 0) {
            ms = timeouts->body_progress_ms;
        } else if (stream->stream.head_done) {
            ms = exchange->paused ? 0 : timeouts->body_progress_ms;
        } else if (stream->whole) {
            ms = timeouts->upstream_head_ms;
        }
    }
    if (ms == 0) {
        io_timer_cancel(proxy->io, &stream->timer);
    } else {
        io_timer_set(proxy->io, &stream->timer, ms);
    }
}

/* ---- ends ---- */

void upstream_h2_stream_free(struct upstream_h2_stream *stream)
{
    struct upstream_h2 *connection = stream->connection;
    io_timer_cancel(connection->proxy->io, &stream->timer);
    free(stream->held);
    buffer_clear(&stream->out);
    buffer_clear(&stream->trailers);
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        connection->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    connection->streams_count--;
    if (connection->streams_count == 0) {
        upstream_h2_update_timer(connection);
        if (connection->retiring) {
            upstream_h2_mark_dirty(connection); /* which closes it */
        }
    }
    slab_give(&connection->proxy->h2_upstream_streams, stream);
}

/* Tells the exchange, which is then rid of the stream. */
void upstream_h2_stream_fail(struct upstream_h2_stream *stream, enum proxy_upstream_error kind,
                             enum exchange_reach reach, const char *reason)
{
    struct exchange *exchange = stream->upstream.exchange;
    stream->upstream.exchange = NULL;
    io_timer_cancel(stream->connection->proxy->io, &stream->timer);
    if (exchange != NULL) {
        counter_add(&stream->connection->proxy->metrics.upstream_errors[kind], 1);
        if (exchange->reason == NULL) {
            exchange->reason = reason;
        }
        exchange_upstream_failed(exchange, kind, reach);
    }
}

static void stream_timer_fired(struct io_timer *timer)
{
    struct upstream_h2_stream *stream = CONTAINER_OF(timer, struct upstream_h2_stream, timer);
    struct upstream_h2 *connection = stream->connection;
    bool head = stream->out.size == 0 && !stream->stream.head_done;
    proxy_count_limit(connection->proxy,
                      head ? PROXY_LIMIT_UPSTREAM_HEAD : PROXY_LIMIT_BODY_PROGRESS);
    h2_session_reset(connection->session, &stream->stream, H2_CANCEL);
    upstream_h2_mark_dirty(connection);
    upstream_h2_stream_fail(
        stream, head ? PROXY_UPSTREAM_ERROR_HEAD_TIMEOUT : PROXY_UPSTREAM_ERROR_BODY_TIMEOUT,
        EXCHANGE_REACHED, NULL);
}

/* ---- what the session says ---- */

static void illegal(struct upstream_h2_stream *stream, const char *reason)
{
    h2_session_reset(stream->connection->session, &stream->stream, H2_PROTOCOL_ERROR);
    upstream_h2_mark_dirty(stream->connection);
    upstream_h2_stream_fail(stream,
                            stream->stream.head_done && stream->upstream.head_done
                                ? PROXY_UPSTREAM_ERROR_CUT
                                : PROXY_UPSTREAM_ERROR_ILLEGAL,
                            EXCHANGE_REACHED, reason);
}

/* ---- heads ---- */

static enum status submit(struct upstream_h2_stream *stream, struct span head_text, bool has_body)
{
    const struct http_head *head = &stream->upstream.exchange->request;
    struct h2_fields fields;
    fields.count = 0;
    upstream_h2_fill_head(&fields, head_text, head);
    stream->stream.method = head->upgrade_websocket ? SPAN_LITERAL("CONNECT") : head->method;
    if (h2_session_request(stream->connection->session, &stream->stream, fields.list, fields.count,
                           has_body) != STATUS_OK) {
        return STATUS_FULL;
    }
    stream->submitted = true;
    upstream_h2_mark_dirty(stream->connection);
    return STATUS_OK;
}

/* RFC 8441 section 3: "A client MUST NOT [use extended CONNECT] unless it has received the
 * SETTINGS_ENABLE_CONNECT_PROTOCOL". The first SETTINGS of a new connection are on their way. */
static enum status hold(struct upstream_h2_stream *stream, struct span head_text)
{
    stream->held = malloc(head_text.size);
    if (stream->held == NULL) {
        return STATUS_FULL;
    }
    memcpy(stream->held, head_text.data, head_text.size);
    stream->held_size = head_text.size;
    return STATUS_OK;
}

static void send_held(struct upstream_h2_stream *stream)
{
    struct span text = span_make(stream->held, stream->held_size);
    if (!h2_session_peer_takes_connect(stream->connection->session)) {
        exchange_upstream_unfit(stream->upstream.exchange);
        return;
    }
    enum status status = submit(stream, text, true);
    free(stream->held);
    stream->held = NULL;
    if (status != STATUS_OK) {
        upstream_h2_stream_fail(stream, PROXY_UPSTREAM_ERROR_CLOSED, EXCHANGE_REFUSED,
                                "the service ends the connection");
        upstream_h2_stream_free(stream);
    }
}

static void on_head(void *owner, struct h2_stream *h2_stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct upstream_h2_stream *stream = (struct upstream_h2_stream *)h2_stream;
    struct exchange *exchange = stream->upstream.exchange;
    (void)owner;
    if (exchange == NULL) {
        return;
    }
    if (refusal != NULL) {
        illegal(stream, refusal->reason);
    } else if (head->status < 200) {
        if (++stream->informational_count > PROXY_INFORMATIONAL_MAX) {
            illegal(stream, "too many interim answers");
        } else {
            exchange_upstream_informational(exchange, head);
        }
    } else {
        stream->upstream.head_done = true;
        exchange_upstream_head(exchange, head);
        update_stream_timer(stream);
    }
}

static void on_data(void *owner, struct h2_stream *h2_stream, struct span payload)
{
    struct upstream_h2 *connection = owner;
    struct upstream_h2_stream *stream = (struct upstream_h2_stream *)h2_stream;
    struct exchange *exchange = stream->upstream.exchange;
    if (exchange != NULL) {
        exchange_upstream_body(exchange, payload);
        update_stream_timer(stream);
    }
    /* While the client is behind the window stays as it is: the service stops by itself. */
    if (stream->upstream.exchange == NULL || !stream->upstream.exchange->paused) {
        h2_session_consume(connection->session, h2_stream, h2_stream->unconsumed);
    }
}

static void on_end(void *owner, struct h2_stream *h2_stream, const struct http_head *trailers)
{
    struct upstream_h2_stream *stream = (struct upstream_h2_stream *)h2_stream;
    struct exchange *exchange = stream->upstream.exchange;
    (void)owner;
    if (exchange == NULL) {
        return;
    }
    if (trailers != NULL) {
        exchange_upstream_trailers(exchange, trailers);
    }
    if (stream->upstream.exchange != NULL) {
        exchange_upstream_end(exchange);
    }
}

static void on_broken(void *owner, struct h2_stream *h2_stream, const char *reason)
{
    (void)owner;
    illegal((struct upstream_h2_stream *)h2_stream, reason);
}

static void on_stream_closed(void *owner, struct h2_stream *h2_stream, uint32_t error)
{
    struct upstream_h2_stream *stream = (struct upstream_h2_stream *)h2_stream;
    bool cut = stream->upstream.head_done;
    (void)owner;
    /* RFC 9113 section 8.7: "The REFUSED_STREAM error code can be included in a RST_STREAM frame to
     * indicate that the stream is being closed prior to any processing having occurred. Any request
     * that was sent on the reset stream can be safely retried." A GOAWAY says the same of streams
     * behind its last one, and nghttp2 closes them so. */
    bool refused = error == H2_REFUSED_STREAM && !cut;
    upstream_h2_stream_fail(stream, cut ? PROXY_UPSTREAM_ERROR_CUT : PROXY_UPSTREAM_ERROR_CLOSED,
                            refused ? EXCHANGE_REFUSED : EXCHANGE_REACHED,
                            cut ? "the service reset the stream in the middle of its answer"
                                : "the service reset the stream");
    upstream_h2_stream_free(stream);
}

static size_t on_read(void *owner, struct h2_stream *h2_stream, struct span_mut into, bool *end)
{
    struct upstream_h2_stream *stream = (struct upstream_h2_stream *)h2_stream;
    size_t filled = 0;
    struct span first;
    (void)owner;
    while (filled < into.size && buffer_peek(&stream->out, &first, 1) == 1) {
        size_t size = first.size < into.size - filled ? first.size : into.size - filled;
        memcpy(into.data + filled, first.data, size);
        buffer_consume(&stream->out, size);
        filled += size;
    }
    *end = stream->out_end && stream->out.size == 0;
    if (filled > 0 && stream->upstream.exchange != NULL && !stream->out_end) {
        exchange_upstream_room(stream->upstream.exchange);
        *end = false; /* what came now is for the next call */
    }
    update_stream_timer(stream);
    return filled;
}

static void on_trailers(void *owner, struct h2_stream *h2_stream)
{
    struct upstream_h2 *connection = owner;
    struct upstream_h2_stream *stream = (struct upstream_h2_stream *)h2_stream;
    struct h2_fields fields;
    fields.count = 0;
    h2_fields_add_lines(&fields, h2_fields_kept(&stream->trailers));
    h2_session_send_trailers(connection->session, h2_stream, fields.list, fields.count);
}

/* The service has said what it takes: heads of WebSockets need wait no more. */
static void on_settings(void *owner)
{
    struct upstream_h2 *connection = owner;
    struct upstream_h2_stream *next;
    for (struct upstream_h2_stream *one = connection->streams; one != NULL; one = next) {
        next = one->next;
        if (one->held != NULL && one->upstream.exchange != NULL) {
            send_held(one);
        }
    }
}

const struct h2_handler upstream_h2_handler = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .broken = on_broken,
    .closed = on_stream_closed,
    .read = on_read,
    .trailers = on_trailers,
    .settings = on_settings,
};

/* ---- for the exchange ---- */

enum status upstream_h2_head(struct upstream *upstream, struct span head_text, bool has_body)
{
    struct upstream_h2_stream *stream = stream_of(upstream);
    struct h2_session *session = stream->connection->session;
    if (!upstream->exchange->request.upgrade_websocket || h2_session_peer_takes_connect(session)) {
        return submit(stream, head_text, has_body);
    }
    if (h2_session_peer_is_known(session)) {
        return STATUS_UNSUPPORTED;
    }
    return hold(stream, head_text);
}

struct upstream *upstream_h2_acquire(struct proxy *proxy, struct exchange *exchange,
                                     enum proxy_upstream_error *kind)
{
    struct upstream_h2 *connection = upstream_h2_connection(proxy);
    *kind = PROXY_UPSTREAM_ERROR_DESCRIPTORS;
    struct upstream_h2_stream *stream = connection != NULL ? slab_take(&proxy->h2_upstream_streams)
                                                           : NULL;
    if (stream == NULL) {
        return NULL;
    }
    *stream = (struct upstream_h2_stream){.connection = connection};
    stream->upstream.proxy = proxy;
    stream->upstream.exchange = exchange;
    stream->upstream.is_stream = true;
    stream->timer.fired = stream_timer_fired;
    buffer_init(&stream->out, &proxy->chunks);
    buffer_init(&stream->trailers, &proxy->chunks);
    stream->next = connection->streams;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    connection->streams = stream;
    if (++connection->streams_count == 1) {
        connection->heard_ms = upstream_h2_now_ms(proxy);
        upstream_h2_update_timer(connection);
    }
    return &stream->upstream;
}

enum status upstream_h2_write(struct upstream *upstream, struct span bytes)
{
    struct upstream_h2_stream *stream = stream_of(upstream);
    if (buffer_append(&stream->out, bytes) != STATUS_OK) {
        return STATUS_FULL;
    }
    h2_session_resume(stream->connection->session, &stream->stream);
    upstream_h2_mark_dirty(stream->connection);
    if (!io_timer_is_set(&stream->timer)) {
        update_stream_timer(stream);
    }
    return STATUS_OK;
}

enum status upstream_h2_trailers(struct upstream *upstream, struct span lines)
{
    struct upstream_h2_stream *stream = stream_of(upstream);
    enum status status = buffer_append(&stream->trailers, lines);
    stream->stream.has_trailers = status == STATUS_OK && lines.size > 0;
    return status;
}

void upstream_h2_request_end(struct upstream *upstream)
{
    struct upstream_h2_stream *stream = stream_of(upstream);
    const struct exchange *exchange = upstream->exchange;
    stream->whole = true;
    /* The head of a tunnel that is not open yet is a whole request, and the stream goes on. */
    stream->out_end = !exchange->request.upgrade_websocket || exchange->tunnel;
    h2_session_resume(stream->connection->session, &stream->stream);
    upstream_h2_mark_dirty(stream->connection);
    update_stream_timer(stream);
}

size_t upstream_h2_waiting(const struct upstream *upstream)
{
    return stream_of(upstream)->out.size;
}

void upstream_h2_pause(struct upstream *upstream)
{
    update_stream_timer(stream_of(upstream));
}

void upstream_h2_resume(struct upstream *upstream)
{
    struct upstream_h2_stream *stream = stream_of(upstream);
    h2_session_consume(stream->connection->session, &stream->stream, stream->stream.unconsumed);
    upstream_h2_mark_dirty(stream->connection);
    update_stream_timer(stream);
}

/* The stream lives on until the session says it is closed; the connection goes on. */
static void leave(struct upstream_h2_stream *stream, uint32_t code)
{
    struct upstream_h2 *connection = stream->connection;
    stream->upstream.exchange = NULL;
    io_timer_cancel(connection->proxy->io, &stream->timer);
    if (!stream->submitted) {
        upstream_h2_stream_free(stream);
        return;
    }
    if (!stream->stream.remote_ended || !stream->stream.local_ended) {
        h2_session_reset(connection->session, &stream->stream, code);
    }
    upstream_h2_mark_dirty(connection);
}

void upstream_h2_release(struct upstream *upstream)
{
    leave(stream_of(upstream), H2_NO_ERROR);
}

void upstream_h2_abandon(struct upstream *upstream)
{
    leave(stream_of(upstream), H2_CANCEL);
}
