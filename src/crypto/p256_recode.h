/* Scalars into all-odd signed digits (Joye and Tunstall, "Exponent recoding and regular
 * exponentiation algorithms", AFRICACRYPT 2009), and the table such digits index: of a point P, for
 * every window at bit position b, the odd multiples (2 j + 1) 2^b P. With it k P is one entry a
 * window, no doubling (Brickell, Gordon, McCurley and Wilson, "Fast exponentiation with
 * precomputation", EUROCRYPT '92; Lim and Lee, CRYPTO '94), no zero digit and no point at infinity
 * among the terms.
 *
 * The windows cover the scalar exactly: m of them, of w bits or of w + 1, add up to 256. For odd k
 * below 2^256 let K = floor(k / 2), of 255 bits, and K' = K + 2^255, whose windows are K'[i]: k = 2
 * K + 1 = 2 K' - (2^256 - 1) = sum (2 K'[i] - (2^w - 1)) 2^b: every digit is odd and at most 2^w -
 * 1 in size. The top window of K' has its top bit set: the digit is positive there.
 *
 * For even k the digits of n - k are taken, with all signs turned. k = 0 gives n: the sum of these
 * terms is the point at infinity, which shows as an exceptional addition and is nobody's special
 * case. */
#ifndef POPGATE_CRYPTO_P256_RECODE_H
#define POPGATE_CRYPTO_P256_RECODE_H

#include "crypto/p256_scalar.h"
#include "crypto/windows.h"

/* An affine point, coordinates below p in the Montgomery domain of the engine whose table it is
 * in. One cache line. */
struct p256_entry {
    _Alignas(64) uint64_t x[4];
    uint64_t y[4];
};

#define P256_SCALAR_BITS 256

/* Windows of a key's table, from the largest table (368 KiB) to the smallest (32 KiB), and of the
 * generator's (4.5 MiB). */
#define P256_WINDOWS_MIN       30
#define P256_WINDOWS_MAX       64
#define P256_WINDOWS_GENERATOR 20

static inline struct windows p256_windows(unsigned count)
{
    return windows_of(P256_SCALAR_BITS, count);
}

static inline size_t p256_table_entries(unsigned count)
{
    return windows_entries(p256_windows(count));
}

/* The terms of one signature: of the key's windows, and of the generator's. */
#define P256_TERMS(windows) ((size_t)(windows) + P256_WINDOWS_GENERATOR)
#define P256_TERMS_MAX      P256_TERMS(P256_WINDOWS_MAX)

/* A term is a uintptr_t: an entry's address, plus one if the point is subtracted. */

/* Writes `windows` terms, `stride` apart, whose sum is k times the table's point, and asks for
 * their cache lines. k < n. windows: P256_WINDOWS_MIN to _MAX, or _GENERATOR. */
void p256_recode_vartime(uintptr_t *terms, size_t stride, const uint64_t k[4], unsigned windows,
                         const struct p256_entry *table);

static inline const struct p256_entry *p256_term_entry(uintptr_t term)
{
    return (const struct p256_entry *)(term & ~(uintptr_t)1);
}

#endif
