#include "tls/spiffe.h"

#include "tls/peer.h"

static bool is_domain_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
           byte == '-' || byte == '_';
}

static bool is_path_byte(uint8_t byte)
{
    return is_domain_byte(byte) || (byte >= 'A' && byte <= 'Z');
}

bool spiffe_claims_scheme(struct span uri)
{
    struct span scheme = SPAN_LITERAL("spiffe:");
    return uri.size >= scheme.size && span_equal_ignore_case(span_first(uri, scheme.size), scheme);
}

/* SPIFFE-ID section 2.2: "Path segments MUST NOT be empty", "MUST NOT be a relative path modifier".
 */
static bool segment_is_valid(struct span segment)
{
    if (segment.size == 0 || span_equal_string(segment, ".") || span_equal_string(segment, "..")) {
        return false;
    }
    for (size_t i = 0; i < segment.size; i++) {
        if (!is_path_byte(segment.data[i])) {
            return false;
        }
    }
    return true;
}

bool spiffe_id_is_valid(struct span uri)
{
    struct span prefix = SPAN_LITERAL("spiffe://");
    /* SPIFFE-ID section 2.3: "MUST NOT generate [..] longer than 2048 bytes". */
    if (uri.size > TLS_SPIFFE_ID_MAX || !span_starts_with(uri, prefix)) {
        return false;
    }
    struct span rest = span_after(uri, prefix.size);
    size_t domain_size = span_find(rest, '/');
    if (domain_size == 0 || domain_size > SPIFFE_TRUST_DOMAIN_MAX || domain_size == rest.size) {
        return false;
    }
    for (size_t i = 0; i < domain_size; i++) {
        if (!is_domain_byte(rest.data[i])) {
            return false;
        }
    }
    rest = span_after(rest, domain_size);
    while (rest.size > 0) {
        rest = span_after(rest, 1); /* the '/' */
        size_t size = span_find(rest, '/');
        if (!segment_is_valid(span_first(rest, size))) {
            return false;
        }
        rest = span_after(rest, size);
    }
    return true;
}
