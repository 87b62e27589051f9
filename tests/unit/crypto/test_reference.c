#include "crypto/reference.h"

#include "unit/crypto/signing.h"

#include <criterion/criterion.h>
#include <openssl/err.h>

static const enum signature_algorithm algorithms[] = {SIGNATURE_ES256, SIGNATURE_ES384,
                                                      SIGNATURE_ES512, SIGNATURE_EDDSA,
                                                      SIGNATURE_PS256, SIGNATURE_RS256};
#define ALGORITHMS (sizeof algorithms / sizeof algorithms[0])

static const struct span message = SPAN_LITERAL("eyJ0eXAiOiJkcG9wK2p3dCJ9.eyJodG0iOiJQT1NUIn0");

Test(reference, every_algorithm_accepts_its_signature_and_refuses_every_flipped_bit)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key key;
        signing_key_init(&key, signature_key_type(algorithms[i]));
        cr_assert_eq(public_key_validate(&key.public), STATUS_OK);
        uint8_t signature[SIGNATURE_BYTES_MAX + 1];
        size_t size = signing_sign(&key, algorithms[i], message, signature);
        cr_assert_eq(
            reference_verify(algorithms[i], &key.public, message, span_make(signature, size)),
            STATUS_OK, "algorithm %d", algorithms[i]);
        for (size_t bit = 0; bit < 8 * size; bit += 1 + size / 50) {
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_assert_eq(
                reference_verify(algorithms[i], &key.public, message, span_make(signature, size)),
                STATUS_FAILED, "algorithm %d bit %zu", algorithms[i], bit);
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert_eq(reference_verify(algorithms[i], &key.public, SPAN_LITERAL("other"),
                                      span_make(signature, size)),
                     STATUS_FAILED);
        cr_assert_eq(ERR_peek_error(), 0, "the error queue is left empty");
        signing_key_cleanup(&key);
    }
}

Test(reference, a_signature_of_another_size_fails)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key key;
        signing_key_init(&key, signature_key_type(algorithms[i]));
        uint8_t signature[SIGNATURE_BYTES_MAX + 1] = {0};
        size_t size = signing_sign(&key, algorithms[i], message, signature);
        cr_assert_eq(
            reference_verify(algorithms[i], &key.public, message, span_make(signature, size - 1)),
            STATUS_FAILED);
        cr_assert_eq(
            reference_verify(algorithms[i], &key.public, message, span_make(signature, size + 1)),
            STATUS_FAILED);
        cr_assert_eq(reference_verify(algorithms[i], &key.public, message, span_make(NULL, 0)),
                     STATUS_FAILED);
        signing_key_cleanup(&key);
    }
}

Test(reference, an_algorithm_never_takes_another_key_type)
{
    for (size_t k = 0; k < ALGORITHMS; k++) {
        struct signing_key key;
        signing_key_init(&key, signature_key_type(algorithms[k]));
        uint8_t signature[SIGNATURE_BYTES_MAX];
        size_t size = signing_sign(&key, algorithms[k], message, signature);
        for (int a = -1; a <= SIGNATURE_ALGORITHMS + 1; a++) {
            enum signature_algorithm algorithm = (enum signature_algorithm)a;
            cr_assert_eq(
                reference_verify(algorithm, &key.public, message, span_make(signature, size)),
                algorithm == algorithms[k] ? STATUS_OK : STATUS_FAILED, "%d as %d", algorithms[k],
                a);
        }
        signing_key_cleanup(&key);
    }
    cr_assert_eq(reference_verify(SIGNATURE_ES256, NULL, message, message), STATUS_FAILED);
    struct public_key none = {0};
    cr_assert_eq(reference_verify(SIGNATURE_NONE, &none, message, message), STATUS_FAILED);
    cr_assert_eq(public_key_validate(&none), STATUS_FAILED);
}

/* The field primes, big-endian. */
static void prime_of(enum public_key_type type, uint8_t p[66], size_t *size)
{
    int nid = type == KEY_P256   ? NID_X9_62_prime256v1
              : type == KEY_P384 ? NID_secp384r1
                                 : NID_secp521r1;
    *size = type == KEY_P256 ? 32 : type == KEY_P384 ? 48 : 66;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
    BIGNUM *prime = BN_new();
    cr_assert(EC_GROUP_get_curve_GFp(group, prime, NULL, NULL, NULL));
    cr_assert(BN_bn2bin_padded(p, *size, prime));
    BN_free(prime);
    EC_GROUP_free(group);
}

Test(reference, points_off_the_curve_and_coordinates_not_below_p_are_refused)
{
    for (enum public_key_type type = KEY_P256; type <= KEY_P521; type++) {
        struct signing_key key;
        signing_key_init(&key, type);
        struct public_key bad = key.public;
        bad.y[10] ^= 1;
        cr_assert_eq(public_key_validate(&bad), STATUS_FAILED);
        bad = (struct public_key){.type = type};
        cr_assert_eq(public_key_validate(&bad), STATUS_FAILED, "0, 0 is no point");
        size_t size;
        bad = key.public;
        prime_of(type, bad.x, &size);
        cr_assert_eq(public_key_validate(&bad), STATUS_FAILED, "x = p");
        bad = key.public;
        memset(bad.x, 0xff, size);
        cr_assert_eq(public_key_validate(&bad), STATUS_FAILED);
        signing_key_cleanup(&key);
    }
}

/* P-256 has points with x = 5 (5^3 - 15 + b is a square), so x = 5 + p would be a second spelling
 * of them that fits 256 bits: it must not be taken. */
Test(reference, a_coordinate_is_not_reduced)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *x = BN_new(), *y = BN_new(), *p = BN_new();
    cr_assert(BN_set_word(x, 5));
    cr_assert(EC_POINT_set_compressed_coordinates_GFp(group, point, x, 0, NULL));
    cr_assert(EC_POINT_get_affine_coordinates_GFp(group, point, x, y, NULL));
    struct public_key key = {.type = KEY_P256};
    cr_assert(BN_bn2bin_padded(key.x, 32, x) && BN_bn2bin_padded(key.y, 32, y));
    cr_assert_eq(public_key_validate(&key), STATUS_OK);
    cr_assert(EC_GROUP_get_curve_GFp(group, p, NULL, NULL, NULL) && BN_add(x, x, p));
    cr_assert(BN_bn2bin_padded(key.x, 32, x));
    cr_assert_eq(public_key_validate(&key), STATUS_FAILED);
    BN_free(x);
    BN_free(y);
    BN_free(p);
    EC_POINT_free(point);
    EC_GROUP_free(group);
}

Test(reference, r_and_s_are_in_1_to_n_minus_1)
{
    static const uint8_t n[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                  0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    struct signing_key key;
    signing_key_init(&key, KEY_P256);
    uint8_t good[64], bad[64];
    uint8_t digest[32] = {7};
    signing_require(signing_ecdsa(&key, digest, 32, 32, good) == 64);
    cr_assert_eq(reference_verify_es256_digest(&key.public, digest, good), STATUS_OK);
    for (size_t half = 0; half < 2; half++) {
        memcpy(bad, good, 64);
        memset(bad + 32 * half, 0, 32);
        cr_assert_eq(reference_verify_es256_digest(&key.public, digest, bad), STATUS_FAILED);
        memcpy(bad + 32 * half, n, 32);
        cr_assert_eq(reference_verify_es256_digest(&key.public, digest, bad), STATUS_FAILED);
        memset(bad + 32 * half, 0xff, 32);
        cr_assert_eq(reference_verify_es256_digest(&key.public, digest, bad), STATUS_FAILED);
    }
    struct public_key off_the_curve = key.public, other_type = key.public;
    off_the_curve.y[31] ^= 1;
    cr_assert_eq(reference_verify_es256_digest(&off_the_curve, digest, good), STATUS_FAILED);
    other_type.type = KEY_P384;
    cr_assert_eq(reference_verify_es256_digest(&other_type, digest, good), STATUS_FAILED);
    signing_key_cleanup(&key);
}

Test(reference, rsa_bounds)
{
    struct public_key key = {.type = KEY_RSA, .exponent = 3, .modulus_size = 256};
    key.modulus[0] = 0x80;
    key.modulus[255] = 1;
    cr_assert_eq(public_key_validate(&key), STATUS_OK);
    struct public_key bad = key;
    bad.modulus[0] = 0x7f;
    cr_assert_eq(public_key_validate(&bad), STATUS_FAILED, "2047 bits");
    bad = key;
    bad.modulus[255] = 2;
    cr_assert_eq(public_key_validate(&bad), STATUS_FAILED, "even modulus");
    for (uint32_t e = 0; e < 3; e++) {
        bad = key;
        bad.exponent = e;
        cr_assert_eq(public_key_validate(&bad), STATUS_FAILED);
    }
    bad.exponent = 65536;
    cr_assert_eq(public_key_validate(&bad), STATUS_FAILED);
    bad.exponent = UINT32_MAX;
    cr_assert_eq(public_key_validate(&bad), STATUS_OK);
    bad = key;
    bad.modulus_size = 255;
    bad.modulus[254] = 1;
    cr_assert_eq(public_key_validate(&bad), STATUS_FAILED);
    bad.modulus_size = RSA_MODULUS_BYTES_MAX;
    bad.modulus[RSA_MODULUS_BYTES_MAX - 1] = 1;
    cr_assert_eq(public_key_validate(&bad), STATUS_OK);
    bad.modulus[0] = 0;
    cr_assert_eq(public_key_validate(&bad), STATUS_FAILED, "a leading zero byte");
    bad.modulus[0] = 1;
    bad.modulus_size = RSA_MODULUS_BYTES_MAX + 1;
    cr_assert_eq(public_key_validate(&bad), STATUS_FAILED);
    uint8_t signature[256] = {0};
    bad.modulus_size = 255;
    cr_assert_eq(reference_verify(SIGNATURE_RS256, &bad, message, span_make(signature, 255)),
                 STATUS_FAILED);
}

Test(reference, pss_salt_is_of_32_bytes)
{
    struct signing_key key;
    signing_key_init(&key, KEY_RSA);
    uint8_t digest[32], signature[SIGNATURE_BYTES_MAX];
    SHA256(message.data, message.size, digest);
    for (int salt = 0; salt <= 64; salt += 16) {
        size_t size;
        cr_assert(RSA_sign_pss_mgf1(key.rsa, &size, signature, sizeof signature, digest, 32,
                                    EVP_sha256(), EVP_sha256(), salt));
        cr_assert_eq(
            reference_verify(SIGNATURE_PS256, &key.public, message, span_make(signature, size)),
            salt == 32 ? STATUS_OK : STATUS_FAILED);
        cr_assert_eq(
            reference_verify(SIGNATURE_RS256, &key.public, message, span_make(signature, size)),
            STATUS_FAILED, "a PSS signature is not a PKCS#1 v1.5 one");
    }
    signing_key_cleanup(&key);
}
