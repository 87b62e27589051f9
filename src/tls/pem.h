/* Certificates, keys and CRLs from PEM files, with sentences for what is wrong. Internal to
 * src/tls. */
#ifndef POPGATE_TLS_PEM_H
#define POPGATE_TLS_PEM_H

#include "base/status.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define PEM_FILE_BYTES_MAX (1024 * 1024)

/* All of them set *out (owned) on STATUS_OK; otherwise `error` gets a sentence that names `path`.
 * An empty file, or one without a single object of that kind, is an error. */
MUST_CHECK enum status pem_read_certificates(const char *path, STACK_OF(X509) * *out, char *error,
                                             size_t error_size);
MUST_CHECK enum status pem_read_crls(const char *path, STACK_OF(X509_CRL) * *out, char *error,
                                     size_t error_size);
MUST_CHECK enum status pem_read_private_key(const char *path, EVP_PKEY **out, char *error,
                                            size_t error_size);

#endif
