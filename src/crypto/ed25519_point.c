#include "crypto/ed25519_point.h"

const struct ed25519_entry ed25519_neutral_entry = {.sum = {1}, .difference = {1}};

const struct ed25519_point ed25519_base = {
    .x = {{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5}},
    .y = {{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666}},
    .z = {{1}},
    .t = {{0x68ab3a5b7dda3, 0x00eea2a5eadbb, 0x2af8df483c27e, 0x332b375274732, 0x67875f0fd78b7}},
};

static const struct fe one = {{1}};
static const struct fe d = {
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
static const struct fe d2 = {
    {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};
static const struct fe root_of_minus_one = {
    {0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d}};

/* RFC 8032 section 5.1.3: x = (u / v)^((p+3)/8), computed as u v^3 (u v^7)^((p-5)/8), u = y^2 - 1,
 * v = d y^2 + 1; "if v x^2 = u, x is a square root; if v x^2 = -u, set x <-- x * 2^((p-1)/4)". */
bool ed25519_decode_vartime(struct ed25519_point *point, const uint8_t encoded[32])
{
    uint64_t words[4];
    for (int i = 0; i < 4; i++) {
        words[i] = 0;
        for (int j = 7; j >= 0; j--) {
            words[i] = words[i] << 8 | encoded[8 * i + j];
        }
    }
    uint64_t sign = words[3] >> 63;
    struct fe y = fe_from_words(words);
    struct fe yy = fe_square(&y);
    struct fe u = fe_sub(&yy, &one);
    struct fe v = fe_mul(&yy, &d);
    v = fe_add(&v, &one);
    struct fe v2 = fe_square(&v);
    struct fe v3 = fe_mul(&v2, &v);
    struct fe v7 = fe_square(&v3);
    v7 = fe_mul(&v7, &v);
    struct fe uv7 = fe_mul(&u, &v7);
    struct fe x = fe_power_p58(&uv7);
    x = fe_mul(&x, &v3);
    x = fe_mul(&x, &u);
    struct fe vxx = fe_square(&x);
    vxx = fe_mul(&vxx, &v);
    struct fe plus = fe_mul(&u, &one); /* u, tight */
    struct fe sum = fe_add(&vxx, &plus);
    if (!fe_equal(&vxx, &plus)) {
        if (!fe_is_zero(&sum)) {
            return false;
        }
        x = fe_mul(&x, &root_of_minus_one);
    }
    fe_words(words, &x);
    if ((words[0] & 1) != sign) {
        struct fe zero = {{0}};
        x = fe_sub(&zero, &x);
        x = fe_mul(&x, &one);
    }
    point->x = x;
    point->y = y;
    point->z = one;
    point->t = fe_mul(&x, &y);
    return true;
}

/* E = B - A, F = D - C, G = D + C, H = B + A; X = E F, Y = G H, T = E H, Z = F G. A, B, C tight, D
 * below 2^52 + 2^14: so E, F < 2^54 (fe_sub), G, H < 2^53: all loose. */
static struct ed25519_point combine(const struct fe *a, const struct fe *b, const struct fe *c,
                                    const struct fe *dd)
{
    struct fe e = fe_sub(b, a), f = fe_sub(dd, c), g = fe_add(dd, c), h = fe_add(b, a);
    return (struct ed25519_point){
        .x = fe_mul(&e, &f), .y = fe_mul(&g, &h), .z = fe_mul(&f, &g), .t = fe_mul(&e, &h)};
}

struct ed25519_point ed25519_add_term(const struct ed25519_point *p, uintptr_t term)
{
    const struct ed25519_entry *entry = (const struct ed25519_entry *)(term & ~(uintptr_t)1);
    struct fe sum = fe_from_words(entry->sum), difference = fe_from_words(entry->difference);
    struct fe product = fe_from_words(entry->product);
    struct fe low = fe_sub(&p->y, &p->x), high = fe_add(&p->y, &p->x);
    bool negative = term & 1;
    /* -(x, y) = (-x, y): the sum and the difference change places, the product its sign. */
    struct fe a = fe_mul(&low, negative ? &sum : &difference);
    struct fe b = fe_mul(&high, negative ? &difference : &sum);
    struct fe c = fe_mul(&p->t, &product);
    struct fe dd = fe_add(&p->z, &p->z);
    struct fe e = fe_sub(&b, &a), f = fe_sub(&dd, &c), g = fe_add(&dd, &c), h = fe_add(&b, &a);
    const struct fe *f1 = negative ? &g : &f, *g1 = negative ? &f : &g;
    return (struct ed25519_point){
        .x = fe_mul(&e, f1), .y = fe_mul(g1, &h), .z = fe_mul(f1, g1), .t = fe_mul(&e, &h)};
}

struct ed25519_point ed25519_sum_terms(const uintptr_t *terms, size_t count)
{
    struct ed25519_point sum = {.y = one, .z = one};
    for (size_t i = 0; i < count; i++) {
        sum = ed25519_add_term(&sum, terms[i]);
    }
    return sum;
}

/* A point prepared to be added many times: Y + X, Y - X (loose), 2 Z, 2 d T. */
struct cached {
    struct fe sum, difference, z2, t2d;
};

static struct cached cache(const struct ed25519_point *p)
{
    return (struct cached){.sum = fe_add(&p->y, &p->x),
                           .difference = fe_sub(&p->y, &p->x),
                           .z2 = fe_add(&p->z, &p->z),
                           .t2d = fe_mul(&p->t, &d2)};
}

static struct ed25519_point add_cached(const struct ed25519_point *p, const struct cached *q)
{
    struct fe low = fe_sub(&p->y, &p->x), high = fe_add(&p->y, &p->x);
    struct fe a = fe_mul(&low, &q->difference);
    struct fe b = fe_mul(&high, &q->sum);
    struct fe c = fe_mul(&p->t, &q->t2d);
    struct fe dd = fe_mul(&p->z, &q->z2);
    return combine(&a, &b, &c, &dd);
}

/* The same paper, section 3.3 ("dbl-2008-hwcd"): A = X^2, B = Y^2, C = 2 Z^2, H = A + B, E = H - (X
 * + Y)^2, G = A - B, F = C + G. G < 2^51 + 2^13 + 2^53 and C < 2^52 + 2^14, so F < 2^54; all loose.
 */
struct ed25519_point ed25519_double(const struct ed25519_point *p)
{
    struct fe a = fe_square(&p->x), b = fe_square(&p->y), zz = fe_square(&p->z);
    struct fe c = fe_add(&zz, &zz), h = fe_add(&a, &b), xy = fe_add(&p->x, &p->y);
    struct fe s = fe_square(&xy);
    struct fe e = fe_sub(&h, &s), g = fe_sub(&a, &b), f = fe_add(&c, &g);
    return (struct ed25519_point){
        .x = fe_mul(&e, &f), .y = fe_mul(&g, &h), .z = fe_mul(&f, &g), .t = fe_mul(&e, &h)};
}

/* Makes entries of `count` points: one inversion for all (Montgomery's trick). No Z is zero, the
 * formulas being complete. */
static void normalise(struct ed25519_entry *out, union ed25519_build_scratch *scratch, size_t count)
{
    struct fe product = one;
    for (size_t i = 0; i < count; i++) {
        scratch->portable.products[i] = product;
        product = fe_mul(&product, &scratch->portable.points[i].z);
    }
    struct fe inverse = fe_invert_vartime(&product);
    for (size_t i = count; i-- > 0;) {
        const struct ed25519_point *p = &scratch->portable.points[i];
        struct fe zi = fe_mul(&inverse, &scratch->portable.products[i]);
        inverse = fe_mul(&inverse, &p->z);
        struct fe x = fe_mul(&p->x, &zi), y = fe_mul(&p->y, &zi);
        struct fe xy = fe_mul(&x, &y);
        struct fe sum = fe_add(&y, &x), difference = fe_sub(&y, &x);
        struct fe product2d = fe_mul(&xy, &d2);
        fe_words(out[i].sum, &sum);
        fe_words(out[i].difference, &difference);
        fe_words(out[i].product, &product2d);
    }
}

void ed25519_table_build_vartime(struct ed25519_entry *table, unsigned windows,
                                 const struct ed25519_point *point,
                                 union ed25519_build_scratch *scratch)
{
    const struct windows shape = ed25519_windows(windows);
    const size_t entries = ed25519_table_entries(windows);
    struct ed25519_point base = *point, current = base;
    struct cached step = cache(&base);
    size_t pending = 0, next = 0;
    unsigned window = 0;
    for (size_t i = 0; i < entries; i++) {
        if (i == next) {
            /* The last multiple of the window below was 2^(w-1): twice it begins this one. */
            base = i == 0 ? *point : ed25519_double(&current);
            current = base;
            step = cache(&base);
            next = window_entry(&shape, ++window);
        } else {
            current = add_cached(&current, &step);
        }
        scratch->portable.points[pending++] = current;
        if (pending == ED25519_BUILD_POINTS || i + 1 == entries) {
            normalise(table + (i + 1 - pending), scratch, pending);
            pending = 0;
        }
    }
}

/* 13 bits at most from `offset`, which with them stays below 256: one unaligned load, the scalar
 * being in memory least significant byte first and followed by eight bytes of zeros. */
static inline uint64_t bits_at(const uint8_t scalar[40], unsigned offset, uint64_t mask)
{
    uint64_t bits;
    memcpy(&bits, scalar + offset / 8, sizeof bits);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bits = __builtin_bswap64(bits);
#endif
    return bits >> offset % 8 & mask;
}

static inline void put_term(struct ed25519_slots *out, const struct ed25519_entry *entry,
                            bool negative)
{
    if (out->prefetch) {
        ed25519_prefetch((uintptr_t)entry);
    }
    size_t lane = out->count & (((size_t)1 << out->lanes_log2) - 1);
    out->slots[(out->count >> out->lanes_log2) * 8 + lane] = ED25519_TERM(entry, negative);
    out->count++;
}

/* A digit of w bits above 2^(w-1) becomes negative and carries one. In the top window, of w - 1
 * bits, none is: a scalar below 2^252 has below 2^(w-1) there, plus a carry; one from 2^252 to L -
 * 1 has exactly 2^(w-1) and no carry, for its bits 125 to 251 are zero. */
void ed25519_recode_vartime(struct ed25519_slots *out, const uint64_t s[4], unsigned windows,
                            const struct ed25519_entry *table)
{
    const struct windows shape = ed25519_windows(windows);
    uint64_t carry = 0;
    unsigned position = 0;
    struct ed25519_slots slots = *out;
    uint8_t scalar[40] = {0};
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = s[i];
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        memcpy(scalar + 8 * i, &word, sizeof word);
    }
    for (unsigned i = 0; i < windows; i++) {
        const unsigned width = window_bits(&shape, i);
        const uint64_t half = UINT64_C(1) << (width - 1);
        const uint64_t digit = bits_at(scalar, position, 2 * half - 1) + carry;
        carry = digit > half;
        const uint64_t size = carry ? 2 * half - digit : digit;
        if (size != 0) {
            put_term(&slots, table + size - 1, carry);
        }
        table += half;
        position += width;
    }
    *out = slots;
}
