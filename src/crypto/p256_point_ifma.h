/* Points in the eight lanes of AVX-512 IFMA. Bounds of values are in units of 2^256, as in
 * p256_field_ifma.h. Formulas madd-2008-s, mmadd-2008-s and add-2008-s of the Explicit-Formulas
 * Database (hyperelliptic.org/EFD/g1p): XYZZ coordinates, x = X / ZZ, y = Y / ZZZ. */
#ifndef POPGATE_CRYPTO_P256_POINT_IFMA_H
#define POPGATE_CRYPTO_P256_POINT_IFMA_H

#include "crypto/p256_ifma.h"

#if defined(__x86_64__)

/* y for `terms`: subtracted where the lowest bit is set. Wide, 0 <= y <= 1, limbs of at most 2^52
 * in size. */
FE8_PRODUCT struct fe8 load_y(const uintptr_t terms[FE8_LANES])
{
    const __mmask8 negative = _mm512_test_epi64_mask(_mm512_loadu_si512((const void *)terms),
                                                     fe8_set1(1));
    struct fe8 y = fe8_load(terms, offsetof(struct p256_entry, y));
#pragma GCC unroll 5
    for (int i = 0; i < FE8_LIMBS; i++) {
        y.v[i] = _mm512_mask_sub_epi64(y.v[i], negative, fe8_set1(fe8_p.v[i]), y.v[i]);
    }
    return y;
}

FE8_PRODUCT struct fe8 load_x(const uintptr_t terms[FE8_LANES])
{
    return fe8_load(terms, offsetof(struct p256_entry, x));
}

FE8_INLINE struct fe8 carried(struct fe8 a)
{
    return fe8_carry(&a);
}

/* a - b + k p, carried: b at most k, a + k below 16. */
FE8_PRODUCT struct fe8 difference(const struct fe8 *a, const struct fe8 *b, uint64_t k)
{
    struct fe8 r = fe8_sub(a, b);
    r = fe8_add_p(&r, k);
    return fe8_carry(&r);
}

/* x folded; y wide, below 2.6; zz carried, below 4.3; zzz carried, below 3. `y` stands for Y or for
 * -Y, in turns: the code knows which. */
struct xyzz8 {
    struct fe8 x, y, zz, zzz;
};

/* d^2 - ppp - 2 q + k p, folded. */
FE8_PRODUCT struct fe8 third_x(const struct fe8 *d, const struct fe8 *ppp, const struct fe8 *q,
                               uint64_t k)
{
    struct fe8 t = fe8_add(q, q);
    t = fe8_add(&t, ppp);
    t = fe8_p_minus(k, &t);
    t = fe8_square_add(d, &t);
    return fe8_fold(&t);
}

/* -(a + b): x below 3.2, y below 2.6. P < 7.2, R < 5.6, PP < 4.3, PPP < 3, Q < 1.9, R^2 < 3: X < 3
 * + 7, Y < 5.6 * 3 / 16 + 2.6 * 3 / 16 + 1 < 2.6. */
FE8_PRODUCT struct xyzz8 add_two(const struct p256_point8 *a, const struct p256_point8 *b)
{
    struct xyzz8 r;
    const struct fe8 p = difference(&b->x, &a->x, 4), d = difference(&b->y, &a->y, 3);
    const struct fe8 ax = carried(a->x), ay = carried(a->y);
    r.zz = carried(fe8_square(&p));
    const struct fe8 ppp = fe8_mul(&p, &r.zz), q = fe8_mul(&ax, &r.zz);
    r.zzz = carried(ppp);
    r.x = third_x(&d, &ppp, &q, 7);
    const struct fe8 t = difference(&r.x, &q, 2);
    r.y = fe8_mul_mul(&d, &t, &ay, &r.zzz);
    return r;
}

/* With `negative` the y of `a` is -Y and that of the result Y, otherwise the other way round: so
 * that Y3 = R (Q - X3) - Y1 PPP is a sum of two products, reduced once. b's x below 3.2, y below
 * 2.6. U2 < 1.9, P < 3.9, PP < 2, PPP < 1.5, Q < 1.2; S2 < 1.5, R < 4.5, R^2 < 2.3; X < 2.3 + 4; Y
 * < 4.5 * 3.2 / 16 + 2.6 * 1.5 / 16 + 1 < 2.2; zz < 4.3 * 2 / 16 + 1 < 1.6, zzz < 3 * 1.5 / 16 + 1
 * < 1.3. With `last` only x and zz are computed. */
FE8_PRODUCT struct xyzz8 add_mixed(const struct xyzz8 *a, const struct p256_point8 *b,
                                   bool negative, bool last)
{
    struct xyzz8 r = *a;
    const struct fe8 bx = carried(b->x), by = carried(b->y);
    struct fe8 t = fe8_p_minus(2, &a->x);
    const struct fe8 p = carried(fe8_mul_add(&bx, &a->zz, &t));
    t = negative ? a->y : fe8_p_minus(3, &a->y);
    const struct fe8 d = carried(fe8_mul_add(&by, &a->zzz, &t));
    const struct fe8 pp = carried(fe8_square(&p));
    const struct fe8 ppp = fe8_mul(&p, &pp), ax = carried(a->x);
    const struct fe8 q = fe8_mul(&ax, &pp);
    r.zz = carried(fe8_mul(&a->zz, &pp));
    r.x = third_x(&d, &ppp, &q, 4);
    if (!last) {
        const struct fe8 ay = carried(a->y), ppp_carried = carried(ppp);
        t = negative ? difference(&q, &r.x, 2) : difference(&r.x, &q, 2);
        r.y = fe8_mul_mul(&d, &t, &ay, &ppp_carried);
        r.zzz = carried(fe8_mul(&a->zzz, &ppp_carried));
    }
    return r;
}

/* -(a + b), where the y of both are Y, or both -Y. U < 1.3, S < 1.5, P < 3.3, R < 3.5, PP < 1.7,
 * PPP < 1.4, Q < 1.2: X < 1.8 + 4, Y < 2. With `last` only x and zz are computed. */
FE8_PRODUCT struct xyzz8 add_full(const struct xyzz8 *a, const struct xyzz8 *b, bool last)
{
    struct xyzz8 r = *a;
    const struct fe8 ax = carried(a->x), ay = carried(a->y);
    const struct fe8 bx = carried(b->x), by = carried(b->y);
    const struct fe8 u1 = fe8_mul(&ax, &b->zz), s1 = fe8_mul(&ay, &b->zzz);
    struct fe8 t = fe8_p_minus(2, &u1);
    const struct fe8 p = carried(fe8_mul_add(&bx, &a->zz, &t));
    t = fe8_p_minus(2, &s1);
    const struct fe8 d = carried(fe8_mul_add(&by, &a->zzz, &t));
    const struct fe8 pp = carried(fe8_square(&p)), u1_carried = carried(u1);
    const struct fe8 ppp = fe8_mul(&p, &pp), q = fe8_mul(&u1_carried, &pp);
    t = carried(fe8_mul(&a->zz, &b->zz));
    r.zz = carried(fe8_mul(&t, &pp));
    r.x = third_x(&d, &ppp, &q, 4);
    if (!last) {
        const struct fe8 s1_carried = carried(s1), ppp_carried = carried(ppp);
        t = carried(fe8_mul(&a->zzz, &b->zzz));
        r.zzz = carried(fe8_mul(&t, &ppp_carried));
        t = difference(&r.x, &q, 2);
        r.y = fe8_mul_mul(&d, &t, &s1_carried, &ppp_carried);
    }
    return r;
}

FE8_PRODUCT struct xyzz8 blend(__mmask8 mask, const struct xyzz8 *a, const struct xyzz8 *b)
{
    return (struct xyzz8){fe8_blend(mask, &a->x, &b->x), fe8_blend(mask, &a->y, &b->y),
                          fe8_blend(mask, &a->zz, &b->zz), fe8_blend(mask, &a->zzz, &b->zzz)};
}

#endif
#endif
