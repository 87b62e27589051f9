/* Makes keys and signatures with BoringSSL, for tests: each algorithm of the contract in its raw
 * JOSE form. */
#ifndef POPGATE_TESTS_CRYPTO_SIGNING_H
#define POPGATE_TESTS_CRYPTO_SIGNING_H

#include "crypto/verify.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define SIGNATURE_BYTES_MAX 512

struct signing_key {
    struct public_key public;
    EC_KEY *ec;
    RSA *rsa;
    uint8_t ed25519[64];
};

/* Aborts, rather than returning, when BoringSSL cannot: nothing is being tested then. */
static inline void signing_require(int good)
{
    if (!good) {
        abort();
    }
}

/* The coordinates of what `ec` holds. */
static inline void signing_key_publish_ec(struct signing_key *key, size_t bytes)
{
    BIGNUM *x = BN_new(), *y = BN_new();
    signing_require(EC_POINT_get_affine_coordinates_GFp(
        EC_KEY_get0_group(key->ec), EC_KEY_get0_public_key(key->ec), x, y, NULL));
    signing_require(BN_bn2bin_padded(key->public.x, bytes, x) &&
                    BN_bn2bin_padded(key->public.y, bytes, y));
    BN_free(x);
    BN_free(y);
}

static inline void signing_key_make_ec(struct signing_key *key, int nid, size_t bytes)
{
    key->ec = EC_KEY_new_by_curve_name(nid);
    signing_require(key->ec != NULL && EC_KEY_generate_key(key->ec));
    signing_key_publish_ec(key, bytes);
}

static inline void signing_key_init(struct signing_key *key, enum public_key_type type)
{
    *key = (struct signing_key){.public.type = type};
    switch (type) {
    case KEY_P256:
        signing_key_make_ec(key, NID_X9_62_prime256v1, 32);
        break;
    case KEY_P384:
        signing_key_make_ec(key, NID_secp384r1, 48);
        break;
    case KEY_P521:
        signing_key_make_ec(key, NID_secp521r1, 66);
        break;
    case KEY_ED25519:
        ED25519_keypair(key->public.x, key->ed25519);
        break;
    case KEY_RSA: {
        BIGNUM *e = BN_new();
        key->rsa = RSA_new();
        signing_require(BN_set_word(e, 65537) && RSA_generate_key_ex(key->rsa, 2048, e, NULL));
        BN_free(e);
        key->public.exponent = 65537;
        key->public.modulus_size = 256;
        signing_require(BN_bn2bin_padded(key->public.modulus, 256, RSA_get0_n(key->rsa)));
        break;
    }
    default:
        abort();
    }
}

/* ES256 of a digest with a k of the caller's (FIPS 186-5 section 6.4.1): BoringSSL's own would be
 * another one in every run. */
static inline void signing_es256_with_k(const EC_GROUP *group, const BIGNUM *d, const BIGNUM *k,
                                        const uint8_t digest[32], uint8_t signature[64])
{
    const BIGNUM *n = EC_GROUP_get0_order(group);
    BN_CTX *ctx = BN_CTX_new();
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *e = BN_bin2bn(digest, 32, NULL), *r = BN_new(), *s = BN_new(), *inverse = BN_new();
    signing_require(EC_POINT_mul(group, point, k, NULL, NULL, ctx) &&
                    EC_POINT_get_affine_coordinates_GFp(group, point, r, NULL, ctx) &&
                    BN_nnmod(r, r, n, ctx) && BN_mod_mul(s, r, d, n, ctx) &&
                    BN_mod_add(s, s, e, n, ctx) && BN_mod_inverse(inverse, k, n, ctx) != NULL &&
                    BN_mod_mul(s, s, inverse, n, ctx) && BN_bn2bin_padded(signature, 32, r) &&
                    BN_bn2bin_padded(signature + 32, 32, s));
    EC_POINT_free(point);
    BN_free(e);
    BN_free(r);
    BN_free(s);
    BN_free(inverse);
    BN_CTX_free(ctx);
}

static inline void signing_key_cleanup(struct signing_key *key)
{
    EC_KEY_free(key->ec);
    RSA_free(key->rsa);
}

static inline size_t signing_ecdsa(const struct signing_key *key, const uint8_t *digest,
                                   size_t digest_size, size_t bytes, uint8_t *out)
{
    ECDSA_SIG *sig = ECDSA_do_sign(digest, digest_size, key->ec);
    signing_require(sig != NULL);
    const BIGNUM *r, *s;
    ECDSA_SIG_get0(sig, &r, &s);
    signing_require(BN_bn2bin_padded(out, bytes, r) && BN_bn2bin_padded(out + bytes, bytes, s));
    ECDSA_SIG_free(sig);
    return 2 * bytes;
}

/* Returns the size written to `out`. */
static inline size_t signing_sign(const struct signing_key *key, enum signature_algorithm algorithm,
                                  struct span message, uint8_t out[SIGNATURE_BYTES_MAX])
{
    uint8_t digest[64];
    size_t size = 0;
    unsigned rsa_size = 0;
    switch (algorithm) {
    case SIGNATURE_ES256:
        SHA256(message.data, message.size, digest);
        return signing_ecdsa(key, digest, 32, 32, out);
    case SIGNATURE_ES384:
        SHA384(message.data, message.size, digest);
        return signing_ecdsa(key, digest, 48, 48, out);
    case SIGNATURE_ES512:
        SHA512(message.data, message.size, digest);
        return signing_ecdsa(key, digest, 64, 66, out);
    case SIGNATURE_EDDSA:
        signing_require(ED25519_sign(out, message.data, message.size, key->ed25519));
        return 64;
    case SIGNATURE_PS256:
        SHA256(message.data, message.size, digest);
        signing_require(RSA_sign_pss_mgf1(key->rsa, &size, out, SIGNATURE_BYTES_MAX, digest, 32,
                                          EVP_sha256(), EVP_sha256(), 32));
        return size;
    case SIGNATURE_RS256:
        SHA256(message.data, message.size, digest);
        signing_require(RSA_sign(NID_sha256, digest, 32, out, &rsa_size, key->rsa));
        return rsa_size;
    default:
        abort();
    }
}

#endif
