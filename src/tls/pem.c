#include "tls/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pem_file {
    uint8_t *bytes;
    size_t size;
    BIO *bio; /* reads `bytes` */
};

static void close_file(struct pem_file *file)
{
    BIO_free(file->bio);
    if (file->bytes != NULL) {
        OPENSSL_cleanse(file->bytes, file->size); /* it may have been a private key */
    }
    free(file->bytes);
}

static enum status open_file(const char *path, struct pem_file *file, char *error,
                             size_t error_size)
{
    *file = (struct pem_file){0};
    FILE *stream = fopen(path, "rbe");
    if (stream == NULL) {
        snprintf(error, error_size, "%s: cannot be opened: %m", path);
        return STATUS_SYSTEM;
    }
    file->bytes = malloc(PEM_FILE_BYTES_MAX + 1);
    if (file->bytes != NULL) {
        file->size = fread(file->bytes, 1, PEM_FILE_BYTES_MAX + 1, stream);
    }
    bool broken = ferror(stream) != 0;
    int saved = errno;
    fclose(stream);
    if (file->bytes == NULL || broken) {
        errno = saved;
        snprintf(error, error_size, "%s: cannot be read: %m", path);
    } else if (file->size > PEM_FILE_BYTES_MAX) {
        snprintf(error, error_size, "%s: larger than %d KiB, which no PEM file needs", path,
                 PEM_FILE_BYTES_MAX / 1024);
    } else {
        file->bio = BIO_new_mem_buf(file->bytes, (int)file->size);
        if (file->bio != NULL) {
            return STATUS_OK;
        }
        snprintf(error, error_size, "%s: out of memory", path);
    }
    close_file(file);
    return STATUS_SYSTEM;
}

/* True when the last PEM read stopped because there was no further object, false when one was
 * damaged. */
static bool ended(void)
{
    uint32_t last = ERR_peek_last_error();
    bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return end;
}

/* Never asks a terminal for a passphrase. */
static int no_passphrase(char *buffer, int size, int for_writing, void *encrypted)
{
    (void)buffer;
    (void)size;
    (void)for_writing;
    *(bool *)encrypted = true;
    return -1;
}

/* Of a list that was read to the file's end, or was not: there, empty, or damaged behind `count`.
 */
static enum status judge(bool whole, size_t count, const char *path, const char *noun,
                         const char *label, char *error, size_t error_size)
{
    if (whole && count > 0) {
        return STATUS_OK;
    }
    if (whole) {
        snprintf(error, error_size, "%s: holds no %s (-----BEGIN %s-----)", path, noun, label);
    } else {
        snprintf(error, error_size, "%s: %s number %zu is damaged", path, noun, count + 1);
    }
    return STATUS_MALFORMED;
}

enum status pem_read_certificates(const char *path, STACK_OF(X509) * *out, char *error,
                                  size_t error_size)
{
    struct pem_file file;
    enum status status = open_file(path, &file, error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    ERR_clear_error();
    STACK_OF(X509) *list = sk_X509_new_null();
    X509 *certificate;
    while (list != NULL && (certificate = PEM_read_bio_X509(file.bio, NULL, NULL, NULL)) != NULL) {
        if (!sk_X509_push(list, certificate)) {
            X509_free(certificate);
            break;
        }
    }
    bool end = ended();
    close_file(&file);
    size_t count = list != NULL ? sk_X509_num(list) : 0;
    status = judge(list != NULL && end, count, path, "certificate", "CERTIFICATE", error,
                   error_size);
    if (status == STATUS_OK) {
        *out = list;
    } else {
        sk_X509_pop_free(list, X509_free);
    }
    return status;
}

enum status pem_read_crls(const char *path, STACK_OF(X509_CRL) * *out, char *error,
                          size_t error_size)
{
    struct pem_file file;
    enum status status = open_file(path, &file, error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    ERR_clear_error();
    STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
    X509_CRL *crl;
    while (list != NULL && (crl = PEM_read_bio_X509_CRL(file.bio, NULL, NULL, NULL)) != NULL) {
        if (!sk_X509_CRL_push(list, crl)) {
            X509_CRL_free(crl);
            break;
        }
    }
    bool end = ended();
    close_file(&file);
    size_t count = list != NULL ? sk_X509_CRL_num(list) : 0;
    status = judge(list != NULL && end, count, path, "CRL", "X509 CRL", error, error_size);
    if (status == STATUS_OK) {
        *out = list;
    } else {
        sk_X509_CRL_pop_free(list, X509_CRL_free);
    }
    return status;
}

enum status pem_read_private_key(const char *path, EVP_PKEY **out, char *error, size_t error_size)
{
    struct pem_file file;
    enum status status = open_file(path, &file, error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    ERR_clear_error();
    bool encrypted = false;
    *out = PEM_read_bio_PrivateKey(file.bio, NULL, no_passphrase, &encrypted);
    bool end = *out == NULL && ended();
    ERR_clear_error();
    close_file(&file);
    if (*out != NULL) {
        return STATUS_OK;
    }
    snprintf(error, error_size, "%s: %s", path,
             encrypted ? "the private key is encrypted; write it without a passphrase, mode 0600"
             : end     ? "holds no private key (-----BEGIN PRIVATE KEY-----)"
                       : "the private key is damaged or of an unknown kind");
    return STATUS_MALFORMED;
}
