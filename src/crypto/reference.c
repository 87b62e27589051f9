#include "crypto/reference.h"

#include "crypto/ed25519_rule.h"
#include "crypto/sha256.h"

#include <openssl/base.h>
#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#define RSA_MODULUS_BYTES_MIN 256
#define PSS_SALT_BYTES        32

/* What an ECDSA algorithm of RFC 7518 section 3.4 fixes. */
struct curve {
    int nid;
    size_t bytes; /* of a coordinate, and of r and of s */
};

static struct curve curve_of(enum public_key_type type)
{
    switch (type) {
    case KEY_P256:
        return (struct curve){NID_X9_62_prime256v1, 32};
    case KEY_P384:
        return (struct curve){NID_secp384r1, 48};
    case KEY_P521:
        return (struct curve){NID_secp521r1, 66};
    default:
        return (struct curve){0};
    }
}

enum public_key_type signature_key_type(enum signature_algorithm algorithm)
{
    switch (algorithm) {
    case SIGNATURE_ES256:
        return KEY_P256;
    case SIGNATURE_ES384:
        return KEY_P384;
    case SIGNATURE_ES512:
        return KEY_P521;
    case SIGNATURE_EDDSA:
        return KEY_ED25519;
    case SIGNATURE_PS256:
    case SIGNATURE_RS256:
        return KEY_RSA;
    default:
        return KEY_NONE;
    }
}

/* Returns owned, or NULL for a point that is not on the curve, a coordinate that is not below p, no
 * memory. BoringSSL checks the curve's equation itself; the range is checked here as well, for it
 * is a rule of ours (RFC 7518 section 6.2.1.2 has one representation of a key) and not to be left
 * to a library's version. */
static EC_KEY *ec_key_new(const struct public_key *key, struct curve curve)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve.nid);
    BIGNUM *p = BN_new();
    BIGNUM *x = BN_bin2bn(key->x, curve.bytes, NULL);
    BIGNUM *y = BN_bin2bn(key->y, curve.bytes, NULL);
    bool good = ec != NULL && p != NULL && x != NULL && y != NULL &&
                EC_GROUP_get_curve_GFp(EC_KEY_get0_group(ec), p, NULL, NULL, NULL) &&
                BN_cmp(x, p) < 0 && BN_cmp(y, p) < 0 &&
                EC_KEY_set_public_key_affine_coordinates(ec, x, y);
    BN_free(p);
    BN_free(x);
    BN_free(y);
    if (!good) {
        EC_KEY_free(ec);
        return NULL;
    }
    return ec;
}

static enum status verify_ecdsa(const EC_KEY *ec, struct curve curve, const uint8_t *digest,
                                size_t digest_size, struct span signature)
{
    /* RFC 7518 section 3.4: "If it is not a [64, 96, 132]-octet sequence, the validation has
     * failed." */
    if (signature.size != 2 * curve.bytes) {
        return STATUS_FAILED;
    }
    enum status status = STATUS_FAILED;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.data, curve.bytes, NULL);
    BIGNUM *s = BN_bin2bn(signature.data + curve.bytes, curve.bytes, NULL);
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s)) {
        r = s = NULL; /* owned by sig now */
        /* Refuses r and s outside 1 .. n - 1 (FIPS 186-5 section 6.4.2 step 1). */
        if (ECDSA_do_verify(digest, digest_size, sig, ec) == 1) {
            status = STATUS_OK;
        }
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return status;
}

static bool rsa_bounds_hold(const struct public_key *key)
{
    return key->modulus_size >= RSA_MODULUS_BYTES_MIN &&
           key->modulus_size <= RSA_MODULUS_BYTES_MAX && key->modulus[0] != 0 &&
           (key->modulus_size > RSA_MODULUS_BYTES_MIN || (key->modulus[0] & 0x80) != 0) &&
           (key->modulus[key->modulus_size - 1] & 1) != 0 && key->exponent >= 3 &&
           (key->exponent & 1) != 0;
}

static RSA *rsa_new(const struct public_key *key)
{
    RSA *rsa = RSA_new();
    BIGNUM *n = BN_bin2bn(key->modulus, key->modulus_size, NULL);
    BIGNUM *e = BN_new();
    if (rsa == NULL || n == NULL || e == NULL || !BN_set_word(e, key->exponent) ||
        !RSA_set0_key(rsa, n, e, NULL)) {
        BN_free(n);
        BN_free(e);
        RSA_free(rsa);
        return NULL;
    }
    return rsa;
}

static enum status verify_rsa(RSA *rsa, bool pss, const uint8_t digest[32], struct span signature)
{
    /* RFC 8017 section 8.2.2 step 1, 8.1.2 step 1: "If the length of the signature S is not k
     * octets, output 'invalid signature' and stop." */
    if (signature.size != RSA_size(rsa)) {
        return STATUS_FAILED;
    }
    int good;
    if (pss) {
        good = RSA_verify_pss_mgf1(rsa, digest, SHA256_BYTES, EVP_sha256(), EVP_sha256(),
                                   PSS_SALT_BYTES, signature.data, signature.size);
    } else {
        good = RSA_verify(NID_sha256, digest, SHA256_BYTES, signature.data, signature.size, rsa);
    }
    return good == 1 ? STATUS_OK : STATUS_FAILED;
}

static enum status verify_ed25519(const uint8_t key[32], struct span message, struct span signature)
{
    if (signature.size != 64) {
        return STATUS_FAILED;
    }
    /* BoringSSL refuses S >= L, and compares R with the (canonical) encoding of S B - h A byte for
     * byte; the key's own rules were checked when it was prepared. */
    return ED25519_verify(message.data, message.size, signature.data, key) == 1 ? STATUS_OK
                                                                                : STATUS_FAILED;
}

enum status reference_key_init(struct reference_key *prepared, const struct public_key *key)
{
    *prepared = (struct reference_key){.type = key->type};
    struct curve curve = curve_of(key->type);
    bool good = false;
    if (curve.bytes != 0) {
        prepared->ec = ec_key_new(key, curve);
        good = prepared->ec != NULL;
    } else if (key->type == KEY_RSA) {
        prepared->rsa = rsa_bounds_hold(key) ? rsa_new(key) : NULL;
        good = prepared->rsa != NULL;
    } else if (key->type == KEY_ED25519) {
        /* Whether the point is on the curve BoringSSL sees in each verification. */
        memcpy(prepared->ed25519, key->x, sizeof prepared->ed25519);
        good = ed25519_key_encoding_allowed(key->x);
    }
    if (!good) {
        ERR_clear_error();
    }
    return good ? STATUS_OK : STATUS_FAILED;
}

void reference_key_cleanup(struct reference_key *prepared)
{
    EC_KEY_free(prepared->ec);
    RSA_free(prepared->rsa);
    *prepared = (struct reference_key){0};
}

static enum status dispatch(enum signature_algorithm algorithm, const struct reference_key *key,
                            struct span message, struct span signature)
{
    uint8_t digest[SHA512_DIGEST_LENGTH];
    switch (algorithm) {
    case SIGNATURE_ES256:
        sha256(message, digest);
        return verify_ecdsa(key->ec, curve_of(KEY_P256), digest, SHA256_BYTES, signature);
    case SIGNATURE_ES384:
        SHA384(message.data, message.size, digest);
        return verify_ecdsa(key->ec, curve_of(KEY_P384), digest, SHA384_DIGEST_LENGTH, signature);
    case SIGNATURE_ES512:
        SHA512(message.data, message.size, digest);
        return verify_ecdsa(key->ec, curve_of(KEY_P521), digest, SHA512_DIGEST_LENGTH, signature);
    case SIGNATURE_EDDSA:
        return verify_ed25519(key->ed25519, message, signature);
    case SIGNATURE_PS256:
    case SIGNATURE_RS256:
        sha256(message, digest);
        return verify_rsa(key->rsa, algorithm == SIGNATURE_PS256, digest, signature);
    default:
        return STATUS_FAILED;
    }
}

enum status reference_verify_prepared(enum signature_algorithm algorithm,
                                      const struct reference_key *prepared, struct span message,
                                      struct span signature)
{
    if (prepared->type == KEY_NONE || signature_key_type(algorithm) != prepared->type) {
        return STATUS_FAILED;
    }
    enum status status = dispatch(algorithm, prepared, message, signature);
    if (status != STATUS_OK) {
        ERR_clear_error();
    }
    return status;
}

enum status reference_verify(enum signature_algorithm algorithm, const struct public_key *key,
                             struct span message, struct span signature)
{
    if (key == NULL || key->type == KEY_NONE || signature_key_type(algorithm) != key->type) {
        return STATUS_FAILED;
    }
    struct reference_key prepared;
    if (reference_key_init(&prepared, key) != STATUS_OK) {
        return STATUS_FAILED;
    }
    enum status status = reference_verify_prepared(algorithm, &prepared, message, signature);
    reference_key_cleanup(&prepared);
    return status;
}

enum status reference_verify_es256_digest(const struct public_key *key, const uint8_t digest[32],
                                          const uint8_t signature[64])
{
    struct reference_key prepared;
    if (key->type != KEY_P256 || reference_key_init(&prepared, key) != STATUS_OK) {
        return STATUS_FAILED;
    }
    enum status status = verify_ecdsa(prepared.ec, curve_of(KEY_P256), digest, SHA256_BYTES,
                                      span_make(signature, 64));
    if (status != STATUS_OK) {
        ERR_clear_error();
    }
    reference_key_cleanup(&prepared);
    return status;
}

enum status public_key_validate(const struct public_key *key)
{
    struct reference_key prepared;
    if (reference_key_init(&prepared, key) != STATUS_OK) {
        return STATUS_FAILED;
    }
    reference_key_cleanup(&prepared);
    if (key->type == KEY_ED25519 && !ed25519_key_on_curve(key->x)) {
        return STATUS_FAILED;
    }
    return STATUS_OK;
}
