#include "support/mint.h"

#include "jose/base64url.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

struct mint_key {
    enum signature_algorithm algorithm;
    EC_KEY *ec;
    EVP_PKEY *rsa;
    uint8_t ed25519[64], ed25519_public[32];
    char jwk[1024], private_jwk[1280], jkt[44];
};

/* A failure of the library or of memory ends the test program. */
static void must(int ok)
{
    if (!ok) {
        fprintf(stderr, "mint: the library failed\n");
        abort();
    }
}

static void *must_have(void *pointer)
{
    must(pointer != NULL);
    return pointer;
}

static void encode(const uint8_t *bytes, size_t size, char *out)
{
    out[base64url_encode(span_make(bytes, size), out)] = '\0';
}

void mint_hash(struct span message, char text[44])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(message.data, message.size, digest);
    encode(digest, sizeof(digest), text);
}

static size_t field_bytes(enum signature_algorithm algorithm)
{
    return algorithm == SIGNATURE_ES256 ? 32 : algorithm == SIGNATURE_ES384 ? 48 : 66;
}

static void make_ec(struct mint_key *key)
{
    int curve = key->algorithm == SIGNATURE_ES256   ? NID_X9_62_prime256v1
                : key->algorithm == SIGNATURE_ES384 ? NID_secp384r1
                                                    : NID_secp521r1;
    const char *name = key->algorithm == SIGNATURE_ES256   ? "P-256"
                       : key->algorithm == SIGNATURE_ES384 ? "P-384"
                                                           : "P-521";
    key->ec = must_have(EC_KEY_new_by_curve_name(curve));
    must(EC_KEY_generate_key(key->ec));
    BIGNUM *x = must_have(BN_new()), *y = must_have(BN_new());
    must(EC_POINT_get_affine_coordinates_GFp(EC_KEY_get0_group(key->ec),
                                             EC_KEY_get0_public_key(key->ec), x, y, NULL));
    size_t bytes = field_bytes(key->algorithm);
    uint8_t raw[66];
    char x_text[96], y_text[96], d_text[96];
    must(BN_bn2bin_padded(raw, bytes, x));
    encode(raw, bytes, x_text);
    must(BN_bn2bin_padded(raw, bytes, y));
    encode(raw, bytes, y_text);
    must(BN_bn2bin_padded(raw, bytes, EC_KEY_get0_private_key(key->ec)));
    encode(raw, bytes, d_text);
    snprintf(key->jwk, sizeof(key->jwk),
             "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", name, x_text, y_text);
    snprintf(key->private_jwk, sizeof(key->private_jwk),
             "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\",\"d\":\"%s\"}", name, x_text,
             y_text, d_text);
    BN_free(x);
    BN_free(y);
}

static void make_ed25519(struct mint_key *key)
{
    char x_text[44], d_text[44];
    ED25519_keypair(key->ed25519_public, key->ed25519);
    encode(key->ed25519_public, 32, x_text);
    encode(key->ed25519, 32, d_text);
    snprintf(key->jwk, sizeof(key->jwk), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}",
             x_text);
    snprintf(key->private_jwk, sizeof(key->private_jwk),
             "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\",\"d\":\"%s\"}", x_text, d_text);
}

static void make_rsa(struct mint_key *key)
{
    RSA *rsa = must_have(RSA_new());
    BIGNUM *exponent = must_have(BN_new());
    must(BN_set_word(exponent, 65537));
    must(RSA_generate_key_ex(rsa, 2048, exponent, NULL));
    uint8_t raw[256];
    char text[400];
    must(BN_bn2bin_padded(raw, sizeof(raw), RSA_get0_n(rsa)));
    encode(raw, sizeof(raw), text);
    snprintf(key->jwk, sizeof(key->jwk), "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"%s\"}", text);
    key->rsa = must_have(EVP_PKEY_new());
    must(EVP_PKEY_assign_RSA(key->rsa, rsa));
    BN_free(exponent);
}

struct mint_key *mint_key_new(enum signature_algorithm algorithm)
{
    struct mint_key *key = must_have(calloc(1, sizeof(*key)));
    key->algorithm = algorithm;
    if (algorithm == SIGNATURE_EDDSA) {
        make_ed25519(key);
    } else if (algorithm == SIGNATURE_PS256 || algorithm == SIGNATURE_RS256) {
        make_rsa(key);
    } else {
        make_ec(key);
    }
    mint_hash(span_from_string(key->jwk), key->jkt);
    return key;
}

void mint_key_free(struct mint_key *key)
{
    if (key != NULL) {
        EC_KEY_free(key->ec);
        EVP_PKEY_free(key->rsa);
        free(key);
    }
}

const char *mint_key_jwk(const struct mint_key *key)
{
    return key->jwk;
}

const char *mint_key_jkt(const struct mint_key *key)
{
    return key->jkt;
}

const char *mint_key_private_jwk(struct mint_key *key)
{
    return key->private_jwk;
}

const char *mint_key_alg(const struct mint_key *key)
{
    static const char *const names[SIGNATURE_ALGORITHMS] = {
        [SIGNATURE_ES256] = "ES256", [SIGNATURE_ES384] = "ES384", [SIGNATURE_ES512] = "ES512",
        [SIGNATURE_EDDSA] = "EdDSA", [SIGNATURE_PS256] = "PS256", [SIGNATURE_RS256] = "RS256",
    };
    return names[key->algorithm];
}

static size_t sign_ec(const struct mint_key *key, struct span message, uint8_t *signature)
{
    uint8_t digest[64];
    size_t digest_size = 0;
    if (key->algorithm == SIGNATURE_ES256) {
        SHA256(message.data, message.size, digest);
        digest_size = 32;
    } else if (key->algorithm == SIGNATURE_ES384) {
        SHA384(message.data, message.size, digest);
        digest_size = 48;
    } else {
        SHA512(message.data, message.size, digest);
        digest_size = 64;
    }
    ECDSA_SIG *made = must_have(ECDSA_do_sign(digest, digest_size, key->ec));
    const BIGNUM *r = NULL, *s = NULL;
    ECDSA_SIG_get0(made, &r, &s);
    size_t bytes = field_bytes(key->algorithm);
    must(BN_bn2bin_padded(signature, bytes, r));
    must(BN_bn2bin_padded(signature + bytes, bytes, s));
    ECDSA_SIG_free(made);
    return 2 * bytes;
}

static size_t sign_rsa(const struct mint_key *key, struct span message, uint8_t *signature)
{
    EVP_MD_CTX *context = must_have(EVP_MD_CTX_new());
    EVP_PKEY_CTX *options = NULL;
    must(EVP_DigestSignInit(context, &options, EVP_sha256(), NULL, key->rsa));
    if (key->algorithm == SIGNATURE_PS256) {
        must(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING));
        must(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, 32));
    }
    size_t size = 512;
    must(EVP_DigestSign(context, signature, &size, message.data, message.size));
    EVP_MD_CTX_free(context);
    return size;
}

size_t mint_sign(const struct mint_key *key, struct span message, uint8_t *signature)
{
    if (key->ec != NULL) {
        return sign_ec(key, message, signature);
    }
    if (key->rsa != NULL) {
        return sign_rsa(key, message, signature);
    }
    must(ED25519_sign(signature, message.data, message.size, key->ed25519));
    return 64;
}

char *mint_join(struct span header, struct span payload, struct span signature)
{
    char *text = must_have(malloc(MINT_TEXT_MAX));
    must((header.size + payload.size + signature.size) * 4 / 3 + 16 < MINT_TEXT_MAX);
    size_t size = base64url_encode(header, text);
    text[size++] = '.';
    size += base64url_encode(payload, text + size);
    text[size++] = '.';
    size += base64url_encode(signature, text + size);
    text[size] = '\0';
    return text;
}

char *mint_jws(const struct mint_key *key, const char *header, const char *payload)
{
    struct span none = {NULL, 0};
    char *text = mint_join(span_from_string(header), span_from_string(payload), none);
    size_t size = strlen(text) - 1; /* without the last dot */
    uint8_t signature[512];
    size_t signature_size = mint_sign(key, span_make(text, size), signature);
    encode(signature, signature_size, text + size + 1);
    return text;
}

char *mint_with_signature(const char *jws, struct span signature)
{
    char *text = must_have(malloc(MINT_TEXT_MAX));
    size_t size = (size_t)(strrchr(jws, '.') + 1 - jws);
    memcpy(text, jws, size);
    encode(signature.data, signature.size, text + size);
    return text;
}

char *mint_negate_s(const char *jws)
{
    uint8_t raw[66];
    struct span signature;
    must(base64url_decode(span_from_string(strrchr(jws, '.') + 1),
                          (struct span_mut){raw, sizeof(raw)}, &signature) == STATUS_OK &&
         signature.size == 64);
    EC_GROUP *group = must_have(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
    BIGNUM *s = must_have(BN_bin2bn(raw + 32, 32, NULL));
    must(BN_sub(s, EC_GROUP_get0_order(group), s));
    must(BN_bn2bin_padded(raw + 32, 32, s));
    BN_free(s);
    EC_GROUP_free(group);
    return mint_with_signature(jws, span_make(raw, 64));
}
