/* The results of apply.h's operations. */
#ifndef POPGATE_TESTS_AVX512_RESULTS_H
#define POPGATE_TESTS_AVX512_RESULTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AVX512_RESULTS_MAX 64

struct avx512_results {
    uint64_t vectors[AVX512_RESULTS_MAX][8];
    size_t count;
};

/* operands[2] is read as memory too: 32-byte aligned. */
void avx512_apply_emulated(const uint64_t operands[3][8], unsigned mask,
                           struct avx512_results *out);
void avx512_apply_ifma(const uint64_t operands[3][8], unsigned mask, struct avx512_results *out);

#endif
