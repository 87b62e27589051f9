/* Points of edwards25519, eight side by side. Only for _ifma.c files. */
#ifndef POPGATE_CRYPTO_ED25519_POINT_IFMA_H
#define POPGATE_CRYPTO_ED25519_POINT_IFMA_H

#include "crypto/ed25519_field_ifma.h"

#define FE8_LANES ((size_t)8)

/* X, Y, Z wide, T carried. */
struct point8 {
    struct fe8 x, y, z, t;
};

/* E = B - A, F = D - C, G = D + C, H = B + A; X = E F, Y = G H, T = E H, Z = F G. A, B, C wide, D
 * below 2^61.1: F is below 2^61.1 + 2^61 < 2^62.2, what carry takes. */
FE8_INLINE struct point8 point8_combine(const struct fe8 *a, const struct fe8 *b,
                                        const struct fe8 *c, const struct fe8 *d)
{
    struct fe8 e = fe8_subtract(b, a), f = fe8_subtract(d, c), g = fe8_add(d, c), h = fe8_add(b, a);
    e = fe8_carry(&e);
    f = fe8_carry(&f);
    g = fe8_carry(&g);
    h = fe8_carry(&h);
    struct point8 r = {.x = fe8_multiply(&e, &f),
                       .y = fe8_multiply(&g, &h),
                       .z = fe8_multiply(&f, &g),
                       .t = fe8_multiply(&e, &h)};
    r.t = fe8_carry(&r.t);
    return r;
}

#endif
