#include "http/fields.h"
#include "http/http1_head.h"
#include "http/scan.h"

static enum status illegal(const char **out, const char *reason)
{
    *out = reason;
    return STATUS_MALFORMED;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* RFC 9112 section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]. The second
 * space is often forgotten where the phrase is empty, and is not asked for then. RFC 9110 section
 * 15: codes outside 100 to 599 are invalid. */
static enum status read_status_line(struct span line, struct http_head *head, const char **reason)
{
    if (line.size < 12 || !span_starts_with(line, SPAN_LITERAL("HTTP/1.")) ||
        (line.data[7] != '0' && line.data[7] != '1') || line.data[8] != ' ') {
        return illegal(reason, "status line does not begin with HTTP/1.0 or HTTP/1.1");
    }
    const uint8_t *code = line.data + 9;
    if (code[0] < '1' || code[0] > '5' || !is_digit(code[1]) || !is_digit(code[2]) ||
        (line.size > 12 && line.data[12] != ' ')) {
        return illegal(reason, "status is not 100 to 599");
    }
    head->minor_version = (uint8_t)(line.data[7] - '0');
    head->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    head->reason = line.size > 13 ? span_after(line, 13) : span_make(NULL, 0);
    return STATUS_OK;
}

/* RFC 9112 section 6.3, the message body's length, cases 1, 3 to 5, 6 and 8. */
static enum status finish_body(struct http_head *head, const struct http1_fields *fields,
                               struct span method, const char **reason)
{
    enum status status = http1_read_framing(head, fields, reason);
    if (status != STATUS_OK) {
        return status;
    }
    if (head->status < 200 || head->status == 204) {
        /* RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any
         * response with a status code of 1xx or 204"; the same for Transfer-Encoding (RFC 9112
         * section 6.1). A zero does no harm and is seen. */
        if (head->body == HTTP_BODY_CHUNKED || head->content_length > 0) {
            return illegal(reason, "a body where the status allows none");
        }
        head->body = HTTP_BODY_NONE;
    } else if (head->status == 304 || span_equal_string(method, "HEAD")) {
        head->body = HTTP_BODY_NONE; /* Content-Length says what a GET would have got */
    } else if (head->body == HTTP_BODY_NONE) {
        head->body = HTTP_BODY_UNTIL_CLOSE;
    }
    return STATUS_OK;
}

static enum status finish(struct http_head *head, const struct http1_fields *fields,
                          struct span method, bool upgrade_requested, const char **reason)
{
    struct http1_connection connection;
    enum status status = finish_body(head, fields, method, reason);
    if (status == STATUS_OK) {
        status = http1_read_connection(head, false, &connection, reason);
    }
    if (status != STATUS_OK) {
        return status;
    }
    head->keep_alive = !connection.close && (head->minor_version == 1 || connection.keep_alive) &&
                       head->body != HTTP_BODY_UNTIL_CLOSE;
    if (head->status == 101) {
        if (!upgrade_requested) {
            return illegal(reason, "101 that nobody asked for");
        }
        if (!http1_upgrades_to_websocket(head, fields, &connection)) {
            return illegal(reason, "101 to another protocol than was asked for");
        }
        head->upgrade_websocket = true;
        head->keep_alive = false;
    }
    return STATUS_OK;
}

static enum status read_lines(struct http1_scan *scan, struct span bytes,
                              const struct http_limits *limits, bool fresh, struct http_head *head,
                              struct http1_fields *fields, const char **reason)
{
    uint32_t headers_max = limits->headers_max < HTTP_HEADERS_MAX ? limits->headers_max
                                                                  : HTTP_HEADERS_MAX;
    for (;;) {
        struct span line;
        enum status status = http1_next_line(scan, bytes, &line, reason);
        if (status == STATUS_AGAIN && bytes.size >= limits->head_bytes_max) {
            *reason = "head over the limit";
            return STATUS_TOO_LARGE;
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (scan->lines == 1) {
            status = read_status_line(line, head, reason);
        } else if (line.size == 0) {
            return STATUS_OK;
        } else if (scan->lines - 1 > headers_max) {
            *reason = "too many headers";
            return STATUS_TOO_LARGE;
        } else {
            size_t readable = (size_t)(bytes.data + bytes.size - line.data);
            status = http1_read_field(line, readable, fresh ? head : NULL, fields, reason);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
}

enum status http1_parse_response(struct http1_scan *scan, struct span bytes,
                                 const struct http_limits *limits, struct span method,
                                 bool upgrade_requested, struct http_head *head, size_t *head_size,
                                 const char **reason)
{
    struct http1_fields fields;
    bool fresh = scan->line_start == 0;
    if (bytes.size > limits->head_bytes_max) {
        bytes = span_first(bytes, limits->head_bytes_max);
    }
    for (;;) {
        http_head_reset(head);
        fields = (struct http1_fields){0};
        enum status status = read_lines(scan, bytes, limits, fresh, head, &fields, reason);
        if (status != STATUS_OK) {
            return status;
        }
        if (fresh) {
            break;
        }
        *scan = (struct http1_scan){0}; /* it came in pieces: once more, whole */
        fresh = true;
    }
    *head_size = scan->line_start;
    return finish(head, &fields, method, upgrade_requested, reason);
}
