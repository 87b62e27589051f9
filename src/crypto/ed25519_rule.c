#include "crypto/ed25519_rule.h"

#include <openssl/bn.h>
#include <stddef.h>
#include <string.h>

/* L = 2^252 + 27742317777372353535851937790883648493, little-endian (RFC 8032 section 5.1). */
static const uint8_t group_order[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

/* p = 2^255 - 19, little-endian. */
static const uint8_t field_prime[32] = {
    0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

/* The y of the eight points whose order divides 8: order 1 has y = 1, order 2 y = -1, order 4 (two)
 * y = 0, order 8 (four) plus and minus one value. Found by multiplying points of the curve by L;
 * the unit test does so again. */
static const uint8_t torsion_y[5][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static bool below(const uint8_t a[32], const uint8_t bound[32])
{
    for (size_t i = 32; i-- > 0;) {
        if (a[i] != bound[i]) {
            return a[i] < bound[i];
        }
    }
    return false;
}

bool ed25519_key_encoding_allowed(const uint8_t encoded[32])
{
    uint8_t y[32];
    memcpy(y, encoded, sizeof y);
    y[31] &= 0x7f;
    if (!below(y, field_prime)) {
        return false;
    }
    /* Both points with x = 0 are among them, so the forbidden sign bit of x = 0 needs no check of
     * its own. */
    for (size_t i = 0; i < sizeof torsion_y / sizeof torsion_y[0]; i++) {
        if (memcmp(y, torsion_y[i], sizeof y) == 0) {
            return false;
        }
    }
    return true;
}

bool ed25519_scalar_canonical(const uint8_t s[32])
{
    return below(s, group_order);
}

/* x^2 = (y^2 - 1) / (d y^2 + 1) with d = -121665 / 121666, so x exists exactly when
 * u = (y^2 - 1) (d y^2 + 1) is zero or a square: Euler's criterion. Scaling by 121666, itself to be
 * squared away: (y^2 - 1) (121666 - 121665 y^2) 121666. The denominator is never zero, for -1/d is
 * not a square. */
bool ed25519_key_on_curve(const uint8_t encoded[32])
{
    uint8_t big_endian[32];
    for (size_t i = 0; i < 32; i++) {
        big_endian[i] = encoded[31 - i];
    }
    big_endian[0] &= 0x7f;
    bool on_curve = false;
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = BN_new(), *u = BN_new(), *v = BN_new(), *y2 = BN_new();
    BIGNUM *y = BN_bin2bn(big_endian, sizeof big_endian, NULL);
    if (ctx != NULL && p != NULL && u != NULL && v != NULL && y2 != NULL && y != NULL &&
        BN_set_bit(p, 255) && BN_sub_word(p, 19) && BN_mod_sqr(y2, y, p, ctx) &&
        BN_copy(v, y2) != NULL && BN_mul_word(v, 121665) && BN_set_word(u, 121666) &&
        BN_mod_sub(v, u, v, p, ctx) && BN_mul_word(v, 121666) &&
        BN_mod_sub(u, y2, BN_value_one(), p, ctx) && BN_mod_mul(u, u, v, p, ctx) &&
        BN_copy(v, p) != NULL && BN_rshift1(v, v)) {
        /* p >> 1 is (p - 1) / 2. */
        on_curve = BN_is_zero(u) || (BN_mod_exp(u, u, v, p, ctx) && BN_is_one(u));
    }
    BN_CTX_free(ctx);
    BN_free(p);
    BN_free(u);
    BN_free(v);
    BN_free(y);
    BN_free(y2);
    return on_curve;
}
