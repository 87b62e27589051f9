#include "proxy/grpc.h"

static const struct http_header *find(const struct http_head *head, struct span name)
{
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (span_equal_ignore_case(head->headers[i].name, name)) {
            return &head->headers[i];
        }
    }
    return NULL;
}

bool grpc_is_request(const struct http_head *head)
{
    struct span want = SPAN_LITERAL("application/grpc");
    const struct http_header *type = find(head, SPAN_LITERAL("content-type"));
    if (type == NULL || type->value.size < want.size ||
        !span_equal_ignore_case(span_first(type->value, want.size), want)) {
        return false;
    }
    /* application/grpc-web is another protocol, with its status in the body. */
    return type->value.size == want.size || type->value.data[want.size] == '+' ||
           type->value.data[want.size] == ';';
}

unsigned grpc_status_of(uint16_t status)
{
    switch (status) {
    case 401:
        return 16;
    case 403:
        return 7;
    case 429:
    case 413:
    case 431:
        return 8;
    case 408:
    case 421:
    case 502:
    case 503:
    case 504:
        return 14;
    default:
        return 13;
    }
}

/* Timeout -> "grpc-timeout" TimeoutValue TimeoutUnit; TimeoutValue is "positive integer as ASCII
 * string of at most 8 digits" (PROTOCOL-HTTP2.md). */
bool grpc_timeout(const struct http_head *head, uint64_t *timeout_ms)
{
    const struct http_header *header = find(head, SPAN_LITERAL("grpc-timeout"));
    uint64_t number = 0;
    if (header == NULL || header->value.size < 2 || header->value.size > 9) {
        return false;
    }
    struct span digits = span_first(header->value, header->value.size - 1);
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(digits.data[i] - '0');
    }
    switch (header->value.data[digits.size]) {
    case 'H':
        number *= 3600000;
        break;
    case 'M':
        number *= 60000;
        break;
    case 'S':
        number *= 1000;
        break;
    case 'm':
        break;
    case 'u':
        number = (number + 999) / 1000;
        break;
    case 'n':
        number = (number + 999999) / 1000000;
        break;
    default:
        return false;
    }
    *timeout_ms = number > 0 ? number : 1;
    return true;
}
