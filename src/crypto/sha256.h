/* SHA-256 of one message, by the fastest implementation the CPU has (SHA-NI) or BoringSSL's. */
#ifndef POPGATE_CRYPTO_SHA256_H
#define POPGATE_CRYPTO_SHA256_H

#include "base/span.h"

#define SHA256_BYTES 32

void sha256(struct span message, uint8_t digest[SHA256_BYTES]);

#endif
