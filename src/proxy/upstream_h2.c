#include "proxy/upstream_h2.h"

#include "proxy/core.h"
#include "proxy/exchange.h"
#include "proxy/grpc.h"
#include "proxy/h2_fields.h"

#include <assert.h>

#define NS_PER_MS 1000000u

/* Of a connection with streams: silent for so long, it is asked; silent for as long again, it is
 * dead. */
#define PING_MS 5000
/* Of one connection, whatever the service allows: RFC 9113 section 6.5.2 recommends to allow at
 * least so many. */
#define STREAMS_MAX 100

struct stream {
    struct h2_stream stream;  /* first */
    struct upstream upstream; /* what the exchange holds; its own socket and buffers are not used */
    struct upstream_h2 *connection;
    struct stream *next, *previous;
    struct buffer out, trailers;
    struct io_timer timer;
    bool out_end;
    bool submitted;
    uint8_t informational_count;
};

struct upstream_h2 {
    struct io_socket socket; /* first */
    struct proxy *proxy;
    struct upstream_h2 *next, *previous; /* of all open ones */
    struct upstream_h2 *dirty_next;
    struct h2_session *session;
    struct stream *streams;
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

size_t upstream_h2_size(void)
{
    return sizeof(struct upstream_h2);
}

size_t upstream_h2_stream_size(void)
{
    return sizeof(struct stream);
}

static struct stream *stream_of(const struct upstream *upstream)
{
    return CONTAINER_OF((struct upstream *)(uintptr_t)upstream, struct stream, upstream);
}

static uint64_t now_ms(const struct proxy *proxy)
{
    return io_now(proxy->io)->boot_ns / NS_PER_MS;
}

static void mark_dirty(struct upstream_h2 *connection)
{
    if (!connection->dirty && connection->state != UPSTREAM_CLOSING) {
        connection->dirty = true;
        connection->dirty_next = connection->proxy->dirty_h2_upstreams;
        connection->proxy->dirty_h2_upstreams = connection;
    }
}

/* ---- timers ---- */

static void update_timer(struct upstream_h2 *connection)
{
    struct proxy *proxy = connection->proxy;
    const struct proxy_timeouts *timeouts = &proxy->settings->timeouts;
    if (connection->state == UPSTREAM_CLOSING) {
        io_timer_cancel(proxy->io, &connection->timer);
    } else if (connection->state == UPSTREAM_CONNECTING) {
        io_timer_set(proxy->io, &connection->timer, timeouts->upstream_connect_ms);
    } else if (connection->streams_count > 0) {
        io_timer_set(proxy->io, &connection->timer, PING_MS);
    } else {
        io_timer_set(proxy->io, &connection->timer, timeouts->upstream_idle_ms);
    }
}

/* gRPC streams may be silent for as long as they like: what bounds them is their deadline, the
 * token's end, and the PINGs. */
static void update_stream_timer(struct stream *stream)
{
    struct proxy *proxy = stream->connection->proxy;
    const struct proxy_timeouts *timeouts = &proxy->settings->timeouts;
    struct exchange *exchange = stream->upstream.exchange;
    uint32_t ms = 0;
    if (exchange != NULL && !exchange->long_lived) {
        if (stream->out.size > 0) {
            ms = timeouts->body_progress_ms;
        } else if (stream->stream.head_done) {
            ms = exchange->paused ? 0 : timeouts->body_progress_ms;
        } else if (stream->out_end) {
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

static void free_stream(struct stream *stream)
{
    struct upstream_h2 *connection = stream->connection;
    io_timer_cancel(connection->proxy->io, &stream->timer);
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
        update_timer(connection);
        if (connection->retiring) {
            mark_dirty(connection); /* which closes it */
        }
    }
    slab_give(&connection->proxy->h2_upstream_streams, stream);
}

/* Tells the exchange, which is then rid of the stream. */
static void fail_stream(struct stream *stream, enum proxy_upstream_error kind,
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

static void close_now(struct upstream_h2 *connection)
{
    if (connection->state == UPSTREAM_CLOSING) {
        return;
    }
    connection->state = UPSTREAM_CLOSING;
    update_timer(connection);
    io_close(&connection->socket);
}

static void fail(struct upstream_h2 *connection, enum proxy_upstream_error kind, const char *reason)
{
    if (connection->state == UPSTREAM_CLOSING) {
        return;
    }
    close_now(connection);
    for (struct stream *one = connection->streams; one != NULL; one = one->next) {
        /* What a connection that never stood carried reached no one. */
        fail_stream(one, one->stream.head_done ? PROXY_UPSTREAM_ERROR_CUT : kind, EXCHANGE_REACHED,
                    reason);
    }
}

static void on_closed(struct io_socket *socket)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    struct proxy *proxy = connection->proxy;
    assert(!connection->busy);
    while (connection->streams != NULL) {
        free_stream(connection->streams);
    }
    io_timer_cancel(proxy->io, &connection->timer);
    h2_session_free(connection->session);
    buffer_clear(&connection->out);
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        proxy->h2_upstreams_open = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    proxy->upstreams_count--;
    counter_set(&proxy->metrics.connections_upstream, proxy->upstreams_count);
    slab_give(&proxy->h2_upstreams, connection);
}

static void timer_fired(struct io_timer *timer)
{
    struct upstream_h2 *connection = CONTAINER_OF(timer, struct upstream_h2, timer);
    struct proxy *proxy = connection->proxy;
    if (connection->state == UPSTREAM_CONNECTING) {
        proxy_count_limit(proxy, PROXY_LIMIT_UPSTREAM_CONNECT);
        fail(connection, PROXY_UPSTREAM_ERROR_CONNECT_TIMEOUT, NULL);
    } else if (connection->streams_count == 0) {
        proxy_count_limit(proxy, PROXY_LIMIT_UPSTREAM_IDLE);
        close_now(connection);
    } else if (now_ms(proxy) - connection->heard_ms < PING_MS) {
        connection->asked = false;
        update_timer(connection);
    } else if (connection->asked) {
        fail(connection, PROXY_UPSTREAM_ERROR_CLOSED, "the service does not answer a PING");
    } else {
        connection->asked = true;
        h2_session_ping(connection->session);
        mark_dirty(connection);
        update_timer(connection);
    }
}

static void stream_timer_fired(struct io_timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, timer);
    struct upstream_h2 *connection = stream->connection;
    bool head = stream->out.size == 0 && !stream->stream.head_done;
    proxy_count_limit(connection->proxy,
                      head ? PROXY_LIMIT_UPSTREAM_HEAD : PROXY_LIMIT_BODY_PROGRESS);
    h2_session_reset(connection->session, &stream->stream, H2_CANCEL);
    mark_dirty(connection);
    fail_stream(stream,
                head ? PROXY_UPSTREAM_ERROR_HEAD_TIMEOUT : PROXY_UPSTREAM_ERROR_BODY_TIMEOUT,
                EXCHANGE_REACHED, NULL);
}

/* ---- what the session says ---- */

static void illegal(struct stream *stream, const char *reason)
{
    h2_session_reset(stream->connection->session, &stream->stream, H2_PROTOCOL_ERROR);
    mark_dirty(stream->connection);
    fail_stream(stream,
                stream->stream.head_done && stream->upstream.head_done
                    ? PROXY_UPSTREAM_ERROR_CUT
                    : PROXY_UPSTREAM_ERROR_ILLEGAL,
                EXCHANGE_REACHED, reason);
}

static void on_head(void *owner, struct h2_stream *h2_stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct stream *stream = (struct stream *)h2_stream;
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
    struct stream *stream = (struct stream *)h2_stream;
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
    struct stream *stream = (struct stream *)h2_stream;
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
    illegal((struct stream *)h2_stream, reason);
}

static void on_stream_closed(void *owner, struct h2_stream *h2_stream, uint32_t error)
{
    struct stream *stream = (struct stream *)h2_stream;
    bool cut = stream->upstream.head_done;
    (void)owner;
    /* RFC 9113 section 8.7: "The REFUSED_STREAM error code can be included in a RST_STREAM frame to
     * indicate that the stream is being closed prior to any processing having occurred. Any request
     * that was sent on the reset stream can be safely retried." A GOAWAY says the same of streams
     * behind its last one, and nghttp2 closes them so. */
    bool refused = error == H2_REFUSED_STREAM && !cut;
    fail_stream(stream, cut ? PROXY_UPSTREAM_ERROR_CUT : PROXY_UPSTREAM_ERROR_CLOSED,
                refused ? EXCHANGE_REFUSED : EXCHANGE_REACHED,
                cut ? "the service reset the stream in the middle of its answer"
                    : "the service reset the stream");
    free_stream(stream);
}

static size_t on_read(void *owner, struct h2_stream *h2_stream, struct span_mut into, bool *end)
{
    struct stream *stream = (struct stream *)h2_stream;
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
    struct stream *stream = (struct stream *)h2_stream;
    struct h2_fields fields;
    fields.count = 0;
    h2_fields_add_lines(&fields, h2_fields_kept(&stream->trailers));
    h2_session_send_trailers(connection->session, h2_stream, fields.list, fields.count);
}

static const struct h2_handler handler = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .broken = on_broken,
    .closed = on_stream_closed,
    .read = on_read,
    .trailers = on_trailers,
};

/* ---- the socket ---- */

static void on_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    if (status != STATUS_OK) {
        fail(connection, PROXY_UPSTREAM_ERROR_CLOSED, "the service closed the connection");
        return;
    }
    connection->heard_ms = now_ms(connection->proxy);
    connection->asked = false;
    connection->busy = true;
    enum status taken = h2_session_receive(connection->session, span_make(buffer.data, buffer.size),
                                           connection->heard_ms);
    connection->busy = false;
    io_buffer_return(socket, buffer);
    if (taken != STATUS_OK) {
        fail(connection, PROXY_UPSTREAM_ERROR_ILLEGAL, "the service does not speak HTTP/2");
        return;
    }
    mark_dirty(connection);
}

static void on_sent(struct io_socket *socket, enum status status)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    size_t sent = connection->sending;
    connection->sending = 0;
    if (status != STATUS_OK) {
        fail(connection, PROXY_UPSTREAM_ERROR_SEND, "the service closed the connection");
        return;
    }
    buffer_consume(&connection->out, sent);
    mark_dirty(connection);
}

static void on_connected(struct io_socket *socket, enum status status)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    if (status != STATUS_OK) {
        fail(connection, PROXY_UPSTREAM_ERROR_REFUSED, NULL);
        return;
    }
    connection->state = UPSTREAM_OPEN;
    connection->heard_ms = now_ms(connection->proxy);
    io_receive(&connection->socket);
    update_timer(connection);
    mark_dirty(connection);
}

static const struct io_socket_events events = {
    .received = on_received,
    .sent = on_sent,
    .connected = on_connected,
    .closed = on_closed,
};

/* Moves what the session has to say into `out`, as far as the service takes it. */
static bool fill_out(struct upstream_h2 *connection)
{
    connection->busy = true;
    bool good = true;
    while (good && connection->out.size <= PROXY_UPSTREAM_MARK) {
        struct span bytes;
        good = h2_session_send(connection->session, &bytes) == STATUS_OK;
        if (!good || bytes.size == 0) {
            break;
        }
        good = buffer_append(&connection->out, bytes) == STATUS_OK;
    }
    connection->busy = false;
    return good;
}

static void flush(struct upstream_h2 *connection)
{
    if (connection->state != UPSTREAM_OPEN) {
        return;
    }
    if (!fill_out(connection)) {
        proxy_count_limit(connection->proxy, PROXY_LIMIT_BUFFERS);
        fail(connection, PROXY_UPSTREAM_ERROR_SEND, "the worker's buffers are used up");
        return;
    }
    bool leaving = h2_session_peer_is_leaving(connection->session) || connection->retiring;
    if (h2_session_finished(connection->session) ||
        (leaving && connection->streams_count == 0 && connection->out.size == 0)) {
        fail(connection, PROXY_UPSTREAM_ERROR_CLOSED, "the service ended the connection");
        return;
    }
    if (connection->sending > 0 || connection->out.size == 0) {
        return;
    }
    struct span spans[PROXY_SEND_SPANS];
    size_t count = buffer_peek(&connection->out, spans, PROXY_SEND_SPANS);
    for (size_t i = 0; i < count; i++) {
        connection->sending += spans[i].size;
    }
    io_send(&connection->socket, spans, count);
}

void upstream_h2_flush_all(struct proxy *proxy)
{
    while (proxy->dirty_h2_upstreams != NULL) {
        struct upstream_h2 *connection = proxy->dirty_h2_upstreams;
        proxy->dirty_h2_upstreams = connection->dirty_next;
        connection->dirty = false;
        flush(connection);
    }
}

void upstream_h2_close_idle(struct proxy *proxy)
{
    for (struct upstream_h2 *one = proxy->h2_upstreams_open; one != NULL; one = one->next) {
        one->retiring = true;
        if (one->streams_count == 0) {
            close_now(one);
        }
    }
}

/* ---- for the exchange ---- */

static struct upstream_h2 *connect_new(struct proxy *proxy)
{
    struct upstream_h2 *connection = slab_take(&proxy->h2_upstreams);
    if (connection == NULL) {
        return NULL;
    }
    *connection = (struct upstream_h2){.proxy = proxy,
                                       .state = UPSTREAM_CONNECTING,
                                       .epoch = proxy->upstream_epoch,
                                       .limits = proxy->settings->limits};
    connection->timer.fired = timer_fired;
    buffer_init(&connection->out, &proxy->chunks);
    struct h2_options options = {.client = true, .limits = &connection->limits};
    const struct proxy_settings *settings = proxy->settings;
    if (h2_session_new(&handler, connection, &options, &connection->session) != STATUS_OK) {
        slab_give(&proxy->h2_upstreams, connection);
        return NULL;
    }
    if (io_connect(proxy->io, &connection->socket, &events,
                   (const struct sockaddr *)&settings->upstream,
                   settings->upstream_size) != STATUS_OK) {
        h2_session_free(connection->session);
        slab_give(&proxy->h2_upstreams, connection);
        return NULL;
    }
    connection->next = proxy->h2_upstreams_open;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    proxy->h2_upstreams_open = connection;
    proxy->upstreams_count++;
    counter_set(&proxy->metrics.connections_upstream, proxy->upstreams_count);
    counter_add(&proxy->metrics.upstream_connects, 1);
    update_timer(connection);
    return connection;
}

static bool has_room(const struct upstream_h2 *connection)
{
    struct proxy *proxy = connection->proxy;
    uint32_t most = h2_session_peer_streams_max(connection->session);
    if (most != UINT32_MAX) {
        proxy->h2_upstream_streams_max = most; /* what the next connection is taken to allow, too */
    } else if (proxy->h2_upstream_streams_max != 0) {
        most = proxy->h2_upstream_streams_max;
    }
    most = most < STREAMS_MAX ? most : STREAMS_MAX;
    return connection->state != UPSTREAM_CLOSING && !connection->retiring &&
           connection->epoch == proxy->upstream_epoch &&
           !h2_session_peer_is_leaving(connection->session) && connection->streams_count < most;
}

struct upstream *upstream_h2_acquire(struct proxy *proxy, struct exchange *exchange,
                                     enum proxy_upstream_error *kind)
{
    struct upstream_h2 *connection = proxy->h2_upstreams_open;
    *kind = PROXY_UPSTREAM_ERROR_DESCRIPTORS;
    while (connection != NULL && !has_room(connection)) {
        connection = connection->next;
    }
    if (connection != NULL) {
        counter_add(&proxy->metrics.upstream_reuses, 1);
    } else {
        connection = connect_new(proxy);
    }
    struct stream *stream = connection != NULL ? slab_take(&proxy->h2_upstream_streams) : NULL;
    if (stream == NULL) {
        return NULL;
    }
    *stream = (struct stream){.connection = connection};
    stream->upstream.proxy = proxy;
    stream->upstream.exchange = exchange;
    stream->upstream.is_stream = true;
    stream->stream.method = exchange->request.method;
    stream->timer.fired = stream_timer_fired;
    buffer_init(&stream->out, &proxy->chunks);
    buffer_init(&stream->trailers, &proxy->chunks);
    stream->next = connection->streams;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    connection->streams = stream;
    if (++connection->streams_count == 1) {
        connection->heard_ms = now_ms(proxy);
        update_timer(connection);
    }
    return &stream->upstream;
}

/* Takes "name: value" up to the next line. */
static bool next_line(struct span *text, struct span *line)
{
    size_t end = span_find(*text, '\n');
    if (end == text->size || end < 2) {
        return false;
    }
    *line = span_first(*text, end - 1);
    *text = span_after(*text, end + 1);
    return true;
}

static bool asks_for_trailers(const struct http_head *head)
{
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (span_equal_ignore_case(head->headers[i].name, SPAN_LITERAL("te")) &&
            span_equal_ignore_case(head->headers[i].value, SPAN_LITERAL("trailers"))) {
            return true;
        }
    }
    return false;
}

/* The head as request_head_write gives it, so that what is stripped and set is the same for both
 * versions: the request line and Host become pseudo-header fields, the framing is HTTP/2's. */
static void fill_request(struct h2_fields *fields, struct span text, const struct http_head *head)
{
    struct span line = {NULL, 0};
    size_t method = next_line(&text, &line) ? span_find(line, ' ') : 0;
    assert(method > 0 && method < line.size);
    if (method >= line.size) {
        return;
    }
    struct span target = span_after(line, method + 1);
    target = span_first(target, span_find(target, ' '));
    h2_fields_add(fields, SPAN_LITERAL(":method"), span_first(line, method));
    h2_fields_add(fields, SPAN_LITERAL(":scheme"), SPAN_LITERAL("http"));
    h2_fields_add(fields, SPAN_LITERAL(":authority"), head->uri.authority);
    h2_fields_add(fields, SPAN_LITERAL(":path"), target);
    while (next_line(&text, &line)) {
        size_t colon = span_find(line, ':');
        struct span name = span_first(line, colon);
        if (colon + 2 <= line.size && !span_equal_ignore_case(name, SPAN_LITERAL("host")) &&
            !span_equal_ignore_case(name, SPAN_LITERAL("transfer-encoding"))) {
            h2_fields_add(fields, name, span_after(line, colon + 2));
        }
    }
    if (asks_for_trailers(head)) {
        h2_fields_add(fields, SPAN_LITERAL("te"), SPAN_LITERAL("trailers"));
    }
}

enum status upstream_h2_head(struct upstream *upstream, struct span head_text, bool has_body)
{
    struct stream *stream = stream_of(upstream);
    struct h2_fields fields;
    fields.count = 0;
    fill_request(&fields, head_text, &upstream->exchange->request);
    if (h2_session_request(stream->connection->session, &stream->stream, fields.list, fields.count,
                           has_body) != STATUS_OK) {
        return STATUS_FULL;
    }
    stream->submitted = true;
    mark_dirty(stream->connection);
    return STATUS_OK;
}

enum status upstream_h2_write(struct upstream *upstream, struct span bytes)
{
    struct stream *stream = stream_of(upstream);
    if (buffer_append(&stream->out, bytes) != STATUS_OK) {
        return STATUS_FULL;
    }
    h2_session_resume(stream->connection->session, &stream->stream);
    mark_dirty(stream->connection);
    if (!io_timer_is_set(&stream->timer)) {
        update_stream_timer(stream);
    }
    return STATUS_OK;
}

enum status upstream_h2_trailers(struct upstream *upstream, struct span lines)
{
    struct stream *stream = stream_of(upstream);
    enum status status = buffer_append(&stream->trailers, lines);
    stream->stream.has_trailers = status == STATUS_OK && lines.size > 0;
    return status;
}

void upstream_h2_request_end(struct upstream *upstream)
{
    struct stream *stream = stream_of(upstream);
    stream->out_end = true;
    h2_session_resume(stream->connection->session, &stream->stream);
    mark_dirty(stream->connection);
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
    struct stream *stream = stream_of(upstream);
    h2_session_consume(stream->connection->session, &stream->stream, stream->stream.unconsumed);
    mark_dirty(stream->connection);
    update_stream_timer(stream);
}

/* The stream lives on until the session says it is closed; the connection goes on. */
static void leave(struct stream *stream, uint32_t code)
{
    struct upstream_h2 *connection = stream->connection;
    stream->upstream.exchange = NULL;
    io_timer_cancel(connection->proxy->io, &stream->timer);
    if (!stream->submitted) {
        free_stream(stream);
        return;
    }
    if (!stream->stream.remote_ended || !stream->stream.local_ended) {
        h2_session_reset(connection->session, &stream->stream, code);
    }
    mark_dirty(connection);
}

void upstream_h2_release(struct upstream *upstream)
{
    leave(stream_of(upstream), H2_NO_ERROR);
}

void upstream_h2_abandon(struct upstream *upstream)
{
    leave(stream_of(upstream), H2_CANCEL);
}
