#include "proxy/upstream.h"

#include "proxy/core.h"
#include "proxy/exchange.h"
#include "proxy/upstream_h2.h"
#include "proxy/upstream_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void close_now(struct upstream *upstream);

/* ---- timers: one a connection, what it means depends on the phase ---- */

static uint8_t timer_wanted(const struct upstream *upstream)
{
    if (upstream->state == UPSTREAM_CLOSING) {
        return UPSTREAM_TIMER_NONE;
    }
    if (upstream->state == UPSTREAM_CONNECTING) {
        return UPSTREAM_TIMER_CONNECT;
    }
    if (upstream->exchange == NULL) {
        return UPSTREAM_TIMER_IDLE;
    }
    if (upstream->out.size > 0) {
        return UPSTREAM_TIMER_SEND;
    }
    if (upstream->head_done) {
        /* A tunnel may be silent in either direction: its idle timeout is the client's side's. */
        bool silent = upstream->exchange->paused || upstream->exchange->tunnel;
        return silent ? UPSTREAM_TIMER_NONE : UPSTREAM_TIMER_BODY;
    }
    /* While the client is still sending its body, the client's own timer runs. */
    return upstream->request_done ? UPSTREAM_TIMER_HEAD : UPSTREAM_TIMER_NONE;
}

static uint32_t timer_ms(const struct upstream *upstream, uint8_t kind)
{
    const struct proxy_timeouts *timeouts = &upstream->proxy->settings->timeouts;
    switch (kind) {
    case UPSTREAM_TIMER_CONNECT:
        return timeouts->upstream_connect_ms;
    case UPSTREAM_TIMER_HEAD:
        return timeouts->upstream_head_ms;
    case UPSTREAM_TIMER_IDLE:
        return timeouts->upstream_idle_ms;
    default:
        return timeouts->body_progress_ms;
    }
}

/* Moves the timer to what the phase wants. `progress` restarts those that measure standing still.
 */
static void update_timer(struct upstream *upstream, bool progress)
{
    uint8_t kind = timer_wanted(upstream);
    bool restarts = progress && (kind == UPSTREAM_TIMER_SEND || kind == UPSTREAM_TIMER_BODY);
    if (kind == upstream->timer_kind && !restarts) {
        return;
    }
    upstream->timer_kind = kind;
    if (kind == UPSTREAM_TIMER_NONE) {
        io_timer_rest(&upstream->timer);
    } else {
        io_timer_set_from_turn(upstream->proxy->io, &upstream->timer, timer_ms(upstream, kind));
    }
}

/* ---- ends ---- */

/* A connection from the pool that had died before the kernel took one byte of this request. */
static bool request_unsent(const struct upstream *upstream)
{
    return upstream->reused && !upstream->written && upstream->sending == 0;
}

static enum exchange_reach reach_of(const struct upstream *upstream, enum proxy_upstream_error kind)
{
    if (request_unsent(upstream)) {
        return EXCHANGE_UNSENT;
    }
    bool closed = kind == PROXY_UPSTREAM_ERROR_CLOSED || kind == PROXY_UPSTREAM_ERROR_SEND;
    bool answered = upstream->head_done || upstream->input != NULL ||
                    upstream->informational_count > 0;
    return upstream->reused && closed && !answered ? EXCHANGE_UNANSWERED : EXCHANGE_REACHED;
}

/* Detaches the exchange and closes; tells the exchange last, since it may begin a retry. */
static void fail(struct upstream *upstream, enum proxy_upstream_error kind)
{
    struct exchange *exchange = upstream->exchange;
    enum exchange_reach reach = reach_of(upstream, kind);
    if (exchange == NULL) {
        close_now(upstream);
        return;
    }
    counter_add(&upstream->proxy->metrics.upstream_errors[kind], 1);
    /* The request's bytes stay in `out` for a retry until the exchange has had its say. */
    upstream->exchange = NULL;
    upstream->poisoned = true;
    exchange_upstream_failed(exchange, kind, reach);
    close_now(upstream);
}

static void timer_fired(struct io_timer *timer)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, timer);
    uint8_t kind = upstream->timer_kind;
    upstream->timer_kind = UPSTREAM_TIMER_NONE;
    switch (kind) {
    case UPSTREAM_TIMER_CONNECT:
        proxy_count_limit(upstream->proxy, PROXY_LIMIT_UPSTREAM_CONNECT);
        fail(upstream, PROXY_UPSTREAM_ERROR_CONNECT_TIMEOUT);
        break;
    case UPSTREAM_TIMER_HEAD:
        proxy_count_limit(upstream->proxy, PROXY_LIMIT_UPSTREAM_HEAD);
        fail(upstream, PROXY_UPSTREAM_ERROR_HEAD_TIMEOUT);
        break;
    case UPSTREAM_TIMER_IDLE:
        proxy_count_limit(upstream->proxy, PROXY_LIMIT_UPSTREAM_IDLE);
        close_now(upstream);
        break;
    default:
        proxy_count_limit(upstream->proxy, PROXY_LIMIT_BODY_PROGRESS);
        fail(upstream, PROXY_UPSTREAM_ERROR_BODY_TIMEOUT);
        break;
    }
}

static void give_input_back(struct upstream *upstream)
{
    free(upstream->input);
    upstream->input = NULL;
    upstream->input_size = 0;
}

static void close_now(struct upstream *upstream)
{
    if (upstream->state == UPSTREAM_CLOSING) {
        return;
    }
    upstream_pool_remove(upstream);
    upstream->state = UPSTREAM_CLOSING;
    upstream->exchange = NULL;
    upstream->timer_kind = UPSTREAM_TIMER_NONE;
    io_timer_cancel(upstream->proxy->io, &upstream->timer);
    give_input_back(upstream);
    io_close(&upstream->socket);
}

static void unlink_open(struct upstream *upstream)
{
    struct proxy *proxy = upstream->proxy;
    if (upstream->previous != NULL) {
        upstream->previous->next = upstream->next;
    } else {
        proxy->upstreams_open = upstream->next;
    }
    if (upstream->next != NULL) {
        upstream->next->previous = upstream->previous;
    }
    proxy->upstreams_count--;
    counter_set(&proxy->metrics.connections_upstream, proxy->upstreams_count);
}

static void on_closed(struct io_socket *socket)
{
    struct upstream *upstream = (struct upstream *)socket;
    assert(!upstream->dirty && upstream->timer.next == NULL);
    unlink_open(upstream);
    buffer_clear(&upstream->out);
    buffer_clear(&upstream->trailers);
    slab_give(&upstream->proxy->upstreams, upstream);
}

/* ---- the answer ---- */

static void pass_trailers(struct upstream *upstream)
{
    struct http_head *trailers = &upstream->proxy->response;
    struct span text;
    if (buffer_peek(&upstream->trailers, &text, 1) == 1 &&
        http1_read_trailers(text, trailers) == STATUS_OK) {
        http_mark_trailers_dropped(NULL, trailers);
        exchange_upstream_trailers(upstream->exchange, trailers);
    }
    buffer_clear(&upstream->trailers);
}

static void end_answer(struct upstream *upstream)
{
    struct exchange *exchange = upstream->exchange;
    pass_trailers(upstream);
    if (upstream->exchange == NULL) {
        return; /* the client took no more */
    }
    if (!upstream->keep_alive || upstream->body.kind == HTTP_BODY_UNTIL_CLOSE) {
        upstream->poisoned = true;
    }
    exchange_upstream_end(exchange);
}

/* Over head_bytes, so that the parser gets to say that a head is too large. */
static size_t input_capacity(const struct upstream *upstream)
{
    return (size_t)upstream->proxy->settings->limits.head_bytes_max + 4;
}

/* A 101: from here on the bytes are the tunnel's, until the connection ends. */
static bool take_switch(struct upstream *upstream, struct http_head *head)
{
    struct exchange *exchange = upstream->exchange;
    if (!exchange_upstream_switches(exchange, head)) {
        exchange->reason = "101 without the Sec-WebSocket-Accept that the key calls for";
        fail(upstream, PROXY_UPSTREAM_ERROR_ILLEGAL);
        return false;
    }
    upstream->head_done = true;
    upstream->keep_alive = false;
    upstream->body = (struct http1_body){.kind = HTTP_BODY_UNTIL_CLOSE};
    exchange_upstream_head(exchange, head);
    return true;
}

/* One head: an interim answer, or the answer's own. False: more bytes are needed, or it failed. */
static bool take_head(struct upstream *upstream, struct span bytes, size_t *head_size)
{
    struct exchange *exchange = upstream->exchange;
    struct http_head *head = &upstream->proxy->response;
    const char *reason = NULL;
    enum status status = http1_parse_response(
        &upstream->scan, bytes, &upstream->proxy->settings->limits, exchange->request.method,
        exchange->request.upgrade_websocket, head, head_size, &reason);
    if (status == STATUS_AGAIN) {
        return false;
    }
    if (status != STATUS_OK) {
        exchange->reason = reason;
        fail(upstream, PROXY_UPSTREAM_ERROR_ILLEGAL);
        return false;
    }
    upstream->scan = (struct http1_scan){0};
    if (head->status == 101) {
        return take_switch(upstream, head);
    }
    if (head->status < 200) {
        if (++upstream->informational_count > PROXY_INFORMATIONAL_MAX) {
            exchange->reason = "too many interim answers";
            fail(upstream, PROXY_UPSTREAM_ERROR_ILLEGAL);
            return false;
        }
        exchange_upstream_informational(exchange, head);
        return true;
    }
    if (exchange_upstream_misleads(exchange, head)) {
        exchange->reason = "the service answered, and did not switch to WebSocket";
        fail(upstream, PROXY_UPSTREAM_ERROR_WEBSOCKET);
        return false;
    }
    upstream->head_done = true;
    upstream->keep_alive = head->keep_alive;
    upstream->drop_trailers = http_connection_names_fields(head);
    http1_body_init(&upstream->body, head, 0);
    exchange_upstream_head(exchange, head);
    return true;
}

/* Keeps what there is of a head until more comes. Returns what was consumed of `bytes`. */
static size_t keep_head(struct upstream *upstream, struct span bytes)
{
    size_t capacity = input_capacity(upstream);
    if (upstream->input == NULL) {
        upstream->input = malloc(capacity);
        upstream->input_size = 0;
    }
    if (upstream->input == NULL || upstream->input_size == capacity) {
        upstream->exchange->reason = "the service's head does not fit";
        fail(upstream, PROXY_UPSTREAM_ERROR_ILLEGAL);
        return bytes.size;
    }
    size_t room = capacity - upstream->input_size;
    size_t size = bytes.size < room ? bytes.size : room;
    memcpy(upstream->input + upstream->input_size, bytes.data, size);
    upstream->input_size += (uint32_t)size;
    return size;
}

/* A head that is whole in `bytes` is parsed where it is; one in pieces is gathered in `input`
 * first. Returns what was consumed of `bytes`. */
static size_t feed_head(struct upstream *upstream, struct span bytes)
{
    size_t head_size = 0;
    if (upstream->input == NULL) {
        if (take_head(upstream, bytes, &head_size)) {
            return head_size;
        }
        return upstream->exchange != NULL ? keep_head(upstream, bytes) : bytes.size;
    }
    size_t before = upstream->input_size;
    size_t kept = keep_head(upstream, bytes);
    if (upstream->exchange == NULL) {
        return bytes.size;
    }
    if (take_head(upstream, span_make(upstream->input, upstream->input_size), &head_size)) {
        give_input_back(upstream);
        return head_size - before;
    }
    return upstream->exchange != NULL ? kept : bytes.size;
}

static size_t feed_body(struct upstream *upstream, struct span bytes)
{
    size_t consumed = 0;
    struct span payload = {0};
    if (http1_body_feed(&upstream->body, bytes, &consumed, &payload) != STATUS_OK) {
        upstream->exchange->reason = "the service's body framing is broken";
        fail(upstream, PROXY_UPSTREAM_ERROR_ILLEGAL);
        return bytes.size;
    }
    if (upstream->body.trailer_count > 0 && !upstream->drop_trailers &&
        buffer_append(&upstream->trailers, upstream->body.trailer_part) != STATUS_OK) {
        proxy_count_limit(upstream->proxy, PROXY_LIMIT_BUFFERS);
        fail(upstream, PROXY_UPSTREAM_ERROR_CUT);
        return bytes.size;
    }
    if (payload.size > 0) {
        exchange_upstream_body(upstream->exchange, payload);
    }
    return consumed;
}

/* What came from the service, as far as there is an exchange that wants it. */
static void feed(struct upstream *upstream, struct span bytes)
{
    while (upstream->exchange != NULL) {
        if (!upstream->head_done) {
            if (bytes.size == 0) {
                return;
            }
            bytes = span_after(bytes, feed_head(upstream, bytes));
        } else if (upstream->body.done) {
            /* Bytes behind the end belong to no request: whoever sent them cannot be trusted with
             * the next. */
            upstream->poisoned = upstream->poisoned || bytes.size > 0;
            end_answer(upstream);
            return;
        } else if (bytes.size == 0) {
            return;
        } else {
            bytes = span_after(bytes, feed_body(upstream, bytes));
        }
    }
}

/* The service sends no more. */
static void ended(struct upstream *upstream, enum status status)
{
    if (upstream->exchange == NULL) {
        close_now(upstream); /* idle: liveness */
    } else if (upstream->sending > 0 && !upstream->head_done) {
        upstream->end_pending = true; /* on_sent knows whether the request was taken */
    } else if (!upstream->head_done) {
        upstream->exchange->reason = "the service closed without an answer";
        fail(upstream, PROXY_UPSTREAM_ERROR_CLOSED);
    } else if (upstream->body.kind == HTTP_BODY_UNTIL_CLOSE && status == STATUS_CLOSED) {
        upstream->poisoned = true;
        end_answer(upstream);
    } else {
        upstream->exchange->reason = "the service closed in the middle of its answer";
        fail(upstream, PROXY_UPSTREAM_ERROR_CUT);
    }
}

static void on_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct upstream *upstream = (struct upstream *)socket;
    if (status != STATUS_OK) {
        upstream->poisoned = true;
        ended(upstream, status);
        return;
    }
    if (upstream->exchange == NULL) {
        close_now(upstream); /* an idle connection has nothing to say */
    } else {
        feed(upstream, span_make(buffer.data, buffer.size));
        if (upstream->state != UPSTREAM_CLOSING) {
            update_timer(upstream, true);
        }
    }
    io_buffer_return(socket, buffer);
}

/* ---- sending ---- */

static void mark_dirty(struct upstream *upstream)
{
    if (!upstream->dirty) {
        upstream->dirty = true;
        upstream->dirty_next = upstream->proxy->dirty_upstreams;
        upstream->proxy->dirty_upstreams = upstream;
    }
}

static void flush(struct upstream *upstream)
{
    if (upstream->state != UPSTREAM_OPEN || upstream->sending > 0) {
        return;
    }
    if (upstream->out.size == 0) {
        if (upstream->half_close) {
            upstream->half_close = false;
            io_shutdown(&upstream->socket);
        }
        return;
    }
    struct span spans[PROXY_SEND_SPANS];
    size_t count = buffer_peek(&upstream->out, spans, PROXY_SEND_SPANS);
    for (size_t i = 0; i < count; i++) {
        upstream->sending += spans[i].size;
    }
    io_send(&upstream->socket, spans, count);
    update_timer(upstream, false);
}

void upstream_flush_all(struct proxy *proxy)
{
    while (proxy->dirty_upstreams != NULL) {
        struct upstream *upstream = proxy->dirty_upstreams;
        proxy->dirty_upstreams = upstream->dirty_next;
        upstream->dirty = false;
        flush(upstream);
    }
}

/* The service takes no more of the request; it may have answered all the same (RFC 9112
 * section 9.5: a client that sees an error while sending "SHOULD" look at the answer). */
static void send_failed(struct upstream *upstream)
{
    upstream->send_failed = true;
    upstream->poisoned = true;
    if (upstream->exchange == NULL) {
        close_now(upstream);
        return;
    }
    bool unsent = request_unsent(upstream);
    if (unsent || upstream->end_pending) {
        upstream->exchange->reason = "the service closed without an answer";
        fail(upstream, unsent ? PROXY_UPSTREAM_ERROR_CLOSED : PROXY_UPSTREAM_ERROR_SEND);
        return;
    }
    buffer_clear(&upstream->out);
    upstream->request_done = true;
    update_timer(upstream, true);
    exchange_upstream_stopped_reading(upstream->exchange);
}

static void on_sent(struct io_socket *socket, enum status status)
{
    struct upstream *upstream = (struct upstream *)socket;
    size_t sent = upstream->sending;
    upstream->sending = 0;
    upstream->written = upstream->written || socket->sent_some;
    if (status != STATUS_OK) {
        send_failed(upstream);
        return;
    }
    buffer_consume(&upstream->out, sent);
    if (upstream->end_pending) {
        upstream->end_pending = false;
        ended(upstream, STATUS_CLOSED);
        return;
    }
    if (upstream->out.size > 0 || upstream->half_close) {
        mark_dirty(upstream);
    }
    update_timer(upstream, true);
    if (upstream->exchange != NULL) {
        exchange_upstream_room(upstream->exchange);
    }
}

static void on_connected(struct io_socket *socket, enum status status)
{
    struct upstream *upstream = (struct upstream *)socket;
    if (status != STATUS_OK) {
        fail(upstream, PROXY_UPSTREAM_ERROR_REFUSED);
        return;
    }
    upstream->state = UPSTREAM_OPEN;
    mark_dirty(upstream);
    io_receive(&upstream->socket);
    update_timer(upstream, true);
}

static const struct io_socket_events events = {
    .received = on_received,
    .sent = on_sent,
    .connected = on_connected,
    .closed = on_closed,
};

/* ---- for the exchange ---- */

static void attach(struct upstream *upstream, struct exchange *exchange, bool reused)
{
    upstream->exchange = exchange;
    upstream->reused = reused;
    upstream->written = false;
    upstream->request_done = false;
    upstream->head_done = false;
    upstream->informational_count = 0;
    upstream->scan = (struct http1_scan){0};
}

static struct upstream *connect_new(struct proxy *proxy, enum proxy_upstream_error *kind)
{
    struct upstream *upstream = slab_take(&proxy->upstreams);
    *kind = PROXY_UPSTREAM_ERROR_DESCRIPTORS;
    if (upstream == NULL) {
        return NULL;
    }
    *upstream = (struct upstream){
        .proxy = proxy, .state = UPSTREAM_CONNECTING, .epoch = proxy->upstream_epoch};
    upstream->timer.fired = timer_fired;
    buffer_init(&upstream->out, &proxy->chunks);
    buffer_init(&upstream->trailers, &proxy->chunks);
    const struct proxy_settings *settings = proxy->settings;
    if (io_connect(proxy->io, &upstream->socket, &events,
                   (const struct sockaddr *)&settings->upstream,
                   settings->upstream_size) != STATUS_OK) {
        slab_give(&proxy->upstreams, upstream);
        return NULL;
    }
    upstream->next = proxy->upstreams_open;
    if (upstream->next != NULL) {
        upstream->next->previous = upstream;
    }
    proxy->upstreams_open = upstream;
    proxy->upstreams_count++;
    counter_set(&proxy->metrics.connections_upstream, proxy->upstreams_count);
    counter_add(&proxy->metrics.upstream_connects, 1);
    return upstream;
}

struct upstream *upstream_acquire(struct proxy *proxy, struct exchange *exchange, bool fresh,
                                  enum proxy_upstream_error *kind)
{
    if (proxy->settings->upstream_h2) {
        return upstream_h2_acquire(proxy, exchange, kind);
    }
    struct upstream *upstream = fresh ? NULL : upstream_pool_take(&proxy->pool);
    bool reused = upstream != NULL;
    if (reused) {
        counter_add(&proxy->metrics.upstream_reuses, 1);
    } else {
        upstream = connect_new(proxy, kind);
        if (upstream == NULL) {
            return NULL;
        }
    }
    attach(upstream, exchange, reused);
    update_timer(upstream, true);
    return upstream;
}

enum status upstream_write_head(struct upstream *upstream, struct span head_text, bool has_body)
{
    return upstream->is_stream ? upstream_h2_head(upstream, head_text, has_body)
                               : upstream_write(upstream, head_text);
}

enum status upstream_write_trailers(struct upstream *upstream, struct span lines)
{
    return upstream->is_stream && lines.size > 0 ? upstream_h2_trailers(upstream, lines)
                                                 : STATUS_OK;
}

enum status upstream_write(struct upstream *upstream, struct span bytes)
{
    if (upstream->is_stream) {
        return upstream_h2_write(upstream, bytes);
    }
    if (upstream->send_failed) {
        return STATUS_OK; /* dropped: the answer is what is waited for */
    }
    enum status status = buffer_append(&upstream->out, bytes);
    if (status == STATUS_OK) {
        mark_dirty(upstream);
    }
    return status;
}

void upstream_request_end(struct upstream *upstream)
{
    if (upstream->is_stream) {
        upstream_h2_request_end(upstream);
        return;
    }
    upstream->request_done = true;
    update_timer(upstream, false);
}

void upstream_half_close(struct upstream *upstream)
{
    if (upstream->is_stream) {
        upstream_h2_request_end(upstream);
        return;
    }
    upstream->half_close = true;
    mark_dirty(upstream);
}

size_t upstream_waiting(const struct upstream *upstream)
{
    if (upstream->is_stream) {
        return upstream_h2_waiting(upstream);
    }
    return upstream->out.size;
}

void upstream_pause(struct upstream *upstream)
{
    if (upstream->is_stream) {
        upstream_h2_pause(upstream);
        return;
    }
    io_receive_pause(&upstream->socket);
    update_timer(upstream, false);
}

void upstream_resume(struct upstream *upstream)
{
    if (upstream->is_stream) {
        upstream_h2_resume(upstream);
        return;
    }
    if (upstream->state == UPSTREAM_OPEN) {
        io_receive(&upstream->socket);
        update_timer(upstream, true);
    }
}

/* A send may still be on its way to being reported although the answer is here: that is no reason
 * against the pool, but bytes that were never handed to the kernel are. */
void upstream_release(struct upstream *upstream)
{
    if (upstream->is_stream) {
        upstream_h2_release(upstream);
        return;
    }
    upstream->exchange = NULL;
    bool reusable = upstream->state == UPSTREAM_OPEN && !upstream->poisoned &&
                    upstream->request_done && upstream->out.size == upstream->sending &&
                    upstream->epoch == upstream->proxy->upstream_epoch &&
                    !upstream->proxy->draining;
    if (!reusable || upstream->proxy->pool.count >= PROXY_UPSTREAM_IDLE_MAX) {
        close_now(upstream);
        return;
    }
    upstream_pool_add(&upstream->proxy->pool, upstream);
    io_receive(&upstream->socket);
    update_timer(upstream, true);
}

void upstream_abandon(struct upstream *upstream)
{
    if (upstream->is_stream) {
        upstream_h2_abandon(upstream);
        return;
    }
    upstream->poisoned = true;
    close_now(upstream);
}

void upstream_move_request(struct upstream *from, struct upstream *to)
{
    assert(from->sending == 0 && !from->written);
    buffer_move(&to->out, &from->out);
    to->request_done = from->request_done;
    mark_dirty(to);
}

void upstream_close_idle(struct proxy *proxy)
{
    struct upstream *upstream;
    while ((upstream = upstream_pool_take(&proxy->pool)) != NULL) {
        close_now(upstream);
    }
}
