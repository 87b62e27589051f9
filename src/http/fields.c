#include "http/fields.h"

#include "http/http1.h"
#include "http/scan.h"

struct known_field {
    const char *name; /* in lower case */
    enum http_field field;
};

/* By size of the name; known_first says where each size begins. */
static const struct known_field known_fields[] = {
    {"te", HTTP_FIELD_HOP_BY_HOP},
    {"host", HTTP_FIELD_HOST},
    {"dpop", HTTP_FIELD_DPOP},
    {"expect", HTTP_FIELD_EXPECT},
    {"trailer", HTTP_FIELD_TRAILER},
    {"upgrade", HTTP_FIELD_UPGRADE},
    {"connection", HTTP_FIELD_CONNECTION},
    {"dpop-nonce", HTTP_FIELD_DPOP_NONCE},
    {"keep-alive", HTTP_FIELD_HOP_BY_HOP},
    {"authorization", HTTP_FIELD_AUTHORIZATION},
    {"content-length", HTTP_FIELD_CONTENT_LENGTH},
    {"http2-settings", HTTP_FIELD_HOP_BY_HOP},
    {"x-forwarded-for", HTTP_FIELD_OURS},
    {"proxy-connection", HTTP_FIELD_HOP_BY_HOP},
    {"transfer-encoding", HTTP_FIELD_TRANSFER_ENCODING},
    {"proxy-authenticate", HTTP_FIELD_HOP_BY_HOP},
    {"proxy-authorization", HTTP_FIELD_HOP_BY_HOP},
    {"x-forwarded-client-cert", HTTP_FIELD_OURS},
};

enum { KNOWN_SIZE_MAX = 23 };

static const uint8_t known_first[KNOWN_SIZE_MAX + 2] = {
    0, 0, 0, 1, 1, 3, 3, 4, 6, 6, 6, 9, 9, 9, 10, 12, 13, 14, 15, 16, 17, 17, 17, 17, 18,
};

/* Of every header the gate sets, all but x-forwarded-client-cert and x-forwarded-for begin so. */
static const char our_prefix[] = "x-popgate";

enum { OUR_PREFIX_SIZE = sizeof our_prefix - 1 };

/* `name` in plain bytes against `lower` in small letters, digits and '-': for those bytes setting
 * bit 5 is the lower case, and changes no other byte of them. */
static bool same_name(const uint8_t *name, const char *lower, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((name[i] | 0x20) != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

static enum http_field classify_plain(const uint8_t *name, size_t size)
{
    if (size >= OUR_PREFIX_SIZE && same_name(name, our_prefix, OUR_PREFIX_SIZE) &&
        (size == OUR_PREFIX_SIZE || name[OUR_PREFIX_SIZE] == '-')) {
        return HTTP_FIELD_OURS;
    }
    if (size > KNOWN_SIZE_MAX) {
        return HTTP_FIELD_OTHER;
    }
    for (size_t i = known_first[size]; i < known_first[size + 1]; i++) {
        if (same_name(name, known_fields[i].name, size)) {
            return known_fields[i].field;
        }
    }
    return HTTP_FIELD_OTHER;
}

/* CGI and its heirs (WSGI, PHP, Rack) hand a service HTTP_X_POPGATE_SUBJECT for "X_Popgate_Subject"
 * as for the real one, and some of them for "X.Popgate.Subject" too: every other sign is read as
 * '-'. */
static enum http_field classify_odd(struct span name)
{
    uint8_t folded[KNOWN_SIZE_MAX + 1];
    size_t size = name.size < sizeof folded ? name.size : sizeof folded;
    for (size_t i = 0; i < size; i++) {
        folded[i] = scan_is_plain(name.data[i]) ? name.data[i] : '-';
    }
    enum http_field field = classify_plain(folded, size);
    return field == HTTP_FIELD_OTHER || field == HTTP_FIELD_OURS ? field : HTTP_FIELD_DISGUISED;
}

enum http_field http_field_classify(struct span name, bool plain)
{
    return plain ? classify_plain(name.data, name.size) : classify_odd(name);
}

bool http_field_is_ours(struct span name)
{
    bool plain = scan_plain(name.data, 0, name.size) == name.size;
    return http_field_classify(name, plain) == HTTP_FIELD_OURS;
}

bool http_field_is_protected(enum http_field field)
{
    const uint32_t set = 1u << HTTP_FIELD_HOST | 1u << HTTP_FIELD_CONTENT_LENGTH |
                         1u << HTTP_FIELD_TRANSFER_ENCODING | 1u << HTTP_FIELD_AUTHORIZATION |
                         1u << HTTP_FIELD_DPOP | 1u << HTTP_FIELD_DISGUISED;
    return http_field_in(set, field);
}

bool http_trailer_is_dropped(const struct http_header *trailer)
{
    /* RFC 7230 section 4.1.2, which named the groups: request modifiers, authentication, response
     * control data, and how the payload is to be processed. */
    static const char *const never[] = {
        "age",
        "cache-control",
        "content-encoding",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expires",
        "forwarded",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "warning",
        "www-authenticate",
    };
    if (trailer->field != HTTP_FIELD_OTHER) {
        return true;
    }
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (span_equal_ignore_case(trailer->name, span_from_string(never[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- heads ---- */

void http_head_reset(struct http_head *head)
{
    memset(head, 0, offsetof(struct http_head, headers));
}

enum http_field http_head_add(struct http_head *head, struct span name, struct span value)
{
    bool plain = scan_plain(name.data, 0, name.size) == name.size;
    enum http_field field = http_field_classify(name, plain);
    http_head_append(head, name, value, field);
    http_head_note(head, field, value);
    return field;
}

/* RFC 9110 section 7.6.1: "Intermediaries MUST parse a received Connection header field before a
 * message is forwarded and, for each connection-option in this field, remove any header or trailer
 * field(s) from the message with the same name as the connection-option". */
static void drop_named(struct http_head *head, struct span options)
{
    struct span option;
    while (scan_list_next(&options, &option)) {
        for (size_t i = 0; i < head->headers_count; i++) {
            struct http_header *header = &head->headers[i];
            if (span_equal_ignore_case(header->name, option) &&
                !http_field_is_protected(header->field)) {
                header->dropped = true;
            }
        }
    }
}

void http_mark_trailers_dropped(const struct http_head *head, struct http_head *trailers)
{
    for (uint32_t i = 0; i < trailers->headers_count; i++) {
        trailers->headers[i].dropped = http_trailer_is_dropped(&trailers->headers[i]);
    }
    for (uint32_t i = 0; head != NULL && i < head->headers_count; i++) {
        if (head->headers[i].field == HTTP_FIELD_CONNECTION) {
            drop_named(trailers, head->headers[i].value);
        }
    }
}

bool http_connection_names_fields(const struct http_head *head)
{
    static const char *const known[] = {"", "close", "keep-alive", "te", "upgrade"};
    if (!http_field_in(head->fields_seen, HTTP_FIELD_CONNECTION)) {
        return false;
    }
    for (uint32_t i = 0; i < head->headers_count; i++) {
        struct span options = head->headers[i].value, option;
        bool connection = head->headers[i].field == HTTP_FIELD_CONNECTION;
        while (connection && scan_list_next(&options, &option)) {
            bool found = false;
            for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
                found = found || span_equal_ignore_case(option, span_from_string(known[k]));
            }
            if (!found) {
                return true;
            }
        }
    }
    return false;
}

void http_mark_dropped(struct http_head *head, bool forward_credentials)
{
    uint32_t set = 1u << HTTP_FIELD_CONNECTION | 1u << HTTP_FIELD_HOP_BY_HOP |
                   1u << HTTP_FIELD_TRANSFER_ENCODING | 1u << HTTP_FIELD_UPGRADE;
    if (head->body != HTTP_BODY_CHUNKED) {
        set |= 1u << HTTP_FIELD_TRAILER; /* there can be none */
    }
    if (head->method.size > 0) {
        set |= 1u << HTTP_FIELD_OURS | 1u << HTTP_FIELD_DISGUISED;
        set |= forward_credentials ? 0 : 1u << HTTP_FIELD_AUTHORIZATION | 1u << HTTP_FIELD_DPOP;
    }
    if (!head->expect_continue) {
        set |= 1u << HTTP_FIELD_EXPECT;
    }
    for (size_t i = 0; i < head->headers_count; i++) {
        struct http_header *header = &head->headers[i];
        header->dropped = http_field_in(set, header->field);
    }
    if (http_field_in(head->fields_seen, HTTP_FIELD_CONNECTION)) {
        for (size_t i = 0; i < head->headers_count; i++) {
            if (head->headers[i].field == HTTP_FIELD_CONNECTION) {
                drop_named(head, head->headers[i].value);
            }
        }
    }
}

/* ---- status codes ---- */

const char *http_status_reason(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "";
}
