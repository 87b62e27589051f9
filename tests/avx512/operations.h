/* What the emulated AVX-512 (immintrin.h) counts, per thread nothing: for programs of one thread.
 * Counts follow from the input alone, so an engine's cost in them is the same on every machine.
 * What a compiler adds, spills and loads of operands from memory, is not in them. */
#ifndef POPGATE_TESTS_AVX512_OPERATIONS_H
#define POPGATE_TESTS_AVX512_OPERATIONS_H

#include <stdint.h>

struct avx512_operations {
    uint64_t products;    /* VPMADD52LUQ, VPMADD52HUQ, VPMULLQ */
    uint64_t arithmetic;  /* everything else on registers, without constants and copies */
    uint64_t loads;       /* asked for by name: terms, scalars, 32 or 64 bytes */
    uint64_t stores;      /* likewise */
    uint64_t extractions; /* to a scalar register: an inversion modulo p or n takes four */
};

extern struct avx512_operations avx512_operations;

#if defined(POPGATE_AVX512_COUNT)
#define AVX512_COUNT(what) ((void)avx512_operations.what++)
#else
#define AVX512_COUNT(what) ((void)0)
#endif

#endif
