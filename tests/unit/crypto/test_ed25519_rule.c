#include "crypto/ed25519_rule.h"

#include "crypto/reference.h"
#include "unit/crypto/signing.h"

#include <criterion/criterion.h>

static void little_endian(const BIGNUM *value, uint8_t out[32])
{
    uint8_t big[32];
    cr_assert(BN_bn2bin_padded(big, 32, value));
    for (size_t i = 0; i < 32; i++) {
        out[i] = big[31 - i];
    }
}

static BIGNUM *prime(void)
{
    BIGNUM *p = BN_new();
    cr_assert(BN_set_bit(p, 255) && BN_sub_word(p, 19));
    return p;
}

/* p - 19 .. 2^255 - 1: the first 19 are canonical, the others a second spelling of 0 .. 18. */
Test(ed25519_rule, y_is_below_p)
{
    BIGNUM *y = prime();
    cr_assert(BN_sub_word(y, 19));
    for (int i = -19; i < 19; i++) {
        uint8_t encoded[32];
        little_endian(y, encoded);
        bool torsion = i == -1;
        cr_assert_eq(ed25519_key_encoding_allowed(encoded), i < 0 && !torsion, "p%+d", i);
        encoded[31] |= 0x80;
        cr_assert_eq(ed25519_key_encoding_allowed(encoded), i < 0 && !torsion, "p%+d, sign", i);
        cr_assert(BN_add_word(y, 1));
    }
    BN_free(y);
}

/* All eight torsion points and the non-canonical spellings of those that have one, as published
 * with RFC 8032's analyses
 * ("Taming the many EdDSAs", 2020). */
Test(ed25519_rule, small_order_is_refused_in_every_spelling)
{
    static const uint8_t y8[2][32] = {
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
         0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
         0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
         0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
         0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}};
    for (size_t sign = 0; sign < 2; sign++) {
        uint8_t encoded[32] = {0};
        encoded[31] = (uint8_t)(sign << 7);
        cr_assert_not(ed25519_key_encoding_allowed(encoded), "y = 0");
        encoded[0] = 1;
        cr_assert_not(ed25519_key_encoding_allowed(encoded), "y = 1");
        for (size_t i = 0; i < 2; i++) {
            memcpy(encoded, y8[i], 32);
            encoded[31] |= (uint8_t)(sign << 7);
            cr_assert_not(ed25519_key_encoding_allowed(encoded), "order 8");
            cr_assert(ed25519_key_on_curve(encoded));
        }
    }
    struct public_key key = {.type = KEY_ED25519};
    memcpy(key.x, y8[0], 32);
    cr_assert_eq(public_key_validate(&key), STATUS_FAILED);
}

/* S = 0, R = the identity's encoding, A of small order: the equation holds for any message whose
 * hash A's order divides. BoringSSL alone takes such a signature; the rule does not. */
Test(ed25519_rule, a_small_order_key_signs_nothing)
{
    struct public_key key = {.type = KEY_ED25519};
    key.x[0] = 1;
    uint8_t signature[64] = {1};
    struct span message = SPAN_LITERAL("anything");
    cr_assert(ED25519_verify(message.data, message.size, signature, key.x),
              "the attack works on the library");
    cr_assert_eq(reference_verify(SIGNATURE_EDDSA, &key, message, span_make(signature, 64)),
                 STATUS_FAILED);
}

Test(ed25519_rule, s_is_below_l)
{
    BIGNUM *l = BN_new(), *low = BN_new();
    cr_assert(BN_dec2bn(&low, "27742317777372353535851937790883648493") && BN_set_bit(l, 252) &&
              BN_add(l, l, low));
    uint8_t s[32] = {0};
    cr_assert(ed25519_scalar_canonical(s));
    little_endian(l, s);
    cr_assert_not(ed25519_scalar_canonical(s));
    cr_assert(BN_sub_word(l, 1));
    little_endian(l, s);
    cr_assert(ed25519_scalar_canonical(s));
    memset(s, 0xff, 32);
    cr_assert_not(ed25519_scalar_canonical(s));

    /* A signature with S + L is the same signature in the group; it must not pass. */
    struct signing_key key;
    signing_key_init(&key, KEY_ED25519);
    uint8_t signature[SIGNATURE_BYTES_MAX], big[32];
    struct span message = SPAN_LITERAL("malleable");
    signing_sign(&key, SIGNATURE_EDDSA, message, signature);
    for (size_t i = 0; i < 32; i++) {
        big[i] = signature[63 - i];
    }
    BIGNUM *sum = BN_bin2bn(big, 32, NULL);
    cr_assert(BN_add_word(l, 1) && BN_add(sum, sum, l));
    little_endian(sum, signature + 32);
    cr_assert_eq(reference_verify(SIGNATURE_EDDSA, &key.public, message, span_make(signature, 64)),
                 STATUS_FAILED);
    BN_free(l);
    BN_free(low);
    BN_free(sum);
}

Test(ed25519_rule, half_of_all_y_are_on_the_curve_and_keys_are)
{
    size_t on = 0;
    for (unsigned y = 2; y < 402; y++) {
        uint8_t encoded[32] = {(uint8_t)y, (uint8_t)(y >> 8)};
        on += ed25519_key_on_curve(encoded);
    }
    cr_assert(on > 150 && on < 250, "%zu of 400", on);
    for (size_t i = 0; i < 20; i++) {
        struct signing_key key;
        signing_key_init(&key, KEY_ED25519);
        cr_assert(ed25519_key_on_curve(key.public.x));
        cr_assert(ed25519_key_encoding_allowed(key.public.x));
    }
    /* y = 2 is not on the curve (RFC 8032's decoding fails for it). */
    struct public_key off = {.type = KEY_ED25519};
    off.x[0] = 2;
    cr_assert_eq(public_key_validate(&off), STATUS_FAILED);
}
