/* HMAC-SHA-256 (RFC 2104, FIPS 198-1), on the stack: no allocation, unlike the library's own
 * contexts. */
#ifndef POPGATE_CRYPTO_HMAC_H
#define POPGATE_CRYPTO_HMAC_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define HMAC_SHA256_BYTES 32

/* A key of any size; above 64 bytes it is hashed first. Time depends on the sizes only. */
void hmac_sha256(struct span key, struct span message, uint8_t mac[HMAC_SHA256_BYTES]);

/* In time that depends on `size` only: for MACs. */
bool hmac_equal(const uint8_t *a, const uint8_t *b, size_t size);

#endif
