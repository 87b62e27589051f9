/* The operations as the CPU computes them. */
#define APPLY_NAME avx512_apply_ifma
#include "avx512/apply.h"
