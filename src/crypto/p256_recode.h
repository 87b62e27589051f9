/* Scalars into all-odd signed digits (Joye and Tunstall, "Exponent recoding and regular
 * exponentiation algorithms", AFRICACRYPT 2009), and the table such digits index: of a point P, for
 * every window i of w bits, the odd multiples (2 j + 1) 2^(w i) P. With it k P is one entry a
 * window, no doubling (Brickell, Gordon, McCurley and Wilson, "Fast exponentiation with
 * precomputation", EUROCRYPT '92; Lim and Lee, CRYPTO '94), no zero digit and no point at infinity
 * among the terms.
 *
 * For odd k below 2^256 let K = floor(k / 2). With m windows of w bits, w m >= 256, and K' = K +
 * 2^(w m - 1), whose windows are K'[i]: k = 2 K + 1 = 2 K' - (2^(w m) - 1) = sum (2 K'[i] - (2^w -
 * 1)) 2^(w i): every digit is odd and at most 2^w - 1 in size. K has 255 bits, so the top window of
 * K' has its top bit set, for the digit is positive there, and otherwise only the 255 - w (m - 1)
 * bits of K: the table is that much shorter at its end.
 *
 * For even k the digits of n - k are taken, with all signs turned. k = 0 gives n: the sum of these
 * terms is the point at infinity, which shows as an exceptional addition and is nobody's special
 * case. */
#ifndef POPGATE_CRYPTO_P256_RECODE_H
#define POPGATE_CRYPTO_P256_RECODE_H

#include "crypto/p256_scalar.h"

/* An affine point, coordinates below p in the Montgomery domain of the engine whose table it is
 * in. One cache line. */
struct p256_entry {
    _Alignas(64) uint64_t x[4];
    uint64_t y[4];
};

/* Windows of a key's table, and of the generator's. */
#define P256_WINDOW_MIN       4
#define P256_WINDOW_MAX       8
#define P256_WINDOW_GENERATOR 13
#define P256_SCALAR_BITS      256

static inline size_t p256_windows(unsigned window)
{
    return (P256_SCALAR_BITS + window - 1) / window;
}

/* Bits of K in the top window. */
static inline unsigned p256_top_bits(unsigned window)
{
    return P256_SCALAR_BITS - 1 - window * (unsigned)(p256_windows(window) - 1);
}

static inline size_t p256_table_entries(unsigned window)
{
    return ((p256_windows(window) - 1) << (window - 1)) + ((size_t)1 << p256_top_bits(window));
}

/* The most terms of one signature: of the key's smallest window, and of the generator's. */
#define P256_TERMS_MAX                                                                             \
    ((P256_SCALAR_BITS + P256_WINDOW_MIN - 1) / P256_WINDOW_MIN +                                  \
     (P256_SCALAR_BITS + P256_WINDOW_GENERATOR - 1) / P256_WINDOW_GENERATOR)

static inline size_t p256_terms(unsigned window)
{
    return p256_windows(window) + p256_windows(P256_WINDOW_GENERATOR);
}

/* A term is a uintptr_t: an entry's address, plus one if the point is subtracted. */

/* p256_recode_vartime for a window that the compiler knows, with all its shifts. */
static inline __attribute__((always_inline)) void
p256_recode_constant(uintptr_t *terms, size_t stride, const uint64_t k[4], unsigned window,
                     const struct p256_entry *table)
{
    /* K in 255 bits and a word of zeros above, so that a window may be read across. */
    uint64_t odd[4], bits[5];
    const uint64_t even = (k[0] & 1) - 1; /* all ones if k is even */
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 d = (unsigned __int128)p256_order[i] - k[i] - borrow;
        borrow = (uint64_t)(d >> 64) & 1;
        odd[i] = (k[i] & ~even) | ((uint64_t)d & even);
    }
    for (int i = 0; i < 3; i++) {
        bits[i] = odd[i] >> 1 | odd[i + 1] << 63;
    }
    bits[3] = odd[3] >> 1;
    bits[4] = 0;
    const size_t count = p256_windows(window), half = (size_t)1 << (window - 1);
    const uintptr_t base = (uintptr_t)table;
#pragma GCC unroll 64
    for (size_t i = 0; i < count; i++) {
        size_t position = i * window, word = position / 64, shift = position % 64;
        uint64_t digit = bits[word] >> shift | bits[word + 1] << 1 << (63 - shift);
        /* The digit is 2 K'[i] - (2^w - 1): of positive sign where the window's top bit is set,
         * with index the bits below, otherwise with those bits' complement. */
        uint64_t top = i + 1 < count ? digit >> (window - 1) & 1 : 1;
        uint64_t negative = top ^ 1;
        uint64_t index = (digit ^ (0 - negative)) & (half - 1);
        uintptr_t entry = base + (i * half + index) * sizeof(struct p256_entry);
        __builtin_prefetch((const void *)entry);
        terms[i * stride] = entry + (negative ^ (even & 1));
    }
}

/* Writes p256_windows(window) terms, `stride` apart, whose sum is k times the table's point, and
 * asks for their cache lines. k < n. window: P256_WINDOW_MIN to _MAX, or _GENERATOR. */
void p256_recode_vartime(uintptr_t *terms, size_t stride, const uint64_t k[4], unsigned window,
                         const struct p256_entry *table);

static inline const struct p256_entry *p256_term_entry(uintptr_t term)
{
    return (const struct p256_entry *)(term & ~(uintptr_t)1);
}

#endif
