#include "crypto/sha256.h"

#include "base/cpu_features.h"
#include "crypto/sha256_blocks.h"

#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdbool.h>

#define BLOCK_BYTES 64

/* Which compression function to use, found on first use. Every thread that finds it unset computes
 * the same value, so relaxed loads and stores are enough and nobody waits: after the first call it
 * is a constant. */
enum choice { CHOICE_UNKNOWN = 0, CHOICE_BORINGSSL, CHOICE_SHANI };

static enum choice choose(void)
{
    static _Atomic int chosen;
    int choice = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (choice == CHOICE_UNKNOWN) {
        choice = CHOICE_BORINGSSL;
#if POPGATE_SHA256_SHANI
        if (cpu_features_read().sha_ni) {
            choice = CHOICE_SHANI;
        }
#endif
        atomic_store_explicit(&chosen, choice, memory_order_relaxed);
    }
    return (enum choice)choice;
}

#if POPGATE_SHA256_SHANI
static void sha256_shani(struct span message, uint8_t digest[SHA256_BYTES])
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t whole = message.size / BLOCK_BYTES;
    if (whole > 0) {
        sha256_blocks_shani(state, message.data, whole);
    }
    /* FIPS 180-4 section 5.1.1: a one bit, zero bits, and the length in bits as 64 bits, in one
     * block or two. */
    uint8_t tail[2 * BLOCK_BYTES] = {0};
    size_t rest = message.size % BLOCK_BYTES;
    if (rest > 0) {
        memcpy(tail, message.data + whole * BLOCK_BYTES, rest);
    }
    tail[rest] = 0x80;
    size_t blocks = rest + 9 <= BLOCK_BYTES ? 1 : 2;
    uint64_t bits = (uint64_t)message.size * 8;
    for (size_t i = 0; i < 8; i++) {
        tail[blocks * BLOCK_BYTES - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    sha256_blocks_shani(state, tail, blocks);
    for (size_t i = 0; i < 8; i++) {
        digest[4 * i] = (uint8_t)(state[i] >> 24);
        digest[4 * i + 1] = (uint8_t)(state[i] >> 16);
        digest[4 * i + 2] = (uint8_t)(state[i] >> 8);
        digest[4 * i + 3] = (uint8_t)state[i];
    }
}
#endif

void sha256(struct span message, uint8_t digest[SHA256_BYTES])
{
#if POPGATE_SHA256_SHANI
    if (choose() == CHOICE_SHANI) {
        sha256_shani(message, digest);
        return;
    }
#else
    (void)choose;
#endif
    SHA256(message.data, message.size, digest);
}
