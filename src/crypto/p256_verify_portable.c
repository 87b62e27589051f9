/* ES256 with 64-bit words, for every CPU. */
#define P256_NAME(name)  name##_portable
#define P256_NAME2(name) name##_portable_vartime
#include "crypto/p256_verify64.h"
