#include "proxy/h2_fields.h"

void h2_fields_add(struct h2_fields *fields, struct span name, struct span value)
{
    if (fields->count < H2_FIELDS_MAX) {
        fields->list[fields->count++] = (struct h2_field){name, value};
    }
}

void h2_fields_add_lines(struct h2_fields *fields, struct span lines)
{
    while (lines.size > 0) {
        size_t end = span_find(lines, '\n');
        struct span line = span_first(lines, end > 0 ? end - 1 : 0);
        lines = span_after(lines, end < lines.size ? end + 1 : end);
        size_t colon = span_find(line, ':');
        if (colon > 0 && colon + 2 <= line.size) {
            h2_fields_add(fields, span_first(line, colon), span_after(line, colon + 2));
        }
    }
}

enum status h2_fields_keep(struct buffer *buffer, const struct http_head *trailers)
{
    size_t size = 0;
    for (uint32_t i = 0; i < trailers->headers_count; i++) {
        const struct http_header *header = &trailers->headers[i];
        size += header->dropped ? 0 : header->name.size + header->value.size + 4;
    }
    if (size > buffer->pool->chunk_bytes) {
        return STATUS_TOO_LARGE;
    }
    for (uint32_t i = 0; i < trailers->headers_count; i++) {
        const struct http_header *header = &trailers->headers[i];
        if (header->dropped) {
            continue;
        }
        const struct span parts[] = {header->name, SPAN_LITERAL(": "), header->value,
                                     SPAN_LITERAL("\r\n")};
        for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
            if (buffer_append(buffer, parts[part]) != STATUS_OK) {
                buffer_clear(buffer);
                return STATUS_FULL;
            }
        }
    }
    return STATUS_OK;
}

struct span h2_fields_kept(const struct buffer *buffer)
{
    struct span lines = {NULL, 0};
    return buffer_peek(buffer, &lines, 1) == 1 ? lines : span_make(NULL, 0);
}
