#include "http/http1_head.h"

#include "http/fields.h"
#include "http/scan.h"

/* ---- lines ---- */

/* RFC 9112 section 2.2: "a recipient MAY recognize a single LF as a line terminator and ignore any
 * preceding CR". We do not: who does and who does not is how one request becomes two. "A recipient
 * of such a bare CR MUST consider that element to be invalid". */
enum status http1_next_line(struct http1_scan *scan, struct span bytes, struct span *line,
                            const char **reason)
{
    size_t at = scan_control(bytes.data, scan->scanned, bytes.size);
    scan->scanned = (uint32_t)at;
    if (at == bytes.size) {
        return STATUS_AGAIN;
    }
    if (bytes.data[at] != '\r') {
        *reason = bytes.data[at] == '\n' ? "bare LF" : "control character in the head";
        return STATUS_MALFORMED;
    }
    if (at + 1 == bytes.size) {
        return STATUS_AGAIN;
    }
    if (bytes.data[at + 1] != '\n') {
        *reason = "bare CR";
        return STATUS_MALFORMED;
    }
    *line = span_make(bytes.data + scan->line_start, at - scan->line_start);
    scan->line_start = scan->scanned = (uint32_t)at + 2;
    scan->lines++;
    return STATUS_OK;
}

/* ---- fields ---- */

static const char *bad_name(struct span line, size_t size)
{
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        return "folded header line";
    }
    if (size == line.size) {
        return "header line without a colon";
    }
    if (line.data[size] == ' ' || line.data[size] == '\t') {
        return "white space in or behind a header name";
    }
    return size == 0 ? "empty header name" : "header name is no token";
}

/* RFC 9112 section 5.1: "No whitespace is allowed between the field name and colon." RFC 9112
 * section 5.2: "A server that receives an obs-fold in a request message that is not within a
 * message/http container MUST either reject the message by sending a 400 (Bad Request) [...] or
 * replace each received obs-fold". Bytes above 0x7f (obs-text) pass in values, as through nginx,
 * HAProxy and Envoy; no name has them. */
enum status http1_read_field(struct span line, size_t readable, struct http_head *head,
                             struct http1_fields *fields, const char **reason)
{
    bool plain;
    size_t size = scan_token(line, readable, &plain);
    if (size == 0 || size == line.size || line.data[size] != ':') {
        *reason = bad_name(line, size);
        return STATUS_MALFORMED;
    }
    if (head == NULL) {
        return STATUS_OK;
    }
    struct span name = span_first(line, size);
    struct span value = scan_trim(span_after(line, size + 1));
    enum http_field field = http_field_classify(name, plain);
    if (field != HTTP_FIELD_OTHER) {
        if (http_field_in(head->fields_seen, field)) {
            fields->repeated |= 1u << field;
        } else {
            fields->first[field] = (uint8_t)head->headers_count;
        }
        http_head_note(head, field, value);
    }
    http_head_append(head, name, value, field);
    return STATUS_OK;
}

/* ---- Connection ---- */

static enum status read_option(struct span option, bool protect,
                               struct http1_connection *connection, const char **reason)
{
    bool plain;
    if (scan_token(option, option.size, &plain) != option.size) {
        *reason = "Connection is not a list of tokens";
        return STATUS_MALFORMED;
    }
    if (span_equal_ignore_case(option, SPAN_LITERAL("close"))) {
        connection->close = true;
    } else if (span_equal_ignore_case(option, SPAN_LITERAL("keep-alive"))) {
        connection->keep_alive = true;
    } else if (span_equal_ignore_case(option, SPAN_LITERAL("upgrade"))) {
        connection->upgrade = true;
    } else if (span_equal_ignore_case(option, SPAN_LITERAL("te"))) {
        connection->te = true;
    } else if (protect && http_field_is_protected(http_field_classify(option, plain))) {
        *reason = "Connection names a field that must not be dropped";
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static enum status read_options(struct span options, bool protect, unsigned *count,
                                struct http1_connection *connection, const char **reason)
{
    struct span option;
    while (scan_list_next(&options, &option)) {
        /* The bound is on what http_mark_dropped compares with every header, empty elements
         * included. */
        if (++*count > HTTP1_CONNECTION_OPTIONS_MAX) {
            *reason = "too many Connection options";
            return STATUS_MALFORMED;
        }
        if (option.size > 0) {
            enum status status = read_option(option, protect, connection, reason);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

enum status http1_read_connection(const struct http_head *head, bool protect,
                                  struct http1_connection *connection, const char **reason)
{
    *connection = (struct http1_connection){0};
    if (!http_field_in(head->fields_seen, HTTP_FIELD_CONNECTION)) {
        return STATUS_OK;
    }
    unsigned count = 0;
    for (size_t i = 0; i < head->headers_count; i++) {
        const struct http_header *header = &head->headers[i];
        if (header->field == HTTP_FIELD_CONNECTION) {
            enum status status = read_options(header->value, protect, &count, connection, reason);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

bool http1_upgrades_to_websocket(const struct http_head *head, const struct http1_fields *fields,
                                 const struct http1_connection *connection)
{
    return connection->upgrade && http_field_in(head->fields_seen, HTTP_FIELD_UPGRADE) &&
           !http_field_in(fields->repeated, HTTP_FIELD_UPGRADE) &&
           span_equal_ignore_case(http1_first_value(head, fields, HTTP_FIELD_UPGRADE),
                                  SPAN_LITERAL("websocket"));
}

/* ---- framing ---- */

/* A field that frames the body, alone and without a tab: some readers strip one before or behind
 * the value and some do not. */
static enum status single_framing_value(const struct http_head *head,
                                        const struct http1_fields *fields, enum http_field field,
                                        struct span *value, const char **reason)
{
    const struct http_header *header = &head->headers[fields->first[field]];
    if (http_field_in(fields->repeated, field)) {
        *reason = field == HTTP_FIELD_CONTENT_LENGTH ? "repeated Content-Length"
                                                     : "repeated Transfer-Encoding";
        return STATUS_MALFORMED;
    }
    /* From the colon to the CR that ends the line. */
    for (const uint8_t *byte = header->name.data + header->name.size; *byte != '\r'; byte++) {
        if (*byte == '\t') {
            *reason = "tab in a framing field";
            return STATUS_MALFORMED;
        }
    }
    *value = header->value;
    return STATUS_OK;
}

/* 1*DIGIT up to 2^63 - 1. Leading zeros are refused although the grammar has them: some C code
 * reads "010" as eight. */
static bool read_length(struct span value, uint64_t *length)
{
    *length = 0;
    if (value.size == 0 || value.size > 19 || (value.data[0] == '0' && value.size > 1)) {
        return false;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        *length = *length * 10 + (uint64_t)(value.data[i] - '0');
    }
    return *length <= INT64_MAX;
}

/* RFC 9112 section 6.3: "If a Transfer-Encoding header field is present in a request and the
 * chunked transfer coding is not the final encoding, the message body length cannot be determined
 * reliably; the server MUST respond with the 400". Section 6.1: "A server that receives a request
 * message with a transfer coding it does not understand SHOULD respond with 501". We understand
 * "chunked" alone. */
static enum status read_codings(struct span value, const char **reason)
{
    if (span_equal_ignore_case(value, SPAN_LITERAL("chunked"))) {
        return STATUS_OK;
    }
    struct span coding;
    while (scan_list_next(&value, &coding)) {
        bool plain, last = value.data == NULL;
        if (coding.size == 0 || scan_token(coding, coding.size, &plain) != coding.size) {
            *reason = "Transfer-Encoding is not a list of codings";
            return STATUS_MALFORMED;
        }
        if (!last && span_equal_ignore_case(coding, SPAN_LITERAL("chunked"))) {
            *reason = "chunked is not the last coding";
            return STATUS_MALFORMED;
        }
    }
    *reason = "unknown transfer coding";
    return STATUS_UNSUPPORTED;
}

enum status http1_read_framing(struct http_head *head, const struct http1_fields *fields,
                               const char **reason)
{
    bool length = http_field_in(head->fields_seen, HTTP_FIELD_CONTENT_LENGTH);
    bool coding = http_field_in(head->fields_seen, HTTP_FIELD_TRANSFER_ENCODING);
    struct span value;
    head->body = HTTP_BODY_NONE;
    if (length && coding) {
        /* RFC 9112 section 6.3: "Such a message might indicate an attempt to perform request
         * smuggling". */
        *reason = "Content-Length with Transfer-Encoding";
        return STATUS_MALFORMED;
    }
    if (length) {
        enum status status = single_framing_value(head, fields, HTTP_FIELD_CONTENT_LENGTH, &value,
                                                  reason);
        if (status == STATUS_OK && !read_length(value, &head->content_length)) {
            *reason = "Content-Length is not a length";
            return STATUS_MALFORMED;
        }
        head->body = HTTP_BODY_LENGTH;
        return status;
    }
    if (coding) {
        /* RFC 9112 section 6.1: "A server or client that receives an HTTP/1.0 message containing a
         * Transfer-Encoding header field MUST treat the message as if the framing is faulty". */
        if (head->minor_version == 0) {
            *reason = "Transfer-Encoding in HTTP/1.0";
            return STATUS_MALFORMED;
        }
        enum status status = single_framing_value(head, fields, HTTP_FIELD_TRANSFER_ENCODING,
                                                  &value, reason);
        head->body = HTTP_BODY_CHUNKED;
        return status == STATUS_OK ? read_codings(value, reason) : status;
    }
    return STATUS_OK;
}
