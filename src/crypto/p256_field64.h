/* Arithmetic modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1 with four 64-bit words, least significant
 * first, in the Montgomery domain: `a` stands for a 2^256 mod p. Every value is below p, and so is
 * every result: a field element has one form, and zero is zero. In C with 128-bit products; a file
 * compiled for BMI2 and ADX gets MULX and its carry chains from the compiler. */
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
#define FE64_CALL   static __attribute__((noinline, unused))

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

/* t + carry 2^256, below 2 p: below p. */
FE64_INLINE struct fe64 fe64_reduce_once(fe64_word t0, fe64_word t1, fe64_word t2, fe64_word t3,
                                         fe64_word carry)
{
    fe64_carry below = 0;
    const fe64_word s0 = fe64_sub_word(&below, t0, UINT64_MAX);
    const fe64_word s1 = fe64_sub_word(&below, t1, 0xffffffff);
    const fe64_word s2 = fe64_sub_word(&below, t2, 0);
    const fe64_word s3 = fe64_sub_word(&below, t3, 0xffffffff00000001);
    (void)fe64_sub_word(&below, carry, 0);
    /* Masks and not a choice, of which a compiler may make a branch that nobody can predict. */
    const fe64_word keep = 0 - (fe64_word)below;
    return (struct fe64){{s0 ^ ((s0 ^ t0) & keep), s1 ^ ((s1 ^ t1) & keep), s2 ^ ((s2 ^ t2) & keep),
                          s3 ^ ((s3 ^ t3) & keep)}};
}

FE64_INLINE struct fe64 fe64_add(const struct fe64 *a, const struct fe64 *b)
{
    fe64_carry carry = 0;
    const fe64_word t0 = fe64_add_word(&carry, a->v[0], b->v[0]);
    const fe64_word t1 = fe64_add_word(&carry, a->v[1], b->v[1]);
    const fe64_word t2 = fe64_add_word(&carry, a->v[2], b->v[2]);
    const fe64_word t3 = fe64_add_word(&carry, a->v[3], b->v[3]);
    return fe64_reduce_once(t0, t1, t2, t3, carry);
}

/* a - b, and if that borrows p is added: -p < a - b < p. */
FE64_INLINE struct fe64 fe64_sub(const struct fe64 *a, const struct fe64 *b)
{
    fe64_carry borrow = 0, carry = 0;
    const fe64_word t0 = fe64_sub_word(&borrow, a->v[0], b->v[0]);
    const fe64_word t1 = fe64_sub_word(&borrow, a->v[1], b->v[1]);
    const fe64_word t2 = fe64_sub_word(&borrow, a->v[2], b->v[2]);
    const fe64_word t3 = fe64_sub_word(&borrow, a->v[3], b->v[3]);
    const fe64_word minus = 0 - (fe64_word)borrow;
    struct fe64 r;
    r.v[0] = fe64_add_word(&carry, t0, minus);
    r.v[1] = fe64_add_word(&carry, t1, minus & 0xffffffff);
    r.v[2] = fe64_add_word(&carry, t2, 0);
    r.v[3] = fe64_add_word(&carry, t3, minus & 0xffffffff00000001);
    return r;
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

/* -a, zero for zero. */
FE64_INLINE struct fe64 fe64_negate(const struct fe64 *a)
{
    const struct fe64 zero = {{0}};
    return fe64_sub(&zero, a);
}

/* t / 2^256 mod p for t < p 2^256. As p = -1 mod 2^64 the multiple of p that clears a word q is q
 * itself, and q + q p = q 2^64 (2^32 + 2^128 0xffffffff00000001) needs one product (Gueron and
 * Krasnov, "Fast prime field elliptic-curve cryptography with 256-bit primes", 2015, section 4).
 * Four turns on the low half alone: L < 2^256 becomes (L + q p) / 2^256 with q < 2^256, which is at
 * most p, so no turn leaves four words. With the high half, below p, the sum is below 2 p. */
FE64_INLINE struct fe64 fe64_reduce(const fe64_word t[8])
{
    fe64_word t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
    fe64_carry carry;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const fe64_word q = t0;
        fe64_word high;
        const fe64_word low = fe64_mul_word(q, 0xffffffff00000001, &high);
        carry = 0;
        t0 = fe64_add_word(&carry, t1, q << 32);
        t1 = fe64_add_word(&carry, t2, q >> 32);
        t2 = fe64_add_word(&carry, t3, low);
        t3 = fe64_add_word(&carry, high, 0);
    }
    carry = 0;
    t0 = fe64_add_word(&carry, t0, t[4]);
    t1 = fe64_add_word(&carry, t1, t[5]);
    t2 = fe64_add_word(&carry, t2, t[6]);
    t3 = fe64_add_word(&carry, t3, t[7]);
    return fe64_reduce_once(t0, t1, t2, t3, carry);
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

FE64_CALL struct fe64 fe64_mul(const struct fe64 *a, const struct fe64 *b)
{
    fe64_word t[8];
    fe64_product(t, a->v, b->v);
    return fe64_reduce(t);
}

/* The six mixed products once, doubled (their sum is below 2^511), then the four squares. */
FE64_CALL struct fe64 fe64_square(const struct fe64 *a)
{
    const uint64_t *x = a->v;
    fe64_word t[8], h1, h2, h3, s1, s2, s3;
    fe64_carry carry = 0;
    t[1] = fe64_mul_word(x[0], x[1], &h1);
    fe64_word l2 = fe64_mul_word(x[0], x[2], &h2);
    fe64_word l3 = fe64_mul_word(x[0], x[3], &h3);
    t[2] = fe64_add_word(&carry, l2, h1);
    t[3] = fe64_add_word(&carry, l3, h2);
    t[4] = fe64_add_word(&carry, h3, 0);
    l2 = fe64_mul_word(x[1], x[2], &h1);
    l3 = fe64_mul_word(x[1], x[3], &h2);
    t[6] = fe64_mul_word(x[2], x[3], &h3);
    carry = 0;
    h1 = fe64_add_word(&carry, h1, l3);
    t[5] = fe64_add_word(&carry, t[6], h2);
    t[6] = fe64_add_word(&carry, h3, 0);
    carry = 0;
    t[3] = fe64_add_word(&carry, t[3], l2);
    t[4] = fe64_add_word(&carry, t[4], h1);
    t[5] = fe64_add_word(&carry, t[5], 0);
    t[6] = fe64_add_word(&carry, t[6], 0);
    carry = 0;
#pragma GCC unroll 6
    for (int i = 1; i < 7; i++) {
        t[i] = fe64_add_word(&carry, t[i], t[i]);
    }
    t[7] = carry;
    t[0] = fe64_mul_word(x[0], x[0], &h1);
    s1 = fe64_mul_word(x[1], x[1], &h2);
    s2 = fe64_mul_word(x[2], x[2], &h3);
    fe64_word h4;
    s3 = fe64_mul_word(x[3], x[3], &h4);
    carry = 0;
    t[1] = fe64_add_word(&carry, t[1], h1);
    t[2] = fe64_add_word(&carry, t[2], s1);
    t[3] = fe64_add_word(&carry, t[3], h2);
    t[4] = fe64_add_word(&carry, t[4], s2);
    t[5] = fe64_add_word(&carry, t[5], h3);
    t[6] = fe64_add_word(&carry, t[6], s3);
    t[7] = fe64_add_word(&carry, t[7], h4);
    return fe64_reduce(t);
}

/* A number of 256 bits into the domain: a r2 < 2^256 p is what fe64_reduce takes. */
FE64_INLINE struct fe64 fe64_from_words(const uint64_t words[4])
{
    struct fe64 a;
    memcpy(a.v, words, sizeof a.v);
    return fe64_mul(&a, &fe64_r2);
}

/* 1 / a mod p as plain numbers, below p; zero for zero. */
struct fe64 fe64_invert_words_vartime(const struct fe64 *a);

/* 1 / a in the domain; zero for zero. */
struct fe64 fe64_invert_vartime(const struct fe64 *a);

#endif
