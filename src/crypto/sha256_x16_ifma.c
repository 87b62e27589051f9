/* SHA-256 of sixteen messages at once, one to a 32-bit lane of AVX-512 (FIPS 180-4; one message a
 * lane: Gueron and Krasnov, "Simultaneous hashing of multiple messages", 2012). */
#include "crypto/sha256_blocks.h"

#if POPGATE_SHA256_X86

#include <immintrin.h>

#define X16_INLINE static inline __attribute__((always_inline))

/* Rows become columns: sixteen rows of sixteen words of 32 bits. */
X16_INLINE void transpose(__m512i r[16])
{
    __m512i t[16];
    /* Words 4 j + i of rows 4 k .. 4 k + 3 in the 128-bit block j of register 4 k + i. */
#pragma GCC unroll 4
    for (int k = 0; k < 16; k += 4) {
        const __m512i low01 = _mm512_unpacklo_epi32(r[k], r[k + 1]);
        const __m512i high01 = _mm512_unpackhi_epi32(r[k], r[k + 1]);
        const __m512i low23 = _mm512_unpacklo_epi32(r[k + 2], r[k + 3]);
        const __m512i high23 = _mm512_unpackhi_epi32(r[k + 2], r[k + 3]);
        t[k] = _mm512_unpacklo_epi64(low01, low23);
        t[k + 1] = _mm512_unpackhi_epi64(low01, low23);
        t[k + 2] = _mm512_unpacklo_epi64(high01, high23);
        t[k + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512i even0 = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
        const __m512i odd0 = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
        const __m512i even1 = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
        const __m512i odd1 = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        r[i + 12] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
}

X16_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

X16_INLINE __m512i swap_bytes(__m512i a)
{
    return _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11,
                                                                      4, 5, 6, 7, 0, 1, 2, 3)));
}

/* FIPS 180-4 section 6.2.2; lanes that are not active keep their state. */
static void compress(__m512i state[8], const uint8_t *const blocks[SHA256_LANES], __mmask16 active)
{
    __m512i w[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        w[i] = swap_bytes(_mm512_loadu_si512(blocks[i]));
    }
    transpose(w);
    __m512i a = state[0], b = state[1], c = state[2], d = state[3];
    __m512i e = state[4], f = state[5], g = state[6], h = state[7];
    for (int round = 0; round < 64; round += 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (round > 0) {
                const __m512i w1 = w[(i + 1) & 15], w14 = w[(i + 14) & 15];
                const __m512i s0 = xor3(_mm512_ror_epi32(w1, 7), _mm512_ror_epi32(w1, 18),
                                        _mm512_srli_epi32(w1, 3));
                const __m512i s1 = xor3(_mm512_ror_epi32(w14, 17), _mm512_ror_epi32(w14, 19),
                                        _mm512_srli_epi32(w14, 10));
                w[i] = _mm512_add_epi32(_mm512_add_epi32(w[i], s0),
                                        _mm512_add_epi32(w[(i + 9) & 15], s1));
            }
            const __m512i k = _mm512_set1_epi32((int)sha256_round_constants[round + i]);
            const __m512i sum1 = xor3(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11),
                                      _mm512_ror_epi32(e, 25));
            const __m512i choose = _mm512_ternarylogic_epi32(e, f, g, 0xca);
            const __m512i t1 = _mm512_add_epi32(
                _mm512_add_epi32(h, sum1), _mm512_add_epi32(choose, _mm512_add_epi32(k, w[i])));
            const __m512i sum0 = xor3(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13),
                                      _mm512_ror_epi32(a, 22));
            const __m512i majority = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
            h = g;
            g = f;
            f = e;
            e = _mm512_add_epi32(d, t1);
            d = c;
            c = b;
            b = a;
            a = _mm512_add_epi32(t1, _mm512_add_epi32(sum0, majority));
        }
    }
    const __m512i out[8] = {a, b, c, d, e, f, g, h};
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        state[i] = _mm512_mask_add_epi32(state[i], active, state[i], out[i]);
    }
}

void sha256_x16_ifma(const struct sha256_padded *messages, size_t count, uint8_t *const *digests)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    __m512i state[16];
    for (int i = 0; i < 8; i++) {
        state[i] = _mm512_set1_epi32((int)initial[i]);
        state[i + 8] = _mm512_setzero_si512();
    }
    size_t blocks = 0;
    for (size_t i = 0; i < count; i++) {
        blocks = messages[i].blocks > blocks ? messages[i].blocks : blocks;
    }
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *pointers[SHA256_LANES];
        __mmask16 active = 0;
        for (size_t i = 0; i < SHA256_LANES; i++) {
            /* Lanes that have ended, or are not there, compute what nobody uses. */
            const struct sha256_padded *own = &messages[i < count ? i : 0];
            const size_t at = block < own->blocks ? block : own->blocks - 1;
            pointers[i] = sha256_padded_block(own, at);
            active |= (__mmask16)((i < count && block < own->blocks) << i);
        }
        compress(state, pointers, active);
    }
    transpose(state);
    for (size_t i = 0; i < count; i++) {
        _mm256_storeu_si256((__m256i *)(void *)digests[i],
                            _mm512_castsi512_si256(swap_bytes(state[i])));
    }
}

#endif
