/* Making what jws.h, jwk.h and jwks.h read: compact JWS, public JWKs. For the demo's commands and
 * the load generator. */
#ifndef POPGATE_JOSE_JWS_SIGN_H
#define POPGATE_JOSE_JWS_SIGN_H

#include "crypto/sign.h"
#include "jose/json_write.h"

/* "header.payload.signature" into `out`, which is no C string: *token is a part of it.
 * STATUS_TOO_LARGE when it does not fit, STATUS_UNSUPPORTED when `algorithm` is not one for `key`.
 * `header` says which algorithm it is; that is the caller's to get right. */
MUST_CHECK enum status jws_sign(const struct signing_key *key, enum signature_algorithm algorithm,
                                struct span header, struct span payload, struct span_mut out,
                                struct span *token);

/* Writes the public key as a JWK object: the required members, and "alg", "use": "sig" and "kid"
 * where given (SIGNATURE_NONE, empty: left out). */
void jwk_write(struct json_writer *writer, const struct public_key *key,
               enum signature_algorithm algorithm, struct span kid);

/* The RFC 7638 thumbprint in base64url: what kid and jkt hold. */
#define JWK_THUMBPRINT_TEXT_BYTES 43
void jwk_thumbprint_text(const struct public_key *key, char out[JWK_THUMBPRINT_TEXT_BYTES]);

#endif
