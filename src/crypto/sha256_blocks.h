/* The SHA-256 compression function by the x86 SHA extensions and by AVX-512, and what they take: a
 * message as blocks. */
#ifndef POPGATE_CRYPTO_SHA256_BLOCKS_H
#define POPGATE_CRYPTO_SHA256_BLOCKS_H

#include "crypto/sha256.h"

#if defined(__x86_64__)
#define POPGATE_SHA256_X86 1
#else
#define POPGATE_SHA256_X86 0
#endif

#define SHA256_BLOCK_BYTES 64
#define SHA256_LANES       16

/* A message padded: `whole` blocks where it lies, then one or two of `tail`. */
struct sha256_padded {
    const uint8_t *data; /* borrowed */
    size_t whole, blocks;
    uint8_t tail[2 * SHA256_BLOCK_BYTES];
};

static inline const uint8_t *sha256_padded_block(const struct sha256_padded *message, size_t index)
{
    return index < message->whole ? message->data + index * SHA256_BLOCK_BYTES
                                  : message->tail + (index - message->whole) * SHA256_BLOCK_BYTES;
}

#if POPGATE_SHA256_X86
/* FIPS 180-4 section 4.2.2; on a 16-byte boundary. */
extern const uint32_t sha256_round_constants[64];

/* Only when cpu_features.sha_ni is set: one message, and two with their instructions side by side,
 * as each round waits for the one before it. */
void sha256_shani(const struct sha256_padded *message, uint8_t digest[SHA256_BYTES]);
void sha256_two_shani(const struct sha256_padded *const messages[2], uint8_t *const digests[2]);

/* Only when cpu_features.avx512_ifma is set: 1 <= count <= 16 messages, one to a 32-bit lane. The
 * time is that of the longest. */
void sha256_x16_ifma(const struct sha256_padded *messages, size_t count, uint8_t *const *digests);
#endif

#endif
