/* A key's table of multiples by AVX-512 IFMA: a lane is a window, so that eight windows' multiples
 * are counted up side by side, and one inversion serves all points of a round (Montgomery's trick
 * in each lane, then across the lanes). */
#include "crypto/ed25519_point.h"

#if defined(__x86_64__)

#include "crypto/ed25519_point_ifma.h"

/* What the step adds: Y + X, Y - X, 2 Z, 2 d T, all carried. */
struct cached8 {
    struct fe8 sum, difference, z2, t2d;
};

FE8_INLINE struct fe8 constant_2d(void)
{
    static const uint64_t d2[5] = {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052,
                                   0x6738cc7407977, 0x2406d9dc56dff};
    struct fe8 r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = fe8_set1(d2[i]);
    }
    return r;
}

FE8_INLINE struct fe8 product(const struct fe8 *a, const struct fe8 *b)
{
    struct fe8 wide = fe8_multiply(a, b);
    return fe8_carry(&wide);
}

static void fe8_put(uint64_t (*out)[8], const struct fe8 *a)
{
    for (int i = 0; i < 5; i++) {
        _mm512_storeu_si512(out[i], a->v[i]);
    }
}

static struct fe8 fe8_take(uint64_t (*in)[8])
{
    struct fe8 r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_loadu_si512(in[i]);
    }
    return r;
}

/* Lane `lane` of an element kept limb by limb. */
static struct fe lane_take(uint64_t (*in)[8], size_t lane)
{
    struct fe r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = in[i][lane];
    }
    return r;
}

static void lane_put(uint64_t (*out)[8], size_t lane, const struct fe *a)
{
    for (int i = 0; i < 5; i++) {
        out[i][lane] = a->v[i];
    }
}

/* The value below p, as words, four of each lane: fe_words in lanes. Carried or wide in. After
 * fe8_carry limbs are below 2^51 + 2^16, so in the pass from limb to limb that follows every carry
 * is at most one, and what leaves the top comes back as 19: the value is then below 2^255 + 19 < 2
 * p. */
FE8_INLINE void words(__m512i w[4], const struct fe8 *a)
{
    const __m512i mask = fe8_set1(FE_MASK), nineteen = fe8_set1(19);
    struct fe8 t = fe8_carry(a);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t.v[i + 1] = _mm512_add_epi64(t.v[i + 1], _mm512_srli_epi64(t.v[i], 51));
        t.v[i] = _mm512_and_si512(t.v[i], mask);
    }
    t.v[0] = _mm512_madd52lo_epu64(t.v[0], _mm512_srli_epi64(t.v[4], 51), nineteen);
    t.v[4] = _mm512_and_si512(t.v[4], mask);
    __m512i over = _mm512_srli_epi64(_mm512_add_epi64(t.v[0], nineteen), 51);
#pragma GCC unroll 4
    for (int i = 1; i < 5; i++) {
        over = _mm512_srli_epi64(_mm512_add_epi64(t.v[i], over), 51);
    }
    t.v[0] = _mm512_madd52lo_epu64(t.v[0], over, nineteen);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t.v[i + 1] = _mm512_add_epi64(t.v[i + 1], _mm512_srli_epi64(t.v[i], 51));
        t.v[i] = _mm512_and_si512(t.v[i], mask);
    }
    t.v[4] = _mm512_and_si512(t.v[4], mask);
    w[0] = _mm512_or_si512(t.v[0], _mm512_slli_epi64(t.v[1], 51));
    w[1] = _mm512_or_si512(_mm512_srli_epi64(t.v[1], 13), _mm512_slli_epi64(t.v[2], 38));
    w[2] = _mm512_or_si512(_mm512_srli_epi64(t.v[2], 26), _mm512_slli_epi64(t.v[3], 25));
    w[3] = _mm512_or_si512(_mm512_srli_epi64(t.v[3], 39), _mm512_slli_epi64(t.v[4], 12));
}

/* A round: the windows first .. first + 7, of which `lanes` are there, and in them the multiples
 * from + 1 .. from + steps. */
struct round {
    struct windows windows;
    unsigned first;
    size_t lanes, from, steps;
};

/* The address of the entry for lane and step, or NULL if the table has none (the lane's window is
 * narrower than another's of the round). */
static struct ed25519_entry *place(struct ed25519_entry *table, const struct round *round,
                                   size_t lane, size_t step)
{
    const unsigned i = round->first + (unsigned)lane;
    const size_t multiple = round->from + step;
    if (multiple >> (window_bits(&round->windows, i) - 1) != 0) {
        return NULL;
    }
    return table + window_entry(&round->windows, i) + multiple;
}

static void write_entries(struct ed25519_entry *table, const struct round *round, size_t step,
                          const struct fe8 *x, const struct fe8 *y, const struct fe8 *d2)
{
    struct fe8 sum = fe8_add(y, x), difference = fe8_subtract(y, x);
    struct fe8 xy = product(x, y), product2d = fe8_multiply(&xy, d2);
    __m512i columns[3][4];
    words(columns[0], &sum);
    words(columns[1], &difference);
    words(columns[2], &product2d);
    uint64_t rows[3][4][FE8_LANES];
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < 4; i++) {
            _mm512_storeu_si512(rows[c][i], columns[c][i]);
        }
    }
    for (size_t lane = 0; lane < round->lanes; lane++) {
        struct ed25519_entry *entry = place(table, round, lane, step);
        if (entry == NULL) {
            continue;
        }
        for (int i = 0; i < 4; i++) {
            entry->sum[i] = rows[0][i][lane];
            entry->difference[i] = rows[1][i][lane];
            entry->product[i] = rows[2][i][lane];
        }
    }
}

/* 1 / a in every lane (none is zero), carried: products over the lanes, one inversion, and back. */
static struct fe8 invert(const struct fe8 *a)
{
    uint64_t limbs[5][8];
    struct fe lanes[FE8_LANES], before[FE8_LANES], all = {{1}};
    fe8_put(limbs, a);
    for (size_t i = 0; i < FE8_LANES; i++) {
        lanes[i] = lane_take(limbs, i);
        before[i] = all;
        all = fe_mul(&all, &lanes[i]);
    }
    struct fe inverse = fe_invert_vartime(&all);
    for (size_t i = FE8_LANES; i-- > 0;) {
        struct fe own = fe_mul(&inverse, &before[i]);
        inverse = fe_mul(&inverse, &lanes[i]);
        lane_put(limbs, i, &own);
    }
    return fe8_take(limbs);
}

static void normalise(struct ed25519_entry *table, const struct round *round,
                      union ed25519_build_scratch *scratch)
{
    const struct fe8 d2 = constant_2d();
    struct fe8 all = {{fe8_set1(1)}};
    for (int i = 1; i < 5; i++) {
        all.v[i] = _mm512_setzero_si512();
    }
    for (size_t step = 0; step < round->steps; step++) {
        struct fe8 z = fe8_take(scratch->lanes[step][2]);
        fe8_put(scratch->lanes[step][3], &all);
        all = product(&all, &z);
    }
    struct fe8 inverse = invert(&all);
    for (size_t step = round->steps; step-- > 0;) {
        struct fe8 x = fe8_take(scratch->lanes[step][0]), y = fe8_take(scratch->lanes[step][1]);
        struct fe8 z = fe8_take(scratch->lanes[step][2]),
                   before = fe8_take(scratch->lanes[step][3]);
        struct fe8 own = product(&inverse, &before);
        inverse = product(&inverse, &z);
        x = product(&x, &own);
        y = product(&y, &own);
        write_entries(table, round, step, &x, &y, &d2);
    }
}

static struct point8 add_cached(const struct point8 *p, const struct cached8 *q)
{
    struct fe8 low = fe8_subtract(&p->y, &p->x), high = fe8_add(&p->y, &p->x);
    struct fe8 z = fe8_carry(&p->z);
    low = fe8_carry(&low);
    high = fe8_carry(&high);
    struct fe8 a = fe8_multiply(&low, &q->difference), b = fe8_multiply(&high, &q->sum);
    struct fe8 c = fe8_multiply(&p->t, &q->t2d), d = fe8_multiply(&z, &q->z2);
    return point8_combine(&a, &b, &c, &d);
}

static struct cached8 cache(const struct point8 *p)
{
    const struct fe8 d2 = constant_2d();
    struct fe8 sum = fe8_add(&p->y, &p->x), difference = fe8_subtract(&p->y, &p->x);
    struct fe8 z2 = fe8_add(&p->z, &p->z);
    return (struct cached8){.sum = fe8_carry(&sum),
                            .difference = fe8_carry(&difference),
                            .z2 = fe8_carry(&z2),
                            .t2d = product(&p->t, &d2)};
}

/* Multiples 1, 2, ... of the lanes' points, a scratch full at a time. */
static void count_up(struct ed25519_entry *table, struct round *round, size_t multiples,
                     const struct point8 *base, union ed25519_build_scratch *scratch)
{
    const struct cached8 step = cache(base);
    struct point8 current = *base;
    size_t held = 0;
    round->from = 0;
    for (size_t i = 0; i < multiples; i++) {
        if (i > 0) {
            current = add_cached(&current, &step);
        }
        struct fe8 x = fe8_carry(&current.x), y = fe8_carry(&current.y), z = fe8_carry(&current.z);
        fe8_put(scratch->lanes[held][0], &x);
        fe8_put(scratch->lanes[held][1], &y);
        fe8_put(scratch->lanes[held][2], &z);
        held++;
        if (held == ED25519_BUILD_STEPS || i + 1 == multiples) {
            round->steps = held;
            normalise(table, round, scratch);
            round->from += held;
            held = 0;
        }
    }
}

void ed25519_table_build_x8(struct ed25519_entry *table, unsigned windows,
                            const struct ed25519_point *point, union ed25519_build_scratch *scratch)
{
    struct ed25519_point base = *point;
    for (unsigned first = 0; first < windows; first += FE8_LANES) {
        const unsigned left = windows - first;
        struct round round = {.windows = ed25519_windows(windows),
                              .first = first,
                              .lanes = left < FE8_LANES ? left : FE8_LANES};
        uint64_t limbs[4][5][8];
        for (unsigned lane = 0; lane < FE8_LANES; lane++) {
            lane_put(limbs[0], lane, &base.x);
            lane_put(limbs[1], lane, &base.y);
            lane_put(limbs[2], lane, &base.z);
            lane_put(limbs[3], lane, &base.t);
            /* Lanes without a window hold copies of the last one's point. */
            if (lane + 1 < left) {
                for (unsigned i = window_bits(&round.windows, first + lane); i > 0; i--) {
                    base = ed25519_double(&base);
                }
            }
        }
        const struct point8 bases = {fe8_take(limbs[0]), fe8_take(limbs[1]), fe8_take(limbs[2]),
                                     fe8_take(limbs[3])};
        /* The first of a round is as wide as any. */
        count_up(table, &round, (size_t)1 << (window_bits(&round.windows, first) - 1), &bases,
                 scratch);
    }
}

#endif
