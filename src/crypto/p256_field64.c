#include "crypto/p256_field64.h"

#include "crypto/modinv.h"

static const struct modinv_modulus field_modulus = {{UINT64_MAX, 0xffffffff, 0, 0xffffffff00000001},
                                                    (UINT64_C(1) << 62) - 1};

struct fe64 fe64_invert_words_vartime(const struct fe64 *a)
{
    struct fe64 r;
    modinv_vartime(r.v, a->v, &field_modulus);
    return r;
}

struct fe64 fe64_invert_vartime(const struct fe64 *a)
{
    /* 1 / (a 2^256), times 2^768 / 2^256. */
    const struct fe64 r = fe64_invert_words_vartime(a);
    const struct fe64 r3 = fe64_mul(&fe64_r2, &fe64_r2);
    return fe64_mul(&r, &r3);
}
