#include "proxy/h2_internal.h"

#include "proxy/grpc.h"
#include "proxy/h2_fields.h"

#include <assert.h>
#include <stdlib.h>

#define NS_PER_MS       1000000u
#define DEADLINE_MS_MAX (24u * 3600 * 1000)

static void settle(struct downstream *downstream);

void h2_want_flush(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    if (!h2->flush_wanted && !h2->ended) {
        h2->flush_wanted = true;
        h2->flush_next = downstream->proxy->h2_flush;
        downstream->proxy->h2_flush = downstream;
    }
}

static void forget_flush(struct downstream *downstream)
{
    struct downstream **link = &downstream->proxy->h2_flush;
    if (!downstream->h2->flush_wanted) {
        return;
    }
    while (*link != downstream) {
        link = &(*link)->h2->flush_next;
    }
    *link = downstream->h2->flush_next;
    downstream->h2->flush_wanted = false;
}

static void stop(struct downstream *downstream, enum downstream_end end)
{
    downstream_close(downstream, end);
}

/* ---- one stream's memory ---- */

static void free_text(struct proxy *proxy, uint8_t *text, uint32_t capacity)
{
    if (capacity == PROXY_INPUT_BYTES) {
        slab_give(&proxy->inputs, text);
    } else {
        free(text);
    }
}

static void free_request(struct h2_request *request)
{
    struct downstream *downstream = request->downstream;
    struct proxy *proxy = downstream->proxy;
    struct h2 *h2 = downstream->h2;
    io_timer_cancel(proxy->io, &request->body_timer);
    io_timer_cancel(proxy->io, &request->answer_timer);
    io_timer_cancel(proxy->io, &request->deadline);
    io_timer_cancel(proxy->io, &request->idle_timer);
    buffer_clear(&request->trailers_in);
    buffer_clear(&request->trailers_out);
    buffer_clear(&request->body);
    h2->answer_bytes -= request->answer.size;
    buffer_clear(&request->answer);
    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        h2->requests = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
    h2->requests_count--;
    free_text(proxy, request->text, request->text_capacity);
    slab_give(&proxy->h2_requests, request);
}

static void give_up(struct h2_request *request, const char *reason)
{
    struct exchange *exchange = request->exchange;
    request->exchange = NULL;
    if (exchange != NULL && request->head_seen) {
        exchange_client_gone(exchange, reason);
    } else if (exchange != NULL) {
        exchange_discard(exchange);
    }
}

static void body_timer_fired(struct io_timer *timer)
{
    struct h2_request *request = CONTAINER_OF(timer, struct h2_request, body_timer);
    proxy_count_limit(request->downstream->proxy, PROXY_LIMIT_BODY_PROGRESS);
    if (request->exchange != NULL) {
        exchange_body_failed(
            request->exchange,
            &(struct http_refusal){.status = 408, .reason = "the body made no progress"});
    }
}

/* The client leaves its window shut: the stream is given up, the connection is not. */
static void answer_timer_fired(struct io_timer *timer)
{
    struct h2_request *request = CONTAINER_OF(timer, struct h2_request, answer_timer);
    struct h2 *h2 = request->downstream->h2;
    proxy_count_limit(request->downstream->proxy, PROXY_LIMIT_BODY_PROGRESS);
    give_up(request, "the client does not read its answer");
    h2_session_charge(h2->session, H2_COST_MADE_RESET);
    h2_session_reset(h2->session, &request->stream, H2_CANCEL);
    h2_want_flush(request->downstream);
}

/* As the client of HTTP/1.1 in the same place, but for the connection, which goes on. */
static void idle_timer_fired(struct io_timer *timer)
{
    struct h2_request *request = CONTAINER_OF(timer, struct h2_request, idle_timer);
    struct proxy *proxy = request->downstream->proxy;
    if (request->exchange == NULL) {
        return; /* what is left is the answer's way to the client, which has a time of its own */
    }
    proxy_count_limit(proxy, proxy_tunnel_idle_limit(proxy));
    if (!request->exchange->tunnel) {
        exchange_too_slow(request->exchange, "nothing passed for timeouts.stream_idle");
        return;
    }
    give_up(request, "nothing passed through the tunnel");
    h2_session_reset(request->downstream->h2->session, &request->stream, H2_CANCEL);
    h2_want_flush(request->downstream);
}

void h2_request_alive(struct h2_request *request)
{
    struct proxy *proxy = request->downstream->proxy;
    struct exchange *exchange = request->exchange;
    if (exchange != NULL && (exchange->tunnel || proxy->settings->timeouts.stream_idle_ms > 0)) {
        io_timer_set(proxy->io, &request->idle_timer, proxy_tunnel_idle_ms(proxy));
    }
}

/* What the client set itself with grpc-timeout. */
static void deadline_fired(struct io_timer *timer)
{
    struct h2_request *request = CONTAINER_OF(timer, struct h2_request, deadline);
    if (request->exchange != NULL) {
        exchange_deadline(request->exchange);
    }
}

static struct h2_stream *on_begin(void *owner, struct h2_head *builder)
{
    struct downstream *downstream = owner;
    struct proxy *proxy = downstream->proxy;
    struct h2 *h2 = downstream->h2;
    if (h2->leaving) {
        return NULL;
    }
    struct h2_request *request = slab_take(&proxy->h2_requests);
    struct exchange *exchange = exchange_new(proxy, &h2_client_ops, request);
    uint8_t *text = slab_take(&proxy->inputs);
    if (request == NULL || exchange == NULL || text == NULL) {
        proxy_count_limit(proxy, PROXY_LIMIT_BUFFERS);
        slab_give(&proxy->h2_requests, request);
        slab_give(&proxy->inputs, text);
        if (exchange != NULL) {
            exchange_discard(exchange);
        }
        return NULL;
    }
    *request = (struct h2_request){.downstream = downstream,
                                   .exchange = exchange,
                                   .text = text,
                                   .text_capacity = PROXY_INPUT_BYTES};
    buffer_init(&request->body, &proxy->chunks);
    buffer_init(&request->answer, &proxy->chunks);
    request->body_timer.fired = body_timer_fired;
    request->answer_timer.fired = answer_timer_fired;
    request->deadline.fired = deadline_fired;
    request->idle_timer.fired = idle_timer_fired;
    buffer_init(&request->trailers_in, &proxy->chunks);
    buffer_init(&request->trailers_out, &proxy->chunks);
    request->next = h2->requests;
    if (request->next != NULL) {
        request->next->previous = request;
    }
    h2->requests = request;
    h2->requests_count++;
    h2_head_begin(builder, &exchange->request, text, PROXY_INPUT_BYTES);
    return &request->stream;
}

static bool on_grow(void *owner, struct h2_stream *stream, struct h2_head *builder, size_t needed)
{
    struct downstream *downstream = owner;
    struct h2_request *request = (struct h2_request *)stream;
    uint32_t capacity = downstream->proxy->settings->limits.head_bytes_max + 64;
    if (capacity < builder->text_size + needed || capacity <= request->text_capacity) {
        return false;
    }
    uint8_t *text = malloc(2 * (size_t)capacity + 8);
    if (text == NULL) {
        return false;
    }
    h2_head_move(builder, text, capacity);
    free_text(downstream->proxy, request->text, request->text_capacity);
    request->text = text;
    request->text_capacity = capacity;
    return true;
}

/* ---- heads ---- */

/* The last GOAWAY goes out before the answers of what is in progress; streams that were on their
 * way are refused, and can be tried again elsewhere. */
static void count_request(struct downstream *downstream)
{
    uint32_t most = downstream->proxy->settings->requests_max;
    if (++downstream->h2->begun >= most && most > 0 && !downstream->h2->leaving) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_REQUESTS_PER_CONNECTION);
        h2_goaway(downstream);
    }
}

static void on_head(void *owner, struct h2_stream *stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct downstream *downstream = owner;
    struct h2_request *request = (struct h2_request *)stream;
    struct exchange *exchange = request->exchange;
    exchange->peer = tls_connection_peer(downstream->tls);
    exchange->server_name = tls_connection_server_name(downstream->tls);
    exchange->client_address = &downstream->client;
    request->head_seen = true;
    count_request(downstream);
    request->body_end = stream->remote_ended;
    if (refusal != NULL) {
        request->malformed = refusal->status == 400;
        exchange_reject(exchange, refusal);
        return;
    }
    exchange->has_head = true;
    if (grpc_is_request(head)) {
        uint64_t timeout_ms = 0;
        exchange->long_lived = true;
        if (grpc_timeout(head, &timeout_ms)) {
            io_timer_set(downstream->proxy->io, &request->deadline,
                         timeout_ms < DEADLINE_MS_MAX ? timeout_ms : DEADLINE_MS_MAX);
        }
    }
    /* Trailers are announced, and HTTP/1.1 has them in chunked bodies alone. What the length said
     * is held against the DATA all the same. */
    if (head->body == HTTP_BODY_LENGTH && !stream->remote_ended &&
        !downstream->proxy->settings->upstream_h2 &&
        (head->fields_seen >> HTTP_FIELD_TRAILER & 1) != 0) {
        head->body = HTTP_BODY_CHUNKED;
    }
    /* A tunnel's request is its head; what follows waits until the tunnel is open. */
    exchange->body_complete = stream->remote_ended || head->extended_connect;
    h2_request_alive(request);
    exchange_start(exchange);
}

/* ---- bodies ---- */

static void settle_body(struct h2_request *request)
{
    struct proxy *proxy = request->downstream->proxy;
    bool waits = request->exchange != NULL && !request->exchange->long_lived &&
                 !request->exchange->tunnel && !request->body_end && request->body.size == 0 &&
                 exchange_takes_body(request->exchange);
    if (!waits) {
        io_timer_cancel(proxy->io, &request->body_timer);
    } else {
        io_timer_set(proxy->io, &request->body_timer, proxy->settings->timeouts.body_progress_ms);
    }
}

void h2_pump_body(struct h2_request *request)
{
    struct h2 *h2 = request->downstream->h2;
    struct span first;
    while (request->exchange != NULL && exchange_takes_body(request->exchange) &&
           buffer_peek(&request->body, &first, 1) == 1) {
        h2_request_alive(request);
        exchange_body(request->exchange, first);
        if (request->exchange == NULL) {
            return; /* given up: what waited was dropped */
        }
        h2_session_consume(h2->session, &request->stream, first.size);
        buffer_consume(&request->body, first.size);
        h2_want_flush(request->downstream);
    }
    struct exchange *exchange = request->exchange;
    if (exchange != NULL && request->body_end && request->body.size == 0 &&
        !exchange->body_complete && (exchange->upstream != NULL || exchange->body_dropped)) {
        exchange_body_end(exchange);
    }
    settle_body(request);
}

static void on_data(void *owner, struct h2_stream *stream, struct span payload)
{
    struct downstream *downstream = owner;
    struct h2_request *request = (struct h2_request *)stream;
    struct h2 *h2 = downstream->h2;
    uint64_t limit = downstream->proxy->settings->limits.body_bytes_max;
    if (request->exchange == NULL) {
        h2_session_consume(h2->session, stream, payload.size);
        return;
    }
    if (stream->tunnel) {
        limit = 0;
    }
    if (limit > 0 && request->exchange->bytes_in + request->body.size + payload.size > limit) {
        h2_session_consume(h2->session, stream, payload.size);
        exchange_body_failed(
            request->exchange,
            &(struct http_refusal){.status = 413, .reason = "the body is over a limit"});
        return;
    }
    if (buffer_append(&request->body, payload) != STATUS_OK) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_BUFFERS);
        h2_session_consume(h2->session, stream, payload.size);
        give_up(request, "the worker's buffers are used up");
        h2_request_over(request);
        h2_session_reset(h2->session, stream, H2_INTERNAL_ERROR);
        return;
    }
    h2_pump_body(request);
}

static void on_end(void *owner, struct h2_stream *stream, const struct http_head *trailers)
{
    struct h2_request *request = (struct h2_request *)stream;
    (void)owner;
    request->body_end = true;
    if (request->exchange != NULL && trailers != NULL) {
        if (h2_fields_keep(&request->trailers_in, trailers) != STATUS_OK) {
            exchange_body_failed(
                request->exchange,
                &(struct http_refusal){.status = 431, .reason = "the trailers are too large"});
            return;
        }
        request->exchange->request_trailers = h2_fields_kept(&request->trailers_in);
    }
    if (request->exchange != NULL) {
        h2_pump_body(request);
    }
}

static void on_broken(void *owner, struct h2_stream *stream, const char *reason)
{
    struct downstream *downstream = owner;
    struct h2_request *request = (struct h2_request *)stream;
    request->malformed = true;
    if (request->exchange != NULL) {
        exchange_body_failed(request->exchange,
                             &(struct http_refusal){.status = 400, .reason = reason});
    } else {
        h2_session_reset(downstream->h2->session, stream, H2_PROTOCOL_ERROR);
    }
}

static void on_stream_closed(void *owner, struct h2_stream *stream, uint32_t error)
{
    struct h2_request *request = (struct h2_request *)stream;
    (void)owner;
    give_up(request,
            error == H2_NO_ERROR ? "the client ended the stream" : "the client reset the stream");
    free_request(request);
}

static void on_refused(void *owner)
{
    struct downstream *downstream = owner;
    proxy_count_limit(downstream->proxy, PROXY_LIMIT_STREAMS);
}

static const struct h2_handler handler = {
    .begin = on_begin,
    .over_streams = on_refused,
    .grow = on_grow,
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .broken = on_broken,
    .closed = on_stream_closed,
    .read = h2_answer_read,
    .trailers = h2_answer_read_trailers,
};

/* ---- the connection ---- */

static void free_h2(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    downstream->h2 = NULL;
    h2_session_free(h2->session);
    slab_give(&downstream->proxy->h2s, h2);
}

/* The session will call no more: for streams that only wait to be forgotten. */
static void enter(struct h2 *h2)
{
    h2->busy = true;
}

/* False: the connection ended meanwhile. */
static bool leave(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    h2->busy = false;
    if (h2->ended) {
        free_h2(downstream);
        return false;
    }
    return true;
}

static void give_up_all(struct h2 *h2, const char *reason)
{
    for (struct h2_request *one = h2->requests; one != NULL; one = one->next) {
        give_up(one, reason);
    }
}

static void log_failure(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    struct proxy *proxy = downstream->proxy;
    struct log_line line;
    if (h2_session_out_of_budget(h2->session)) {
        proxy_count_limit(proxy, PROXY_LIMIT_MISBEHAVIOUR);
    }
    log_begin(&line, proxy->log, LOG_WARN, "http2");
    log_string(&line, "reason", h2_session_failure(h2->session));
    log_span(&line, "spiffe_id", tls_connection_peer(downstream->tls)->spiffe_id);
    log_end(&line);
}

/* Sends what the session has, as long as the client takes it. */
static void pump(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    bool failed = false;
    enter(h2);
    while (downstream->state == DOWNSTREAM_OPEN && !h2->ended &&
           downstream_waiting(downstream) <= PROXY_OUT_MARK) {
        struct span bytes;
        if (h2_session_send(h2->session, &bytes) != STATUS_OK) {
            if (failed) {
                break;
            }
            failed = true; /* once more: for the GOAWAY */
            log_failure(downstream);
            give_up_all(h2, h2_session_failure(h2->session));
            continue;
        }
        if (bytes.size == 0) {
            break;
        }
        downstream_write(downstream, bytes);
    }
    if (!leave(downstream) || downstream->state != DOWNSTREAM_OPEN) {
        return;
    }
    bool over = h2_session_finished(h2->session) || (h2->leaving && h2->requests == NULL);
    if (over && !h2_session_wants_send(h2->session)) {
        stop(downstream, DOWNSTREAM_END_CLEAN);
        return;
    }
    settle(downstream);
}

void h2_flush_all(struct proxy *proxy)
{
    while (proxy->h2_flush != NULL) {
        struct downstream *downstream = proxy->h2_flush;
        proxy->h2_flush = downstream->h2->flush_next;
        downstream->h2->flush_wanted = false;
        pump(downstream);
    }
}

static void settle(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    struct h2 *h2 = downstream->h2;
    enum downstream_timer kind = DOWNSTREAM_TIMER_NONE;
    uint32_t delay_ms = 0;
    if (h2_session_head_open(h2->session)) {
        kind = DOWNSTREAM_TIMER_HEAD;
        delay_ms = proxy->settings->timeouts.head_ms;
    } else if (h2->requests == NULL) {
        kind = DOWNSTREAM_TIMER_IDLE;
        delay_ms = proxy->draining ? PROXY_DRAIN_GRACE_MS : proxy->settings->timeouts.idle_ms;
        if (!io_timer_is_set(&h2->rest_timer) && h2_session_resting_bytes(h2->session) == 0) {
            io_timer_set(proxy->io, &h2->rest_timer, PROXY_REST_MS);
        }
    }
    if (kind != downstream->timer_kind) { /* frames that open no stream do not prolong idleness */
        downstream_set_timer(downstream, kind, delay_ms);
    }
    downstream_receive(downstream, downstream_waiting(downstream) <= PROXY_OUT_MARK);
}

static void drain_timer_fired(struct io_timer *timer)
{
    struct h2 *h2 = CONTAINER_OF(timer, struct h2, drain_timer);
    h2_goaway(h2->owner);
}

/* One that is busy has met this once a second at most. */
static void rest_timer_fired(struct io_timer *timer)
{
    struct h2 *h2 = CONTAINER_OF(timer, struct h2, rest_timer);
    if (h2->requests == NULL && !h2->flush_wanted) {
        h2_session_rest(h2->session);
    }
}

bool h2_open(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    struct h2 *h2 = slab_take(&proxy->h2s);
    if (h2 == NULL) {
        return false;
    }
    *h2 = (struct h2){.owner = downstream};
    h2->drain_timer.fired = drain_timer_fired;
    h2->rest_timer.fired = rest_timer_fired;
    struct h2_options options = {.limits = &downstream->h2_limits,
                                 .streams_max = proxy->settings->streams_max};
    downstream->h2_limits = proxy->settings->limits;
    if (h2_session_new(&handler, downstream, &options, &h2->session) != STATUS_OK) {
        slab_give(&proxy->h2s, h2);
        return false;
    }
    downstream->h2 = h2;
    h2_want_flush(downstream);
    if (proxy->draining) {
        h2_drain(downstream);
    }
    settle(downstream);
    return true;
}

void h2_received(struct downstream *downstream, struct span plain)
{
    struct h2 *h2 = downstream->h2;
    enter(h2);
    uint64_t now_ms = io_now(downstream->proxy->io)->boot_ns / NS_PER_MS;
    bool had_failed = h2_session_failure(h2->session) != NULL;
    bool failed = h2_session_receive(h2->session, plain, now_ms) != STATUS_OK;
    if (!leave(downstream)) {
        return;
    }
    if (failed && !had_failed) {
        log_failure(downstream);
        give_up_all(h2, h2_session_failure(h2->session));
    }
    h2_want_flush(downstream);
    if (h2_session_head_open(h2->session)) {
        settle(downstream);
    }
}

void h2_client_done(struct downstream *downstream)
{
    h2_end(downstream, "the client closed the connection");
    stop(downstream, DOWNSTREAM_END_CLEAN);
}

void h2_room(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    for (struct h2_request *one = h2->requests; one != NULL; one = one->next) {
        if (one->exchange != NULL) {
            exchange_client_room(one->exchange);
        }
    }
    h2_want_flush(downstream);
}

void h2_goaway(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    if (!h2->leaving) {
        h2->leaving = true;
        h2_session_goaway(h2->session, H2_NO_ERROR);
        h2_want_flush(downstream);
    }
}

void h2_timeout(struct downstream *downstream, int kind)
{
    struct proxy *proxy = downstream->proxy;
    if (kind == DOWNSTREAM_TIMER_HEAD) {
        proxy_count_limit(proxy, PROXY_LIMIT_HEAD);
        give_up_all(downstream->h2, "a head did not come in time");
        h2_session_goaway(downstream->h2->session, H2_ENHANCE_YOUR_CALM);
        pump(downstream);
        if (downstream->state == DOWNSTREAM_OPEN) {
            stop(downstream, DOWNSTREAM_END_CLEAN);
        }
        return;
    }
    proxy_count_limit(proxy, proxy->draining ? PROXY_LIMIT_DRAIN : PROXY_LIMIT_IDLE);
    h2_goaway(downstream);
}

/* RFC 9113 section 6.8: "A server that is attempting to gracefully shut down a connection SHOULD
 * send an initial GOAWAY frame with the last stream identifier set to 2^31-1 and a NO_ERROR code.
 * [...] After allowing time for any in-flight stream creation (at least one round-trip time), the
 * server MAY send another GOAWAY frame with an updated last stream identifier." */
void h2_drain(struct downstream *downstream)
{
    struct h2 *h2 = downstream->h2;
    if (!h2->leaving && !io_timer_is_set(&h2->drain_timer)) {
        h2_session_notice(h2->session);
        io_timer_set(downstream->proxy->io, &h2->drain_timer, PROXY_DRAIN_GRACE_MS);
        h2_want_flush(downstream);
    }
}

void h2_end(struct downstream *downstream, const char *reason)
{
    struct h2 *h2 = downstream->h2;
    if (h2 == NULL || h2->ended) {
        return;
    }
    forget_flush(downstream);
    h2->ended = true;
    io_timer_cancel(downstream->proxy->io, &h2->drain_timer);
    io_timer_cancel(downstream->proxy->io, &h2->rest_timer);
    while (h2->requests != NULL) {
        give_up(h2->requests, reason);
        free_request(h2->requests);
    }
    if (!h2->busy) {
        free_h2(downstream);
    }
}
