#include "crypto/p256_recode.h"

#include <assert.h>

void p256_recode_vartime(uintptr_t *terms, size_t stride, const uint64_t k[4], unsigned window,
                         const struct p256_entry *table)
{
    switch (window) {
    case 4:
        p256_recode_constant(terms, stride, k, 4, table);
        return;
    case 5:
        p256_recode_constant(terms, stride, k, 5, table);
        return;
    case 6:
        p256_recode_constant(terms, stride, k, 6, table);
        return;
    case 7:
        p256_recode_constant(terms, stride, k, 7, table);
        return;
    case 8:
        p256_recode_constant(terms, stride, k, 8, table);
        return;
    default:
        assert(window == P256_WINDOW_GENERATOR);
        p256_recode_constant(terms, stride, k, P256_WINDOW_GENERATOR, table);
    }
}
