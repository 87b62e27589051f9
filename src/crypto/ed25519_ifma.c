/* Ed25519 by AVX-512 IFMA: eight sums of table entries side by side, one to a 64-bit lane, or fewer
 * sums over several lanes each. */
#include "crypto/ed25519_engine.h"

#if defined(__x86_64__)

#include "crypto/ed25519_point_ifma.h"
#include "crypto/sha512_x8.h"

/* Eight entries' coordinates, each 32 bytes at pointers[lane], as limbs below 2^51. */
FE8_INLINE struct fe8 load(const uint8_t *const pointers[FE8_LANES])
{
    /* Lanes 0 and 2, 1 and 3, 4 and 6, 5 and 7 share a register: after unpacking pairs of lanes and
     * choosing 128-bit blocks the lanes stand in order. */
    static const int low[4] = {0, 1, 4, 5};
    __m512i z[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        z[i] = _mm512_inserti64x4(
            _mm512_castsi256_si512(
                _mm256_load_si256((const __m256i *)(const void *)pointers[low[i]])),
            _mm256_load_si256((const __m256i *)(const void *)pointers[low[i] + 2]), 1);
    }
    __m512i even0 = _mm512_unpacklo_epi64(z[0], z[1]), odd0 = _mm512_unpackhi_epi64(z[0], z[1]);
    __m512i even1 = _mm512_unpacklo_epi64(z[2], z[3]), odd1 = _mm512_unpackhi_epi64(z[2], z[3]);
    __m512i w0 = _mm512_shuffle_i64x2(even0, even1, 0x88);
    __m512i w1 = _mm512_shuffle_i64x2(odd0, odd1, 0x88);
    __m512i w2 = _mm512_shuffle_i64x2(even0, even1, 0xdd);
    __m512i w3 = _mm512_shuffle_i64x2(odd0, odd1, 0xdd);
    const __m512i mask = fe8_set1(FE_MASK);
    /* 0xe0: mask & (a | b). */
    return (struct fe8){{
        _mm512_and_si512(w0, mask),
        _mm512_ternarylogic_epi64(mask, _mm512_srli_epi64(w0, 51), _mm512_slli_epi64(w1, 13), 0xe0),
        _mm512_ternarylogic_epi64(mask, _mm512_srli_epi64(w1, 38), _mm512_slli_epi64(w2, 26), 0xe0),
        _mm512_ternarylogic_epi64(mask, _mm512_srli_epi64(w2, 25), _mm512_slli_epi64(w3, 39), 0xe0),
        _mm512_srli_epi64(w3, 12),
    }};
}

struct entries8 {
    struct fe8 sum, difference, product;
};

/* Subtracted terms have sum and difference exchanged, by the address they are read from, and the
 * product's sign changed: 2 p - product, limbs at most 2^52 - 2, still fits what a multiplication
 * takes. */
FE8_INLINE struct entries8 load_terms(const uintptr_t terms[FE8_LANES])
{
    const uint8_t *sums[FE8_LANES], *differences[FE8_LANES], *products[FE8_LANES];
#pragma GCC unroll 8
    for (size_t i = 0; i < FE8_LANES; i++) {
        uintptr_t negative = terms[i] & 1;
        const uint8_t *entry = (const uint8_t *)(terms[i] - negative);
        sums[i] = entry + 32 * negative;
        differences[i] = entry + 32 * (negative ^ 1);
        products[i] = entry + 64;
    }
    struct entries8 r = {load(sums), load(differences), load(products)};
    __mmask8 negative = _mm512_test_epi64_mask(_mm512_loadu_si512((const void *)terms),
                                               fe8_set1(1));
    r.product.v[0] = _mm512_mask_sub_epi64(r.product.v[0], negative,
                                           fe8_set1((UINT64_C(1) << 52) - 38), r.product.v[0]);
#pragma GCC unroll 4
    for (int i = 1; i < 5; i++) {
        r.product.v[i] = _mm512_mask_sub_epi64(r.product.v[i], negative,
                                               fe8_set1((UINT64_C(1) << 52) - 2), r.product.v[i]);
    }
    return r;
}

/* p + the terms: ed25519_add_term, eight times. */
FE8_INLINE struct point8 add_entries(const struct point8 *p, const struct entries8 *q)
{
    struct fe8 low = fe8_subtract(&p->y, &p->x), high = fe8_add(&p->y, &p->x);
    low = fe8_carry(&low);
    high = fe8_carry(&high);
    struct fe8 a = fe8_multiply(&low, &q->difference);
    struct fe8 b = fe8_multiply(&high, &q->sum);
    struct fe8 c = fe8_multiply(&p->t, &q->product);
    struct fe8 d = fe8_add(&p->z, &p->z);
    return point8_combine(&a, &b, &c, &d);
}

/* Entries as points: with s = y + x and e = y - x, (2 (s - e) : 2 (s + e) : 4 : (s - e)(s + e)). */
FE8_INLINE struct point8 start(const struct entries8 *q)
{
    struct fe8 x = fe8_subtract(&q->sum, &q->difference), y = fe8_add(&q->sum, &q->difference);
    x = fe8_carry(&x);
    y = fe8_carry(&y);
    struct point8 r = {.t = fe8_multiply(&x, &y), .z = {{fe8_set1(4)}}};
    r.t = fe8_carry(&r.t);
#pragma GCC unroll 4
    for (int i = 1; i < 5; i++) {
        r.z.v[i] = _mm512_setzero_si512();
    }
    r.x = fe8_add(&x, &x);
    r.y = fe8_add(&y, &y);
    return r;
}

FE8_INLINE struct fe8 rotate(const struct fe8 *a, __m512i index)
{
    struct fe8 r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_permutexvar_epi64(index, a->v[i]);
    }
    return r;
}

/* Adds to every lane the one `distance` further on: full additions (Hisil et al. section 3.1), nine
 * multiplications. */
static struct point8 fold_lanes(const struct point8 *p, int distance)
{
    static const uint64_t d2[5] = {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052,
                                   0x6738cc7407977, 0x2406d9dc56dff};
    const __m512i index = _mm512_and_si512(
        _mm512_add_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), fe8_set1((uint64_t)distance)),
        fe8_set1(7));
    struct fe8 low = fe8_subtract(&p->y, &p->x), high = fe8_add(&p->y, &p->x), z = fe8_carry(&p->z);
    low = fe8_carry(&low);
    high = fe8_carry(&high);
    struct fe8 low2 = rotate(&low, index), high2 = rotate(&high, index);
    struct fe8 z2 = rotate(&z, index), t2 = rotate(&p->t, index), constant;
    for (int i = 0; i < 5; i++) {
        constant.v[i] = fe8_set1(d2[i]);
    }
    struct fe8 a = fe8_multiply(&low, &low2), b = fe8_multiply(&high, &high2);
    struct fe8 tt = fe8_multiply(&p->t, &t2);
    tt = fe8_carry(&tt);
    struct fe8 c = fe8_multiply(&tt, &constant);
    struct fe8 d = fe8_multiply(&z, &z2);
    d = fe8_add(&d, &d);
    return point8_combine(&a, &b, &c, &d);
}

/* The sum of `rows`; on the way the entries of `next`, if there is one, are asked for a row at a
 * time, so that the memory works while the arithmetic does. */
static struct point8 sum_rows(const struct ed25519_rows *rows, size_t steps,
                              const struct ed25519_rows *next, size_t next_steps)
{
    struct entries8 entries = load_terms(rows->slots);
    struct point8 sum = start(&entries);
    for (size_t i = 1; i < steps; i++) {
        if (next != NULL && i <= next_steps) {
            for (size_t lane = 0; lane < FE8_LANES; lane++) {
                ed25519_prefetch(next->slots[FE8_LANES * (i - 1) + lane]);
            }
        }
        entries = load_terms(rows->slots + FE8_LANES * i);
        sum = add_entries(&sum, &entries);
    }
    return sum;
}

static void store(struct ed25519_point *points, size_t count, size_t lanes_each,
                  const struct point8 *sum)
{
    const struct fe8 x = fe8_carry(&sum->x), y = fe8_carry(&sum->y), z = fe8_carry(&sum->z);
    for (int i = 0; i < 5; i++) {
        uint64_t limbs[3][FE8_LANES];
        _mm512_storeu_si512(limbs[0], x.v[i]);
        _mm512_storeu_si512(limbs[1], y.v[i]);
        _mm512_storeu_si512(limbs[2], z.v[i]);
        for (size_t j = 0; j < count; j++) {
            points[j].x.v[i] = limbs[0][j * lanes_each];
            points[j].y.v[i] = limbs[1][j * lanes_each];
            points[j].z.v[i] = limbs[2][j * lanes_each];
        }
    }
}

/* Up to eight sums, from live[first] on: the fewer there are the more lanes each gets. */
struct group {
    size_t first, count;
    unsigned lanes_log2;
    size_t steps;
};

static unsigned lanes_log2_for(size_t count)
{
    return count > 4 ? 0 : count > 2 ? 1 : count > 1 ? 2 : 3;
}

static void fill(const void *shared, unsigned windows, struct ed25519_scratch *scratch,
                 struct ed25519_rows *rows, struct group *group, bool prefetch)
{
    const size_t lanes_each = (size_t)1 << group->lanes_log2;
    size_t terms[FE8_LANES];
    group->steps = 1;
    for (size_t i = 0; i < group->count; i++) {
        struct ed25519_slots out = {.slots = rows->slots + i * lanes_each,
                                    .lanes_log2 = group->lanes_log2,
                                    .prefetch = prefetch};
        ed25519_put_terms_vartime(shared, windows, scratch, group->first + i, &out);
        terms[i] = out.count;
        size_t steps = (out.count + lanes_each - 1) >> group->lanes_log2;
        group->steps = steps > group->steps ? steps : group->steps;
    }
    /* Slots without a term, and lanes without a sum, add the neutral point. */
    const uintptr_t neutral = ED25519_TERM(&ed25519_neutral_entry, false);
    for (size_t i = 0; i < FE8_LANES >> group->lanes_log2; i++) {
        for (size_t t = i < group->count ? terms[i] : 0; t < group->steps << group->lanes_log2;
             t++) {
            rows->slots[(t >> group->lanes_log2) * FE8_LANES + i * lanes_each +
                        (t & (lanes_each - 1))] = neutral;
        }
    }
}

static void compute(struct ed25519_scratch *scratch, const struct ed25519_rows *rows,
                    const struct group *group, const struct ed25519_rows *next, size_t next_steps)
{
    struct point8 sum = sum_rows(rows, group->steps, next, next_steps);
    const int lanes_each = 1 << group->lanes_log2;
    for (int distance = lanes_each / 2; distance > 0; distance /= 2) {
        sum = fold_lanes(&sum, distance);
    }
    store(scratch->points + group->first, group->count, (size_t)lanes_each, &sum);
}

/* Below this many messages hashing them one by one is faster than eight at a time. */
#define HASH_TOGETHER_MIN 3

static void hash_group(struct ed25519_scratch *scratch, size_t first, size_t count)
{
    if (count < HASH_TOGETHER_MIN) {
        for (size_t i = 0; i < count; i++) {
            ed25519_hash(scratch, first + i);
        }
        return;
    }
    struct sha512_input inputs[FE8_LANES];
    for (size_t i = 0; i < count; i++) {
        const struct engine_job *job = scratch->live[first + i];
        inputs[i] = (struct sha512_input){job->signature.data, job->key->x, job->message};
    }
    sha512_x8(inputs, count, scratch->hashes + first);
}

static void verify_known(const void *shared, void *memory, unsigned size, struct engine_job *jobs,
                         size_t count)
{
    struct ed25519_scratch *scratch = memory;
    ed25519_collect(scratch, jobs, count);
    struct group before = {0};
    for (size_t first = 0, turn = 0; first < scratch->count; first += FE8_LANES, turn ^= 1) {
        size_t left = scratch->count - first;
        struct group group = {.first = first, .count = left < FE8_LANES ? left : FE8_LANES};
        group.lanes_log2 = lanes_log2_for(group.count);
        struct ed25519_rows *rows = &scratch->rows[turn];
        hash_group(scratch, first, group.count);
        fill(shared, ed25519_windows_of(size), scratch, rows, &group, before.count == 0);
        if (before.count > 0) {
            compute(scratch, &scratch->rows[turn ^ 1], &before, rows, group.steps);
        }
        before = group;
        if (first + FE8_LANES >= scratch->count) {
            compute(scratch, rows, &before, NULL, 0);
        }
    }
    ed25519_decide_vartime(scratch);
}

static enum status table_make(const void *shared, void *memory, unsigned size,
                              const struct public_key *key, void *table)
{
    (void)shared;
    struct ed25519_scratch *scratch = memory;
    struct ed25519_point point;
    if (!ed25519_key_point_vartime(&point, key)) {
        return STATUS_FAILED;
    }
    ed25519_table_build_x8(table, ed25519_windows_of(size), &point, &scratch->build);
    return STATUS_OK;
}

const struct engine ed25519_engine_ifma = {
    .tier = ENGINE_IFMA,
    .key_type = KEY_ED25519,
    .size_max = ED25519_SIZE_MAX,
    .table_bytes = ed25519_table_bytes,
    .table_build = table_make,
    .shared_new = ed25519_shared_new,
    .shared_free = ed25519_shared_free,
    .scratch_bytes = sizeof(struct ed25519_scratch),
    .verify_known = verify_known,
};

#endif
