/* ES256 with 64-bit words: compiled twice, by p256_verify_portable.c and p256_verify_bmi2.c, which
 * define P256_NAME. Formulas from the Explicit-Formulas Database (hyperelliptic.org/EFD/g1p):
 * affine addition, dbl-2001-b in Jacobian coordinates for a = -3, madd-2008-s and mmadd-2008-s in
 * XYZZ coordinates (x = X / ZZ, y = Y / ZZZ, ZZ^3 = ZZZ^2). */
#include "crypto/p256_engine.h"

/* A level of the tree costs one inversion and saves four products an addition: worth it from so
 * many additions on. */
#define LEVEL_ADDITIONS_MIN 26

/* Pairs that are added side by side. */
#define LANES 2

struct xyzz {
    struct fe64 x, y, zz, zzz;
};

/* The sums of `lanes` pairs, step by step side by side, because one alone waits for each product's
 * end. inverses: per lane the inverse of the product of this difference and those that were
 * multiplied before it; becomes the one for what is next in the lane. Operands are read before any
 * sum is written. */
FE64_INLINE void add_affine(const struct p256_pair64 *pairs, const struct fe64 *differences,
                            const struct fe64 *products, struct fe64 *inverses, size_t lanes)
{
    struct fe64 slope[LANES], rise[LANES], ax[LANES], ay[LANES], bx[LANES];
#pragma GCC unroll 2
    for (size_t i = 0; i < lanes; i++) {
        ax[i] = pairs[i].a->x;
        ay[i] = pairs[i].a->y;
        bx[i] = pairs[i].b->x;
        fe64_sub(&rise[i], &pairs[i].b->y, &ay[i]);
        fe64_mul(&slope[i], &inverses[i], &products[i]);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < lanes; i++) {
        fe64_mul(&slope[i], &slope[i], &rise[i]);
        fe64_mul(&inverses[i], &inverses[i], &differences[i]);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < lanes; i++) {
        struct fe64 *x = &pairs[i].out->x;
        fe64_square(x, &slope[i]);
        fe64_sub(x, x, &ax[i]);
        fe64_sub(x, x, &bx[i]);
        fe64_sub(&rise[i], &ax[i], x);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < lanes; i++) {
        fe64_mul(&rise[i], &slope[i], &rise[i]);
        fe64_sub(&pairs[i].out->y, &rise[i], &ay[i]);
    }
}

/* The affine sums of a list of pairs, by one inversion for all (Montgomery's trick): one product a
 * pair on the way through the list, two on the way back, two and a square for the sum. The way
 * through goes down and the way back up, so that `out` may lie on an operand of the same or an
 * earlier pair. Two independent chains of products, of the even and of the odd pairs; products[i]
 * is that of the later differences of its chain. A pair with equal x has no affine sum by this
 * formula: its owner is marked, 1 stands in for the difference, and `out` is meaningless. */
static void add_pairs(const struct p256_pair64 *pairs, size_t count, struct fe64 *differences,
                      struct fe64 *products, bool *exceptional)
{
    struct fe64 whole[LANES] = {fe64_one, fe64_one}, inverses[LANES], inverse;
    for (size_t i = count; i-- > 0;) {
        fe64_sub(&differences[i], &pairs[i].b->x, &pairs[i].a->x);
        if (fe64_is_zero(&differences[i])) {
            exceptional[pairs[i].owner] = true;
            differences[i] = fe64_one;
        }
        if (i + LANES < count) {
            fe64_mul(&products[i], &products[i + LANES], &differences[i + LANES]);
        } else {
            products[i] = fe64_one;
        }
    }
    for (size_t i = 0; i < LANES && i < count; i++) {
        fe64_mul(&whole[i], &products[i], &differences[i]);
    }
    fe64_mul(&inverse, &whole[0], &whole[1]);
    fe64_invert_vartime(&inverse, &inverse);
    fe64_mul(&inverses[0], &inverse, &whole[1]);
    fe64_mul(&inverses[1], &inverse, &whole[0]);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        add_affine(&pairs[i], &differences[i], &products[i], inverses, LANES);
    }
    if (i < count) {
        add_affine(&pairs[i], &differences[i], &products[i], inverses, 1);
    }
}

/* One level of the trees of `live` signatures with `terms` points each; an odd one is moved down.
 */
static size_t add_level(struct p256_scratch64 *scratch, size_t live, size_t terms)
{
    const size_t half = terms / 2;
    size_t count = 0;
    for (size_t i = 0; i < live; i++) {
        struct p256_point64 *points = scratch->points[i];
        for (size_t j = 0; j < half; j++) {
            scratch->pairs[count++] = (struct p256_pair64){
                .a = &points[2 * j], .b = &points[2 * j + 1], .out = &points[j], .owner = i};
        }
    }
    add_pairs(scratch->pairs, count, scratch->differences, scratch->products, scratch->exceptional);
    for (size_t i = 0; terms % 2 != 0 && i < live; i++) {
        scratch->points[i][half] = scratch->points[i][terms - 1];
    }
    return half + terms % 2;
}

/* a + b for different x: otherwise zz and zzz are zero, and stay so. */
static struct xyzz add_two(const struct p256_point64 *a, const struct p256_point64 *b)
{
    struct xyzz r;
    struct fe64 p, d, q, t;
    fe64_sub(&p, &b->x, &a->x);
    fe64_sub(&d, &b->y, &a->y);
    fe64_square(&r.zz, &p);
    fe64_mul(&r.zzz, &p, &r.zz);
    fe64_mul(&q, &a->x, &r.zz);
    fe64_square(&r.x, &d);
    fe64_sub(&r.x, &r.x, &r.zzz);
    fe64_sub(&r.x, &r.x, &q);
    fe64_sub(&r.x, &r.x, &q);
    fe64_sub(&q, &q, &r.x);
    fe64_mul(&q, &d, &q);
    fe64_mul(&t, &a->y, &r.zzz);
    fe64_sub(&r.y, &q, &t);
    return r;
}

/* a + b for different x: otherwise zz and zzz are zero, and stay so. With `last` only x and zz are
 * computed. */
FE64_INLINE struct xyzz add_mixed(const struct xyzz *a, const struct p256_point64 *b, bool last)
{
    struct xyzz r = *a;
    struct fe64 p, d, pp, ppp, q, t;
    fe64_mul(&p, &b->x, &a->zz);
    fe64_mul(&d, &b->y, &a->zzz);
    fe64_sub(&p, &p, &a->x);
    fe64_sub(&d, &d, &a->y);
    fe64_square(&pp, &p);
    fe64_mul(&ppp, &p, &pp);
    fe64_mul(&q, &a->x, &pp);
    fe64_mul(&r.zz, &a->zz, &pp);
    fe64_square(&r.x, &d);
    fe64_sub(&r.x, &r.x, &ppp);
    fe64_sub(&r.x, &r.x, &q);
    fe64_sub(&r.x, &r.x, &q);
    if (!last) {
        fe64_sub(&q, &q, &r.x);
        fe64_mul(&q, &d, &q);
        fe64_mul(&t, &a->y, &ppp);
        fe64_sub(&r.y, &q, &t);
        fe64_mul(&r.zzz, &a->zzz, &ppp);
    }
    return r;
}

/* FIPS 186-5 section 6.4.2: the signature is valid if r is the sum's x coordinate modulo n. x < p <
 * 2 n, so x is r or r + n. No inversion: X = r ZZ. */
static enum status compare(const struct fe64 *x, const struct fe64 *zz, const uint64_t r[4])
{
    uint64_t second[4];
    if (fe64_is_zero(zz)) {
        return STATUS_AGAIN;
    }
    struct fe64 t;
    fe64_from_words(&t, r);
    fe64_mul(&t, &t, zz);
    bool equal = fe64_equal(&t, x);
    if (!equal && p256_second_x(second, r)) {
        fe64_from_words(&t, second);
        fe64_mul(&t, &t, zz);
        equal = fe64_equal(&t, x);
    }
    return equal ? STATUS_OK : STATUS_FAILED;
}

static enum status decide(const struct p256_point64 *points, size_t terms, const uint64_t r[4])
{
    if (terms == 2) {
        /* (a + b).x ZZ = X with ZZ = (b.x - a.x)^2, X = (b.y - a.y)^2 - (a.x + b.x) ZZ. */
        struct fe64 zz, x, sum;
        fe64_sub(&zz, &points[1].x, &points[0].x);
        fe64_sub(&x, &points[1].y, &points[0].y);
        fe64_add(&sum, &points[0].x, &points[1].x);
        fe64_square(&zz, &zz);
        fe64_square(&x, &x);
        fe64_mul(&sum, &sum, &zz);
        fe64_sub(&x, &x, &sum);
        return compare(&x, &zz, r);
    }
    struct xyzz sum = add_two(&points[0], &points[1]);
    for (size_t i = 2; i + 1 < terms; i++) {
        sum = add_mixed(&sum, &points[i], false);
    }
    sum = add_mixed(&sum, &points[terms - 1], true);
    return compare(&sum.x, &sum.zz, r);
}

static void load_points(struct p256_point64 *points, const uintptr_t *terms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memcpy(&points[i], p256_term_entry(terms[i]), sizeof points[i]);
        if ((terms[i] & 1) != 0) {
            fe64_negate(&points[i].y, &points[i].y);
        }
    }
}

void P256_NAME(p256_verify)(const struct p256_entry *generator, struct p256_scratch64 *scratch,
                            unsigned windows, struct engine_job *jobs, size_t count)
{
    struct p256_loading *loading = &scratch->loading;
    p256_load(loading, jobs, count);
    const size_t live = loading->live;
    if (live == 0) {
        return;
    }
    p256_load_invert_vartime(loading);
    size_t terms = P256_TERMS(windows);
    for (size_t i = live; i-- > 0;) {
        const struct p256_signature *signature = &loading->signatures[i];
        scratch->exceptional[i] = false;
        p256_load_u2(loading, i);
        p256_recode_vartime(scratch->terms[i], 1, signature->u2, windows, signature->job->table);
    }
    p256_load_digests(loading);
    for (size_t i = 0; i < live; i++) {
        p256_load_u1(loading, i);
        p256_recode_vartime(scratch->terms[i] + windows, 1, loading->signatures[i].u1,
                            P256_WINDOWS_GENERATOR, generator);
    }
    for (size_t i = 0; i < live; i++) {
        load_points(scratch->points[i], scratch->terms[i], terms);
    }
    while (terms > 2 && live * (terms / 2) >= LEVEL_ADDITIONS_MIN) {
        terms = add_level(scratch, live, terms);
    }
    for (size_t i = 0; i < live; i++) {
        const struct p256_signature *signature = &loading->signatures[i];
        signature->job->status = scratch->exceptional[i]
                                     ? STATUS_AGAIN
                                     : decide(scratch->points[i], terms, signature->r);
    }
}

/* 2^i P for i = 0 .. 255 in Jacobian coordinates. n is an odd prime: none is the point at infinity,
 * no z is zero. */
void P256_NAME2(p256_chain)(const struct p256_point64 *point, struct p256_scratch64 *scratch)
{
    struct fe64 x = point->x, y = point->y, z = fe64_one;
    for (size_t i = 0; i < P256_DOUBLINGS; i++) {
        scratch->chain_x[i] = x;
        scratch->chain_y[i] = y;
        scratch->chain_z[i] = z;
        struct fe64 alpha, beta, gamma, delta, t;
        fe64_square(&delta, &z);
        fe64_square(&gamma, &y);
        fe64_mul(&beta, &x, &gamma);
        fe64_add(&t, &x, &delta);
        fe64_sub(&alpha, &x, &delta);
        fe64_mul(&alpha, &alpha, &t);
        fe64_add(&t, &alpha, &alpha);
        fe64_add(&alpha, &alpha, &t);
        fe64_mul(&z, &y, &z);
        fe64_add(&z, &z, &z);
        fe64_add(&beta, &beta, &beta);
        fe64_add(&beta, &beta, &beta);
        fe64_square(&x, &alpha);
        fe64_sub(&x, &x, &beta);
        fe64_sub(&x, &x, &beta);
        fe64_add(&gamma, &gamma, &gamma);
        fe64_square(&gamma, &gamma);
        fe64_add(&gamma, &gamma, &gamma);
        fe64_sub(&y, &beta, &x);
        fe64_mul(&y, &alpha, &y);
        fe64_sub(&y, &y, &gamma);
    }
}

/* The same as affine points, by one inversion. */
static void doublings_make(const struct p256_point64 *point, struct p256_scratch64 *scratch)
{
    struct fe64 *products = scratch->products, product = fe64_one;
    P256_NAME2(p256_chain)(point, scratch);
    for (size_t i = 0; i < P256_DOUBLINGS; i++) {
        products[i] = product;
        fe64_mul(&product, &product, &scratch->chain_z[i]);
    }
    struct fe64 inverse;
    fe64_invert_vartime(&inverse, &product);
    for (size_t i = P256_DOUBLINGS; i-- > 0;) {
        struct fe64 zi, zz;
        fe64_mul(&zi, &inverse, &products[i]);
        fe64_mul(&inverse, &inverse, &scratch->chain_z[i]);
        fe64_square(&zz, &zi);
        fe64_mul(&scratch->chain[i].x, &scratch->chain_x[i], &zz);
        fe64_mul(&zz, &zz, &zi);
        fe64_mul(&scratch->chain[i].y, &scratch->chain_y[i], &zz);
    }
}

/* Entry j of the window at bit b is (2 j + 1) B with B = 2^b P. Level l makes entries 2^(l-1) ..
 * 2^l - 1 from the ones below by adding 2^l B, a doubling of the chain: (2 (2^(l-1) + j) + 1) B =
 * (2 j + 1) B + 2^l B. All the additions of a level are independent. The two operands are multiples
 * k P, k' P with 0 < k < k' < k + k' < n (k' = 2^(b + l) is at most 2^255, k is smaller than k',
 * and their sum is a multiple of 2^b below 2^256, where b > 224 for the top window and n > 2^256 -
 * 2^224): never equal, never opposite, so the level has no exceptions. */
void P256_NAME2(p256_build)(struct p256_entry *table, unsigned windows,
                            const struct p256_point64 *point, struct p256_scratch64 *scratch)
{
    _Static_assert(sizeof(struct p256_entry) == sizeof(struct p256_point64), "one is the other");
    struct p256_point64 *entries = (struct p256_point64 *)(void *)table;
    const struct windows shape = p256_windows(windows);
    bool exceptional = false;
    doublings_make(point, scratch);
    for (unsigned i = 0; i < windows; i++) {
        entries[window_entry(&shape, i)] = scratch->chain[window_position(&shape, i)];
    }
    for (unsigned level = 1; level < window_bits(&shape, 0); level++) {
        const size_t below = (size_t)1 << (level - 1);
        const unsigned of_level = level < shape.bits ? windows : shape.wide;
        size_t count = 0;
        for (unsigned i = 0; i < of_level; i++) {
            struct p256_point64 *first = &entries[window_entry(&shape, i)];
            for (size_t j = 0; j < below; j++) {
                scratch->pairs[count++] = (struct p256_pair64){
                    .a = &first[j],
                    .b = &scratch->chain[window_position(&shape, i) + level],
                    .out = &first[below + j]};
                if (count == P256_PAIRS64_MAX) {
                    add_pairs(scratch->pairs, count, scratch->differences, scratch->products,
                              &exceptional);
                    count = 0;
                }
            }
        }
        add_pairs(scratch->pairs, count, scratch->differences, scratch->products, &exceptional);
    }
}
