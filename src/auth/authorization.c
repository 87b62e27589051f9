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
static bool is_token68(struct span text)
{
    size_t size = 0;
    while (size < text.size &&
           (is_alphanumeric(text.data[size]) ||
            (text.data[size] != 0 && strchr("-._~+/", text.data[size]) != NULL))) {
        size++;
    }
    size_t end = size;
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
