/* Four signatures and fewer, down to a lone one: each is spread over two, four or eight lanes,
 * every lane sums a part of its terms, and the parts are added as a tree. In a file of its own
 * because what is fast for one group of sums, each waiting for the one before it, is scheduled
 * otherwise than what is fast for many (cmake/PopgateOptions.cmake). */
#include "crypto/p256_sum_ifma.h"

#if defined(__x86_64__)

/* How signatures and terms lie in the lanes. */
struct layout {
    size_t live;
    unsigned lanes_log2; /* lanes a signature */
    size_t slots;        /* terms a lane */
    __mmask8 full;       /* lanes that have a term in the last slot */
};

/* Adds to every lane the one `distance` further on. */
FE8_PRODUCT struct xyzz8 fold_lanes(const struct xyzz8 *a, int distance, bool last)
{
    const __m512i index = _mm512_and_si512(
        _mm512_add_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), fe8_set1((uint64_t)distance)),
        fe8_set1(7));
    const struct xyzz8 b = {fe8_permute(&a->x, index), fe8_permute(&a->y, index),
                            fe8_permute(&a->zz, index), fe8_permute(&a->zzz, index)};
    return add_full(a, &b, last);
}

static struct layout layout_for(size_t live, unsigned windows)
{
    struct layout layout = {.live = live, .lanes_log2 = live > 2 ? 1 : live > 1 ? 2 : 3};
    const size_t lanes = (size_t)1 << layout.lanes_log2, terms = P256_TERMS(windows);
    layout.slots = (terms + lanes - 1) / lanes;
    const size_t in_last = terms - (layout.slots - 1) * lanes;
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        if (lane % lanes < in_last) {
            layout.full |= (__mmask8)(1u << lane);
        }
    }
    return layout;
}

/* The terms of signature `index` from `from` on: term t stands in slot t / lanes, in the
 * signature's lane t % lanes. */
static void spread_terms(struct p256_scratch_ifma *scratch, const struct layout *layout,
                         size_t index, const uintptr_t *terms, size_t from, size_t count)
{
    const size_t lanes = (size_t)1 << layout->lanes_log2, first = index * lanes;
    uintptr_t(*slots)[FE8_LANES] = scratch->terms[0];
    for (size_t t = 0; t < count; t++) {
        const size_t own = from + t;
        slots[own >> layout->lanes_log2][first + (own & (lanes - 1))] = terms[t];
    }
}

/* From a few signatures to terms over several lanes each. */
static void place_terms(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                        unsigned windows, const struct layout *layout)
{
    struct p256_loading *loading = &scratch->loading;
    const size_t lanes = (size_t)1 << layout->lanes_log2, terms = P256_TERMS(windows);
    uintptr_t own[P256_TERMS_MAX];
    p256_load_invert_vartime(loading);
    for (size_t i = layout->live; i-- > 0;) {
        const struct p256_signature *signature = &loading->signatures[i];
        p256_load_u2(loading, i);
        p256_recode_vartime(own, 1, signature->u2, windows, signature->job->table);
        spread_terms(scratch, layout, i, own, 0, windows);
        /* Where there is no term any entry does: what it gives is not used. */
        spread_terms(scratch, layout, i, own, terms, layout->slots * lanes - terms);
    }
    p256_load_digests(loading);
    for (size_t i = 0; i < layout->live; i++) {
        p256_load_u1(loading, i);
        p256_recode_vartime(own, 1, loading->signatures[i].u1, P256_WINDOWS_GENERATOR, generator);
        spread_terms(scratch, layout, i, own, windows, terms - windows);
    }
    /* Lanes left over repeat the last signature. */
    const size_t used = layout->live * lanes;
    uintptr_t(*slots)[FE8_LANES] = scratch->terms[0];
    for (size_t slot = 0; slot < layout->slots; slot++) {
        for (size_t lane = used; lane < FE8_LANES; lane++) {
            slots[slot][lane] = slots[slot][used - lanes + lane % lanes];
        }
    }
}

void p256_verify_few_ifma(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                          unsigned windows)
{
    const size_t live = scratch->loading.live;
    const struct layout layout = layout_for(live, windows);
    const struct p256_signature *lanes[FE8_LANES];
    __mmask8 exceptional = 0;
    place_terms(generator, scratch, windows, &layout);
    for (size_t lane = 0; lane < FE8_LANES; lane++) {
        const size_t index = lane >> layout.lanes_log2;
        lanes[lane] = &scratch->loading.signatures[index < live ? index : live - 1];
    }
    struct xyzz8 sum = add_slots(scratch, 0, layout.slots, layout.full, true, false);
    for (int distance = 1 << (layout.lanes_log2 - 1); distance > 1; distance /= 2) {
        sum = fold_lanes(&sum, distance, false);
    }
    sum = fold_lanes(&sum, 1, true);
    const struct fe8 minus_x = fe8_p_minus(2, &sum.x);
    const __mmask8 good = p256_decide_ifma(lanes, &sum.zz, &minus_x, &exceptional);
    for (size_t i = 0; i < live; i++) {
        const unsigned bit = 1u << (i << layout.lanes_log2);
        scratch->loading.signatures[i].job->status = (exceptional & bit) != 0 ? STATUS_AGAIN
                                                     : (good & bit) != 0      ? STATUS_OK
                                                                              : STATUS_FAILED;
    }
}

#endif
