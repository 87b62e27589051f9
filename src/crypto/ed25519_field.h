/* Arithmetic modulo p = 2^255 - 19 in radix 2^51, portable (64-bit limbs, 128-bit products).
 *
 * A value is sum v[i] 2^(51 i). Two bounds on limbs:
 *   tight: v[i] < 2^51 + 2^13     what multiplication gives
 *   loose: v[i] < 2^54            what multiplication takes
 * Values are not unique below 2^255 + ...; fe_words gives the one below p. */
#ifndef POPGATE_CRYPTO_ED25519_FIELD_H
#define POPGATE_CRYPTO_ED25519_FIELD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FE_LIMBS 5
/* Left to itself gcc calls these, and passes elements through memory. */
#define FE_INLINE static inline __attribute__((always_inline))
#define FE_MASK   ((UINT64_C(1) << 51) - 1)

struct fe {
    uint64_t v[FE_LIMBS];
};

/* tight + tight or looser: limbs add; the caller keeps the sum loose. */
static inline struct fe fe_add(const struct fe *a, const struct fe *b)
{
    struct fe r;
    for (int i = 0; i < FE_LIMBS; i++) {
        r.v[i] = a->v[i] + b->v[i];
    }
    return r;
}

/* a - b + 4p. b: limbs at most 2^53 - 76 (so that no limb goes below zero: 4p is 2^53 - 76, 2^53 -
 * 4, ...). a: limbs at most 2^53. Result: below 2^54, loose. */
static inline struct fe fe_sub(const struct fe *a, const struct fe *b)
{
    const uint64_t p4_0 = (UINT64_C(1) << 53) - 76, p4_i = (UINT64_C(1) << 53) - 4;
    struct fe r;
    r.v[0] = a->v[0] + p4_0 - b->v[0];
    for (int i = 1; i < FE_LIMBS; i++) {
        r.v[i] = a->v[i] + p4_i - b->v[i];
    }
    return r;
}

/* From column sums t0 < 2^114.3, less above (t4 < 2^110.4, see fe_mul): carries t0 > t1 > ... > t4,
 * each below 2^(114.3 - 51) = 2^63.3; out of t4 at most 2^59.4, times 19 below 2^63.7, which with
 * the 51 bits of limb 0 stays below 2^64; its carry into limb 1 is below 2^13. Result tight. */
FE_INLINE struct fe fe_carry(unsigned __int128 t0, unsigned __int128 t1, unsigned __int128 t2,
                             unsigned __int128 t3, unsigned __int128 t4)
{
    t1 += (uint64_t)(t0 >> 51);
    t2 += (uint64_t)(t1 >> 51);
    t3 += (uint64_t)(t2 >> 51);
    t4 += (uint64_t)(t3 >> 51);
    uint64_t r0 = ((uint64_t)t0 & FE_MASK) + 19 * (uint64_t)(t4 >> 51);
    return (struct fe){{r0 & FE_MASK, ((uint64_t)t1 & FE_MASK) + (r0 >> 51), (uint64_t)t2 & FE_MASK,
                        (uint64_t)t3 & FE_MASK, (uint64_t)t4 & FE_MASK}};
}

FE_INLINE unsigned __int128 fe_product(uint64_t a, uint64_t b)
{
    return (unsigned __int128)a * b;
}

/* Loose times loose, result tight. Column k sums five products, those that wrap past 2^255 times
 * 19: column 0 is at most (1 + 4 * 19) 2^108 < 2^114.3, column 4 at most 5 * 2^108 < 2^110.4. 19
 * b[j] < 2^58.3 fits a word. */
FE_INLINE struct fe fe_mul(const struct fe *a, const struct fe *b)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    const uint64_t b0 = b->v[0], b1 = b->v[1], b2 = b->v[2], b3 = b->v[3], b4 = b->v[4];
    const uint64_t n1 = 19 * b1, n2 = 19 * b2, n3 = 19 * b3, n4 = 19 * b4;
    return fe_carry(fe_product(a0, b0) + fe_product(a1, n4) + fe_product(a2, n3) +
                        fe_product(a3, n2) + fe_product(a4, n1),
                    fe_product(a0, b1) + fe_product(a1, b0) + fe_product(a2, n4) +
                        fe_product(a3, n3) + fe_product(a4, n2),
                    fe_product(a0, b2) + fe_product(a1, b1) + fe_product(a2, b0) +
                        fe_product(a3, n4) + fe_product(a4, n3),
                    fe_product(a0, b3) + fe_product(a1, b2) + fe_product(a2, b1) +
                        fe_product(a3, b0) + fe_product(a4, n4),
                    fe_product(a0, b4) + fe_product(a1, b3) + fe_product(a2, b2) +
                        fe_product(a3, b1) + fe_product(a4, b0));
}

/* As fe_mul with itself; 2 a[i] < 2^55 and 38 a[i] < 2^59.3 fit a word, the sums are the same. */
FE_INLINE struct fe fe_square(const struct fe *a)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    const uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, n3 = 19 * a3, n4 = 19 * a4;
    return fe_carry(fe_product(a0, a0) + fe_product(d1, n4) + fe_product(d2, n3),
                    fe_product(d0, a1) + fe_product(d2, n4) + fe_product(a3, n3),
                    fe_product(d0, a2) + fe_product(a1, a1) + fe_product(2 * a3, n4),
                    fe_product(d0, a3) + fe_product(d1, a2) + fe_product(a4, n4),
                    fe_product(d0, a4) + fe_product(d1, a3) + fe_product(a2, a2));
}

/* a^(2^n), n >= 1. Loose in, tight out. */
static inline struct fe fe_square_times(const struct fe *a, int n)
{
    struct fe r = fe_square(a);
    while (--n > 0) {
        r = fe_square(&r);
    }
    return r;
}

/* Words of a value below 2^255 (least significant first); bit 255 is dropped. Limbs below 2^51. */
static inline struct fe fe_from_words(const uint64_t w[4])
{
    return (struct fe){{
        w[0] & FE_MASK,
        (w[0] >> 51 | w[1] << 13) & FE_MASK,
        (w[1] >> 38 | w[2] << 26) & FE_MASK,
        (w[2] >> 25 | w[3] << 39) & FE_MASK,
        w[3] >> 12 & FE_MASK,
    }};
}

/* The value modulo p, below p. Limbs of `a` below 2^63. A pass carries through all limbs, what
 * leaves the top coming back times 19: after the first limb 0 is below 2^51 + 19 2^13, after the
 * second below 2^51 + 19 (the carry out of the top being at most one), after the third every limb
 * is below 2^51: if something left the top in the third, the value was 2^255 .. 2^255 + 18 and is
 * now below 38. Then adding 19 and looking at bit 255 tells whether the value is at least p; if so
 * 19 is added and bit 255 dropped, which is subtracting p. */
static inline void fe_words(uint64_t w[4], const struct fe *a)
{
    uint64_t t[FE_LIMBS];
    memcpy(t, a->v, sizeof t);
    for (int pass = 0; pass < 3; pass++) {
        for (int i = 0; i < 4; i++) {
            t[i + 1] += t[i] >> 51;
            t[i] &= FE_MASK;
        }
        t[0] += 19 * (t[4] >> 51);
        t[4] &= FE_MASK;
    }
    uint64_t carry = (t[0] + 19) >> 51;
    for (int i = 1; i < FE_LIMBS; i++) {
        carry = (t[i] + carry) >> 51;
    }
    t[0] += 19 * carry;
    for (int i = 0; i < 4; i++) {
        t[i + 1] += t[i] >> 51;
        t[i] &= FE_MASK;
    }
    t[4] &= FE_MASK;
    w[0] = t[0] | t[1] << 51;
    w[1] = t[1] >> 13 | t[2] << 38;
    w[2] = t[2] >> 26 | t[3] << 25;
    w[3] = t[3] >> 39 | t[4] << 12;
}

/* Limbs below 2^63. */
static inline bool fe_is_zero(const struct fe *a)
{
    uint64_t w[4];
    fe_words(w, a);
    return (w[0] | w[1] | w[2] | w[3]) == 0;
}

/* Tight operands. */
static inline bool fe_equal(const struct fe *a, const struct fe *b)
{
    struct fe difference = fe_sub(a, b);
    return fe_is_zero(&difference);
}

/* 1 / a, zero for zero, in variable time. Limbs below 2^63; result tight. */
struct fe fe_invert_vartime(const struct fe *a);

/* a^((p - 5) / 8) = a^(2^252 - 3). Loose in, tight out. */
struct fe fe_power_p58(const struct fe *a);

#endif
