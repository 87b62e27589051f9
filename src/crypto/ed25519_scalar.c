#include "crypto/ed25519_scalar.h"

#include <string.h>

/* c = L - 2^252, so that 2^252 = -c modulo L; c < 2^125. */
static const uint64_t c[2] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6};
static const uint64_t order[4] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};

/* out (n + 2 words) = c in (n words). */
static inline __attribute__((always_inline)) void multiply_c(uint64_t *out, const uint64_t *in,
                                                             int n)
{
    memset(out, 0, sizeof *out * (size_t)(n + 2));
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        unsigned __int128 t = 0;
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            t += (unsigned __int128)in[i] * c[j] + out[i + j];
            out[i + j] = (uint64_t)t;
            t >>= 64;
        }
        out[i + 2] = (uint64_t)t;
    }
}

/* high (n - 3 words) = in / 2^252, in: n words; low: the 252 bits below. */
static inline __attribute__((always_inline)) void split(uint64_t *high, uint64_t low[4],
                                                        const uint64_t *in, int n)
{
#pragma GCC unroll 8
    for (int i = 3; i < n; i++) {
        high[i - 3] = in[i] >> 60 | (i + 1 < n ? in[i + 1] << 4 : 0);
    }
    memcpy(low, in, 4 * sizeof *low);
    low[3] &= (UINT64_C(1) << 60) - 1;
}

/* a += b, or -= : five words, two's complement. */
static inline __attribute__((always_inline)) void accumulate(uint64_t a[5], const uint64_t *b,
                                                             int n, int minus)
{
    unsigned __int128 carry = (unsigned)minus;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        uint64_t word = i < n ? b[i] : 0;
        carry += (unsigned __int128)a[i] + (minus ? ~word : word);
        a[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* Three times the part above 2^252 is replaced by -c times it:
 *   in = low0 + 2^252 h0, h0 < 2^260      in = low0 - c h0
 *   c h0 < 2^385 = low1 + 2^252 h1, h1 < 2^133
 *   c h1 < 2^258 = low2 + 2^252 h2, h2 < 2^6
 *   in = low0 - (low1 - (low2 - c h2)) = low0 - low1 + low2 - c h2 modulo L,
 * between -2^252 - 2^131 and 2^253; with 2 L added it is positive and below 5 L. */
void ed25519_scalar_reduce_vartime(uint64_t out[4], const uint64_t in[8])
{
    uint64_t low0[4], low1[4], low2[4], h0[5], h1[4], h2[3], t0[7], t1[6], t2[3], sum[5] = {0};
    split(h0, low0, in, 8);
    multiply_c(t0, h0, 5);
    split(h1, low1, t0, 7); /* h1 < 2^133: its top word is zero */
    multiply_c(t1, h1, 3);
    split(h2, low2, t1, 5); /* h2 < 2^6 */
    multiply_c(t2, h2, 1);
    accumulate(sum, order, 4, 0);
    accumulate(sum, order, 4, 0);
    accumulate(sum, low0, 4, 0);
    accumulate(sum, low1, 4, 1);
    accumulate(sum, low2, 4, 0);
    accumulate(sum, t2, 3, 1);
    for (;;) {
        uint64_t less[5];
        memcpy(less, sum, sizeof less);
        accumulate(less, order, 4, 1);
        if (less[4] != 0) {
            break; /* below zero */
        }
        memcpy(sum, less, sizeof sum);
    }
    memcpy(out, sum, 4 * sizeof *out);
}
