/* The C of the 64-bit words, also where everything is compiled for this very CPU. */
#define FE64_IN_C
#include "unit/crypto/p256_field64_checks.h"

Test(p256_field64, equals_big_numbers, .init = field64_setup, .fini = field64_teardown)
{
    check_equals_big_numbers();
}

Test(p256_field64, products_at_their_bound, .init = field64_setup, .fini = field64_teardown)
{
    check_products_at_their_bound();
}

Test(p256_field64, reduction_at_its_bound, .init = field64_setup, .fini = field64_teardown)
{
    /* t < p 2^256: the largest, and those whose low half is all ones or makes every q extreme. */
    uint64_t state = 2;
    for (int i = 0; i < 20000; i++) {
        fe64_word t[8];
        uint64_t high[4], words[8];
        p256_random_below(high, fe64_p.v, &state);
        for (int j = 0; j < 4; j++) {
            t[j] = i % 5 == 0 ? UINT64_MAX : i % 5 == 1 ? 0 : p256_random(&state);
            t[4 + j] = i % 7 == 0 ? fe64_p.v[j] - (j == 0) : high[j];
        }
        for (int j = 0; j < 8; j++) {
            words[j] = t[j];
        }
        BIGNUM *value = p256_bn(words, 8);
        p256_require(BN_mod_mul(value, value, domain, ref.p, ref.ctx));
        struct fe64 r;
        fe64_reduce(&r, t);
        expect(&r, value, "reduce");
        BN_free(value);
    }
}

Test(p256_field64, inverse_and_domain, .init = field64_setup, .fini = field64_teardown)
{
    uint64_t state = 3;
    const struct fe64 zero = {{0}};
    struct fe64 r;
    fe64_invert_vartime(&r, &zero);
    cr_assert(fe64_is_zero(&r));
    for (int i = 0; i < 2000; i++) {
        struct fe64 a;
        p256_random_below(a.v, fe64_p.v, &state);
        if (fe64_is_zero(&a)) {
            continue;
        }
        fe64_invert_vartime(&r, &a);
        fe64_mul(&r, &r, &a);
        cr_assert(fe64_equal(&r, &fe64_one));
        /* Any 256 bits may be brought into the domain. */
        uint64_t words[4] = {p256_random(&state), p256_random(&state), p256_random(&state),
                             i % 2 ? UINT64_MAX : p256_random(&state)};
        BIGNUM *value = p256_bn(words, 4);
        fe64_from_words(&r, words);
        p256_require(BN_lshift(value, value, 256));
        expect(&r, value, "from_words");
        BN_free(value);
    }
}
