#include "auth/authorization.h"

static bool is_alphanumeric(uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9');
}

/* RFC 9110 section 5.6.2. */
static bool is_token_byte(uint8_t byte)
{
    return is_alphanumeric(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* RFC 9110 section 11.2: "token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" "
 */
static const uint8_t token68_bytes[256] = {
    ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['0' ... '9'] = 1, ['-'] = 1, ['.'] = 1,
    ['_'] = 1,         ['~'] = 1,         ['+'] = 1,         ['/'] = 1,
};

/* A token is most of what a request carries: eight bytes a step, for as long as all are good. */
static size_t token68_prefix(struct span text)
{
    const uint8_t *data = text.data;
    size_t size = 0;
    for (; size + 8 <= text.size; size += 8) {
        const uint8_t *at = data + size;
        if (!(token68_bytes[at[0]] & token68_bytes[at[1]] & token68_bytes[at[2]] &
              token68_bytes[at[3]] & token68_bytes[at[4]] & token68_bytes[at[5]] &
              token68_bytes[at[6]] & token68_bytes[at[7]])) {
            break;
        }
    }
    while (size < text.size && token68_bytes[data[size]]) {
        size++;
    }
    return size;
}

static bool is_token68(struct span text)
{
    size_t size = token68_prefix(text), end = size;
    while (end < text.size && text.data[end] == '=') {
        end++;
    }
    return size > 0 && end == text.size;
}

enum status authorization_parse(struct span value, enum auth_scheme *scheme, struct span *token)
{
    size_t scheme_size = 0;
    while (scheme_size < value.size && is_token_byte(value.data[scheme_size])) {
        scheme_size++;
    }
    size_t start = scheme_size;
    while (start < value.size && value.data[start] == ' ') {
        start++;
    }
    if (scheme_size == 0 || (start == scheme_size && start < value.size)) {
        return STATUS_MALFORMED;
    }
    /* RFC 9110 section 11.1: "a case-insensitive token to identify the authentication scheme". */
    struct span name = span_first(value, scheme_size);
    enum auth_scheme found;
    if (span_equal_ignore_case(name, SPAN_LITERAL("DPoP"))) {
        found = AUTH_SCHEME_DPOP;
    } else if (span_equal_ignore_case(name, SPAN_LITERAL("Bearer"))) {
        found = AUTH_SCHEME_BEARER;
    } else {
        return STATUS_UNSUPPORTED;
    }
    if (!is_token68(span_after(value, start))) {
        return STATUS_MALFORMED;
    }
    *scheme = found;
    *token = span_after(value, start);
    return STATUS_OK;
}
