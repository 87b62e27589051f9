/* Files as operators leave them: what is read, and the sentence for what is not. */
#include "tls/pem.h"

#include "unit/tls/certificates.h"

#include <criterion/criterion.h>

#include <openssl/pem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;
static char error[1024];
static struct test_certificate ca, client;

static void set_up(void)
{
    folder = test_folder_make();
    ca = test_ca_make("ca");
    client = test_client_make(&ca, "spiffe://example.org/a");
    error[0] = '\0';
}

static void tear_down(void)
{
    test_certificate_free(&ca);
    test_certificate_free(&client);
    test_folder_remove(folder);
}

TestSuite(pem, .init = set_up, .fini = tear_down);

/* The sentence is the path and then `said`. */
static void expect_error(const char *path, const char *said)
{
    cr_assert_eq(strncmp(error, path, strlen(path)), 0, "%s", error);
    cr_expect_str_eq(error + strlen(path), said);
}

static enum status read_certificates(const char *path, size_t *count)
{
    STACK_OF(X509) *list = NULL;
    enum status status = pem_read_certificates(path, &list, error, sizeof error);
    cr_assert_eq(status == STATUS_OK, list != NULL);
    *count = list != NULL ? sk_X509_num(list) : 0;
    sk_X509_pop_free(list, X509_free);
    return status;
}

static enum status read_crls(const char *path, size_t *count)
{
    STACK_OF(X509_CRL) *list = NULL;
    enum status status = pem_read_crls(path, &list, error, sizeof error);
    cr_assert_eq(status == STATUS_OK, list != NULL);
    *count = list != NULL ? sk_X509_CRL_num(list) : 0;
    sk_X509_CRL_pop_free(list, X509_CRL_free);
    return status;
}

static enum status read_key(const char *path)
{
    EVP_PKEY *key = NULL;
    enum status status = pem_read_private_key(path, &key, error, sizeof error);
    cr_assert_eq(status == STATUS_OK, key != NULL);
    EVP_PKEY_free(key);
    return status;
}

static char *contents(const char *path)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    char *text = calloc(1, 65536);
    cr_assert_gt(fread(text, 1, 65535, file), 0);
    fclose(file);
    return text;
}

Test(pem, certificates_in_order_with_words_between)
{
    X509 *const both[] = {client.x509, ca.x509, NULL};
    char *path = test_write_certificates(folder, "chain.pem", both);
    char *text = contents(path), wordy[70000];
    snprintf(wordy, sizeof wordy, "# ours\n%s\nand a word at the end\n", text);
    char *with_words = test_write_text(folder, "wordy.pem", wordy);
    const char *const paths[] = {path, with_words};
    for (size_t i = 0; i < 2; i++) {
        STACK_OF(X509) *list = NULL;
        cr_assert_eq(pem_read_certificates(paths[i], &list, error, sizeof error), STATUS_OK, "%s",
                     error);
        cr_assert_eq(sk_X509_num(list), 2);
        cr_expect_eq(X509_cmp(sk_X509_value(list, 0), client.x509), 0);
        cr_expect_eq(X509_cmp(sk_X509_value(list, 1), ca.x509), 0);
        sk_X509_pop_free(list, X509_free);
    }
    free(text);
    free(path);
    free(with_words);
}

/* Half a chain would be worse than none: a damaged one is named by its number. */
Test(pem, a_damaged_certificate_is_named_and_nothing_is_taken)
{
    X509 *const both[] = {client.x509, ca.x509, NULL};
    char *path = test_write_certificates(folder, "chain.pem", both);
    char *text = contents(path);
    size_t count;
    char *second = strstr(strstr(text, "-----END"), "-----BEGIN");
    char *const places[] = {strchr(text, '\n') + 20, strchr(second, '\n') + 20};
    static const char *const said[] = {": certificate number 1 is damaged",
                                       ": certificate number 2 is damaged"};
    for (size_t i = 0; i < 2; i++) {
        char kept = *places[i];
        *places[i] = '!';
        char *damaged = test_write_text(folder, "damaged.pem", text);
        *places[i] = kept;
        cr_expect_eq(read_certificates(damaged, &count), STATUS_MALFORMED);
        expect_error(damaged, said[i]);
        free(damaged);
    }
    /* Cut in the middle of the second: a file that is still being written. */
    second[100] = '\0';
    char *cut = test_write_text(folder, "cut.pem", text);
    cr_expect_eq(read_certificates(cut, &count), STATUS_MALFORMED);
    expect_error(cut, said[1]);
    free(cut);
    free(text);
    free(path);
}

Test(pem, what_is_not_there_is_said)
{
    size_t count;
    char *empty = test_write_text(folder, "empty.pem", "");
    char *words = test_write_text(folder, "words.pem", "no certificate, only words\n");
    char *key = test_write_key(folder, "key.pem", client.key);
    char *certificate = test_write_certificates(folder, "a.pem", (X509 *const[]){ca.x509, NULL});
    char *const no_certificates[] = {empty, words, key};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(read_certificates(no_certificates[i], &count), STATUS_MALFORMED);
        expect_error(no_certificates[i], ": holds no certificate (-----BEGIN CERTIFICATE-----)");
    }
    char *const no_crls[] = {empty, words, key, certificate};
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(read_crls(no_crls[i], &count), STATUS_MALFORMED);
        expect_error(no_crls[i], ": holds no CRL (-----BEGIN X509 CRL-----)");
    }
    char *const no_keys[] = {empty, words, certificate};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(read_key(no_keys[i]), STATUS_MALFORMED);
        expect_error(no_keys[i], ": holds no private key (-----BEGIN PRIVATE KEY-----)");
    }
    free(empty);
    free(words);
    free(key);
    free(certificate);
}

Test(pem, files_that_cannot_be_read)
{
    size_t count;
    char missing[600];
    snprintf(missing, sizeof missing, "%s/none.pem", folder);
    cr_expect_eq(read_certificates(missing, &count), STATUS_SYSTEM);
    expect_error(missing, ": cannot be opened: No such file or directory");
    cr_expect_eq(read_crls(missing, &count), STATUS_SYSTEM);
    cr_expect_eq(read_key(missing), STATUS_SYSTEM);
    cr_expect_eq(read_key(folder), STATUS_SYSTEM);
    expect_error(folder, ": cannot be read: Is a directory");
    char *large = test_write_text(folder, "large.pem", "");
    cr_assert_eq(truncate(large, PEM_FILE_BYTES_MAX + 1), 0);
    cr_expect_eq(read_certificates(large, &count), STATUS_SYSTEM);
    expect_error(large, ": larger than 1024 KiB, which no PEM file needs");
    cr_assert_eq(truncate(large, PEM_FILE_BYTES_MAX), 0);
    cr_expect_eq(read_certificates(large, &count), STATUS_MALFORMED, "as large as may be: read");
    free(large);
}

Test(pem, crls_are_read_and_judged_like_certificates)
{
    X509_CRL *crl = test_crl_make(&ca, client.x509, -10, 3600);
    char *path = test_write_crl(folder, "crl.pem", crl);
    char *text = contents(path), twice[65536];
    snprintf(twice, sizeof twice, "%s%s", text, text);
    char *two = test_write_text(folder, "two.pem", twice);
    size_t count;
    cr_expect_eq(read_crls(path, &count), STATUS_OK, "%s", error);
    cr_expect_eq(count, 1);
    cr_expect_eq(read_crls(two, &count), STATUS_OK, "%s", error);
    cr_expect_eq(count, 2);
    twice[strlen(text) + 60] = '!';
    char *damaged = test_write_text(folder, "damaged.pem", twice);
    cr_expect_eq(read_crls(damaged, &count), STATUS_MALFORMED);
    expect_error(damaged, ": CRL number 2 is damaged");
    X509_CRL_free(crl);
    free(text);
    free(path);
    free(two);
    free(damaged);
}

Test(pem, private_keys_in_the_clear_only)
{
    char *path = test_write_key(folder, "key.pem", client.key);
    cr_expect_eq(read_key(path), STATUS_OK, "%s", error);
    char encrypted[600];
    snprintf(encrypted, sizeof encrypted, "%s/encrypted.pem", folder);
    FILE *file = fopen(encrypted, "wb");
    cr_assert_not_null(file);
    char phrase[] = "secret";
    cr_assert(
        PEM_write_PKCS8PrivateKey(file, client.key, EVP_aes_128_cbc(), phrase, 6, NULL, NULL));
    fclose(file);
    cr_expect_eq(read_key(encrypted), STATUS_MALFORMED);
    expect_error(encrypted,
                 ": the private key is encrypted; write it without a passphrase, mode 0600");
    char *text = contents(path);
    strchr(text, '\n')[10] = '!';
    char *damaged = test_write_text(folder, "damaged.pem", text);
    cr_expect_eq(read_key(damaged), STATUS_MALFORMED);
    expect_error(damaged, ": the private key is damaged or of an unknown kind");
    free(text);
    free(path);
    free(damaged);
}
