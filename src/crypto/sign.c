#include "crypto/sign.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdlib.h>

struct signing_key {
    EVP_PKEY *pkey;
    struct public_key public_key;
};

static const struct curve {
    enum signature_algorithm algorithm;
    enum public_key_type type;
    int nid;
    size_t field_bytes;
} curves[] = {
    {SIGNATURE_ES256, KEY_P256, NID_X9_62_prime256v1, 32},
    {SIGNATURE_ES384, KEY_P384, NID_secp384r1, 48},
    {SIGNATURE_ES512, KEY_P521, NID_secp521r1, 66},
};
#define CURVES (sizeof curves / sizeof curves[0])

static const struct curve *curve_of_type(enum public_key_type type)
{
    for (size_t i = 0; i < CURVES; i++) {
        if (curves[i].type == type) {
            return &curves[i];
        }
    }
    return NULL;
}

/* ---- what the public half is ---- */

static enum status read_ec(const EVP_PKEY *pkey, struct public_key *out)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(pkey);
    int nid = EC_GROUP_get_curve_name(EC_KEY_get0_group(ec));
    for (size_t i = 0; i < CURVES; i++) {
        if (curves[i].nid != nid) {
            continue;
        }
        uint8_t point[1 + 2 * 66];
        size_t field = curves[i].field_bytes;
        if (EC_POINT_point2oct(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec),
                               POINT_CONVERSION_UNCOMPRESSED, point, sizeof point,
                               NULL) != 1 + 2 * field) {
            return STATUS_MALFORMED;
        }
        out->type = curves[i].type;
        memcpy(out->x, point + 1, field);
        memcpy(out->y, point + 1 + field, field);
        return STATUS_OK;
    }
    return STATUS_UNSUPPORTED;
}

static enum status read_rsa(const EVP_PKEY *pkey, struct public_key *out)
{
    const BIGNUM *modulus = NULL, *exponent = NULL;
    RSA_get0_key(EVP_PKEY_get0_RSA(pkey), &modulus, &exponent, NULL);
    size_t size = BN_num_bytes(modulus);
    if (size < 256 || size > RSA_MODULUS_BYTES_MAX || BN_num_bits(exponent) > 32) {
        return STATUS_UNSUPPORTED;
    }
    out->type = KEY_RSA;
    out->modulus_size = size;
    out->exponent = (uint32_t)BN_get_word(exponent);
    BN_bn2bin(modulus, out->modulus);
    return STATUS_OK;
}

static enum status read_public(const EVP_PKEY *pkey, struct public_key *out)
{
    *out = (struct public_key){0};
    size_t size = 32;
    switch (EVP_PKEY_id(pkey)) {
    case EVP_PKEY_EC:
        return read_ec(pkey, out);
    case EVP_PKEY_RSA:
        return read_rsa(pkey, out);
    case EVP_PKEY_ED25519:
        out->type = KEY_ED25519;
        return EVP_PKEY_get_raw_public_key(pkey, out->x, &size) ? STATUS_OK : STATUS_MALFORMED;
    default:
        return STATUS_UNSUPPORTED;
    }
}

/* Takes `pkey`. */
static enum status wrap(EVP_PKEY *pkey, struct signing_key **key)
{
    *key = NULL;
    struct signing_key *made = calloc(1, sizeof *made);
    enum status status = made != NULL ? read_public(pkey, &made->public_key) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        EVP_PKEY_free(pkey);
        free(made);
        return status;
    }
    made->pkey = pkey;
    *key = made;
    return STATUS_OK;
}

/* ---- making, reading, writing ---- */

static EVP_PKEY *generate_ec(int nid)
{
    EVP_PKEY *pkey = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(nid);
    if (pkey == NULL || ec == NULL || !EC_KEY_generate_key(ec) || !EVP_PKEY_set1_EC_KEY(pkey, ec)) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    EC_KEY_free(ec);
    return pkey;
}

static EVP_PKEY *generate_rsa(void)
{
    EVP_PKEY *pkey = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *exponent = BN_new();
    if (pkey == NULL || rsa == NULL || exponent == NULL || !BN_set_word(exponent, RSA_F4) ||
        !RSA_generate_key_ex(rsa, 2048, exponent, NULL) || !EVP_PKEY_set1_RSA(pkey, rsa)) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    RSA_free(rsa);
    BN_free(exponent);
    return pkey;
}

static EVP_PKEY *generate_ed25519(void)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    if (context == NULL || !EVP_PKEY_keygen_init(context) || !EVP_PKEY_keygen(context, &pkey)) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return pkey;
}

struct signing_key *signing_key_generate(enum signature_algorithm algorithm)
{
    EVP_PKEY *pkey = NULL;
    enum public_key_type type = signature_key_type(algorithm);
    if (type == KEY_RSA) {
        pkey = generate_rsa();
    } else if (type == KEY_ED25519) {
        pkey = generate_ed25519();
    } else if (curve_of_type(type) != NULL) {
        pkey = generate_ec(curve_of_type(type)->nid);
    }
    struct signing_key *key = NULL;
    if (pkey == NULL || wrap(pkey, &key) != STATUS_OK) {
        return NULL;
    }
    return key;
}

/* Never asks a terminal. */
static int no_passphrase(char *buffer, int size, int for_writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)for_writing;
    (void)user;
    return -1;
}

enum status signing_key_read(struct span pem, struct signing_key **key)
{
    *key = NULL;
    BIO *bio = pem.size <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
    EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return pkey != NULL ? wrap(pkey, key) : STATUS_MALFORMED;
}

void signing_key_free(struct signing_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->pkey);
        free(key);
    }
}

char *signing_key_write(const struct signing_key *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *text = NULL;
    size_t size = 0;
    char *copy = NULL;
    if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) &&
        BIO_mem_contents(bio, &text, &size)) {
        copy = malloc(size + 1);
        if (copy != NULL) {
            memcpy(copy, text, size);
            copy[size] = '\0';
        }
    }
    BIO_free(bio);
    return copy;
}

void signing_text_free(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}

void signing_key_public(const struct signing_key *key, struct public_key *out)
{
    *out = key->public_key;
}

enum signature_algorithm signing_key_algorithm(const struct signing_key *key)
{
    const struct curve *curve = curve_of_type(key->public_key.type);
    if (curve != NULL) {
        return curve->algorithm;
    }
    return key->public_key.type == KEY_RSA ? SIGNATURE_PS256 : SIGNATURE_EDDSA;
}

/* ---- signing ---- */

/* ECDSA signs into DER; JOSE wants r || s, each padded to the field (RFC 7518 section 3.4). */
static enum status to_raw(const uint8_t *der, size_t der_size, size_t field_bytes, uint8_t *out)
{
    ECDSA_SIG *signature = ECDSA_SIG_from_bytes(der, der_size);
    bool ok = signature != NULL &&
              BN_bn2bin_padded(out, field_bytes, ECDSA_SIG_get0_r(signature)) &&
              BN_bn2bin_padded(out + field_bytes, field_bytes, ECDSA_SIG_get0_s(signature));
    ECDSA_SIG_free(signature);
    return ok ? STATUS_OK : STATUS_FAILED;
}

static const EVP_MD *hash_of(enum signature_algorithm algorithm)
{
    switch (algorithm) {
    case SIGNATURE_EDDSA:
        return NULL;
    case SIGNATURE_ES384:
        return EVP_sha384();
    case SIGNATURE_ES512:
        return EVP_sha512();
    default:
        return EVP_sha256();
    }
}

enum status signing_key_sign(const struct signing_key *key, enum signature_algorithm algorithm,
                             struct span message, uint8_t out[SIGNATURE_BYTES_MAX], size_t *size)
{
    enum public_key_type type = signature_key_type(algorithm);
    if (type == KEY_NONE || type != key->public_key.type) {
        return STATUS_UNSUPPORTED;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL; /* owned by `context` */
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t signature_size = sizeof signature;
    bool ok = context != NULL &&
              EVP_DigestSignInit(context, &settings, hash_of(algorithm), NULL, key->pkey);
    if (ok && algorithm == SIGNATURE_PS256) {
        /* RFC 7518 section 3.5: "The size of the salt value is the same size as the hash function
         * output." */
        ok = EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, -1);
    }
    ok = ok && EVP_DigestSign(context, signature, &signature_size, message.data, message.size);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (!ok) {
        return STATUS_FAILED;
    }
    const struct curve *curve = curve_of_type(type);
    if (curve != NULL) {
        *size = 2 * curve->field_bytes;
        return to_raw(signature, signature_size, curve->field_bytes, out);
    }
    memcpy(out, signature, signature_size);
    *size = signature_size;
    return STATUS_OK;
}
