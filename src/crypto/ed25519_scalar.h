/* Integers modulo L = 2^252 + 27742317777372353535851937790883648493, least significant word first.
 */
#ifndef POPGATE_CRYPTO_ED25519_SCALAR_H
#define POPGATE_CRYPTO_ED25519_SCALAR_H

#include <stdint.h>

/* out = in modulo L, in 0 .. L - 1. `in`: any 512 bits (the hash as RFC 8032 section 5.1.7 reads
 * it: little-endian). Variable time. */
void ed25519_scalar_reduce_vartime(uint64_t out[4], const uint64_t in[8]);

#endif
