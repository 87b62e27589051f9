/* Private keys that sign: for the demo's tokens and proofs and for the load generator, never on a
 * request's path. Keys are PEM (PKCS #8, or what older tools write). A key may be used by any
 * number of threads at once. */
#ifndef POPGATE_CRYPTO_SIGN_H
#define POPGATE_CRYPTO_SIGN_H

#include "crypto/verify.h"

#define SIGNATURE_BYTES_MAX 512 /* RSA with 4096 bits */

struct signing_key;

/* A fresh key for `algorithm` (RSA with 2048 bits). Returns owned; NULL for an unknown algorithm or
 * when memory fails. */
struct signing_key *signing_key_generate(enum signature_algorithm algorithm);

/* Reads the first private key of a PEM text. STATUS_OK sets *key (owned). STATUS_MALFORMED: no such
 * key there, or damaged, or encrypted; STATUS_UNSUPPORTED: not one that signs for an algorithm of
 * crypto/verify.h. */
MUST_CHECK enum status signing_key_read(struct span pem, struct signing_key **key);
void signing_key_free(struct signing_key *key);

/* PKCS #8 PEM, NUL-terminated, owned by the caller (free it, after wiping it with
 * signing_text_free); NULL when memory fails. */
char *signing_key_write(const struct signing_key *key);
/* Wipes and frees a text that holds a private key. NULL is allowed. */
void signing_text_free(char *text);

void signing_key_public(const struct signing_key *key, struct public_key *out);

/* What this key signs with unless told otherwise: the only algorithm it fits, PS256 for RSA. */
enum signature_algorithm signing_key_algorithm(const struct signing_key *key);

/* Signs `message`; `out` has room for SIGNATURE_BYTES_MAX, in the raw form that JOSE wants.
 * STATUS_UNSUPPORTED when the algorithm is not one for this key. */
MUST_CHECK enum status signing_key_sign(const struct signing_key *key,
                                        enum signature_algorithm algorithm, struct span message,
                                        uint8_t out[SIGNATURE_BYTES_MAX], size_t *size);

#endif
