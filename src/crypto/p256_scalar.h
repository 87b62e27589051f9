/* Scalars of P-256: numbers modulo the group's order n, and what a signature becomes before any
 * point is touched: u1 = e / s, u2 = r / s (FIPS 186-5 section 6.4.2). Words are least significant
 * first. */
#ifndef POPGATE_CRYPTO_P256_SCALAR_H
#define POPGATE_CRYPTO_P256_SCALAR_H

#include "crypto/engine.h"

extern const uint64_t p256_order[4];

/* A signature whose r and s are in range. u1 is below n and may be zero, u2 is 1 .. n - 1. */
struct p256_signature {
    _Alignas(32) uint64_t r[4];
    uint64_t u1[4], u2[4];
    struct engine_job *job;
};

/* a b / 2^256 mod n, below n. a any four words, b below n (or the other way round). */
void p256_scalar_multiply(uint64_t out[4], const uint64_t a[4], const uint64_t b[4]);

/* Big-endian bytes to words and whether they are in 1 .. n - 1. */
bool p256_scalar_load(uint64_t out[4], const uint8_t bytes[32]);

/* A call's signatures on their way from bytes to u1 and u2. */
struct p256_loading {
    size_t live; /* signatures whose r and s are in range */
    uint64_t inverse[4];
    _Alignas(32) uint64_t s[ENGINE_JOBS_MAX][4];
    uint64_t products[ENGINE_JOBS_MAX][4];
    struct p256_signature signatures[ENGINE_JOBS_MAX];
};

/* Takes the jobs whose r and s are in range into loading->signatures, in order; the others' status
 * is FAILED. Then come p256_load_invert_vartime (one inversion for all, by Montgomery's trick,
 * "Speeding the Pollard and elliptic curve methods of factorization", 1987, section 10.3.1); for
 * every signature, the last first, p256_load_u2, which needs no hash, so that the lines of the
 * key's table, which u2 names, are under way while the messages are hashed; p256_load_digests; and
 * for every signature p256_load_u1. */
void p256_load(struct p256_loading *loading, struct engine_job *jobs, size_t count);
void p256_load_invert_vartime(struct p256_loading *loading);
void p256_load_u2(struct p256_loading *loading, size_t index);
/* SHA-256 of the messages, of the jobs that want it. */
void p256_load_digests(struct p256_loading *loading);
void p256_load_u1(struct p256_loading *loading, size_t index);

/* 1 / a mod n; zero for zero. May be the same array. */
void p256_scalar_invert_vartime(uint64_t out[4], const uint64_t a[4]);

/* r + n, and whether it is below p: the other x coordinate that is r modulo n. */
bool p256_second_x(uint64_t out[4], const uint64_t r[4]);

/* Words from 32 big-endian bytes. */
static inline void p256_words(uint64_t out[4], const uint8_t bytes[32])
{
    for (int i = 0; i < 4; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * (3 - i), 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        out[i] = word;
    }
}

/* a < b */
static inline bool p256_words_below(const uint64_t a[4], const uint64_t b[4])
{
    unsigned __int128 borrow = 0;
    for (int i = 0; i < 4; i++) {
        borrow = (unsigned __int128)a[i] - b[i] - (uint64_t)borrow;
        borrow = borrow >> 64 & 1;
    }
    return borrow != 0;
}

#endif
