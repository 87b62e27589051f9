#include "auth/signature_size.h"

#include <criterion/criterion.h>

Test(signature_size, exactly_the_jose_size)
{
    static const struct {
        enum signature_algorithm algorithm;
        size_t size;
    } fixed[] = {{SIGNATURE_ES256, 64},
                 {SIGNATURE_EDDSA, 64},
                 {SIGNATURE_ES384, 96},
                 {SIGNATURE_ES512, 132}};
    struct public_key key = {.type = KEY_P256};
    for (size_t i = 0; i < 4; i++) {
        for (size_t size = 0; size < 600; size++) {
            cr_assert_eq(signature_size_fits(fixed[i].algorithm, &key, size),
                         size == fixed[i].size);
        }
    }
}

Test(signature_size, rsa_is_the_modulus)
{
    struct public_key key = {.type = KEY_RSA, .modulus_size = 256};
    cr_expect(signature_size_fits(SIGNATURE_PS256, &key, 256));
    cr_expect(signature_size_fits(SIGNATURE_RS256, &key, 256));
    cr_expect_not(signature_size_fits(SIGNATURE_RS256, &key, 255));
    cr_expect_not(signature_size_fits(SIGNATURE_PS256, &key, 512));
    key.modulus_size = RSA_MODULUS_BYTES_MAX + 1;
    cr_expect_not(signature_size_fits(SIGNATURE_RS256, &key, RSA_MODULUS_BYTES_MAX + 1));
}

Test(signature_size, no_algorithm_no_signature)
{
    struct public_key key = {.type = KEY_NONE};
    cr_expect_not(signature_size_fits(SIGNATURE_NONE, &key, 0));
    cr_expect_not(signature_size_fits(SIGNATURE_ALGORITHMS, &key, 64));
    cr_expect_not(signature_size_fits((enum signature_algorithm)99, &key, 64));
}
