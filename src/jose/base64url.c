#include "jose/base64url.h"

#include "jose/base64url_blocks.h"

/* Bit 6 or 7 is set in BAD and in no value, so one test over the OR of many lookups finds any bad
 * byte. */
#define BAD      0xff
#define BAD_BITS 0xc0

static const uint8_t values[256] = {
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, 62,  BAD, BAD, 52,  53,  54,  55,  56,  57,  58,  59,  60,
    61,  BAD, BAD, BAD, BAD, BAD, BAD, BAD, 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,
    11,  12,  13,  14,  15,  16,  17,  18,  19,  20,  21,  22,  23,  24,  25,  BAD, BAD, BAD, BAD,
    63,  BAD, 26,  27,  28,  29,  30,  31,  32,  33,  34,  35,  36,  37,  38,  39,  40,  41,  42,
    43,  44,  45,  46,  47,  48,  49,  50,  51,  BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
};

static const char alphabet[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
                                  'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
                                  'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
                                  'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
                                  '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-', '_'};

/* Decodes the whole quartets of `text` into `out`; returns the OR of all values looked up. */
static unsigned decode_quartets(const uint8_t *text, size_t quartets, uint8_t *out)
{
    unsigned seen = 0;
    for (size_t i = 0; i < quartets; i++, text += 4, out += 3) {
        unsigned a = values[text[0]], b = values[text[1]];
        unsigned c = values[text[2]], d = values[text[3]];
        seen |= a | b | c | d;
        unsigned bits = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t)(bits >> 16);
        out[1] = (uint8_t)(bits >> 8);
        out[2] = (uint8_t)bits;
    }
    return seen;
}

/* Decodes the 2 or 3 characters left over into 1 or 2 bytes. RFC 4648 section 3.5: "a decoder MAY
 * chose to reject an encoding if the pad bits have not been set to zero": we do, or one proof would
 * have several texts. */
static bool decode_tail(const uint8_t *text, size_t size, uint8_t *out)
{
    unsigned a = values[text[0]], b = values[text[1]];
    if (size == 2) {
        out[0] = (uint8_t)(a << 2 | b >> 4);
        return ((a | b) & BAD_BITS) == 0 && (b & 0x0f) == 0;
    }
    unsigned c = values[text[2]];
    out[0] = (uint8_t)(a << 2 | b >> 4);
    out[1] = (uint8_t)(b << 4 | c >> 2);
    return ((a | b | c) & BAD_BITS) == 0 && (c & 0x03) == 0;
}

/* Decodes as many whole blocks as the CPU has a vector for; 0 without one, or when the text is bad,
 * which the quartets then find. */
static size_t decode_blocks(struct span text, uint8_t *out)
{
#if POPGATE_BASE64URL_AVX2
    size_t blocks = text.size / BASE64URL_BLOCK_TEXT;
    if (blocks > 0 && __builtin_cpu_supports("avx2") &&
        base64url_decode_blocks_avx2(text.data, blocks, out)) {
        return blocks;
    }
#endif
    return 0;
}

enum status base64url_decode(struct span text, struct span_mut out, struct span *decoded)
{
    *decoded = span_make(out.data, 0);
    size_t quartets = text.size / 4, tail = text.size % 4;
    if (tail == 1) {
        return STATUS_MALFORMED;
    }
    size_t size = quartets * 3 + (tail > 0 ? tail - 1 : 0);
    if (size > out.size) {
        return STATUS_TOO_LARGE;
    }
    size_t done = decode_blocks(text, out.data) * (BASE64URL_BLOCK_TEXT / 4);
    unsigned seen = quartets > done ? decode_quartets(text.data + done * 4, quartets - done,
                                                      out.data + done * 3)
                                    : 0;
    if ((seen & BAD_BITS) != 0) {
        return STATUS_MALFORMED;
    }
    if (tail > 0 && !decode_tail(text.data + quartets * 4, tail, out.data + quartets * 3)) {
        return STATUS_MALFORMED;
    }
    decoded->size = size;
    return STATUS_OK;
}

size_t base64url_encode(struct span bytes, char *out)
{
    const uint8_t *in = bytes.data;
    char *start = out;
    size_t left = bytes.size;
    for (; left >= 3; left -= 3, in += 3, out += 4) {
        unsigned bits = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = alphabet[bits >> 6 & 63];
        out[3] = alphabet[bits & 63];
    }
    if (left > 0) {
        unsigned bits = (unsigned)in[0] << 16 | (left == 2 ? (unsigned)in[1] << 8 : 0);
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        if (left == 2) {
            *out++ = alphabet[bits >> 6 & 63];
        }
    }
    return (size_t)(out - start);
}
