/* A JWK Set (RFC 7517 section 5), read once, then immutable and shared. */
#ifndef POPGATE_JOSE_JWKS_H
#define POPGATE_JOSE_JWKS_H

#include "jose/jwk.h"

#define JWKS_KEYS_MAX  64
#define JWKS_BYTES_MAX (256 * 1024)

struct jwks;

/* Parses `text`. Keys of an unknown kty, crv, use "enc" are skipped, as RFC 7517 section 5 says;
 * private keys and invalid points are an error (someone published a secret, or the file is
 * damaged). STATUS_OK sets *jwks (owned by the caller); otherwise *error is a static sentence that
 * says what is wrong and what to write instead. */
MUST_CHECK enum status jwks_parse(struct span text, struct jwks **jwks, const char **error);
void jwks_free(struct jwks *jwks);

size_t jwks_count(const struct jwks *jwks);

/* The key for a token: with a kid exactly that one, and its type must be what `algorithm` needs
 * (and its own `alg`, if it names one); without a kid the only key that fits, NULL if several do.
 */
const struct public_key *jwks_find(const struct jwks *jwks, bool has_kid, struct span kid,
                                   enum signature_algorithm algorithm);

#endif
