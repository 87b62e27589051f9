/* Field and scalar arithmetic against a slow bignum, with limbs at the limits of every function's
 * contract. */
#include "crypto/ed25519_field.h"

#include "crypto/ed25519_scalar.h"
#include "unit/crypto/bignum.h"

#include <criterion/criterion.h>

static BIGNUM *prime(void)
{
    BIGNUM *p = BN_new();
    cr_assert(BN_set_bit(p, 255) && BN_sub_word(p, 19));
    return p;
}

static void expect(const struct fe *got, const BIGNUM *wanted, const BIGNUM *p, const char *what)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *value = bignum_of_limbs(got->v, 5, 51), *reduced = BN_new();
    cr_assert(BN_nnmod(value, value, p, ctx) && BN_nnmod(reduced, wanted, p, ctx));
    cr_assert(BN_cmp(value, reduced) == 0, "%s", what);
    uint64_t words[4], expected[4];
    fe_words(words, got);
    bignum_to_words(expected, reduced);
    cr_assert_arr_eq(words, expected, sizeof words, "%s: fe_words", what);
    BN_free(value);
    BN_free(reduced);
    BN_CTX_free(ctx);
}

static void expect_tight(const struct fe *a)
{
    for (int i = 0; i < 5; i++) {
        cr_assert(a->v[i] < (UINT64_C(1) << 51) + (UINT64_C(1) << 13));
    }
}

Test(ed25519_field, multiplication_at_its_bounds)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = prime(), *r = BN_new();
    const uint64_t loose = (UINT64_C(1) << 54) - 1;
    for (unsigned i = 0; i < 4000; i++) {
        struct fe a, b;
        bignum_fill_limbs(a.v, 5, loose, i);
        bignum_fill_limbs(b.v, 5, loose, i / 7 + 1);
        BIGNUM *x = bignum_of_limbs(a.v, 5, 51), *y = bignum_of_limbs(b.v, 5, 51);
        struct fe product = fe_mul(&a, &b), square = fe_square(&a);
        expect_tight(&product);
        expect_tight(&square);
        cr_assert(BN_mul(r, x, y, ctx));
        expect(&product, r, p, "product");
        cr_assert(BN_sqr(r, x, ctx));
        expect(&square, r, p, "square");
        BN_free(x);
        BN_free(y);
    }
    BN_free(p);
    BN_free(r);
    BN_CTX_free(ctx);
}

Test(ed25519_field, sums_and_differences_at_their_bounds)
{
    BIGNUM *p = prime(), *r = BN_new();
    for (unsigned i = 0; i < 4000; i++) {
        struct fe a, b;
        bignum_fill_limbs(a.v, 5, UINT64_C(1) << 53, i);
        bignum_fill_limbs(b.v, 5, (UINT64_C(1) << 53) - 76, i / 5);
        BIGNUM *x = bignum_of_limbs(a.v, 5, 51), *y = bignum_of_limbs(b.v, 5, 51);
        struct fe sum = fe_add(&a, &b), difference = fe_sub(&a, &b);
        for (int k = 0; k < 5; k++) {
            cr_assert(difference.v[k] <= UINT64_C(1) << 54);
        }
        cr_assert(BN_add(r, x, y));
        expect(&sum, r, p, "sum");
        cr_assert(BN_sub(r, x, y));
        expect(&difference, r, p, "difference");
        cr_assert_eq(fe_is_zero(&difference), BN_is_zero(r));
        BN_free(x);
        BN_free(y);
    }
    BN_free(p);
    BN_free(r);
}

Test(ed25519_field, words_of_any_limbs_are_below_p)
{
    BIGNUM *p = prime(), *value = BN_new();
    for (unsigned i = 0; i < 4000; i++) {
        struct fe a;
        bignum_fill_limbs(a.v, 5, (UINT64_C(1) << 63) - 1, i);
        BIGNUM *x = bignum_of_limbs(a.v, 5, 51);
        expect(&a, x, p, "words");
        BN_free(x);
    }
    /* 0 .. 40, p - 40 .. p + 40 and 2 p - 40 .. 2^256 - 1's neighbourhood, limb by limb. */
    for (int base = 0; base < 3; base++) {
        for (int offset = -40; offset <= 40; offset++) {
            cr_assert(BN_copy(value, p) != NULL);
            if (base == 0) {
                BN_zero(value);
            } else if (base == 2) {
                cr_assert(BN_lshift1(value, value));
            }
            if (offset < 0 && base == 0) {
                continue;
            }
            cr_assert(offset < 0 ? BN_sub_word(value, (BN_ULONG)-offset)
                                 : BN_add_word(value, (BN_ULONG)offset));
            struct fe a;
            BIGNUM *rest = BN_dup(value);
            for (int k = 0; k < 5; k++) {
                BIGNUM *low = BN_dup(rest);
                if (k < 4) {
                    cr_assert(BN_mask_bits(low, 51) || BN_num_bits(low) <= 51);
                }
                uint64_t words[4];
                bignum_to_words(words, low);
                a.v[k] = words[0];
                cr_assert(BN_rshift(rest, rest, 51));
                BN_free(low);
            }
            expect(&a, value, p, "near a multiple of p");
            BN_free(rest);
        }
    }
    BN_free(p);
    BN_free(value);
}

Test(ed25519_field, inverse_and_power)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = prime(), *r = BN_new(), *e = BN_new();
    cr_assert(BN_set_bit(e, 252) && BN_sub_word(e, 3));
    for (unsigned i = 0; i < 300; i++) {
        struct fe a;
        bignum_fill_limbs(a.v, 5, (UINT64_C(1) << 54) - 1, i);
        BIGNUM *x = bignum_of_limbs(a.v, 5, 51);
        cr_assert(BN_nnmod(x, x, p, ctx));
        struct fe inverse = fe_invert_vartime(&a), power = fe_power_p58(&a);
        expect_tight(&inverse);
        if (BN_is_zero(x)) {
            BN_zero(r);
        } else {
            cr_assert_not_null(BN_mod_inverse(r, x, p, ctx));
        }
        expect(&inverse, r, p, "inverse");
        cr_assert(BN_mod_exp(r, x, e, p, ctx));
        expect(&power, r, p, "power");
        BN_free(x);
    }
    BN_free(p);
    BN_free(r);
    BN_free(e);
    BN_CTX_free(ctx);
}

Test(ed25519_field, words_in_and_out)
{
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t words[4], back[4];
        bignum_fill_limbs(words, 4, UINT64_MAX, i);
        words[3] &= UINT64_MAX >> 2; /* below 2^254, so below p */
        struct fe a = fe_from_words(words);
        for (int k = 0; k < 5; k++) {
            cr_assert(a.v[k] <= FE_MASK);
        }
        fe_words(back, &a);
        cr_assert_arr_eq(back, words, sizeof words);
    }
}

Test(ed25519_scalar, reduction_agrees_with_a_slow_bignum)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *l = BN_new(), *low = BN_new(), *value = BN_new();
    cr_assert(BN_dec2bn(&low, "27742317777372353535851937790883648493") && BN_set_bit(l, 252) &&
              BN_add(l, l, low));
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t in[8], out[4], expected[4];
        bignum_fill_limbs(in, 8, UINT64_MAX, i);
        if (i % 4 == 1) {
            /* Close to a multiple of L: k L + (-2 .. 2). */
            BIGNUM *k = bignum_of_limbs(in, 4, 64), *product = BN_new();
            cr_assert(BN_mul(product, k, l, ctx));
            cr_assert(i % 8 == 1 ? BN_add_word(product, i % 3)
                                 : BN_is_zero(product) || BN_sub_word(product, i % 3));
            uint8_t bytes[64];
            cr_assert(BN_bn2bin_padded(bytes, 64, product));
            for (int w = 0; w < 8; w++) {
                in[w] = 0;
                for (int j = 0; j < 8; j++) {
                    in[w] = in[w] << 8 | bytes[56 - 8 * w + j];
                }
            }
            BN_free(k);
            BN_free(product);
        }
        BIGNUM *x = bignum_of_limbs(in, 8, 64);
        cr_assert(BN_nnmod(value, x, l, ctx));
        bignum_to_words(expected, value);
        ed25519_scalar_reduce_vartime(out, in);
        cr_assert_arr_eq(out, expected, sizeof out, "case %u", i);
        BN_free(x);
    }
    BN_free(l);
    BN_free(low);
    BN_free(value);
    BN_CTX_free(ctx);
}
