#include "proxy/h1.h"

#include "proxy/core.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/h1_internal.h"
#include "proxy/h2_fields.h"

#include <assert.h>
#include <stdlib.h>

void h1_init(struct h1 *h1, struct proxy *proxy)
{
    *h1 = (struct h1){.state = H1_IDLE};
    buffer_init(&h1->backlog, &proxy->chunks);
    buffer_init(&h1->trailers, &proxy->chunks);
}

/* ---- the input: one slab object, or, for a head that outgrows it, memory of its own ---- */

static bool take_input(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->input == NULL) {
        h1->input = slab_take(&downstream->proxy->inputs);
        h1->input_capacity = PROXY_INPUT_BYTES;
        h1->input_start = h1->input_size = 0;
    }
    return h1->input != NULL;
}

static void free_input(struct proxy *proxy, uint8_t *input, uint32_t capacity)
{
    if (capacity == PROXY_INPUT_BYTES) {
        slab_give(&proxy->inputs, input);
    } else {
        free(input);
    }
}

static void give_input(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->input != NULL) {
        free_input(downstream->proxy, h1->input, h1->input_capacity);
        h1->input = NULL;
        h1->input_start = h1->input_size = 0;
    }
}

/* Room for a head of head_bytes_max and a byte more, so that the parser gets to say that it is too
 * large. */
static bool grow_input(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    uint32_t capacity = downstream->proxy->settings->limits.head_bytes_max + 64;
    if (capacity <= h1->input_capacity) {
        return false;
    }
    uint8_t *input = malloc(2 * (size_t)capacity + 8);
    if (input == NULL) {
        return false;
    }
    memcpy(input, h1->input, h1->input_size);
    free_input(downstream->proxy, h1->input, h1->input_capacity);
    h1->input = input;
    h1->input_capacity = capacity;
    return true;
}

/* Copies into the input what fits; returns how much that was. */
static size_t fill_input(struct h1 *h1, struct span bytes)
{
    size_t room = h1->input_capacity - h1->input_size;
    size_t size = bytes.size < room ? bytes.size : room;
    memcpy(h1->input + h1->input_size, bytes.data, size);
    h1->input_size += (uint32_t)size;
    return size;
}

/* ---- the end of a request ---- */

void h1_stop(struct downstream *downstream, enum downstream_end end)
{
    downstream->h1.state = H1_ENDED;
    downstream_close(downstream, end);
}

/* The bytes behind the request become the beginning of the next one. */
static void next_request(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    uint32_t left = h1->input_size - h1->input_start;
    if (h1->input != NULL && h1->input_start > 0) {
        memmove(h1->input, h1->input + h1->input_start, left);
    }
    h1->input_start = 0;
    h1->input_size = left;
    h1->parsed_size = 0;
    h1->scan = (struct http1_scan){0};
    h1->body_wanted_sent = false;
    h1->trailers_sent = false;
    buffer_clear(&h1->trailers);
    h1->state = H1_IDLE;
}

/* The answer is out. What follows is the pump's to do, for this may run in the middle of feeding
 * the body. */
void h1_request_over(struct downstream *downstream)
{
    downstream->h1.exchange = NULL;
    downstream->h1.state = H1_OVER;
    h1_pump(downstream);
}

/* On to the next request, to the rest of this one's body, or to the end. */
static bool pump_over(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->close_after) {
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
    } else if (!h1->body.done) {
        h1->state = H1_DISCARD;
    } else {
        next_request(downstream);
    }
    return true;
}

/* ---- heads ---- */

static bool begin_exchange(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    h1->exchange = exchange_new(downstream->proxy, &h1_client_ops, downstream);
    if (h1->exchange == NULL) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_BUFFERS);
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        return false;
    }
    h1->exchange->peer = tls_connection_peer(downstream->tls);
    h1->exchange->client_address = &downstream->client;
    h1->exchange->server_name = tls_connection_server_name(downstream->tls);
    h1->close_after = downstream->proxy->draining;
    return true;
}

static void refuse_head(struct downstream *downstream, const struct http_refusal *refusal)
{
    struct h1 *h1 = &downstream->h1;
    h1->state = H1_EXCHANGE;
    h1->close_after = true;
    h1->body = (struct http1_body){.done = true};
    exchange_reject(h1->exchange, refusal);
}

static void start_exchange(struct downstream *downstream, size_t head_size)
{
    struct h1 *h1 = &downstream->h1;
    struct exchange *exchange = h1->exchange;
    h1->begun_in_turn++;
    uint32_t most = downstream->proxy->settings->requests_max;
    if (++h1->begun >= most && most > 0) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_REQUESTS_PER_CONNECTION);
        h1->close_after = true;
    }
    h1->input_start = (uint32_t)head_size;
    h1->state = H1_EXCHANGE;
    http1_body_init(&h1->body, &exchange->request,
                    downstream->proxy->settings->limits.body_bytes_max);
    if (!exchange->request.keep_alive) {
        h1->close_after = true;
    }
    exchange->has_head = true;
    exchange->body_complete = h1->body.done;
    downstream_set_timer(downstream, DOWNSTREAM_TIMER_NONE, 0);
    exchange_start(exchange);
}

/* Parses what the input holds. False: more bytes are needed. */
static bool parse_head(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (!begin_exchange(downstream)) {
        return true;
    }
    size_t head_size = 0;
    struct http_refusal refusal = {.status = 400, .reason = "the request is malformed"};
    struct span_mut target = {h1->input + h1->input_capacity, h1->input_capacity + 8};
    enum status status = http1_parse_request(&h1->scan, span_make(h1->input, h1->input_size),
                                             &downstream->proxy->settings->limits, target,
                                             &h1->exchange->request, &head_size, &refusal);
    if (status == STATUS_OK) {
        start_exchange(downstream, head_size);
        return true;
    }
    if (status != STATUS_AGAIN) {
        refuse_head(downstream, &refusal);
        return true;
    }
    exchange_discard(h1->exchange);
    h1->exchange = NULL;
    h1->parsed_size = h1->input_size;
    return false;
}

static void refill_from_backlog(struct h1 *h1)
{
    struct span first;
    while (buffer_peek(&h1->backlog, &first, 1) == 1) {
        size_t size = fill_input(h1, first);
        if (size == 0) {
            return;
        }
        buffer_consume(&h1->backlog, size);
    }
}

/* A client that does not read its answers gets no more of them; one that pipelines gets its share
 * of a turn. */
static bool head_must_wait(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    struct h1 *h1 = &downstream->h1;
    if (downstream_waiting(downstream) > PROXY_OUT_MARK) {
        return true;
    }
    if (h1->turn != proxy->turn) {
        h1->turn = proxy->turn;
        h1->begun_in_turn = 0;
    }
    if (h1->begun_in_turn < proxy->settings->pipeline_max) {
        return false;
    }
    if (!h1->waits_for_turn) {
        proxy_count_limit(proxy, PROXY_LIMIT_PIPELINE);
        h1->waits_for_turn = true;
        downstream->next_turn = proxy->next_turn;
        proxy->next_turn = downstream;
    }
    return true;
}

static bool pump_head(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (head_must_wait(downstream)) {
        return false;
    }
    refill_from_backlog(h1);
    if (h1->input_size == h1->parsed_size) {
        return false;
    }
    if (parse_head(downstream)) {
        return true;
    }
    return h1->input_size == h1->input_capacity && grow_input(downstream);
}

static bool pump_idle(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->input_size == 0 && h1->backlog.size == 0) {
        return false;
    }
    if (!take_input(downstream)) {
        h1_stop(downstream, DOWNSTREAM_END_NOW);
        return true;
    }
    h1->state = H1_HEAD;
    return true;
}

/* ---- bodies ---- */

static void body_failed(struct downstream *downstream, enum status status)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->state == H1_DISCARD) {
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        return;
    }
    h1->close_after = true;
    struct http_refusal refusal = {.status = 400, .reason = "the body's framing is broken"};
    if (status == STATUS_TOO_LARGE) {
        refusal = (struct http_refusal){.status = 413, .reason = "the body is over a limit"};
    }
    exchange_body_failed(h1->exchange, &refusal);
}

static bool takes_body(const struct h1 *h1)
{
    if (h1->state == H1_DISCARD) {
        return true;
    }
    return h1->state == H1_EXCHANGE && exchange_takes_body(h1->exchange);
}

/* The body is whole, and its trailers go with it as the lines that may. */
static void end_body(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    struct exchange *exchange = h1->exchange;
    struct http_head *trailers = &downstream->proxy->response;
    struct span text;
    struct buffer lines;
    if (buffer_peek(&h1->trailers, &text, 1) == 0) {
        exchange_body_end(exchange);
        return;
    }
    buffer_init(&lines, &downstream->proxy->chunks);
    enum status status = http1_read_trailers(text, trailers);
    if (status == STATUS_OK) {
        http_mark_trailers_dropped(&exchange->request, trailers);
        status = h2_fields_keep(&lines, trailers);
    }
    if (status == STATUS_OK) {
        exchange->request_trailers = h2_fields_kept(&lines);
        exchange_body_end(exchange);
        exchange->request_trailers = span_make(NULL, 0);
    } else {
        body_failed(downstream, status);
    }
    buffer_clear(&lines);
    buffer_clear(&h1->trailers);
}

/* Feeds the body from `bytes`; returns how much it took. Stops at the body's end and when the
 * exchange is over. */
static size_t feed_body(struct downstream *downstream, struct span bytes)
{
    struct h1 *h1 = &downstream->h1;
    struct exchange *exchange = h1->exchange;
    size_t taken = 0;
    while (taken < bytes.size && !h1->body.done) {
        size_t consumed = 0;
        struct span payload = {0};
        enum status status = http1_body_feed(&h1->body, span_after(bytes, taken), &consumed,
                                             &payload);
        if (status != STATUS_OK) {
            body_failed(downstream, status);
            return bytes.size;
        }
        taken += consumed;
        if (exchange != NULL && h1->body.trailer_count > 0 &&
            buffer_append(&h1->trailers, h1->body.trailer_part) != STATUS_OK) {
            body_failed(downstream, STATUS_TOO_LARGE);
            return bytes.size;
        }
        if (exchange != NULL && payload.size > 0) {
            exchange_body(exchange, payload);
            if (h1->exchange != exchange) {
                return taken; /* given up: the state says what becomes of the rest */
            }
        }
    }
    if (h1->body.done && exchange != NULL) {
        end_body(downstream);
    }
    return taken;
}

static bool in_tunnel(const struct h1 *h1)
{
    return h1->state == H1_EXCHANGE && h1->exchange != NULL && h1->exchange->tunnel;
}

/* The client of a tunnel sends no more, and all that it sent was passed on. */
static bool tunnel_half_closed(const struct h1 *h1)
{
    return h1->client_done && in_tunnel(h1) && h1->input_size == h1->input_start &&
           h1->backlog.size == 0;
}

/* One step of the body from what is already here. */
static bool pump_body(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->body.done) {
        if (h1->state != H1_DISCARD) {
            return false;
        }
        next_request(downstream);
        return true;
    }
    if (!takes_body(h1)) {
        return false;
    }
    if (tunnel_half_closed(h1)) {
        h1->body.done = true;
        exchange_body_end(h1->exchange);
        return false;
    }
    uint32_t tail = h1->input_size - h1->input_start;
    if (tail > 0) {
        struct span bytes = span_make(h1->input + h1->input_start, tail);
        size_t taken = feed_body(downstream, bytes);
        if (h1->state != H1_ENDED) {
            h1->input_start += (uint32_t)taken;
        }
        return true;
    }
    struct span first;
    if (buffer_peek(&h1->backlog, &first, 1) == 0) {
        return false;
    }
    size_t taken = feed_body(downstream, first);
    if (h1->state != H1_ENDED) {
        buffer_consume(&h1->backlog, taken);
    }
    return true;
}

/* ---- the pump ---- */

static bool pump_once(struct downstream *downstream)
{
    switch (downstream->h1.state) {
    case H1_IDLE:
        return pump_idle(downstream);
    case H1_HEAD:
        return pump_head(downstream);
    case H1_EXCHANGE:
    case H1_DISCARD:
        return pump_body(downstream);
    case H1_OVER:
        return pump_over(downstream);
    default:
        return false;
    }
}

/* Sets the timer and the reading that the state calls for. */
static void settle(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    const struct proxy_timeouts *timeouts = &downstream->proxy->settings->timeouts;
    bool receive = h1->backlog.size == 0;
    switch (h1->state) {
    case H1_IDLE:
        give_input(downstream);
        if (h1->client_done) {
            h1_stop(downstream, DOWNSTREAM_END_CLEAN);
            return;
        }
        downstream_set_timer(downstream, DOWNSTREAM_TIMER_IDLE,
                             downstream->proxy->draining ? PROXY_DRAIN_GRACE_MS
                                                         : timeouts->idle_ms);
        break;
    case H1_HEAD:
        if (head_must_wait(downstream)) {
            downstream_set_timer(downstream, DOWNSTREAM_TIMER_NONE, 0);
            break;
        }
        if (h1->client_done && h1->backlog.size == 0) {
            h1_stop(downstream, DOWNSTREAM_END_CLEAN);
            return;
        }
        downstream_set_timer(downstream, DOWNSTREAM_TIMER_HEAD, timeouts->head_ms);
        break;
    case H1_EXCHANGE:
    case H1_DISCARD:
        if (in_tunnel(h1)) {
            downstream_set_timer(downstream, DOWNSTREAM_TIMER_TUNNEL,
                                 proxy_tunnel_idle_ms(downstream->proxy));
            receive = receive && takes_body(h1);
        } else if (!h1->body.done && takes_body(h1)) {
            downstream_set_timer(downstream, DOWNSTREAM_TIMER_BODY, timeouts->body_progress_ms);
        } else {
            downstream_set_timer(downstream, DOWNSTREAM_TIMER_NONE, 0);
            /* While the check is pending what comes may wait; once the service is slow the client
             * has to. */
            receive = receive && (h1->body.done || h1->exchange->upstream == NULL);
        }
        break;
    default:
        return;
    }
    downstream_receive(downstream, receive && !h1->client_done);
}

void h1_pump(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->pumping) {
        return;
    }
    h1->pumping = true;
    while (pump_once(downstream)) {
    }
    h1->pumping = false;
    settle(downstream);
}

/* ---- from the connection ---- */

void h1_open(struct downstream *downstream)
{
    settle(downstream);
}

void h1_received(struct downstream *downstream, struct span plain)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->state == H1_ENDED) {
        return;
    }
    if (h1->backlog.size == 0) {
        bool direct = h1->input_size == h1->input_start && !h1->body.done && takes_body(h1);
        if (direct) {
            h1->pumping = true; /* whatever ends meanwhile: first the rest of `plain` is put away */
            plain = span_after(plain, feed_body(downstream, plain));
            h1->pumping = false;
        } else if (h1->state == H1_IDLE || h1->state == H1_HEAD) {
            plain = take_input(downstream) ? span_after(plain, fill_input(h1, plain)) : plain;
        }
    }
    if (h1->state != H1_ENDED && buffer_append(&h1->backlog, plain) != STATUS_OK) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_BUFFERS);
        h1_end(downstream, "the worker's buffers are used up");
        h1_stop(downstream, DOWNSTREAM_END_NOW);
        return;
    }
    h1_pump(downstream);
}

void h1_client_done(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    h1->client_done = true;
    if (h1->state == H1_EXCHANGE && !in_tunnel(h1) && !h1->body.done && h1->backlog.size == 0 &&
        h1->input_size == h1->input_start) {
        h1_end(downstream, "the client closed in the middle of its body");
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        return;
    }
    if (h1->state == H1_DISCARD) {
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        return;
    }
    h1_pump(downstream);
}

void h1_room(struct downstream *downstream)
{
    struct h1 *h1 = &downstream->h1;
    if (h1->exchange != NULL) {
        exchange_client_room(h1->exchange);
    } else if (h1->state == H1_HEAD) {
        h1_pump(downstream);
    }
}

void h1_next_turn(struct proxy *proxy)
{
    proxy->this_turn = proxy->next_turn;
    proxy->next_turn = NULL;
    while (proxy->this_turn != NULL) {
        struct downstream *downstream = proxy->this_turn;
        proxy->this_turn = downstream->next_turn;
        downstream->h1.waits_for_turn = false;
        h1_pump(downstream);
    }
}

static bool unlink_turn(struct downstream **list, struct downstream *downstream)
{
    for (struct downstream **link = list; *link != NULL; link = &(*link)->next_turn) {
        if (*link == downstream) {
            *link = downstream->next_turn;
            return true;
        }
    }
    return false;
}

/* A connection that ends while it waits for its turn. */
static void forget_turn(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    if (downstream->h1.waits_for_turn) {
        downstream->h1.waits_for_turn = false;
        bool found = unlink_turn(&proxy->this_turn, downstream) ||
                     unlink_turn(&proxy->next_turn, downstream);
        assert(found);
        (void)found;
    }
}

void h1_timeout(struct downstream *downstream, int kind)
{
    struct h1 *h1 = &downstream->h1;
    struct proxy *proxy = downstream->proxy;
    switch (kind) {
    case DOWNSTREAM_TIMER_IDLE:
        proxy_count_limit(proxy, proxy->draining ? PROXY_LIMIT_DRAIN : PROXY_LIMIT_IDLE);
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        break;
    case DOWNSTREAM_TIMER_HEAD:
        proxy_count_limit(proxy, PROXY_LIMIT_HEAD);
        if (begin_exchange(downstream)) {
            refuse_head(downstream, &(struct http_refusal){
                                        .status = 408, .reason = "the head did not come in time"});
        }
        break;
    case DOWNSTREAM_TIMER_TUNNEL:
        proxy_count_limit(proxy, proxy_tunnel_idle_limit(proxy));
        h1_end(downstream, "nothing passed through the tunnel");
        h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        break;
    default:
        proxy_count_limit(proxy, PROXY_LIMIT_BODY_PROGRESS);
        if (h1->state == H1_EXCHANGE) {
            h1->close_after = true;
            exchange_body_failed(
                h1->exchange,
                &(struct http_refusal){.status = 408, .reason = "the body made no progress"});
        } else {
            h1_stop(downstream, DOWNSTREAM_END_CLEAN);
        }
        break;
    }
}

void h1_drain(struct downstream *downstream)
{
    if (downstream->h1.state == H1_IDLE) {
        settle(downstream);
    } else if (downstream->h1.state == H1_EXCHANGE) {
        downstream->h1.close_after = true;
    }
}

void h1_end(struct downstream *downstream, const char *reason)
{
    struct h1 *h1 = &downstream->h1;
    h1->state = H1_ENDED;
    struct exchange *exchange = h1->exchange;
    h1->exchange = NULL;
    if (exchange != NULL) {
        exchange_client_gone(exchange, reason);
    }
    forget_turn(downstream);
    buffer_clear(&h1->backlog);
    buffer_clear(&h1->trailers);
    give_input(downstream);
}
