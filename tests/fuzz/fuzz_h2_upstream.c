/* A client's HTTP/2 session, as towards the service, from raw bytes: heads are sound responses,
 * content is what Content-Length says, every stream that was opened is closed at most once. */
#include "h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_head(void *context, struct h2_stream *stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct owner *owner = context;
    struct owner_stream *one = (struct owner_stream *)stream;
    owner_check(!one->head_seen);
    if (refusal != NULL) {
        owner_check(refusal->reason != NULL);
        one->head_seen = one->broken = true;
        h2_session_reset(owner->session, stream, H2_PROTOCOL_ERROR);
        return;
    }
    owner_check(head->status >= 100 && head->status <= 599 && head->status != 101);
    owner_check_fields(head);
    if (head->status >= 200) {
        one->head_seen = true;
        one->length = head->content_length;
        owner_check(head->body != HTTP_BODY_UNTIL_CLOSE);
        owner_check(head->status != 204 || head->body == HTTP_BODY_NONE);
    } else {
        owner_check(head->body == HTTP_BODY_NONE && !stream->head_done);
    }
}

static const struct h2_handler handler = {
    .head = on_head,
    .data = owner_data,
    .end = owner_end,
    .broken = owner_broken,
    .closed = owner_closed,
    .read = owner_read,
    .trailers = owner_trailers,
};

static void ask(struct owner *owner, const char *method, size_t body)
{
    struct owner_stream *one = owner_add(owner);
    struct h2_field fields[] = {{SPAN_LITERAL(":method"), span_from_string(method)},
                                {SPAN_LITERAL(":scheme"), SPAN_LITERAL("http")},
                                {SPAN_LITERAL(":authority"), SPAN_LITERAL("a.example")},
                                {SPAN_LITERAL(":path"), SPAN_LITERAL("/")}};
    one->to_send = body;
    one->stream.method = span_from_string(method);
    one->stream.has_trailers = (owner->mood & 4) != 0 && body > 0;
    owner_check(h2_session_request(owner->session, &one->stream, fields, 4, body > 0) == STATUS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 7, 100, 65536};
    struct owner owner = {0};
    struct h2_options options = {.client = true, .limits = &owner_limits};
    if (size == 0) {
        return 0;
    }
    owner.mood = data[0];
    owner_check(h2_session_new(&handler, &owner, &options, &owner.session) == STATUS_OK);
    ask(&owner, "GET", 0);
    ask(&owner, "HEAD", 0);
    ask(&owner, "POST", 100000);
    owner_drain(&owner);
    owner_feed(&owner, data + 1, size - 1, pieces[data[0] >> 4 & 3]);
    owner_drop(&owner);
    return 0;
}
