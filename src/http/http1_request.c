#include "http/fields.h"
#include "http/http1_head.h"
#include "http/scan.h"

/* One call's view of a request head. */
struct parser {
    struct http1_scan *scan;
    struct span bytes; /* at most head_bytes_max */
    const struct http_limits *limits;
    struct span_mut out;
    size_t out_size;
    struct http_head *head;
    struct http1_fields fields;
    struct span absolute; /* the authority of an absolute-form target, normalised */
    struct http_refusal *refusal;
    bool fresh; /* the whole head is before us: fill it. Else only check what is new */
};

static enum status refuse(struct parser *parser, uint16_t status, const char *reason)
{
    *parser->refusal = (struct http_refusal){.status = status, .reason = reason};
    switch (status) {
    case 400:
        return STATUS_MALFORMED;
    case 413:
    case 414:
    case 431:
        return STATUS_TOO_LARGE;
    default:
        return STATUS_UNSUPPORTED;
    }
}

/* ---- the request line ---- */

/* RFC 9112 section 2.3: HTTP-version = HTTP-name "/" DIGIT "." DIGIT, in capitals. */
static enum status read_version(struct parser *parser, struct span version)
{
    if (span_equal_string(version, "HTTP/1.1")) {
        parser->head->minor_version = 1;
        return STATUS_OK;
    }
    if (span_equal_string(version, "HTTP/1.0")) {
        parser->head->minor_version = 0;
        return STATUS_OK;
    }
    if (version.size == 8 && span_starts_with(version, SPAN_LITERAL("HTTP/")) &&
        version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
        version.data[7] >= '0' && version.data[7] <= '9') {
        return refuse(parser, 505, "HTTP version other than 1.0 and 1.1");
    }
    return refuse(parser, 400, "request line does not end in an HTTP version");
}

/* RFC 9112 section 3.2.2: a server MUST accept the absolute-form. It is taken as the origin-form it
 * contains; finish_host compares its authority with Host. */
static enum status read_absolute_form(struct parser *parser, struct span target)
{
    struct http_head *head = parser->head;
    if (span_find(target, '#') < target.size) {
        return refuse(parser, 400, "fragment in the request target");
    }
    if (uri_normalise(target, parser->out, &head->uri) != STATUS_OK) {
        return refuse(parser, 400, "request target is no URI we serve");
    }
    if (!span_equal_string(head->uri.scheme, "https")) {
        return refuse(parser, 400, "request target is not https");
    }
    /* "OPTIONS https://host" stands for "OPTIONS *" (RFC 9112 section 3.2.4), which we do not
     * serve. */
    if (span_equal_string(parser->head->method, "OPTIONS") &&
        span_find(span_after(target, sizeof "https://" - 1), '/') ==
            target.size - (sizeof "https://" - 1)) {
        return refuse(parser, 400, "asterisk-form");
    }
    parser->absolute = head->uri.authority;
    return STATUS_OK;
}

static enum status read_target(struct parser *parser, struct span target)
{
    struct http_head *head = parser->head;
    head->target = target;
    if (span_equal_string(head->method, "CONNECT")) {
        return refuse(parser, 400, "CONNECT is not served");
    }
    if (target.size == 0) {
        return refuse(parser, 400, "request line without a target");
    }
    if (target.data[0] == '/') {
        if (uri_normalise_target(target, parser->out, &head->uri) != STATUS_OK) {
            return refuse(parser, 400, "request target is malformed");
        }
    } else if (span_equal_string(target, "*")) {
        return refuse(parser, 400, "asterisk-form");
    } else {
        enum status status = read_absolute_form(parser, target);
        if (status != STATUS_OK) {
            return status;
        }
    }
    head->uri.scheme = SPAN_LITERAL("https");
    parser->out_size = (size_t)(head->uri.query.data + head->uri.query.size - parser->out.data);
    return STATUS_OK;
}

/* RFC 9112 section 3: request-line = method SP request-target SP HTTP-version. "Recipients [...]
 * MAY instead parse on whitespace-delimited word boundaries": we do not. */
static enum status read_request_line(struct parser *parser, struct span line)
{
    bool plain;
    size_t method = scan_token(line, line.size, &plain);
    if (method == 0) {
        return refuse(parser, 400, "request line does not begin with a method");
    }
    if (method == line.size || line.data[method] != ' ') {
        return refuse(parser, 400, "method is no token");
    }
    parser->head->method = span_first(line, method);
    struct span rest = span_after(line, method + 1);
    size_t target = span_find(rest, ' ');
    if (target == rest.size) {
        return refuse(parser, 400, "request line without an HTTP version");
    }
    enum status status = read_version(parser, span_after(rest, target + 1));
    return status == STATUS_OK ? read_target(parser, span_first(rest, target)) : status;
}

/* ---- what the fields say ---- */

/* RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
 * request message that lacks a Host header field and to any request message that contains more than
 * one Host header field line or a Host header field with an invalid field value." We want it in
 * HTTP/1.0 too: without it nobody knows what htu to expect. */
static enum status finish_host(struct parser *parser)
{
    struct http_head *head = parser->head;
    if (!http_field_in(head->fields_seen, HTTP_FIELD_HOST)) {
        return refuse(parser, 400, "no Host");
    }
    if (http_field_in(parser->fields.repeated, HTTP_FIELD_HOST)) {
        return refuse(parser, 400, "repeated Host");
    }
    struct span host = http1_first_value(head, &parser->fields, HTTP_FIELD_HOST);
    struct span_mut out = {parser->out.data + parser->out_size,
                           parser->out.size - parser->out_size};
    if (uri_normalise_authority(host, head->uri.scheme, out, &head->uri.authority) != STATUS_OK) {
        return refuse(parser, 400, "Host is malformed");
    }
    if (parser->absolute.size > 0 && !span_equal(parser->absolute, head->uri.authority)) {
        return refuse(parser, 400, "Host is not the request target's");
    }
    return STATUS_OK;
}

static enum status finish_body(struct parser *parser)
{
    struct http_head *head = parser->head;
    const char *reason = NULL;
    enum status status = http1_read_framing(head, &parser->fields, &reason);
    if (status != STATUS_OK) {
        return refuse(parser, status == STATUS_UNSUPPORTED ? 501 : 400, reason);
    }
    if (parser->limits->body_bytes_max > 0 &&
        head->content_length > parser->limits->body_bytes_max) {
        return refuse(parser, 413, "body over the limit");
    }
    return STATUS_OK;
}

/* RFC 9110 section 10.1.1: "A server that receives an Expect field value containing a member other
 * than 100-continue MAY respond with a 417". "A server that receives a 100-continue expectation in
 * an HTTP/1.0 request MUST ignore that expectation." Where there is no content there is nothing to
 * wait with. */
static enum status finish_expect(struct parser *parser)
{
    struct http_head *head = parser->head;
    if (!http_field_in(head->fields_seen, HTTP_FIELD_EXPECT)) {
        return STATUS_OK;
    }
    struct span expect = http1_first_value(head, &parser->fields, HTTP_FIELD_EXPECT);
    if (http_field_in(parser->fields.repeated, HTTP_FIELD_EXPECT) ||
        !span_equal_ignore_case(expect, SPAN_LITERAL("100-continue"))) {
        return refuse(parser, 417, "expectation other than 100-continue");
    }
    head->expect_continue = head->minor_version == 1 &&
                            (head->body == HTTP_BODY_CHUNKED || head->content_length > 0);
    return STATUS_OK;
}

/* RFC 9110 section 10.1.4: "A sender of TE MUST also send a "TE" connection option within the
 * Connection header field": without it the field is somebody else's, who forgot to take it out. */
static bool takes_trailers(const struct http_head *head, const struct http1_connection *connection)
{
    for (uint32_t i = 0; connection->te && i < head->headers_count; i++) {
        struct span list = head->headers[i].value, coding;
        if (!span_equal_ignore_case(head->headers[i].name, SPAN_LITERAL("te"))) {
            continue;
        }
        while (scan_list_next(&list, &coding)) {
            if (span_equal_ignore_case(coding, SPAN_LITERAL("trailers"))) {
                return true;
            }
        }
    }
    return false;
}

static enum status finish_connection(struct parser *parser)
{
    struct http_head *head = parser->head;
    struct http1_connection connection;
    const char *reason = NULL;
    if (http1_read_connection(head, true, &connection, &reason) != STATUS_OK) {
        return refuse(parser, 400, reason);
    }
    head->keep_alive = !connection.close && (head->minor_version == 1 || connection.keep_alive);
    head->te_trailers = takes_trailers(head, &connection);
    head->upgrade_websocket = head->minor_version == 1 && head->body == HTTP_BODY_NONE &&
                              span_equal_string(head->method, "GET") &&
                              http1_upgrades_to_websocket(head, &parser->fields, &connection);
    return STATUS_OK;
}

static enum status finish(struct parser *parser)
{
    if (http_field_in(parser->head->fields_seen, HTTP_FIELD_DISGUISED)) {
        return refuse(parser, 400, "a known header under another spelling");
    }
    enum status status = finish_host(parser);
    if (status == STATUS_OK) {
        status = finish_body(parser);
    }
    if (status == STATUS_OK) {
        status = finish_connection(parser);
    }
    return status == STATUS_OK ? finish_expect(parser) : status;
}

/* ---- the head ---- */

static enum status header_too_long(struct parser *parser)
{
    enum status status = refuse(parser, 431, "header line over the limit");
    parser->refusal->header_too_long = true;
    return status;
}

/* The line that http1_next_line was about, whole (`line`) or not: it is over the limit whichever
 * way its bytes come, and whatever comes behind the byte that is one too many. */
static bool is_too_long(const struct parser *parser, enum status status, struct span line)
{
    const struct http1_scan *scan = parser->scan;
    uint32_t most = parser->limits->header_bytes_max, before = scan->lines;
    size_t size = scan->scanned - scan->line_start;
    if (status == STATUS_OK) {
        size = line.size;
        before--;
    }
    return most > 0 && before > 0 && size > most;
}

static enum status out_of_bytes(struct parser *parser)
{
    if (parser->bytes.size < parser->limits->head_bytes_max) {
        return STATUS_AGAIN;
    }
    return parser->scan->lines == 0 ? refuse(parser, 414, "request line over the limit")
                                    : refuse(parser, 431, "head over the limit");
}

static enum status read_field(struct parser *parser, struct span line)
{
    uint32_t headers_max = parser->limits->headers_max < HTTP_HEADERS_MAX
                               ? parser->limits->headers_max
                               : HTTP_HEADERS_MAX;
    if (parser->scan->lines - 1 > headers_max) {
        enum status status = refuse(parser, 431, "too many headers");
        parser->refusal->too_many_headers = true;
        return status;
    }
    const char *reason = NULL;
    size_t readable = (size_t)(parser->bytes.data + parser->bytes.size - line.data);
    if (http1_read_field(line, readable, parser->fresh ? parser->head : NULL, &parser->fields,
                         &reason) != STATUS_OK) {
        return refuse(parser, 400, reason);
    }
    return STATUS_OK;
}

/* Lines in order, each judged as soon as it is whole, so that the verdict is the same however the
 * bytes came. */
static enum status read_lines(struct parser *parser)
{
    struct http1_scan *scan = parser->scan;
    for (;;) {
        struct span line = {0};
        const char *reason = NULL;
        enum status status = http1_next_line(scan, parser->bytes, &line, &reason);
        if (is_too_long(parser, status, line)) {
            return header_too_long(parser);
        }
        if (status == STATUS_AGAIN) {
            return out_of_bytes(parser);
        }
        if (status != STATUS_OK) {
            return refuse(parser, 400, reason);
        }
        if (scan->lines > 1) {
            if (line.size == 0) {
                return STATUS_OK;
            }
            status = read_field(parser, line);
        } else if (line.size == 0 && !scan->blank_skipped) {
            /* RFC 9112 section 2.2: "a server [...] SHOULD ignore at least one empty line (CRLF)
             * received prior to the request-line." */
            scan->blank_skipped = true;
            scan->lines = 0;
        } else {
            status = read_request_line(parser, line);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
}

enum status http1_parse_request(struct http1_scan *scan, struct span bytes,
                                const struct http_limits *limits, struct span_mut target_out,
                                struct http_head *head, size_t *head_size,
                                struct http_refusal *refusal)
{
    struct parser parser;
    parser.scan = scan;
    parser.bytes = bytes.size <= limits->head_bytes_max ? bytes
                                                        : span_first(bytes, limits->head_bytes_max);
    parser.limits = limits;
    parser.out = target_out;
    parser.out_size = 0;
    parser.head = head;
    parser.refusal = refusal;
    parser.fresh = scan->line_start == 0;
    for (;;) {
        http_head_reset(head);
        parser.fields = (struct http1_fields){0};
        parser.absolute = span_make(NULL, 0);
        enum status status = read_lines(&parser);
        if (status != STATUS_OK) {
            return status;
        }
        if (parser.fresh) {
            break;
        }
        /* The head came in pieces, and earlier spans may point where the bytes no longer are: once
         * more, whole. */
        *scan = (struct http1_scan){0};
        parser.fresh = true;
    }
    *head_size = scan->line_start;
    return finish(&parser);
}
