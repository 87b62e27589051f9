/* Feeding heads in pieces, and heads as text: what the tests of this folder share. */
#ifndef POPGATE_TESTS_HTTP_SUPPORT_H
#define POPGATE_TESTS_HTTP_SUPPORT_H

#include "http/http1.h"

#include <stdio.h>
#include <stdlib.h>

enum { DUMP_BYTES = 16384 };

struct verdict {
    enum status status;
    uint16_t refusal; /* requests */
    const char *reason;
    size_t head_size;
    char dump[DUMP_BYTES]; /* of the head, when status is STATUS_OK */
};

static inline size_t dump_add(char *dump, size_t at, const char *name, struct span value)
{
    int size = snprintf(dump + at, DUMP_BYTES - at, "%s=%.*s\n", name, SPAN_ARG(value));
    return at + (size_t)size < DUMP_BYTES ? at + (size_t)size : DUMP_BYTES - 1;
}

static inline void dump_head(const struct http_head *head, char *dump)
{
    size_t at = 0;
    at = dump_add(dump, at, "method", head->method);
    at = dump_add(dump, at, "target", head->target);
    at = dump_add(dump, at, "scheme", head->uri.scheme);
    at = dump_add(dump, at, "authority", head->uri.authority);
    at = dump_add(dump, at, "path", head->uri.path);
    at = dump_add(dump, at, "query", head->uri.query);
    at = dump_add(dump, at, "reason", head->reason);
    at = dump_add(dump, at, "authorization", head->authorization);
    at = dump_add(dump, at, "dpop", head->dpop);
    char numbers[160];
    snprintf(numbers, sizeof numbers, "%u %u %u %u %u %u %u %llu %u %u %u %x", head->status,
             head->minor_version, head->uri.has_query, head->keep_alive, head->expect_continue,
             head->upgrade_websocket, head->body, (unsigned long long)head->content_length,
             head->authorization_count, head->dpop_count, head->headers_count, head->fields_seen);
    at = dump_add(dump, at, "numbers", span_from_string(numbers));
    for (size_t i = 0; i < head->headers_count; i++) {
        const struct http_header *header = &head->headers[i];
        char name[80];
        snprintf(name, sizeof name, "%u/%u %.*s", header->field, header->dropped,
                 SPAN_ARG(header->name));
        at = dump_add(dump, at, name, header->value);
    }
}

static inline bool same_verdict(const struct verdict *a, const struct verdict *b)
{
    if (a->status != b->status) {
        return false;
    }
    if (a->status == STATUS_OK) {
        return a->head_size == b->head_size && strcmp(a->dump, b->dump) == 0;
    }
    return a->status == STATUS_AGAIN || (a->refusal == b->refusal && a->reason == b->reason);
}

/* One call, on memory that ends with the bytes and is somewhere else at every call; the head before
 * it is garbage. */
static inline void request_step(struct http1_scan *scan, struct span bytes,
                                const struct http_limits *limits, struct verdict *verdict)
{
    uint8_t *copy = malloc(bytes.size + 1);
    memcpy(copy, bytes.data, bytes.size);
    struct span_mut out = {malloc(limits->head_bytes_max + 8), limits->head_bytes_max + 8};
    struct http_head *head = malloc(sizeof *head);
    memset(head, 0xa5, sizeof *head);
    struct http_refusal refusal = {0, NULL};
    verdict->head_size = 0;
    verdict->status = http1_parse_request(scan, span_make(copy, bytes.size), limits, out, head,
                                          &verdict->head_size, &refusal);
    verdict->refusal = refusal.status;
    verdict->reason = refusal.reason;
    if (verdict->status == STATUS_OK) {
        dump_head(head, verdict->dump);
    }
    free(head);
    free(out.data);
    free(copy);
}

static inline void response_step(struct http1_scan *scan, struct span bytes,
                                 const struct http_limits *limits, struct span method, bool upgrade,
                                 struct verdict *verdict)
{
    uint8_t *copy = malloc(bytes.size + 1);
    memcpy(copy, bytes.data, bytes.size);
    struct http_head *head = malloc(sizeof *head);
    memset(head, 0xa5, sizeof *head);
    verdict->reason = NULL;
    verdict->refusal = 0;
    verdict->status = http1_parse_response(scan, span_make(copy, bytes.size), limits, method,
                                           upgrade, head, &verdict->head_size, &verdict->reason);
    if (verdict->status == STATUS_OK) {
        dump_head(head, verdict->dump);
    }
    free(head);
    free(copy);
}

#endif
