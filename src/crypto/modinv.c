#include "crypto/modinv.h"

#include <stdbool.h>
#include <string.h>

/* A number of 310 bits, signed: sum of limb[i] 2^(62 i). Limbs 0 to 3 are 0 .. 2^62 - 1, limb 4
 * carries the sign. */
#define LIMBS     5
#define LIMB_BITS 62
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
struct wide {
    int64_t limb[LIMBS];
};

static struct wide wide_from_words(const uint64_t words[4])
{
    return (struct wide){{
        (int64_t)(words[0] & LIMB_MASK),
        (int64_t)((words[0] >> 62 | words[1] << 2) & LIMB_MASK),
        (int64_t)((words[1] >> 60 | words[2] << 4) & LIMB_MASK),
        (int64_t)((words[2] >> 58 | words[3] << 6) & LIMB_MASK),
        (int64_t)(words[3] >> 56),
    }};
}

/* 0 <= a < 2^256. */
static void wide_to_words(uint64_t words[4], const struct wide *a)
{
    const uint64_t l[LIMBS] = {(uint64_t)a->limb[0], (uint64_t)a->limb[1], (uint64_t)a->limb[2],
                               (uint64_t)a->limb[3], (uint64_t)a->limb[4]};
    words[0] = l[0] | l[1] << 62;
    words[1] = l[1] >> 2 | l[2] << 60;
    words[2] = l[2] >> 4 | l[3] << 58;
    words[3] = l[3] >> 6 | l[4] << 56;
}

/* 62 division steps: 2^62 (f', g') = (u v; q r) (f, g). */
struct steps {
    int64_t u, v, q, r;
};

/* The division step (Bernstein-Yang section 8): for odd f,
 *   (delta, f, g) -> (1 - delta, g, (g - f) / 2)          if delta > 0 and g is odd
 *                    (1 + delta, f, (g + (g mod 2) f) / 2) otherwise.
 * Here eta = -delta. Steps in which g is even only halve: they are counted by the trailing zeros.
 * While eta stays non-negative f does not change, so several odd steps add one multiple of f: w =
 * -g / f modulo a power of two clears that many bits of g at once. The step's result depends on the
 * low bits of f and g alone, of which 62 steps see 62. Bounds: |u| + |v| and |q| + |r| are at most
 * 2^62, as each of the 62 steps at most doubles them. */
static int64_t steps_62_vartime(int64_t eta, uint64_t f, uint64_t g, struct steps *out)
{
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = LIMB_BITS;
    for (;;) {
        /* The mask ends the count at the steps that are left. */
        int zeros = __builtin_ctzll(g | UINT64_MAX << left);
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= zeros;
        left -= zeros;
        if (left == 0) {
            break;
        }
        if (eta < 0) {
            uint64_t t;
            eta = -eta;
            t = f, f = g, g = -t;
            t = u, u = q, q = -t;
            t = v, v = r, r = -t;
        }
        /* At most eta + 1 steps go by without a swap, at most `left` remain; f (f^2 - 2) is -1/f
         * modulo 64, for f^2 = 1 modulo 8 and one Newton step doubles the bits. */
        int64_t limit = eta + 1 < left ? eta + 1 : left;
        uint64_t mask = limit < 6 ? (UINT64_C(1) << limit) - 1 : 63;
        uint64_t w = g * f * (f * f - 2) & mask;
        g += f * w;
        q += u * w;
        r += v * w;
    }
    *out = (struct steps){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return eta;
}

/* (f, g) = (u v; q r) (f, g) / 2^62, exactly: the steps made the low 62 bits zero. |u| + |v| <=
 * 2^62 and limbs below 2^62 in size keep each sum below 2^124 plus a carry below 2^63: within 128
 * bits signed. */
static void apply(struct wide *f, struct wide *g, const struct steps *t, int limbs)
{
    __int128 cf = (__int128)t->u * f->limb[0] + (__int128)t->v * g->limb[0];
    __int128 cg = (__int128)t->q * f->limb[0] + (__int128)t->r * g->limb[0];
    cf >>= LIMB_BITS;
    cg >>= LIMB_BITS;
    for (int i = 1; i < limbs; i++) {
        cf += (__int128)t->u * f->limb[i] + (__int128)t->v * g->limb[i];
        cg += (__int128)t->q * f->limb[i] + (__int128)t->r * g->limb[i];
        f->limb[i - 1] = (int64_t)((uint64_t)cf & LIMB_MASK);
        g->limb[i - 1] = (int64_t)((uint64_t)cg & LIMB_MASK);
        cf >>= LIMB_BITS;
        cg >>= LIMB_BITS;
    }
    f->limb[limbs - 1] = (int64_t)cf;
    g->limb[limbs - 1] = (int64_t)cg;
}

/* (d, e) = (u v; q r) (d, e) / 2^62 modulo M, each kept within -2 M .. M: a multiple of M is added
 * that clears the low 62 bits, chosen from 0 .. 2^62 - 1 after adding M for each negative operand
 * times its factor. With d, e in (-2M, M) and |u| + |v| <= 2^62: u d + v e lies within (-2^63 M,
 * 2^62 M); making negatives up by M moves it into
 * (-2^62 M, 2^62 M); subtracting md M, 0 <= md < 2^62, gives (-2^63 M, 2^62 M); divided by 2^62:
 * (-2M, M). */
static void apply_modulo(struct wide *d, struct wide *e, const struct steps *t,
                         const struct wide *m, uint64_t inverse)
{
    int64_t sign_d = d->limb[LIMBS - 1] >> 63, sign_e = e->limb[LIMBS - 1] >> 63;
    int64_t md = (t->u & sign_d) + (t->v & sign_e);
    int64_t me = (t->q & sign_d) + (t->r & sign_e);
    __int128 cd = (__int128)t->u * d->limb[0] + (__int128)t->v * e->limb[0];
    __int128 ce = (__int128)t->q * d->limb[0] + (__int128)t->r * e->limb[0];
    md -= (int64_t)((inverse * (uint64_t)cd + (uint64_t)md) & LIMB_MASK);
    me -= (int64_t)((inverse * (uint64_t)ce + (uint64_t)me) & LIMB_MASK);
    cd += (__int128)m->limb[0] * md;
    ce += (__int128)m->limb[0] * me;
    cd >>= LIMB_BITS;
    ce >>= LIMB_BITS;
    for (int i = 1; i < LIMBS; i++) {
        cd += (__int128)t->u * d->limb[i] + (__int128)t->v * e->limb[i] + (__int128)m->limb[i] * md;
        ce += (__int128)t->q * d->limb[i] + (__int128)t->r * e->limb[i] + (__int128)m->limb[i] * me;
        d->limb[i - 1] = (int64_t)((uint64_t)cd & LIMB_MASK);
        e->limb[i - 1] = (int64_t)((uint64_t)ce & LIMB_MASK);
        cd >>= LIMB_BITS;
        ce >>= LIMB_BITS;
    }
    d->limb[LIMBS - 1] = (int64_t)cd;
    e->limb[LIMBS - 1] = (int64_t)ce;
}

static void wide_carry(struct wide *a)
{
    for (int i = 0; i < LIMBS - 1; i++) {
        a->limb[i + 1] += a->limb[i] >> LIMB_BITS;
        a->limb[i] &= (int64_t)LIMB_MASK;
    }
}

static void wide_add(struct wide *a, const struct wide *b)
{
    for (int i = 0; i < LIMBS; i++) {
        a->limb[i] += b->limb[i];
    }
    wide_carry(a);
}

static void wide_negate(struct wide *a)
{
    for (int i = 0; i < LIMBS; i++) {
        a->limb[i] = -a->limb[i];
    }
    wide_carry(a);
}

/* Whether all limbs below `limbs` are `zero` ... */
static bool wide_is(const struct wide *a, int limbs, int64_t low)
{
    for (int i = 1; i < limbs; i++) {
        if (a->limb[i] != 0) {
            return false;
        }
    }
    return a->limb[0] == low;
}

/* Drops the top limb of both when it is only sign, merging it into the one below, which then is
 * signed. */
static int shrink(struct wide *f, struct wide *g, int limbs)
{
    int64_t top_f = f->limb[limbs - 1], top_g = g->limb[limbs - 1];
    if (limbs > 1 && (top_f == 0 || top_f == -1) && (top_g == 0 || top_g == -1)) {
        f->limb[limbs - 2] |= (int64_t)((uint64_t)top_f << LIMB_BITS);
        g->limb[limbs - 2] |= (int64_t)((uint64_t)top_g << LIMB_BITS);
        return limbs - 1;
    }
    return limbs;
}

void modinv_vartime(uint64_t out[4], const uint64_t in[4], const struct modinv_modulus *modulus)
{
    const struct wide m = wide_from_words(modulus->words);
    struct wide f = m, g = wide_from_words(in);
    struct wide d = {{0}}, e = {{1}};
    /* Invariant: d in = f, e in = g modulo M, up to the factor 2^62 that both sides are divided by
     * together. */
    int64_t eta = -1;
    int limbs = LIMBS;
    while (!wide_is(&g, limbs, 0)) {
        struct steps t;
        /* The low limb may have become the only one, and signed: its low 62 bits are what counts.
         */
        eta = steps_62_vartime(eta, (uint64_t)f.limb[0], (uint64_t)g.limb[0], &t);
        apply_modulo(&d, &e, &t, &m, modulus->inverse);
        apply(&f, &g, &t, limbs);
        limbs = shrink(&f, &g, limbs);
    }
    /* f is now plus or minus the gcd. */
    bool minus = wide_is(&f, limbs, -1);
    if (!minus && limbs > 1) {
        /* -1 spread over more limbs than one, as shrink merges both numbers at once. */
        minus = f.limb[limbs - 1] < 0;
    }
    if (minus) {
        wide_negate(&d);
        for (int i = 0; i < limbs; i++) {
            f.limb[i] = -f.limb[i];
        }
        for (int i = 0; i < limbs - 1; i++) {
            f.limb[i + 1] += f.limb[i] >> LIMB_BITS;
            f.limb[i] &= (int64_t)LIMB_MASK;
        }
    }
    if (!wide_is(&f, limbs, 1)) {
        memset(out, 0, 4 * sizeof out[0]);
        return;
    }
    /* d lies within (-2M, 2M) here: bring it into 0 .. M - 1. */
    struct wide minus_m = m;
    wide_negate(&minus_m);
    while (d.limb[LIMBS - 1] < 0) {
        wide_add(&d, &m);
    }
    for (;;) {
        struct wide less = d;
        wide_add(&less, &minus_m);
        if (less.limb[LIMBS - 1] < 0) {
            break;
        }
        d = less;
    }
    wide_to_words(out, &d);
}
