/* ES256 by AVX-512 IFMA, a signature a lane, from five signatures on (fewer: p256_few_ifma.c).
 * Where there are enough of them the terms are added as a tree of affine additions, one
 * simultaneous inversion a level, and what is left in XYZZ coordinates (x = X / ZZ, y = Y / ZZZ;
 * formulas madd-2008-s, mmadd-2008-s and add-2008-s of the Explicit-Formulas Database,
 * hyperelliptic.org/EFD/g1p), whose last x coordinate is compared without an inversion.
 *
 * Exceptional additions, of equal or opposite points: in XYZZ coordinates ZZ becomes zero and stays
 * so. In an affine level the difference is zero, and so is the product of its lane and group: there
 * 1 is put in the product's place, the lane of that group is marked, and nobody else sees it. */
#include "crypto/p256_sum_ifma.h"

#if defined(__x86_64__)

/* A level costs one inversion with what leads to it, about 0.8 us, and saves an addition in XYZZ
 * coordinates against an affine one, 33 ns, for every vector of eight: worth it from so many
 * vectors on. */
#define LEVEL_VECTORS_MIN 25
_Static_assert(LEVEL_VECTORS_MIN > 3 * P256_GROUPS, "add_slots finds four points at least");

/* ---- affine levels ---- */

/* One group's part of a level: what its products came to, and afterwards their inverse. */
struct chain8 {
    struct fe8 product;
};

/* What an affine addition does with 1 / (b.x - a.x): slope = (b.y - a.y) / (b.x - a.x), x = slope^2
 * - a.x - b.x, y = slope (a.x - x) - a.y. minus_sum: 2 kx p - a.x - b.x. With ky at least y's
 * bound: the slope's factors are below 1.3 and 2 ky + 1 <= 7, so slope < 1.6 and its square < 1.2.
 */
FE8_PRODUCT struct p256_point8 affine_sum(const struct fe8 *ax, const struct fe8 *ay,
                                          const struct fe8 *by, const struct fe8 *minus_sum,
                                          const struct fe8 *inverse, bool first)
{
    const uint64_t ky = first ? 1 : 3;
    struct fe8 t = difference(by, ay, ky);
    const struct fe8 slope = carried(fe8_mul(&t, inverse));
    struct p256_point8 r;
    r.x = fe8_square_add(&slope, minus_sum);
    if (!first) {
        r.x = fe8_fold(&r.x); /* below 9.2 before */
    }
    t = difference(ax, &r.x, first ? 4 : 2);
    const struct fe8 y = fe8_p_minus(ky, ay);
    r.y = fe8_mul_add(&slope, &t, &y);
    if (!first) {
        r.y = fe8_fold(&r.y);
    }
    return r;
}

/* The first level, from the table's entries: coordinates at most 1; sums: x below 3.2, y below 2.6
 * (slope (a.x - x + 4 p) < 1.6 * 5 / 16 + 1). */
static void first_level_through(struct p256_scratch_ifma *scratch, size_t groups, size_t half,
                                struct chain8 chains[P256_GROUPS])
{
    struct p256_step8 *step = scratch->steps;
    for (size_t i = half; i-- > 0;) {
        for (size_t g = 0; g < groups; g++, step++) {
            const uintptr_t(*terms)[FE8_LANES] = &scratch->terms[g][2 * i];
            const struct fe8 b = load_x(terms[1]);
            step->x = load_x(terms[0]);
            step->difference = difference(&b, &step->x, 1);
            step->product = chains[g].product;
            chains[g].product = carried(fe8_mul(&chains[g].product, &step->difference));
        }
    }
}

static void first_level_back(struct p256_scratch_ifma *scratch, size_t groups, size_t half,
                             struct chain8 chains[P256_GROUPS])
{
    const struct p256_step8 *step = scratch->steps + half * groups;
    for (size_t i = 0; i < half; i++) {
        step -= groups;
        for (size_t g = 0; g < groups; g++) {
            const struct p256_step8 *own = step + g;
            const uintptr_t(*terms)[FE8_LANES] = &scratch->terms[g][2 * i];
            const struct fe8 inverse = carried(fe8_mul(&chains[g].product, &own->product));
            chains[g].product = carried(fe8_mul(&chains[g].product, &own->difference));
            const struct fe8 ay = load_y(terms[0]), by = load_y(terms[1]);
            /* The difference is b.x - a.x + p: with 2 a.x it is a.x + b.x + p. */
            struct fe8 t = fe8_digits(&own->difference);
            t = fe8_add(&t, &own->x);
            t = fe8_add(&t, &own->x);
            t = fe8_p_minus(3, &t);
            scratch->points[g][i] = affine_sum(&own->x, &ay, &by, &t, &inverse, true);
        }
    }
}

/* The other levels, in place: coordinates below 3.2 and 2.6; sums folded, above zero and below 1 +
 * 2^-27. The way through goes down and the way back up, so that a sum may lie where an operand of
 * an earlier pair was. */
static void level_through(struct p256_scratch_ifma *scratch, size_t groups, size_t half,
                          struct chain8 chains[P256_GROUPS])
{
    struct p256_step8 *step = scratch->steps;
    for (size_t i = half; i-- > 0;) {
        for (size_t g = 0; g < groups; g++, step++) {
            const struct p256_point8 *points = &scratch->points[g][2 * i];
            step->difference = difference(&points[1].x, &points[0].x, 4);
            step->product = chains[g].product;
            chains[g].product = carried(fe8_mul(&chains[g].product, &step->difference));
        }
    }
}

static void level_back(struct p256_scratch_ifma *scratch, size_t groups, size_t half,
                       struct chain8 chains[P256_GROUPS])
{
    const struct p256_step8 *step = scratch->steps + half * groups;
    for (size_t i = 0; i < half; i++) {
        step -= groups;
        for (size_t g = 0; g < groups; g++) {
            const struct p256_step8 *own = step + g;
            const struct p256_point8 *a = &scratch->points[g][2 * i], *b = a + 1;
            const struct fe8 inverse = carried(fe8_mul(&chains[g].product, &own->product));
            chains[g].product = carried(fe8_mul(&chains[g].product, &own->difference));
            struct fe8 t = fe8_add(&a->x, &b->x);
            t = fe8_p_minus(8, &t);
            scratch->points[g][i] = affine_sum(&a->x, &a->y, &b->y, &t, &inverse, false);
        }
    }
}

/* The chains' inverses; lanes whose product is zero are marked and get 1. A chain's product with
 * differences below 8 stays below 2: P' < 8 P / 16 + 1. */
static void invert_chains(struct chain8 chains[P256_GROUPS], size_t groups,
                          __mmask8 exceptional[P256_GROUPS])
{
    struct fe8 products[P256_GROUPS];
    const struct fe8 one = fe8_broadcast(&fe8_one);
    struct fe8 all = one;
    for (size_t g = 0; g < groups; g++) {
        const struct fe8 digits = fe8_digits(&chains[g].product);
        const __mmask8 zero = fe8_is_zero(&digits);
        exceptional[g] |= zero;
        chains[g].product = fe8_blend(zero, &chains[g].product, &one);
        products[g] = all;
        all = carried(fe8_mul(&all, &chains[g].product));
    }
    struct fe8 inverse = fe8_invert_vartime(&all);
    for (size_t g = groups; g-- > 0;) {
        const struct fe8 own = chains[g].product;
        chains[g].product = carried(fe8_mul(&inverse, &products[g]));
        inverse = carried(fe8_mul(&inverse, &own));
    }
}

static size_t add_level(struct p256_scratch_ifma *scratch, size_t groups, size_t terms, bool first,
                        __mmask8 exceptional[P256_GROUPS])
{
    struct chain8 chains[P256_GROUPS];
    const size_t half = terms / 2;
    for (size_t g = 0; g < groups; g++) {
        chains[g].product = fe8_broadcast(&fe8_one);
    }
    if (first) {
        first_level_through(scratch, groups, half, chains);
    } else {
        level_through(scratch, groups, half, chains);
    }
    invert_chains(chains, groups, exceptional);
    if (first) {
        first_level_back(scratch, groups, half, chains);
    } else {
        level_back(scratch, groups, half, chains);
    }
    for (size_t g = 0; terms % 2 != 0 && g < groups; g++) {
        if (first) {
            scratch->points[g][half].x = load_x(scratch->terms[g][terms - 1]);
            scratch->points[g][half].y = load_y(scratch->terms[g][terms - 1]);
        } else {
            scratch->points[g][half] = scratch->points[g][terms - 1];
        }
    }
    return half + terms % 2;
}

/* ---- groups ---- */

/* Of a group with `slots` points left. */
static __mmask8 finish_group(const struct p256_scratch_ifma *scratch, size_t group, size_t slots,
                             bool from_table, __mmask8 *exceptional)
{
    const struct p256_loading *loading = &scratch->loading;
    const struct p256_signature *lanes[FE8_LANES];
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        /* Lanes without a signature of their own repeat the last one. */
        const size_t index = group * FE8_LANES + lane;
        lanes[lane] = &loading->signatures[index < loading->live ? index : loading->live - 1];
    }
    const struct xyzz8 sum = from_table ? add_slots(scratch, group, slots, 0xff, true, true)
                                        : add_slots(scratch, group, slots, 0xff, false, true);
    const struct fe8 minus_x = fe8_p_minus(2, &sum.x);
    return p256_decide_ifma(lanes, &sum.zz, &minus_x, exceptional);
}

void p256_verify_ifma(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                      unsigned windows, struct engine_job *jobs, size_t count)
{
    p256_load(&scratch->loading, jobs, count);
    const size_t live = scratch->loading.live, groups = (live + FE8_LANES - 1) / FE8_LANES;
    if (live == 0) {
        return;
    }
    if (live <= P256_FEW_MAX) {
        p256_verify_few_ifma(generator, scratch, windows);
        return;
    }
    p256_load_terms_ifma_vartime(generator, scratch, windows);
    __mmask8 exceptional[P256_GROUPS] = {0};
    bool from_table = true;
    size_t slots = P256_TERMS(windows);
    while (groups * (slots / 2) >= LEVEL_VECTORS_MIN) {
        slots = add_level(scratch, groups, slots, from_table, exceptional);
        from_table = false;
    }
    for (size_t g = 0; g < groups; g++) {
        const __mmask8 good = finish_group(scratch, g, slots, from_table, &exceptional[g]);
        for (size_t lane = 0; lane < FE8_LANES && g * FE8_LANES + lane < live; lane++) {
            const unsigned bit = 1u << lane;
            scratch->loading.signatures[g * FE8_LANES + lane].job->status = (exceptional[g] &
                                                                             bit) != 0
                                                                                ? STATUS_AGAIN
                                                                            : (good & bit) != 0
                                                                                ? STATUS_OK
                                                                                : STATUS_FAILED;
        }
    }
}

#endif
