/* A second opinion on JSON: a plain recursive-descent reader of RFC 8259 with the limits of
 * jose/json.h, written from the grammar and sharing no code with it. It says yes or no, and on yes
 * writes the document again: no white space, strings with only what must be escaped, integers in
 * decimal, other numbers as they came. */
#ifndef POPGATE_TESTS_FUZZ_REFERENCE_JSON_H
#define POPGATE_TESTS_FUZZ_REFERENCE_JSON_H

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE_DEPTH_MAX   8
#define REFERENCE_MEMBERS_MAX 64

struct reference_json {
    const uint8_t *at, *end;
    char *out; /* 6 bytes for each of the input's */
    size_t used;
};

static bool reference_value(struct reference_json *r, int depth);

static void reference_put(struct reference_json *r, const char *bytes, size_t size)
{
    memcpy(r->out + r->used, bytes, size);
    r->used += size;
}

static int reference_peek(const struct reference_json *r)
{
    return r->at < r->end ? *r->at : -1;
}

static bool reference_take(struct reference_json *r, int byte)
{
    if (reference_peek(r) != byte) {
        return false;
    }
    r->at++;
    return true;
}

static void reference_space(struct reference_json *r)
{
    while (reference_peek(r) == ' ' || reference_peek(r) == '\t' || reference_peek(r) == '\n' ||
           reference_peek(r) == '\r') {
        r->at++;
    }
}

/* Writes a code point as it stands in a string. */
static void reference_put_code_point(struct reference_json *r, uint32_t c)
{
    char text[8];
    if (c == '"' || c == '\\') {
        reference_put(r, "\\", 1);
    }
    if (c < 0x20) {
        snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
        reference_put(r, text, 6);
    } else if (c < 0x80) {
        text[0] = (char)c;
        reference_put(r, text, 1);
    } else if (c < 0x800) {
        text[0] = (char)(0xc0 | c >> 6);
        text[1] = (char)(0x80 | (c & 63));
        reference_put(r, text, 2);
    } else if (c < 0x10000) {
        text[0] = (char)(0xe0 | c >> 12);
        text[1] = (char)(0x80 | (c >> 6 & 63));
        text[2] = (char)(0x80 | (c & 63));
        reference_put(r, text, 3);
    } else {
        text[0] = (char)(0xf0 | c >> 18);
        text[1] = (char)(0x80 | (c >> 12 & 63));
        text[2] = (char)(0x80 | (c >> 6 & 63));
        text[3] = (char)(0x80 | (c & 63));
        reference_put(r, text, 4);
    }
}

/* One code point of UTF-8: decoded by the definition, then refused if shorter forms exist or it may
 * not be. */
static bool reference_utf8(struct reference_json *r, uint32_t *c)
{
    int lead = *r->at++;
    int more = lead < 0x80         ? 0
               : (lead >> 5) == 6  ? 1
               : (lead >> 4) == 14 ? 2
               : (lead >> 3) == 30 ? 3
                                   : -1;
    if (more < 0) {
        return false;
    }
    *c = more == 0 ? (uint32_t)lead : (uint32_t)lead & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
        int next = reference_peek(r);
        if (next < 0 || (next & 0xc0) != 0x80) {
            return false;
        }
        r->at++;
        *c = *c << 6 | (uint32_t)(next & 63);
    }
    static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
    return *c >= least[more] && *c <= 0x10ffff && !(*c >= 0xd800 && *c <= 0xdfff);
}

static bool reference_hex4(struct reference_json *r, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int c = reference_peek(r);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return false;
        }
        r->at++;
        *unit = *unit * 16 + (uint32_t)digit;
    }
    return true;
}

static bool reference_escape(struct reference_json *r, uint32_t *c)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    int name = reference_peek(r);
    if (name != 'u') {
        const char *hit = name > 0 ? strchr(names, name) : NULL;
        if (hit == NULL) {
            return false;
        }
        r->at++;
        *c = (uint8_t)values[hit - names];
        return true;
    }
    r->at++;
    if (!reference_hex4(r, c)) {
        return false;
    }
    if (*c >= 0xd800 && *c <= 0xdbff) {
        uint32_t low;
        if (!reference_take(r, '\\') || !reference_take(r, 'u') || !reference_hex4(r, &low) ||
            low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
        return true;
    }
    return !(*c >= 0xdc00 && *c <= 0xdfff);
}

static bool reference_string(struct reference_json *r)
{
    if (!reference_take(r, '"')) {
        return false;
    }
    reference_put(r, "\"", 1);
    while (!reference_take(r, '"')) {
        int byte = reference_peek(r);
        uint32_t c;
        if (byte < 0x20) { /* a control character, or the end */
            return false;
        }
        if (byte == '\\') {
            r->at++;
            if (!reference_escape(r, &c)) {
                return false;
            }
        } else if (!reference_utf8(r, &c)) {
            return false;
        }
        reference_put_code_point(r, c);
    }
    reference_put(r, "\"", 1);
    return true;
}

static bool reference_digits(struct reference_json *r)
{
    const uint8_t *start = r->at;
    while (reference_peek(r) >= '0' && reference_peek(r) <= '9') {
        r->at++;
    }
    return r->at > start;
}

static bool reference_number(struct reference_json *r)
{
    const uint8_t *start = r->at;
    bool integer = true;
    (void)reference_take(r, '-');
    if (!reference_take(r, '0') && !reference_digits(r)) {
        return false;
    }
    if (reference_take(r, '.')) {
        integer = false;
        if (!reference_digits(r)) {
            return false;
        }
    }
    if (reference_take(r, 'e') || reference_take(r, 'E')) {
        integer = false;
        if (!reference_take(r, '+')) {
            (void)reference_take(r, '-');
        }
        if (!reference_digits(r)) {
            return false;
        }
    }
    size_t size = (size_t)(r->at - start);
    char *text = malloc(size + 1);
    memcpy(text, start, size);
    text[size] = '\0';
    errno = 0;
    bool in_range;
    if (integer) {
        char decimal[24];
        long long value = strtoll(text, NULL, 10);
        in_range = errno == 0;
        int digits = snprintf(decimal, sizeof decimal, "%lld", value);
        reference_put(r, decimal, (size_t)digits);
    } else {
        in_range = !isinf(strtod(text, NULL));
        reference_put(r, text, size);
    }
    free(text);
    return in_range;
}

static bool reference_object(struct reference_json *r, int depth)
{
    struct {
        size_t start, size;
    } names[REFERENCE_MEMBERS_MAX];
    int members = 0;
    r->at++;
    reference_put(r, "{", 1);
    reference_space(r);
    if (reference_take(r, '}')) {
        reference_put(r, "}", 1);
        return true;
    }
    do {
        if (members == REFERENCE_MEMBERS_MAX) {
            return false;
        }
        if (members > 0) {
            reference_put(r, ",", 1);
        }
        reference_space(r);
        size_t start = r->used;
        if (!reference_string(r)) {
            return false;
        }
        /* Written again, a name has one spelling. */
        names[members].start = start;
        names[members].size = r->used - start;
        for (int i = 0; i < members; i++) {
            if (names[i].size == names[members].size &&
                memcmp(r->out + names[i].start, r->out + start, names[i].size) == 0) {
                return false;
            }
        }
        members++;
        reference_space(r);
        if (!reference_take(r, ':')) {
            return false;
        }
        reference_put(r, ":", 1);
        if (!reference_value(r, depth)) {
            return false;
        }
    } while (reference_take(r, ','));
    reference_put(r, "}", 1);
    return reference_take(r, '}');
}

static bool reference_array(struct reference_json *r, int depth)
{
    bool first = true;
    r->at++;
    reference_put(r, "[", 1);
    reference_space(r);
    if (reference_take(r, ']')) {
        reference_put(r, "]", 1);
        return true;
    }
    do {
        if (!first) {
            reference_put(r, ",", 1);
        }
        first = false;
        if (!reference_value(r, depth)) {
            return false;
        }
    } while (reference_take(r, ','));
    reference_put(r, "]", 1);
    return reference_take(r, ']');
}

static bool reference_literal(struct reference_json *r, const char *literal)
{
    size_t size = strlen(literal);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, literal, size) != 0) {
        return false;
    }
    r->at += size;
    reference_put(r, literal, size);
    return true;
}

/* A value and the white space around it; `depth` counts the containers around it. */
static bool reference_value(struct reference_json *r, int depth)
{
    reference_space(r);
    bool valid;
    int byte = reference_peek(r);
    switch (byte) {
    case '{':
        valid = depth < REFERENCE_DEPTH_MAX && reference_object(r, depth + 1);
        break;
    case '[':
        valid = depth < REFERENCE_DEPTH_MAX && reference_array(r, depth + 1);
        break;
    case '"':
        valid = reference_string(r);
        break;
    case 't':
        valid = reference_literal(r, "true");
        break;
    case 'f':
        valid = reference_literal(r, "false");
        break;
    case 'n':
        valid = reference_literal(r, "null");
        break;
    default:
        valid = reference_number(r);
        break;
    }
    reference_space(r);
    return valid;
}

/* Whether `text` is a document that jose/json.h accepts. `out` has room for 6 * size + 24 bytes and
 * receives the document written again, *out_size bytes of it. */
static bool reference_json_check(const uint8_t *text, size_t size, char *out, size_t *out_size)
{
    struct reference_json r = {text, text + size, out, 0};
    reference_space(&r);
    bool container = reference_peek(&r) == '{' || reference_peek(&r) == '[';
    bool valid = container && reference_value(&r, 0) && r.at == r.end;
    *out_size = valid ? r.used : 0;
    return valid;
}

#endif
