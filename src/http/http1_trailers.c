/* Trailer sections of chunked bodies (RFC 9112 section 7.1.2): read whole, and written. */
#include "http/http1_head.h"

enum status http1_read_trailers(struct span text, struct http_head *trailers)
{
    struct http1_scan scan = {0};
    struct http1_fields fields = {0};
    http_head_reset(trailers);
    for (;;) {
        struct span line;
        const char *reason = NULL;
        enum status status = http1_next_line(&scan, text, &line, &reason);
        if (status != STATUS_OK) {
            return STATUS_MALFORMED;
        }
        if (line.size == 0) {
            return STATUS_OK;
        }
        if (trailers->headers_count == HTTP1_TRAILERS_MAX) {
            return STATUS_MALFORMED;
        }
        size_t readable = (size_t)(text.data + text.size - line.data);
        status = http1_read_field(line, readable, trailers, &fields, &reason);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

void http1_write_trailers(struct http1_writer *writer, const struct http_head *trailers)
{
    for (uint32_t i = 0; i < trailers->headers_count; i++) {
        const struct http_header *trailer = &trailers->headers[i];
        if (!trailer->dropped) {
            http1_write(writer, trailer->name);
            http1_write(writer, SPAN_LITERAL(": "));
            http1_write(writer, trailer->value);
            http1_write(writer, SPAN_LITERAL("\r\n"));
        }
    }
}
