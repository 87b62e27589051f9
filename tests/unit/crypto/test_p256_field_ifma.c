/* The IFMA field at its bounds against BoringSSL. Compiled for AVX-512, as its name says: nothing
 * before the check of the CPU uses it. */
#include <stdbool.h>

#if defined(__x86_64__)
#include "base/cpu_features.h"
#include "crypto/p256_ifma.h"
#include "unit/crypto/p256.h"

#include <stdio.h>

/* A wide number in every lane, and its value in big numbers. */
struct sample {
    struct fe8 a;
    BIGNUM *value[FE8_LANES];
};

static struct p256_reference ref;
static BIGNUM *domain; /* 2^-260 mod p */

static void limbs_get(int64_t limbs[FE8_LIMBS][FE8_LANES], const struct fe8 *a)
{
    for (int i = 0; i < FE8_LIMBS; i++) {
        _mm512_storeu_si512((void *)limbs[i], a->v[i]);
    }
}

/* sum v[i] 2^(52 i) of signed limbs. */
static BIGNUM *value_of(const int64_t limbs[FE8_LIMBS][FE8_LANES], int lane)
{
    BIGNUM *sum = BN_new(), *limb = BN_new();
    BN_zero(sum);
    for (int i = FE8_LIMBS - 1; i >= 0; i--) {
        int64_t v = limbs[i][lane];
        p256_require(BN_lshift(sum, sum, 52) &&
                     BN_set_u64(limb, v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
        p256_require(v < 0 ? BN_sub(sum, sum, limb) : BN_add(sum, sum, limb));
    }
    BN_free(limb);
    return sum;
}

/* Values from 0 to 16 * 2^256 - 1 (with `small`: to 2^256 - 1), in limbs that carry up to 2^57 back
 * and forth. */
static void sample_make(struct sample *s, uint64_t *state, bool small, bool wide)
{
    int64_t limbs[FE8_LIMBS][FE8_LANES];
    for (int lane = 0; lane < FE8_LANES; lane++) {
        uint64_t shape = p256_random(state);
        for (int i = 0; i < FE8_LIMBS; i++) {
            uint64_t digit = p256_random(state) & FE8_MASK;
            digit = (shape >> (3 * i) & 7) == 0   ? 0
                    : (shape >> (3 * i) & 7) == 1 ? FE8_MASK
                                                  : digit;
            limbs[i][lane] = (int64_t)(i == 4 && small ? digit >> 4 : digit);
        }
        if ((shape >> 40 & 15) == 0) { /* a multiple of p, k < 16 */
            uint64_t words[5] = {0};
            BIGNUM *k = BN_new();
            p256_require(BN_set_word(k, small ? shape >> 44 & 1 : shape >> 44 & 15) &&
                         BN_mul(k, k, ref.p, ref.ctx));
            p256_bn_words(words, 5, k);
            for (int i = 0; i < FE8_LIMBS; i++) {
                int at = 52 * i, w = at / 64, b = at % 64;
                uint64_t low = words[w] >> b;
                uint64_t high = b > 12 && w < 4 ? words[w + 1] << (64 - b) : 0;
                limbs[i][lane] = (int64_t)((low | high) & FE8_MASK);
            }
            BN_free(k);
        }
        for (int i = 0; wide && i < FE8_LIMBS - 1; i++) {
            /* Borrow up to 2^5 units of the next limb, either way. */
            int64_t move = (int64_t)(p256_random(state) & 63) - 32;
            limbs[i][lane] += move * (INT64_C(1) << 52);
            limbs[i + 1][lane] -= move;
        }
        s->value[lane] = value_of(limbs, lane);
    }
    for (int i = 0; i < FE8_LIMBS; i++) {
        s->a.v[i] = _mm512_loadu_si512((const void *)limbs[i]);
    }
}

static void sample_free(struct sample *s)
{
    for (int lane = 0; lane < FE8_LANES; lane++) {
        BN_free(s->value[lane]);
    }
}

/* `actual` is wide; below `bound16` sixteenths of 2^256; congruent to `expected`. */
static void expect(const struct fe8 *actual, BIGNUM *const expected[FE8_LANES], bool divided,
                   unsigned bound16, const char *what)
{
    int64_t limbs[FE8_LIMBS][FE8_LANES];
    limbs_get(limbs, actual);
    BIGNUM *bound = BN_new(), *a = BN_new(), *b = BN_new();
    p256_require(BN_set_word(bound, bound16) && BN_lshift(bound, bound, 252));
    for (int lane = 0; lane < FE8_LANES; lane++) {
        BIGNUM *value = value_of(limbs, lane);
        if (BN_is_negative(value) || BN_cmp(value, bound) >= 0) {
            fprintf(stderr, "%s: %s is not within bounds\n", what, BN_bn2hex(value));
            abort();
        }
        p256_require(BN_nnmod(a, value, ref.p, ref.ctx) &&
                     BN_nnmod(b, expected[lane], ref.p, ref.ctx));
        p256_require(!divided || BN_mod_mul(b, b, domain, ref.p, ref.ctx));
        if (BN_cmp(a, b) != 0) {
            fprintf(stderr, "%s: lane %d is %s, not %s\n", what, lane, BN_bn2hex(a), BN_bn2hex(b));
            abort();
        }
        BN_free(value);
    }
    BN_free(bound);
    BN_free(a);
    BN_free(b);
}

static void check_products(uint64_t *state)
{
    struct sample a, b, c, d, r;
    sample_make(&a, state, false, true);
    sample_make(&b, state, false, true);
    sample_make(&c, state, true, true);
    sample_make(&d, state, true, true);
    for (int i = 0; i < FE8_LANES; i++) {
        r.value[i] = BN_new();
    }
    const struct fe8 ac = fe8_carry(&a.a), bc = fe8_carry(&b.a), cc = fe8_carry(&c.a);
    const struct fe8 dc = fe8_carry(&d.a);
    BIGNUM *t = BN_new();
    /* 16 * 16 / 16 + 1 */
    r.a = fe8_mul(&ac, &bc);
    for (int i = 0; i < FE8_LANES; i++) {
        p256_require(BN_mul(r.value[i], a.value[i], b.value[i], ref.ctx));
    }
    expect(&r.a, r.value, true, 17 * 16, "mul");
    r.a = fe8_square(&ac);
    for (int i = 0; i < FE8_LANES; i++) {
        p256_require(BN_sqr(r.value[i], a.value[i], ref.ctx));
    }
    expect(&r.a, r.value, true, 17 * 16, "square");
    r.a = fe8_mul_add(&ac, &cc, &d.a);
    for (int i = 0; i < FE8_LANES; i++) {
        p256_require(BN_mul(r.value[i], a.value[i], c.value[i], ref.ctx) &&
                     BN_lshift(t, d.value[i], 260) && BN_add(r.value[i], r.value[i], t));
    }
    expect(&r.a, r.value, true, 3 * 16, "mul_add");
    r.a = fe8_square_add(&ac, &d.a);
    for (int i = 0; i < FE8_LANES; i++) {
        p256_require(BN_sqr(r.value[i], a.value[i], ref.ctx) && BN_lshift(t, d.value[i], 260) &&
                     BN_add(r.value[i], r.value[i], t));
    }
    expect(&r.a, r.value, true, 18 * 16, "square_add");
    r.a = fe8_mul_mul(&ac, &bc, &cc, &dc);
    for (int i = 0; i < FE8_LANES; i++) {
        p256_require(BN_mul(r.value[i], a.value[i], b.value[i], ref.ctx) &&
                     BN_mul(t, c.value[i], d.value[i], ref.ctx) &&
                     BN_add(r.value[i], r.value[i], t));
    }
    expect(&r.a, r.value, true, 18 * 16, "mul_mul");
    BN_free(t);
    sample_free(&a);
    sample_free(&b);
    sample_free(&c);
    sample_free(&d);
    sample_free(&r);
}

static void check_forms(uint64_t *state)
{
    struct sample a;
    sample_make(&a, state, false, true);
    struct fe8 r = fe8_carry(&a.a);
    r = fe8_digits(&r);
    expect(&r, a.value, false, 16 * 16, "carry");
    r = fe8_fold(&a.a);
    expect(&r, a.value, false, 17, "fold"); /* 2^256 + 2^229, a sixteenth more is allowed here */
    r = fe8_canonical(&a.a);
    expect(&r, a.value, false, 16, "canonical");
    int64_t limbs[FE8_LIMBS][FE8_LANES];
    limbs_get(limbs, &r);
    const __mmask8 zero = fe8_is_zero(&a.a);
    BIGNUM *t = BN_new();
    for (int lane = 0; lane < FE8_LANES; lane++) {
        BIGNUM *value = value_of(limbs, lane);
        p256_require(BN_cmp(value, ref.p) < 0);
        p256_require(BN_nnmod(t, a.value[lane], ref.p, ref.ctx));
        p256_require((zero >> lane & 1) == BN_is_zero(t));
        BN_free(value);
    }
    /* Words and back. */
    __m512i w[4];
    fe8_to_words(w, &r);
    const struct fe8 back = fe8_from_words(w[0], w[1], w[2], w[3]);
    expect(&back, a.value, false, 16, "words");
    /* k p - a and a + k p */
    for (uint64_t k = 1; k < 15; k += 3) {
        struct fe8 p = fe8_add_p(&r, k);
        expect(&p, a.value, false, (unsigned)(16 * (k + 1)), "add_p");
        p = fe8_p_minus(k, &r);
        p = fe8_add(&p, &r);
        p = fe8_add(&p, &r);
        expect(&p, a.value, false, (unsigned)(16 * (k + 1)), "p_minus");
    }
    BN_free(t);
    sample_free(&a);
}

static void check_inverse(uint64_t *state)
{
    struct sample a;
    sample_make(&a, state, true, true);
    const struct fe8 one = fe8_broadcast(&fe8_one);
    struct fe8 r = fe8_blend(fe8_is_zero(&a.a), &a.a, &one);
    r = fe8_carry(&r);
    const struct fe8 inverse = fe8_invert_vartime(&r);
    r = fe8_mul(&r, &inverse);
    struct fe8 t = fe8_p_minus(2, &one);
    r = fe8_add(&r, &t);
    p256_require(fe8_is_zero(&r) == 0xff);
    sample_free(&a);
}

static bool check_all(void)
{
    if (!cpu_features_read().avx512_ifma) {
        return false;
    }
    ref = p256_reference_new();
    domain = BN_new();
    BIGNUM *power = BN_new();
    p256_require(BN_set_bit(power, 260) && BN_mod_inverse(domain, power, ref.p, ref.ctx) != NULL);
    BN_free(power);
    uint64_t state = 5;
    for (int i = 0; i < 3000; i++) {
        check_products(&state);
        check_forms(&state);
        if (i % 10 == 0) {
            check_inverse(&state);
        }
    }
    BN_free(domain);
    p256_reference_free(&ref);
    return true;
}
#else
static bool check_all(void)
{
    return false;
}
#endif

#include <criterion/criterion.h>

/* check_all aborts on the first difference. */
Test(p256_field_ifma, equals_big_numbers_at_the_bounds)
{
    if (!check_all()) {
        cr_skip("this CPU has no AVX-512 IFMA");
    }
}
