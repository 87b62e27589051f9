/* The sum of the terms of eight lanes, one after another in XYZZ coordinates. Bounds of values are
 * in units of 2^256, as in p256_field_ifma.h. */
#ifndef POPGATE_CRYPTO_P256_SUM_IFMA_H
#define POPGATE_CRYPTO_P256_SUM_IFMA_H

#include "crypto/p256_point_ifma.h"

#if defined(__x86_64__)

FE8_INLINE struct p256_point8 point_at(const struct p256_scratch_ifma *scratch, size_t group,
                                       size_t slot, bool from_table)
{
    if (!from_table) {
        return scratch->points[group][slot];
    }
    const uintptr_t *terms = scratch->terms[group][slot];
    return (struct p256_point8){load_x(terms), load_y(terms)};
}

/* The sum of a group's slots, one after another; of its lanes with `last`, only x and zz. At least
 * three slots; the last may be missing in some lanes. */
FE8_PRODUCT struct xyzz8 add_slots(const struct p256_scratch_ifma *scratch, size_t group,
                                   size_t slots, __mmask8 full, bool from_table, bool last)
{
    struct p256_point8 a = point_at(scratch, group, 0, from_table);
    struct p256_point8 b = point_at(scratch, group, 1, from_table);
    struct xyzz8 sum = add_two(&a, &b);
    size_t i = 2;
    for (; i + 2 < slots; i += 2) {
        a = point_at(scratch, group, i, from_table);
        sum = add_mixed(&sum, &a, true, false);
        a = point_at(scratch, group, i + 1, from_table);
        sum = add_mixed(&sum, &a, false, false);
    }
    /* One or two are left. */
    if (i + 1 < slots) {
        a = point_at(scratch, group, i++, from_table);
        sum = add_mixed(&sum, &a, true, false);
        /* To the same sign of y as after one addition, so that there is one kind of end. */
        sum.y = fe8_p_minus(3, &sum.y);
        sum.y = fe8_fold(&sum.y);
    }
    a = point_at(scratch, group, i, from_table);
    struct xyzz8 longer = add_mixed(&sum, &a, true, last);
    if (full != 0xff) {
        /* Where nothing is added the sum keeps its sign, which the addition turns. */
        sum.y = fe8_p_minus(3, &sum.y);
        longer = blend(full, &sum, &longer);
    }
    return longer;
}

#endif
#endif
