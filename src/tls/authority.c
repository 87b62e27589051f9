#include "tls/authority.h"

#include "tls/demo.h"
#include "tls/spiffe.h"

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <time.h>

struct authority {
    X509 *certificate;
    EVP_PKEY *key;
};

static EVP_PKEY *generate_key(void)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    if (key == NULL || ec == NULL || !EC_KEY_generate_key(ec) || !EVP_PKEY_set1_EC_KEY(key, ec)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EC_KEY_free(ec);
    return key;
}

/* ---- texts ---- */

static char *copy_and_free(BIO *bio, bool wipe)
{
    const uint8_t *text = NULL;
    size_t size = 0;
    char *copy = NULL;
    if (BIO_mem_contents(bio, &text, &size) && (copy = malloc(size + 1)) != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    if (wipe && text != NULL) {
        OPENSSL_cleanse((void *)(uintptr_t)text, size);
    }
    BIO_free(bio);
    return copy;
}

static char *certificate_text(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || !PEM_write_bio_X509(bio, certificate)) {
        BIO_free(bio);
        return NULL;
    }
    return copy_and_free(bio, false);
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
        BIO_free(bio);
        return NULL;
    }
    return copy_and_free(bio, true);
}

void authority_key_free(char *key)
{
    if (key != NULL) {
        OPENSSL_cleanse(key, strlen(key));
        free(key);
    }
}

/* ---- certificates ---- */

static enum status add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return ok ? STATUS_OK : STATUS_FAILED;
}

/* A certificate without extensions and signature. */
static X509 *begin(const char *common_name, X509 *issuer, EVP_PKEY *key, int days)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_NAME_new();
    uint64_t serial = 0;
    RAND_bytes((uint8_t *)&serial, sizeof serial);
    time_t now = time(NULL);
    bool ok = certificate != NULL && name != NULL &&
              X509_set_version(certificate, X509_VERSION_3) &&
              ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial | 1) &&
              ASN1_TIME_set(X509_getm_notBefore(certificate), now - 3600) != NULL &&
              ASN1_TIME_set(X509_getm_notAfter(certificate), now + (time_t)days * 86400) != NULL &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name,
                                         -1, -1, 0) &&
              X509_set_subject_name(certificate, name) &&
              X509_set_issuer_name(certificate,
                                   issuer != NULL ? X509_get_subject_name(issuer) : name) &&
              X509_set_pubkey(certificate, key);
    X509_NAME_free(name);
    if (!ok) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

struct authority *authority_new(const char *common_name, int days)
{
    struct authority *authority = calloc(1, sizeof *authority);
    if (authority == NULL) {
        return NULL;
    }
    authority->key = generate_key();
    authority->certificate = authority->key != NULL ? begin(common_name, NULL, authority->key, days)
                                                    : NULL;
    X509 *ca = authority->certificate;
    if (ca == NULL ||
        add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE") != STATUS_OK ||
        add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") != STATUS_OK ||
        add_extension(ca, ca, NID_subject_key_identifier, "hash") != STATUS_OK ||
        demo_mark(ca) != STATUS_OK || !X509_sign(ca, authority->key, EVP_sha256())) {
        authority_free(authority);
        ERR_clear_error();
        return NULL;
    }
    return authority;
}

void authority_free(struct authority *authority)
{
    if (authority != NULL) {
        X509_free(authority->certificate);
        EVP_PKEY_free(authority->key);
        free(authority);
    }
}

char *authority_certificate(const struct authority *authority)
{
    return certificate_text(authority->certificate);
}

/* ---- names ---- */

/* Takes `value`. */
static enum status push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name == NULL || value == NULL) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return STATUS_NO_MEMORY;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (!sk_GENERAL_NAME_push(names, name)) {
        GENERAL_NAME_free(name);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status push_text(GENERAL_NAMES *names, int type, const char *text)
{
    size_t size = strlen(text);
    if (size == 0 || size > 2048) {
        return STATUS_MALFORMED;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= 0x20 || text[i] > 0x7e) {
            return STATUS_MALFORMED;
        }
    }
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (value != NULL && !ASN1_STRING_set(value, text, (int)size)) {
        ASN1_IA5STRING_free(value);
        value = NULL;
    }
    return push_name(names, type, value);
}

static enum status push_address(GENERAL_NAMES *names, const char *address)
{
    return push_name(names, GEN_IPADD, a2i_IPADDRESS(address));
}

static enum status add_names(X509 *leaf, const struct authority_request *request)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    enum status status = names != NULL && request->dns_names_count <= AUTHORITY_NAMES_MAX
                             ? STATUS_OK
                             : STATUS_MALFORMED;
    for (size_t i = 0; status == STATUS_OK && i < request->dns_names_count; i++) {
        status = push_text(names, GEN_DNS, request->dns_names[i]);
    }
    if (status == STATUS_OK && request->loopback) {
        status = push_address(names, "127.0.0.1");
        status = status == STATUS_OK ? push_address(names, "::1") : status;
    }
    if (status == STATUS_OK && request->uri != NULL) {
        struct span uri = span_from_string(request->uri);
        status = spiffe_claims_scheme(uri) && !spiffe_id_is_valid(uri) ? STATUS_MALFORMED : status;
    }
    if (status == STATUS_OK && request->uri != NULL) {
        status = push_text(names, GEN_URI, request->uri);
    }
    if (status == STATUS_OK && sk_GENERAL_NAME_num(names) > 0 &&
        X509_add1_ext_i2d(leaf, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1) {
        status = STATUS_NO_MEMORY;
    }
    GENERAL_NAMES_free(names);
    return status;
}

enum status authority_issue(const struct authority *authority,
                            const struct authority_request *request, char **certificate, char **key)
{
    *certificate = *key = NULL;
    const char *usage = request->server && request->client ? "serverAuth,clientAuth"
                        : request->server                  ? "serverAuth"
                                                           : "clientAuth";
    X509 *ca = authority->certificate;
    EVP_PKEY *leaf_key = generate_key();
    X509 *leaf = leaf_key != NULL ? begin(request->common_name, ca, leaf_key, request->days) : NULL;
    enum status status = leaf != NULL ? add_names(leaf, request) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        bool ok = add_extension(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") ==
                      STATUS_OK &&
                  add_extension(leaf, ca, NID_key_usage, "critical,digitalSignature") ==
                      STATUS_OK &&
                  add_extension(leaf, ca, NID_ext_key_usage, usage) == STATUS_OK &&
                  add_extension(leaf, ca, NID_authority_key_identifier, "keyid") == STATUS_OK &&
                  X509_sign(leaf, authority->key, EVP_sha256()) != 0;
        *certificate = ok ? certificate_text(leaf) : NULL;
        *key = ok ? key_text(leaf_key) : NULL;
        if (*certificate == NULL || *key == NULL) {
            status = STATUS_NO_MEMORY;
            free(*certificate);
            authority_key_free(*key);
            *certificate = *key = NULL;
        }
    }
    X509_free(leaf);
    EVP_PKEY_free(leaf_key);
    ERR_clear_error();
    return status;
}

enum status certificate_digest(struct span pem, uint8_t digest[32])
{
    BIO *bio = pem.size <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    uint8_t *der = NULL;
    int size = certificate != NULL ? i2d_X509(certificate, &der) : -1;
    if (size > 0) {
        SHA256(der, (size_t)size, digest);
    }
    OPENSSL_free(der);
    X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    return size > 0 ? STATUS_OK : STATUS_MALFORMED;
}
