#include "crypto/sha256.h"

#include "base/cpu_features.h"
#include "crypto/sha256_blocks.h"

#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdbool.h>

#if POPGATE_SHA256_X86

const uint32_t sha256_round_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* What the CPU has, found on first use. Every thread that finds it unset computes the same value,
 * so relaxed loads and stores are enough and nobody waits: after the first call it is a constant.
 */
enum { CHOICE_KNOWN = 1, CHOICE_SHANI = 2, CHOICE_X16 = 4 };

static int choose(void)
{
    static _Atomic int chosen;
    int choice = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (choice == 0) {
        const struct cpu_features features = cpu_features_read();
        choice = CHOICE_KNOWN | (features.sha_ni ? CHOICE_SHANI : 0) |
                 (features.avx512_ifma ? CHOICE_X16 : 0);
        atomic_store_explicit(&chosen, choice, memory_order_relaxed);
    }
    return choice;
}

/* FIPS 180-4 section 5.1.1: a one bit, zero bits, and the length in bits as 64 bits, in one block
 * or two. */
static void pad(struct sha256_padded *padded, struct span message)
{
    const size_t rest = message.size % SHA256_BLOCK_BYTES;
    const size_t tail_blocks = rest + 9 <= SHA256_BLOCK_BYTES ? 1 : 2;
    padded->data = message.data;
    padded->whole = message.size / SHA256_BLOCK_BYTES;
    padded->blocks = padded->whole + tail_blocks;
    memset(padded->tail, 0, sizeof padded->tail);
    if (rest > 0) {
        memcpy(padded->tail, message.data + message.size - rest, rest);
    }
    padded->tail[rest] = 0x80;
    const uint64_t bits = __builtin_bswap64((uint64_t)message.size * 8);
    memcpy(padded->tail + tail_blocks * SHA256_BLOCK_BYTES - 8, &bits, sizeof bits);
}

/* Sixteen lanes take as long as so many blocks of one message, by SHA-NI two at a time: worth it
 * when the messages have more blocks than that for each of the longest one's. */
#define X16_BLOCKS_MIN 9

static void hash_group(const struct span *messages, uint8_t *const *digests, size_t count,
                       int choice)
{
    struct sha256_padded padded[SHA256_LANES];
    size_t all = 0, longest = 0;
    for (size_t i = 0; i < count; i++) {
        pad(&padded[i], messages[i]);
        all += padded[i].blocks;
        longest = padded[i].blocks > longest ? padded[i].blocks : longest;
    }
    if ((choice & CHOICE_X16) != 0 && all >= X16_BLOCKS_MIN * longest) {
        sha256_x16_ifma(padded, count, digests);
        return;
    }
    for (size_t i = 0; i + 1 < count; i += 2) {
        const struct sha256_padded *const two[2] = {&padded[i], &padded[i + 1]};
        sha256_two_shani(two, digests + i);
    }
    if (count % 2 != 0) {
        sha256_shani(&padded[count - 1], digests[count - 1]);
    }
}

#endif

void sha256(struct span message, uint8_t digest[SHA256_BYTES])
{
#if POPGATE_SHA256_X86
    if ((choose() & CHOICE_SHANI) != 0) {
        struct sha256_padded padded;
        pad(&padded, message);
        sha256_shani(&padded, digest);
        return;
    }
#endif
    SHA256(message.data, message.size, digest);
}

void sha256_many(const struct span *messages, uint8_t *const *digests, size_t count)
{
#if POPGATE_SHA256_X86
    const int choice = choose();
    if ((choice & CHOICE_SHANI) != 0) {
        for (size_t i = 0; i < count; i += SHA256_LANES) {
            const size_t left = count - i;
            hash_group(messages + i, digests + i, left < SHA256_LANES ? left : SHA256_LANES,
                       choice);
        }
        return;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        SHA256(messages[i].data, messages[i].size, digests[i]);
    }
}
