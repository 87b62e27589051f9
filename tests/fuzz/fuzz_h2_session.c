/* A server's HTTP/2 session from raw bytes: what it lets through is a sound request, content is
 * what Content-Length says, every stream that begins is closed once, and memory keeps its bound.
 * The first byte says how the owner behaves and in what pieces the rest comes. */
#include "h2_owner.h"

#include "http/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct http_head *head, bool ended)
{
    owner_check(head->method.size > 0 && head->uri.path.size > 0 && head->uri.path.data[0] == '/');
    owner_check(head->uri.authority.size > 0 && span_equal_string(head->uri.scheme, "https"));
    owner_check(span_equal_string(head->method, "CONNECT") == head->extended_connect);
    owner_check(head->upgrade_websocket == head->extended_connect);
    owner_check(!head->extended_connect || (!ended && head->body == HTTP_BODY_NONE));
    owner_check_span(head->method);
    owner_check_span(head->uri.path);
    owner_check_span(head->uri.query);
    owner_check_span(head->uri.authority);
    owner_check(!ended || head->content_length == 0);
    owner_check(head->content_length <= owner_limits.body_bytes_max);
    owner_check(head->body != HTTP_BODY_UNTIL_CLOSE);
    owner_check_fields(head);
}

/* What goes to a service in HTTP/1.1 reads there as one request, the same. */
static void check_translation(struct http_head *head)
{
    static struct http_head again;
    static char out[16384];
    static uint8_t target[16384 + 8];
    const struct http_limits wide = {.head_bytes_max = sizeof out, .headers_max = HTTP_HEADERS_MAX};
    struct http1_writer writer;
    struct http1_scan scan = {0};
    struct http_refusal refusal = {0};
    size_t head_size = 0;
    http_mark_dropped(head, false);
    http1_writer_init(&writer, out, sizeof out);
    http1_write_request_head(&writer, head);
    http1_write_string(&writer, "\r\n");
    owner_check(!writer.overflow);
    enum status status = http1_parse_request(&scan, span_make(out, writer.size), &wide,
                                             (struct span_mut){target, sizeof target}, &again,
                                             &head_size, &refusal);
    owner_check(status == STATUS_OK && head_size == writer.size);
    struct span method = head->extended_connect ? SPAN_LITERAL("GET") : head->method;
    owner_check(again.upgrade_websocket == head->extended_connect &&
                again.te_trailers == (head->te_trailers && !head->extended_connect));
    owner_check(span_equal(again.method, method) && span_equal(again.uri.path, head->uri.path) &&
                span_equal(again.uri.authority, head->uri.authority));
    owner_check(again.body == head->body && again.content_length == head->content_length);
    owner_check(again.authorization_count == 0 && again.dpop_count == 0);
}

static void on_head(void *context, struct h2_stream *stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct owner *owner = context;
    struct owner_stream *one = (struct owner_stream *)stream;
    owner_check(!one->head_seen && head == &one->head);
    one->head_seen = true;
    one->ended = stream->remote_ended;
    one->length = head->content_length;
    if (refusal != NULL) {
        owner_check(refusal->status >= 400 && refusal->status <= 503 && refusal->reason != NULL);
        stream->resets_after = true;
        stream->after_code = H2_PROTOCOL_ERROR;
        h2_session_respond(owner->session, stream, refusal->status, NULL, 0, false);
        return;
    }
    check_request(head, stream->remote_ended);
    if ((owner->mood & 2) != 0) {
        struct h2_field field = {SPAN_LITERAL("X-Answer"), head->uri.path};
        one->to_send = head->uri.path.size * 100;
        stream->has_trailers = (owner->mood & 4) != 0;
        h2_session_respond(owner->session, stream, 200, &field, 1, true);
    } else if ((owner->mood & 4) != 0) {
        h2_session_reset(owner->session, stream, H2_CANCEL);
    }
    check_translation(head);
}

static const struct h2_handler handler = {
    .begin = owner_begin,
    .grow = owner_grow,
    .head = on_head,
    .data = owner_data,
    .end = owner_end,
    .broken = owner_broken,
    .closed = owner_closed,
    .read = owner_read,
    .trailers = owner_trailers,
};

/* Returns a digest of all that was sent. */
static uint64_t run(const uint8_t *data, size_t size, bool rests)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    static const size_t pieces[] = {1, 7, 100, 65536};
    struct owner owner = {.rests = rests};
    struct h2_options options = {.limits = &owner_limits, .streams_max = OWNER_STREAMS};
    owner.mood = data[0];
    owner_check(h2_session_new(&handler, &owner, &options, &owner.session) == STATUS_OK);
    if ((data[0] & 8) == 0) {
        owner_feed(&owner, preface, sizeof preface - 1, 65536);
    }
    owner_feed(&owner, data + 1, size - 1, pieces[data[0] >> 4 & 3]);
    owner_drop(&owner);
    return owner.sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        /* A session that rests whenever it can says the same, byte for byte. */
        uint64_t sent = run(data, size, false);
        owner_check(run(data, size, true) == sent);
    }
    return 0;
}
