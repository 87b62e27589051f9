/* The SHA-256 compression function by the x86 SHA extensions. Call only when cpu_features.sha_ni is
 * set. */
#ifndef POPGATE_CRYPTO_SHA256_BLOCKS_H
#define POPGATE_CRYPTO_SHA256_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define POPGATE_SHA256_SHANI 1
/* Takes `count` blocks of 64 bytes into `state`, eight words in host order (FIPS 180-4
 * section 6.2.2). */
void sha256_blocks_shani(uint32_t state[8], const uint8_t *blocks, size_t count);
#else
#define POPGATE_SHA256_SHANI 0
#endif

#endif
