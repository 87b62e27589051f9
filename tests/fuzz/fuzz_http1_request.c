/* A request head gets the same verdict however its bytes come; what is accepted holds what the
 * layers above rely on; and a head written again reads as the same head, and writes as the same
 * bytes. */
#include "http/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .head_bytes_max = 2048, .headers_max = 24, .body_bytes_max = 1 << 20};

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

struct result {
    enum status status;
    size_t head_size;
    struct http_refusal refusal;
    uint8_t *bytes, *out;
    struct http_head head;
};

static void free_bytes(struct result *result)
{
    free(result->bytes);
    free(result->out);
}

/* Memory of exactly the right size, and another one at every call. */
static void step(struct http1_scan *scan, const uint8_t *data, size_t size, struct result *result)
{
    result->bytes = malloc(size > 0 ? size : 1);
    memcpy(result->bytes, data, size);
    result->out = malloc(limits.head_bytes_max + 8);
    struct span_mut out = {result->out, limits.head_bytes_max + 8};
    result->refusal = (struct http_refusal){0, NULL};
    result->status = http1_parse_request(scan, span_make(result->bytes, size), &limits, out,
                                         &result->head, &result->head_size, &result->refusal);
}

static bool same_uri(const struct uri *a, const struct uri *b)
{
    return span_equal(a->scheme, b->scheme) && span_equal(a->authority, b->authority) &&
           span_equal(a->path, b->path) && a->has_query == b->has_query &&
           span_equal(a->query, b->query);
}

static bool same_head(const struct http_head *a, const struct http_head *b)
{
    if (!span_equal(a->method, b->method) || !span_equal(a->target, b->target) ||
        !same_uri(&a->uri, &b->uri) || a->minor_version != b->minor_version ||
        a->keep_alive != b->keep_alive || a->expect_continue != b->expect_continue ||
        a->upgrade_websocket != b->upgrade_websocket || a->body != b->body ||
        a->content_length != b->content_length ||
        a->authorization_count != b->authorization_count || a->dpop_count != b->dpop_count ||
        !span_equal(a->authorization, b->authorization) || !span_equal(a->dpop, b->dpop) ||
        a->fields_seen != b->fields_seen || a->headers_count != b->headers_count) {
        return false;
    }
    for (size_t i = 0; i < a->headers_count; i++) {
        if (!span_equal(a->headers[i].name, b->headers[i].name) ||
            !span_equal(a->headers[i].value, b->headers[i].value) ||
            a->headers[i].field != b->headers[i].field) {
            return false;
        }
    }
    return true;
}

static void check_same(const struct result *a, const struct result *b)
{
    check(a->status == b->status);
    if (a->status == STATUS_OK) {
        check(a->head_size == b->head_size && same_head(&a->head, &b->head));
    } else if (a->status != STATUS_AGAIN) {
        check(a->refusal.status == b->refusal.status && a->refusal.reason == b->refusal.reason);
        check(a->refusal.status >= 400 && a->refusal.status <= 505 && a->refusal.reason != NULL);
    }
}

static void check_pieces(const uint8_t *data, size_t size, size_t first, size_t every,
                         const struct result *whole)
{
    static struct result piece;
    struct http1_scan scan = {0};
    for (size_t at = first < size ? first : size;; at = size - at > every ? at + every : size) {
        step(&scan, data, at, &piece);
        if (piece.status != STATUS_AGAIN || at == size) {
            break;
        }
        free_bytes(&piece);
    }
    check_same(whole, &piece);
    free_bytes(&piece);
}

static void check_span(struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        check(span.data[i] == '\t' || (span.data[i] >= ' ' && span.data[i] != 0x7f));
    }
}

static void check_head(const struct http_head *head)
{
    check(head->method.size > 0 && head->uri.path.size > 0 && head->uri.path.data[0] == '/');
    check(head->uri.authority.size > 0 && span_equal_string(head->uri.scheme, "https"));
    check_span(head->method);
    check_span(head->uri.path);
    check_span(head->uri.query);
    check(head->headers_count <= limits.headers_max && head->minor_version <= 1);
    check(head->body != HTTP_BODY_UNTIL_CLOSE && head->content_length <= limits.body_bytes_max);
    check(!head->upgrade_websocket || head->body == HTTP_BODY_NONE);
    size_t hosts = 0, lengths = 0, codings = 0;
    for (size_t i = 0; i < head->headers_count; i++) {
        const struct http_header *header = &head->headers[i];
        check_span(header->value);
        check(header->name.size > 0 && header->field != HTTP_FIELD_DISGUISED);
        check((header->field == HTTP_FIELD_OURS) == http_field_is_ours(header->name));
        hosts += span_equal_ignore_case(header->name, SPAN_LITERAL("host"));
        lengths += span_equal_ignore_case(header->name, SPAN_LITERAL("content-length"));
        codings += span_equal_ignore_case(header->name, SPAN_LITERAL("transfer-encoding"));
    }
    check(hosts == 1 && lengths + codings <= 1);
    check((head->body == HTTP_BODY_LENGTH) == (lengths == 1));
    check((head->body == HTTP_BODY_CHUNKED) == (codings == 1));
}

static size_t write_head(const struct http_head *head, char *out, size_t capacity)
{
    struct http1_writer writer;
    http1_writer_init(&writer, out, capacity);
    http1_write_request_head(&writer, head);
    http1_write_string(&writer, "\r\n");
    check(!writer.overflow);
    return writer.size;
}

static void check_rewrite(struct http_head *head)
{
    static struct result again;
    char first[4096], second[4096];
    http_mark_dropped(head, false);
    size_t size = write_head(head, first, sizeof first);
    if (size > limits.head_bytes_max) {
        return; /* "a:b" grows by a space: over the limit the second time */
    }
    struct http1_scan scan = {0};
    step(&scan, (const uint8_t *)first, size, &again);
    check(again.status == STATUS_OK && again.head_size == size);
    check(span_equal(head->method, again.head.method) && same_uri(&head->uri, &again.head.uri));
    check(head->body == again.head.body && head->content_length == again.head.content_length);
    check(head->upgrade_websocket == again.head.upgrade_websocket);
    check(again.head.authorization_count == 0 && again.head.dpop_count == 0);
    check_head(&again.head);
    size_t kept = 0;
    for (size_t i = 0; i < again.head.headers_count; i++) {
        check(again.head.headers[i].field != HTTP_FIELD_OURS);
        kept += again.head.headers[i].field == HTTP_FIELD_OTHER;
    }
    for (size_t i = 0; i < head->headers_count; i++) {
        kept -= head->headers[i].field == HTTP_FIELD_OTHER && !head->headers[i].dropped;
    }
    check(kept == 0);
    http_mark_dropped(&again.head, false);
    check(write_head(&again.head, second, sizeof second) == size);
    check(memcmp(first, second, size) == 0);
    free_bytes(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result whole;
    struct http1_scan scan = {0};
    step(&scan, data, size, &whole);
    check_pieces(data, size, 0, 1, &whole);
    check_pieces(data, size, size / 2, size, &whole);
    check_pieces(data, size, size / 3, 7, &whole);
    for (size_t at = size > 4 ? size - 4 : 0; at < size; at++) {
        check_pieces(data, size, at, size, &whole);
    }
    if (whole.status == STATUS_OK) {
        check(whole.head_size <= size && whole.head_size <= limits.head_bytes_max);
        check_head(&whole.head);
        check_rewrite(&whole.head);
    }
    free_bytes(&whole);
    return 0;
}
