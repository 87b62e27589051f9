/* The files of a demo authority's folder and how keys are read: shared by demo-authority, token and
 * proof. */
#ifndef POPGATE_APP_DEMO_KEYS_H
#define POPGATE_APP_DEMO_KEYS_H

#include "base/span.h"
#include "base/status.h"
#include "crypto/sign.h"

#include <stddef.h>

#define DEMO_ISSUER       "https://issuer.demo.popgate"
#define DEMO_TRUST_DOMAIN "example.com"
#define DEMO_ORIGIN       "https://localhost:8443"
#define DEMO_CLIENT       "client-a"
#define DEMO_SCOPE        "orders.read orders.write"

#define DEMO_ISSUER_KEY "issuer.key"
#define DEMO_DPOP_KEY   "dpop-a.key"

#define DEMO_PATH_MAX       4096
#define DEMO_FILE_BYTES_MAX (4 * 1024 * 1024)

/* "folder/name" into `out`. STATUS_TOO_LARGE when it does not fit. */
MUST_CHECK enum status demo_path(const char *folder, const char *name, char out[DEMO_PATH_MAX]);

/* Reads a whole file, NUL-terminated, owned by the caller (signing_text_free wipes it). `error`
 * gets a sentence that names the file otherwise. */
MUST_CHECK enum status demo_read_file(const char *path, char **text, char *error,
                                      size_t error_size);

/* Reads a private key. */
MUST_CHECK enum status demo_read_key(const char *path, struct signing_key **key, char *error,
                                     size_t error_size);

/* Creates `path` (never through a symlink, never over an existing file) with `mode` and writes
 * `text`. */
MUST_CHECK enum status demo_write_file(const char *path, struct span text, unsigned mode,
                                       char *error, size_t error_size);

/* "ES256" ...; SIGNATURE_NONE and a sentence in `error` when there is no such algorithm, or `key`
 * does not sign with it. `name` NULL: what the key signs with. */
enum signature_algorithm demo_algorithm(const char *name, const struct signing_key *key,
                                        char *error, size_t error_size);

#endif
