/* The inverse modulo an odd number of up to 256 bits, in variable time: "safegcd" (Bernstein and
 * Yang, "Fast constant-time gcd computation and modular inversion", TCHES 2019, section 11), in
 * batches of 62 division steps, with the steps that only halve taken together since nothing here is
 * secret. About a microsecond. */
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
