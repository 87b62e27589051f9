#include "crypto/p256_scalar.h"
#include "unit/crypto/p256.h"

#include <criterion/criterion.h>
#include <openssl/sha.h>

Test(p256_scalar, product_equals_big_numbers)
{
    struct p256_reference ref = p256_reference_new();
    BIGNUM *domain = BN_new(), *power = BN_new();
    p256_require(BN_set_bit(power, 256) && BN_mod_inverse(domain, power, ref.n, ref.ctx));
    uint64_t state = 1;
    for (int i = 0; i < 40000; i++) {
        uint64_t a[4], b[4], r[4], expected[4];
        p256_random_below(b, p256_order, &state);
        if (i % 3 == 0) {
            memset(a, 0xff, sizeof a); /* any four words */
        } else if (i % 3 == 1) {
            p256_random_below(a, p256_order, &state);
        } else {
            for (int j = 0; j < 4; j++) {
                a[j] = p256_random(&state);
            }
        }
        if (i % 17 == 0) {
            memcpy(b, p256_order, sizeof b);
            b[0]--;
        }
        BIGNUM *x = p256_bn(a, 4), *y = p256_bn(b, 4);
        p256_require(BN_mod_mul(x, x, y, ref.n, ref.ctx) &&
                     BN_mod_mul(x, x, domain, ref.n, ref.ctx));
        p256_bn_words(expected, 4, x);
        p256_scalar_multiply(r, a, b);
        cr_assert_eq(memcmp(r, expected, sizeof r), 0, "turn %d", i);
        p256_scalar_multiply(r, b, a);
        cr_assert_eq(memcmp(r, expected, sizeof r), 0, "turn %d, exchanged", i);
        BN_free(x);
        BN_free(y);
    }
    BN_free(domain);
    BN_free(power);
    p256_reference_free(&ref);
}

static void bytes_of(uint8_t bytes[32], const char *hex, int add)
{
    BIGNUM *value = NULL;
    p256_require(BN_hex2bn(&value, hex) && BN_add_word(value, 1));
    p256_require(add == 0 ? BN_sub_word(value, 1) : add < 0 ? BN_sub_word(value, 2) : 1);
    p256_require(BN_bn2bin_padded(bytes, 32, value));
    BN_free(value);
}

Test(p256_scalar, range)
{
    uint8_t bytes[32] = {0};
    uint64_t words[4];
    cr_assert_not(p256_scalar_load(words, bytes));
    bytes[31] = 1;
    cr_assert(p256_scalar_load(words, bytes));
    cr_assert_eq(words[0], 1);
    bytes_of(bytes, P256_N, -1);
    cr_assert(p256_scalar_load(words, bytes));
    bytes_of(bytes, P256_N, 0);
    cr_assert_not(p256_scalar_load(words, bytes));
    bytes_of(bytes, P256_N, 1);
    cr_assert_not(p256_scalar_load(words, bytes));
    memset(bytes, 0xff, sizeof bytes);
    cr_assert_not(p256_scalar_load(words, bytes));
}

Test(p256_scalar, second_x_only_below_p_minus_n)
{
    struct p256_reference ref = p256_reference_new();
    BIGNUM *r = BN_new(), *sum = BN_new();
    p256_require(BN_sub(r, ref.p, ref.n) && BN_sub_word(r, 3));
    for (int i = 0; i < 6; i++) {
        uint64_t words[4], second[4], expected[4];
        p256_bn_words(words, 4, r);
        p256_require(BN_add(sum, r, ref.n));
        bool below = BN_cmp(sum, ref.p) < 0;
        cr_assert_eq(below, i < 3);
        cr_assert_eq(p256_second_x(second, words), below);
        if (below) {
            p256_bn_words(expected, 4, sum);
            cr_assert_eq(memcmp(second, expected, sizeof second), 0);
        }
        p256_require(BN_add_word(r, 1));
    }
    /* A sum beyond 2^256 is not small. */
    uint64_t words[4], second[4];
    memcpy(words, p256_order, sizeof words);
    words[0]--;
    cr_assert_not(p256_second_x(second, words));
    BN_free(r);
    BN_free(sum);
    p256_reference_free(&ref);
}

Test(p256_scalar, u1_and_u2_of_a_batch)
{
    struct p256_reference ref = p256_reference_new();
    uint64_t state = 7;
    BIGNUM *w = BN_new(), *u = BN_new();
    for (size_t count = 1; count <= ENGINE_JOBS_MAX; count++) {
        static struct engine_job jobs[ENGINE_JOBS_MAX];
        static uint8_t signatures[ENGINE_JOBS_MAX][64];
        static struct p256_loading loading;
        const struct p256_signature *out = loading.signatures;
        bool bad[ENGINE_JOBS_MAX];
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < 64; j++) {
                signatures[i][j] = (uint8_t)p256_random(&state);
            }
            signatures[i][0] = signatures[i][32] = 0x7f;
            bad[i] = (i + count) % 7 == 3;
            if (bad[i]) { /* r or s zero or too large */
                memset(signatures[i] + 32 * (i % 2), i % 4 < 2 ? 0 : 0xff, 32);
            }
            jobs[i].status = STATUS_OK;
            jobs[i].signature = span_make(signatures[i], 64);
            memset(jobs[i].digest, i % 5 == 0 ? 0xff : (int)i, 32);
            /* One in three comes without its digest. */
            jobs[i].digest_wanted = i % 3 == 1;
            jobs[i].message = span_make(signatures[i], i);
        }
        p256_load(&loading, jobs, count);
        const size_t live = loading.live;
        if (live > 0) {
            p256_load_invert_vartime(&loading);
        }
        for (size_t i = live; i-- > 0;) {
            p256_load_u2(&loading, i);
        }
        p256_load_digests(&loading);
        for (size_t i = 0; i < live; i++) {
            p256_load_u1(&loading, i);
        }
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(jobs[i].status, STATUS_FAILED);
            if (bad[i]) {
                continue;
            }
            cr_assert_eq(out[at].job, &jobs[i]);
            BIGNUM *r = BN_bin2bn(signatures[i], 32, NULL);
            BIGNUM *s = BN_bin2bn(signatures[i] + 32, 32, NULL);
            if (jobs[i].digest_wanted) {
                uint8_t digest[32];
                SHA256(signatures[i], i, digest);
                cr_assert_arr_eq(jobs[i].digest, digest, 32);
            }
            BIGNUM *e = BN_bin2bn(jobs[i].digest, 32, NULL);
            uint64_t expected[4];
            p256_require(BN_mod_inverse(w, s, ref.n, ref.ctx) != NULL);
            p256_require(BN_mod_mul(u, e, w, ref.n, ref.ctx));
            p256_bn_words(expected, 4, u);
            cr_assert_eq(memcmp(out[at].u1, expected, 32), 0, "u1, %zu of %zu", i, count);
            p256_require(BN_mod_mul(u, r, w, ref.n, ref.ctx));
            p256_bn_words(expected, 4, u);
            cr_assert_eq(memcmp(out[at].u2, expected, 32), 0, "u2, %zu of %zu", i, count);
            BN_free(r);
            BN_free(s);
            BN_free(e);
            at++;
        }
        cr_assert_eq(at, live);
    }
    BN_free(w);
    BN_free(u);
    p256_reference_free(&ref);
}

Test(p256_scalar, nothing_live)
{
    static struct engine_job jobs[3];
    static const uint8_t zeros[64];
    static struct p256_loading loading;
    for (int i = 0; i < 3; i++) {
        jobs[i].signature = span_make(zeros, 64);
        jobs[i].status = STATUS_OK;
    }
    p256_load(&loading, jobs, 3);
    cr_assert_eq(loading.live, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(jobs[i].status, STATUS_FAILED);
    }
}
