/* Certificates made in memory at run time, good ones and every kind of bad one, for tests. Aborts
 * when BoringSSL fails: a test that cannot make its input has nothing to say. */
#ifndef POPGATE_TESTS_CERTIFICATES_H
#define POPGATE_TESTS_CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_san {
    int type; /* GEN_URI, GEN_DNS, GEN_EMAIL; 0 ends the list */
    const char *value;
};

enum test_key { TEST_KEY_P256 = 0, TEST_KEY_ED25519, TEST_KEY_RSA2048 };

struct test_certificate {
    X509 *x509;
    EVP_PKEY *key;
};

struct test_certificate_options {
    const char *common_name;               /* NULL: an empty subject */
    const struct test_certificate *issuer; /* NULL: self-signed */
    const struct test_san *sans;           /* NULL: no extension */
    const char *extended_key_usage;        /* as in openssl.cnf: "clientAuth"; NULL: no extension */
    const char *key_usage;                 /* "digitalSignature"; NULL: no extension */
    const char *name_constraints;          /* "permitted;URI:example.org"; NULL: none */
    int64_t from_s, until_s;               /* relative to now; both 0: an hour ago to a day ahead */
    uint64_t serial;                       /* 0: random */
    enum test_key key;
    bool is_ca;
};

struct test_certificate test_certificate_make(const struct test_certificate_options *options);
void test_certificate_free(struct test_certificate *certificate);

/* A CA with `name`; a client of it with one SPIFFE ID; a server of it for localhost. */
struct test_certificate test_ca_make(const char *name);
struct test_certificate test_client_make(const struct test_certificate *ca, const char *spiffe_id);
struct test_certificate test_server_make(const struct test_certificate *ca);

/* Revokes `revoked` (may be NULL); from and until relative to now. */
X509_CRL *test_crl_make(const struct test_certificate *ca, const X509 *revoked, int64_t from_s,
                        int64_t until_s);

/* A fresh folder under TMPDIR; removed with what is in it by test_folder_remove. */
char *test_folder_make(void);
void test_folder_remove(char *folder);

/* Write PEM into folder/name; the path is returned (free it). `certificates` ends with NULL. */
char *test_write_certificates(const char *folder, const char *name, X509 *const *certificates);
char *test_write_key(const char *folder, const char *name, EVP_PKEY *key);
char *test_write_crl(const char *folder, const char *name, X509_CRL *crl);
char *test_write_text(const char *folder, const char *name, const char *text);

#endif
