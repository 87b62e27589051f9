/* A body gives the same payload and the same verdict however its bytes come, never more than its
 * limit; and the payload, chunked again by us, gives itself. Byte 0 chooses the kind and the limit,
 * byte 1 the length or limit, byte 2 the pieces. */
#include "http/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

struct result {
    enum status status; /* STATUS_AGAIN: the bytes ended first */
    size_t consumed, payload_size;
    uint8_t *payload;
    uint64_t total;
};

static void feed(const struct http_head *head, uint64_t max, const uint8_t *data, size_t size,
                 size_t step, struct result *result)
{
    struct http1_body body;
    http1_body_init(&body, head, max);
    *result = (struct result){.status = STATUS_AGAIN, .payload = malloc(size + 1)};
    size_t end = 0;
    while (!body.done) {
        size_t piece = end - result->consumed, consumed;
        uint8_t *copy = malloc(piece > 0 ? piece : 1);
        memcpy(copy, data + result->consumed, piece);
        struct span payload;
        enum status status = http1_body_feed(&body, span_make(copy, piece), &consumed, &payload);
        if (status != STATUS_OK) {
            check(status == STATUS_MALFORMED || status == STATUS_TOO_LARGE);
            result->status = status;
            free(copy);
            break;
        }
        check(consumed <= piece && payload.size <= consumed);
        check(consumed > 0 || piece == 0 || body.done);
        memcpy(result->payload + result->payload_size, payload.data, payload.size);
        result->payload_size += payload.size;
        result->consumed += consumed;
        free(copy);
        if (consumed == piece && !body.done) {
            if (end == size) {
                break;
            }
            end = size - end > step ? end + step : size;
        }
    }
    if (body.done) {
        result->status = STATUS_OK;
    }
    result->total = body.total;
}

static void check_chunked_again(const struct result *result, size_t step)
{
    size_t capacity = result->payload_size * 20 + 8, size = 0;
    uint8_t *text = malloc(capacity);
    for (size_t at = 0; at < result->payload_size;) {
        size_t left = result->payload_size - at, piece = left < step ? left : step;
        char prefix[18];
        size_t prefix_size = http1_chunk_prefix(piece, prefix);
        memcpy(text + size, prefix, prefix_size);
        memcpy(text + size + prefix_size, result->payload + at, piece);
        memcpy(text + size + prefix_size + piece, "\r\n", 2);
        size += prefix_size + piece + 2;
        at += piece;
    }
    memcpy(text + size, "0\r\n\r\n", 5);
    size += 5;
    static struct http_head head;
    http_head_reset(&head);
    head.body = HTTP_BODY_CHUNKED;
    struct result again;
    feed(&head, 0, text, size, 3, &again);
    check(again.status == STATUS_OK && again.consumed == size);
    check(again.payload_size == result->payload_size &&
          memcmp(again.payload, result->payload, result->payload_size) == 0);
    free(again.payload);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http_body_kind kinds[] = {HTTP_BODY_CHUNKED, HTTP_BODY_CHUNKED,
                                                HTTP_BODY_LENGTH, HTTP_BODY_UNTIL_CLOSE};
    static struct http_head head;
    if (size < 3) {
        return 0;
    }
    http_head_reset(&head);
    head.body = kinds[data[0] & 3];
    head.content_length = data[1];
    uint64_t max = (data[0] & 4) != 0 ? (uint64_t)data[1] + 1 : 0;
    size_t step = (size_t)data[2] + 1;
    data += 3;
    size -= 3;
    struct result whole, bytes, pieces;
    feed(&head, max, data, size, size + 1, &whole);
    feed(&head, max, data, size, 1, &bytes);
    feed(&head, max, data, size, step, &pieces);
    check(whole.status == bytes.status && whole.status == pieces.status);
    check(max == 0 || whole.total <= max);
    check(whole.total == whole.payload_size);
    if (whole.status == STATUS_OK || whole.status == STATUS_AGAIN) {
        check(whole.consumed == bytes.consumed && whole.consumed == pieces.consumed);
        check(whole.payload_size == bytes.payload_size &&
              whole.payload_size == pieces.payload_size);
        check(memcmp(whole.payload, bytes.payload, whole.payload_size) == 0);
        check(memcmp(whole.payload, pieces.payload, whole.payload_size) == 0);
        check_chunked_again(&whole, step);
    }
    free(whole.payload);
    free(bytes.payload);
    free(pieces.payload);
    return 0;
}
