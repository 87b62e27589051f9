/* A response head gets the same verdict however its bytes come; what is accepted is framed in one
 * way; and written again it reads as the same. The first byte chooses the request's method and
 * whether it asked for an upgrade. */
#include "http/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {.head_bytes_max = 2048, .headers_max = 24};

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

struct request {
    struct span method;
    bool upgrade;
};

struct result {
    enum status status;
    size_t head_size;
    const char *reason;
    uint8_t *bytes;
    struct http_head head;
};

static void step(const struct request *request, struct http1_scan *scan, const uint8_t *data,
                 size_t size, struct result *result)
{
    result->bytes = malloc(size > 0 ? size : 1);
    memcpy(result->bytes, data, size);
    result->reason = NULL;
    result->status = http1_parse_response(scan, span_make(result->bytes, size), &limits,
                                          request->method, request->upgrade, &result->head,
                                          &result->head_size, &result->reason);
}

static void check_same(const struct result *a, const struct result *b)
{
    check(a->status == b->status && a->reason == b->reason);
    if (a->status != STATUS_OK) {
        check(a->status == STATUS_AGAIN || a->reason != NULL);
        return;
    }
    check(a->head_size == b->head_size && a->head.status == b->head.status &&
          a->head.body == b->head.body && a->head.content_length == b->head.content_length &&
          a->head.keep_alive == b->head.keep_alive && span_equal(a->head.reason, b->head.reason) &&
          a->head.upgrade_websocket == b->head.upgrade_websocket &&
          a->head.headers_count == b->head.headers_count);
    for (size_t i = 0; i < a->head.headers_count; i++) {
        check(span_equal(a->head.headers[i].name, b->head.headers[i].name) &&
              span_equal(a->head.headers[i].value, b->head.headers[i].value) &&
              a->head.headers[i].field == b->head.headers[i].field);
    }
}

static void check_pieces(const struct request *request, const uint8_t *data, size_t size,
                         size_t first, size_t every, const struct result *whole)
{
    static struct result piece;
    struct http1_scan scan = {0};
    for (size_t at = first < size ? first : size;; at = size - at > every ? at + every : size) {
        step(request, &scan, data, at, &piece);
        if (piece.status != STATUS_AGAIN || at == size) {
            break;
        }
        free(piece.bytes);
    }
    check_same(whole, &piece);
    free(piece.bytes);
}

static void check_head(const struct request *request, const struct http_head *head)
{
    check(head->status >= 100 && head->status <= 599 && head->method.size == 0);
    bool bodiless = head->status < 200 || head->status == 204 || head->status == 304 ||
                    span_equal_string(request->method, "HEAD");
    check(bodiless == (head->body == HTTP_BODY_NONE));
    check(head->body != HTTP_BODY_UNTIL_CLOSE || !head->keep_alive);
    check(head->status != 101 || (request->upgrade && head->upgrade_websocket));
    check(head->status == 101 || !head->upgrade_websocket);
    check(head->content_length <= INT64_MAX);
}

static void check_rewrite(const struct request *request, struct http_head *head, uint8_t minor)
{
    static struct result again;
    char text[4096];
    struct http1_writer writer;
    http_mark_dropped(head, false);
    http1_writer_init(&writer, text, sizeof text);
    http1_write_response_head(&writer, head, minor, true);
    http1_write_string(&writer, "\r\n");
    check(!writer.overflow);
    if (writer.size > limits.head_bytes_max || head->headers_count + 2 > limits.headers_max) {
        return; /* with our framing and Connection it may be over the limits the second time */
    }
    struct http1_scan scan = {0};
    step(request, &scan, (const uint8_t *)text, writer.size, &again);
    check(again.status == STATUS_OK && again.head_size == writer.size);
    check(again.head.status == head->status);
    check(again.head.body == http1_response_framing(head, minor));
    check(again.head.body != HTTP_BODY_LENGTH || again.head.content_length == head->content_length);
    check(again.head.keep_alive ==
          (head->status != 101 && again.head.body != HTTP_BODY_UNTIL_CLOSE));
    free(again.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result whole;
    if (size == 0) {
        return 0;
    }
    struct request request = {.method = (data[0] & 1) != 0 ? SPAN_LITERAL("HEAD")
                                                           : SPAN_LITERAL("GET"),
                              .upgrade = (data[0] & 2) != 0};
    data++;
    size--;
    struct http1_scan scan = {0};
    step(&request, &scan, data, size, &whole);
    check_pieces(&request, data, size, 0, 1, &whole);
    check_pieces(&request, data, size, size / 2, size, &whole);
    check_pieces(&request, data, size, size / 3, 7, &whole);
    if (whole.status == STATUS_OK) {
        check_head(&request, &whole.head);
        check_rewrite(&request, &whole.head, 1);
        check_rewrite(&request, &whole.head, 0);
    }
    free(whole.bytes);
    return 0;
}
