/* P-256 by BoringSSL's big numbers and points, for tests: slow and independent of the engines. */
#ifndef POPGATE_TESTS_CRYPTO_P256_H
#define POPGATE_TESTS_CRYPTO_P256_H

#include "crypto/p256_engine.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define P256_P "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
#define P256_N "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
#define P256_B "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"

static inline void p256_require(int good)
{
    if (!good) {
        abort();
    }
}

struct p256_reference {
    BN_CTX *ctx;
    EC_GROUP *group;
    BIGNUM *p, *n;
};

static inline struct p256_reference p256_reference_new(void)
{
    struct p256_reference ref = {.ctx = BN_CTX_new(),
                                 .group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)};
    p256_require(ref.ctx != NULL && ref.group != NULL && BN_hex2bn(&ref.p, P256_P) &&
                 BN_hex2bn(&ref.n, P256_N));
    return ref;
}

static inline void p256_reference_free(struct p256_reference *ref)
{
    BN_free(ref->p);
    BN_free(ref->n);
    EC_GROUP_free(ref->group);
    BN_CTX_free(ref->ctx);
}

/* Little-endian words from and to a number. */
static inline BIGNUM *p256_bn(const uint64_t *words, size_t count)
{
    uint8_t big[80];
    for (size_t i = 0; i < 8 * count; i++) {
        big[8 * count - 1 - i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
    }
    BIGNUM *bn = BN_bin2bn(big, 8 * count, NULL);
    p256_require(bn != NULL);
    return bn;
}

static inline void p256_bn_words(uint64_t *words, size_t count, const BIGNUM *value)
{
    uint8_t big[80];
    p256_require(BN_bn2bin_padded(big, 8 * count, value));
    memset(words, 0, 8 * count);
    for (size_t i = 0; i < 8 * count; i++) {
        words[i / 8] |= (uint64_t)big[8 * count - 1 - i] << (8 * (i % 8));
    }
}

/* A seeded generator (splitmix64), so that a failure repeats. */
static inline uint64_t p256_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number below `modulus`, often near one of its ends or with long runs of zeros and ones. */
static inline void p256_random_below(uint64_t words[4], const uint64_t modulus[4], uint64_t *state)
{
    uint64_t shape = p256_random(state);
    for (int i = 0; i < 4; i++) {
        switch (shape >> (4 * i) & 7) {
        case 0:
            words[i] = 0;
            break;
        case 1:
            words[i] = UINT64_MAX;
            break;
        case 2:
            words[i] = modulus[i];
            break;
        case 3:
            words[i] = modulus[i] - (i == 0 ? 1 + (p256_random(state) & 3) : 0);
            break;
        default:
            words[i] = p256_random(state);
        }
    }
    if (!p256_words_below(words, modulus)) {
        for (int i = 0; i < 4; i++) {
            words[i] = p256_random(state);
        }
        words[3] >>= 1;
    }
}

/* A public key from a point that is not infinity. */
static inline struct public_key p256_key_of(const struct p256_reference *ref, const EC_POINT *point)
{
    struct public_key key = {.type = KEY_P256};
    BIGNUM *x = BN_new(), *y = BN_new();
    p256_require(EC_POINT_get_affine_coordinates_GFp(ref->group, point, x, y, ref->ctx) &&
                 BN_bn2bin_padded(key.x, 32, x) && BN_bn2bin_padded(key.y, 32, y));
    BN_free(x);
    BN_free(y);
    return key;
}

#endif
