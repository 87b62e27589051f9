/* What an exchange asks of HTTP/2: how its answer is written. */
#include "proxy/h2_internal.h"

#include "proxy/grpc.h"
#include "proxy/h2_fields.h"

#include <assert.h>

/* Over it, all streams of a connection together pause the service's answers. */
#define ANSWERS_MARK (16 * PROXY_OUT_MARK)

static struct span write_number(char text[20], uint64_t number)
{
    struct http1_writer writer;
    http1_writer_init(&writer, text, 20);
    http1_write_number(&writer, number);
    return span_make(text, writer.size);
}

/* ---- the buffer between the exchange and the stream's window ---- */

void h2_answer_progress(struct h2_request *request)
{
    struct proxy *proxy = request->downstream->proxy;
    if (request->answer.size == 0) {
        io_timer_cancel(proxy->io, &request->answer_timer);
    } else {
        io_timer_set(proxy->io, &request->answer_timer, proxy->settings->timeouts.body_progress_ms);
    }
}

size_t h2_answer_read(void *owner, struct h2_stream *stream, struct span_mut into, bool *end)
{
    struct downstream *downstream = owner;
    struct h2_request *request = (struct h2_request *)stream;
    size_t filled = 0;
    struct span first;
    while (filled < into.size && buffer_peek(&request->answer, &first, 1) == 1) {
        size_t size = first.size < into.size - filled ? first.size : into.size - filled;
        memcpy(into.data + filled, first.data, size);
        buffer_consume(&request->answer, size);
        filled += size;
    }
    downstream->h2->answer_bytes -= filled;
    *end = request->answer_end && request->answer.size == 0;
    h2_answer_progress(request);
    if (request->exchange != NULL) {
        exchange_client_room(request->exchange);
    }
    return filled;
}

void h2_answer_read_trailers(void *owner, struct h2_stream *stream)
{
    struct downstream *downstream = owner;
    struct h2_request *request = (struct h2_request *)stream;
    struct h2_fields fields;
    fields.count = 0;
    h2_fields_add_lines(&fields, h2_fields_kept(&request->trailers_out));
    h2_session_send_trailers(downstream->h2->session, stream, fields.list, fields.count);
}

static bool append(struct h2_request *request, struct span payload)
{
    struct downstream *downstream = request->downstream;
    if (buffer_append(&request->answer, payload) != STATUS_OK) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_BUFFERS);
        return false;
    }
    downstream->h2->answer_bytes += payload.size;
    if (!io_timer_is_set(&request->answer_timer)) {
        h2_answer_progress(request);
    }
    h2_session_resume(downstream->h2->session, &request->stream);
    h2_want_flush(downstream);
    return true;
}

static void finish_answer(struct h2_request *request)
{
    request->answer_end = true;
    h2_session_resume(request->downstream->h2->session, &request->stream);
    h2_request_over(request);
}

void h2_request_over(struct h2_request *request)
{
    struct h2 *h2 = request->downstream->h2;
    struct h2_stream *stream = &request->stream;
    request->exchange = NULL;
    io_timer_cancel(request->downstream->proxy->io, &request->body_timer);
    io_timer_cancel(request->downstream->proxy->io, &request->deadline);
    io_timer_cancel(request->downstream->proxy->io, &request->idle_timer);
    if (request->body.size > 0) {
        h2_session_consume(h2->session, stream, request->body.size);
        buffer_clear(&request->body);
    }
    /* RFC 9113 section 8.1: "a server MAY request that the client abort transmission of a request
     * without error by sending a RST_STREAM with an error code of NO_ERROR after sending a complete
     * response". */
    if (request->malformed || !stream->remote_ended) {
        stream->resets_after = true;
        stream->after_code = request->malformed ? H2_PROTOCOL_ERROR : H2_NO_ERROR;
    }
    h2_want_flush(request->downstream);
}

/* ---- the exchange's calls ---- */

static struct h2_session *session_of(struct h2_request *request)
{
    return request->downstream->h2->session;
}

static void on_body_wanted(struct exchange *exchange)
{
    struct h2_request *request = exchange->owner;
    if (exchange->request.expect_continue && !request->continue_sent && request->body.size == 0 &&
        !request->body_end) {
        h2_session_informational(session_of(request), &request->stream, 100, NULL, 0);
        h2_want_flush(request->downstream);
    }
    request->continue_sent = true;
    h2_pump_body(request);
}

/* Everything that is not dropped; the framing is HTTP/2's own. */
static void add_head(struct h2_fields *fields, struct http_head *head, bool drop_nonce)
{
    const uint32_t own = 1u << HTTP_FIELD_CONNECTION | 1u << HTTP_FIELD_CONTENT_LENGTH |
                         1u << HTTP_FIELD_HOST | 1u << HTTP_FIELD_TRANSFER_ENCODING |
                         1u << HTTP_FIELD_UPGRADE;
    http_mark_dropped(head, true);
    for (uint32_t i = 0; i < head->headers_count; i++) {
        const struct http_header *header = &head->headers[i];
        bool nonce = drop_nonce && header->field == HTTP_FIELD_DPOP_NONCE;
        if (!header->dropped && !nonce && (own >> header->field & 1) == 0) {
            h2_fields_add(fields, header->name, header->value);
        }
    }
}

static void on_informational(struct exchange *exchange, struct http_head *head)
{
    struct h2_request *request = exchange->owner;
    struct h2_fields fields;
    fields.count = 0;
    add_head(&fields, head, false);
    h2_session_informational(session_of(request), &request->stream, head->status, fields.list,
                             fields.count);
    h2_want_flush(request->downstream);
}

static void on_answer_head(struct exchange *exchange, struct http_head *head)
{
    struct h2_request *request = exchange->owner;
    struct h2_fields fields;
    char digits[20];
    fields.count = 0;
    add_head(&fields, head, exchange->success_fields_size > 0);
    /* To HEAD and with 304: what a GET would have got. */
    bool said = (head->fields_seen >> HTTP_FIELD_CONTENT_LENGTH & 1) != 0;
    bool empty = head->body == HTTP_BODY_NONE ||
                 (head->body == HTTP_BODY_LENGTH && head->content_length == 0);
    if (said && head->body != HTTP_BODY_CHUNKED && head->status != 204) {
        h2_fields_add(&fields, SPAN_LITERAL("content-length"),
                      write_number(digits, head->content_length));
    }
    h2_fields_add_lines(&fields,
                        span_make(exchange->success_fields, exchange->success_fields_size));
    h2_session_respond(session_of(request), &request->stream, head->status, fields.list,
                       fields.count, !empty);
    h2_request_alive(request);
    h2_want_flush(request->downstream);
}

static void on_answer_body(struct exchange *exchange, struct span payload)
{
    struct h2_request *request = exchange->owner;
    h2_request_alive(request);
    if (!append(request, payload)) {
        h2_request_over(request);
        h2_session_reset(session_of(request), &request->stream, H2_INTERNAL_ERROR);
        exchange_client_gone(exchange, "the worker's buffers are used up");
    }
}

static void on_answer_trailers(struct exchange *exchange, const struct http_head *trailers)
{
    struct h2_request *request = exchange->owner;
    request->trailers_lost = h2_fields_keep(&request->trailers_out, trailers) != STATUS_OK;
    request->stream.has_trailers = request->trailers_out.size > 0;
}

static void on_answer_end(struct exchange *exchange)
{
    struct h2_request *request = exchange->owner;
    finish_answer(request);
    if (request->trailers_lost) {
        proxy_count_limit(request->downstream->proxy, PROXY_LIMIT_BUFFERS);
        h2_session_reset(session_of(request), &request->stream, H2_INTERNAL_ERROR);
    }
}

static void on_answer_cut(struct exchange *exchange)
{
    struct h2_request *request = exchange->owner;
    h2_request_over(request);
    /* RFC 8441 section 5: "RST exceptions [of TCP] are represented with the RST_STREAM frame with a
     * CANCEL (0x8) error code". */
    uint32_t code = exchange->tunnel ? H2_CANCEL : H2_INTERNAL_ERROR;
    h2_session_reset(session_of(request), &request->stream,
                     request->malformed ? H2_PROTOCOL_ERROR : code);
}

static void answer_grpc(struct h2_request *request, const struct answer *answer)
{
    struct h2_fields fields;
    char digits[20];
    fields.count = 0;
    h2_fields_add(&fields, SPAN_LITERAL("content-type"), SPAN_LITERAL("application/grpc"));
    h2_fields_add(&fields, SPAN_LITERAL("grpc-status"),
                  write_number(digits, answer->grpc_status != 0 ? answer->grpc_status
                                                                : grpc_status_of(answer->status)));
    if (answer->description != NULL && answer->description[0] != '\0') {
        h2_fields_add(&fields, SPAN_LITERAL("grpc-message"), span_from_string(answer->description));
    }
    h2_fields_add_lines(&fields, answer->headers);
    h2_session_respond(session_of(request), &request->stream, 200, fields.list, fields.count,
                       false);
}

static void answer_plain(struct h2_request *request, const struct answer *answer, bool head_request)
{
    struct h2_fields fields;
    struct http1_writer body;
    char text[512], digits[20];
    fields.count = 0;
    http1_writer_init(&body, text, sizeof text);
    answer_write_body(&body, answer);
    assert(!body.overflow); /* fixed words */
    h2_fields_add(&fields, SPAN_LITERAL("content-type"), SPAN_LITERAL("application/json"));
    h2_fields_add(&fields, SPAN_LITERAL("content-length"), write_number(digits, body.size));
    h2_fields_add_lines(&fields, answer->headers);
    h2_session_respond(session_of(request), &request->stream, answer->status, fields.list,
                       fields.count, !head_request);
    if (!head_request && !append(request, span_make(text, body.size))) {
        h2_session_reset(session_of(request), &request->stream, H2_INTERNAL_ERROR);
    }
}

static void on_answer_made(struct exchange *exchange, const struct answer *answer)
{
    struct h2_request *request = exchange->owner;
    if (exchange->has_head && grpc_is_request(&exchange->request)) {
        answer_grpc(request, answer);
    } else {
        answer_plain(request, answer,
                     exchange->has_head && span_equal_string(exchange->request.method, "HEAD"));
    }
    /* What closes a connection of HTTP/1.1 because its framing is in doubt is a stream's affair
     * here; an expired certificate is the connection's. */
    if (answer->close && answer->status == 401) {
        h2_goaway(request->downstream);
    }
    finish_answer(request);
}

static size_t on_answer_waiting(const struct exchange *exchange)
{
    const struct h2_request *request = exchange->owner;
    bool many = request->downstream->h2->answer_bytes > ANSWERS_MARK;
    return request->answer.size + (many ? PROXY_OUT_MARK : 0);
}

const struct exchange_client h2_client_ops = {
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
