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

/* What 62 halvings come to: 2^62 (a', b') = (u v; q r) (a, b). */
struct steps {
    int64_t u, v, q, r;
};

/* The highest 64 bits of two numbers, from the same bit down, the highest that is set in either.
 * Numbers of up to 64 bits are taken whole. */
struct tops {
    uint64_t a, b;
};

static uint64_t top_of(const struct wide *a, int limbs, int zeros)
{
    const uint64_t top = (uint64_t)a->limb[limbs - 1], next = (uint64_t)a->limb[limbs - 2];
    if (zeros < LIMB_BITS) {
        return top << zeros | next >> (LIMB_BITS - zeros);
    }
    const uint64_t both = top << LIMB_BITS | next;
    return zeros == LIMB_BITS || limbs == 2
               ? both
               : both << 1 | (uint64_t)a->limb[limbs - 3] >> (LIMB_BITS - 1);
}

static struct tops tops_of(const struct wide *a, const struct wide *b, int limbs)
{
    if (limbs == 1) {
        return (struct tops){(uint64_t)a->limb[0], (uint64_t)b->limb[0]};
    }
    const int zeros = __builtin_clzll((uint64_t)(a->limb[limbs - 1] | b->limb[limbs - 1]));
    return (struct tops){top_of(a, limbs, zeros), top_of(b, limbs, zeros)};
}

/* (a, b) = (b - a, a) where `less` is all ones, (a - b, b) where it is 0: masks and not a choice,
 * of which a compiler may make a branch that nobody can predict. */
static inline void subtract(uint64_t *a, uint64_t *b, uint64_t less)
{
    const uint64_t difference = *a - *b;
    *a = (difference ^ less) - less;
    *b += difference & less;
}

/* The binary algorithm, b odd: an even a is halved; of an odd one the smaller of both is
 * subtracted, which becomes b. The low words say exactly what is even, for 62 halvings see 62 bits;
 * the tops say which is smaller, and may be wrong where the two are close: then a number becomes
 * negative, by little, and its sign is turned afterwards. Not halving the one but doubling the
 * other's row keeps the matrix whole. Bounds: |u| + |v| and |q| + |r| are at most 2^62, as each of
 * the 62 halvings at most doubles them. */
static struct steps steps_62_vartime(struct tops top, uint64_t a, uint64_t b)
{
    /* Above the bits that are left stands anything, or nothing. */
    const uint64_t highest = UINT64_C(1) << 63;
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = LIMB_BITS, zeros = __builtin_ctzll(a | highest);
    while (zeros < left) {
        left -= zeros;
        a >>= zeros;
        top.a >>= zeros;
        q <<= zeros;
        r <<= zeros;
        /* Whichever is subtracted, the zeros are the same: known before it is known which. */
        zeros = __builtin_ctzll((a - b) | highest);
        const uint64_t less = 0 - (uint64_t)(top.a < top.b);
        subtract(&a, &b, less);
        subtract(&top.a, &top.b, less);
        subtract(&u, &q, less);
        subtract(&v, &r, less);
    }
    return (struct steps){(int64_t)u, (int64_t)v, (int64_t)(q << left), (int64_t)(r << left)};
}

/* (a, b) = (u v; q r) (a, b) / 2^62, exactly: the steps made the low 62 bits zero. |u| + |v| <=
 * 2^62 and limbs below 2^62 in size keep each sum below 2^124 plus a carry below 2^63: within 128
 * bits signed. */
static void apply(struct wide *a, struct wide *b, const struct steps *t, int limbs)
{
    __int128 ca = (__int128)t->u * a->limb[0] + (__int128)t->v * b->limb[0];
    __int128 cb = (__int128)t->q * a->limb[0] + (__int128)t->r * b->limb[0];
    ca >>= LIMB_BITS;
    cb >>= LIMB_BITS;
    for (int i = 1; i < limbs; i++) {
        ca += (__int128)t->u * a->limb[i] + (__int128)t->v * b->limb[i];
        cb += (__int128)t->q * a->limb[i] + (__int128)t->r * b->limb[i];
        a->limb[i - 1] = (int64_t)((uint64_t)ca & LIMB_MASK);
        b->limb[i - 1] = (int64_t)((uint64_t)cb & LIMB_MASK);
        ca >>= LIMB_BITS;
        cb >>= LIMB_BITS;
    }
    a->limb[limbs - 1] = (int64_t)ca;
    b->limb[limbs - 1] = (int64_t)cb;
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

/* Of a pair one, and its row of the matrix, with the sign that makes it positive. */
static void make_positive(struct wide *a, int limbs, int64_t *u, int64_t *v)
{
    if (a->limb[limbs - 1] >= 0) {
        return;
    }
    int64_t carry = 0;
    for (int i = 0; i < limbs; i++) {
        carry -= a->limb[i];
        a->limb[i] = i + 1 < limbs ? carry & (int64_t)LIMB_MASK : carry;
        carry >>= LIMB_BITS;
    }
    *u = -*u;
    *v = -*v;
}

static bool wide_is(const struct wide *a, int limbs, int64_t low)
{
    for (int i = 1; i < limbs; i++) {
        if (a->limb[i] != 0) {
            return false;
        }
    }
    return a->limb[0] == low;
}

/* Of `limbs`, those up to the highest that is not zero in both; one at least. tops_of() counts on
 * it. */
static int limbs_used(const struct wide *a, const struct wide *b, int limbs)
{
    while (limbs > 1 && (a->limb[limbs - 1] | b->limb[limbs - 1]) == 0) {
        limbs--;
    }
    return limbs;
}

/* From within (-2M, 2M) to 0 .. M - 1, in words. */
static void reduce(uint64_t out[4], struct wide d, const struct wide *m)
{
    struct wide minus_m = *m;
    wide_negate(&minus_m);
    while (d.limb[LIMBS - 1] < 0) {
        wide_add(&d, m);
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

void modinv_vartime(uint64_t out[4], const uint64_t in[4], const struct modinv_modulus *modulus)
{
    const struct wide m = wide_from_words(modulus->words);
    struct wide a = wide_from_words(in), b = m;
    struct wide d = {{1}}, e = {{0}};
    /* Invariant: d in = a, e in = b modulo M, up to the factor 2^62 that both sides are divided by
     * together; a and b are not negative, b is odd. A turn takes 62 bits at least off the lengths
     * of a and b together (Pornin, section 3, for k = 63): at most nine turns. */
    int limbs = limbs_used(&a, &b, LIMBS);
    while (!wide_is(&a, limbs, 0)) {
        struct steps t = steps_62_vartime(tops_of(&a, &b, limbs), (uint64_t)a.limb[0],
                                          (uint64_t)b.limb[0]);
        apply(&a, &b, &t, limbs);
        make_positive(&a, limbs, &t.u, &t.v);
        make_positive(&b, limbs, &t.q, &t.r);
        apply_modulo(&d, &e, &t, &m, modulus->inverse);
        limbs = limbs_used(&a, &b, limbs);
    }
    /* b is now the greatest common divisor. */
    if (!wide_is(&b, limbs, 1)) {
        memset(out, 0, 4 * sizeof out[0]);
        return;
    }
    reduce(out, e, &m);
}
