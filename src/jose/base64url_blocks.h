/* The vector part of base64url_decode; used by base64url.c alone. */
#ifndef POPGATE_JOSE_BASE64URL_BLOCKS_H
#define POPGATE_JOSE_BASE64URL_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define POPGATE_BASE64URL_AVX2 1
#else
#define POPGATE_BASE64URL_AVX2 0
#endif

#define BASE64URL_BLOCK_TEXT  32
#define BASE64URL_BLOCK_BYTES 24

#if POPGATE_BASE64URL_AVX2
/* Decodes `blocks` times 32 characters of `text` into 24 bytes each of `out`, and touches nothing
 * else. False when a character is outside the alphabet; `out` is then unspecified. Needs AVX2. */
bool base64url_decode_blocks_avx2(const uint8_t *text, size_t blocks, uint8_t *out);
#endif

#endif
