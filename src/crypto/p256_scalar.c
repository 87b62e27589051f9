#include "crypto/p256_scalar.h"

#include "crypto/modinv.h"
#include "crypto/p256_field64.h"
#include "crypto/sha256.h"

const uint64_t p256_order[4] = {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff,
                                0xffffffff00000000};

/* -1 / n mod 2^64 */
#define ORDER_FACTOR UINT64_C(0xccd1c8aaee00bc4f)

static const struct modinv_modulus order_modulus = {
    {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000},
    0x332e375511ff43b1};

/* 2^512 mod n */
static const uint64_t order_r2[4] = {0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59,
                                     0x66e12d94f3d95620};

/* Montgomery's product. Four turns on the low half L alone: (L + q n) / 2^256 with L, q < 2^256 is
 * at most n, so no turn leaves four words. The high half is below n, for a b < 2^256 n: the sum is
 * below 2 n, and one subtraction is enough. */
void p256_scalar_multiply(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    fe64_word t[8], h0, h1, h2, h3;
    fe64_carry carry;
    fe64_product(t, a, b);
    fe64_word t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const fe64_word q = t0 * ORDER_FACTOR;
        const fe64_word l0 = fe64_mul_word(q, order_modulus.words[0], &h0);
        const fe64_word l1 = fe64_mul_word(q, order_modulus.words[1], &h1);
        const fe64_word l2 = fe64_mul_word(q, order_modulus.words[2], &h2);
        const fe64_word l3 = fe64_mul_word(q, order_modulus.words[3], &h3);
        carry = 0;
        h0 = fe64_add_word(&carry, h0, l1);
        h1 = fe64_add_word(&carry, h1, l2);
        h2 = fe64_add_word(&carry, h2, l3);
        h3 = fe64_add_word(&carry, h3, 0);
        carry = 0;
        (void)fe64_add_word(&carry, t0, l0); /* zero, and its carry */
        t0 = fe64_add_word(&carry, t1, h0);
        t1 = fe64_add_word(&carry, t2, h1);
        t2 = fe64_add_word(&carry, t3, h2);
        t3 = fe64_add_word(&carry, h3, 0);
    }
    carry = 0;
    t0 = fe64_add_word(&carry, t0, t[4]);
    t1 = fe64_add_word(&carry, t1, t[5]);
    t2 = fe64_add_word(&carry, t2, t[6]);
    t3 = fe64_add_word(&carry, t3, t[7]);
    fe64_reduce_once(out, order_modulus.words, t0, t1, t2, t3, carry);
}

bool p256_scalar_load(uint64_t out[4], const uint8_t bytes[32])
{
    p256_words(out, bytes);
    return (out[0] | out[1] | out[2] | out[3]) != 0 && p256_words_below(out, p256_order);
}

void p256_load(struct p256_loading *loading, struct engine_job *jobs, size_t count)
{
    size_t live = 0;
    for (size_t i = 0; i < count; i++) {
        jobs[i].status = STATUS_FAILED;
        /* FIPS 186-5 section 6.4.2: "Inspect the values r and s. If r and s are not both integers
         * in the interval [1, n - 1], output 'reject'." */
        if (p256_scalar_load(loading->signatures[live].r, jobs[i].signature.data) &&
            p256_scalar_load(loading->s[live], jobs[i].signature.data + 32)) {
            loading->signatures[live++].job = &jobs[i];
        }
    }
    loading->live = live;
}

void p256_scalar_invert_vartime(uint64_t out[4], const uint64_t a[4])
{
    modinv_vartime(out, a, &order_modulus);
}

void p256_load_invert_vartime(struct p256_loading *loading)
{
    uint64_t(*products)[4] = loading->products;
    memcpy(products[0], loading->s[0], sizeof products[0]);
    for (size_t i = 1; i < loading->live; i++) {
        p256_scalar_multiply(products[i], products[i - 1], loading->s[i]);
    }
    p256_scalar_invert_vartime(loading->inverse, products[loading->live - 1]);
    p256_scalar_multiply(loading->inverse, loading->inverse, order_r2);
}

/* With products c[i] = s[0] ... s[i] / 2^(256 i): c[i - 1] / c[i] = 2^256 / s[i]. Hence from I =
 * 2^256 / c[i] follow w = 2^256 / s[i] = c[i - 1] I / 2^256, which makes e and r u1 and u2 by one
 * Montgomery product each, and the next I = s[i] I / 2^256. w takes the place of s[i]. */
void p256_load_u2(struct p256_loading *loading, size_t index)
{
    struct p256_signature *signature = &loading->signatures[index];
    uint64_t *s = loading->s[index], w[4];
    if (index > 0) {
        p256_scalar_multiply(w, loading->products[index - 1], loading->inverse);
        p256_scalar_multiply(loading->inverse, loading->inverse, s);
        memcpy(s, w, sizeof w);
    } else {
        memcpy(s, loading->inverse, sizeof w);
    }
    p256_scalar_multiply(signature->u2, signature->r, s);
}

void p256_load_digests(struct p256_loading *loading)
{
    struct span messages[ENGINE_JOBS_MAX];
    uint8_t *digests[ENGINE_JOBS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < loading->live; i++) {
        struct engine_job *job = loading->signatures[i].job;
        if (job->digest_wanted) {
            messages[count] = job->message;
            digests[count++] = job->digest;
        }
    }
    sha256_many(messages, digests, count);
}

void p256_load_u1(struct p256_loading *loading, size_t index)
{
    struct p256_signature *signature = &loading->signatures[index];
    uint64_t e[4];
    p256_words(e, signature->job->digest);
    p256_scalar_multiply(signature->u1, e, loading->s[index]);
}

bool p256_second_x(uint64_t out[4], const uint64_t r[4])
{
    unsigned __int128 c = 0;
    for (int i = 0; i < 4; i++) {
        c = (unsigned __int128)r[i] + p256_order[i] + (uint64_t)(c >> 64);
        out[i] = (uint64_t)c;
    }
    return (uint64_t)(c >> 64) == 0 && p256_words_below(out, fe64_p.v);
}
