/* The inverse modulo an odd number of up to 256 bits, in variable time: the binary algorithm on the
 * lowest and the highest 64 bits of both numbers, 62 halvings at a time (Pornin, "Optimized binary
 * GCD for modular inversion", 2020, eprint.iacr.org/2020/972), with the halvings that follow each
 * other taken together since nothing here is secret. Two thirds of a microsecond. */
#ifndef POPGATE_CRYPTO_MODINV_H
#define POPGATE_CRYPTO_MODINV_H

#include <stdint.h>

/* `words`: the odd modulus M, 3 <= M < 2^256, least significant word first; `inverse`: M^-1 modulo
 * 2^62. */
struct modinv_modulus {
    uint64_t words[4];
    uint64_t inverse;
};

/* out = in^-1 mod M, in 0 .. M - 1; 0 when `in` has no inverse (0 itself, or a common factor). in:
 * any four words; need not be below M. May be the same array. */
void modinv_vartime(uint64_t out[4], const uint64_t in[4], const struct modinv_modulus *modulus);

#endif
