/* ES256 with 64-bit words, by a compiler that may use MULX and ADX. */
#if defined(__x86_64__)
#define P256_NAME(name)  name##_bmi2
#define P256_NAME2(name) name##_bmi2_vartime
#include "crypto/p256_verify64.h"
#endif
