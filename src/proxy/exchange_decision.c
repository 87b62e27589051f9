/* From a parsed head to the decision: the origin, the check, the store that replicas share, and
 * what a denial is answered with. */
#include "proxy/core.h"
#include "proxy/exchange.h"
#include "proxy/exchange_internal.h"
#include "proxy/origin.h"

void exchange_deny(struct exchange *exchange, bool close)
{
    struct proxy *proxy = exchange->proxy;
    const struct auth_check *check = &exchange->check;
    char headers[AUTH_CHALLENGE_BYTES_MAX];
    size_t size = auth_challenge(proxy->auth, check, io_now(proxy->io), headers, sizeof headers);
    exchange_answer_with(
        exchange, PROXY_OUTCOME_DENIED,
        &(struct answer){.status = check->http_status,
                         .headers = span_make(headers, size),
                         .error = auth_answer_error(auth_denial_answer(check->denial)),
                         .description = auth_denial_description(check->denial),
                         .close = close});
}

static void stored(struct store_request *request, enum status status)
{
    struct exchange *exchange = CONTAINER_OF(request, struct exchange, stored);
    struct proxy *proxy = exchange->proxy;
    auth_stored(proxy->auth, &exchange->check, status, io_now(proxy->io));
    exchange_decided(exchange);
}

/* The proof is new here; the store that replicas share has to say so too. */
static void ask_store(struct exchange *exchange)
{
    struct proxy *proxy = exchange->proxy;
    struct auth_store_question question;
    auth_store_question(&exchange->check, &question);
    exchange->stored.done = stored;
    exchange->stored.expires_boot_s = question.expires_boot_s;
    memcpy(exchange->stored.key, question.key, sizeof question.key);
    enum status status = proxy->store != NULL ? store_insert(proxy->store, &exchange->stored)
                                              : STATUS_SYSTEM;
    if (status != STATUS_OK) {
        stored(&exchange->stored, status);
    }
}

void exchange_decided(struct exchange *exchange)
{
    const struct auth_check *check = &exchange->check;
    if (!exchange->over && check->outcome == AUTH_STORING) {
        ask_store(exchange);
        return;
    }
    exchange->deciding = false;
    if (exchange->over) {
        return; /* the client left between the batch and here */
    }
    if (check->outcome == AUTH_ALLOWED) {
        exchange_forward_again(exchange, false);
        return;
    }
    /* Shadow mode enforces mutual TLS, so a certificate that has expired is not waved through. */
    bool certificate = check->denial == AUTH_DENIAL_CERTIFICATE_EXPIRED;
    if (exchange->proxy->settings->auth->mode == AUTH_SHADOW && !certificate) {
        exchange->shadow_denied = true;
        exchange_forward_again(exchange, false);
        return;
    }
    exchange_deny(exchange, certificate);
}

static void submit(struct exchange *exchange)
{
    struct proxy *proxy = exchange->proxy;
    const struct http_head *head = &exchange->request;
    struct auth_request request = {
        .method = head->method,
        .authority = head->uri.authority,
        .path = head->uri.path,
        .authorization_count = head->authorization_count,
        .dpop_count = head->dpop_count,
        .authorization = head->authorization,
        .dpop = head->dpop,
        .certificate_sha256 = exchange->peer->certificate_sha256,
        .spiffe_id = exchange->peer->spiffe_id,
        .certificate_not_after_s = exchange->peer->not_after_s,
    };
    exchange->check.user = exchange;
    exchange->submitted = true;
    exchange->deciding = true;
    auth_submit(proxy->auth, &request, io_now(proxy->io), &exchange->check);
    if (exchange->check.outcome != AUTH_PENDING) {
        exchange_decided(exchange);
    }
}

static void misdirected(struct exchange *exchange, const char *reason)
{
    exchange_reject(exchange, &(struct http_refusal){.status = 421, .reason = reason});
}

static void total_fired(struct io_timer *timer)
{
    struct exchange *exchange = CONTAINER_OF(timer, struct exchange, total);
    proxy_count_limit(exchange->proxy, PROXY_LIMIT_TOTAL);
    exchange_too_slow(exchange, "the request took longer than timeouts.total");
}

void exchange_start(struct exchange *exchange)
{
    uint32_t total_ms = exchange->proxy->settings->timeouts.total_ms;
    if (total_ms > 0) {
        exchange->total.fired = total_fired;
        io_timer_set(exchange->proxy->io, &exchange->total, total_ms);
    }
    const struct auth_settings *auth = exchange->proxy->settings->auth;
    struct span authority = exchange->request.uri.authority;
    if (exchange->request.upgrade_websocket && !exchange->request.extended_connect &&
        !websocket_expect(&exchange->request, exchange->websocket_accept)) {
        /* RFC 6455 section 4.2.1: "the server MUST stop processing the client's handshake and
         * return an HTTP response with an appropriate error code (such as 400 Bad Request)". */
        exchange_reject(exchange, &(struct http_refusal){.status = 400,
                                                         .reason = "Sec-WebSocket-Key is no key"});
    } else if (!origin_is_public(auth, authority)) {
        misdirected(exchange, "the host is not one of the public origins");
    } else if (!origin_matches_server_name(authority, exchange->server_name)) {
        misdirected(exchange, "the host is not the name the connection was made to");
    } else if (auth->mode != AUTH_OFF) {
        submit(exchange);
    } else if (io_now(exchange->proxy->io)->wall_s > exchange->peer->not_after_s) {
        exchange->reason = "the client certificate expired";
        exchange_answer_with(exchange, PROXY_OUTCOME_DENIED,
                             &(struct answer){.status = 401,
                                              .error = "invalid_token",
                                              .description = exchange->reason,
                                              .close = true});
    } else {
        exchange_forward_again(exchange, false);
    }
}
