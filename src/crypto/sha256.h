/* SHA-256 by the fastest implementation the CPU has (SHA-NI, AVX-512) or BoringSSL's. */
#ifndef POPGATE_CRYPTO_SHA256_H
#define POPGATE_CRYPTO_SHA256_H

#include "base/span.h"

#define SHA256_BYTES 32

void sha256(struct span message, uint8_t digest[SHA256_BYTES]);

/* digests[i] = SHA-256(messages[i]), side by side where that is faster: the time is never more than
 * that of hashing them one by one, whatever their lengths. */
void sha256_many(const struct span *messages, uint8_t *const *digests, size_t count);

#endif
