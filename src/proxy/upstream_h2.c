#include "proxy/exchange.h"
#include "proxy/upstream_h2_internal.h"

#include <assert.h>

/* Of a connection with streams: silent for so long, it is asked; silent for as long again, it is
 * dead. */
#define PING_MS 5000
/* Of one connection, whatever the service allows: RFC 9113 section 6.5.2 recommends to allow at
 * least so many. */
#define STREAMS_MAX 100

size_t upstream_h2_size(void)
{
    return sizeof(struct upstream_h2);
}

size_t upstream_h2_stream_size(void)
{
    return sizeof(struct upstream_h2_stream);
}

void upstream_h2_mark_dirty(struct upstream_h2 *connection)
{
    if (!connection->dirty && connection->state != UPSTREAM_CLOSING) {
        connection->dirty = true;
        connection->dirty_next = connection->proxy->dirty_h2_upstreams;
        connection->proxy->dirty_h2_upstreams = connection;
    }
}

/* ---- timers ---- */

void upstream_h2_update_timer(struct upstream_h2 *connection)
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

/* ---- ends ---- */

static void close_now(struct upstream_h2 *connection)
{
    if (connection->state == UPSTREAM_CLOSING) {
        return;
    }
    connection->state = UPSTREAM_CLOSING;
    upstream_h2_update_timer(connection);
    io_close(&connection->socket);
}

static void fail(struct upstream_h2 *connection, enum proxy_upstream_error kind, const char *reason)
{
    if (connection->state == UPSTREAM_CLOSING) {
        return;
    }
    close_now(connection);
    for (struct upstream_h2_stream *one = connection->streams; one != NULL; one = one->next) {
        /* What a connection that never stood carried reached no one. */
        upstream_h2_stream_fail(one, one->stream.head_done ? PROXY_UPSTREAM_ERROR_CUT : kind,
                                EXCHANGE_REACHED, reason);
    }
}

static void on_closed(struct io_socket *socket)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    struct proxy *proxy = connection->proxy;
    assert(!connection->busy);
    while (connection->streams != NULL) {
        upstream_h2_stream_free(connection->streams);
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
    } else if (upstream_h2_now_ms(proxy) - connection->heard_ms < PING_MS) {
        connection->asked = false;
        upstream_h2_update_timer(connection);
    } else if (connection->asked) {
        fail(connection, PROXY_UPSTREAM_ERROR_CLOSED, "the service does not answer a PING");
    } else {
        connection->asked = true;
        h2_session_ping(connection->session);
        upstream_h2_mark_dirty(connection);
        upstream_h2_update_timer(connection);
    }
}

/* ---- the socket ---- */

static void on_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    if (status != STATUS_OK) {
        fail(connection, PROXY_UPSTREAM_ERROR_CLOSED, "the service closed the connection");
        return;
    }
    connection->heard_ms = upstream_h2_now_ms(connection->proxy);
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
    upstream_h2_mark_dirty(connection);
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
    upstream_h2_mark_dirty(connection);
}

static void on_connected(struct io_socket *socket, enum status status)
{
    struct upstream_h2 *connection = (struct upstream_h2 *)socket;
    if (status != STATUS_OK) {
        fail(connection, PROXY_UPSTREAM_ERROR_REFUSED, NULL);
        return;
    }
    connection->state = UPSTREAM_OPEN;
    connection->heard_ms = upstream_h2_now_ms(connection->proxy);
    io_receive(&connection->socket);
    upstream_h2_update_timer(connection);
    upstream_h2_mark_dirty(connection);
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

/* ---- for streams ---- */

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
    if (h2_session_new(&upstream_h2_handler, connection, &options, &connection->session) !=
        STATUS_OK) {
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
    upstream_h2_update_timer(connection);
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

struct upstream_h2 *upstream_h2_connection(struct proxy *proxy)
{
    struct upstream_h2 *connection = proxy->h2_upstreams_open;
    while (connection != NULL && !has_room(connection)) {
        connection = connection->next;
    }
    if (connection == NULL) {
        return connect_new(proxy);
    }
    counter_add(&proxy->metrics.upstream_reuses, 1);
    return connection;
}
