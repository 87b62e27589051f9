#include "crypto/p256_recode.h"
#include "unit/crypto/p256.h"

#include <criterion/criterion.h>

static const unsigned windows[] = {4, 5, 6, 7, 8, P256_WINDOW_GENERATOR};

/* What the terms add up to if entry j of window i is (2 j + 1) 2^(w i). */
static void check(const struct p256_reference *ref, const uint64_t k[4], unsigned window)
{
    /* Only addresses are made, nothing is read (prefetches do not fault). */
    const struct p256_entry *table = (const struct p256_entry *)(uintptr_t)0x100000;
    const size_t count = p256_windows(window), entries = p256_table_entries(window);
    uintptr_t terms[2 * 64];
    cr_assert(count <= 64);
    p256_recode_vartime(terms, 2, k, window, table);
    BIGNUM *sum = BN_new(), *one = BN_new();
    BN_zero(sum);
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)(p256_term_entry(terms[2 * i]) - table);
        cr_assert(at < entries, "window %zu of %u bits", i, window);
        cr_assert_eq(at >> (window - 1), i, "an entry of its own window");
        size_t index = at - (i << (window - 1));
        p256_require(BN_set_word(one, 2 * index + 1) && BN_lshift(one, one, (int)(window * i)));
        p256_require((terms[2 * i] & 1) != 0 ? BN_sub(sum, sum, one) : BN_add(sum, sum, one));
    }
    p256_require(BN_nnmod(sum, sum, ref->n, ref->ctx));
    BIGNUM *expected = p256_bn(k, 4);
    cr_assert_eq(BN_cmp(sum, expected), 0, "%s, not %s, in windows of %u bits", BN_bn2hex(sum),
                 BN_bn2hex(expected), window);
    BN_free(expected);
    BN_free(sum);
    BN_free(one);
}

Test(p256_recode, terms_add_up_to_the_scalar)
{
    struct p256_reference ref = p256_reference_new();
    uint64_t state = 1;
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        uint64_t k[4] = {0};
        check(&ref, k, windows[w]);
        for (unsigned bit = 0; bit < 256; bit++) {
            /* 2^i - 1, 2^i, 2^i + 1, n - 2^i, ... below n */
            BIGNUM *value = BN_new(), *less = BN_new();
            p256_require(BN_set_bit(value, (int)bit) && BN_sub_word(value, 1));
            for (int i = 0; i < 3; i++) {
                if (BN_cmp(value, ref.n) < 0) {
                    p256_bn_words(k, 4, value);
                    check(&ref, k, windows[w]);
                    p256_require(BN_sub(less, ref.n, value));
                    if (!BN_is_zero(value)) {
                        p256_bn_words(k, 4, less);
                        check(&ref, k, windows[w]);
                    }
                }
                p256_require(BN_add_word(value, 1));
            }
            BN_free(value);
            BN_free(less);
        }
        for (int i = 0; i < 3000; i++) {
            p256_random_below(k, p256_order, &state);
            check(&ref, k, windows[w]);
        }
    }
    p256_reference_free(&ref);
}

Test(p256_recode, table_sizes)
{
    cr_assert_eq(p256_windows(6), 43);
    cr_assert_eq(p256_table_entries(6), 42 * 32 + 8);
    cr_assert_eq(p256_table_entries(8), 32 * 128);
    cr_assert_eq(p256_table_entries(5), 51 * 16 + 1, "the last window has no bit of its own");
    cr_assert_eq(p256_table_entries(P256_WINDOW_GENERATOR), 19 * 4096 + 256);
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        cr_assert(p256_terms(windows[w]) <= P256_TERMS_MAX);
    }
}
