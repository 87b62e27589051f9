/* Keys without a table, eight at a time: u2 Q by double-and-add with the odd signed digits of
 * p256_recode.h and 1, 3, ... 31 times Q (dbl-2001-b and madd-2004-hmv of the Explicit-Formulas
 * Database in Jacobian coordinates, x = X / Z^2, y = Y / Z^3), then u1 G from the generator's
 * table. Bounds of values are in units of 2^256, as in p256_field_ifma.h. Exceptional additions
 * leave Z zero, and it stays so. */
#include "crypto/p256_point_ifma.h"

#if defined(__x86_64__)

/* b of the curve, and 3, in the domain. */
static const struct fe8_constant curve_b = {
    {0xdf6229c4bddfd, 0xca8843090d89c, 0x212ed6acf005c, 0x83415a220abf7, 0x0c30061dd4874}};
static const struct fe8_constant three = {
    {0x0000000000030, 0xd000000000000, 0xfffffffffffff, 0xffcffffffffff, 0x00000002fffff}};

/* x and y folded; z carried, below 2.3. */
struct jacobian8 {
    struct fe8 x, y, z;
};

/* alpha' < 3.1 * 2.4 / 16 + 1 < 1.5, alpha < 4.5; beta < 1.1; X < 4.5^2 / 16 + 1 + 9; Y < 4.5 * 6.4
 * / 16 + 8.8 * 2 / 16 + 1 < 4; Z < 2 (2.3 / 16 + 1) < 2.3. */
static struct jacobian8 doubled(const struct jacobian8 *a)
{
    struct jacobian8 r;
    const struct fe8 ax = carried(a->x), ay = carried(a->y);
    const struct fe8 delta = fe8_square(&a->z), gamma = fe8_square(&ay);
    const struct fe8 gamma_carried = carried(gamma);
    struct fe8 t = fe8_add(&a->x, &delta);
    t = fe8_carry(&t);
    struct fe8 alpha = difference(&a->x, &delta, 2);
    alpha = fe8_mul(&alpha, &t);
    t = fe8_add(&alpha, &alpha);
    alpha = fe8_add(&alpha, &t);
    alpha = fe8_carry(&alpha);
    struct fe8 beta = fe8_mul(&ax, &gamma_carried);
    r.z = fe8_mul(&ay, &a->z);
    r.z = fe8_add(&r.z, &r.z);
    r.z = fe8_carry(&r.z);
    beta = fe8_add(&beta, &beta);
    beta = fe8_add(&beta, &beta);
    t = fe8_add(&beta, &beta);
    t = fe8_p_minus(9, &t);
    r.x = fe8_square_add(&alpha, &t);
    r.x = fe8_fold(&r.x);
    struct fe8 eight = fe8_add(&gamma, &gamma);
    eight = fe8_add(&eight, &eight);
    eight = fe8_add(&eight, &eight);
    eight = fe8_carry(&eight);
    struct fe8 minus = fe8_p_minus(2, &gamma);
    minus = fe8_carry(&minus);
    t = difference(&beta, &r.x, 2);
    r.y = fe8_mul_mul(&alpha, &t, &eight, &minus);
    r.y = fe8_fold(&r.y);
    return r;
}

/* a + b, b's coordinates at most 1. H, R < 3.2; HH < 1.7, HHH < 1.4, V < 1.2: X < 1.7 + 4, Y < 3.2
 * * 3.2 / 16 + 2 * 1.4 / 16 + 1 < 2, Z < 2.3 * 3.2 / 16 + 1 < 1.5. */
static struct jacobian8 add_entry(const struct jacobian8 *a, const struct p256_point8 *b)
{
    struct jacobian8 r;
    const struct fe8 by = carried(b->y), ax = carried(a->x);
    const struct fe8 zz = carried(fe8_square(&a->z)), zzz = carried(fe8_mul(&zz, &a->z));
    struct fe8 t = fe8_p_minus(2, &a->x);
    const struct fe8 h = carried(fe8_mul_add(&b->x, &zz, &t));
    struct fe8 minus_y = fe8_p_minus(2, &a->y);
    const struct fe8 d = carried(fe8_mul_add(&by, &zzz, &minus_y));
    const struct fe8 hh = carried(fe8_square(&h));
    const struct fe8 hhh = fe8_mul(&h, &hh), v = fe8_mul(&ax, &hh);
    const struct fe8 hhh_carried = carried(hhh);
    r.z = carried(fe8_mul(&a->z, &h));
    r.x = third_x(&d, &hhh, &v, 4);
    minus_y = fe8_carry(&minus_y);
    t = difference(&v, &r.x, 2);
    r.y = fe8_mul_mul(&d, &t, &minus_y, &hhh_carried);
    r.y = fe8_fold(&r.y);
    return r;
}

/* 2 Q of an affine Q: slope = (3 x^2 - 3) / (2 y). y is not zero: there is no point of order two.
 * x, y below 1.1: slope < 7 * 1.2 / 16 + 1 < 1.6, x < 1.2 + 3, y < 1.6 * 6 / 16 + 1 + 2. */
static struct p256_point8 doubled_affine(const struct p256_point8 *q)
{
    const struct fe8 c3 = fe8_broadcast(&three), x = carried(q->x);
    struct fe8 t = fe8_add(&q->y, &q->y);
    t = fe8_carry(&t);
    /* fe8_invert_vartime wants less than 2, which 2 y is not: by one more product. */
    const struct fe8 one = fe8_broadcast(&fe8_one);
    t = carried(fe8_mul(&t, &one));
    const struct fe8 inverse = fe8_invert_vartime(&t);
    const struct fe8 xx = fe8_square(&x);
    t = fe8_add(&xx, &xx);
    t = fe8_add(&t, &xx);
    t = difference(&t, &c3, 2);
    const struct fe8 slope = carried(fe8_mul(&t, &inverse));
    t = fe8_add(&q->x, &q->x);
    t = fe8_p_minus(3, &t);
    struct p256_point8 r;
    r.x = fe8_square_add(&slope, &t);
    r.x = fe8_fold(&r.x);
    const struct fe8 minus_y = fe8_p_minus(2, &q->y);
    t = difference(&q->x, &r.x, 2);
    r.y = fe8_mul_add(&slope, &t, &minus_y);
    r.y = fe8_fold(&r.y);
    return r;
}

/* 1, 3, ... 31 times Q into scratch->multiples: one after another with 2 Q added, in XYZZ
 * coordinates, made affine by one inversion of all ZZZ: 1 / ZZ = (ZZ / ZZZ)^2. */
static void make_multiples(struct p256_scratch_ifma *scratch, const struct p256_point8 *q)
{
    struct xyzz8 sums[P256_UNKNOWN_ENTRIES];
    struct fe8 products[P256_UNKNOWN_ENTRIES], product = fe8_broadcast(&fe8_one);
    const struct p256_point8 two = doubled_affine(q);
    struct p256_entry *entries[FE8_LANES];
    sums[1] = add_two(q, &two);
    for (size_t i = 2; i < P256_UNKNOWN_ENTRIES; i++) {
        sums[i] = i % 2 == 0 ? add_mixed(&sums[i - 1], &two, true, false)
                             : add_mixed(&sums[i - 1], &two, false, false);
    }
    for (size_t i = 1; i < P256_UNKNOWN_ENTRIES; i++) {
        products[i] = product;
        product = carried(fe8_mul(&product, &sums[i].zzz));
    }
    struct fe8 inverse = fe8_invert_vartime(&product);
    for (size_t i = P256_UNKNOWN_ENTRIES; i-- > 0;) {
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            entries[lane] = &scratch->multiples[lane][i];
        }
        if (i == 0) {
            p256_store_ifma(entries, &q->x, &q->y);
            break;
        }
        const struct fe8 zzzi = carried(fe8_mul(&inverse, &products[i]));
        inverse = carried(fe8_mul(&inverse, &sums[i].zzz));
        const struct fe8 zi = carried(fe8_mul(&sums[i].zz, &zzzi));
        const struct fe8 zzi = carried(fe8_square(&zi));
        const struct fe8 sx = carried(sums[i].x), sy = carried(sums[i].y);
        const struct fe8 x = fe8_mul(&sx, &zzi);
        struct fe8 y = fe8_mul(&sy, &zzzi);
        if (i % 2 != 0) { /* add_two and every second addition give -Y */
            y = fe8_p_minus(2, &y);
        }
        p256_store_ifma(entries, &x, &y);
    }
}

/* Q of every lane, in the domain; lanes whose key is none are told and get the generator instead,
 * which no arithmetic trips over. */
static struct p256_point8 load_keys(const struct p256_entry *generator,
                                    const struct p256_signature *const lanes[FE8_LANES],
                                    __mmask8 *invalid)
{
    _Alignas(64) uint64_t x[FE8_LANES][4], y[FE8_LANES][4];
    uintptr_t to_x[FE8_LANES], to_y[FE8_LANES], to_g[FE8_LANES];
    *invalid = 0;
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        p256_words(x[lane], lanes[lane]->job->key->x);
        p256_words(y[lane], lanes[lane]->job->key->y);
        if (!p256_words_below(x[lane], fe64_p.v) || !p256_words_below(y[lane], fe64_p.v)) {
            *invalid |= (__mmask8)(1u << lane);
        }
        to_x[lane] = (uintptr_t)x[lane];
        to_y[lane] = (uintptr_t)y[lane];
        to_g[lane] = (uintptr_t)generator;
    }
    const struct fe8 r2 = fe8_broadcast(&fe8_r2), b = fe8_broadcast(&curve_b);
    const struct fe8 c3 = fe8_broadcast(&three);
    struct p256_point8 q = {fe8_load(to_x, 0), fe8_load(to_y, 0)};
    q.x = fe8_mul(&q.x, &r2);
    q.y = fe8_mul(&q.y, &r2);
    /* y^2 = (x^2 - 3) x + b */
    const struct fe8 cx = carried(q.x), cy = carried(q.y);
    struct fe8 t = fe8_square(&cx);
    t = difference(&t, &c3, 1);
    t = fe8_mul_add(&t, &cx, &b);
    t = fe8_p_minus(3, &t);
    t = fe8_square_add(&cy, &t);
    *invalid |= (__mmask8)~fe8_is_zero(&t);
    const struct p256_point8 g = {fe8_load(to_g, 0),
                                  fe8_load(to_g, offsetof(struct p256_entry, y))};
    q.x = fe8_blend(*invalid, &q.x, &g.x);
    q.y = fe8_blend(*invalid, &q.y, &g.y);
    return q;
}

static struct xyzz8 sum_of_group(const struct p256_entry *generator,
                                 struct p256_scratch_ifma *scratch,
                                 const struct p256_signature *const lanes[FE8_LANES])
{
    const struct windows shape = p256_windows(P256_WINDOWS_UNKNOWN);
    uintptr_t(*terms)[FE8_LANES] = scratch->terms[0], (*more)[FE8_LANES] = scratch->terms[1];
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        p256_recode_vartime(&more[0][lane], FE8_LANES, lanes[lane]->u1, P256_WINDOWS_GENERATOR,
                            generator);
        p256_recode_vartime(&terms[0][lane], FE8_LANES, lanes[lane]->u2, P256_WINDOWS_UNKNOWN,
                            scratch->multiples[lane]);
        /* The lowest window's entries serve all. */
        for (unsigned i = 0; i < shape.count; i++) {
            terms[i][lane] -= window_entry(&shape, i) * sizeof(struct p256_entry);
        }
    }
    const unsigned top = shape.count - 1;
    struct p256_point8 point = {load_x(terms[top]), load_y(terms[top])};
    struct jacobian8 sum = {point.x, fe8_fold(&point.y), fe8_broadcast(&fe8_one)};
    for (unsigned i = top; i-- > 0;) {
        for (unsigned j = window_bits(&shape, i); j > 0; j--) {
            sum = doubled(&sum);
        }
        point = (struct p256_point8){load_x(terms[i]), load_y(terms[i])};
        sum = add_entry(&sum, &point);
    }
    struct xyzz8 all = {.x = sum.x, .y = sum.y, .zz = carried(fe8_square(&sum.z))};
    all.zzz = carried(fe8_mul(&all.zz, &sum.z));
    _Static_assert(P256_WINDOWS_GENERATOR % 2 == 0, "two at a time");
    for (size_t i = 0; i < P256_WINDOWS_GENERATOR; i += 2) {
        point = (struct p256_point8){load_x(more[i]), load_y(more[i])};
        all = add_mixed(&all, &point, false, false);
        point = (struct p256_point8){load_x(more[i + 1]), load_y(more[i + 1])};
        all = add_mixed(&all, &point, true, false);
    }
    return all;
}

void p256_verify_unknown_ifma(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                              struct engine_job *jobs, size_t count)
{
    struct p256_loading *loading = &scratch->loading;
    p256_load(loading, jobs, count);
    const size_t live = loading->live;
    if (live == 0) {
        return;
    }
    p256_load_invert_vartime(loading);
    for (size_t i = live; i-- > 0;) {
        p256_load_u2(loading, i);
    }
    p256_load_digests(loading);
    for (size_t i = 0; i < live; i++) {
        p256_load_u1(loading, i);
    }
    for (size_t first = 0; first < live; first += FE8_LANES) {
        const struct p256_signature *lanes[FE8_LANES];
        __mmask8 invalid, exceptional = 0;
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            const size_t index = first + lane < live ? first + lane : live - 1;
            lanes[lane] = &loading->signatures[index];
        }
        const struct p256_point8 q = load_keys(generator, lanes, &invalid);
        make_multiples(scratch, &q);
        const struct xyzz8 sum = sum_of_group(generator, scratch, lanes);
        const struct fe8 minus_x = fe8_p_minus(2, &sum.x);
        const __mmask8 good = p256_decide_ifma(lanes, &sum.zz, &minus_x, &exceptional);
        for (size_t lane = 0; lane < FE8_LANES && first + lane < live; lane++) {
            const unsigned bit = 1u << lane;
            lanes[lane]->job->status = (invalid & bit) != 0       ? STATUS_FAILED
                                       : (exceptional & bit) != 0 ? STATUS_AGAIN
                                       : (good & bit) != 0        ? STATUS_OK
                                                                  : STATUS_FAILED;
        }
    }
}

#endif
