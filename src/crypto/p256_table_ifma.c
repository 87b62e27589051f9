/* Tables by AVX-512 IFMA: the doublings one after another with 64-bit words, as nothing in a chain
 * is independent, everything else eight at a time. */
#include "crypto/p256_point_ifma.h"

#if defined(__x86_64__)

/* Vectors of additions that share an inversion, at most: the working memory's bound. */
#define VECTORS_MAX 256
_Static_assert(VECTORS_MAX <= P256_STEPS_MAX, "a step a vector");

/* Independent chains of products: one alone waits for each product's end. */
#define CHAINS 4

/* 16 in the domain: turns a value of p256_field64.h's domain, a 2^256, into one of ours, a 2^260.
 */
static const struct fe8_constant sixteen = {
    {0x0000000000100, 0x0000000000000, 0xfffffffffffff, 0xfefffffffffff, 0x0000000ffffff}};

/* Eight points, one to each address. The entries' rows are put together from registers of words by
 * the transposition of fe8_load, backwards. */
void p256_store_ifma(struct p256_entry *const out[FE8_LANES], const struct fe8 *x,
                     const struct fe8 *y)
{
    __m512i w[8];
    const struct fe8 cx = fe8_canonical(x), cy = fe8_canonical(y);
    fe8_to_words(w, &cx);
    fe8_to_words(w + 4, &cy);
    _Alignas(64) uint64_t words[8][FE8_LANES];
    for (int i = 0; i < 8; i++) {
        _mm512_store_si512((void *)words[i], w[i]);
    }
    for (int lane = 0; lane < FE8_LANES; lane++) {
        for (int i = 0; i < 4; i++) {
            out[lane]->x[i] = words[i][lane];
            out[lane]->y[i] = words[i + 4][lane];
        }
    }
}

/* The inverses of several chains' products. */
static void invert_chains(struct fe8 chains[CHAINS])
{
    struct fe8 products[CHAINS], all = chains[0];
    for (int c = 1; c < CHAINS; c++) {
        products[c] = all;
        all = carried(fe8_mul(&all, &chains[c]));
    }
    struct fe8 inverse = fe8_invert_vartime(&all);
    for (int c = CHAINS - 1; c > 0; c--) {
        const struct fe8 own = chains[c];
        chains[c] = carried(fe8_mul(&inverse, &products[c]));
        inverse = carried(fe8_mul(&inverse, &own));
    }
    chains[0] = inverse;
}

/* scratch->build's Jacobian doublings to affine entries: x = X / Z^2, y = Y / Z^3. */
static void normalise(struct p256_entry *out, struct p256_scratch_ifma *scratch)
{
    const struct fe8 factor = fe8_broadcast(&sixteen);
    struct fe8 chains[CHAINS];
    for (int c = 0; c < CHAINS; c++) {
        chains[c] = fe8_broadcast(&fe8_one);
    }
    uintptr_t addresses[FE8_LANES];
    const size_t vectors = P256_DOUBLINGS / FE8_LANES;
    for (size_t v = vectors; v-- > 0;) {
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            addresses[lane] = (uintptr_t)&scratch->build.chain_z[v * FE8_LANES + lane];
        }
        struct p256_step8 *step = &scratch->steps[v];
        struct fe8 z = fe8_load(addresses, 0);
        step->difference = carried(fe8_mul(&z, &factor));
        step->product = chains[v % CHAINS];
        chains[v % CHAINS] = carried(fe8_mul(&step->product, &step->difference));
    }
    invert_chains(chains);
    for (size_t v = 0; v < vectors; v++) {
        const struct p256_step8 *step = &scratch->steps[v];
        struct fe8 *chain = &chains[v % CHAINS];
        struct p256_entry *entries[FE8_LANES];
        struct fe8 zi = carried(fe8_mul(chain, &step->product));
        *chain = carried(fe8_mul(chain, &step->difference));
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            addresses[lane] = (uintptr_t)&scratch->build.chain_x[v * FE8_LANES + lane];
            entries[lane] = &out[v * FE8_LANES + lane];
        }
        struct fe8 x = fe8_load(addresses, 0);
        const size_t to_y = sizeof scratch->build.chain_x;
        struct fe8 y = fe8_load(addresses, to_y);
        /* X and Y are brought into the domain by the factor, Z was. */
        struct fe8 zz = carried(fe8_square(&zi));
        const struct fe8 zzz = carried(fe8_mul(&zz, &zi));
        zz = carried(fe8_mul(&zz, &factor));
        struct fe8 t = carried(fe8_mul(&zzz, &factor));
        x = fe8_mul(&x, &zz);
        y = fe8_mul(&y, &t);
        p256_store_ifma(entries, &x, &y);
    }
}

/* A run of `vectors` times eight additions, the lanes' entries in scratch->terms: of operand a, of
 * operand b; the sums go to `below` entries after a. */
static void add_run(struct p256_scratch_ifma *scratch, size_t vectors, size_t below)
{
    uintptr_t(*a)[FE8_LANES] = &scratch->terms[0][0];
    uintptr_t(*b)[FE8_LANES] = a + VECTORS_MAX;
    struct fe8 chains[CHAINS];
    for (int c = 0; c < CHAINS; c++) {
        chains[c] = fe8_broadcast(&fe8_one);
    }
    for (size_t v = vectors; v-- > 0;) {
        struct p256_step8 *step = &scratch->steps[v];
        const struct fe8 bx = fe8_load(b[v], 0);
        step->x = fe8_load(a[v], 0);
        struct fe8 t = fe8_sub(&bx, &step->x);
        t = fe8_add_p(&t, 1);
        step->difference = fe8_carry(&t);
        step->product = chains[v % CHAINS];
        chains[v % CHAINS] = carried(fe8_mul(&step->product, &step->difference));
    }
    invert_chains(chains);
    for (size_t v = 0; v < vectors; v++) {
        const struct p256_step8 *step = &scratch->steps[v];
        struct fe8 *chain = &chains[v % CHAINS];
        const struct fe8 inverse = carried(fe8_mul(chain, &step->product));
        *chain = carried(fe8_mul(chain, &step->difference));
        const struct fe8 ay = fe8_load(a[v], offsetof(struct p256_entry, y));
        const struct fe8 by = fe8_load(b[v], offsetof(struct p256_entry, y));
        const struct fe8 bx = fe8_load(b[v], 0);
        struct fe8 t = fe8_sub(&by, &ay);
        t = fe8_add_p(&t, 1);
        t = fe8_carry(&t);
        const struct fe8 slope = carried(fe8_mul(&t, &inverse));
        /* slope < 2 * 1.3 / 16 + 1; x < 1.1 + 2; a.x - x + 4 p < 5; y < 1.2 * 5 / 16 + 1 + 1 */
        t = fe8_add(&step->x, &bx);
        t = fe8_p_minus(2, &t);
        struct fe8 x = fe8_square_add(&slope, &t);
        t = fe8_sub(&step->x, &x);
        t = fe8_add_p(&t, 4);
        t = fe8_carry(&t);
        struct fe8 y = fe8_p_minus(1, &ay);
        y = fe8_mul_add(&slope, &t, &y);
        struct p256_entry *entries[FE8_LANES];
        for (size_t lane = 0; lane < FE8_LANES; lane++) {
            entries[lane] = (struct p256_entry *)a[v][lane] + below;
        }
        p256_store_ifma(entries, &x, &y);
    }
}

/* As p256_build in p256_verify64.h. */
void p256_build_ifma_vartime(struct p256_entry *table, unsigned windows,
                             const struct p256_point64 *point, struct p256_scratch_ifma *scratch)
{
    _Static_assert(2 * VECTORS_MAX <= P256_GROUPS * P256_TERMS_MAX, "two operands a vector");
    struct p256_entry *doublings = (struct p256_entry *)(void *)scratch->build.chain;
    uintptr_t(*a)[FE8_LANES] = &scratch->terms[0][0];
    uintptr_t(*b)[FE8_LANES] = a + VECTORS_MAX;
    const struct windows shape = p256_windows(windows);
    p256_chain_bmi2_vartime(point, &scratch->build);
    normalise(doublings, scratch);
    for (unsigned i = 0; i < windows; i++) {
        table[window_entry(&shape, i)] = doublings[window_position(&shape, i)];
    }
    for (unsigned level = 1; level < window_bits(&shape, 0); level++) {
        const size_t below = (size_t)1 << (level - 1);
        const size_t additions = (level < shape.bits ? windows : shape.wide) * below;
        size_t slot = 0;
        for (size_t t = 0; t < additions || slot % FE8_LANES != 0; t++) {
            /* A vector that is not full repeats the last addition. */
            const size_t own = t < additions ? t : additions - 1, j = own & (below - 1);
            const unsigned i = (unsigned)(own >> (level - 1));
            a[slot / FE8_LANES][slot % FE8_LANES] = (uintptr_t)&table[window_entry(&shape, i) + j];
            b[slot / FE8_LANES][slot % FE8_LANES] =
                (uintptr_t)&doublings[window_position(&shape, i) + level];
            if (++slot == VECTORS_MAX * FE8_LANES) {
                add_run(scratch, VECTORS_MAX, below);
                slot = 0;
            }
        }
        if (slot > 0) {
            add_run(scratch, slot / FE8_LANES, below);
        }
    }
}

#endif
