/* Slow numbers to check fast ones with: BoringSSL's, from and to limbs, and limbs that look for
 * trouble. */
#ifndef POPGATE_TESTS_CRYPTO_BIGNUM_H
#define POPGATE_TESTS_CRYPTO_BIGNUM_H

#include <openssl/bn.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* sum limbs[i] 2^(bits i); the caller frees. */
static inline BIGNUM *bignum_of_limbs(const uint64_t *limbs, size_t count, int bits)
{
    BIGNUM *sum = BN_new();
    BIGNUM *limb = BN_new();
    BN_zero(sum);
    for (size_t i = count; i-- > 0;) {
        uint8_t bytes[8];
        for (size_t j = 0; j < 8; j++) {
            bytes[j] = (uint8_t)(limbs[i] >> (56 - 8 * j));
        }
        if (!BN_lshift(sum, sum, bits) || BN_bin2bn(bytes, 8, limb) == NULL ||
            !BN_add(sum, sum, limb)) {
            abort();
        }
    }
    BN_free(limb);
    return sum;
}

/* value < 2^256, not negative. */
static inline void bignum_to_words(uint64_t words[4], const BIGNUM *value)
{
    uint8_t bytes[32];
    if (!BN_bn2bin_padded(bytes, 32, value)) {
        abort();
    }
    for (size_t i = 0; i < 4; i++) {
        words[i] = 0;
        for (size_t j = 0; j < 8; j++) {
            words[i] = words[i] << 8 | bytes[8 * (3 - i) + j];
        }
    }
}

/* Limbs of 0 .. max. By `kind`: all at the limit, all zero, each at either end, or random. */
static inline void bignum_fill_limbs(uint64_t *limbs, size_t count, uint64_t max, unsigned kind)
{
    uint64_t random[16];
    RAND_bytes((uint8_t *)random, sizeof random);
    for (size_t i = 0; i < count; i++) {
        uint64_t value = max == UINT64_MAX ? random[i] : random[i] % (max + 1);
        switch (kind % 16) {
        case 0:
            limbs[i] = max;
            break;
        case 1:
            limbs[i] = 0;
            break;
        case 2:
        case 3:
        case 4:
            limbs[i] = random[i] & 1 ? max : 0;
            break;
        case 5:
        case 6:
            limbs[i] = random[i] & 1 ? max : random[i] & 2 ? max - 1 : value;
            break;
        case 7:
            limbs[i] = random[i] & 1 ? random[i] >> 60 : value;
            break;
        default:
            limbs[i] = value;
        }
    }
}

#endif
