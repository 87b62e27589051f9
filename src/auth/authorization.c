#include "auth/authorization.h"

#include "base/bytes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#ifdef __SSE2__
static __m128i in_range(__m128i bytes, char first, char last)
{
    __m128i above = _mm_sub_epi8(bytes, _mm_set1_epi8(first));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(last - first))), above);
}

/* BYTE_TOKEN68 of sixteen bytes: letters, digits and what stands just below them ('-', '.', '/'),
 * '+', '_', '~'. */
static bool all_token68(const uint8_t *data)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i good = in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
    good = _mm_or_si128(good, in_range(bytes, '-', '9'));
    good = _mm_or_si128(good, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('+')));
    good = _mm_or_si128(good, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')));
    good = _mm_or_si128(good, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('~')));
    return _mm_movemask_epi8(good) == 0xffff;
}
#endif

/* A token is most of what a request carries: sixteen bytes a step, for as long as all are good. */
static size_t token68_prefix(struct span text)
{
    const uint8_t *data = text.data;
    size_t size = 0;
#ifdef __SSE2__
    while (text.size - size >= 16 && all_token68(data + size)) {
        size += 16;
    }
#endif
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
