/* The edge of Ed25519, written once. RFC 8032 leaves room (section 5.1.7 step 3 allows a cofactored
 * equation, decoding of non-canonical encodings differs between libraries); here there is one rule,
 * the same alone, in a batch and in every lane:
 *
 *   1. A is 32 bytes whose y (bit 255 cleared) is below p, and it decodes to a point on the curve;
 * x = 0 with the sign bit set is refused (RFC 8032 section 5.1.3 step 4).
 *   2. A is not of small order (1, 2, 4 or 8). A point of mixed order is allowed.
 *   3. S, little-endian, is below L.
 *   4. R equals, byte for byte, the encoding of [S]B - [SHA-512(R || A || M) mod L]A: the
 * cofactorless equation. It follows that R is canonical, and that R of small order is refused
 * unless it is exactly that point.
 *
 * Points 1 (range), 2 and the sign bit are decided here from the encoding alone. */
#ifndef POPGATE_CRYPTO_ED25519_RULE_H
#define POPGATE_CRYPTO_ED25519_RULE_H

#include <stdbool.h>
#include <stdint.h>

/* Canonical and not of small order. Does not say that the point is on the curve. */
bool ed25519_key_encoding_allowed(const uint8_t encoded[32]);

/* Whether the encoding, canonical, decodes to a point. Slow (one exponentiation): for keys, never
 * for a signature. */
bool ed25519_key_on_curve(const uint8_t encoded[32]);

/* S < L, S as 32 bytes little-endian. */
bool ed25519_scalar_canonical(const uint8_t s[32]);

#endif
