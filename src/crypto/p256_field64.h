/* Arithmetic modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1 with four 64-bit words, least significant
 * first, in the Montgomery domain: `a` stands for a 2^256 mod p. Every value is below p, and so is
 * every result: a field element has one form, and zero is zero. */
#ifndef POPGATE_CRYPTO_P256_FIELD64_H
#define POPGATE_CRYPTO_P256_FIELD64_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct fe64 {
    uint64_t v[4];
};

#define FE64_INLINE static inline __attribute__((always_inline))

static const struct fe64 fe64_p = {{UINT64_MAX, 0xffffffff, 0, 0xffffffff00000001}};
/* 2^256 mod p, which stands for 1; and 2^512 mod p, which brings a number into the domain. */
static const struct fe64 fe64_one = {{1, 0xffffffff00000000, UINT64_MAX, 0xfffffffe}};
static const struct fe64 fe64_r2 = {
    {3, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};

/* Carry chains. gcc 12 makes ADC of the intrinsics but not of sums in 128 bits. Carry and borrow
 * are 0 or 1. */
#if defined(__x86_64__)
typedef unsigned long long fe64_word; /* what the intrinsics take */
typedef unsigned char fe64_carry;

FE64_INLINE fe64_word fe64_add_word(fe64_carry *carry, fe64_word a, fe64_word b)
{
    fe64_word sum;
    *carry = _addcarry_u64(*carry, a, b, &sum);
    return sum;
}

FE64_INLINE fe64_word fe64_sub_word(fe64_carry *borrow, fe64_word a, fe64_word b)
{
    fe64_word difference;
    *borrow = _subborrow_u64(*borrow, a, b, &difference);
    return difference;
}
#else
typedef uint64_t fe64_word;
typedef uint64_t fe64_carry;

FE64_INLINE fe64_word fe64_add_word(fe64_carry *carry, fe64_word a, fe64_word b)
{
    const unsigned __int128 sum = (unsigned __int128)a + b + *carry;
    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
}

FE64_INLINE fe64_word fe64_sub_word(fe64_carry *borrow, fe64_word a, fe64_word b)
{
    const unsigned __int128 difference = (unsigned __int128)a - b - *borrow;
    *borrow = (uint64_t)(difference >> 64) & 1;
    return (uint64_t)difference;
}
#endif

FE64_INLINE fe64_word fe64_mul_word(fe64_word a, fe64_word b, fe64_word *high)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}

FE64_INLINE bool fe64_is_zero(const struct fe64 *a)
{
    return (a->v[0] | a->v[1] | a->v[2] | a->v[3]) == 0;
}

FE64_INLINE bool fe64_equal(const struct fe64 *a, const struct fe64 *b)
{
    return ((a->v[0] ^ b->v[0]) | (a->v[1] ^ b->v[1]) | (a->v[2] ^ b->v[2]) |
            (a->v[3] ^ b->v[3])) == 0;
}

/* t = x y */
FE64_INLINE void fe64_product(fe64_word t[8], const uint64_t x[4], const uint64_t y[4])
{
    fe64_word h0, h1, h2, h3;
    fe64_carry carry = 0;
    t[0] = fe64_mul_word(x[0], y[0], &h0);
    fe64_word l1 = fe64_mul_word(x[1], y[0], &h1);
    fe64_word l2 = fe64_mul_word(x[2], y[0], &h2);
    fe64_word l3 = fe64_mul_word(x[3], y[0], &h3);
    t[1] = fe64_add_word(&carry, h0, l1);
    t[2] = fe64_add_word(&carry, h1, l2);
    t[3] = fe64_add_word(&carry, h2, l3);
    t[4] = fe64_add_word(&carry, h3, 0);
#pragma GCC unroll 3
    for (int i = 1; i < 4; i++) {
        /* A row of four words by one is five words: the high word's sum does not carry. */
        const fe64_word l0 = fe64_mul_word(x[0], y[i], &h0);
        l1 = fe64_mul_word(x[1], y[i], &h1);
        l2 = fe64_mul_word(x[2], y[i], &h2);
        l3 = fe64_mul_word(x[3], y[i], &h3);
        carry = 0;
        h0 = fe64_add_word(&carry, h0, l1);
        h1 = fe64_add_word(&carry, h1, l2);
        h2 = fe64_add_word(&carry, h2, l3);
        h3 = fe64_add_word(&carry, h3, 0);
        carry = 0;
        t[i] = fe64_add_word(&carry, t[i], l0);
        t[i + 1] = fe64_add_word(&carry, t[i + 1], h0);
        t[i + 2] = fe64_add_word(&carry, t[i + 2], h1);
        t[i + 3] = fe64_add_word(&carry, t[i + 3], h2);
        t[i + 4] = fe64_add_word(&carry, h3, 0);
    }
}

/* t + carry 2^256, below twice the modulus: below it. */
FE64_INLINE void fe64_reduce_once(uint64_t r[4], const uint64_t modulus[4], fe64_word t0,
                                  fe64_word t1, fe64_word t2, fe64_word t3, fe64_word carry)
{
    fe64_carry below = 0;
    const fe64_word s0 = fe64_sub_word(&below, t0, modulus[0]);
    const fe64_word s1 = fe64_sub_word(&below, t1, modulus[1]);
    const fe64_word s2 = fe64_sub_word(&below, t2, modulus[2]);
    const fe64_word s3 = fe64_sub_word(&below, t3, modulus[3]);
    (void)fe64_sub_word(&below, carry, 0);
    /* Masks and not a choice, of which a compiler may make a branch that nobody can predict. */
    const fe64_word keep = 0 - (fe64_word)below;
    r[0] = s0 ^ ((s0 ^ t0) & keep);
    r[1] = s1 ^ ((s1 ^ t1) & keep);
    r[2] = s2 ^ ((s2 ^ t2) & keep);
    r[3] = s3 ^ ((s3 ^ t3) & keep);
}

/* Products stand in a function of their own: they need every register, and a copy of each where it
 * is used would not stay in the instruction cache. */
#define FE64_MULTIPLY static __attribute__((noinline, unused))

/* Two versions of the four functions that take the time, one contract: operands and results below
 * p, every result where `r` says, which may be an operand, no branch that depends on a value.
 *     fe64_add      a + b
 *     fe64_sub      a - b
 *     fe64_mul      a b / 2^256: the product's stand-in; b may be any four words
 *     fe64_square   a a / 2^256
 * A file compiled for BMI2 and ADX takes the assembly, unless it is the one that tests the C. */
#if defined(__x86_64__) && defined(__BMI2__) && defined(__ADX__) && !defined(FE64_IN_C)
#include "crypto/p256_field64_bmi2.h"
#else
#include "crypto/p256_field64_c.h"
#endif

/* -a, zero for zero. */
FE64_INLINE void fe64_negate(struct fe64 *r, const struct fe64 *a)
{
    const struct fe64 zero = {{0}};
    fe64_sub(r, &zero, a);
}

/* A number of 256 bits into the domain. */
FE64_INLINE void fe64_from_words(struct fe64 *r, const uint64_t words[4])
{
    memcpy(r->v, words, sizeof r->v);
    fe64_mul(r, &fe64_r2, r);
}

/* 1 / a mod p as plain numbers, below p; zero for zero. */
void fe64_invert_words_vartime(struct fe64 *r, const struct fe64 *a);

/* 1 / a in the domain; zero for zero. */
void fe64_invert_vartime(struct fe64 *r, const struct fe64 *a);

#endif
