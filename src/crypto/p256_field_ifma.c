#include "crypto/p256_field_ifma.h"

#if defined(__x86_64__)

#include "crypto/p256_ifma.h"

const struct fe8_constant fe8_one = {
    {0x0000000000010, 0xf000000000000, 0xfffffffffffff, 0xffeffffffffff, 0x00000000fffff}};
const struct fe8_constant fe8_r2 = {
    {0x0000000000300, 0xffffffff00000, 0xffffefffffffb, 0xfdfffffffffff, 0x0000004ffffff}};
/* 2^780 mod p: an inverse of words, 1 / (a 2^260), times it is 2^260 / a in the domain. */
static const struct fe8_constant r3 = {
    {0xfd0000000a000, 0xffffff7ffffff, 0xfffcffffffedf, 0x100000005ffff, 0x0000180000000}};

/* Products of two, four and eight lanes, the inverse of the last, and back: a lane's inverse is the
 * inverse of all times what the other lanes bring (Montgomery's trick as a tree). */
struct fe8 fe8_invert_vartime(const struct fe8 *a)
{
    const __m512i by1 = _mm512_set_epi64(6, 7, 4, 5, 2, 3, 0, 1);
    const __m512i by2 = _mm512_set_epi64(5, 4, 7, 6, 1, 0, 3, 2);
    const __m512i by4 = _mm512_set_epi64(3, 2, 1, 0, 7, 6, 5, 4);
    const struct fe8 other1 = fe8_permute(a, by1);
    struct fe8 two = fe8_mul(a, &other1);
    two = fe8_carry(&two);
    const struct fe8 other2 = fe8_permute(&two, by2);
    struct fe8 four = fe8_mul(&two, &other2);
    four = fe8_carry(&four);
    const struct fe8 other4 = fe8_permute(&four, by4);
    struct fe8 eight = fe8_mul(&four, &other4);
    eight = fe8_canonical(&eight);
    __m512i w[4];
    fe8_to_words(w, &eight);
    struct fe64 total, inverse;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        total.v[i] = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(w[i]));
    }
    fe64_invert_words_vartime(&inverse, &total);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        w[i] = fe8_set1(inverse.v[i]);
    }
    struct fe8 r = fe8_from_words(w[0], w[1], w[2], w[3]);
    const struct fe8 factor = fe8_broadcast(&r3);
    r = fe8_mul(&r, &factor);
    r = fe8_carry(&r);
    r = fe8_mul(&r, &other4);
    r = fe8_carry(&r);
    r = fe8_mul(&r, &other2);
    r = fe8_carry(&r);
    r = fe8_mul(&r, &other1);
    return fe8_carry(&r);
}

#endif
