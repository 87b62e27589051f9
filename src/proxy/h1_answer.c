/* What an exchange asks of HTTP/1.1: how its answer is written. */
#include "proxy/h1_internal.h"

#include "proxy/core.h"
#include "proxy/downstream.h"
#include "proxy/upstream.h"

#include <assert.h>

static void on_body_wanted(struct exchange *exchange)
{
    struct downstream *downstream = exchange->owner;
    struct h1 *h1 = &downstream->h1;
    /* RFC 9110 section 10.1.1: "A server MAY omit sending a 100 (Continue) response if it has
     * already received some or all of the content". */
    bool nothing_came = h1->backlog.size == 0 && h1->input_size == h1->input_start;
    if (!h1->body_wanted_sent && exchange->request.expect_continue &&
        exchange->request.minor_version >= 1 && nothing_came) {
        downstream_write(downstream, SPAN_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    h1->body_wanted_sent = true;
    h1_pump(downstream);
}

/* There is one DPoP-Nonce in an answer, and it is the gate's. */
static void drop_nonce(struct http_head *head)
{
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (head->headers[i].field == HTTP_FIELD_DPOP_NONCE) {
            head->headers[i].dropped = true;
        }
    }
}

static void write_head(struct downstream *downstream, struct http_head *head, bool keep_alive,
                       struct span more)
{
    struct proxy *proxy = downstream->proxy;
    struct exchange *exchange = downstream->h1.exchange;
    struct http1_writer writer;
    http1_writer_init(&writer, proxy->head_text, proxy->head_text_bytes);
    http_mark_dropped(head, true);
    if (more.size > 0) {
        drop_nonce(head);
    }
    http1_write_response_head(&writer, head, exchange->request.minor_version, keep_alive);
    if (exchange->tunnel && exchange->upstream->is_stream) {
        /* HTTP/2 has no such field: that the service opened the tunnel says the same. */
        http1_write_header(
            &writer, "sec-websocket-accept",
            span_make(exchange->websocket_accept, sizeof exchange->websocket_accept));
    }
    http1_write(&writer, more);
    http1_write_string(&writer, "\r\n");
    if (writer.overflow) {
        h1_end(downstream, "the answer's head does not fit");
        h1_stop(downstream, DOWNSTREAM_END_NOW);
        return;
    }
    downstream_write(downstream, span_make(writer.data, writer.size));
}

static void on_informational(struct exchange *exchange, struct http_head *head)
{
    /* RFC 9110 section 15.2: "A server MUST NOT send a 1xx response to an HTTP/1.0 client." */
    if (exchange->request.minor_version >= 1) {
        write_head(exchange->owner, head, true, (struct span){0});
    }
}

static void on_answer_head(struct exchange *exchange, struct http_head *head)
{
    struct downstream *downstream = exchange->owner;
    struct h1 *h1 = &downstream->h1;
    uint8_t minor_version = exchange->request.minor_version;
    if (exchange->tunnel) {
        h1->framing = HTTP_BODY_UNTIL_CLOSE;
        h1->close_after = true;
        /* What follows the request's head is the tunnel's, and has no end but the connection's. */
        h1->body = (struct http1_body){.kind = HTTP_BODY_UNTIL_CLOSE};
        write_head(downstream, head, true,
                   span_make(exchange->success_fields, exchange->success_fields_size));
        return;
    }
    /* Trailers are announced, and HTTP/1.1 has them in chunked bodies alone. */
    if (exchange->upstream->is_stream && head->body == HTTP_BODY_LENGTH && minor_version >= 1 &&
        (head->fields_seen >> HTTP_FIELD_TRAILER & 1) != 0) {
        head->body = HTTP_BODY_CHUNKED;
    }
    h1->framing = (uint8_t)http1_response_framing(head, minor_version);
    /* An answer that overtakes the request's body ends the connection: where the next request
     * begins could be anyone's guess for a client that stops sending. */
    if (h1->framing == HTTP_BODY_UNTIL_CLOSE || !exchange->body_complete ||
        downstream->proxy->draining) {
        h1->close_after = true;
    }
    write_head(downstream, head, !h1->close_after,
               span_make(exchange->success_fields, exchange->success_fields_size));
}

static void on_answer_body(struct exchange *exchange, struct span payload)
{
    struct downstream *downstream = exchange->owner;
    if (exchange->tunnel) {
        downstream_set_timer(downstream, DOWNSTREAM_TIMER_TUNNEL,
                             proxy_tunnel_idle_ms(downstream->proxy));
    }
    if (downstream->h1.framing != HTTP_BODY_CHUNKED) {
        downstream_write(downstream, payload);
        return;
    }
    char prefix[18];
    size_t size = http1_chunk_prefix(payload.size, prefix);
    downstream_write(downstream, span_make(prefix, size));
    downstream_write(downstream, payload);
    downstream_write(downstream, SPAN_LITERAL("\r\n"));
}

static void on_answer_trailers(struct exchange *exchange, const struct http_head *trailers)
{
    struct downstream *downstream = exchange->owner;
    struct proxy *proxy = downstream->proxy;
    struct http1_writer writer;
    if (downstream->h1.framing != HTTP_BODY_CHUNKED) {
        return; /* there is no place for them */
    }
    http1_writer_init(&writer, proxy->head_text, proxy->head_text_bytes);
    http1_write_string(&writer, "0\r\n");
    http1_write_trailers(&writer, trailers);
    if (writer.overflow) {
        h1_end(downstream, "the answer's trailers do not fit");
        h1_stop(downstream, DOWNSTREAM_END_NOW);
        return;
    }
    downstream_write(downstream, span_make(writer.data, writer.size));
    downstream->h1.trailers_sent = true;
}

static void on_answer_end(struct exchange *exchange)
{
    struct downstream *downstream = exchange->owner;
    if (downstream->h1.framing == HTTP_BODY_CHUNKED) {
        downstream_write(downstream, downstream->h1.trailers_sent ? SPAN_LITERAL("\r\n")
                                                                  : SPAN_LITERAL("0\r\n\r\n"));
    }
    h1_request_over(downstream);
}

/* Whether the rest of a refused request's body may be read, to keep the connection. A client that
 * was going to wait for 100 Continue may send the body or not (RFC 9110 section 10.1.1): there is
 * no telling, so that connection ends. */
static bool worth_discarding(const struct h1 *h1, const struct exchange *exchange)
{
    return h1->body.done ||
           (h1->body.kind == HTTP_BODY_LENGTH && h1->body.left <= PROXY_DISCARD_BYTES_MAX &&
            !exchange->request.expect_continue);
}

static void on_answer_made(struct exchange *exchange, const struct answer *answer)
{
    struct downstream *downstream = exchange->owner;
    struct h1 *h1 = &downstream->h1;
    if (answer->close || !worth_discarding(h1, exchange) || downstream->proxy->draining) {
        h1->close_after = true;
    }
    char text[PROXY_ANSWER_BYTES_MAX];
    struct http1_writer writer;
    http1_writer_init(&writer, text, sizeof text);
    bool head_request = exchange->has_head && span_equal_string(exchange->request.method, "HEAD");
    answer_write_http1(&writer, answer, !h1->close_after, head_request);
    assert(!writer.overflow); /* fixed words and at most AUTH_CHALLENGE_BYTES_MAX of challenge */
    downstream_write(downstream, span_make(text, writer.size));
    h1_request_over(downstream);
}

static void on_answer_cut(struct exchange *exchange)
{
    struct downstream *downstream = exchange->owner;
    downstream->h1.exchange = NULL;
    h1_stop(downstream, DOWNSTREAM_END_CUT);
}

static size_t on_answer_waiting(const struct exchange *exchange)
{
    return downstream_waiting(exchange->owner);
}

const struct exchange_client h1_client_ops = {
    .body_wanted = on_body_wanted,
    .informational = on_informational,
    .answer_head = on_answer_head,
    .answer_body = on_answer_body,
    .answer_trailers = on_answer_trailers,
    .answer_end = on_answer_end,
    .answer_made = on_answer_made,
    .answer_cut = on_answer_cut,
    .answer_waiting = on_answer_waiting,
};
