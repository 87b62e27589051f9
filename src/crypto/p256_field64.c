#include "crypto/p256_field64.h"

#include "crypto/modinv.h"

static const struct modinv_modulus field_modulus = {{UINT64_MAX, 0xffffffff, 0, 0xffffffff00000001},
                                                    (UINT64_C(1) << 62) - 1};

void fe64_invert_words_vartime(struct fe64 *r, const struct fe64 *a)
{
    modinv_vartime(r->v, a->v, &field_modulus);
}

void fe64_invert_vartime(struct fe64 *r, const struct fe64 *a)
{
    /* 1 / (a 2^256), times 2^768 / 2^256. */
    struct fe64 r3;
    fe64_mul(&r3, &fe64_r2, &fe64_r2);
    fe64_invert_words_vartime(r, a);
    fe64_mul(r, r, &r3);
}
