/* JSON Web Keys (RFC 7517, 7518, 8037) and their thumbprints (RFC 7638). */
#ifndef POPGATE_JOSE_JWK_H
#define POPGATE_JOSE_JWK_H

#include "crypto/verify.h"
#include "jose/json.h"

#define JWK_THUMBPRINT_BYTES 32 /* SHA-256 */

/* Reads the public key from object `object` of `document`. Refused (STATUS_MALFORMED): a missing or
 * ill-typed member, coordinates that are not exactly of the field's size, non-canonical base64url,
 * any private member (d, p, q, dp, dq, qi, oth) and kty oct; STATUS_UNSUPPORTED: another kty or
 * crv, RSA outside the bounds of crypto/verify.h. The point is not validated here. If `alg`, `use`
 * or `key_ops` are there they must agree with verifying a signature. */
MUST_CHECK enum status jwk_read(const struct json_document *document, uint32_t object,
                                struct public_key *key);

/* RFC 7638 with SHA-256 over the required members in lexicographic order. */
void jwk_thumbprint(const struct public_key *key, uint8_t thumbprint[JWK_THUMBPRINT_BYTES]);

/* "ES256" ... ; EdDSA and Ed25519 both give SIGNATURE_EDDSA. SIGNATURE_NONE when unknown. */
enum signature_algorithm jwa_from_name(struct span name);
/* The JOSE name; SIGNATURE_EDDSA gives "EdDSA". */
const char *jwa_name(enum signature_algorithm algorithm);

#endif
