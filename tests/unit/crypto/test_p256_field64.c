#include "unit/crypto/p256.h"

#include <criterion/criterion.h>

static BIGNUM *domain; /* 2^-256 mod p */
static struct p256_reference ref;

static void setup(void)
{
    ref = p256_reference_new();
    domain = BN_new();
    BIGNUM *power = BN_new();
    p256_require(BN_set_bit(power, 256) && BN_mod_inverse(domain, power, ref.p, ref.ctx));
    BN_free(power);
}

static void teardown(void)
{
    BN_free(domain);
    p256_reference_free(&ref);
}

static void expect(const struct fe64 *actual, const BIGNUM *expected, const char *what)
{
    BIGNUM *value = p256_bn(actual->v, 4), *modulo = BN_new();
    p256_require(BN_nnmod(modulo, expected, ref.p, ref.ctx));
    cr_assert_eq(BN_cmp(value, modulo), 0, "%s: %s, not %s", what, BN_bn2hex(value),
                 BN_bn2hex(modulo));
    BN_free(value);
    BN_free(modulo);
}

static void check(const struct fe64 *a, const struct fe64 *b)
{
    BIGNUM *x = p256_bn(a->v, 4), *y = p256_bn(b->v, 4), *z = BN_new();
    struct fe64 r = fe64_mul(a, b);
    p256_require(BN_mul(z, x, y, ref.ctx) && BN_mod_mul(z, z, domain, ref.p, ref.ctx));
    expect(&r, z, "mul");
    r = fe64_square(a);
    p256_require(BN_sqr(z, x, ref.ctx) && BN_mod_mul(z, z, domain, ref.p, ref.ctx));
    expect(&r, z, "square");
    r = fe64_add(a, b);
    p256_require(BN_add(z, x, y));
    expect(&r, z, "add");
    r = fe64_sub(a, b);
    p256_require(BN_sub(z, x, y));
    expect(&r, z, "sub");
    r = fe64_negate(a);
    BN_zero(z);
    p256_require(BN_sub(z, z, x));
    expect(&r, z, "negate");
    cr_assert_eq(fe64_is_zero(a), BN_is_zero(x));
    cr_assert_eq(fe64_equal(a, b), BN_cmp(x, y) == 0);
    BN_free(x);
    BN_free(y);
    BN_free(z);
}

static const struct fe64 edges[] = {
    {{0}},
    {{1}},
    {{2}},
    {{UINT64_MAX}},
    {{0, 1}},
    {{0, 0, 1}},
    {{0, 0, 0, 1}},
    {{UINT64_MAX - 1, 0xffffffff, 0, 0xffffffff00000001}}, /* p - 1 */
    {{UINT64_MAX - 2, 0xffffffff, 0, 0xffffffff00000001}},
    {{UINT64_MAX, 0xfffffffe, 0, 0xffffffff00000001}},
    {{UINT64_MAX, UINT64_MAX, UINT64_MAX, 0xffffffff00000000}},
    {{1, 0xffffffff00000000, UINT64_MAX, 0xfffffffe}}, /* 2^256 mod p */
    {{0, 0, 0, UINT64_C(1) << 63}},
    {{UINT64_MAX, 0x7fffffff, UINT64_C(1) << 63, 0x7fffffff80000000}}, /* (p - 1) / 2 */
};

Test(p256_field64, equals_big_numbers, .init = setup, .fini = teardown)
{
    const size_t count = sizeof edges / sizeof edges[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            check(&edges[i], &edges[j]);
        }
    }
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        struct fe64 a, b;
        p256_random_below(a.v, fe64_p.v, &state);
        p256_random_below(b.v, fe64_p.v, &state);
        check(&a, &b);
    }
}

Test(p256_field64, reduction_at_its_bound, .init = setup, .fini = teardown)
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
        struct fe64 r = fe64_reduce(t);
        expect(&r, value, "reduce");
        BN_free(value);
    }
}

Test(p256_field64, inverse_and_domain, .init = setup, .fini = teardown)
{
    uint64_t state = 3;
    const struct fe64 zero = {{0}};
    struct fe64 r = fe64_invert_vartime(&zero);
    cr_assert(fe64_is_zero(&r));
    for (int i = 0; i < 2000; i++) {
        struct fe64 a;
        p256_random_below(a.v, fe64_p.v, &state);
        if (fe64_is_zero(&a)) {
            continue;
        }
        r = fe64_invert_vartime(&a);
        r = fe64_mul(&r, &a);
        cr_assert(fe64_equal(&r, &fe64_one));
        /* Any 256 bits may be brought into the domain. */
        uint64_t words[4] = {p256_random(&state), p256_random(&state), p256_random(&state),
                             i % 2 ? UINT64_MAX : p256_random(&state)};
        BIGNUM *value = p256_bn(words, 4);
        r = fe64_from_words(words);
        p256_require(BN_lshift(value, value, 256));
        expect(&r, value, "from_words");
        BN_free(value);
    }
}
