/* Arithmetic modulo p = 2^255 - 19 in eight lanes, by AVX-512 IFMA. Only for files compiled for it
 * (_ifma.c), run where cpu_features.avx512_ifma is set.
 *
 * A field element is five limbs of 51 bits a lane. VPMADD52 multiplies the low 52 bits of its
 * operands, drops what is above without a word, and adds the low or the high 52 bits of the product
 * to a 64-bit accumulator. Hence two bounds: carried: limbs below 2^52 (after fe8_carry: below 2^51
 * + 2^16)     what multiplication takes wide:    limbs below 2^60.1 what multiplication gives Sums
 * and differences are taken of wide values, so that one carry serves where two would be needed on
 * their terms. */
#ifndef POPGATE_CRYPTO_ED25519_FIELD_IFMA_H
#define POPGATE_CRYPTO_ED25519_FIELD_IFMA_H

#include "crypto/ed25519_field.h"

#include <immintrin.h>

#define FE8_INLINE static inline __attribute__((always_inline))

struct fe8 {
    __m512i v[5];
};

FE8_INLINE __m512i fe8_set1(uint64_t value)
{
    return _mm512_set1_epi64((long long)value);
}

/* Wide (or a sum of two, below 2^62.2) in, carried out: what is above 51 bits of limb i, below
 * 2^11.2, goes to limb i + 1, from limb 4 times 19 to limb 0: limbs end below 2^51 + 19 2^11.2 <
 * 2^51 + 2^16. All limbs at once, none waits for another's carry. */
FE8_INLINE struct fe8 fe8_carry(const struct fe8 *a)
{
    const __m512i mask = fe8_set1(FE_MASK);
    struct fe8 r;
    r.v[0] = _mm512_madd52lo_epu64(_mm512_and_si512(a->v[0], mask), _mm512_srli_epi64(a->v[4], 51),
                                   fe8_set1(19));
#pragma GCC unroll 4
    for (int i = 1; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(_mm512_and_si512(a->v[i], mask),
                                  _mm512_srli_epi64(a->v[i - 1], 51));
    }
    return r;
}

FE8_INLINE struct fe8 fe8_add(const struct fe8 *a, const struct fe8 *b)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(a->v[i], b->v[i]);
    }
    return r;
}

/* a - b + 2^10 p, whose limbs, 2^61 - 19456 and 2^61 - 1024, are above any wide one. */
FE8_INLINE struct fe8 fe8_subtract(const struct fe8 *a, const struct fe8 *b)
{
    const __m512i bias_0 = fe8_set1((UINT64_C(1) << 61) - 19 * 1024);
    const __m512i bias_i = fe8_set1((UINT64_C(1) << 61) - 1024);
    struct fe8 r;
    r.v[0] = _mm512_sub_epi64(_mm512_add_epi64(a->v[0], bias_0), b->v[0]);
#pragma GCC unroll 4
    for (int i = 1; i < 5; i++) {
        r.v[i] = _mm512_sub_epi64(_mm512_add_epi64(a->v[i], bias_i), b->v[i]);
    }
    return r;
}

/* Carried times carried, wide out. A product's high half has weight 2^52, twice that of the next
 * column, so the halves are summed apart: column k is (low halves of i + j = k) + 2 (high halves of
 * i + j = k - 1). With all halves below 2^52 column k has at most min(k + 1, 9 - k) + 2 min(k, 10 -
 * k) of them. Columns 5 to 9 come back times 19: limb 0 is at most 1 + 19 (4 + 10) = 267 of them,
 * below 2^60.1; limbs 1 to 4 at most 213, 159, 105, 51. */
FE8_INLINE struct fe8 fe8_multiply(const struct fe8 *a, const struct fe8 *b)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i c[10];
    c[0] = zero;
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) {
        __m512i high = zero;
#pragma GCC unroll 5
        for (int i = 0; i < 5; i++) {
            if (k - i >= 0 && k - i < 5) {
                high = _mm512_madd52hi_epu64(high, a->v[i], b->v[k - i]);
            }
        }
        c[k + 1] = _mm512_add_epi64(high, high);
    }
#pragma GCC unroll 9
    for (int k = 0; k < 9; k++) {
#pragma GCC unroll 5
        for (int i = 0; i < 5; i++) {
            if (k - i >= 0 && k - i < 5) {
                c[k] = _mm512_madd52lo_epu64(c[k], a->v[i], b->v[k - i]);
            }
        }
    }
    struct fe8 r;
#pragma GCC unroll 5
    for (int k = 0; k < 5; k++) {
        r.v[k] = _mm512_add_epi64(c[k], _mm512_mullo_epi64(c[k + 5], fe8_set1(19)));
    }
    return r;
}

#endif
