#include "proxy/exchange.h"

#include "proxy/access_log.h"
#include "proxy/core.h"
#include "proxy/exchange_internal.h"
#include "proxy/request_head.h"
#include "proxy/upstream.h"
#include "proxy/upstream_wait.h"

#include <assert.h>

struct exchange *exchange_new(struct proxy *proxy, const struct exchange_client *client,
                              void *owner)
{
    struct exchange *exchange = slab_take(&proxy->exchanges);
    if (exchange == NULL) {
        return NULL;
    }
    memset(exchange, 0, offsetof(struct exchange, check));
    exchange->check.denial = AUTH_DENIAL_NONE;
    exchange->check.outcome = AUTH_DENIED;
    exchange->check.detail[0] = '\0';
    exchange->proxy = proxy;
    exchange->client = client;
    exchange->owner = owner;
    exchange->started_ns = io_now(proxy->io)->boot_ns;
    return exchange;
}

void exchange_discard(struct exchange *exchange)
{
    slab_give(&exchange->proxy->exchanges, exchange);
}

void exchange_free_finished(struct proxy *proxy)
{
    while (proxy->finished != NULL) {
        struct exchange *exchange = proxy->finished;
        proxy->finished = exchange->next;
        slab_give(&proxy->exchanges, exchange);
    }
}

/* ---- the end: counted, logged, everything given back, before the owner hears of it ---- */

static bool is_verified(const struct exchange *exchange)
{
    return exchange->submitted && exchange->check.outcome == AUTH_ALLOWED;
}

static void note_identity(const struct exchange *exchange)
{
    struct proxy *proxy = exchange->proxy;
    if (proxy->identities == NULL || exchange->peer == NULL) {
        return;
    }
    struct identity_names names = {.spiffe_id = exchange->peer->spiffe_id};
    if (is_verified(exchange)) {
        const struct auth_identity *identity = &exchange->check.identity;
        names.issuer = identity->issuer;
        names.subject = identity->subject;
        names.client_id = identity->client_id;
    }
    identities_note(proxy->identities, &names, exchange->outcome, io_now(proxy->io)->wall_s);
}

static void finish(struct exchange *exchange, enum proxy_outcome outcome)
{
    struct proxy *proxy = exchange->proxy;
    assert(!exchange->over);
    exchange->over = true;
    io_timer_cancel(proxy->io, &exchange->expiry);
    io_timer_cancel(proxy->io, &exchange->total);
    exchange->outcome = outcome;
    counter_add(&proxy->metrics.requests[outcome], 1);
    counter_add(&proxy->metrics.bytes_from_client, exchange->bytes_in);
    counter_add(&proxy->metrics.bytes_to_client, exchange->bytes_out);
    histogram_record(&proxy->metrics.request_duration,
                     io_now(proxy->io)->boot_ns - exchange->started_ns);
    access_log_write(exchange);
    note_identity(exchange);
    upstream_wait_remove(exchange);
    if (exchange->submitted) {
        if (exchange->deciding) {
            if (proxy->store != NULL) {
                store_cancel(proxy->store, &exchange->stored);
            }
            auth_cancel(proxy->auth, &exchange->check);
        } else {
            auth_release(proxy->auth, &exchange->check);
        }
    }
    exchange->next = proxy->finished;
    proxy->finished = exchange;
}

static void leave_upstream(struct exchange *exchange)
{
    struct upstream *upstream = exchange->upstream;
    exchange->upstream = NULL;
    if (upstream != NULL) {
        upstream_abandon(upstream);
    }
}

void exchange_answer_with(struct exchange *exchange, enum proxy_outcome outcome,
                          const struct answer *answer)
{
    leave_upstream(exchange);
    exchange->status = answer->status;
    finish(exchange, outcome);
    exchange->client->answer_made(exchange, answer);
}

static void cut(struct exchange *exchange, enum proxy_outcome outcome)
{
    leave_upstream(exchange);
    finish(exchange, outcome);
    exchange->client->answer_cut(exchange);
}

/* Whatever can still be said is said: an answer if none has begun, else a cut. */
static void give_up(struct exchange *exchange, enum proxy_outcome outcome,
                    const struct answer *answer)
{
    if (exchange->answer_begun) {
        cut(exchange, outcome);
    } else {
        exchange_answer_with(exchange, outcome, answer);
    }
}

static void give_up_overloaded(struct exchange *exchange, const char *reason)
{
    exchange->reason = reason;
    give_up(exchange, PROXY_OUTCOME_OVERLOADED,
            &(struct answer){.status = 503,
                             .headers = SPAN_LITERAL("retry-after: 1\r\n"),
                             .error = "temporarily_unavailable",
                             .description = "the gate is overloaded",
                             .close = true});
}

void exchange_client_gone(struct exchange *exchange, const char *reason)
{
    leave_upstream(exchange);
    exchange->reason = reason;
    finish(exchange, PROXY_OUTCOME_CLIENT_GONE);
}

static const char *error_word(uint16_t status)
{
    switch (status) {
    case 408:
        return "request_timeout";
    case 413:
        return "content_too_large";
    case 421:
        return "misdirected_request";
    case 431:
        return "header_fields_too_large";
    default:
        return "invalid_request";
    }
}

static void count_refusal(struct proxy *proxy, const struct http_refusal *refusal)
{
    if (refusal->status == 413) {
        proxy_count_limit(proxy, PROXY_LIMIT_BODY_BYTES);
    } else if (refusal->too_many_headers) {
        proxy_count_limit(proxy, PROXY_LIMIT_HEADERS);
    } else if (refusal->header_too_long) {
        proxy_count_limit(proxy, PROXY_LIMIT_HEADER_BYTES);
    } else if (refusal->status == 431 || refusal->status == 414) {
        proxy_count_limit(proxy, PROXY_LIMIT_HEAD_BYTES);
    }
}

void exchange_reject(struct exchange *exchange, const struct http_refusal *refusal)
{
    count_refusal(exchange->proxy, refusal);
    exchange->reason = refusal->reason;
    give_up(exchange, PROXY_OUTCOME_REJECTED,
            &(struct answer){.status = refusal->status,
                             .error = error_word(refusal->status),
                             .description = refusal->reason,
                             .close = true});
}

void exchange_body_failed(struct exchange *exchange, const struct http_refusal *refusal)
{
    exchange_reject(exchange, refusal);
}

/* ---- forwarding ---- */

/* Extended CONNECT has no key: towards HTTP/1.1 the gate is the client, and begins as one. */
static bool speaks_for_client(const struct exchange *exchange)
{
    return exchange->request.extended_connect && !exchange->proxy->settings->upstream_h2;
}

static struct span own_key(const struct exchange *exchange)
{
    size_t size = speaks_for_client(exchange) ? sizeof exchange->websocket_key : 0;
    return span_make(exchange->websocket_key, size);
}

static bool begin_websocket(struct exchange *exchange)
{
    if (exchange->request.extended_connect) {
        websocket_remove(&exchange->request, SPAN_LITERAL("sec-websocket-key"));
    }
    return !speaks_for_client(exchange) ||
           websocket_begin(exchange->websocket_key, exchange->websocket_accept);
}

static struct request_facts facts_of(const struct exchange *exchange)
{
    struct proxy *proxy = exchange->proxy;
    const struct proxy_settings *settings = proxy->settings;
    return (struct request_facts){
        .peer = exchange->peer,
        .peer_headers = &proxy->peer_headers,
        .identity = is_verified(exchange) ? &exchange->check.identity : NULL,
        .shadow_check = exchange->shadow_denied ? auth_denial_label(exchange->check.denial) : NULL,
        .own_uri = settings->own_uri,
        .client = exchange->client_address,
        .websocket_key = own_key(exchange),
        .forward_credentials = settings->forward_credentials || settings->auth->mode == AUTH_OFF,
        .random_state = &proxy->random_state,
    };
}

static void answer_upstream_error(struct exchange *exchange, enum proxy_upstream_error kind)
{
    static const char *const descriptions[] = {
        [PROXY_UPSTREAM_ERROR_REFUSED] = "the service refused the connection",
        [PROXY_UPSTREAM_ERROR_CONNECT_TIMEOUT] = "the service did not accept in time",
        [PROXY_UPSTREAM_ERROR_SEND] = "the service stopped reading the request",
        [PROXY_UPSTREAM_ERROR_CLOSED] = "the service closed without an answer",
        [PROXY_UPSTREAM_ERROR_HEAD_TIMEOUT] = "the service did not answer in time",
        [PROXY_UPSTREAM_ERROR_ILLEGAL] = "the service's answer is not HTTP/1.1",
        [PROXY_UPSTREAM_ERROR_CUT] = "the service closed in the middle of its answer",
        [PROXY_UPSTREAM_ERROR_BODY_TIMEOUT] = "the service made no progress",
        [PROXY_UPSTREAM_ERROR_DESCRIPTORS] = "no connection to the service can be made",
        [PROXY_UPSTREAM_ERROR_WEBSOCKET] = "the service takes no WebSocket",
    };
    bool slow = kind == PROXY_UPSTREAM_ERROR_CONNECT_TIMEOUT ||
                kind == PROXY_UPSTREAM_ERROR_HEAD_TIMEOUT ||
                kind == PROXY_UPSTREAM_ERROR_BODY_TIMEOUT;
    if (exchange->reason == NULL) {
        exchange->reason = descriptions[kind];
    }
    give_up(exchange, PROXY_OUTCOME_UPSTREAM_ERROR,
            &(struct answer){.status = slow ? 504 : 502,
                             .error = slow ? "gateway_timeout" : "bad_gateway",
                             .description = descriptions[kind]});
}

/* Binds an upstream; false: the exchange is over, or waits until another one is done with its
 * connection. */
static bool connect_upstream(struct exchange *exchange, bool may_wait)
{
    struct proxy *proxy = exchange->proxy;
    enum proxy_upstream_error kind;
    exchange->upstream = upstream_acquire(proxy, exchange, exchange->retried, &kind);
    if (exchange->upstream != NULL) {
        return true;
    }
    if (may_wait && proxy->upstreams_count > 0) {
        upstream_wait_add(exchange);
        return false;
    }
    counter_add(&proxy->metrics.upstream_errors[kind], 1);
    proxy_count_limit(proxy, PROXY_LIMIT_DESCRIPTORS);
    give_up_overloaded(exchange, "no connection to the service can be made");
    return false;
}

/* Into proxy->head_text. False: the exchange is over. */
static bool write_request_head(struct exchange *exchange, struct span *text)
{
    struct proxy *proxy = exchange->proxy;
    struct http1_writer writer;
    http1_writer_init(&writer, proxy->head_text, proxy->head_text_bytes);
    struct request_facts facts = facts_of(exchange);
    enum status status = request_head_write(&writer, &exchange->request, &facts);
    if (status == STATUS_TOO_LARGE) {
        exchange_reject(exchange, &(struct http_refusal){
                                      .status = 431, .reason = "the head to forward is too large"});
        return false;
    }
    if (status != STATUS_OK) {
        give_up_overloaded(exchange, "an identity value is not fit for a header");
        return false;
    }
    if (facts.identity != NULL) {
        exchange->success_fields_size = auth_success_fields(
            proxy->auth, &exchange->check, io_now(proxy->io), exchange->success_fields,
            sizeof exchange->success_fields);
    }
    *text = span_make(writer.data, writer.size);
    return true;
}

/* ---- what has no end of its own ends with what allowed it ---- */

static void watch_expiry(struct exchange *exchange)
{
    uint64_t left_s = (uint64_t)(exchange->expires_s - io_now(exchange->proxy->io)->wall_s);
    io_timer_set(exchange->proxy->io, &exchange->expiry, left_s * 1000);
}

/* Until the answer begins it can still be said why. */
static void end_expired(struct exchange *exchange)
{
    struct auth_check *check = &exchange->check;
    exchange->reason = "the token or the certificate expired";
    if (exchange->answer_begun || !is_verified(exchange)) {
        cut(exchange, PROXY_OUTCOME_ALLOWED);
        return;
    }
    bool certificate = exchange->expires_s == exchange->peer->not_after_s;
    check->denial = certificate ? AUTH_DENIAL_CERTIFICATE_EXPIRED : AUTH_DENIAL_TOKEN_EXPIRED;
    check->http_status = 401;
    exchange_deny(exchange, certificate);
}

/* The clock on the wall may have been set meanwhile: what counts is what it says now. */
static void expiry_fired(struct io_timer *timer)
{
    struct exchange *exchange = CONTAINER_OF(timer, struct exchange, expiry);
    struct proxy *proxy = exchange->proxy;
    if (io_now(proxy->io)->wall_s < exchange->expires_s) {
        watch_expiry(exchange);
        return;
    }
    proxy_count_limit(proxy, PROXY_LIMIT_EXPIRY);
    end_expired(exchange);
}

/* What has no end of its own must not outlive what allowed it. A body of known length ends soon
 * enough: it is bound by the timeouts on progress, and its check was in time. */
static void bound_by_expiry(struct exchange *exchange)
{
    exchange->expires_s = exchange->peer->not_after_s;
    int64_t token_s = is_verified(exchange) ? exchange->check.identity.expires_s : 0;
    if (token_s > 0 && token_s < exchange->expires_s) {
        exchange->expires_s = token_s;
    }
    exchange->expiry.fired = expiry_fired;
    if (exchange->expires_s > io_now(exchange->proxy->io)->wall_s) {
        watch_expiry(exchange);
    } else {
        io_timer_set(exchange->proxy->io, &exchange->expiry, 0);
    }
}

static bool uploads_endlessly(const struct exchange *exchange)
{
    return !exchange->body_complete && exchange->request.body == HTTP_BODY_CHUNKED;
}

static bool is_endless(const struct exchange *exchange, const struct http_head *head)
{
    return exchange->tunnel || head->body == HTTP_BODY_CHUNKED ||
           head->body == HTTP_BODY_UNTIL_CLOSE || uploads_endlessly(exchange);
}

/* A body of known length has no room for trailers in HTTP/1.1: RFC 9110 section 6.5 lets them be
 * discarded. */
static enum status write_body_end(struct exchange *exchange)
{
    struct upstream *upstream = exchange->upstream;
    if (upstream->is_stream) {
        return upstream_write_trailers(upstream, exchange->request_trailers);
    }
    if (exchange->request.body != HTTP_BODY_CHUNKED) {
        return STATUS_OK;
    }
    enum status status = upstream_write(upstream, SPAN_LITERAL("0\r\n"));
    if (status == STATUS_OK) {
        status = upstream_write(upstream, exchange->request_trailers);
    }
    return status == STATUS_OK ? upstream_write(upstream, SPAN_LITERAL("\r\n")) : status;
}

static void end_request(struct exchange *exchange)
{
    if (write_body_end(exchange) != STATUS_OK) {
        proxy_count_limit(exchange->proxy, PROXY_LIMIT_BUFFERS);
        give_up_overloaded(exchange, "the worker's buffers are used up");
    } else if (exchange->tunnel) {
        upstream_half_close(exchange->upstream);
    } else {
        upstream_request_end(exchange->upstream);
    }
}

static void forward(struct exchange *exchange, bool may_wait)
{
    struct proxy *proxy = exchange->proxy;
    struct span text;
    if (!begin_websocket(exchange)) {
        give_up_overloaded(exchange, "there are no random bytes for a key");
        return;
    }
    if (!write_request_head(exchange, &text)) {
        return;
    }
    if (exchange->forwarded_ns == 0) {
        exchange->forwarded_ns = io_now(proxy->io)->boot_ns;
    }
    if (!connect_upstream(exchange, may_wait)) {
        return;
    }
    bool more = !exchange->body_complete || exchange->request.upgrade_websocket ||
                exchange->request_trailers.size > 0;
    enum status status = upstream_write_head(exchange->upstream, text, more);
    if (status == STATUS_UNSUPPORTED) {
        exchange_upstream_unfit(exchange);
        return;
    }
    if (status != STATUS_OK) {
        proxy_count_limit(proxy, PROXY_LIMIT_BUFFERS);
        give_up_overloaded(exchange, "the worker's buffers are used up");
        return;
    }
    if (uploads_endlessly(exchange)) {
        bound_by_expiry(exchange);
    }
    if (exchange->body_complete) {
        /* Written anew, a body of nothing has its end and its trailers to come. */
        end_request(exchange);
    } else {
        exchange->client->body_wanted(exchange);
    }
}

void exchange_forward_again(struct exchange *exchange, bool last_try)
{
    forward(exchange, !last_try);
}

/* ---- the request's body ---- */

bool exchange_takes_body(const struct exchange *exchange)
{
    if (exchange->over || exchange->body_complete) {
        return false;
    }
    return exchange->body_dropped || (exchange->upstream != NULL &&
                                      upstream_waiting(exchange->upstream) < PROXY_UPSTREAM_MARK);
}

static enum status write_body(struct exchange *exchange, struct span payload)
{
    struct upstream *upstream = exchange->upstream;
    if (exchange->request.body != HTTP_BODY_CHUNKED || upstream->is_stream) {
        return upstream_write(upstream, payload);
    }
    char prefix[18];
    size_t size = http1_chunk_prefix(payload.size, prefix);
    enum status status = upstream_write(upstream, span_make(prefix, size));
    if (status == STATUS_OK) {
        status = upstream_write(upstream, payload);
    }
    return status == STATUS_OK ? upstream_write(upstream, SPAN_LITERAL("\r\n")) : status;
}

void exchange_body(struct exchange *exchange, struct span payload)
{
    exchange->bytes_in += payload.size;
    if (exchange->body_dropped || exchange->over) {
        return;
    }
    if (write_body(exchange, payload) != STATUS_OK) {
        proxy_count_limit(exchange->proxy, PROXY_LIMIT_BUFFERS);
        give_up_overloaded(exchange, "the worker's buffers are used up");
    }
}

void exchange_body_end(struct exchange *exchange)
{
    exchange->body_complete = true;
    if (!exchange->answer_begun) {
        io_timer_cancel(exchange->proxy->io, &exchange->expiry);
    }
    if (exchange->body_dropped || exchange->over) {
        return;
    }
    end_request(exchange);
}

void exchange_upstream_room(struct exchange *exchange)
{
    if (!exchange->body_complete &&
        upstream_waiting(exchange->upstream) <= PROXY_UPSTREAM_MARK / 2) {
        exchange->client->body_wanted(exchange);
    }
}

void exchange_upstream_stopped_reading(struct exchange *exchange)
{
    exchange->body_dropped = true;
    if (!exchange->body_complete) {
        exchange->client->body_wanted(exchange);
    }
}

/* ---- the answer ---- */

static void pause_if_behind(struct exchange *exchange)
{
    if (!exchange->paused && exchange->upstream != NULL &&
        exchange->client->answer_waiting(exchange) > PROXY_OUT_MARK) {
        exchange->paused = true;
        upstream_pause(exchange->upstream);
    }
}

void exchange_client_room(struct exchange *exchange)
{
    if (exchange->paused && exchange->upstream != NULL &&
        exchange->client->answer_waiting(exchange) <= PROXY_OUT_MARK / 2) {
        exchange->paused = false;
        upstream_resume(exchange->upstream);
    }
}

void exchange_upstream_informational(struct exchange *exchange, struct http_head *head)
{
    /* We answered 100 ourselves, or the client did not ask. */
    if (head->status != 100) {
        exchange->client->informational(exchange, head);
    }
}

bool exchange_upstream_switches(const struct exchange *exchange, const struct http_head *head)
{
    return exchange->request.upgrade_websocket &&
           websocket_accepted(head, exchange->websocket_accept);
}

bool exchange_upstream_misleads(const struct exchange *exchange, const struct http_head *head)
{
    return exchange->request.extended_connect && head->status / 100 == 2;
}

/* RFC 9110 section 7.8: "A server MAY ignore a received Upgrade header field if it wishes to
 * continue using the current protocol on that connection." */
void exchange_upstream_unfit(struct exchange *exchange)
{
    leave_upstream(exchange);
    if (exchange->request.extended_connect) {
        counter_add(&exchange->proxy->metrics.upstream_errors[PROXY_UPSTREAM_ERROR_WEBSOCKET], 1);
        answer_upstream_error(exchange, PROXY_UPSTREAM_ERROR_WEBSOCKET);
        return;
    }
    exchange->request.upgrade_websocket = false;
    forward(exchange, true);
}

static bool opens_tunnel(const struct exchange *exchange, const struct http_head *head)
{
    uint16_t status = head->status;
    return exchange->request.upgrade_websocket &&
           (exchange->upstream->is_stream ? status / 100 == 2 : status == 101);
}

/* What the client sends from here on is for the service. RFC 8441 section 5: a 2xx stands for 101
 * wherever one side speaks HTTP/2; RFC 9110 section 9.3.6: "A server MUST NOT send any
 * Transfer-Encoding or Content-Length header fields in a 2xx (Successful) response to CONNECT." */
static void open_tunnel(struct exchange *exchange, struct http_head *head)
{
    exchange->tunnel = true;
    exchange->body_complete = false;
    io_timer_cancel(exchange->proxy->io, &exchange->total);
    if (exchange->request.extended_connect || exchange->upstream->is_stream) {
        websocket_remove(head, SPAN_LITERAL("sec-websocket-accept"));
        head->status = exchange->request.extended_connect ? 200 : 101;
        head->reason = span_from_string(http_status_reason(head->status));
        head->fields_seen &= ~(1u << HTTP_FIELD_CONTENT_LENGTH);
        head->body = HTTP_BODY_UNTIL_CLOSE;
    }
}

void exchange_upstream_head(struct exchange *exchange, struct http_head *head)
{
    exchange->answer_begun = true;
    if (opens_tunnel(exchange, head)) {
        open_tunnel(exchange, head);
    }
    exchange->status = head->status;
    if (is_endless(exchange, head)) {
        bound_by_expiry(exchange);
    } else {
        io_timer_cancel(exchange->proxy->io, &exchange->expiry);
    }
    exchange->client->answer_head(exchange, head);
    if (exchange->tunnel && !exchange->over) {
        exchange->client->body_wanted(exchange);
    }
}

void exchange_upstream_body(struct exchange *exchange, struct span payload)
{
    exchange->bytes_out += payload.size;
    exchange->client->answer_body(exchange, payload);
    pause_if_behind(exchange);
}

void exchange_upstream_trailers(struct exchange *exchange, const struct http_head *trailers)
{
    exchange->client->answer_trailers(exchange, trailers);
}

void exchange_too_slow(struct exchange *exchange, const char *reason)
{
    if (!exchange->body_complete && !exchange->answer_begun) {
        exchange_reject(exchange, &(struct http_refusal){.status = 408, .reason = reason});
        return;
    }
    exchange->reason = reason;
    give_up(exchange, PROXY_OUTCOME_UPSTREAM_ERROR,
            &(struct answer){.status = 504,
                             .grpc_status = 4, /* DEADLINE_EXCEEDED */
                             .error = "gateway_timeout",
                             .description = reason});
}

void exchange_deadline(struct exchange *exchange)
{
    exchange->reason = "the client's deadline passed";
    give_up(exchange, PROXY_OUTCOME_UPSTREAM_ERROR,
            &(struct answer){.status = 504,
                             .grpc_status = 4, /* DEADLINE_EXCEEDED */
                             .error = "gateway_timeout",
                             .description = exchange->reason});
}

void exchange_upstream_end(struct exchange *exchange)
{
    struct upstream *upstream = exchange->upstream;
    exchange->upstream = NULL;
    upstream_release(upstream);
    finish(exchange, exchange->shadow_denied ? PROXY_OUTCOME_SHADOW_DENIED : PROXY_OUTCOME_ALLOWED);
    exchange->client->answer_end(exchange);
}

/* RFC 9110 section 9.2.2: "the safe request methods", PUT and DELETE are idempotent. */
static bool is_idempotent(struct span method)
{
    return span_equal_string(method, "GET") || span_equal_string(method, "HEAD") ||
           span_equal_string(method, "OPTIONS") || span_equal_string(method, "TRACE") ||
           span_equal_string(method, "PUT") || span_equal_string(method, "DELETE");
}

/* A pooled connection died under us: once, the request goes to a new one. What the kernel did not
 * take is still in the dead one's queue, and no service has seen it. RFC 9112 section 9.3.1 about
 * the rest: "A proxy MUST NOT automatically retry non-idempotent requests." One of the others is
 * written anew if its head is all there is of it. */
static bool retry(struct exchange *exchange, struct upstream *dead, enum exchange_reach reach)
{
    /* The protocol towards the service may have changed meanwhile: then what was written is of no
     * use. */
    bool same = exchange->proxy->settings->upstream_h2 == dead->is_stream;
    bool again = (reach == EXCHANGE_UNSENT && (same || exchange->bytes_in == 0)) ||
                 (reach == EXCHANGE_REFUSED && exchange->bytes_in == 0) ||
                 (reach == EXCHANGE_UNANSWERED && exchange->request.body == HTTP_BODY_NONE &&
                  is_idempotent(exchange->request.method));
    if (!again || exchange->retried || exchange->answer_begun) {
        return false;
    }
    exchange->retried = true;
    exchange->reason = NULL;
    counter_add(&exchange->proxy->metrics.upstream_retries, 1);
    if (reach != EXCHANGE_UNSENT || !same) {
        forward(exchange, false);
    } else if (connect_upstream(exchange, false)) {
        upstream_move_request(dead, exchange->upstream);
    }
    return true;
}

void exchange_upstream_failed(struct exchange *exchange, enum proxy_upstream_error kind,
                              enum exchange_reach reach)
{
    struct upstream *dead = exchange->upstream;
    exchange->upstream = NULL; /* it closes itself */
    if (!retry(exchange, dead, reach)) {
        answer_upstream_error(exchange, kind);
    }
}
