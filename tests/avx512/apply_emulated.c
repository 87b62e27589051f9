/* The operations as immintrin.h of this folder computes them. */
#define APPLY_NAME avx512_apply_emulated
#include "avx512/apply.h"
