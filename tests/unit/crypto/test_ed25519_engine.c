/* The Ed25519 engines at the edges: tables and sums against a slow bignum, torsion, scalars that
 * reach every digit. */
#include "crypto/ed25519_engine.h"

#include "base/cpu_features.h"
#include "crypto/ed25519_rule.h"
#include "crypto/ed25519_scalar.h"
#include "crypto/reference.h"
#include "unit/crypto/bignum.h"
#include "unit/crypto/signing.h"

#include <criterion/criterion.h>

/* Affine points as slow numbers: x, y. */
struct slow {
    BIGNUM *x, *y;
};

struct curve {
    BN_CTX *ctx;
    BIGNUM *p, *d, *l;
};

static struct curve curve_new(void)
{
    struct curve c = {.ctx = BN_CTX_new(), .p = BN_new(), .d = BN_new(), .l = BN_new()};
    BIGNUM *t = BN_new();
    cr_assert(BN_set_bit(c.p, 255) && BN_sub_word(c.p, 19));
    cr_assert(BN_set_word(t, 121666) && BN_mod_inverse(t, t, c.p, c.ctx) != NULL &&
              BN_mul_word(t, 121665) && BN_sub(c.d, c.p, t) && BN_nnmod(c.d, c.d, c.p, c.ctx));
    cr_assert(BN_dec2bn(&t, "27742317777372353535851937790883648493") && BN_set_bit(c.l, 252) &&
              BN_add(c.l, c.l, t));
    BN_free(t);
    return c;
}

static void curve_free(struct curve *c)
{
    BN_free(c->p);
    BN_free(c->d);
    BN_free(c->l);
    BN_CTX_free(c->ctx);
}

static struct slow slow_neutral(void)
{
    struct slow r = {BN_new(), BN_new()};
    BN_zero(r.x);
    cr_assert(BN_one(r.y));
    return r;
}

static void slow_free(struct slow *a)
{
    BN_free(a->x);
    BN_free(a->y);
}

/* a = a + b: ((x1 y2 + x2 y1) / (1 + d x1 x2 y1 y2), (y1 y2 + x1 x2) / (1 - d x1 x2 y1 y2)). */
static void slow_add(const struct curve *c, struct slow *a, const struct slow *b)
{
    BIGNUM *xy = BN_new(), *yx = BN_new(), *xx = BN_new(), *yy = BN_new(), *k = BN_new();
    BIGNUM *below = BN_new();
    cr_assert(
        BN_mod_mul(xy, a->x, b->y, c->p, c->ctx) && BN_mod_mul(yx, a->y, b->x, c->p, c->ctx) &&
        BN_mod_mul(xx, a->x, b->x, c->p, c->ctx) && BN_mod_mul(yy, a->y, b->y, c->p, c->ctx) &&
        BN_mod_mul(k, xx, yy, c->p, c->ctx) && BN_mod_mul(k, k, c->d, c->p, c->ctx));
    cr_assert(BN_mod_add(below, BN_value_one(), k, c->p, c->ctx) &&
              BN_mod_inverse(below, below, c->p, c->ctx) != NULL &&
              BN_mod_add(xy, xy, yx, c->p, c->ctx) && BN_mod_mul(a->x, xy, below, c->p, c->ctx));
    cr_assert(BN_mod_sub(below, BN_value_one(), k, c->p, c->ctx) &&
              BN_mod_inverse(below, below, c->p, c->ctx) != NULL &&
              BN_mod_add(yy, yy, xx, c->p, c->ctx) && BN_mod_mul(a->y, yy, below, c->p, c->ctx));
    BN_free(xy);
    BN_free(yx);
    BN_free(xx);
    BN_free(yy);
    BN_free(k);
    BN_free(below);
}

static struct slow slow_multiply(const struct curve *c, const BIGNUM *scalar, const struct slow *p)
{
    struct slow r = slow_neutral();
    for (int i = (int)BN_num_bits(scalar) - 1; i >= 0; i--) {
        slow_add(c, &r, &r);
        if (BN_is_bit_set(scalar, i)) {
            slow_add(c, &r, p);
        }
    }
    return r;
}

static struct slow slow_of(const struct ed25519_point *p)
{
    struct fe zi = fe_invert_vartime(&p->z), x = fe_mul(&p->x, &zi), y = fe_mul(&p->y, &zi);
    uint64_t xw[4], yw[4];
    fe_words(xw, &x);
    fe_words(yw, &y);
    return (struct slow){bignum_of_limbs(xw, 4, 64), bignum_of_limbs(yw, 4, 64)};
}

static void encode(const struct ed25519_point *p, uint8_t out[32])
{
    struct fe zi = fe_invert_vartime(&p->z), x = fe_mul(&p->x, &zi), y = fe_mul(&p->y, &zi);
    uint64_t xw[4], yw[4];
    fe_words(xw, &x);
    fe_words(yw, &y);
    for (int i = 0; i < 32; i++) {
        out[i] = (uint8_t)(yw[i / 8] >> (8 * (i % 8)));
    }
    out[31] |= (uint8_t)(xw[0] << 7);
}

/* s P by P's table. */
static struct ed25519_point multiply(const uint64_t s[4], unsigned windows,
                                     const struct ed25519_entry *table)
{
    static struct ed25519_rows rows;
    struct ed25519_slots out = {.slots = rows.slots, .lanes_log2 = 3};
    ed25519_recode_vartime(&out, s, windows, table);
    cr_assert(out.count <= windows);
    return ed25519_sum_terms(rows.slots, out.count);
}

static struct ed25519_entry *table_of(const struct ed25519_point *point, unsigned windows)
{
    const size_t bytes = ed25519_table_entries(windows) * sizeof(struct ed25519_entry);
    struct ed25519_entry *table = aligned_alloc(64, (bytes + 63) / 64 * 64);
    static union ed25519_build_scratch scratch;
    ed25519_table_build_vartime(table, windows, point, &scratch);
    return table;
}

/* Scalars below L that carry through every window, have every digit at its ends, or the top window
 * at its largest. */
static void edge_scalar(const struct curve *c, unsigned kind, uint64_t s[4])
{
    BIGNUM *value = BN_new(), *unit = BN_new();
    BN_zero(value);
    if (kind < 8) {
        cr_assert(BN_set_word(value, kind));
    } else if (kind < 16) { /* L - 1 ... */
        cr_assert(BN_copy(value, c->l) != NULL && BN_sub_word(value, kind - 7));
    } else if (kind <
               24) { /* 2^252 and its neighbours: below 2^252 + 2^124 everything is below L */
        cr_assert(BN_set_bit(value, 252) &&
                  (kind < 20 ? BN_sub_word(value, 20 - kind) : BN_add_word(value, kind - 20)));
    } else if (kind < 24 + 13 * 4) {
        /* Every window of w bits holds 2^(w-1) - 1, 2^(w-1), 2^(w-1) + 1 or 2^w - 1. */
        unsigned window = (kind - 24) / 4 + 1, which = (kind - 24) % 4;
        uint64_t half = UINT64_C(1) << (window - 1);
        uint64_t digit = which == 0   ? half - 1
                         : which == 1 ? half
                         : which == 2 ? half + 1
                                      : 2 * half - 1;
        for (unsigned at = 0; at + window <= 252; at += window) {
            cr_assert(BN_set_word(unit, digit & (2 * half - 1)) && BN_lshift(unit, unit, (int)at) &&
                      BN_add(value, value, unit));
        }
    } else {
        uint64_t random[4];
        RAND_bytes((uint8_t *)random, sizeof random);
        BIGNUM *r = bignum_of_limbs(random, 4, 64);
        cr_assert(BN_nnmod(value, r, c->l, c->ctx));
        BN_free(r);
    }
    bignum_to_words(s, value);
    BN_free(value);
    BN_free(unit);
}
#define EDGE_SCALARS (24 + 13 * 4 + 4)

/* Of tables with the default memory: 43 windows. */
#define SIZE_DEFAULT (ED25519_WINDOWS_MAX - 43)

/* All windows as wide (23 of 11 bits), all but one, and the ends. */
static const unsigned divisions[] = {
    ED25519_WINDOWS_BASE, 22, 23, ED25519_WINDOWS_MIN, 36, 42, 43, 51, ED25519_WINDOWS_MAX};
#define DIVISIONS (sizeof divisions / sizeof divisions[0])

Test(ed25519_point, sums_by_tables_of_all_shapes_agree_with_a_slow_bignum, .timeout = 600)
{
    struct curve c = curve_new();
    struct signing_key key;
    signing_key_init(&key, KEY_ED25519);
    struct ed25519_point points[2] = {ed25519_base};
    cr_assert(ed25519_decode_vartime(&points[1], key.public.x));
    for (size_t p = 0; p < 2; p++) {
        struct slow base = slow_of(&points[p]);
        struct ed25519_entry *tables[DIVISIONS];
        for (size_t d = 0; d < DIVISIONS; d++) {
            tables[d] = table_of(&points[p], divisions[d]);
        }
        for (unsigned kind = 0; kind < EDGE_SCALARS; kind++) {
            uint64_t s[4];
            edge_scalar(&c, kind, s);
            BIGNUM *scalar = bignum_of_limbs(s, 4, 64);
            struct slow expected = slow_multiply(&c, scalar, &base);
            for (size_t d = 0; d < DIVISIONS; d++) {
                struct ed25519_point sum = multiply(s, divisions[d], tables[d]);
                struct slow got = slow_of(&sum);
                cr_assert(BN_cmp(got.x, expected.x) == 0 && BN_cmp(got.y, expected.y) == 0,
                          "scalar %u, %u windows", kind, divisions[d]);
                slow_free(&got);
            }
            slow_free(&expected);
            BN_free(scalar);
        }
        slow_free(&base);
        for (size_t d = 0; d < DIVISIONS; d++) {
            free(tables[d]);
        }
    }
    curve_free(&c);
}

#if defined(__x86_64__)
Test(ed25519_point, tables_built_eight_windows_at_a_time_are_the_same_bytes)
{
    if (!cpu_features_read().avx512_ifma) {
        cr_skip_test("no AVX-512 here");
    }
    static union ed25519_build_scratch scratch;
    for (unsigned i = 0; i < 40; i++) {
        struct signing_key key;
        signing_key_init(&key, KEY_ED25519);
        struct ed25519_point point;
        cr_assert(ed25519_decode_vartime(&point, key.public.x));
        const unsigned windows = ED25519_WINDOWS_MIN +
                                 i % (ED25519_WINDOWS_MAX + 1 - ED25519_WINDOWS_MIN);
        size_t bytes = ed25519_table_entries(windows) * sizeof(struct ed25519_entry);
        struct ed25519_entry *expected = table_of(&point, windows);
        /* One more, which must not be written. */
        struct ed25519_entry *got = aligned_alloc(64, (bytes + 96 + 63) / 64 * 64);
        memset(got, 0xa5, bytes + 96);
        ed25519_table_build_x8(got, windows, &point, &scratch);
        cr_assert(memcmp(got, expected, bytes) == 0, "%u windows", windows);
        for (size_t j = 0; j < 96; j++) {
            cr_assert_eq(((uint8_t *)got)[bytes + j], 0xa5);
        }
        free(expected);
        free(got);
    }
}
#endif

Test(ed25519_point, decoding)
{
    struct curve c = curve_new();
    for (unsigned i = 0; i < 200; i++) {
        uint8_t encoded[32];
        RAND_bytes(encoded, 32);
        encoded[31] &= i % 2 ? 0xff : 0x7f;
        if (i < 40) { /* small y */
            memset(encoded + 1, 0, 31);
            encoded[0] = (uint8_t)i;
        }
        struct ed25519_point point;
        if (!ed25519_key_encoding_allowed(encoded)) {
            continue;
        }
        bool good = ed25519_decode_vartime(&point, encoded);
        cr_assert_eq(good, ed25519_key_on_curve(encoded));
        if (good) {
            uint8_t back[32];
            encode(&point, back);
            cr_assert_arr_eq(back, encoded, 32);
            struct fe xy = fe_mul(&point.x, &point.y);
            cr_assert(fe_equal(&xy, &point.t));
            /* -x^2 + y^2 = 1 + d x^2 y^2 */
            struct slow a = slow_of(&point);
            BIGNUM *xx = BN_new(), *yy = BN_new(), *left = BN_new(), *right = BN_new();
            cr_assert(BN_mod_sqr(xx, a.x, c.p, c.ctx) && BN_mod_sqr(yy, a.y, c.p, c.ctx) &&
                      BN_mod_sub(left, yy, xx, c.p, c.ctx) &&
                      BN_mod_mul(right, xx, yy, c.p, c.ctx) &&
                      BN_mod_mul(right, right, c.d, c.p, c.ctx) &&
                      BN_mod_add(right, right, BN_value_one(), c.p, c.ctx));
            cr_assert(BN_cmp(left, right) == 0);
            BN_free(xx);
            BN_free(yy);
            BN_free(left);
            BN_free(right);
            slow_free(&a);
        }
    }
    curve_free(&c);
}

/* The engines, driven directly. */
struct driver {
    const struct engine *engine;
    void *shared, *scratch;
};

static size_t drivers_init(struct driver drivers[2])
{
    size_t count = 0;
    drivers[count++].engine = &ed25519_engine_portable;
#if defined(__x86_64__)
    if (cpu_features_read().avx512_ifma) {
        drivers[count++].engine = &ed25519_engine_ifma;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        drivers[i].shared = drivers[i].engine->shared_new();
        drivers[i].scratch = aligned_alloc(64, (drivers[i].engine->scratch_bytes + 63) / 64 * 64);
        cr_assert(drivers[i].shared != NULL && drivers[i].scratch != NULL);
    }
    return count;
}

static void drivers_cleanup(struct driver *drivers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        drivers[i].engine->shared_free(drivers[i].shared);
        free(drivers[i].scratch);
    }
}

static void *driver_table(const struct driver *driver, unsigned size, const struct public_key *key,
                          enum status *status)
{
    void *table = aligned_alloc(64, (driver->engine->table_bytes(size) + 63) / 64 * 64);
    *status = driver->engine->table_build(driver->shared, driver->scratch, size, key, table);
    return table;
}

/* One signature, alone and in all eight lanes of a group of copies with others between: the same
 * verdict everywhere. */
static void expect_verdict(const struct driver *driver, unsigned size, const struct public_key *key,
                           const void *table, struct span message, const uint8_t signature[64],
                           enum status expected, const char *what)
{
    static const uint8_t nothing[64];
    for (size_t count = 1; count <= 17; count++) {
        struct engine_job jobs[17];
        for (size_t i = 0; i < count; i++) {
            jobs[i] = (struct engine_job){
                .algorithm = SIGNATURE_EDDSA,
                .table = table,
                .key = key,
                .message = message,
                .signature = span_make(count % 3 == 2 && i % 2 ? nothing : signature, 64)};
        }
        driver->engine->verify_known(driver->shared, driver->scratch, size, jobs, count);
        for (size_t i = 0; i < count; i++) {
            if (jobs[i].signature.data == signature) {
                cr_assert_eq(jobs[i].status, expected, "%s: tier %d, size %u, %zu of %zu", what,
                             driver->engine->tier, size, i, count);
            }
        }
    }
}

Test(ed25519_engine, keys_that_are_refused_have_no_table)
{
    struct driver drivers[2];
    size_t count = drivers_init(drivers);
    static const uint8_t y8[32] = {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
                                   0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
                                   0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05};
    for (size_t i = 0; i < count; i++) {
        for (int kind = 0; kind < 6; kind++) {
            struct public_key key = {.type = KEY_ED25519};
            if (kind == 1) {
                key.x[0] = 1;
            } else if (kind == 2) {
                memcpy(key.x, y8, 32);
            } else if (kind == 3) {
                key.x[0] = 2; /* off the curve */
            } else if (kind == 4) {
                memset(key.x, 0xff, 32);
            } else if (kind == 5) {
                memset(key.x, 0xff, 32); /* p + 1: 1 spelt another way */
                key.x[0] = 0xee;
                key.x[31] = 0x7f;
            }
            enum status status;
            free(driver_table(&drivers[i], 0, &key, &status));
            cr_assert_eq(status, STATUS_FAILED, "kind %d", kind);
        }
    }
    drivers_cleanup(drivers, count);
}

/* A = a B + T with T of order 8, and R = r B + j T: S B - h A = r B - h T. Whether that is R
 * depends on h modulo 8 as an integer below L: the verdict is BoringSSL's only if h is neither
 * reduced otherwise nor replaced by h + L. */
Test(ed25519_engine, keys_with_a_torsion_part_get_boringssls_verdict, .timeout = 600)
{
    static const uint8_t torsion[32] = {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0,
                                        0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
                                        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39,
                                        0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05};
    struct curve c = curve_new();
    struct driver drivers[2];
    size_t count = drivers_init(drivers);
    struct ed25519_point t;
    cr_assert(ed25519_decode_vartime(&t, torsion));
    struct ed25519_entry *t_table = table_of(&t, ED25519_WINDOWS_MAX);
    struct ed25519_entry *b_table = table_of(&ed25519_base, ED25519_WINDOWS_MIN);
    uint64_t a[4], r[4];
    edge_scalar(&c, EDGE_SCALARS, a);
    edge_scalar(&c, EDGE_SCALARS, r);
    size_t accepted = 0;
    for (size_t order = 1; order <= 4; order *= 2) { /* T, 2 T, 4 T: orders 8, 4, 2 */
        static struct ed25519_rows rows;
        struct ed25519_slots out = {.slots = rows.slots, .lanes_log2 = 3};
        ed25519_recode_vartime(&out, a, ED25519_WINDOWS_MIN, b_table);
        rows.slots[out.count++] = ED25519_TERM(t_table + order - 1, 0);
        struct ed25519_point key_point = ed25519_sum_terms(rows.slots, out.count);
        struct public_key key = {.type = KEY_ED25519};
        encode(&key_point, key.x);
        cr_assert(ed25519_key_encoding_allowed(key.x), "mixed order is not small order");
        void *tables[2];
        enum status built;
        for (size_t i = 0; i < count; i++) {
            tables[i] = driver_table(&drivers[i], SIZE_DEFAULT, &key, &built);
            cr_assert_eq(built, STATUS_OK);
        }
        for (unsigned j = 0; j < 32; j++) {
            uint8_t signature[64], message[2] = {(uint8_t)j, (uint8_t)order}, hash[64];
            struct ed25519_slots nonce = {.slots = rows.slots, .lanes_log2 = 3};
            ed25519_recode_vartime(&nonce, r, ED25519_WINDOWS_MIN, b_table);
            if (j % 8 != 0) {
                rows.slots[nonce.count++] = ED25519_TERM(t_table + j % 8 - 1, 0);
            }
            struct ed25519_point nonce_point = ed25519_sum_terms(rows.slots, nonce.count);
            encode(&nonce_point, signature);
            SHA512_CTX ctx;
            SHA512_Init(&ctx);
            SHA512_Update(&ctx, signature, 32);
            SHA512_Update(&ctx, key.x, 32);
            SHA512_Update(&ctx, message, 2);
            SHA512_Final(hash, &ctx);
            uint64_t wide[8], h[4], s[4];
            memcpy(wide, hash, 64); /* little-endian, as the machines this runs on */
            ed25519_scalar_reduce_vartime(h, wide);
            BIGNUM *hb = bignum_of_limbs(h, 4, 64), *ab = bignum_of_limbs(a, 4, 64);
            BIGNUM *rb = bignum_of_limbs(r, 4, 64);
            cr_assert(BN_mod_mul(hb, hb, ab, c.l, c.ctx) && BN_mod_add(hb, hb, rb, c.l, c.ctx));
            bignum_to_words(s, hb);
            memcpy(signature + 32, s, 32);
            BN_free(hb);
            BN_free(ab);
            BN_free(rb);
            enum status expected = reference_verify(SIGNATURE_EDDSA, &key, span_make(message, 2),
                                                    span_make(signature, 64));
            accepted += expected == STATUS_OK;
            for (size_t i = 0; i < count; i++) {
                expect_verdict(&drivers[i], SIZE_DEFAULT, &key, tables[i], span_make(message, 2),
                               signature, expected, "torsion");
            }
        }
        for (size_t i = 0; i < count; i++) {
            free(tables[i]);
        }
    }
    cr_assert(accepted > 0 && accepted < 96, "both verdicts were seen: %zu", accepted);
    free(t_table);
    free(b_table);
    drivers_cleanup(drivers, count);
    curve_free(&c);
}

/* With the secret scalar known: R the neutral point in all its spellings, S = h a; S and R at their
 * ends. */
Test(ed25519_engine, r_and_s_at_their_edges)
{
    struct curve c = curve_new();
    struct driver drivers[2];
    size_t count = drivers_init(drivers);
    struct ed25519_entry *b_table = table_of(&ed25519_base, ED25519_WINDOWS_MIN);
    uint64_t a[4];
    edge_scalar(&c, EDGE_SCALARS, a);
    struct ed25519_point key_point = multiply(a, ED25519_WINDOWS_MIN, b_table);
    struct public_key key = {.type = KEY_ED25519};
    encode(&key_point, key.x);
    static const uint8_t edges[][32] = {
        {1},                    /* the neutral point */
        {0},                    /* order 4 */
        [2] = {1, [31] = 0x80}, /* the neutral point with a sign: no canonical encoding */
        [3] = {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, /* p + 1 */
        [4] = {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, /* order 2 */
        [5] = {2},                                                          /* off the curve */
        [6] = {[31] = 0x80}, /* the other of order 4 */
        [7] = {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
               0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
               0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}, /* order 8 */
        [8] = {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
               0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
               0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x85},
        [9] = {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
               0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
               0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
        [10] = {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
                0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
                0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0xfa},
    };
    for (unsigned size = 0; size <= ED25519_SIZE_MAX; size += ED25519_SIZE_MAX / 4) {
        void *tables[2];
        enum status built;
        for (size_t i = 0; i < count; i++) {
            tables[i] = driver_table(&drivers[i], size, &key, &built);
            cr_assert_eq(built, STATUS_OK);
        }
        for (size_t e = 0; e < sizeof edges / sizeof edges[0]; e++) {
            for (int plus = 0; plus < 4; plus++) {
                uint8_t signature[64], hash[64];
                struct span message = SPAN_LITERAL("edge");
                memcpy(signature, edges[e], 32);
                SHA512_CTX ctx;
                SHA512_Init(&ctx);
                SHA512_Update(&ctx, signature, 32);
                SHA512_Update(&ctx, key.x, 32);
                SHA512_Update(&ctx, message.data, message.size);
                SHA512_Final(hash, &ctx);
                uint64_t wide[8], h[4], s[4];
                memcpy(wide, hash, 64);
                ed25519_scalar_reduce_vartime(h, wide);
                BIGNUM *hb = bignum_of_limbs(h, 4, 64), *ab = bignum_of_limbs(a, 4, 64);
                cr_assert(BN_mod_mul(hb, hb, ab, c.l, c.ctx));
                if (plus == 1) { /* the same modulo L, but not below it */
                    cr_assert(BN_add(hb, hb, c.l));
                } else if (plus == 2) {
                    BN_zero(hb);
                } else if (plus == 3) {
                    cr_assert(BN_copy(hb, c.l) != NULL);
                }
                bignum_to_words(s, hb);
                memcpy(signature + 32, s, 32);
                BN_free(hb);
                BN_free(ab);
                enum status expected = reference_verify(SIGNATURE_EDDSA, &key, message,
                                                        span_make(signature, 64));
                cr_assert_eq(expected, e == 0 && plus == 0 ? STATUS_OK : STATUS_FAILED,
                             "the rule itself: edge %zu, %d", e, plus);
                for (size_t i = 0; i < count; i++) {
                    expect_verdict(&drivers[i], size, &key, tables[i], message, signature, expected,
                                   "edge");
                }
            }
        }
        for (size_t i = 0; i < count; i++) {
            free(tables[i]);
        }
    }
    free(b_table);
    drivers_cleanup(drivers, count);
    curve_free(&c);
}

/* Messages of every length around a block's end, side by side. */
Test(ed25519_engine, messages_of_every_length)
{
    struct driver drivers[2];
    size_t count = drivers_init(drivers);
    struct signing_key key;
    signing_key_init(&key, KEY_ED25519);
    void *tables[2];
    enum status built;
    for (size_t i = 0; i < count; i++) {
        tables[i] = driver_table(&drivers[i], SIZE_DEFAULT, &key.public, &built);
        cr_assert_eq(built, STATUS_OK);
    }
    for (size_t first = 0; first < 640; first += 16) {
        uint8_t *messages[16], signatures[16][SIGNATURE_BYTES_MAX];
        struct engine_job jobs[16];
        for (size_t i = 0; i < 16; i++) {
            size_t size = first + i * (i % 2 ? 1 : 37);
            messages[i] = malloc(size + 1);
            RAND_bytes(messages[i], size);
            signing_sign(&key, SIGNATURE_EDDSA, span_make(messages[i], size), signatures[i]);
            jobs[i] = (struct engine_job){.algorithm = SIGNATURE_EDDSA,
                                          .key = &key.public,
                                          .message = span_make(messages[i], size),
                                          .signature = span_make(signatures[i], 64)};
            signatures[i][5] ^= i == 11;
        }
        for (size_t d = 0; d < count; d++) {
            for (size_t n = 1; n <= 16; n++) {
                for (size_t i = 0; i < 16; i++) {
                    jobs[i].table = tables[d];
                }
                drivers[d].engine->verify_known(drivers[d].shared, drivers[d].scratch, SIZE_DEFAULT,
                                                jobs, n);
                for (size_t i = 0; i < n; i++) {
                    cr_assert_eq(jobs[i].status, i == 11 ? STATUS_FAILED : STATUS_OK);
                }
            }
        }
        for (size_t i = 0; i < 16; i++) {
            free(messages[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(tables[i]);
    }
    drivers_cleanup(drivers, count);
}
