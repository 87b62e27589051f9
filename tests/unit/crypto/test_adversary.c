/* What an attacker composes who sends whatever he likes, through the contract and not through an
 * engine: batches of his own making, of which every verdict is BoringSSL's. */
#include "base/rcu.h"
#include "crypto/reference.h"
#include "crypto/sha256.h"
#include "crypto/verifier.h"
#include "unit/crypto/p256.h"
#include "unit/crypto/signing.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define KEYS         15
#define SUBJECTS     90
#define BATCH_MAX    200
#define MESSAGE_MAX  70001
#define EC_KEYS      6
#define ED25519_KEYS 6

static const char *const tiers[] = {"reference", "portable", "ifma"};

struct subject {
    enum signature_algorithm algorithm;
    struct public_key key;
    struct span message;
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t size;
    enum status expected;
};

/* Lengths around the blocks of SHA-256 and SHA-512, none, and long. */
static const size_t lengths[] = {0,   1,   55,  56,  63,  64,  65,   111,  112,   119,
                                 120, 127, 128, 129, 183, 239, 1000, 8191, 70000, 70001};

static enum signature_algorithm algorithm_of(size_t key)
{
    static const enum signature_algorithm others[] = {SIGNATURE_ES384, SIGNATURE_ES512,
                                                      SIGNATURE_PS256};
    return key < EC_KEYS                  ? SIGNATURE_ES256
           : key < EC_KEYS + ED25519_KEYS ? SIGNATURE_EDDSA
                                          : others[key - EC_KEYS - ED25519_KEYS];
}

static void spoil(struct subject *subject, const struct subject *other, uint64_t *state)
{
    const uint64_t where = p256_random(state);
    switch (p256_random(state) % 16) {
    case 0:
        subject->size -= 1;
        break;
    case 1:
        subject->size += 1;
        break;
    case 2:
        subject->size = where % 4 == 0 ? 0 : where % SIGNATURE_BYTES_MAX;
        break;
    case 3: /* a DER signature's beginning */
        memmove(subject->signature + 4, subject->signature, 64);
        memcpy(subject->signature, "\x30\x44\x02\x20", 4);
        break;
    case 4: /* the other parity of y, or of x */
        if (subject->key.type == KEY_P256) {
            BIGNUM *p = NULL, *y = BN_bin2bn(subject->key.y, 32, NULL);
            p256_require(BN_hex2bn(&p, P256_P) && BN_sub(y, p, y) &&
                         BN_bn2bin_padded(subject->key.y, 32, y));
            BN_free(p);
            BN_free(y);
        } else {
            subject->key.x[31] ^= 0x80;
        }
        break;
    case 5: /* the key's bytes under another type */
        subject->key.type = (enum public_key_type)(where % (KEY_RSA + 1));
        break;
    case 6: /* the signature under another algorithm */
        subject->algorithm = (enum signature_algorithm)(where % SIGNATURE_ALGORITHMS);
        break;
    case 7: /* somebody else's */
        subject->key = other->key;
        break;
    case 8: /* leading zeros lost: everything one byte to the left */
        memmove(subject->key.x, subject->key.x + 1, 31);
        subject->key.x[31] = 0;
        break;
    case 9:
        memset(subject->signature + where % 64, 0, 64 - where % 64);
        break;
    case 10:
        subject->signature[where % 64] ^= (uint8_t)(1u << where / 64 % 8);
        break;
    case 11:
        subject->message.size -= subject->message.size > 0;
        break;
    default: /* a quarter stays */
        break;
    }
}

static struct subject *subjects_new(uint64_t *state)
{
    static struct signing_key keys[KEYS];
    static uint8_t text[MESSAGE_MAX];
    struct subject *subjects = calloc(SUBJECTS, sizeof *subjects);
    cr_assert_not_null(subjects);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)p256_random(state);
    }
    for (size_t i = 0; i < KEYS; i++) {
        signing_key_init(&keys[i], signature_key_type(algorithm_of(i)));
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        const size_t size = lengths[i % (sizeof lengths / sizeof lengths[0])], k = i * 7 % KEYS;
        subjects[i] = (struct subject){.algorithm = algorithm_of(k),
                                       .key = keys[k].public,
                                       .message = span_make(size > 0 ? text : NULL, size)};
        subjects[i].size = signing_sign(&keys[k], subjects[i].algorithm, subjects[i].message,
                                        subjects[i].signature);
    }
    for (size_t i = SUBJECTS / 3; i < SUBJECTS; i++) {
        spoil(&subjects[i], &subjects[p256_random(state) % (SUBJECTS / 3)], state);
    }
    size_t good = 0;
    for (size_t i = 0; i < SUBJECTS; i++) {
        struct subject *subject = &subjects[i];
        subject->expected = STATUS_FAILED;
        const enum public_key_type type = signature_key_type(subject->algorithm);
        if (type != KEY_NONE && subject->key.type == type) {
            subject->expected = reference_verify(subject->algorithm, &subject->key,
                                                 subject->message,
                                                 span_make(subject->signature, subject->size));
        }
        good += subject->expected == STATUS_OK;
        cr_assert(i >= SUBJECTS / 3 || subject->expected == STATUS_OK);
    }
    cr_assert(good < SUBJECTS * 3 / 4);
    for (size_t i = 0; i < KEYS; i++) {
        signing_key_cleanup(&keys[i]);
    }
    return subjects;
}

/* Which subject stands at `at`: all the same one; two in turns; a good one and copies of a bad one;
 * runs of one key; anything. */
static size_t choose(size_t shape, size_t at, const size_t seeds[3], uint64_t *state)
{
    switch (shape % 5) {
    case 0:
        return seeds[0];
    case 1:
        return seeds[at % 2];
    case 2:
        return at == seeds[2] % 7 ? seeds[0] : seeds[1];
    case 3: /* subjects that differ by 15 have the same key */
        return (seeds[0] + KEYS * (at % (SUBJECTS / KEYS))) % SUBJECTS;
    default:
        return p256_random(state) % SUBJECTS;
    }
}

static void compose(struct verifier *verifier, struct verify_scratch *scratch,
                    struct subject *subjects, uint64_t *state)
{
    static struct verify_job jobs[BATCH_MAX];
    for (size_t shape = 0; shape < 120; shape++) {
        const size_t count = shape < 70 ? shape : 1 + p256_random(state) % BATCH_MAX;
        const size_t seeds[3] = {p256_random(state) % SUBJECTS, p256_random(state) % SUBJECTS,
                                 p256_random(state)};
        size_t chosen[BATCH_MAX];
        for (size_t i = 0; i < count; i++) {
            chosen[i] = choose(shape, i, seeds, state);
            struct subject *subject = &subjects[chosen[i]];
            jobs[i] = (struct verify_job){
                .algorithm = subject->algorithm,
                .key = &subject->key,
                .message = subject->message,
                .signature = span_make(subject->size > 0 ? subject->signature : NULL,
                                       subject->size),
                .status = STATUS_OK};
        }
        verify_batch(verifier, scratch, jobs, count);
        rcu_quiescent();
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(jobs[i].status, subjects[chosen[i]].expected,
                         "%s, %u: job %zu of %zu, subject %zu of algorithm %d: %d",
                         verifier_implementation(verifier), verifier->table_sizes[KEY_P256], i,
                         count, chosen[i], (int)jobs[i].algorithm, (int)jobs[i].status);
        }
    }
}

Test(adversary, batches_of_any_composition, .timeout = 600)
{
    rcu_register();
    uint64_t state = 20;
    struct verify_scratch *scratch = verify_scratch_new();
    struct subject *subjects = subjects_new(&state);
    for (size_t t = 0; t < 3; t++) {
        /* None; room for two tables or so, so that contexts come and go; plenty. */
        static const size_t memories[] = {0, (size_t)160 << 10, (size_t)8 << 20};
        for (size_t m = 0; m < 3; m++) {
            struct verifier *verifier = verifier_new(&(struct verifier_options){
                .key_memory_bytes = memories[m], .implementation = tiers[t]});
            if (verifier == NULL) {
                continue; /* not for this CPU */
            }
            key_contexts_unlimit_builds(verifier->contexts);
            compose(verifier, scratch, subjects, &state);
            struct verifier_counters counters;
            verifier_read_counters(verifier, &counters);
            cr_assert(memories[m] == 0 || counters.context_hits > 0);
            cr_assert(m != 1 || t == 0 || counters.context_evictions > 3);
            verifier_free(verifier);
        }
    }
    free(subjects);
    verify_scratch_free(scratch);
    rcu_unregister();
}

struct provoked {
    struct public_key key;
    uint8_t message[8], signature[64];
    uint8_t good[64];
};

/* u1 G + u2 Q = infinity: d = -u1 / u2 = -e / r. Every order of adding ends in an exceptional
 * addition, and the verdict is the reference's: no. A good signature by d has the context built. */
static void provoke(const struct p256_reference *ref, uint64_t number, struct provoked *out)
{
    uint8_t digest[32];
    memcpy(out->message, &number, sizeof out->message);
    sha256(span_make(out->message, sizeof out->message), digest);
    BIGNUM *e = BN_bin2bn(digest, 32, NULL), *r = BN_new(), *s = BN_new(), *d = BN_new();
    BIGNUM *k = BN_new();
    EC_POINT *q = EC_POINT_new(ref->group);
    p256_require(
        BN_rand_range(r, ref->n) && BN_rand_range(s, ref->n) && BN_add_word(k, 7) &&
        BN_mod_inverse(d, r, ref->n, ref->ctx) != NULL && BN_mod_mul(d, d, e, ref->n, ref->ctx) &&
        BN_sub(d, ref->n, d) && EC_POINT_mul(ref->group, q, d, NULL, NULL, ref->ctx) &&
        BN_bn2bin_padded(out->signature, 32, r) && BN_bn2bin_padded(out->signature + 32, 32, s));
    out->key = p256_key_of(ref, q);
    signing_es256_with_k(ref->group, d, k, digest, out->good);
    EC_POINT_free(q);
    BN_free(e);
    BN_free(r);
    BN_free(s);
    BN_free(d);
    BN_free(k);
}

#define PROVOKED 64
#define ROUNDS   8

/* Batches of which `bad` of 64 jobs provoke: every verdict is its own signature's. */
static void verify_provoked(struct verifier *verifier, struct verify_scratch *scratch,
                            struct provoked *provoked, size_t bad)
{
    for (size_t round = 0; round < ROUNDS; round++) {
        struct verify_job jobs[PROVOKED];
        for (size_t i = 0; i < PROVOKED; i++) {
            const bool harmless = (i * 13 + round) % PROVOKED >= bad;
            jobs[i] = (struct verify_job){
                .algorithm = SIGNATURE_ES256,
                .key = &provoked[i].key,
                .message = span_make(provoked[i].message, sizeof provoked[i].message),
                .signature = span_make(harmless ? provoked[i].good : provoked[i].signature, 64),
                .status = harmless ? STATUS_FAILED : STATUS_OK};
        }
        verify_batch(verifier, scratch, jobs, PROVOKED);
        for (size_t i = 0; i < PROVOKED; i++) {
            const bool harmless = (i * 13 + round) % PROVOKED >= bad;
            cr_assert_eq(jobs[i].status, harmless ? STATUS_OK : STATUS_FAILED,
                         "%s: job %zu with %zu that provoke", verifier_implementation(verifier), i,
                         bad);
        }
        rcu_quiescent();
    }
}

/* What is provoked costs one verification by BoringSSL, for him who provokes it and for nobody
 * else: counted exactly. bench_crypto measures it (--part=provoked). */
Test(adversary, provoked_exceptions_cost_one_reference_each_and_harm_no_neighbour, .timeout = 600)
{
    rcu_register();
    struct p256_reference ref = p256_reference_new();
    struct verify_scratch *scratch = verify_scratch_new();
    static struct provoked provoked[PROVOKED];
    for (size_t i = 0; i < PROVOKED; i++) {
        provoke(&ref, i + 1, &provoked[i]);
    }
    for (size_t t = 0; t < 3; t++) {
        struct verifier *verifier = verifier_new(&(struct verifier_options){
            .key_memory_bytes = (size_t)32 << 20, .implementation = tiers[t]});
        if (verifier == NULL) {
            continue; /* not for this CPU */
        }
        const bool is_reference = strcmp(tiers[t], "reference") == 0;
        key_contexts_unlimit_builds(verifier->contexts);
        for (size_t i = 0; i < PROVOKED; i++) {
            cr_assert(verify_prepare_key(verifier, scratch, &provoked[i].key) == STATUS_OK);
        }
        struct verifier_counters before, after;
        static const size_t shares[] = {0, 1, 8, 63, 64};
        for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
            verifier_read_counters(verifier, &before);
            verify_provoked(verifier, scratch, provoked, shares[s]);
            verifier_read_counters(verifier, &after);
            const uint64_t asked = after.signatures[SIGNATURE_ES256][0] -
                                   before.signatures[SIGNATURE_ES256][0];
            cr_assert_eq(asked, (is_reference ? PROVOKED : shares[s]) * ROUNDS,
                         "%s: the reference was asked %zu times", tiers[t], (size_t)asked);
        }
        verifier_free(verifier);
    }
    verify_scratch_free(scratch);
    p256_reference_free(&ref);
    rcu_unregister();
}

/* Keys that come once and never again, between good ones that are known: no context is built for
 * them, none of the good ones' is lost. */
Test(adversary, a_flood_of_keys_evicts_nobody)
{
    rcu_register();
    struct verify_scratch *scratch = verify_scratch_new();
    struct verifier *verifier = verifier_new(
        &(struct verifier_options){.key_memory_bytes = (size_t)2 << 20});
    static struct signing_key keys[4];
    static uint8_t signatures[4][SIGNATURE_BYTES_MAX];
    const struct span message = SPAN_LITERAL("known");
    for (size_t i = 0; i < 4; i++) {
        enum signature_algorithm algorithm = i % 2 ? SIGNATURE_ES256 : SIGNATURE_EDDSA;
        signing_key_init(&keys[i], signature_key_type(algorithm));
        cr_assert_eq(signing_sign(&keys[i], algorithm, message, signatures[i]), 64);
        cr_assert_eq(verify_prepare_key(verifier, scratch, &keys[i].public), STATUS_OK);
    }
    struct verifier_counters before, after;
    verifier_read_counters(verifier, &before);
    for (size_t turn = 0; turn < 120; turn++) {
        struct signing_key fresh[6];
        uint8_t signed_fresh[6][SIGNATURE_BYTES_MAX];
        struct verify_job jobs[10];
        for (size_t i = 0; i < 10; i++) {
            enum signature_algorithm algorithm = i % 2 ? SIGNATURE_ES256 : SIGNATURE_EDDSA;
            const bool known = i < 4;
            if (!known) {
                signing_key_init(&fresh[i - 4], signature_key_type(algorithm));
                cr_assert_eq(signing_sign(&fresh[i - 4], algorithm, message, signed_fresh[i - 4]),
                             64);
            }
            jobs[i] = (struct verify_job){
                .algorithm = algorithm,
                .key = known ? &keys[i].public : &fresh[i - 4].public,
                .message = message,
                .signature = span_make(known ? signatures[i] : signed_fresh[i - 4], 64)};
        }
        verify_batch(verifier, scratch, jobs, 10);
        rcu_quiescent();
        for (size_t i = 0; i < 10; i++) {
            cr_assert_eq(jobs[i].status, STATUS_OK);
        }
        for (size_t i = 0; i < 6; i++) {
            signing_key_cleanup(&fresh[i]);
        }
    }
    verifier_read_counters(verifier, &after);
    cr_assert_eq(after.context_evictions, before.context_evictions);
    cr_assert_eq(after.key_contexts, 4);
    cr_assert_eq(after.context_hits - before.context_hits, 480, "the known ones were always found");
    for (size_t i = 0; i < 4; i++) {
        signing_key_cleanup(&keys[i]);
    }
    verifier_free(verifier);
    verify_scratch_free(scratch);
    rcu_unregister();
}
