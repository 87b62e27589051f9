/* Scalars of P-256 in eight lanes of AVX-512 IFMA: products modulo the group's order n, in the wide
 * and carried forms of p256_field_ifma.h, whose bounds, in units of 2^256, hold here too (n is 1 -
 * 2^-32 of it). */
#ifndef POPGATE_CRYPTO_P256_SCALAR_IFMA_H
#define POPGATE_CRYPTO_P256_SCALAR_IFMA_H

#include "crypto/p256_field_ifma.h"

#if defined(__x86_64__)

static const struct fe8_constant order8_n = {
    {0x9cac2fc632551, 0xada7179e84f3b, 0xfffffffbce6fa, 0x0000fffffffff, 0x0ffffffff0000}};

/* 2^520 mod n */
static const struct fe8_constant order8_r2 = {
    {0x5cc0dea6dc3ba, 0x192a067d8a084, 0xbec59615571bb, 0x1fc245b2392b6, 0x0e12d9559d956}};

/* -1 / n mod 2^52 */
#define ORDER8_FACTOR UINT64_C(0x1c8aaee00bc4f)

/* a b / 2^260 modulo n, below A B / 16 + 1: t = a b + q n with q < 2^260, divided by 2^260. Carried
 * in, wide out, limbs not negative: a column gets at most 20 halves of products and a carry, below
 * 2^57. */
FE8_INLINE struct fe8 order8_mul(const struct fe8 *a, const struct fe8 *b)
{
    const struct fe8 n = fe8_broadcast(&order8_n);
    struct fe8_columns c = fe8_columns_zero();
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        fe8_row(&c, a, b->v[i], i);
        const __m512i q = _mm512_madd52lo_epu64(_mm512_setzero_si512(), c.t[i],
                                                fe8_set1(ORDER8_FACTOR));
        fe8_row(&c, &n, q, i);
        c.t[i + 1] = _mm512_add_epi64(c.t[i + 1], _mm512_srli_epi64(c.t[i], 52));
    }
    return fe8_upper(&c);
}

/* The digits of the value modulo n, below n, of a wide value 0 <= a < 2 n. */
FE8_INLINE struct fe8 order8_canonical(const struct fe8 *a)
{
    const struct fe8 n = fe8_broadcast(&order8_n);
    struct fe8 less = fe8_sub(a, &n), r = fe8_carry(a);
    less = fe8_carry(&less);
    /* The top digit tells the sign. */
    r = fe8_blend(_mm512_movepi64_mask(less.v[4]), &less, &r);
    return fe8_digits(&r);
}

#endif
#endif
