#include "crypto/p256_point_ifma.h"

#if defined(__x86_64__)

/* r of every lane's signature, or where `second` says so r + n, in the domain. Wide, below 1.1. */
static struct fe8 load_r(const struct p256_signature *const lanes[FE8_LANES], bool second,
                         __mmask8 *there)
{
    _Alignas(64) uint64_t words[FE8_LANES][4];
    uintptr_t addresses[FE8_LANES];
    *there = 0;
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        memcpy(words[lane], lanes[lane]->r, sizeof words[lane]);
        if (second && p256_second_x(words[lane], lanes[lane]->r)) {
            *there |= (__mmask8)(1u << lane);
        }
        addresses[lane] = (uintptr_t)words[lane];
    }
    const struct fe8 r = fe8_load(addresses, 0), r2 = fe8_broadcast(&fe8_r2);
    return fe8_mul(&r, &r2);
}

/* Lanes where (r + offset) zz = X. r, offset and -X wide, zz carried: 7.5 times zz, below 4.3, and
 * -X, made positive, at most 3. */
FE8_INLINE __mmask8 equal_lanes(const struct fe8 *r, const struct fe8 *offset, const struct fe8 *zz,
                                const struct fe8 *minus_x)
{
    const struct fe8 x = carried(fe8_add(r, offset));
    const struct fe8 t = fe8_mul_add(&x, zz, minus_x);
    return fe8_is_zero(&t);
}

/* FIPS 186-5 section 6.4.2: the signature is valid if r is the sum's x coordinate modulo n. x < p <
 * 2 n, so x is r or r + n, the latter only for r < p - n. */
__mmask8 p256_decide_ifma(const struct p256_signature *const lanes[FE8_LANES],
                          const struct fe8 *offset, const struct fe8 *zz, const struct fe8 *minus_x,
                          __mmask8 *exceptional)
{
    __mmask8 there;
    const struct fe8 digits = fe8_digits(zz);
    *exceptional |= fe8_is_zero(&digits);
    struct fe8 r = load_r(lanes, false, &there);
    __mmask8 good = equal_lanes(&r, offset, zz, minus_x);
    r = load_r(lanes, true, &there);
    if (there != 0) {
        good |= there & equal_lanes(&r, offset, zz, minus_x);
    }
    return good;
}

#endif
