/* SHA-512 of eight messages at once, one to a 64-bit lane of AVX-512 (FIPS 180-4; the idea of one
 * message a lane is Gueron and Krasnov's, "Simultaneous hashing of multiple messages", 2012). Call
 * only when cpu_features.avx512_ifma is set. */
#ifndef POPGATE_CRYPTO_SHA512_X8_H
#define POPGATE_CRYPTO_SHA512_X8_H

#include "base/span.h"

#define SHA512_LANES 8
#define SHA512_BYTES 64

/* A message in two parts: 64 bytes, for Ed25519 R || A, and the rest. */
struct sha512_input {
    const uint8_t *first;  /* 32 bytes */
    const uint8_t *second; /* 32 bytes */
    struct span rest;
};

/* digests[i] = SHA-512(inputs[i]), 1 <= count <= 8. The time is that of the longest. */
void sha512_x8(const struct sha512_input *inputs, size_t count, uint8_t (*digests)[SHA512_BYTES]);

#endif
