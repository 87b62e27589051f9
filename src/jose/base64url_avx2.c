#include "jose/base64url_blocks.h"

#if POPGATE_BASE64URL_AVX2
#include <immintrin.h>

/* After W. Mula and D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions"
 * (2018), with the tables of the URL alphabet.
 *
 * Valid characters by their high nibble, and the bit by which a low nibble is marked bad under it:
 *   2: d ('-')                   bit 0
 *   3: 0-9                       bit 1
 *   4, 6: 1-f                    bit 2
 *   5: 0-a and f ('_')           bit 3
 *   7: 0-a                       bit 4
 *   0, 1, 8-f: none              bit 5, which every low nibble has */
#define ALWAYS 0x20
#define LOW_NIBBLES                                                                                \
    ALWAYS | 0x05, ALWAYS | 0x01, ALWAYS | 0x01, ALWAYS | 0x01, ALWAYS | 0x01, ALWAYS | 0x01,      \
        ALWAYS | 0x01, ALWAYS | 0x01, ALWAYS | 0x01, ALWAYS | 0x01, ALWAYS | 0x03, ALWAYS | 0x1b,  \
        ALWAYS | 0x1b, ALWAYS | 0x1a, ALWAYS | 0x1b, ALWAYS | 0x13
#define HIGH_NIBBLES                                                                               \
    0x20, 0x20, 0x01, 0x02, 0x04, 0x08, 0x04, 0x10, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20
/* What to add to a character for its value: 62 - '-', 52 - '0', -'A' twice, 26 - 'a' twice. '_'
 * needs 33 more. */
#define OFFSETS 0, 0, 17, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0
#define PACK    2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1

bool base64url_decode_blocks_avx2(const uint8_t *text, size_t blocks, uint8_t *out)
{
    const __m256i low_table = _mm256_setr_epi8(LOW_NIBBLES, LOW_NIBBLES);
    const __m256i high_table = _mm256_setr_epi8(HIGH_NIBBLES, HIGH_NIBBLES);
    const __m256i offsets = _mm256_setr_epi8(OFFSETS, OFFSETS);
    const __m256i pack = _mm256_setr_epi8(PACK, PACK);
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    __m256i bad = _mm256_setzero_si256();
    for (size_t i = 0; i < blocks; i++) {
        __m256i in = _mm256_loadu_si256((const __m256i *)text);
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(in, 4), nibble);
        __m256i low = _mm256_and_si256(in, nibble);
        bad = _mm256_or_si256(bad, _mm256_and_si256(_mm256_shuffle_epi8(low_table, low),
                                                    _mm256_shuffle_epi8(high_table, high)));
        __m256i is_underscore = _mm256_cmpeq_epi8(in, _mm256_set1_epi8('_'));
        __m256i offset = _mm256_add_epi8(_mm256_shuffle_epi8(offsets, high),
                                         _mm256_and_si256(is_underscore, _mm256_set1_epi8(33)));
        __m256i values = _mm256_add_epi8(in, offset);
        /* 6-bit values a b c d of each 32 bits to a << 18 | b << 12 | c << 6 | d, then its three
         * bytes in order. */
        __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
        __m256i words = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
        __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(words, pack),
                                                    _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
        _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(bytes));
        _mm_storel_epi64((__m128i *)(out + 16), _mm256_extracti128_si256(bytes, 1));
        text += BASE64URL_BLOCK_TEXT;
        out += BASE64URL_BLOCK_BYTES;
    }
    return _mm256_testz_si256(bad, bad) != 0;
}
#endif
