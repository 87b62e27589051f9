/* The field functions of p256_field64.h in C with 128-bit products, for every CPU. Included by
 * p256_field64.h alone. */
#ifndef POPGATE_CRYPTO_P256_FIELD64_C_H
#define POPGATE_CRYPTO_P256_FIELD64_C_H

FE64_INLINE void fe64_add(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    fe64_carry carry = 0;
    const fe64_word t0 = fe64_add_word(&carry, a->v[0], b->v[0]);
    const fe64_word t1 = fe64_add_word(&carry, a->v[1], b->v[1]);
    const fe64_word t2 = fe64_add_word(&carry, a->v[2], b->v[2]);
    const fe64_word t3 = fe64_add_word(&carry, a->v[3], b->v[3]);
    fe64_reduce_once(r->v, fe64_p.v, t0, t1, t2, t3, carry);
}

/* a - b, and if that borrows p is added: -p < a - b < p. */
FE64_INLINE void fe64_sub(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    fe64_carry borrow = 0, carry = 0;
    const fe64_word t0 = fe64_sub_word(&borrow, a->v[0], b->v[0]);
    const fe64_word t1 = fe64_sub_word(&borrow, a->v[1], b->v[1]);
    const fe64_word t2 = fe64_sub_word(&borrow, a->v[2], b->v[2]);
    const fe64_word t3 = fe64_sub_word(&borrow, a->v[3], b->v[3]);
    const fe64_word minus = 0 - (fe64_word)borrow;
    r->v[0] = fe64_add_word(&carry, t0, minus);
    r->v[1] = fe64_add_word(&carry, t1, minus & 0xffffffff);
    r->v[2] = fe64_add_word(&carry, t2, 0);
    r->v[3] = fe64_add_word(&carry, t3, minus & 0xffffffff00000001);
}

/* t / 2^256 mod p for t < p 2^256. As p = -1 mod 2^64 the multiple of p that clears a word q is q
 * itself, and q + q p = q 2^64 (2^32 + 2^128 0xffffffff00000001) needs one product (Gueron and
 * Krasnov, "Fast prime field elliptic-curve cryptography with 256-bit primes", 2015, section 4).
 * Four turns on the low half alone: L < 2^256 becomes (L + q p) / 2^256 with q < 2^256, which is at
 * most p, so no turn leaves four words. With the high half, below p, the sum is below 2 p. */
FE64_INLINE void fe64_reduce(struct fe64 *r, const fe64_word t[8])
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
    fe64_reduce_once(r->v, fe64_p.v, t0, t1, t2, t3, carry);
}

FE64_MULTIPLY void fe64_mul(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    fe64_word t[8];
    fe64_product(t, a->v, b->v);
    fe64_reduce(r, t);
}

/* The six mixed products once, doubled (their sum is below 2^511), then the four squares. */
FE64_MULTIPLY void fe64_square(struct fe64 *r, const struct fe64 *a)
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
    fe64_reduce(r, t);
}

#endif
