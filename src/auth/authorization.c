#include "auth/authorization.h"

#include "base/bytes.h"

/* A token is most of what a request carries: eight bytes a step, for as long as all are good. */
static size_t token68_prefix(struct span text)
{
    const uint8_t *data = text.data;
    size_t size = 0;
    for (; size + 8 <= text.size; size += 8) {
        const uint8_t *at = data + size;
        unsigned classes = byte_classes[at[0]] & byte_classes[at[1]] & byte_classes[at[2]] &
                           byte_classes[at[3]] & byte_classes[at[4]] & byte_classes[at[5]] &
                           byte_classes[at[6]] & byte_classes[at[7]];
        if ((classes & BYTE_TOKEN68) == 0) {
            break;
        }
    }
    while (size < text.size && byte_is(data[size], BYTE_TOKEN68)) {
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
    while (scheme_size < value.size && byte_is(value.data[scheme_size], BYTE_TOKEN)) {
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
