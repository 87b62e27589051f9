#include "http/h2_head.h"

#include "http/fields.h"
#include "http/scan.h"

enum pseudo {
    PSEUDO_METHOD = 1,
    PSEUDO_SCHEME = 2,
    PSEUDO_PATH = 4,
    PSEUDO_AUTHORITY = 8,
    PSEUDO_STATUS = 16,
    PSEUDO_PROTOCOL = 32,
};

void h2_head_begin(struct h2_head *builder, struct http_head *head, uint8_t *text,
                   uint32_t text_capacity)
{
    *builder = (struct h2_head){.head = head, .text = text, .text_capacity = text_capacity};
    http_head_reset(head);
}

static void refuse(struct h2_head *builder, uint16_t status, const char *reason)
{
    if (builder->refusal.status == 0) {
        builder->refusal = (struct http_refusal){.status = status, .reason = reason};
    }
}

/* ---- the text ---- */

static struct span put(struct h2_head *builder, struct span bytes)
{
    struct span kept = span_make(builder->text + builder->text_size, bytes.size);
    if (bytes.size > 0) {
        memcpy(builder->text + builder->text_size, bytes.data, bytes.size);
        builder->text_size += (uint32_t)bytes.size;
    }
    return kept;
}

static void put_line(struct h2_head *builder, struct span *name, struct span *value)
{
    *name = put(builder, *name);
    put(builder, SPAN_LITERAL(": "));
    *value = put(builder, *value);
    put(builder, SPAN_LITERAL("\r\n"));
}

static void rebase(struct span *span, const uint8_t *from, const uint8_t *to)
{
    if (span->data != NULL) {
        span->data = to + (span->data - from);
    }
}

void h2_head_move(struct h2_head *builder, uint8_t *text, uint32_t text_capacity)
{
    const uint8_t *old = builder->text;
    struct http_head *head = builder->head;
    enum { MOVED = 11 };
    struct span *spans[MOVED] = {
        &builder->method, &builder->scheme,     &builder->path, &builder->authority,
        &builder->status, &builder->protocol,   &builder->host, &builder->length,
        &builder->expect, &head->authorization, &head->dpop,
    };
    memcpy(text, old, builder->text_size);
    for (size_t i = 0; i < MOVED; i++) {
        rebase(spans[i], old, text);
    }
    for (uint32_t i = 0; i < head->headers_count; i++) {
        rebase(&head->headers[i].name, old, text);
        rebase(&head->headers[i].value, old, text);
    }
    builder->text = text;
    builder->text_capacity = text_capacity;
}

/* ---- single fields ---- */

static const char *wrong_name(struct span name)
{
    bool plain;
    if (name.size == 0) {
        return "empty field name";
    }
    if (scan_token(name, name.size, &plain) != name.size) {
        return "field name is no token";
    }
    /* RFC 9113 section 8.2.1: "A field name MUST NOT contain characters in the ranges 0x00-0x20,
     * 0x41-0x5a, or 0x7f-0xff". */
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') {
            return "field name in upper case";
        }
    }
    return NULL;
}

/* RFC 9113 section 8.2.1: "A field value MUST NOT contain the zero value (ASCII NUL, 0x00), line
 * feed (ASCII LF, 0x0a), or carriage return (ASCII CR, 0x0d) at any position. A field value MUST
 * NOT start or end with an ASCII whitespace character". The other control characters are RFC
 * 9110's, and refused in HTTP/1.1 too. */
static const char *wrong_value(struct span value)
{
    if (scan_control(value.data, 0, value.size) < value.size) {
        return "control character in a field value";
    }
    if (scan_trim(value).size != value.size) {
        return "white space around a field value";
    }
    return NULL;
}

bool h2_field_is_sound(struct span name, struct span value, const char **reason)
{
    *reason = wrong_name(name);
    if (*reason == NULL) {
        *reason = wrong_value(value);
    }
    return *reason == NULL;
}

/* Counts, and says whether the limits let the field in. */
static bool within_limits(struct h2_head *builder, const struct http_limits *limits,
                          struct span name, struct span value)
{
    uint32_t headers_max = limits->headers_max < HTTP_HEADERS_MAX ? limits->headers_max
                                                                  : HTTP_HEADERS_MAX;
    size_t bytes = name.size + value.size + 32;
    builder->fields++;
    if (bytes > UINT32_MAX - builder->list_bytes) {
        builder->list_bytes = UINT32_MAX;
    } else {
        builder->list_bytes += (uint32_t)bytes;
    }
    if (builder->list_bytes > limits->head_bytes_max) {
        bool path = span_equal_string(name, ":path");
        refuse(builder, path ? 414 : 431, path ? "path over the limit" : "head over the limit");
    } else if (builder->head->headers_count >= headers_max && name.size > 0 &&
               name.data[0] != ':') {
        refuse(builder, 431, "too many headers");
        builder->refusal.too_many_headers = true;
    } else if (limits->header_bytes_max > 0 && name.size > 0 && name.data[0] != ':' &&
               name.size + value.size + 2 > limits->header_bytes_max) {
        /* As the line of HTTP/1.1 that says the same: "name: value". */
        refuse(builder, 431, "header line over the limit");
        builder->refusal.header_too_long = true;
    }
    return builder->refusal.status == 0;
}

/* ---- pseudo-header fields ---- */

static const struct {
    const char *name;
    enum pseudo bit;
} pseudo_names[] = {
    {":method", PSEUDO_METHOD},       {":scheme", PSEUDO_SCHEME}, {":path", PSEUDO_PATH},
    {":authority", PSEUDO_AUTHORITY}, {":status", PSEUDO_STATUS}, {":protocol", PSEUDO_PROTOCOL},
};

/* RFC 9113 section 8.3: "All pseudo-header fields MUST appear in a field block before all regular
 * field lines." "The same pseudo-header field name MUST NOT appear more than once in a field
 * block." "Endpoints MUST treat a request or response that contains undefined or invalid
 * pseudo-header fields as malformed". */
static void pseudo_field(struct h2_head *builder, unsigned allowed, struct span name,
                         struct span value)
{
    struct span *const places[] = {&builder->method,    &builder->scheme, &builder->path,
                                   &builder->authority, &builder->status, &builder->protocol};
    const char *reason = wrong_value(value);
    if (reason != NULL) {
        refuse(builder, 400, reason);
        return;
    }
    if (builder->regular_seen) {
        refuse(builder, 400, "pseudo-header field behind a regular one");
        return;
    }
    for (size_t i = 0; i < sizeof pseudo_names / sizeof *pseudo_names; i++) {
        if (!span_equal_string(name, pseudo_names[i].name) ||
            (allowed & pseudo_names[i].bit) == 0) {
            continue;
        }
        if ((builder->pseudo_seen & pseudo_names[i].bit) != 0) {
            refuse(builder, 400, "repeated pseudo-header field");
            return;
        }
        builder->pseudo_seen |= (uint8_t)pseudo_names[i].bit;
        *places[i] = put(builder, value);
        return;
    }
    refuse(builder, 400, "unknown pseudo-header field");
}

/* ---- regular fields ---- */

/* RFC 9113 section 8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing
 * connection-specific header fields", with the exception of TE, which "MUST NOT contain any value
 * other than "trailers"". "Any message containing connection-specific header fields MUST be treated
 * as malformed". */
static const char *connection_specific(struct span name, enum http_field field, struct span value)
{
    if (field == HTTP_FIELD_CONNECTION || field == HTTP_FIELD_TRANSFER_ENCODING ||
        field == HTTP_FIELD_UPGRADE || span_equal_string(name, "keep-alive") ||
        span_equal_string(name, "proxy-connection")) {
        return "connection-specific field";
    }
    if (span_equal_string(name, "te") && !span_equal_ignore_case(value, SPAN_LITERAL("trailers"))) {
        return "te other than trailers";
    }
    return NULL;
}

static void count_once(uint8_t *count, struct span *first, struct span value)
{
    if (*count == 0) {
        *first = value;
    }
    *count = *count < 2 ? (uint8_t)(*count + 1) : 2;
}

static void regular_field(struct h2_head *builder, struct span name, struct span value)
{
    const char *reason = NULL;
    builder->regular_seen = true;
    if (!h2_field_is_sound(name, value, &reason)) {
        refuse(builder, 400, reason);
        return;
    }
    put_line(builder, &name, &value);
    enum http_field field = http_head_add(builder->head, name, value);
    reason = connection_specific(name, field, value);
    if (reason != NULL) {
        refuse(builder, 400, reason);
        return;
    }
    switch (field) {
    case HTTP_FIELD_HOST:
        count_once(&builder->hosts, &builder->host, value);
        break;
    case HTTP_FIELD_CONTENT_LENGTH:
        count_once(&builder->lengths, &builder->length, value);
        break;
    case HTTP_FIELD_EXPECT:
        count_once(&builder->expects, &builder->expect, value);
        break;
    case HTTP_FIELD_HOP_BY_HOP:
        builder->te_trailers = builder->te_trailers || span_equal_string(name, "te");
        break;
    default:
        if (builder->cookies < 2 && span_equal_string(name, "cookie")) {
            builder->cookies++;
        }
        break;
    }
}

static bool is_pseudo(struct span name)
{
    return name.size > 0 && name.data[0] == ':';
}

void h2_head_request_field(struct h2_head *builder, const struct http_limits *limits,
                           struct span name, struct span value)
{
    if (!within_limits(builder, limits, name, value)) {
        return;
    }
    if (is_pseudo(name)) {
        const unsigned allowed = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH | PSEUDO_AUTHORITY |
                                 PSEUDO_PROTOCOL;
        pseudo_field(builder, allowed, name, value);
    } else {
        regular_field(builder, name, value);
    }
}

void h2_head_response_field(struct h2_head *builder, const struct http_limits *limits,
                            struct span name, struct span value)
{
    if (!within_limits(builder, limits, name, value)) {
        return;
    }
    if (is_pseudo(name)) {
        pseudo_field(builder, PSEUDO_STATUS, name, value);
    } else {
        regular_field(builder, name, value);
    }
}

void h2_head_trailer_field(struct h2_head *builder, const struct http_limits *limits,
                           struct span name, struct span value)
{
    if (!within_limits(builder, limits, name, value)) {
        return;
    }
    if (is_pseudo(name)) {
        refuse(builder, 400, "pseudo-header field in trailers");
        return;
    }
    regular_field(builder, name, value);
    if (builder->refusal.status == 0) {
        struct http_header *last = &builder->head->headers[builder->head->headers_count - 1];
        last->dropped = http_trailer_is_dropped(last);
    }
}

/* ---- whole requests ---- */

/* RFC 9113 section 8.3.1: "All HTTP/2 requests MUST include exactly one valid value for the
 * ":method", ":scheme", and ":path" pseudo-header fields, unless they are CONNECT requests". */
static void finish_target(struct h2_head *builder, struct span_mut out)
{
    struct http_head *head = builder->head;
    const unsigned needed = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;
    bool plain;
    if ((builder->pseudo_seen & PSEUDO_METHOD) == 0 || builder->method.size == 0 ||
        scan_token(builder->method, builder->method.size, &plain) != builder->method.size) {
        refuse(builder, 400, "method is no token");
        return;
    }
    head->method = builder->method;
    bool connects = span_equal_string(head->method, "CONNECT");
    bool protocol = (builder->pseudo_seen & PSEUDO_PROTOCOL) != 0;
    if (connects && !protocol) {
        refuse(builder, 400, "CONNECT is not served");
    } else if (protocol && !connects) {
        refuse(builder, 400, "protocol without CONNECT");
    } else if ((builder->pseudo_seen & needed) != needed) {
        refuse(builder, 400, "pseudo-header field missing");
    } else if (!span_equal_string(builder->scheme, "https")) {
        refuse(builder, 400, "scheme is not https");
    } else if (builder->path.size == 0 || builder->path.data[0] != '/') {
        refuse(builder, 400, "path does not begin with a slash");
    } else if (uri_normalise_target(builder->path, out, &head->uri) != STATUS_OK) {
        refuse(builder, 400, "path is malformed");
    }
    head->target = builder->path;
    head->uri.scheme = SPAN_LITERAL("https");
}

/* RFC 9113 section 8.3.1: "An intermediary that forwards a request over HTTP/2 MUST construct an
 * ":authority" pseudo-header field using the authority information from the control data of the
 * original request", and "A server SHOULD treat a request as malformed if it contains a Host header
 * field that identifies an entity that differs from the entity in the ":authority" pseudo-header
 * field." */
static void finish_authority(struct h2_head *builder, struct span_mut out)
{
    struct http_head *head = builder->head;
    bool named = (builder->pseudo_seen & PSEUDO_AUTHORITY) != 0;
    if (!named && builder->hosts == 0) {
        refuse(builder, 400, "no authority");
        return;
    }
    if (builder->hosts > 1) {
        refuse(builder, 400, "repeated Host");
        return;
    }
    struct span authority = named ? builder->authority : builder->host;
    if (uri_normalise_authority(authority, head->uri.scheme, out, &head->uri.authority) !=
        STATUS_OK) {
        refuse(builder, 400, "authority is malformed");
        return;
    }
    if (!named || builder->hosts == 0) {
        return;
    }
    struct span host;
    struct span_mut rest = {out.data + head->uri.authority.size,
                            out.size - head->uri.authority.size};
    if (uri_normalise_authority(builder->host, head->uri.scheme, rest, &host) != STATUS_OK ||
        !span_equal(host, head->uri.authority)) {
        refuse(builder, 400, "Host is not the authority");
    }
}

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

/* RFC 9113 section 8.1.1: "A request or response that includes message content is also malformed if
 * the value of a Content-Length header field does not equal the sum of the DATA frame payload
 * lengths that form the content". */
static void finish_length(struct h2_head *builder)
{
    struct http_head *head = builder->head;
    if (builder->lengths == 0) {
        return;
    }
    if (builder->lengths > 1) {
        refuse(builder, 400, "repeated Content-Length");
    } else if (!read_length(builder->length, &head->content_length)) {
        refuse(builder, 400, "Content-Length is not a length");
    }
    head->body = HTTP_BODY_LENGTH;
}

static void finish_body(struct h2_head *builder, const struct http_limits *limits, bool end_stream)
{
    struct http_head *head = builder->head;
    finish_length(builder);
    if (head->body == HTTP_BODY_NONE && !end_stream) {
        head->body = HTTP_BODY_CHUNKED;
    }
    if (end_stream && head->content_length > 0) {
        refuse(builder, 400, "Content-Length without content");
    }
    if (limits->body_bytes_max > 0 && head->content_length > limits->body_bytes_max) {
        refuse(builder, 413, "body over the limit");
    }
}

static void finish_expect(struct h2_head *builder, bool end_stream)
{
    if (builder->expects == 0) {
        return;
    }
    if (builder->expects > 1 ||
        !span_equal_ignore_case(builder->expect, SPAN_LITERAL("100-continue"))) {
        refuse(builder, 417, "expectation other than 100-continue");
    }
    builder->head->expect_continue = !end_stream;
}

/* RFC 8441 section 4: "A new pseudo-header field :protocol MAY be included on request HEADERS
 * indicating the desired protocol to be spoken on the tunnel created by CONNECT." "On requests that
 * contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields of the
 * target URI (see Section 5) MUST also be included." The one protocol is WebSocket. RFC 9110
 * section 9.3.6: "A CONNECT request message does not have content". */
static void finish_connect(struct h2_head *builder, bool end_stream)
{
    struct http_head *head = builder->head;
    if (!span_equal_ignore_case(builder->protocol, SPAN_LITERAL("websocket"))) {
        refuse(builder, 501, "a protocol other than websocket");
    } else if (builder->lengths > 0) {
        refuse(builder, 400, "Content-Length of a tunnel");
    } else if (end_stream) {
        refuse(builder, 400, "a tunnel that ends where it begins");
    }
    head->extended_connect = true;
    head->upgrade_websocket = true;
    head->body = HTTP_BODY_NONE;
    head->expect_continue = false;
}

/* RFC 9113 section 8.2.3: "If there are multiple Cookie header fields after decompression, these
 * MUST be concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20 [...]
 * before being passed into a non-HTTP/2 context". The first one's place takes them all. */
static void join_cookies(struct h2_head *builder, struct span_mut out)
{
    struct http_head *head = builder->head;
    struct http_header *first = NULL;
    size_t size = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < head->headers_count; i++) {
        struct http_header *header = &head->headers[i];
        if (span_equal_string(header->name, "cookie")) {
            if (first != NULL) {
                memcpy(out.data + size, "; ", 2);
                size += 2;
            }
            if (header->value.size > 0) {
                memcpy(out.data + size, header->value.data, header->value.size);
                size += header->value.size;
            }
            if (first != NULL) {
                continue;
            }
            first = &head->headers[kept];
        }
        head->headers[kept++] = *header;
    }
    if (first != NULL) {
        first->value = span_make(out.data, size);
    }
    head->headers_count = kept;
}

enum status h2_head_request_finish(struct h2_head *builder, const struct http_limits *limits,
                                   bool end_stream)
{
    struct http_head *head = builder->head;
    /* The path grows by one byte at most, authority and Host do not grow, each crumb of a cookie
     * costs fewer bytes here than as a line of its own: text_capacity + 8 holds them all. */
    struct span_mut out = {builder->text + builder->text_capacity,
                           (size_t)builder->text_capacity + 8};
    head->minor_version = 1;
    head->keep_alive = true;
    if (builder->refusal.status == 0) {
        finish_target(builder, out);
    }
    if (builder->refusal.status == 0) {
        size_t used = (size_t)(head->uri.query.data + head->uri.query.size - out.data);
        out = (struct span_mut){out.data + used, out.size - used};
        finish_authority(builder, out);
    }
    if (builder->refusal.status == 0 && http_field_in(head->fields_seen, HTTP_FIELD_DISGUISED)) {
        refuse(builder, 400, "a known header under another spelling");
    }
    if (builder->refusal.status == 0 && (builder->pseudo_seen & PSEUDO_PROTOCOL) != 0) {
        finish_connect(builder, end_stream);
    } else if (builder->refusal.status == 0) {
        finish_body(builder, limits, end_stream);
        finish_expect(builder, end_stream);
    }
    if (builder->refusal.status != 0) {
        return STATUS_MALFORMED;
    }
    head->te_trailers = builder->te_trailers;
    if (builder->cookies > 1) {
        /* Host's normalised spelling was there to be compared, and makes room: where it is the only
         * authority the text has it once, and has no room for it twice. */
        size_t used = head->uri.authority.size;
        join_cookies(builder, (struct span_mut){out.data + used, out.size - used});
    }
    return STATUS_OK;
}

/* ---- whole responses ---- */

static bool read_status(struct span text, uint16_t *status)
{
    if (text.size != 3 || text.data[0] < '1' || text.data[0] > '5') {
        return false;
    }
    *status = 0;
    for (size_t i = 0; i < 3; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *status = (uint16_t)(*status * 10 + (text.data[i] - '0'));
    }
    return true;
}

enum status h2_head_response_finish(struct h2_head *builder, struct span method, bool end_stream)
{
    struct http_head *head = builder->head;
    head->minor_version = 1;
    head->keep_alive = true;
    if (!read_status(builder->status, &head->status)) {
        refuse(builder, 502, "status is not 100 to 599");
    }
    if (head->status / 100 == 2 && span_equal_string(method, "CONNECT")) {
        /* RFC 9110 section 9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding
         * header fields received in a successful response to CONNECT." */
        head->body = HTTP_BODY_UNTIL_CLOSE;
        return builder->refusal.status == 0 ? STATUS_OK : STATUS_MALFORMED;
    }
    finish_length(builder);
    if (head->status == 101) {
        /* RFC 9113 section 8.6: "HTTP/2 removes support for the 101 (Switching Protocols)". */
        refuse(builder, 502, "101 in HTTP/2");
    } else if (head->status < 200 || head->status == 204) {
        if (head->content_length > 0 || (head->status < 200 && end_stream)) {
            refuse(builder, 502, "a body, or an end, where the status allows none");
        }
        head->body = HTTP_BODY_NONE;
    } else if (head->status == 304 || span_equal_string(method, "HEAD")) {
        head->body = HTTP_BODY_NONE;
    } else if (end_stream && head->content_length > 0) {
        refuse(builder, 502, "Content-Length without content");
    } else if (end_stream) {
        head->body = HTTP_BODY_LENGTH; /* of nothing: HTTP/1.1 must say so */
    } else if (head->body == HTTP_BODY_NONE) {
        head->body = HTTP_BODY_CHUNKED;
    }
    return builder->refusal.status == 0 ? STATUS_OK : STATUS_MALFORMED;
}
