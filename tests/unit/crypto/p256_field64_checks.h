/* What both versions of p256_field64.h have to do, against BoringSSL's big numbers: which one is
 * tested is what the including file is compiled for. */
#ifndef POPGATE_TESTS_CRYPTO_P256_FIELD64_CHECKS_H
#define POPGATE_TESTS_CRYPTO_P256_FIELD64_CHECKS_H

#include "unit/crypto/p256.h"

#include <criterion/criterion.h>

static BIGNUM *domain; /* 2^-256 mod p */
static struct p256_reference ref;

static void field64_setup(void)
{
    ref = p256_reference_new();
    domain = BN_new();
    BIGNUM *power = BN_new();
    p256_require(BN_set_bit(power, 256) && BN_mod_inverse(domain, power, ref.p, ref.ctx));
    BN_free(power);
}

static void field64_teardown(void)
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

typedef void (*field64_binary)(struct fe64 *r, const struct fe64 *a, const struct fe64 *b);

/* The result beside the operands, on the first, on the second. */
static void expect_binary(field64_binary function, const struct fe64 *a, const struct fe64 *b,
                          const BIGNUM *expected, const char *what)
{
    struct fe64 beside, first = *a, second = *b;
    function(&beside, a, b);
    expect(&beside, expected, what);
    function(&first, &first, b);
    function(&second, a, &second);
    /* Not fe64_equal: inlined, this assertion's failing side would be a branch of the header. */
    cr_assert(memcmp(&first, &beside, sizeof(beside)) == 0 &&
                  memcmp(&second, &beside, sizeof(beside)) == 0,
              "%s in place", what);
}

static void add(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    fe64_add(r, a, b);
}

static void sub(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    fe64_sub(r, a, b);
}

static void check_square(const struct fe64 *a, const BIGNUM *expected)
{
    struct fe64 r, in_place = *a;
    fe64_square(&r, a);
    expect(&r, expected, "square");
    fe64_square(&in_place, &in_place);
    expect(&in_place, expected, "square in place");
    fe64_mul(&in_place, a, a);
    expect(&in_place, expected, "mul with itself");
}

static void check(const struct fe64 *a, const struct fe64 *b)
{
    BIGNUM *x = p256_bn(a->v, 4), *y = p256_bn(b->v, 4), *z = BN_new();
    p256_require(BN_mul(z, x, y, ref.ctx) && BN_mod_mul(z, z, domain, ref.p, ref.ctx));
    expect_binary(fe64_mul, a, b, z, "mul");
    p256_require(BN_sqr(z, x, ref.ctx) && BN_mod_mul(z, z, domain, ref.p, ref.ctx));
    check_square(a, z);
    p256_require(BN_add(z, x, y));
    expect_binary(add, a, b, z, "add");
    p256_require(BN_sub(z, x, y));
    expect_binary(sub, a, b, z, "sub");
    struct fe64 r;
    fe64_negate(&r, a);
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

/* A word that is random or makes every carry and every q extreme. */
static uint64_t extreme_word(uint64_t *state)
{
    const uint64_t words[] = {0, 1, UINT64_MAX, 0xffffffff, UINT64_MAX << 32};
    const uint64_t choice = p256_random(state) % 8;
    return choice < sizeof words / sizeof words[0] ? words[choice] : p256_random(state);
}

static void check_equals_big_numbers(void)
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

/* a b for a below p, b any four words: up to p 2^256, which is what a reduction takes. */
static void check_products_at_their_bound(void)
{
    uint64_t state = 2;
    for (int i = 0; i < 20000; i++) {
        struct fe64 a = edges[(size_t)i % (sizeof edges / sizeof edges[0])], b, r;
        for (int j = 0; j < 4; j++) {
            b.v[j] = extreme_word(&state);
        }
        if (i % 3 == 0) {
            p256_random_below(a.v, fe64_p.v, &state);
        }
        BIGNUM *x = p256_bn(a.v, 4), *y = p256_bn(b.v, 4);
        p256_require(BN_mul(x, x, y, ref.ctx) && BN_mod_mul(x, x, domain, ref.p, ref.ctx));
        fe64_mul(&r, &a, &b);
        expect(&r, x, "mul");
        BN_free(x);
        BN_free(y);
    }
}

#endif
