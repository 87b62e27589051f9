/* The P-256 engines against BoringSSL: tables, verdicts in every lane and batch size, and
 * signatures made to meet every exceptional addition. POPGATE_SOAK_VERDICTS=N raises the number of
 * random verdicts per engine. */
#include "base/cpu_features.h"
#include "crypto/reference.h"
#include "unit/crypto/p256.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Of a table with the default memory. */
#define WINDOWS_DEFAULT 39

/* ---- an engine with what it needs ---- */

struct bed {
    const char *name;
    const struct engine *engine;
    struct p256_shared *shared;
    void *scratch;
    int domain_bits;
    unsigned windows;
};

static size_t beds_new(struct bed beds[4], unsigned windows)
{
    size_t count = 0;
    struct cpu_features features = cpu_features_read();
    beds[count++] = (struct bed){"portable", &p256_engine_portable, .domain_bits = 256};
    if (features.bmi2_adx) {
        beds[count++] = (struct bed){"bmi2", &p256_engine_portable, .domain_bits = 256};
    }
#if defined(__x86_64__)
    if (features.avx512_ifma) {
        beds[count++] = (struct bed){"ifma", &p256_engine_ifma, .domain_bits = 260};
    }
#endif
    for (size_t i = 0; i < count; i++) {
        beds[i].windows = windows;
        beds[i].shared = beds[i].engine->shared_new();
        cr_assert_not_null(beds[i].shared);
        if (strcmp(beds[i].name, "portable") == 0) {
            beds[i].shared->bmi2 = false;
        }
        size_t bytes = (beds[i].engine->scratch_bytes + 63) / 64 * 64;
        beds[i].scratch = aligned_alloc(ENGINE_ALIGNMENT, bytes);
        cr_assert_not_null(beds[i].scratch);
        memset(beds[i].scratch, 0xa5, bytes);
    }
    return count;
}

static void beds_free(struct bed *beds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        beds[i].engine->shared_free(beds[i].shared);
        free(beds[i].scratch);
    }
}

static void *table_new(const struct bed *bed, const struct public_key *key)
{
    const unsigned size = p256_windows_of(0) - bed->windows;
    void *table = aligned_alloc(ENGINE_ALIGNMENT, bed->engine->table_bytes(size));
    cr_assert_not_null(table);
    cr_assert_eq(bed->engine->table_build(bed->shared, bed->scratch, size, key, table), STATUS_OK);
    return table;
}

/* ---- tables ---- */

static void check_entries(const struct p256_reference *ref, const struct bed *bed,
                          const struct p256_entry *table, unsigned count, const EC_POINT *point,
                          size_t step)
{
    const struct windows windows = p256_windows(count);
    BIGNUM *k = BN_new(), *domain = BN_new(), *x = BN_new(), *y = BN_new();
    EC_POINT *expected = EC_POINT_new(ref->group);
    p256_require(BN_set_bit(domain, bed->domain_bits));
    unsigned i = 0;
    for (size_t at = 0; at < p256_table_entries(count); at += step) {
        while (at >= window_entry(&windows, i + 1)) {
            i++;
        }
        const size_t j = at - window_entry(&windows, i);
        p256_require(BN_set_word(k, 2 * j + 1) &&
                     BN_lshift(k, k, (int)window_position(&windows, i)));
        p256_require(BN_nnmod(k, k, ref->n, ref->ctx));
        p256_require(EC_POINT_mul(ref->group, expected, NULL, point, k, ref->ctx));
        p256_require(EC_POINT_get_affine_coordinates_GFp(ref->group, expected, x, y, ref->ctx));
        p256_require(BN_mod_mul(x, x, domain, ref->p, ref->ctx) &&
                     BN_mod_mul(y, y, domain, ref->p, ref->ctx));
        uint64_t words[8];
        p256_bn_words(words, 4, x);
        p256_bn_words(words + 4, 4, y);
        cr_assert_eq(memcmp(words, &table[at], sizeof words), 0, "%s: entry %zu of window %u of %u",
                     bed->name, j, i, count);
    }
    BN_free(k);
    BN_free(domain);
    BN_free(x);
    BN_free(y);
    EC_POINT_free(expected);
}

Test(p256_engine, table_entries_are_the_odd_multiples)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, WINDOWS_DEFAULT);
    EC_POINT *point = EC_POINT_new(ref.group);
    BIGNUM *d = BN_new();
    for (size_t b = 0; b < count; b++) {
        for (unsigned windows = P256_WINDOWS_MIN; windows <= P256_WINDOWS_MAX; windows++) {
            beds[b].windows = windows;
            p256_require(BN_rand_range(d, ref.n));
            p256_require(EC_POINT_mul(ref.group, point, d, NULL, NULL, ref.ctx));
            struct public_key key = p256_key_of(&ref, point);
            void *table = table_new(&beds[b], &key);
            check_entries(&ref, &beds[b], table, windows, point, windows == 39 ? 1 : 47);
            free(table);
        }
        check_entries(&ref, &beds[b], beds[b].shared->generator, P256_WINDOWS_GENERATOR,
                      EC_GROUP_get0_generator(ref.group), 101);
    }
    BN_free(d);
    EC_POINT_free(point);
    beds_free(beds, count);
    p256_reference_free(&ref);
}

Test(p256_engine, keys_that_are_none_are_refused)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, P256_WINDOWS_MAX);
    struct public_key good = p256_key_of(&ref, EC_GROUP_get0_generator(ref.group));
    for (size_t b = 0; b < count; b++) {
        void *table = table_new(&beds[b], &good);
        for (int c = 0; c < 8; c++) {
            struct public_key key = good;
            BIGNUM *x = BN_bin2bn(key.x, 32, NULL);
            switch (c) {
            case 0: /* off the curve */
                key.y[31] ^= 1;
                break;
            case 1: /* the point at infinity, as some write it */
                memset(key.x, 0, sizeof key.x);
                memset(key.y, 0, sizeof key.y);
                break;
            case 2: /* the same x, not reduced: only fits 256 bits for small x, so p itself */
                p256_require(BN_bn2bin_padded(key.x, 32, ref.p));
                break;
            case 3:
                memset(key.x, 0xff, 32);
                break;
            case 4:
                memset(key.y, 0xff, 32);
                break;
            case 5:
                p256_require(BN_bn2bin_padded(key.y, 32, ref.p));
                break;
            case 6: /* x and y exchanged */
                memcpy(key.x, good.y, 32);
                memcpy(key.y, good.x, 32);
                break;
            default:
                key.x[0] ^= 0x80;
            }
            BN_free(x);
            cr_assert_eq(
                beds[b].engine->table_build(beds[b].shared, beds[b].scratch, 4, &key, table),
                STATUS_FAILED, "%s, case %d", beds[b].name, c);
            cr_assert_eq(public_key_validate(&key), STATUS_FAILED);
        }
        free(table);
    }
    beds_free(beds, count);
    p256_reference_free(&ref);
}

/* Coordinates of the curve's points that are small enough to be written a second time, plus p. */
Test(p256_engine, x_plus_p_is_refused_where_x_is_good)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, P256_WINDOWS_MAX), tried = 0;
    EC_POINT *point = EC_POINT_new(ref.group);
    BIGNUM *x = BN_new(), *y = BN_new();
    for (unsigned small = 0; small < 20; small++) {
        p256_require(BN_set_word(x, small));
        if (!EC_POINT_set_compressed_coordinates_GFp(ref.group, point, x, 0, ref.ctx)) {
            continue;
        }
        struct public_key key = p256_key_of(&ref, point);
        for (size_t b = 0; b < count; b++) {
            void *table = table_new(&beds[b], &key);
            struct public_key again = key;
            p256_require(BN_add(y, x, ref.p) && BN_bn2bin_padded(again.x, 32, y));
            cr_assert_eq(
                beds[b].engine->table_build(beds[b].shared, beds[b].scratch, 4, &again, table),
                STATUS_FAILED);
            cr_assert_eq(public_key_validate(&again), STATUS_FAILED);
            free(table);
            tried++;
        }
    }
    cr_assert(tried >= 5);
    BN_free(x);
    BN_free(y);
    EC_POINT_free(point);
    beds_free(beds, count);
    p256_reference_free(&ref);
}

/* ---- verdicts ---- */

struct subject {
    struct public_key key;
    size_t key_index;
    uint8_t digest[32], signature[64];
    enum status expected;
};

static void expect_by_reference(struct subject *subject)
{
    subject->expected = reference_verify_es256_digest(&subject->key, subject->digest,
                                                      subject->signature);
}

/* Runs the subjects as one call, with their tables or, as unknown keys, without. Everybody's
 * verdict is BoringSSL's; only `made` may be handed back. Returns whether it was. */
static bool run_call(const struct bed *bed, struct subject *const *subjects, void *const *tables,
                     size_t count, size_t made, bool known, const char *what)
{
    struct engine_job jobs[ENGINE_JOBS_MAX];
    bool again = false;
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (struct engine_job){.algorithm = SIGNATURE_ES256,
                                      .status = STATUS_OK, /* must not survive */
                                      .table = known ? tables[i] : NULL,
                                      .key = &subjects[i]->key,
                                      .signature = span_make(subjects[i]->signature, 64)};
        memcpy(jobs[i].digest, subjects[i]->digest, 32);
    }
    if (known) {
        bed->engine->verify_known(bed->shared, bed->scratch, p256_windows_of(0) - bed->windows,
                                  jobs, count);
    } else {
        bed->engine->verify_unknown(bed->shared, bed->scratch, jobs, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == made && jobs[i].status == STATUS_AGAIN) {
            again = true;
            continue;
        }
        cr_assert_eq(jobs[i].status, subjects[i]->expected,
                     "%s, %s, %s keys: job %zu of %zu is %d, by BoringSSL %d", bed->name, what,
                     known ? "known" : "unknown", i, count, (int)jobs[i].status,
                     (int)subjects[i]->expected);
    }
    return again;
}

#define NOBODY SIZE_MAX

/* Both ways, where there are both; none of these is made to be handed back. */
static size_t run(const struct bed *bed, struct subject *const *subjects, void *const *tables,
                  size_t count, const char *what)
{
    run_call(bed, subjects, tables, count, NOBODY, true, what);
    if (bed->engine->verify_unknown == NULL) {
        return count;
    }
    run_call(bed, subjects, tables, count, NOBODY, false, what);
    return 2 * count;
}

#define POOL_KEYS 16
#define POOL      1024

struct pool {
    EC_KEY *keys[POOL_KEYS];
    struct public_key public[POOL_KEYS];
    struct subject subjects[POOL];
    void *tables[POOL_KEYS];
};

static void pool_keys(struct pool *pool, const struct p256_reference *ref)
{
    for (size_t i = 0; i < POOL_KEYS; i++) {
        pool->keys[i] = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
        p256_require(pool->keys[i] != NULL && EC_KEY_generate_key(pool->keys[i]));
        pool->public[i] = p256_key_of(ref, EC_KEY_get0_public_key(pool->keys[i]));
    }
}

/* One in three is spoilt: a bit of r, s, the digest, another key, r and s exchanged, s replaced by
 * n - s (which is valid: ES256 does not ask for the lower half). */
static void pool_fill(struct pool *pool, const struct p256_reference *ref, uint64_t *state)
{
    for (size_t i = 0; i < POOL; i++) {
        struct subject *subject = &pool->subjects[i];
        subject->key_index = p256_random(state) % POOL_KEYS;
        for (size_t j = 0; j < 32; j++) {
            subject->digest[j] = (uint8_t)p256_random(state);
        }
        ECDSA_SIG *sig = ECDSA_do_sign(subject->digest, 32, pool->keys[subject->key_index]);
        const BIGNUM *r, *s;
        ECDSA_SIG_get0(sig, &r, &s);
        p256_require(BN_bn2bin_padded(subject->signature, 32, r) &&
                     BN_bn2bin_padded(subject->signature + 32, 32, s));
        uint64_t bit = p256_random(state);
        uint8_t mask = (uint8_t)(1 << (bit & 7)), half[32];
        BIGNUM *other = BN_new();
        switch (p256_random(state) % 18) {
        case 0:
            subject->signature[bit / 8 % 32] ^= mask;
            break;
        case 1:
            subject->signature[32 + bit / 8 % 32] ^= mask;
            break;
        case 2:
            subject->digest[bit / 8 % 32] ^= mask;
            break;
        case 3:
            subject->key_index = (subject->key_index + 1) % POOL_KEYS;
            break;
        case 4:
            memcpy(half, subject->signature, 32);
            memcpy(subject->signature, subject->signature + 32, 32);
            memcpy(subject->signature + 32, half, 32);
            break;
        case 5:
            p256_require(BN_sub(other, ref->n, s) &&
                         BN_bn2bin_padded(subject->signature + 32, 32, other));
            break;
        default:
            break;
        }
        BN_free(other);
        ECDSA_SIG_free(sig);
        subject->key = pool->public[subject->key_index];
        expect_by_reference(subject);
    }
}

/* Every size from 1 to 64 with subjects drawn at random; then one bad among good in every place,
 * and one good among bad. Returns the verdicts compared. */
static size_t pool_run(const struct bed *bed, struct pool *pool, uint64_t *state)
{
    size_t verdicts = 0;
    struct subject *chosen[ENGINE_JOBS_MAX], *good[ENGINE_JOBS_MAX], *bad[ENGINE_JOBS_MAX];
    void *tables[ENGINE_JOBS_MAX];
    for (size_t size = 1; size <= ENGINE_JOBS_MAX; size++) {
        size_t at_good = 0, at_bad = 0;
        for (size_t i = 0; i < size; i++) {
            chosen[i] = &pool->subjects[p256_random(state) % POOL];
            tables[i] = pool->tables[chosen[i]->key_index];
        }
        verdicts += run(bed, chosen, tables, size, "random");
        while (at_good < size || at_bad < size) {
            struct subject *subject = &pool->subjects[p256_random(state) % POOL];
            if (subject->expected == STATUS_OK && at_good < size) {
                good[at_good++] = subject;
            } else if (subject->expected != STATUS_OK && at_bad < size) {
                bad[at_bad++] = subject;
            }
        }
        size_t place = p256_random(state) % size;
        for (int turn = 0; turn < 2; turn++) {
            for (size_t i = 0; i < size; i++) {
                chosen[i] = ((i == place) == (turn == 0)) ? bad[i] : good[i];
                tables[i] = pool->tables[chosen[i]->key_index];
            }
            verdicts += run(bed, chosen, tables, size, turn == 0 ? "one bad" : "one good");
        }
    }
    return verdicts;
}

static void check_verdicts(const struct bed *bed, const struct p256_reference *ref, size_t wanted)
{
    struct pool *pool = calloc(1, sizeof *pool);
    cr_assert_not_null(pool);
    pool_keys(pool, ref);
    for (size_t i = 0; i < POOL_KEYS; i++) {
        pool->tables[i] = table_new(bed, &pool->public[i]);
    }
    uint64_t state = 42;
    for (size_t verdicts = 0; verdicts < wanted;) {
        pool_fill(pool, ref, &state);
        for (int repeat = 0; repeat < 6 && verdicts < wanted; repeat++) {
            verdicts += pool_run(bed, pool, &state);
        }
    }
    for (size_t i = 0; i < POOL_KEYS; i++) {
        free(pool->tables[i]);
        EC_KEY_free(pool->keys[i]);
    }
    free(pool);
}

#define VERDICTS 70000 /* an engine and size of tables; over all of them 2 x 10^5 and more */

static size_t verdicts_wanted(void)
{
    const char *soak = getenv("POPGATE_SOAK_VERDICTS");
    return soak != NULL ? strtoul(soak, NULL, 10) : VERDICTS;
}

static void verdicts_with(unsigned windows)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, windows);
    for (size_t i = 0; i < count; i++) {
        check_verdicts(&beds[i], &ref, verdicts_wanted());
    }
    beds_free(beds, count);
    p256_reference_free(&ref);
}

Test(p256_engine, verdicts_are_boringssls, .timeout = 36000)
{
    verdicts_with(WINDOWS_DEFAULT);
}

Test(p256_engine, verdicts_are_boringssls_with_large_tables, .timeout = 36000)
{
    verdicts_with(P256_WINDOWS_MIN);
}

Test(p256_engine, verdicts_are_boringssls_with_every_size)
{
    struct p256_reference ref = p256_reference_new();
    for (unsigned windows = P256_WINDOWS_MIN; windows <= P256_WINDOWS_MAX; windows++) {
        struct bed beds[4];
        size_t count = beds_new(beds, windows);
        for (size_t i = 0; i < count; i++) {
            check_verdicts(&beds[i], &ref, 1000);
        }
        beds_free(beds, count);
    }
    p256_reference_free(&ref);
}

/* ---- signatures made on purpose ---- */

/* The signature over some digest for which verification computes exactly u1 and u2: r = (u1 G + u2
 * Q).x mod n, s = r / u2, e = u1 s. If the sum is the point at infinity r is taken as given by
 * `fallback`. False if r would be zero. */
static bool construct(const struct p256_reference *ref, const EC_POINT *q, const BIGNUM *u1,
                      const BIGNUM *u2, const BIGNUM *fallback, struct subject *out)
{
    EC_POINT *sum = EC_POINT_new(ref->group);
    BIGNUM *r = BN_new(), *s = BN_new(), *e = BN_new();
    p256_require(EC_POINT_mul(ref->group, sum, u1, q, u2, ref->ctx));
    if (EC_POINT_is_at_infinity(ref->group, sum)) {
        p256_require(BN_copy(r, fallback) != NULL);
    } else {
        p256_require(EC_POINT_get_affine_coordinates_GFp(ref->group, sum, r, NULL, ref->ctx) &&
                     BN_nnmod(r, r, ref->n, ref->ctx));
    }
    bool good = !BN_is_zero(r);
    if (good) {
        p256_require(BN_mod_inverse(s, u2, ref->n, ref->ctx) != NULL);
        p256_require(BN_mod_mul(s, s, r, ref->n, ref->ctx));
        p256_require(BN_mod_mul(e, u1, s, ref->n, ref->ctx));
        p256_require(BN_bn2bin_padded(out->signature, 32, r) &&
                     BN_bn2bin_padded(out->signature + 32, 32, s) &&
                     BN_bn2bin_padded(out->digest, 32, e));
        out->key = p256_key_of(ref, q);
        expect_by_reference(out);
    }
    EC_POINT_free(sum);
    BN_free(r);
    BN_free(s);
    BN_free(e);
    return good;
}

/* A bed with good neighbours, among whom a made signature is put: alone, first, last, and in the
 * middle of eight and of 64. */
struct stage {
    struct bed *bed;
    struct pool *pool;
    struct subject *good[ENGINE_JOBS_MAX];
    void *good_tables[ENGINE_JOBS_MAX];
    size_t unknown_again; /* made ones handed back by verify_unknown */
};

static void stage_init(struct stage *stage, struct bed *bed, const struct p256_reference *ref)
{
    uint64_t state = 4711;
    stage->bed = bed;
    stage->unknown_again = 0;
    stage->pool = calloc(1, sizeof *stage->pool);
    cr_assert_not_null(stage->pool);
    pool_keys(stage->pool, ref);
    pool_fill(stage->pool, ref, &state);
    for (size_t i = 0; i < POOL_KEYS; i++) {
        stage->pool->tables[i] = table_new(bed, &stage->pool->public[i]);
    }
    for (size_t i = 0, at = 0; at < ENGINE_JOBS_MAX; i++) {
        struct subject *subject = &stage->pool->subjects[i];
        if (subject->expected == STATUS_OK) {
            stage->good_tables[at] = stage->pool->tables[subject->key_index];
            stage->good[at++] = subject;
        }
    }
}

static void stage_cleanup(struct stage *stage)
{
    for (size_t i = 0; i < POOL_KEYS; i++) {
        free(stage->pool->tables[i]);
        EC_KEY_free(stage->pool->keys[i]);
    }
    free(stage->pool);
}

/* Returns how often the subject was handed back with its table; nobody else ever is. */
static size_t perform(struct stage *stage, struct subject *subject, const char *what)
{
    static const size_t sizes[] = {1, 2, 3, 5, 8, 12, 16, 33, 64};
    size_t again = 0;
    void *table = table_new(stage->bed, &subject->key);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct subject *subjects[ENGINE_JOBS_MAX];
        void *tables[ENGINE_JOBS_MAX];
        size_t place = (subject->digest[5] * 7u + subject->signature[40]) % sizes[s];
        memcpy(subjects, stage->good, sizeof subjects);
        memcpy(tables, stage->good_tables, sizeof tables);
        subjects[place] = subject;
        tables[place] = table;
        again += run_call(stage->bed, subjects, tables, sizes[s], place, true, what);
        if (stage->bed->engine->verify_unknown != NULL) {
            stage->unknown_again += run_call(stage->bed, subjects, tables, sizes[s], place, false,
                                             what);
        }
    }
    free(table);
    return again;
}

/* Scalars at whose recoding or addition something special happens; c 2^t with t the top window's
 * position: 2 c 2^t - n makes the digits below the top window sum to c 2^t modulo n, so that the
 * last addition meets equal points: the digit sums wrap n. */
static size_t special_scalars(const struct p256_reference *ref, unsigned windows, BIGNUM *out[64])
{
    size_t count = 0;
    BIGNUM *value = BN_new();
    static const unsigned words[] = {1, 2, 3, 63, 64, 65, 4097, 8191, 8192};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        p256_require(BN_set_word(value, words[i]));
        out[count++] = BN_dup(value);
        p256_require(BN_sub(value, ref->n, value));
        out[count++] = BN_dup(value);
    }
    static const int bits[] = {78, 128, 156, 234, 247, 252, 255};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        BN_zero(value);
        p256_require(BN_set_bit(value, bits[i]));
        out[count++] = BN_dup(value);
        p256_require(BN_sub_word(value, 1));
        out[count++] = BN_dup(value);
    }
    p256_require(BN_rshift1(value, ref->n));
    out[count++] = BN_dup(value); /* (n - 1) / 2 */
    p256_require(BN_add_word(value, 1));
    out[count++] = BN_dup(value);
    const struct windows both[2] = {p256_windows(windows), p256_windows(P256_WINDOWS_GENERATOR)};
    for (int i = 0; i < 2; i++) {
        const unsigned bits_left = both[i].bits, top = P256_SCALAR_BITS - bits_left;
        p256_require(BN_set_word(value, ((UINT64_C(1) << bits_left) - 1) * 2) &&
                     BN_lshift(value, value, (int)top) && BN_sub(value, value, ref->n));
        out[count++] = BN_dup(value);
        p256_require(BN_sub(value, ref->n, value));
        out[count++] = BN_dup(value);
    }
    BN_free(value);
    return count;
}

static void special(struct bed *bed, const struct p256_reference *ref, size_t *again, size_t *made)
{
    BIGNUM *scalars[64], *zero = BN_new(), *d = BN_new();
    struct stage stage;
    stage_init(&stage, bed, ref);
    size_t count = special_scalars(ref, bed->windows, scalars);
    EC_POINT *q = EC_POINT_new(ref->group);
    BN_zero(zero);
    *again = *made = 0;
    /* Private keys 1, -1, 2, -2, 2^k, ..., the scalars themselves; u1 = 0 too. One in eleven
     * of all combinations, others for every key. */
    for (size_t k = 0; k < count; k += 1 + k / 3) {
        p256_require(EC_POINT_mul(ref->group, q, scalars[k], NULL, NULL, ref->ctx));
        for (size_t i = 0; i <= count; i++) {
            for (size_t j = (i + k) % 11; j < count; j += 11) {
                struct subject subject;
                if (construct(ref, q, i < count ? scalars[i] : zero, scalars[j], scalars[i % count],
                              &subject)) {
                    *again += perform(&stage, &subject, "special scalars");
                    *made += 1;
                }
            }
        }
        /* u1 = d u2, so that both halves are the same point; and opposite, the sum infinity. */
        for (size_t j = 0; j < count; j++) {
            struct subject subject;
            p256_require(BN_mod_mul(d, scalars[k], scalars[j], ref->n, ref->ctx));
            if (construct(ref, q, d, scalars[j], scalars[k], &subject)) {
                *again += perform(&stage, &subject, "equal halves");
                *made += 1;
            }
            p256_require(BN_sub(d, ref->n, d));
            if (construct(ref, q, d, scalars[j], scalars[k], &subject)) {
                *again += perform(&stage, &subject, "opposite halves");
                *made += 1;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        BN_free(scalars[i]);
    }
    BN_free(zero);
    BN_free(d);
    EC_POINT_free(q);
    cr_log_info("%s: handed back %zu times as unknown keys", bed->name, stage.unknown_again);
    cr_assert(bed->engine->verify_unknown == NULL || stage.unknown_again > 0);
    stage_cleanup(&stage);
}

Test(p256_engine, special_scalars_and_keys, .timeout = 600)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, WINDOWS_DEFAULT);
    for (size_t i = 0; i < count; i++) {
        size_t again, made;
        special(&beds[i], &ref, &again, &made);
        cr_log_info("%s: %zu made signatures, handed back %zu times", beds[i].name, made, again);
        cr_assert(again > 0 && made > 300);
    }
    beds_free(beds, count);
    p256_reference_free(&ref);
}

/* Terms first, first + stride, ..., `count` of them, as far as there are so many. */
struct terms_range {
    size_t first, count, stride;
};

/* The terms of u1 and u2, those of the key first as in the engines, as multiples of G and Q: those
 * of the range add up to a G + b Q. */
static void partial_sum(const uintptr_t *terms, unsigned of_key, struct terms_range range,
                        BIGNUM *a, BIGNUM *b)
{
    const size_t all = P256_TERMS(of_key);
    const struct windows both[2] = {p256_windows(of_key), p256_windows(P256_WINDOWS_GENERATOR)};
    BIGNUM *term = BN_new();
    BN_zero(a);
    BN_zero(b);
    for (size_t k = 0, i = range.first; k < range.count && i < all; k++, i += range.stride) {
        const struct windows *windows = &both[i >= of_key];
        const unsigned place = (unsigned)(i < of_key ? i : i - of_key);
        const size_t at = (terms[i] & ~(uintptr_t)1) / sizeof(struct p256_entry);
        const size_t index = at - window_entry(windows, place);
        p256_require(BN_set_word(term, 2 * index + 1) &&
                     BN_lshift(term, term, (int)window_position(windows, place)));
        BIGNUM *sum = i < of_key ? b : a;
        p256_require((terms[i] & 1) != 0 ? BN_sub(sum, sum, term) : BN_add(sum, sum, term));
    }
    BN_free(term);
}

/* Random u1 and u2, and the private key for which two partial sums are equal (or opposite): a + b d
 * = +-(a' + b' d). False where no such key is. */
static bool collide(const struct p256_reference *ref, unsigned windows, struct terms_range left,
                    struct terms_range right, bool opposite, uint64_t *state, struct subject *out)
{
    uint64_t words[4];
    uintptr_t terms[P256_TERMS_MAX];
    p256_random_below(words, p256_order, state);
    BIGNUM *u1 = p256_bn(words, 4);
    p256_recode_vartime(terms + windows, 1, words, P256_WINDOWS_GENERATOR, NULL);
    p256_random_below(words, p256_order, state);
    BIGNUM *u2 = p256_bn(words, 4);
    p256_recode_vartime(terms, 1, words, windows, NULL);
    BIGNUM *a = BN_new(), *b = BN_new(), *a2 = BN_new(), *b2 = BN_new();
    partial_sum(terms, windows, left, a, b);
    partial_sum(terms, windows, right, a2, b2);
    if (opposite) {
        BN_set_negative(a2, !BN_is_negative(a2));
        BN_set_negative(b2, !BN_is_negative(b2));
    }
    p256_require(BN_sub(a, a2, a) && BN_sub(b, b, b2) && BN_nnmod(a, a, ref->n, ref->ctx) &&
                 BN_nnmod(b, b, ref->n, ref->ctx));
    bool good = !BN_is_zero(a) && !BN_is_zero(b) && !BN_is_zero(u2);
    if (good) {
        EC_POINT *q = EC_POINT_new(ref->group);
        BIGNUM *d = BN_new();
        p256_require(BN_mod_inverse(d, b, ref->n, ref->ctx) != NULL);
        p256_require(BN_mod_mul(d, d, a, ref->n, ref->ctx));
        p256_require(EC_POINT_mul(ref->group, q, d, NULL, NULL, ref->ctx));
        good = construct(ref, q, u1, u2, u2, out);
        BN_free(d);
        EC_POINT_free(q);
    }
    BN_free(u1);
    BN_free(u2);
    BN_free(a);
    BN_free(b);
    BN_free(a2);
    BN_free(b2);
    return good;
}

/* Makes both kinds of collision and returns how often they were handed back. */
static size_t collisions(const struct p256_reference *ref, struct stage *stage,
                         struct terms_range left, struct terms_range right, uint64_t *state,
                         const char *what)
{
    size_t again = 0;
    for (int opposite = 0; opposite < 2; opposite++) {
        struct subject subject;
        if (collide(ref, stage->bed->windows, left, right, opposite, state, &subject)) {
            again += perform(stage, &subject, what);
        }
    }
    return again;
}

/* Only sums of which one has a term of Q and one a term of G meet for a key's sake: nodes of the
 * tree whose border is the key's have none. */
static void meet(struct bed *bed, const struct p256_reference *ref, uint64_t *state)
{
    struct stage stage;
    const size_t terms = P256_TERMS(bed->windows), of_key = bed->windows;
    stage_init(&stage, bed, ref);
    /* Affine levels: neighbours of 1, 2, 4 and 8 terms. */
    for (size_t size = 1; size <= 8; size *= 2) {
        size_t first = (of_key - 1) / (2 * size) * 2 * size;
        size_t again = collisions(ref, &stage, (struct terms_range){first, size, 1},
                                  (struct terms_range){first + size, size, 1}, state,
                                  "a node of the tree");
        /* With fewer terms than that seven points are left after three levels, which are no level
         * of vectors more. */
        const bool there = size < 8 || terms >= 57;
        cr_assert(again > 0 || of_key % (2 * size) == 0 || !there, "%s: nodes of %zu", bed->name,
                  size);
    }
    /* One after another: all before it, and the next 1, 2, ... 32 terms. */
    size_t again = 0;
    for (size_t size = 1; size <= 32; size *= 2) {
        for (size_t next = of_key / size * size; next < terms; next += size) {
            again += next == 0 ? 0
                               : collisions(ref, &stage, (struct terms_range){0, next, 1},
                                            (struct terms_range){next, size, 1}, state,
                                            "one after another");
        }
    }
    cr_assert(again > 0, "%s: one after another", bed->name);
    /* A signature spread over 2, 4 or 8 lanes: within a lane, and lanes with each other. */
    size_t within = 0, between = 0;
    for (size_t lanes = 2; lanes <= 8; lanes *= 2) {
        for (size_t lane = 0; lane < lanes; lane += 1 + lanes / 4) {
            for (size_t slot = 1; slot < terms / lanes; slot += 3) {
                within += collisions(ref, &stage, (struct terms_range){lane, slot, lanes},
                                     (struct terms_range){lane + slot * lanes, 1, lanes}, state,
                                     "in a lane");
            }
        }
        for (size_t distance = lanes / 2; distance > 0; distance /= 2) {
            between += collisions(ref, &stage, (struct terms_range){0, terms, 2 * distance},
                                  (struct terms_range){distance, terms, 2 * distance}, state,
                                  "between lanes");
        }
    }
    cr_log_info("%s: handed back %zu within lanes, %zu between", bed->name, within, between);
    cr_assert(strcmp(bed->name, "ifma") != 0 || (within > 0 && between > 0));
    stage_cleanup(&stage);
}

static void collisions_with(unsigned windows)
{
    struct p256_reference ref = p256_reference_new();
    uint64_t state = 99;
    struct bed beds[4];
    size_t count = beds_new(beds, windows);
    for (size_t b = 0; b < count; b++) {
        meet(&beds[b], &ref, &state);
    }
    beds_free(beds, count);
    p256_reference_free(&ref);
}

Test(p256_engine, collisions_in_every_kind_of_addition, .timeout = 600)
{
    collisions_with(WINDOWS_DEFAULT);
}

/* As many windows as give, with the generator's, odd and even numbers of terms on every level. */
Test(p256_engine, collisions_with_smaller_tables, .timeout = 600)
{
    collisions_with(P256_WINDOWS_MAX);
    collisions_with(43);
}

Test(p256_engine, collisions_with_larger_tables, .timeout = 600)
{
    collisions_with(37);
    collisions_with(32);
    collisions_with(P256_WINDOWS_MIN);
}

/* A key for which u1 G + u2 Q is a given point. */
static void key_for_sum(const struct p256_reference *ref, const EC_POINT *sum, const BIGNUM *u1,
                        const BIGNUM *u2, EC_POINT *q)
{
    BIGNUM *inverse = BN_new();
    p256_require(EC_POINT_mul(ref->group, q, u1, NULL, NULL, ref->ctx) &&
                 EC_POINT_invert(ref->group, q, ref->ctx) &&
                 EC_POINT_add(ref->group, q, q, sum, ref->ctx));
    p256_require(BN_mod_inverse(inverse, u2, ref->n, ref->ctx) != NULL);
    p256_require(EC_POINT_mul(ref->group, q, NULL, q, inverse, ref->ctx));
    BN_free(inverse);
}

static void sign_with_r(const struct p256_reference *ref, const BIGNUM *r, const BIGNUM *u1,
                        const BIGNUM *u2, struct subject *out)
{
    BIGNUM *s = BN_new(), *e = BN_new();
    p256_require(BN_mod_inverse(s, u2, ref->n, ref->ctx) != NULL);
    p256_require(BN_mod_mul(s, s, r, ref->n, ref->ctx) && BN_mod_mul(e, u1, s, ref->n, ref->ctx));
    p256_require(BN_bn2bin_padded(out->signature, 32, r) &&
                 BN_bn2bin_padded(out->signature + 32, 32, s) &&
                 BN_bn2bin_padded(out->digest, 32, e));
    BN_free(s);
    BN_free(e);
    expect_by_reference(out);
}

/* x coordinates from n to p - 1 reduce to small r, and only there r + n has to be tried. */
Test(p256_engine, sums_whose_x_is_above_n, .timeout = 600)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, WINDOWS_DEFAULT);
    EC_POINT *sum = EC_POINT_new(ref.group), *q = EC_POINT_new(ref.group);
    BIGNUM *x = BN_new(), *r = BN_new(), *u1 = BN_new(), *u2 = BN_new(), *gap = BN_new();
    p256_require(BN_sub(gap, ref.p, ref.n));
    for (size_t b = 0; b < count; b++) {
        struct stage stage;
        size_t second = 0, first = 0;
        stage_init(&stage, &beds[b], &ref);
        for (int turn = 0; turn < 120; turn++) {
            /* From the bottom of n .. p - 1, from its top, and x = r itself. */
            p256_require(turn % 3 == 0   ? BN_copy(x, ref.n) != NULL && BN_add_word(x, 1 + turn)
                         : turn % 3 == 1 ? BN_copy(x, ref.p) != NULL && BN_sub_word(x, 1 + turn)
                                         : BN_set_word(x, 1 + turn));
            if (!EC_POINT_set_compressed_coordinates_GFp(ref.group, sum, x, turn & 1, ref.ctx)) {
                continue;
            }
            p256_require(BN_rand_range(u1, ref.n) && BN_rand_range(u2, ref.n));
            key_for_sum(&ref, sum, u1, u2, q);
            p256_require(BN_nnmod(r, x, ref.n, ref.ctx));
            struct subject subject = {.key = p256_key_of(&ref, q)};
            sign_with_r(&ref, r, u1, u2, &subject);
            cr_assert_eq(subject.expected, STATUS_OK);
            cr_assert_eq(perform(&stage, &subject, "x above n"), 0);
            cr_assert_eq(stage.unknown_again, 0);
            second += BN_cmp(x, ref.n) > 0;
            first += BN_cmp(x, ref.n) < 0;
        }
        cr_assert(second > 20 && first > 5);
        /* r = p - n: r + n = p is no coordinate, though it would be 0 modulo p. */
        BN_zero(x);
        p256_require(EC_POINT_set_compressed_coordinates_GFp(ref.group, sum, x, 0, ref.ctx));
        for (int below = -1; below <= 1; below++) {
            p256_require(BN_rand_range(u1, ref.n) && BN_rand_range(u2, ref.n));
            key_for_sum(&ref, sum, u1, u2, q);
            p256_require(BN_copy(r, gap) != NULL && BN_add_word(r, 1) &&
                         BN_sub_word(r, (BN_ULONG)(1 - below)));
            struct subject subject = {.key = p256_key_of(&ref, q)};
            sign_with_r(&ref, r, u1, u2, &subject);
            cr_assert_eq(subject.expected, STATUS_FAILED);
            perform(&stage, &subject, "r = p - n");
        }
        stage_cleanup(&stage);
    }
    BN_free(x);
    BN_free(r);
    BN_free(u1);
    BN_free(u2);
    BN_free(gap);
    EC_POINT_free(sum);
    EC_POINT_free(q);
    beds_free(beds, count);
    p256_reference_free(&ref);
}

/* Keys that are none, unknown, in every lane: refused, and their neighbours not harmed. */
Test(p256_engine, keys_that_are_none_among_unknown_ones)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, WINDOWS_DEFAULT);
    for (size_t b = 0; b < count; b++) {
        if (beds[b].engine->verify_unknown == NULL) {
            continue;
        }
        struct stage stage;
        stage_init(&stage, &beds[b], &ref);
        for (size_t size = 1; size <= 24; size++) {
            for (size_t place = 0; place < size; place++) {
                struct subject bad = *stage.good[place], *subjects[ENGINE_JOBS_MAX];
                memcpy(subjects, stage.good, sizeof subjects);
                subjects[place] = &bad;
                switch ((place + size) % 6) {
                case 0:
                    bad.key.y[31] ^= 1;
                    break;
                case 1:
                    memset(bad.key.x, 0, sizeof bad.key.x);
                    memset(bad.key.y, 0, sizeof bad.key.y);
                    break;
                case 2:
                    memset(bad.key.x, 0xff, 32);
                    break;
                case 3:
                    p256_require(BN_bn2bin_padded(bad.key.y, 32, ref.p));
                    break;
                case 4: /* y = 0: a point of order two, if there were one */
                    memset(bad.key.y, 0, sizeof bad.key.y);
                    break;
                default:
                    memset(bad.key.x, 0, sizeof bad.key.x);
                }
                expect_by_reference(&bad);
                cr_assert_eq(bad.expected, STATUS_FAILED);
                run_call(&beds[b], subjects, NULL, size, NOBODY, false, "no key");
            }
        }
        stage_cleanup(&stage);
    }
    beds_free(beds, count);
    p256_reference_free(&ref);
}

/* r and s from {0, 1, n - 1, n, n + 1, p - n, p, 2^256 - 1, ...}. */
Test(p256_engine, r_and_s_at_the_ends, .timeout = 600)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, WINDOWS_DEFAULT), ends = 0;
    uint8_t values[12][32];
    BIGNUM *value = BN_new();
    for (unsigned i = 0; i < 3; i++) {
        p256_require(BN_set_word(value, i) && BN_bn2bin_padded(values[ends++], 32, value));
        p256_require(BN_copy(value, ref.n) != NULL && BN_sub_word(value, 1) &&
                     BN_add_word(value, i) && BN_bn2bin_padded(values[ends++], 32, value));
        p256_require(BN_sub(value, ref.p, ref.n) && BN_sub_word(value, 1) &&
                     BN_add_word(value, i) && BN_bn2bin_padded(values[ends++], 32, value));
    }
    p256_require(BN_bn2bin_padded(values[ends++], 32, ref.p));
    memset(values[ends++], 0xff, 32);
    for (size_t b = 0; b < count; b++) {
        struct stage stage;
        stage_init(&stage, &beds[b], &ref);
        for (size_t i = 0; i < ends; i++) {
            for (size_t j = 0; j < ends; j++) {
                struct subject subject = *stage.good[(i * ends + j) % ENGINE_JOBS_MAX];
                memcpy(subject.signature, values[i], 32);
                memcpy(subject.signature + 32, values[j], 32);
                if ((i + j) % 3 == 0) {
                    memset(subject.digest, i % 2 ? 0xff : 0, 32);
                }
                expect_by_reference(&subject);
                perform(&stage, &subject, "ends");
            }
            /* A good signature with one half replaced. */
            for (int half = 0; half < 2; half++) {
                struct subject subject = *stage.good[i];
                memcpy(subject.signature + 32 * half, values[i], 32);
                expect_by_reference(&subject);
                perform(&stage, &subject, "one end");
            }
        }
        stage_cleanup(&stage);
    }
    BN_free(value);
    beds_free(beds, count);
    p256_reference_free(&ref);
}

/* e is any 256 bits, at or above n too. */
Test(p256_engine, digests_above_n)
{
    struct p256_reference ref = p256_reference_new();
    struct bed beds[4];
    size_t count = beds_new(beds, WINDOWS_DEFAULT);
    for (size_t b = 0; b < count; b++) {
        struct stage stage;
        stage_init(&stage, &beds[b], &ref);
        for (unsigned i = 0; i < 40; i++) {
            struct subject subject = {.key_index = i % POOL_KEYS};
            memset(subject.digest, 0xff, 32);
            subject.digest[31] = (uint8_t)(255 - i);
            if (i % 2 != 0) { /* n + small */
                p256_require(BN_bn2bin_padded(subject.digest, 32, ref.n));
                subject.digest[31] = (uint8_t)(subject.digest[31] + i / 2);
            }
            ECDSA_SIG *sig = ECDSA_do_sign(subject.digest, 32, stage.pool->keys[i % POOL_KEYS]);
            const BIGNUM *r, *s;
            ECDSA_SIG_get0(sig, &r, &s);
            p256_require(BN_bn2bin_padded(subject.signature, 32, r) &&
                         BN_bn2bin_padded(subject.signature + 32, 32, s));
            ECDSA_SIG_free(sig);
            subject.key = stage.pool->public[i % POOL_KEYS];
            expect_by_reference(&subject);
            cr_assert_eq(subject.expected, STATUS_OK);
            perform(&stage, &subject, "large digest");
        }
        stage_cleanup(&stage);
    }
    beds_free(beds, count);
    p256_reference_free(&ref);
}
