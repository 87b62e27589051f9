/* The bytes of RFC 9110 and the two scans that see every byte of a head. Each exists in a
 * portable spelling and in one for SSE2, which every x86-64 has; both give the same answer
 * (tests/unit/http/test_scan.c). Inline: they are the inner loops. None reads outside the bytes it
 * is given. */
#ifndef POPGATE_HTTP_SCAN_H
#define POPGATE_HTTP_SCAN_H

#include "base/bytes.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A control character other than a tab: nothing in a head may hold one but the CRLF that ends a
 * line. */
static inline bool scan_is_control(uint8_t byte)
{
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

/* Letters, digits and '-': all that the usual field names are made of. */
static inline bool scan_is_plain(uint8_t byte)
{
    uint8_t letter = (uint8_t)(byte | 0x20);
    return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '-';
}

/* True if one of eight bytes is below 0x20 (a tab too) or is 0x7f. A byte borrows from the next one
 * only if it is a hit itself, so the answer for the word is exact. */
static inline bool scan_word_may_have_control(const uint8_t *bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    uint64_t del = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & high) != 0;
}

/* The index of the first control character in [at, size), or size. */
static inline size_t scan_control_portable(const uint8_t *bytes, size_t at, size_t size)
{
    while (at < size) {
        while (size - at >= 8 && !scan_word_may_have_control(bytes + at)) {
            at += 8;
        }
        size_t end = size - at < 8 ? size : at + 8;
        while (at < end && !scan_is_control(bytes[at])) {
            at++;
        }
        if (at < end) {
            break;
        }
    }
    return at;
}

/* The index of the first byte in [at, size) that is not plain, or size. */
static inline size_t scan_plain_portable(const uint8_t *bytes, size_t at, size_t size)
{
    while (at < size && scan_is_plain(bytes[at])) {
        at++;
    }
    return at;
}

#ifdef __SSE2__
static inline unsigned scan_control_mask(const uint8_t *block)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)block);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

/* 0x20 to 0x7e, and nothing else: adding one puts the others, as signed bytes, at 0x20 or below. */
static inline __m128i scan_is_printable(const uint8_t *block)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)block);
    return _mm_cmpgt_epi8(_mm_add_epi8(bytes, _mm_set1_epi8(1)), _mm_set1_epi8(0x20));
}

/* Of 64 bytes. */
static inline bool scan_all_printable(const uint8_t *block)
{
    __m128i first = _mm_and_si128(scan_is_printable(block), scan_is_printable(block + 16));
    __m128i second = _mm_and_si128(scan_is_printable(block + 32), scan_is_printable(block + 48));
    return _mm_movemask_epi8(_mm_and_si128(first, second)) == 0xffff;
}

static inline __m128i scan_at_most(__m128i bytes, char bound)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(bound)), bytes);
}

static inline unsigned scan_plain_mask(const uint8_t *block)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)block);
    __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    __m128i letter = scan_at_most(_mm_sub_epi8(lower, _mm_set1_epi8('a')), 25);
    __m128i digit = scan_at_most(_mm_sub_epi8(bytes, _mm_set1_epi8('0')), 9);
    __m128i dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), dash));
}

static inline size_t scan_control_sse2(const uint8_t *bytes, size_t at, size_t size)
{
    /* Two blocks a step, for most lines are short; four in the midst of a long one: tokens and
     * proofs are lines of a thousand bytes. */
    for (; size - at >= 32; at += 32) {
        unsigned hits = scan_control_mask(bytes + at) | scan_control_mask(bytes + at + 16) << 16;
        if (hits != 0) {
            return at + (size_t)__builtin_ctz(hits);
        }
        while (size - at >= 32 + 64 && scan_all_printable(bytes + at + 32)) {
            at += 64;
        }
    }
    for (; size - at >= 16; at += 16) {
        unsigned hits = scan_control_mask(bytes + at);
        if (hits != 0) {
            return at + (size_t)__builtin_ctz(hits);
        }
    }
    return scan_control_portable(bytes, at, size);
}

static inline size_t scan_plain_sse2(const uint8_t *bytes, size_t at, size_t size)
{
    for (; size - at >= 16; at += 16) {
        unsigned others = ~scan_plain_mask(bytes + at) & 0xffff;
        if (others != 0) {
            return at + (size_t)__builtin_ctz(others);
        }
    }
    return scan_plain_portable(bytes, at, size);
}
#endif

static inline size_t scan_control(const uint8_t *bytes, size_t at, size_t size)
{
#ifdef __SSE2__
    return scan_control_sse2(bytes, at, size);
#else
    return scan_control_portable(bytes, at, size);
#endif
}

static inline size_t scan_plain(const uint8_t *bytes, size_t at, size_t size)
{
#ifdef __SSE2__
    return scan_plain_sse2(bytes, at, size);
#else
    return scan_plain_portable(bytes, at, size);
#endif
}

/* The size of the token at the start of `text`; *plain says whether it is made of plain bytes
 * alone. `readable` bytes, at least text.size, may be read: a short name in a long head is then one
 * load. A token never runs past text.size because `text` ends at a byte that is no token's, or at
 * `readable`. */
static inline size_t scan_token(struct span text, size_t readable, bool *plain)
{
    size_t at = scan_plain(text.data, 0, readable);
    *plain = true;
    while (at < text.size && byte_is(text.data[at], BYTE_TOKEN)) {
        *plain = false;
        at = scan_plain(text.data, at + 1, readable);
    }
    return at < text.size ? at : text.size;
}

/* Without the spaces and tabs at both ends (RFC 9110 section 5.6.3: OWS). */
static inline struct span scan_trim(struct span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = span_after(text, 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/* Takes the next element of a comma-separated list off `list`, trimmed; it may be empty (RFC 9110
 * section 5.6.1). False when there is none left. `list->data` is NULL after the last. */
static inline bool scan_list_next(struct span *list, struct span *element)
{
    if (list->data == NULL) {
        return false;
    }
    size_t comma = span_find(*list, ',');
    *element = scan_trim(span_first(*list, comma));
    *list = comma < list->size ? span_after(*list, comma + 1) : span_make(NULL, 0);
    return true;
}

#endif
