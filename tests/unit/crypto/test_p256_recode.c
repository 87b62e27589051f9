#include "crypto/p256_recode.h"
#include "unit/crypto/p256.h"

#include <criterion/criterion.h>

/* The ends, widths all the same (64, 32), one wider (51) or narrower (43, 37) than the others, and
 * the default's. */
static const unsigned divisions[] = {
    P256_WINDOWS_MAX, 52, 51, 43, 39, 37, 32, P256_WINDOWS_MIN, P256_WINDOWS_GENERATOR};
#define DIVISIONS (sizeof divisions / sizeof divisions[0])

/* What the terms add up to if entry j of the window at bit b is (2 j + 1) 2^b. */
static void check(const struct p256_reference *ref, const uint64_t k[4], unsigned count)
{
    /* Only addresses are made, nothing is read (prefetches do not fault). */
    const struct p256_entry *table = (const struct p256_entry *)(uintptr_t)0x100000;
    const struct windows windows = p256_windows(count);
    uintptr_t terms[2 * 64];
    cr_assert(count <= 64);
    p256_recode_vartime(terms, 2, k, count, table);
    BIGNUM *sum = BN_new(), *one = BN_new();
    BN_zero(sum);
    for (unsigned i = 0; i < count; i++) {
        const size_t at = (size_t)(p256_term_entry(terms[2 * i]) - table);
        const size_t first = window_entry(&windows, i);
        cr_assert(at >= first && at < window_entry(&windows, i + 1),
                  "window %u of %u: an entry of its own", i, count);
        p256_require(BN_set_word(one, 2 * (at - first) + 1) &&
                     BN_lshift(one, one, (int)window_position(&windows, i)));
        p256_require((terms[2 * i] & 1) != 0 ? BN_sub(sum, sum, one) : BN_add(sum, sum, one));
    }
    p256_require(BN_nnmod(sum, sum, ref->n, ref->ctx));
    BIGNUM *expected = p256_bn(k, 4);
    cr_assert_eq(BN_cmp(sum, expected), 0, "%s, not %s, in %u windows", BN_bn2hex(sum),
                 BN_bn2hex(expected), count);
    BN_free(expected);
    BN_free(sum);
    BN_free(one);
}

Test(p256_recode, terms_add_up_to_the_scalar)
{
    struct p256_reference ref = p256_reference_new();
    uint64_t state = 1;
    for (size_t w = 0; w < DIVISIONS; w++) {
        uint64_t k[4] = {0};
        check(&ref, k, divisions[w]);
        for (unsigned bit = 0; bit < 256; bit++) {
            /* 2^i - 1, 2^i, 2^i + 1, n - 2^i, ... below n */
            BIGNUM *value = BN_new(), *less = BN_new();
            p256_require(BN_set_bit(value, (int)bit) && BN_sub_word(value, 1));
            for (int i = 0; i < 3; i++) {
                if (BN_cmp(value, ref.n) < 0) {
                    p256_bn_words(k, 4, value);
                    check(&ref, k, divisions[w]);
                    p256_require(BN_sub(less, ref.n, value));
                    if (!BN_is_zero(value)) {
                        p256_bn_words(k, 4, less);
                        check(&ref, k, divisions[w]);
                    }
                }
                p256_require(BN_add_word(value, 1));
            }
            BN_free(value);
            BN_free(less);
        }
        for (int i = 0; i < 3000; i++) {
            p256_random_below(k, p256_order, &state);
            check(&ref, k, divisions[w]);
        }
    }
    p256_reference_free(&ref);
}

Test(p256_recode, windows_cover_the_scalar_and_tables_grow)
{
    for (unsigned count = P256_WINDOWS_GENERATOR; count <= P256_WINDOWS_MAX; count++) {
        const struct windows windows = p256_windows(count);
        cr_assert_eq(window_position(&windows, count), P256_SCALAR_BITS);
        size_t entries = 0;
        for (unsigned i = 0; i < count; i++) {
            cr_assert_eq(window_entry(&windows, i), entries);
            entries += (size_t)1 << (window_bits(&windows, i) - 1);
            cr_assert_eq(window_position(&windows, i + 1),
                         window_position(&windows, i) + window_bits(&windows, i));
        }
        cr_assert_eq(p256_table_entries(count), entries);
        cr_assert(count == P256_WINDOWS_GENERATOR || entries < p256_table_entries(count - 1));
    }
    cr_assert_eq(p256_table_entries(64), 64 * 8);
    cr_assert_eq(p256_table_entries(43), 41 * 32 + 2 * 16);
    cr_assert_eq(p256_table_entries(32), 32 * 128);
    cr_assert_eq(p256_table_entries(P256_WINDOWS_GENERATOR), 16 * 4096 + 4 * 2048);
}
