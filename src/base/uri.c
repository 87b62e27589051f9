#include "base/uri.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <stdbool.h>

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* 0 to 15, or 16 for what is no hexadecimal digit. */
static unsigned hex_value(uint8_t byte)
{
    if (is_digit(byte)) {
        return byte - (unsigned)'0';
    }
    uint8_t letter = (uint8_t)(byte | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - (unsigned)'a' + 10 : 16;
}

/* Reads the escape whose '%' is at text.data[at]. */
static bool read_escape(struct span text, size_t at, uint8_t *byte)
{
    if (text.size - at < 3) {
        return false;
    }
    unsigned high = hex_value(text.data[at + 1]);
    unsigned low = hex_value(text.data[at + 2]);
    *byte = (uint8_t)(high << 4 | low);
    return high < 16 && low < 16;
}

/* ---- authority ---- */

/* "[" IPv6address "]" at the start of `text`: its size with the brackets, 0 if it is none. A zone
 * or a future version's address is refused: nobody's certificate or origin can name one. */
static size_t ip_literal_size(struct span text)
{
    char address[INET6_ADDRSTRLEN];
    size_t close = span_find(text, ']');
    if (close == text.size || close - 1 >= sizeof address) {
        return 0;
    }
    memcpy(address, text.data + 1, close - 1);
    address[close - 1] = '\0';
    struct in6_addr parsed;
    /* A NUL inside would end what inet_pton sees before it ends what we copy. */
    if (strlen(address) != close - 1 || inet_pton(AF_INET6, address, &parsed) != 1) {
        return 0;
    }
    return close + 1;
}

/* Writes the name that `host` spells. RFC 3986 would also allow sub-delims and other escapes; no
 * host has them, and a comma or a semicolon in Host is how two parsers are made to differ. An empty
 * label, and so a trailing dot, is refused: "a.example." is the same host under another name. */
static bool normalise_name(struct span host, bool escapes, uint8_t *out, size_t *out_size)
{
    size_t size = 0;
    uint8_t before = '.';
    for (size_t i = 0; i < host.size; i++) {
        uint8_t byte = host.data[i];
        if (byte == '%') {
            if (!escapes || !read_escape(host, i, &byte)) {
                return false;
            }
            i += 2;
        }
        if (!byte_is(byte, BYTE_UNRESERVED) || (byte == '.' && before == '.')) {
            return false;
        }
        before = byte;
        out[size++] = lower(byte);
    }
    *out_size = size;
    return before != '.' && size <= URI_HOST_BYTES_MAX;
}

/* The digits behind the colon. RFC 3986 section 6.2.3: "http://example.com:/" is
 * "http://example.com/", so no digit at all is the default port. Zero and leading zeros are
 * refused: they are names for nothing, or second names. */
static bool read_port(struct span digits, uint32_t *port)
{
    *port = 0;
    if (digits.size == 0) {
        return true;
    }
    if (digits.size > 5 || digits.data[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < digits.size; i++) {
        if (!is_digit(digits.data[i])) {
            return false;
        }
        *port = *port * 10 + (uint32_t)(digits.data[i] - '0');
    }
    return *port <= 65535;
}

static enum status normalise_authority(struct span text, uint32_t default_port, bool escapes,
                                       uint8_t *out, size_t *out_size)
{
    size_t host_in, host_out;
    if (text.size > 0 && text.data[0] == '[') {
        host_in = host_out = ip_literal_size(text);
        if (host_in == 0) {
            return STATUS_MALFORMED;
        }
        for (size_t i = 0; i < host_in; i++) {
            out[i] = lower(text.data[i]);
        }
    } else {
        host_in = span_find(text, ':');
        if (!normalise_name(span_first(text, host_in), escapes, out, &host_out)) {
            return STATUS_MALFORMED;
        }
    }
    *out_size = host_out;
    if (host_in == text.size) {
        return STATUS_OK;
    }
    uint32_t port;
    struct span rest = span_after(text, host_in);
    if (rest.data[0] != ':' || !read_port(span_after(rest, 1), &port)) {
        return STATUS_MALFORMED;
    }
    if (port != 0 && port != default_port) {
        memcpy(out + host_out, rest.data, rest.size);
        *out_size += rest.size;
    }
    return STATUS_OK;
}

/* ---- path and query ---- */

/* RFC 3986 section 5.2.4 on the segment out[start, end), which follows a "/". Returns where the
 * output now ends: `end` if it was no dot segment, else just behind the "/" that stays. */
static size_t finish_segment(const uint8_t *out, size_t start, size_t end)
{
    if (end == start + 1 && out[start] == '.') {
        return start;
    }
    if (end == start + 2 && out[start] == '.' && out[start + 1] == '.') {
        size_t at = start > 1 ? start - 1 : 1;
        while (out[at - 1] != '/') {
            at--;
        }
        return at;
    }
    return end;
}

/* The size of the escaped separator at out[at], written as write_escape does; 0 if there is none.
 */
static size_t escaped_separator(const uint8_t *out, size_t at, size_t end)
{
    bool separator = end - at >= 3 &&
                     (memcmp(out + at, "%2F", 3) == 0 || memcmp(out + at, "%5C", 3) == 0);
    return separator ? 3 : 0;
}

/* Whether out[start, end), what stands between two separators, is "." or ".." but for a parameter
 * behind ";". */
static bool is_dots(const uint8_t *out, size_t start, size_t end)
{
    size_t dots = 0;
    while (start + dots < end && out[start + dots] == '.') {
        dots++;
    }
    size_t rest = end - start - dots;
    return (dots == 1 || dots == 2) && (rest == 0 || out[start + dots] == ';' ||
                                        (rest >= 3 && memcmp(out + start + dots, "%3B", 3) == 0));
}

/* "..%2Fadmin" and "..;/admin" are no dot segments to RFC 3986 and climb in the services that
 * decode or cut before they look (Tomcat, Spring, some of everything behind CGI). What a policy was
 * asked about is then not what is served, and no honest client writes this. The segment is no plain
 * dot segment: finish_segment has seen to those. */
static bool hides_dot_segment(const uint8_t *out, size_t start, size_t end)
{
    for (size_t at = start; at < end;) {
        size_t separator = escaped_separator(out, at, end);
        if (separator == 0) {
            at++;
            continue;
        }
        if (is_dots(out, start, at)) {
            return true;
        }
        at += separator;
        start = at;
    }
    return is_dots(out, start, end);
}

static size_t write_escape(uint8_t *out, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = (uint8_t)digits[byte >> 4];
    out[2] = (uint8_t)digits[byte & 15];
    return 3;
}

/* Escapes are decoded before dot segments are removed, so that "%2e%2e" climbs here and not behind
 * us. "%00" is refused as nginx does: it ends a file name in half of all services. */
static bool normalise_path(struct span path, uint8_t *out, size_t *out_size)
{
    size_t size = 1, start = 1;
    bool escaped = false; /* in this segment something stayed an escape */
    out[0] = '/';
    for (size_t i = 1; i < path.size; i++) {
        uint8_t byte = path.data[i];
        if (byte == '/') {
            size_t end = finish_segment(out, start, size);
            if (end == size) {
                if ((escaped || (size > start && out[start] == '.')) &&
                    hides_dot_segment(out, start, size)) {
                    return false;
                }
                out[end++] = '/';
            }
            start = size = end;
            escaped = false;
        } else if (byte_is(byte, BYTE_PATH)) {
            out[size++] = byte;
        } else if (byte != '%' || !read_escape(path, i, &byte) || byte == 0) {
            return false;
        } else {
            i += 2;
            if (byte_is(byte, BYTE_UNRESERVED)) {
                out[size++] = byte;
            } else {
                size += write_escape(out + size, byte);
                escaped = true;
            }
        }
    }
    *out_size = finish_segment(out, start, size);
    return *out_size < size || !(escaped || (size > start && out[start] == '.')) ||
           !hides_dot_segment(out, start, size);
}

static bool check_query(struct span query)
{
    for (size_t i = 0; i < query.size; i++) {
        uint8_t byte = query.data[i];
        if (!byte_is(byte, BYTE_QUERY) && (byte != '%' || !read_escape(query, i, &byte))) {
            return false;
        }
    }
    return true;
}

/* "path[?query]" without a fragment, to `out`. An empty path becomes "/": one byte that the text
 * did not have. */
static enum status normalise_path_and_query(struct span text, uint8_t *out, struct uri *uri)
{
    size_t path_size = span_find(text, '?'), size;
    if (!normalise_path(span_first(text, path_size), out, &size)) {
        return STATUS_MALFORMED;
    }
    uri->path = span_make(out, size);
    uri->has_query = path_size < text.size;
    uri->query = span_make(out + size, 0);
    if (uri->has_query) {
        struct span query = span_after(text, path_size + 1);
        if (!check_query(query)) {
            return STATUS_MALFORMED;
        }
        out[size++] = '?';
        memcpy(out + size, query.data, query.size);
        uri->query = span_make(out + size, query.size);
    }
    return STATUS_OK;
}

/* ---- whole ---- */

/* Sets *size to what comes before the authority: "https://" or "http://". */
static enum status read_scheme(struct span text, struct span *scheme, size_t *size)
{
    size_t end = span_find(text, ':');
    if (end == text.size || end == 0) {
        return STATUS_MALFORMED;
    }
    struct span name = span_first(text, end);
    if (span_equal_ignore_case(name, SPAN_LITERAL("https"))) {
        *scheme = SPAN_LITERAL("https");
    } else if (span_equal_ignore_case(name, SPAN_LITERAL("http"))) {
        *scheme = SPAN_LITERAL("http");
    } else {
        return STATUS_UNSUPPORTED;
    }
    if (!span_starts_with(span_after(text, end), SPAN_LITERAL("://"))) {
        return STATUS_MALFORMED;
    }
    *size = end + 3;
    return STATUS_OK;
}

static uint32_t scheme_port(struct span scheme)
{
    return span_equal_string(scheme, "https") ? 443 : span_equal_string(scheme, "http") ? 80 : 0;
}

enum status uri_normalise(struct span text, struct span_mut out, struct uri *uri)
{
    struct span scheme;
    size_t prefix;
    enum status status = read_scheme(text, &scheme, &prefix);
    if (status != STATUS_OK) {
        return status;
    }
    if (out.size < text.size + 2) {
        return STATUS_TOO_LARGE;
    }
    size_t whole = span_find(text, '#');
    if (whole < text.size && !check_query(span_after(text, whole + 1))) {
        return STATUS_MALFORMED;
    }
    text = span_first(text, whole);

    size_t authority_end = prefix, size;
    while (authority_end < text.size && text.data[authority_end] != '/' &&
           text.data[authority_end] != '?') {
        authority_end++;
    }
    uint8_t *at = out.data;
    for (size_t i = 0; i < prefix; i++) {
        at[i] = lower(text.data[i]);
    }
    uri->scheme = span_make(at, scheme.size);
    at += prefix;
    status = normalise_authority(span_after(span_first(text, authority_end), prefix),
                                 scheme_port(scheme), true, at, &size);
    if (status != STATUS_OK) {
        return status;
    }
    uri->authority = span_make(at, size);
    at += size;

    return normalise_path_and_query(span_after(text, authority_end), at, uri);
}

enum status uri_normalise_authority(struct span text, struct span scheme, struct span_mut out,
                                    struct span *authority)
{
    if (out.size < text.size) {
        return STATUS_TOO_LARGE;
    }
    size_t size;
    enum status status = normalise_authority(text, scheme_port(scheme), false, out.data, &size);
    if (status == STATUS_OK) {
        *authority = span_make(out.data, size);
    }
    return status;
}

enum status uri_normalise_target(struct span target, struct span_mut out, struct uri *uri)
{
    if (target.size == 0 || target.data[0] != '/') {
        return STATUS_MALFORMED;
    }
    if (out.size < target.size + 1) {
        return STATUS_TOO_LARGE;
    }
    return normalise_path_and_query(target, out.data, uri);
}
