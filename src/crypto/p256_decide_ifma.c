#include "crypto/p256_point_ifma.h"

#if defined(__x86_64__)

/* Lanes where x zz = X, for x of any eight words below 2^256. zz carried, below 4.3; -X wide, made
 * positive, at most 3. */
static __mmask8 equal_lanes(uint64_t x[FE8_LANES][4], const struct fe8 *zz,
                            const struct fe8 *minus_x)
{
    uintptr_t addresses[FE8_LANES];
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        addresses[lane] = (uintptr_t)x[lane];
    }
    const struct fe8 number = fe8_load(addresses, 0), r2 = fe8_broadcast(&fe8_r2);
    const struct fe8 in_domain = carried(fe8_mul(&number, &r2));
    const struct fe8 t = fe8_mul_add(&in_domain, zz, minus_x);
    return fe8_is_zero(&t);
}

/* FIPS 186-5 section 6.4.2: the signature is valid if r is the sum's x coordinate modulo n. x < p <
 * 2 n, so x is r or r + n, the latter only for r < p - n: hardly ever. */
__mmask8 p256_decide_ifma(const struct p256_signature *const lanes[FE8_LANES], const struct fe8 *zz,
                          const struct fe8 *minus_x, __mmask8 *exceptional)
{
    _Alignas(64) uint64_t x[FE8_LANES][4];
    __mmask8 second = 0;
    const struct fe8 digits = fe8_digits(zz);
    *exceptional |= fe8_is_zero(&digits);
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        memcpy(x[lane], lanes[lane]->r, sizeof x[lane]);
    }
    __mmask8 good = equal_lanes(x, zz, minus_x);
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        if (p256_second_x(x[lane], lanes[lane]->r)) {
            second |= (__mmask8)(1u << lane);
        }
    }
    if (second != 0) {
        good |= second & equal_lanes(x, zz, minus_x);
    }
    return good;
}

#endif
