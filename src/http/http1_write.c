#include "http/fields.h"
#include "http/http1.h"
#include "http/scan.h"

/* ---- the writer ---- */

void http1_writer_init(struct http1_writer *writer, char *data, size_t capacity)
{
    *writer = (struct http1_writer){.data = data, .capacity = capacity};
}

/* Inline, so that words of our own, whose size is known here, are stores and no call. */
static inline void put(struct http1_writer *writer, struct span text)
{
    if (text.size > writer->capacity - writer->size) {
        writer->overflow = true;
    } else if (text.size > 0) {
        memcpy(writer->data + writer->size, text.data, text.size);
        writer->size += text.size;
    }
}

void http1_write(struct http1_writer *writer, struct span text)
{
    put(writer, text);
}

void http1_write_string(struct http1_writer *writer, const char *text)
{
    http1_write(writer, span_from_string(text));
}

void http1_write_number(struct http1_writer *writer, uint64_t number)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    http1_write(writer, span_make(digits + at, sizeof digits - at));
}

static char *append(char *out, struct span text)
{
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    return out + text.size;
}

static void write_line(struct http1_writer *writer, struct span name, struct span value)
{
    size_t room = writer->capacity - writer->size;
    if (name.size > room || value.size > room || name.size + value.size + 4 > room) {
        writer->overflow = true;
        return;
    }
    char *out = append(writer->data + writer->size, name);
    out = append(out, SPAN_LITERAL(": "));
    out = append(out, value);
    out = append(out, SPAN_LITERAL("\r\n"));
    writer->size = (size_t)(out - writer->data);
}

void http1_write_header(struct http1_writer *writer, const char *name, struct span value)
{
    if (scan_control(value.data, 0, value.size) < value.size) {
        writer->overflow = true;
        return;
    }
    write_line(writer, span_from_string(name), value);
}

/* ---- heads ---- */

/* Every field not dropped, but for those that the writer itself decides. */
static void write_fields(struct http1_writer *writer, const struct http_head *head)
{
    const uint32_t own = 1u << HTTP_FIELD_CONNECTION | 1u << HTTP_FIELD_CONTENT_LENGTH |
                         1u << HTTP_FIELD_HOST | 1u << HTTP_FIELD_TRANSFER_ENCODING |
                         1u << HTTP_FIELD_UPGRADE;
    for (size_t i = 0; i < head->headers_count; i++) {
        const struct http_header *header = &head->headers[i];
        if (!header->dropped && !http_field_in(own, header->field)) {
            write_line(writer, header->name, header->value);
        }
    }
}

static void write_framing(struct http1_writer *writer, enum http_body_kind kind, uint64_t length)
{
    if (kind == HTTP_BODY_LENGTH) {
        put(writer, SPAN_LITERAL("Content-Length: "));
        http1_write_number(writer, length);
        put(writer, SPAN_LITERAL("\r\n"));
    } else if (kind == HTTP_BODY_CHUNKED) {
        put(writer, SPAN_LITERAL("Transfer-Encoding: chunked\r\n"));
    }
}

static const struct span upgrade_lines = SPAN_LITERAL(
    "Connection: upgrade\r\nUpgrade: websocket\r\n");

void http1_write_request_head(struct http1_writer *writer, const struct http_head *head)
{
    put(writer, head->extended_connect ? SPAN_LITERAL("GET") : head->method);
    put(writer, SPAN_LITERAL(" "));
    put(writer, head->uri.path);
    if (head->uri.has_query) {
        put(writer, SPAN_LITERAL("?"));
        put(writer, head->uri.query);
    }
    put(writer, SPAN_LITERAL(" HTTP/1.1\r\n"));
    write_line(writer, SPAN_LITERAL("Host"), head->uri.authority);
    write_fields(writer, head);
    write_framing(writer, head->body, head->content_length);
    if (head->upgrade_websocket) {
        put(writer, upgrade_lines);
    } else if (head->te_trailers) {
        put(writer, SPAN_LITERAL("TE: trailers\r\nConnection: TE\r\n"));
    }
}

enum http_body_kind http1_response_framing(const struct http_head *head,
                                           uint8_t client_minor_version)
{
    if (head->body == HTTP_BODY_CHUNKED || head->body == HTTP_BODY_UNTIL_CLOSE) {
        return client_minor_version >= 1 ? HTTP_BODY_CHUNKED : HTTP_BODY_UNTIL_CLOSE;
    }
    return head->body;
}

static void write_status_line(struct http1_writer *writer, uint16_t status, struct span reason)
{
    put(writer, SPAN_LITERAL("HTTP/1.1 "));
    http1_write_number(writer, status);
    put(writer, SPAN_LITERAL(" "));
    put(writer, reason);
    put(writer, SPAN_LITERAL("\r\n"));
}

/* RFC 9112 section 9.3: HTTP/1.1 connections persist unless "close" says otherwise, HTTP/1.0 ones
 * close unless "keep-alive" does. */
static void write_persistence(struct http1_writer *writer, uint8_t client_minor_version,
                              bool keep_alive)
{
    if (!keep_alive) {
        put(writer, SPAN_LITERAL("Connection: close\r\n"));
    } else if (client_minor_version == 0) {
        put(writer, SPAN_LITERAL("Connection: keep-alive\r\n"));
    }
}

void http1_write_response_head(struct http1_writer *writer, const struct http_head *head,
                               uint8_t client_minor_version, bool keep_alive)
{
    write_status_line(writer, head->status, head->reason);
    write_fields(writer, head);
    if (head->status == 101) {
        put(writer, upgrade_lines);
    }
    if (head->status < 200) {
        return;
    }
    enum http_body_kind framing = http1_response_framing(head, client_minor_version);
    if (framing == HTTP_BODY_NONE && head->status != 204 &&
        http_field_in(head->fields_seen, HTTP_FIELD_CONTENT_LENGTH)) {
        framing = HTTP_BODY_LENGTH; /* HEAD and 304: what a GET would have got */
    }
    write_framing(writer, framing, head->content_length);
    write_persistence(writer, client_minor_version, keep_alive && framing != HTTP_BODY_UNTIL_CLOSE);
}

void http1_write_answer(struct http1_writer *writer, uint16_t status, struct span fields,
                        const char *content_type, struct span body, bool keep_alive, bool head_only)
{
    write_status_line(writer, status, span_from_string(http_status_reason(status)));
    put(writer, fields);
    if (content_type != NULL) {
        http1_write_header(writer, "Content-Type", span_from_string(content_type));
    }
    write_framing(writer, HTTP_BODY_LENGTH, body.size);
    write_persistence(writer, 1, keep_alive);
    put(writer, SPAN_LITERAL("\r\n"));
    if (!head_only) {
        put(writer, body);
    }
}

size_t http1_chunk_prefix(uint64_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = 1;
    while (count < 16 && size >> (4 * count) != 0) {
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[size >> (4 * (count - 1 - i)) & 15];
    }
    out[count] = '\r';
    out[count + 1] = '\n';
    return count + 2;
}
