#include "crypto/hmac.h"

#include <openssl/mem.h>
#include <openssl/sha.h>

#define BLOCK_BYTES 64

static void hash_padded(const uint8_t block[BLOCK_BYTES], uint8_t pad, struct span message,
                        uint8_t digest[SHA256_DIGEST_LENGTH])
{
    uint8_t padded[BLOCK_BYTES];
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        padded[i] = block[i] ^ pad;
    }
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, padded, sizeof(padded));
    SHA256_Update(&context, message.data, message.size);
    SHA256_Final(digest, &context);
    OPENSSL_cleanse(padded, sizeof(padded));
}

void hmac_sha256(struct span key, struct span message, uint8_t mac[HMAC_SHA256_BYTES])
{
    uint8_t block[BLOCK_BYTES] = {0};
    if (key.size > BLOCK_BYTES) {
        SHA256(key.data, key.size, block);
    } else if (key.size > 0) {
        memcpy(block, key.data, key.size);
    }
    uint8_t inner[SHA256_DIGEST_LENGTH];
    hash_padded(block, 0x36, message, inner);
    hash_padded(block, 0x5c, span_make(inner, sizeof(inner)), mac);
    OPENSSL_cleanse(block, sizeof(block));
}

bool hmac_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}
