/* Products modulo n in eight lanes, at their bounds, against BoringSSL. Compiled for AVX-512, as
 * its name says: nothing before the check of the CPU uses it. */
#if defined(__x86_64__)
#include "crypto/p256_scalar_ifma.h"

#include "base/cpu_features.h"
#include "unit/crypto/p256.h"

#include <criterion/criterion.h>

static BIGNUM *value_of(const struct fe8 *a, int lane)
{
    int64_t limbs[FE8_LIMBS][FE8_LANES];
    BIGNUM *sum = BN_new(), *limb = BN_new();
    for (int i = 0; i < FE8_LIMBS; i++) {
        _mm512_storeu_si512((void *)limbs[i], a->v[i]);
    }
    for (int i = FE8_LIMBS - 1; i >= 0; i--) {
        const int64_t v = limbs[i][lane];
        p256_require(BN_lshift(sum, sum, 52) &&
                     BN_set_u64(limb, v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
        p256_require(v < 0 ? BN_sub(sum, sum, limb) : BN_add(sum, sum, limb));
    }
    BN_free(limb);
    return sum;
}

/* Carried: any digits below 2^52 (`small`: a value below 2^256), limbs all ones and zero among
 * them, and with rubbish above bit 52, which is to be dropped. */
static struct fe8 carried_make(uint64_t *state, bool small, struct fe8 *clean)
{
    uint64_t limbs[FE8_LIMBS][FE8_LANES], dirty[FE8_LIMBS][FE8_LANES];
    struct fe8 r;
    for (int lane = 0; lane < FE8_LANES; lane++) {
        const uint64_t shape = p256_random(state);
        for (int i = 0; i < FE8_LIMBS; i++) {
            const uint64_t kind = shape >> (3 * i) & 7;
            uint64_t digit = kind == 0 ? 0 : kind < 3 ? FE8_MASK : p256_random(state) & FE8_MASK;
            digit = small && i == 4 ? digit >> 4 : digit;
            limbs[i][lane] = digit;
            dirty[i][lane] = i < 4 ? digit | (shape >> 60) << 52 : digit;
        }
    }
    for (int i = 0; i < FE8_LIMBS; i++) {
        r.v[i] = _mm512_loadu_si512((const void *)dirty[i]);
        clean->v[i] = _mm512_loadu_si512((const void *)limbs[i]);
    }
    return r;
}

Test(p256_scalar_ifma, products_and_the_last_subtraction)
{
    if (!cpu_features_read().avx512_ifma) {
        cr_skip_test("no AVX-512 here");
    }
    struct p256_reference ref = p256_reference_new();
    uint64_t state = 99;
    BIGNUM *shift = BN_new(), *bound = BN_new(), *t = BN_new(), *u = BN_new();
    p256_require(BN_set_word(shift, 1) && BN_lshift(shift, shift, 260) &&
                 BN_mod_inverse(shift, shift, ref.n, ref.ctx) != NULL);
    for (int turn = 0; turn < 4000; turn++) {
        struct fe8 ca, cb;
        const struct fe8 a = carried_make(&state, turn % 2 != 0, &ca);
        const struct fe8 b = carried_make(&state, true, &cb);
        const struct fe8 r = order8_mul(&a, &b);
        /* A from 1 to 16, B = 1: below 2 n, or only wide. */
        const struct fe8 canonical = order8_canonical(&r);
        for (int lane = 0; lane < FE8_LANES; lane++) {
            BIGNUM *va = value_of(&ca, lane), *vb = value_of(&cb, lane), *vr = value_of(&r, lane);
            p256_require(BN_mod_mul(t, va, vb, ref.n, ref.ctx) &&
                         BN_mod_mul(t, t, shift, ref.n, ref.ctx) &&
                         BN_nnmod(u, vr, ref.n, ref.ctx));
            cr_assert_eq(BN_cmp(t, u), 0, "turn %d, lane %d", turn, lane);
            cr_assert_not(BN_is_negative(vr));
            /* A B / 16 + 1 */
            p256_require(BN_set_word(bound, turn % 2 != 0 ? 17 : 32) &&
                         BN_lshift(bound, bound, 252));
            cr_assert_lt(BN_cmp(vr, bound), 0);
            if (turn % 2 != 0) {
                BIGNUM *vc = value_of(&canonical, lane);
                cr_assert_eq(BN_cmp(vc, t), 0, "turn %d, lane %d", turn, lane);
                BN_free(vc);
            }
            BN_free(va);
            BN_free(vb);
            BN_free(vr);
        }
    }
    /* n - 1, n, n + 1 and 2 n - 1 themselves. */
    for (int add = -1; add < 3; add++) {
        struct fe8 x = fe8_broadcast(&order8_n);
        const struct fe8 n = x;
        x = add == 2 ? fe8_add(&x, &n) : x;
        x.v[0] = _mm512_add_epi64(x.v[0], fe8_set1((uint64_t)(int64_t)(add == 2 ? -1 : add)));
        const struct fe8 r = order8_canonical(&x);
        BIGNUM *v = value_of(&r, 3);
        p256_require(BN_copy(t, ref.n) != NULL && BN_sub_word(t, 1) && BN_set_word(u, 1));
        BN_zero(bound);
        cr_assert_eq(BN_cmp(v, add == 0 ? bound : add == 1 ? u : t), 0, "%d", add);
        BN_free(v);
    }
    BN_free(shift);
    BN_free(bound);
    BN_free(t);
    BN_free(u);
    p256_reference_free(&ref);
}
#endif
