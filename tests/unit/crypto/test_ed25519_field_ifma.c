/* The vector field arithmetic against a slow bignum, every lane, limbs at the limits of every
 * function's contract. */
#if defined(__x86_64__)

#include "crypto/ed25519_field_ifma.h"

#include "base/cpu_features.h"
#include "unit/crypto/bignum.h"

#include <criterion/criterion.h>

#define CARRIED_MAX ((UINT64_C(1) << 52) - 1)
/* 2^60.1, rounded down; and what a carry takes, 2^62.2. */
#define WIDE_MAX UINT64_C(1235000000000000000)
#define SUM_MAX  UINT64_C(5297000000000000000)

struct lanes {
    uint64_t limbs[8][5];
};

static struct fe8 pack(const struct lanes *lanes)
{
    struct fe8 r;
    for (int i = 0; i < 5; i++) {
        uint64_t column[8];
        for (int lane = 0; lane < 8; lane++) {
            column[lane] = lanes->limbs[lane][i];
        }
        r.v[i] = _mm512_loadu_si512(column);
    }
    return r;
}

static struct lanes unpack(const struct fe8 *a)
{
    struct lanes r;
    for (int i = 0; i < 5; i++) {
        uint64_t column[8];
        _mm512_storeu_si512(column, a->v[i]);
        for (int lane = 0; lane < 8; lane++) {
            r.limbs[lane][i] = column[lane];
        }
    }
    return r;
}

static void fill(struct lanes *lanes, uint64_t max, unsigned kind)
{
    for (unsigned lane = 0; lane < 8; lane++) {
        bignum_fill_limbs(lanes->limbs[lane], 5, max, kind + (kind % 3 == 0 ? 0 : lane));
    }
}

static bool congruent(const uint64_t limbs[5], const BIGNUM *wanted)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p = BN_new(), *a = bignum_of_limbs(limbs, 5, 51), *b = BN_new();
    bool same = BN_set_bit(p, 255) && BN_sub_word(p, 19) && BN_nnmod(a, a, p, ctx) &&
                BN_nnmod(b, wanted, p, ctx) && BN_cmp(a, b) == 0;
    BN_free(p);
    BN_free(a);
    BN_free(b);
    BN_CTX_free(ctx);
    return same;
}

static bool available(void)
{
    return cpu_features_read().avx512_ifma;
}

Test(ed25519_field_ifma, products_of_carried_limbs_are_right_and_wide)
{
    if (!available()) {
        cr_skip_test("no AVX-512 here");
    }
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *r = BN_new();
    for (unsigned i = 0; i < 1500; i++) {
        struct lanes a, b;
        fill(&a, CARRIED_MAX, i);
        fill(&b, CARRIED_MAX, i / 5);
        struct fe8 x = pack(&a), y = pack(&b);
        struct fe8 product = fe8_multiply(&x, &y), carried = fe8_carry(&product);
        struct lanes wide = unpack(&product), tight = unpack(&carried);
        for (int lane = 0; lane < 8; lane++) {
            BIGNUM *u = bignum_of_limbs(a.limbs[lane], 5, 51);
            BIGNUM *v = bignum_of_limbs(b.limbs[lane], 5, 51);
            cr_assert(BN_mul(r, u, v, ctx));
            cr_assert(congruent(wide.limbs[lane], r), "case %u lane %d", i, lane);
            cr_assert(congruent(tight.limbs[lane], r), "case %u lane %d, carried", i, lane);
            for (int k = 0; k < 5; k++) {
                cr_assert(wide.limbs[lane][k] <= WIDE_MAX);
                cr_assert(tight.limbs[lane][k] < (UINT64_C(1) << 51) + (UINT64_C(1) << 16));
            }
            BN_free(u);
            BN_free(v);
        }
    }
    BN_free(r);
    BN_CTX_free(ctx);
}

Test(ed25519_field_ifma, carry_of_the_widest_sums)
{
    if (!available()) {
        cr_skip_test("no AVX-512 here");
    }
    for (unsigned i = 0; i < 1500; i++) {
        struct lanes a;
        fill(&a, SUM_MAX, i);
        struct fe8 x = pack(&a), carried = fe8_carry(&x);
        struct lanes out = unpack(&carried);
        for (int lane = 0; lane < 8; lane++) {
            BIGNUM *u = bignum_of_limbs(a.limbs[lane], 5, 51);
            cr_assert(congruent(out.limbs[lane], u));
            for (int k = 0; k < 5; k++) {
                cr_assert(out.limbs[lane][k] < (UINT64_C(1) << 51) + (UINT64_C(1) << 16));
            }
            BN_free(u);
        }
    }
}

Test(ed25519_field_ifma, sums_and_differences_of_wide_limbs)
{
    if (!available()) {
        cr_skip_test("no AVX-512 here");
    }
    BIGNUM *r = BN_new();
    for (unsigned i = 0; i < 1500; i++) {
        struct lanes a, b;
        fill(&a, 2 * WIDE_MAX, i); /* D = 2 Z */
        fill(&b, WIDE_MAX, i / 5);
        struct fe8 x = pack(&a), y = pack(&b);
        struct fe8 sum = fe8_add(&x, &y), difference = fe8_subtract(&x, &y);
        struct lanes s = unpack(&sum), d = unpack(&difference);
        for (int lane = 0; lane < 8; lane++) {
            BIGNUM *u = bignum_of_limbs(a.limbs[lane], 5, 51);
            BIGNUM *v = bignum_of_limbs(b.limbs[lane], 5, 51);
            cr_assert(BN_add(r, u, v));
            cr_assert(congruent(s.limbs[lane], r));
            cr_assert(BN_sub(r, u, v));
            cr_assert(congruent(d.limbs[lane], r));
            for (int k = 0; k < 5; k++) {
                cr_assert(s.limbs[lane][k] <= SUM_MAX && d.limbs[lane][k] <= SUM_MAX,
                          "what a carry takes");
            }
            BN_free(u);
            BN_free(v);
        }
    }
    BN_free(r);
}

#endif
