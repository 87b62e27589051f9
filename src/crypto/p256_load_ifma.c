/* From signatures to terms, eight at a time: 1 / s by one inversion for all, u2 = r / s and u1 = e
 * / s (FIPS 186-5 section 6.4.2), and their digits. What p256_scalar.c and p256_recode.c do for one
 * after another; the comments that explain it are in their headers. */
#include "crypto/p256_ifma.h"
#include "crypto/p256_scalar_ifma.h"

#if defined(__x86_64__)

FE8_PRODUCT struct fe8 product(const struct fe8 *a, const struct fe8 *b)
{
    const struct fe8 r = order8_mul(a, b);
    return fe8_carry(&r);
}

/* R / a for R = 2^260: carried, below 1.1. a: carried, below 1.1, zero in no lane. As
 * fe8_invert_vartime; with R^2 for a factor, as here a number does not stand for a multiple of
 * itself: from 1 / a0 ... a7, R^7 more for seven products, come lane by lane R^3 / a0 ... a3, R /
 * a0 a1, 1 / a0. */
static struct fe8 inverse_vartime(const struct fe8 *a)
{
    const __m512i by1 = _mm512_set_epi64(6, 7, 4, 5, 2, 3, 0, 1);
    const __m512i by2 = _mm512_set_epi64(5, 4, 7, 6, 1, 0, 3, 2);
    const __m512i by4 = _mm512_set_epi64(3, 2, 1, 0, 7, 6, 5, 4);
    const struct fe8 other1 = fe8_permute(a, by1), two = product(a, &other1);
    const struct fe8 other2 = fe8_permute(&two, by2), four = product(&two, &other2);
    const struct fe8 other4 = fe8_permute(&four, by4);
    struct fe8 eight = order8_mul(&four, &other4);
    eight = order8_canonical(&eight);
    __m512i w[4];
    fe8_to_words(w, &eight);
    uint64_t words[4];
    for (int i = 0; i < 4; i++) {
        words[i] = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(w[i]));
    }
    p256_scalar_invert_vartime(words, words);
    struct fe8 r = fe8_from_words(fe8_set1(words[0]), fe8_set1(words[1]), fe8_set1(words[2]),
                                  fe8_set1(words[3]));
    const struct fe8 r2 = fe8_broadcast(&order8_r2);
    r = product(&r, &r2);
    r = product(&r, &other4);
    r = product(&r, &other2);
    return product(&r, &other1);
}

/* The terms of eight scalars, digits below n: window i of lane j in slots[i][j], entries of the
 * lane's table, which begins at `base`; and their cache lines are asked for. p256_recode_vartime,
 * eight times. */
static void recode(uintptr_t (*slots)[FE8_LANES], const struct fe8 *scalar, unsigned windows,
                   __m512i base)
{
    const struct windows shape = p256_windows(windows);
    const struct fe8 n = fe8_broadcast(&order8_n);
    const __mmask8 even = _mm512_testn_epi64_mask(scalar->v[0], fe8_set1(1));
    struct fe8 odd = fe8_sub(&n, scalar);
    odd = fe8_carry(&odd);
    odd = fe8_digits(&odd);
    odd = fe8_blend(even, scalar, &odd);
    __m512i k[4], bits[5];
    fe8_to_words(k, &odd);
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        bits[i] = _mm512_or_si512(_mm512_srli_epi64(k[i], 1), _mm512_slli_epi64(k[i + 1], 63));
    }
    bits[3] = _mm512_or_si512(_mm512_srli_epi64(k[3], 1), fe8_set1(UINT64_C(1) << 63));
    bits[4] = _mm512_setzero_si512();
    unsigned position = 0;
    for (unsigned i = 0; i < windows; i++) {
        const unsigned width = window_bits(&shape, i), word = position / 64;
        const unsigned shift = position % 64;
        const uint64_t half = UINT64_C(1) << (width - 1);
        /* A shift by 64 gives zero. */
        __m512i digit = _mm512_or_si512(_mm512_srlv_epi64(bits[word], fe8_set1(shift)),
                                        _mm512_sllv_epi64(bits[word + 1], fe8_set1(64 - shift)));
        const __mmask8 negative = _mm512_testn_epi64_mask(digit, fe8_set1(half));
        digit = _mm512_mask_xor_epi64(digit, negative, digit, fe8_set1(UINT64_MAX));
        digit = _mm512_and_si512(digit, fe8_set1(half - 1));
        _Static_assert(sizeof(struct p256_entry) == 64, "the shift");
        __m512i term = _mm512_add_epi64(base, _mm512_slli_epi64(digit, 6));
        term = _mm512_mask_add_epi64(term, negative ^ even, term, fe8_set1(1));
        _mm512_store_si512((void *)slots[i], term);
        base = _mm512_add_epi64(base, fe8_set1(half * sizeof(struct p256_entry)));
        position += width;
#pragma GCC unroll 8
        for (int lane = 0; lane < FE8_LANES; lane++) {
            __builtin_prefetch((const void *)slots[i][lane]);
        }
    }
}

static struct fe8 load_words(const uint64_t (*const words[FE8_LANES])[4])
{
    uintptr_t addresses[FE8_LANES];
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        addresses[lane] = (uintptr_t)words[lane];
    }
    return fe8_load(addresses, 0);
}

/* With c[g] = s[0] ... s[g] / R^g, R = 2^260, and I = R / c[g]: w = c[g - 1] I / R = R / s[g], and
 * the next I = s[g] I / R. u2 = r w / R, u1 = e w / R, below 1.1 * 1.1 / 16 + 1 before the last
 * step. */
void p256_load_terms_ifma_vartime(const struct p256_entry *generator,
                                  struct p256_scratch_ifma *scratch, unsigned windows)
{
    struct p256_loading *loading = &scratch->loading;
    const size_t live = loading->live, groups = (live + FE8_LANES - 1) / FE8_LANES;
    struct fe8 s[P256_GROUPS], products[P256_GROUPS], w[P256_GROUPS];
    struct fe8 all = fe8_broadcast(&fe8_one);
    const uint64_t(*words[FE8_LANES])[4];
    for (size_t g = 0; g < groups; g++) {
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            /* Lanes left over repeat the last signature. */
            const size_t index = g * FE8_LANES + lane;
            words[lane] = (const uint64_t(*)[4]) & loading->s[index < live ? index : live - 1];
        }
        s[g] = load_words(words);
        products[g] = all = g == 0 ? s[0] : product(&all, &s[g]);
    }
    struct fe8 inverse = inverse_vartime(&all);
    for (size_t g = groups; g-- > 0;) {
        uintptr_t tables[FE8_LANES];
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            const size_t index = g * FE8_LANES + lane;
            const struct p256_signature *own = &loading
                                                    ->signatures[index < live ? index : live - 1];
            words[lane] = &own->r;
            tables[lane] = (uintptr_t)own->job->table;
        }
        w[g] = g == 0 ? inverse : product(&products[g - 1], &inverse);
        inverse = product(&inverse, &s[g]);
        struct fe8 u2 = load_words(words);
        u2 = order8_mul(&u2, &w[g]);
        u2 = order8_canonical(&u2);
        recode(scratch->terms[g], &u2, windows, _mm512_loadu_si512((const void *)tables));
    }
    p256_load_digests(loading);
    for (size_t g = 0; g < groups; g++) {
        _Alignas(64) uint64_t e[FE8_LANES][4];
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            const size_t index = g * FE8_LANES + lane;
            p256_words(e[lane], loading->signatures[index < live ? index : live - 1].job->digest);
            words[lane] = (const uint64_t(*)[4]) & e[lane];
        }
        struct fe8 u1 = load_words(words);
        u1 = order8_mul(&u1, &w[g]);
        u1 = order8_canonical(&u1);
        recode(scratch->terms[g] + windows, &u1, P256_WINDOWS_GENERATOR,
               fe8_set1((uint64_t)(uintptr_t)generator));
    }
}

#endif
