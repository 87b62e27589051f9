#include "unit/tls/certificates.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static EVP_PKEY *make_key(enum test_key kind)
{
    EVP_PKEY *key = NULL;
    if (kind == TEST_KEY_ED25519) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
        MUST(context != NULL && EVP_PKEY_keygen_init(context) && EVP_PKEY_keygen(context, &key));
        EVP_PKEY_CTX_free(context);
        return key;
    }
    key = EVP_PKEY_new();
    if (kind == TEST_KEY_RSA2048) {
        RSA *rsa = RSA_new();
        BIGNUM *exponent = BN_new();
        MUST(BN_set_word(exponent, RSA_F4) && RSA_generate_key_ex(rsa, 2048, exponent, NULL));
        BN_free(exponent);
        MUST(EVP_PKEY_assign_RSA(key, rsa));
        return key;
    }
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    MUST(ec != NULL && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    if (value == NULL) {
        return;
    }
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    char copy[512];
    snprintf(copy, sizeof copy, "%s", value);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, copy);
    MUST(extension != NULL && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static void add_sans(X509 *certificate, const struct test_san *sans)
{
    if (sans == NULL) {
        return;
    }
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    for (; sans->type != 0; sans++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        MUST(ASN1_STRING_set(text, sans->value, (int)strlen(sans->value)));
        GENERAL_NAME_set0_value(name, sans->type, text);
        MUST(sk_GENERAL_NAME_push(names, name));
    }
    MUST(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
    GENERAL_NAMES_free(names);
}

static void set_times(X509 *certificate, int64_t from_s, int64_t until_s)
{
    if (from_s == 0 && until_s == 0) {
        from_s = -3600;
        until_s = 86400;
    }
    time_t now = time(NULL);
    MUST(ASN1_TIME_set(X509_getm_notBefore(certificate), now + from_s) != NULL);
    MUST(ASN1_TIME_set(X509_getm_notAfter(certificate), now + until_s) != NULL);
}

static void set_names(X509 *certificate, const struct test_certificate_options *options)
{
    X509_NAME *name = X509_NAME_new();
    if (options->common_name != NULL) {
        MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                        (const uint8_t *)options->common_name, -1, -1, 0));
    }
    MUST(X509_set_subject_name(certificate, name));
    MUST(X509_set_issuer_name(certificate, options->issuer != NULL
                                               ? X509_get_subject_name(options->issuer->x509)
                                               : name));
    X509_NAME_free(name);
}

struct test_certificate test_certificate_make(const struct test_certificate_options *options)
{
    struct test_certificate made = {X509_new(), make_key(options->key)};
    const struct test_certificate *issuer = options->issuer != NULL ? options->issuer : &made;
    uint64_t serial = options->serial;
    if (serial == 0) {
        RAND_bytes((uint8_t *)&serial, sizeof serial);
        serial |= 1;
    }
    MUST(X509_set_version(made.x509, 2));
    MUST(ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.x509), serial));
    set_times(made.x509, options->from_s, options->until_s);
    set_names(made.x509, options);
    MUST(X509_set_pubkey(made.x509, made.key));
    add_extension(made.x509, issuer->x509, NID_basic_constraints,
                  options->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(made.x509, issuer->x509, NID_key_usage, options->key_usage);
    add_extension(made.x509, issuer->x509, NID_ext_key_usage, options->extended_key_usage);
    add_extension(made.x509, issuer->x509, NID_name_constraints, options->name_constraints);
    add_sans(made.x509, options->sans);
    const EVP_MD *hash = EVP_PKEY_id(issuer->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    MUST(X509_sign(made.x509, issuer->key, hash));
    return made;
}

void test_certificate_free(struct test_certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
    *certificate = (struct test_certificate){NULL, NULL};
}

struct test_certificate test_ca_make(const char *name)
{
    struct test_certificate_options options = {
        .common_name = name, .is_ca = true, .key_usage = "critical,keyCertSign,cRLSign"};
    return test_certificate_make(&options);
}

struct test_certificate test_client_make(const struct test_certificate *ca, const char *spiffe_id)
{
    struct test_san sans[] = {{GEN_URI, spiffe_id}, {0, NULL}};
    struct test_certificate_options options = {.common_name = "client",
                                               .issuer = ca,
                                               .sans = sans,
                                               .key_usage = "critical,digitalSignature",
                                               .extended_key_usage = "clientAuth,serverAuth"};
    return test_certificate_make(&options);
}

struct test_certificate test_server_make(const struct test_certificate *ca)
{
    static const struct test_san sans[] = {
        {GEN_DNS, "localhost"}, {GEN_DNS, "Orders.Example.com"}, {0, NULL}};
    struct test_certificate_options options = {.common_name = "server",
                                               .issuer = ca,
                                               .sans = sans,
                                               .key_usage = "critical,digitalSignature",
                                               .extended_key_usage = "serverAuth"};
    return test_certificate_make(&options);
}

X509_CRL *test_crl_make(const struct test_certificate *ca, const X509 *revoked, int64_t from_s,
                        int64_t until_s)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, time(NULL) + from_s);
    ASN1_TIME *until = ASN1_TIME_set(NULL, time(NULL) + until_s);
    MUST(crl != NULL && X509_CRL_set_version(crl, 1));
    MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x509)));
    MUST(X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until));
    if (revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        MUST(X509_REVOKED_set_serialNumber(entry, X509_get0_serialNumber(revoked)));
        MUST(X509_REVOKED_set_revocationDate(entry, from));
        MUST(X509_CRL_add0_revoked(crl, entry));
    }
    MUST(X509_CRL_sort(crl) && X509_CRL_sign(crl, ca->key, EVP_sha256()));
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return crl;
}

/* ---- files ---- */

char *test_folder_make(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/popgate-test-XXXXXX", base != NULL ? base : "/tmp");
    MUST(mkdtemp(path) != NULL);
    return strdup(path);
}

void test_folder_remove(char *folder)
{
    DIR *stream = opendir(folder);
    MUST(stream != NULL);
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (entry->d_name[0] != '.') {
            char path[1024];
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            unlink(path);
        }
    }
    closedir(stream);
    rmdir(folder);
    free(folder);
}

static FILE *open_path(const char *folder, const char *name, char **path)
{
    char text[1024];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    *path = strdup(text);
    FILE *file = fopen(text, "wb");
    MUST(file != NULL);
    return file;
}

char *test_write_certificates(const char *folder, const char *name, X509 *const *certificates)
{
    char *path;
    FILE *file = open_path(folder, name, &path);
    for (; *certificates != NULL; certificates++) {
        MUST(PEM_write_X509(file, *certificates));
    }
    fclose(file);
    return path;
}

char *test_write_key(const char *folder, const char *name, EVP_PKEY *key)
{
    char *path;
    FILE *file = open_path(folder, name, &path);
    MUST(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
    return path;
}

char *test_write_crl(const char *folder, const char *name, X509_CRL *crl)
{
    char *path;
    FILE *file = open_path(folder, name, &path);
    MUST(PEM_write_X509_CRL(file, crl));
    fclose(file);
    return path;
}

char *test_write_text(const char *folder, const char *name, const char *text)
{
    char *path;
    FILE *file = open_path(folder, name, &path);
    MUST(fputs(text, file) >= 0);
    fclose(file);
    return path;
}
