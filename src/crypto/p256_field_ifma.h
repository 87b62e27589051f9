/* Arithmetic modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1 in eight lanes of AVX-512 IFMA: five limbs
 * of radix 2^52, the value sum v[i] 2^(52 i), in the Montgomery domain: `a` stands for a 2^260 mod
 * p.
 *
 * VPMADD52 multiplies the low 52 bits of two unsigned words, drops what is above without a word,
 * and adds the low or the high 52 bits of the product to a 64-bit word. So there are two forms:
 *   wide     limbs are signed words, at most 2^58 in size: what products, sums and differences give
 *   carried  what products take: 0 <= value < 16 * 2^256 = 2^260, and the low 52 bits of the five
 *            limbs are the value's digits. Above bit 52 of limbs 0 to 3 stands what has been added
 *            to the next limb already; VPMADD52 drops it, so nobody masks it off. Limb 4 is a
 *            proper digit, since the value is below 2^260. A carried value may not be added to
 *            anything: what was dropped would count twice. (Digits, all bits above 52 clear, are
 *            both wide and carried.)
 * In comments here and in the users of this header, bounds of values are in units of 2^256 (p is
 * 1 - 2^-32 of it): product(A, B) is below A B / 16 + 1, for any A, B below 16: t = a b + q p with
 * q < 2^260, divided by 2^260. */
#ifndef POPGATE_CRYPTO_P256_FIELD_IFMA_H
#define POPGATE_CRYPTO_P256_FIELD_IFMA_H

#include "crypto/p256_recode.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define FE8_LANES  8
#define FE8_LIMBS  5
#define FE8_MASK   ((UINT64_C(1) << 52) - 1)
#define FE8_INLINE static inline __attribute__((always_inline))

/* Products stand where they are used, next to each other: except under a sanitizer, which would
 * instrument a hundred copies of each and keep the compiler busy for many minutes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FE8_PRODUCT static __attribute__((noinline, unused))
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(undefined_behavior_sanitizer)
#define FE8_PRODUCT static __attribute__((noinline, unused))
#endif
#endif
#if !defined(FE8_PRODUCT)
#define FE8_PRODUCT FE8_INLINE
#endif

struct fe8 {
    __m512i v[FE8_LIMBS];
};

struct fe8_constant {
    uint64_t v[FE8_LIMBS];
};

static const struct fe8_constant fe8_p = {
    {0xfffffffffffff, 0x00fffffffffff, 0, 0x0001000000000, 0x0ffffffff0000}};

FE8_INLINE __m512i fe8_set1(uint64_t value)
{
    return _mm512_set1_epi64((long long)value);
}

FE8_INLINE struct fe8 fe8_broadcast(const struct fe8_constant *a)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = fe8_set1(a->v[i]);
    }
    return r;
}

/* a + b, a - b limb by limb: wide. */
FE8_INLINE struct fe8 fe8_add(const struct fe8 *a, const struct fe8 *b)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = _mm512_add_epi64(a->v[i], b->v[i]);
    }
    return r;
}

FE8_INLINE struct fe8 fe8_sub(const struct fe8 *a, const struct fe8 *b)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = _mm512_sub_epi64(a->v[i], b->v[i]);
    }
    return r;
}

/* a + k p, k a constant below 16: the limbs of p are k 2^96 - k in the lower two (k at limb 0, k
 * 2^44 at limb 1), nothing in limb 2. Wide. */
FE8_PRODUCT struct fe8 fe8_add_p(const struct fe8 *a, uint64_t k)
{
    struct fe8 r;
    r.v[0] = _mm512_sub_epi64(a->v[0], fe8_set1(k));
    r.v[1] = _mm512_add_epi64(a->v[1], fe8_set1(k << 44));
    r.v[2] = a->v[2];
    r.v[3] = _mm512_add_epi64(a->v[3], fe8_set1(k << 36));
    r.v[4] = _mm512_add_epi64(a->v[4], fe8_set1((k << 48) - (k << 16)));
    return r;
}

/* k p - a, k a constant below 16. Wide. */
FE8_PRODUCT struct fe8 fe8_p_minus(uint64_t k, const struct fe8 *a)
{
    struct fe8 r;
    r.v[0] = _mm512_sub_epi64(fe8_set1(0 - k), a->v[0]);
    r.v[1] = _mm512_sub_epi64(fe8_set1(k << 44), a->v[1]);
    r.v[2] = _mm512_sub_epi64(_mm512_setzero_si512(), a->v[2]);
    r.v[3] = _mm512_sub_epi64(fe8_set1(k << 36), a->v[3]);
    r.v[4] = _mm512_sub_epi64(fe8_set1((k << 48) - (k << 16)), a->v[4]);
    return r;
}

/* Wide in, value 0 <= a < 16: carried. The shifts are arithmetic, for limbs may be negative; the
 * digits of a non-negative value come out all the same. */
FE8_PRODUCT struct fe8 fe8_carry(const struct fe8 *a)
{
    struct fe8 r;
    r.v[0] = a->v[0];
#pragma GCC unroll 4
    for (int i = 1; i < FE8_LIMBS; i++) {
        r.v[i] = _mm512_add_epi64(a->v[i], _mm512_srai_epi64(r.v[i - 1], 52));
    }
    return r;
}

/* The digits of a carried value: carried and wide. */
FE8_INLINE struct fe8 fe8_digits(const struct fe8 *a)
{
    struct fe8 r = *a;
#pragma GCC unroll 4
    for (int i = 0; i < FE8_LIMBS - 1; i++) {
        r.v[i] = _mm512_and_si512(a->v[i], fe8_set1(FE8_MASK));
    }
    return r;
}

/* Subtracts h p with h the value's bits above 2^256, roughly. Wide in, value 0 <= a < 16; wide out,
 * value 0 < r < 2^256 + 2^229. h is floor((a' - 2^208) / 2^256), a' being limb 4 with what limb 3
 * carries into it, which is a less up to 2^208 and give or take 2^163 (limbs 0 to 2 are at most
 * 2^58 in size). So a - h 2^256 lies between 2^208 - 2^163 and 2^256 + 2^209 + 2^163; for h >= 0, a
 * - h p is larger by h (2^256 - p) < 16 * 2^224; for h = -1, where a < 2^209, it is a + p. Hence
 * the only multiple of p that comes out is p itself. */
FE8_PRODUCT struct fe8 fe8_fold(const struct fe8 *a)
{
    const __m512i carry = _mm512_srai_epi64(a->v[3], 52);
    const __m512i top = _mm512_sub_epi64(_mm512_add_epi64(a->v[4], carry), fe8_set1(1));
    const __m512i h = _mm512_srai_epi64(top, 48);
    struct fe8 r;
    r.v[0] = _mm512_add_epi64(a->v[0], h);
    r.v[1] = _mm512_sub_epi64(a->v[1], _mm512_slli_epi64(h, 44));
    r.v[2] = a->v[2];
    r.v[3] = _mm512_sub_epi64(a->v[3], _mm512_slli_epi64(h, 36));
    r.v[4] = _mm512_add_epi64(_mm512_sub_epi64(a->v[4], _mm512_slli_epi64(h, 48)),
                              _mm512_slli_epi64(h, 16));
    return r;
}

/* Ten columns of 52 bits of a product on its way. */
struct fe8_columns {
    __m512i t[2 * FE8_LIMBS];
};

/* Columns that give `a` in the end: what is in the upper five is not divided. */
FE8_INLINE struct fe8_columns fe8_columns_from(const struct fe8 *a)
{
    struct fe8_columns c;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        c.t[i] = _mm512_setzero_si512();
        c.t[FE8_LIMBS + i] = a->v[i];
    }
    return c;
}

FE8_INLINE struct fe8_columns fe8_columns_zero(void)
{
    struct fe8_columns c;
#pragma GCC unroll 10
    for (int i = 0; i < 2 * FE8_LIMBS; i++) {
        c.t[i] = _mm512_setzero_si512();
    }
    return c;
}

/* Adds row i of the product, a b[i]. */
FE8_INLINE void fe8_row(struct fe8_columns *c, const struct fe8 *a, __m512i b, int i)
{
#pragma GCC unroll 5
    for (int j = 0; j < FE8_LIMBS; j++) {
        c->t[i + j] = _mm512_madd52lo_epu64(c->t[i + j], a->v[j], b);
    }
#pragma GCC unroll 5
    for (int j = 0; j < FE8_LIMBS; j++) {
        c->t[i + j + 1] = _mm512_madd52hi_epu64(c->t[i + j + 1], a->v[j], b);
    }
}

/* Clears column i by adding q p, q its low 52 bits: p = -1 mod 2^52, so q is the factor itself
 * (Gueron and Krasnov for radix 2^64), and q + q p = q 2^52 (2^44 + 2^(104 + 36) + 2^156 (2^48 -
 * 2^16)) has three products. What is above bit 52 goes to column i + 1. */
FE8_INLINE void fe8_reduce_column(struct fe8_columns *c, int i)
{
    const __m512i q = c->t[i];
    c->t[i + 1] = _mm512_add_epi64(
        _mm512_madd52lo_epu64(c->t[i + 1], q, fe8_set1(UINT64_C(1) << 44)),
        _mm512_srli_epi64(q, 52));
    c->t[i + 2] = _mm512_madd52hi_epu64(c->t[i + 2], q, fe8_set1(UINT64_C(1) << 44));
    c->t[i + 3] = _mm512_madd52lo_epu64(c->t[i + 3], q, fe8_set1(UINT64_C(1) << 36));
    c->t[i + 4] = _mm512_madd52hi_epu64(c->t[i + 4], q, fe8_set1(UINT64_C(1) << 36));
    c->t[i + 4] = _mm512_madd52lo_epu64(c->t[i + 4], q, fe8_set1((UINT64_C(1) << 48) - (1 << 16)));
    c->t[i + 5] = _mm512_madd52hi_epu64(c->t[i + 5], q, fe8_set1((UINT64_C(1) << 48) - (1 << 16)));
}

FE8_INLINE struct fe8 fe8_upper(const struct fe8_columns *c)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = c->t[FE8_LIMBS + i];
    }
    return r;
}

/* The rows and the reductions in turn: column i is complete after row i. The columns below 5 start
 * at zero and get at most 2 * 5 products' halves, those of up to two products, 6 halves of
 * reductions and a carry: below 27 * 2^52 < 2^57. The upper five start at limbs of at most 2^57 in
 * size and end wide. */
FE8_INLINE struct fe8 fe8_finish(struct fe8_columns c, const struct fe8 *a, const struct fe8 *b)
{
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        fe8_row(&c, a, b->v[i], i);
        fe8_reduce_column(&c, i);
    }
    return fe8_upper(&c);
}

/* a b. Carried in, wide out, limbs not negative. */
FE8_PRODUCT struct fe8 fe8_mul(const struct fe8 *a, const struct fe8 *b)
{
    return fe8_finish(fe8_columns_zero(), a, b);
}

/* a b + c. a, b carried, c wide with limbs of at most 2^57 in size: wide. */
FE8_PRODUCT struct fe8 fe8_mul_add(const struct fe8 *a, const struct fe8 *b, const struct fe8 *c)
{
    return fe8_finish(fe8_columns_from(c), a, b);
}

/* a b + c d, with one reduction: below A B / 16 + C D / 16 + 1. Carried in, wide out. */
FE8_PRODUCT struct fe8 fe8_mul_mul(const struct fe8 *a, const struct fe8 *b, const struct fe8 *c,
                                   const struct fe8 *d)
{
    struct fe8_columns t = fe8_columns_zero();
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        fe8_row(&t, a, b->v[i], i);
        fe8_row(&t, c, d->v[i], i);
        fe8_reduce_column(&t, i);
    }
    return fe8_upper(&t);
}

/* a^2 + c: the mixed products once and doubled, before c and the squares are added. */
FE8_PRODUCT struct fe8 fe8_square_columns(const struct fe8 *a, const struct fe8 *c)
{
    struct fe8_columns t = fe8_columns_zero();
#pragma GCC unroll 4
    for (int i = 0; i < FE8_LIMBS - 1; i++) {
#pragma GCC unroll 4
        for (int j = i + 1; j < FE8_LIMBS; j++) {
            t.t[i + j] = _mm512_madd52lo_epu64(t.t[i + j], a->v[i], a->v[j]);
            t.t[i + j + 1] = _mm512_madd52hi_epu64(t.t[i + j + 1], a->v[i], a->v[j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 1; i < 2 * FE8_LIMBS - 1; i++) {
        t.t[i] = _mm512_add_epi64(t.t[i], t.t[i]);
    }
    if (c != NULL) {
#pragma GCC unroll 5
        for (int i = 0; i < FE8_LIMBS; i++) {
            t.t[FE8_LIMBS + i] = _mm512_add_epi64(t.t[FE8_LIMBS + i], c->v[i]);
        }
    }
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        t.t[2 * i] = _mm512_madd52lo_epu64(t.t[2 * i], a->v[i], a->v[i]);
        t.t[2 * i + 1] = _mm512_madd52hi_epu64(t.t[2 * i + 1], a->v[i], a->v[i]);
    }
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        fe8_reduce_column(&t, i);
    }
    return fe8_upper(&t);
}

/* a^2. Carried in, wide out, limbs not negative. */
FE8_INLINE struct fe8 fe8_square(const struct fe8 *a)
{
    return fe8_square_columns(a, NULL);
}

/* a^2 + c, c wide with limbs of at most 2^57 in size: wide. */
FE8_INLINE struct fe8 fe8_square_add(const struct fe8 *a, const struct fe8 *c)
{
    return fe8_square_columns(a, c);
}

/* Lanes that are zero modulo p. Wide in, value 0 <= a < 16. After folding these are p. */
FE8_PRODUCT __mmask8 fe8_is_zero(const struct fe8 *a)
{
    struct fe8 r = fe8_fold(a);
    r = fe8_carry(&r);
    r = fe8_digits(&r);
    __m512i p = _mm512_xor_si512(r.v[0], fe8_set1(fe8_p.v[0]));
#pragma GCC unroll 4
    for (int i = 1; i < FE8_LIMBS; i++) {
        p = _mm512_or_si512(p, _mm512_xor_si512(r.v[i], fe8_set1(fe8_p.v[i])));
    }
    return _mm512_testn_epi64_mask(p, p);
}

/* a where the mask's bit is clear, b where it is set. */
FE8_INLINE struct fe8 fe8_blend(__mmask8 mask, const struct fe8 *a, const struct fe8 *b)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = _mm512_mask_blend_epi64(mask, a->v[i], b->v[i]);
    }
    return r;
}

FE8_INLINE struct fe8 fe8_permute(const struct fe8 *a, __m512i index)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = _mm512_permutexvar_epi64(index, a->v[i]);
    }
    return r;
}

/* Four registers of 64-bit words, eight numbers of 256 bits: digits, so both wide and carried,
 * value below 1. */
FE8_INLINE struct fe8 fe8_from_words(__m512i w0, __m512i w1, __m512i w2, __m512i w3)
{
    const __m512i mask = fe8_set1(FE8_MASK);
    /* 0xa8: (a | b) & c in one instruction. */
    return (struct fe8){{
        _mm512_and_si512(w0, mask),
        _mm512_ternarylogic_epi64(_mm512_srli_epi64(w0, 52), _mm512_slli_epi64(w1, 12), mask, 0xa8),
        _mm512_ternarylogic_epi64(_mm512_srli_epi64(w1, 40), _mm512_slli_epi64(w2, 24), mask, 0xa8),
        _mm512_ternarylogic_epi64(_mm512_srli_epi64(w2, 28), _mm512_slli_epi64(w3, 36), mask, 0xa8),
        _mm512_srli_epi64(w3, 16),
    }};
}

/* Eight numbers of four words each, wherever they are (aligned to 32 bytes): eight half-line loads
 * and a transposition; gathers are several times slower. */
FE8_PRODUCT struct fe8 fe8_load(const uintptr_t addresses[FE8_LANES], size_t offset)
{
    /* Lanes 0 and 2, 1 and 3, 4 and 6, 5 and 7 share a register: after unpacking pairs of lanes and
     * choosing 128-bit blocks the lanes stand in order. */
    static const int low[4] = {0, 1, 4, 5};
    __m512i z[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const void *first = (const void *)((addresses[low[i]] & ~(uintptr_t)1) + offset);
        const void *second = (const void *)((addresses[low[i] + 2] & ~(uintptr_t)1) + offset);
        z[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_load_si256(first)),
                                  _mm256_load_si256(second), 1);
    }
    const __m512i even0 = _mm512_unpacklo_epi64(z[0], z[1]);
    const __m512i odd0 = _mm512_unpackhi_epi64(z[0], z[1]);
    const __m512i even1 = _mm512_unpacklo_epi64(z[2], z[3]);
    const __m512i odd1 = _mm512_unpackhi_epi64(z[2], z[3]);
    return fe8_from_words(
        _mm512_shuffle_i64x2(even0, even1, 0x88), _mm512_shuffle_i64x2(odd0, odd1, 0x88),
        _mm512_shuffle_i64x2(even0, even1, 0xdd), _mm512_shuffle_i64x2(odd0, odd1, 0xdd));
}

/* The digits of the value modulo p, below p, of a wide value 0 <= a < 16. After folding it is below
 * 2 p: p is subtracted from one not below p. */
FE8_PRODUCT struct fe8 fe8_canonical(const struct fe8 *a)
{
    const struct fe8 p = fe8_broadcast(&fe8_p);
    struct fe8 r = fe8_fold(a);
    struct fe8 less = fe8_sub(&r, &p);
    r = fe8_carry(&r);
    less = fe8_carry(&less);
    /* The top digit tells the sign. */
    r = fe8_blend(_mm512_movepi64_mask(less.v[4]), &less, &r);
    return fe8_digits(&r);
}

/* Digits of 52 bits, value below 2^256, into four registers of words. */
FE8_INLINE void fe8_to_words(__m512i w[4], const struct fe8 *a)
{
    w[0] = _mm512_or_si512(a->v[0], _mm512_slli_epi64(a->v[1], 52));
    w[1] = _mm512_or_si512(_mm512_srli_epi64(a->v[1], 12), _mm512_slli_epi64(a->v[2], 40));
    w[2] = _mm512_or_si512(_mm512_srli_epi64(a->v[2], 24), _mm512_slli_epi64(a->v[3], 28));
    w[3] = _mm512_or_si512(_mm512_srli_epi64(a->v[3], 36), _mm512_slli_epi64(a->v[4], 16));
}

#endif
#endif
