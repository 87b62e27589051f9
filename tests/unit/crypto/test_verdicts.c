/* Every implementation gives BoringSSL's verdict: over random and mutated signatures, every batch
 * size and place, with and without contexts. POPGATE_CRYPTO_CASES sets the number of cases (make
 * soak: 10^7). All of a run follows from its seed, which is printed: POPGATE_CRYPTO_SEED=… is the
 * same run again. */
#include "base/rcu.h"
#include "crypto/p256_engine.h"
#include "crypto/reference.h"
#include "crypto/verifier.h"
#include "unit/crypto/signing.h"

#include <criterion/criterion.h>
#include <openssl/ecdsa.h>
#include <openssl/rand.h>
#include <stdio.h>

#define KEYS        24
#define BATCH_MAX   64
#define MESSAGE_MAX 320
#define RAW_BYTES   64

#if defined(__SANITIZE_ADDRESS__)
#define CASES_DEFAULT 20000
#else
#define CASES_DEFAULT 100000 /* of each of the two algorithms with engines */
#endif

static size_t cases_wanted(void)
{
    const char *text = getenv("POPGATE_CRYPTO_CASES");
    size_t value = text != NULL ? strtoul(text, NULL, 10) : 0;
    return value > 0 ? value : CASES_DEFAULT;
}

/* A small generator, seeded from the system's: the tests make millions of choices. */
static uint64_t next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void next_bytes(uint64_t *state, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(next(state) >> 32);
    }
}

/* Another one in every run, unless one is asked for. */
static uint64_t seed_wanted(void)
{
    const char *text = getenv("POPGATE_CRYPTO_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 0;
    while (seed == 0) {
        RAND_bytes((uint8_t *)&seed, sizeof seed);
    }
    return seed;
}

struct test_case {
    struct public_key key;
    uint8_t message[MESSAGE_MAX];
    size_t message_size;
    uint8_t signature[RAW_BYTES];
    enum status expected;
};

static const uint8_t order_of_p256[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
static const uint8_t order_of_ed25519[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

/* half = order - half (P-256's s: the other valid one) or half + order (Ed25519's S: out of range).
 */
static void twist(enum signature_algorithm algorithm, uint8_t half[32])
{
    int carry = 0;
    for (int i = 0; i < 32; i++) {
        if (algorithm == SIGNATURE_ES256) {
            int value = order_of_p256[31 - i] - half[31 - i] + carry;
            half[31 - i] = (uint8_t)value;
            carry = value < 0 ? -1 : 0;
        } else {
            int value = half[i] + order_of_ed25519[i] + carry;
            half[i] = (uint8_t)value;
            carry = value >> 8;
        }
    }
}

static void mutate(struct test_case *c, const struct test_case *other,
                   enum signature_algorithm algorithm, uint64_t *state)
{
    uint64_t kind = next(state) % 20, where = next(state);
    switch (kind) {
    case 0:
        c->signature[where % 64] ^= (uint8_t)(1u << (where >> 8) % 8);
        break;
    case 1:
        c->message[where % c->message_size] ^= 1;
        break;
    case 2:
        c->key = other->key;
        break;
    case 3:
        memcpy(c->signature, other->signature, 32);
        break;
    case 4:
        twist(algorithm, c->signature + 32);
        break;
    case 5:
        memset(c->signature + 32 * (where % 2), (where >> 8) % 3 ? 0 : 0xff, 32);
        break;
    case 6:
        c->key.x[where % 32] ^= (uint8_t)(1u << (where >> 8) % 8);
        break;
    case 7:
        next_bytes(state, c->signature, 64);
        break;
    case 8:
        memcpy(c->signature + 32 * (where % 2),
               algorithm == SIGNATURE_ES256 ? order_of_p256 : order_of_ed25519, 32);
        c->signature[32 * (where % 2) + (algorithm == SIGNATURE_ES256 ? 31 : 0)] ^=
            (uint8_t)((where >> 8) % 4);
        break;
    case 9:
        if (algorithm == SIGNATURE_ES256) {
            c->key.y[where % 32] ^= 1;
        } else {
            c->key.x[31] ^= 0x80;
        }
        break;
    default: /* half of all stay as they are */
        break;
    }
}

static struct verifier *verifier_of(const char *tier, size_t memory)
{
    return verifier_new(
        &(struct verifier_options){.key_memory_bytes = memory, .implementation = tier});
}

/* Uses each key until its context is there. */
static void warm(struct verifier *verifier, struct verify_scratch *scratch,
                 const struct test_case *cases, size_t count, enum signature_algorithm algorithm)
{
    for (size_t i = 0; i < 3 * count; i++) {
        const struct test_case *c = &cases[i % count];
        struct verify_job job = {.algorithm = algorithm,
                                 .key = &c->key,
                                 .message = span_make(c->message, c->message_size),
                                 .signature = span_make(c->signature, RAW_BYTES)};
        verify_batch(verifier, scratch, &job, 1);
        rcu_quiescent();
    }
}

struct ways {
    struct verifier *verifiers[9];
    size_t count;
    struct verify_scratch *scratch;
};

static void ways_add(struct ways *ways, const char *tier, size_t memory, enum public_key_type type)
{
    struct verifier *verifier = verifier_of(tier, memory);
    if (verifier == NULL) {
        return; /* not for this CPU */
    }
    const struct engine *engine = verifier->engines[type];
    bool reference = engine->tier == ENGINE_REFERENCE && strcmp(tier, "reference") != 0;
    bool nothing_new = memory == 0 && engine->verify_unknown == NULL;
    if (reference || nothing_new) {
        verifier_free(verifier); /* it would compare BoringSSL with itself again */
        return;
    }
    ways->verifiers[ways->count++] = verifier;
}

static void ways_init(struct ways *ways, enum public_key_type type)
{
    *ways = (struct ways){.scratch = verify_scratch_new()};
    ways_add(ways, "reference", (size_t)4 << 20, type);
    for (int t = 0; t < 2; t++) {
        /* Contexts with the smallest tables, the default's, large ones; and none. */
        static const size_t memories[] = {(size_t)4 << 20, (size_t)32 << 20, (size_t)96 << 20, 0};
        for (size_t m = 0; m < 4; m++) {
            ways_add(ways, t == 0 ? "portable" : "ifma", memories[m], type);
        }
    }
    /* The portable one again, as a CPU without MULX and ADX has it, or one of another kind. */
    size_t before = ways->count;
    ways_add(ways, "portable", (size_t)32 << 20, type);
    if (type == KEY_P256 && ways->count > before) {
        ((struct p256_shared *)ways->verifiers[before]->shared[type])->bmi2 = false;
    } else if (ways->count > before) {
        verifier_free(ways->verifiers[--ways->count]);
    }
}

static void ways_cleanup(struct ways *ways)
{
    for (size_t i = 0; i < ways->count; i++) {
        verifier_free(ways->verifiers[i]);
    }
    verify_scratch_free(ways->scratch);
}

static void check_batch(struct ways *ways, enum signature_algorithm algorithm,
                        const struct test_case *const *cases, size_t count)
{
    for (size_t w = 0; w < ways->count; w++) {
        struct verify_job jobs[BATCH_MAX];
        for (size_t i = 0; i < count; i++) {
            jobs[i] = (struct verify_job){
                .algorithm = algorithm,
                .key = &cases[i]->key,
                .message = span_make(cases[i]->message, cases[i]->message_size),
                .signature = span_make(cases[i]->signature, RAW_BYTES),
                .status = STATUS_OK};
        }
        verify_batch(ways->verifiers[w], ways->scratch, jobs, count);
        rcu_quiescent();
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(jobs[i].status, cases[i]->expected,
                         "%s, tables of size %u: job %zu of %zu: %s, BoringSSL says %s",
                         verifier_implementation(ways->verifiers[w]),
                         ways->verifiers[w]->table_sizes[cases[i]->key.type], i, count,
                         status_name(jobs[i].status), status_name(cases[i]->expected));
        }
    }
}

/* A number of 1 .. n - 1, near enough to evenly. */
static BIGNUM *next_scalar(uint64_t *state)
{
    uint8_t bytes[32];
    next_bytes(state, bytes, sizeof bytes);
    bytes[0] &= 0x7f;
    bytes[31] |= 1;
    BIGNUM *scalar = BN_bin2bn(bytes, sizeof bytes, NULL);
    signing_require(scalar != NULL);
    return scalar;
}

/* As signing_key_init, but the same key for the same state. */
static void key_from(struct signing_key *key, enum signature_algorithm algorithm, uint64_t *state)
{
    *key = (struct signing_key){.public.type = signature_key_type(algorithm)};
    if (algorithm == SIGNATURE_EDDSA) {
        uint8_t seed[32];
        next_bytes(state, seed, sizeof seed);
        ED25519_keypair_from_seed(key->public.x, key->ed25519, seed);
        return;
    }
    key->ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    const EC_GROUP *group = EC_KEY_get0_group(key->ec);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *d = next_scalar(state);
    signing_require(EC_POINT_mul(group, point, d, NULL, NULL, NULL) &&
                    EC_KEY_set_private_key(key->ec, d) && EC_KEY_set_public_key(key->ec, point));
    signing_key_publish_ec(key, 32);
    EC_POINT_free(point);
    BN_free(d);
}

static void sign_case(struct test_case *c, const struct signing_key *key,
                      enum signature_algorithm algorithm, uint64_t *state)
{
    c->key = key->public;
    c->message_size = 1 + next(state) % MESSAGE_MAX;
    next_bytes(state, c->message, c->message_size);
    if (algorithm == SIGNATURE_ES256) {
        uint8_t digest[32];
        BIGNUM *k = next_scalar(state);
        SHA256(c->message, c->message_size, digest);
        signing_es256_with_k(EC_KEY_get0_group(key->ec), EC_KEY_get0_private_key(key->ec), k,
                             digest, c->signature);
        BN_free(k);
    } else {
        signing_require(ED25519_sign(c->signature, c->message, c->message_size, key->ed25519));
    }
    c->expected = STATUS_OK;
}

static void random_and_mutated(enum signature_algorithm algorithm)
{
    rcu_register();
    const uint64_t seed = seed_wanted();
    uint64_t state = seed;
    struct signing_key keys[KEYS];
    /* At once, so that it is known of a run that ends badly. */
    fprintf(stderr, "verdicts, %s: POPGATE_CRYPTO_SEED=0x%016llx, %zu cases\n",
            algorithm == SIGNATURE_ES256 ? "ES256" : "EdDSA", (unsigned long long)seed,
            cases_wanted());
    static struct test_case base[KEYS * 16], batch[BATCH_MAX];
    for (size_t k = 0; k < KEYS; k++) {
        key_from(&keys[k], algorithm, &state);
    }
    for (size_t i = 0; i < KEYS * 16; i++) {
        sign_case(&base[i], &keys[i % KEYS], algorithm, &state);
    }
    struct ways ways;
    ways_init(&ways, signature_key_type(algorithm));
    for (size_t w = 0; w < ways.count; w++) {
        warm(ways.verifiers[w], ways.scratch, base, KEYS, algorithm);
    }
    size_t wanted = cases_wanted(), done = 0, good = 0;
    for (size_t round = 0; done < wanted; round++) {
        size_t count = round % BATCH_MAX + 1;
        const struct test_case *cases[BATCH_MAX];
        for (size_t i = 0; i < count; i++) {
            uint64_t choice = next(&state);
            batch[i] = base[choice % (KEYS * 16)];
            mutate(&batch[i], &base[(choice >> 32) % (KEYS * 16)], algorithm, &state);
            batch[i].expected = reference_verify(algorithm, &batch[i].key,
                                                 span_make(batch[i].message, batch[i].message_size),
                                                 span_make(batch[i].signature, RAW_BYTES));
            good += batch[i].expected == STATUS_OK;
            cases[i] = &batch[i];
        }
        check_batch(&ways, algorithm, cases, count);
        done += count;
        /* Fresh signatures now and then. */
        sign_case(&base[round % (KEYS * 16)], &keys[round % KEYS], algorithm, &state);
    }
    fprintf(stderr, "verdicts, %s: %zu cases, %zu of them good, %zu ways each, all equal\n",
            algorithm == SIGNATURE_ES256 ? "ES256" : "EdDSA", done, good, ways.count);
    cr_assert(good > done / 4 && good < done, "both verdicts were seen");
    ways_cleanup(&ways);
    for (size_t k = 0; k < KEYS; k++) {
        signing_key_cleanup(&keys[k]);
    }
    rcu_unregister();
}

Test(verdicts, random_and_mutated_ed25519, .timeout = 3600)
{
    random_and_mutated(SIGNATURE_EDDSA);
}

Test(verdicts, random_and_mutated_es256, .timeout = 3600)
{
    random_and_mutated(SIGNATURE_ES256);
}

static void one_among_others(enum signature_algorithm algorithm)
{
    rcu_register();
    uint64_t state = 1;
    struct signing_key keys[KEYS];
    static struct test_case good[BATCH_MAX], bad[BATCH_MAX];
    for (size_t k = 0; k < KEYS; k++) {
        key_from(&keys[k], algorithm, &state);
    }
    for (size_t i = 0; i < BATCH_MAX; i++) {
        sign_case(&good[i], &keys[i % KEYS], algorithm, &state);
        bad[i] = good[i];
        bad[i].signature[(i * 5 + 7) % 64] ^= (uint8_t)(1u << i % 8);
        bad[i].expected = STATUS_FAILED;
    }
    struct ways ways;
    ways_init(&ways, signature_key_type(algorithm));
    for (size_t w = 0; w < ways.count; w++) {
        warm(ways.verifiers[w], ways.scratch, good, KEYS, algorithm);
    }
    const size_t places = cases_wanted() < CASES_DEFAULT ? 4 : 24; /* of a batch, about */
    for (size_t count = 1; count <= BATCH_MAX; count++) {
        for (size_t odd = 0; odd < count; odd += 1 + count / places) {
            for (int polarity = 0; polarity < 2; polarity++) {
                const struct test_case *cases[BATCH_MAX];
                for (size_t i = 0; i < count; i++) {
                    size_t which = (i + odd * 7) % BATCH_MAX;
                    cases[i] = (i == odd) == (polarity == 0) ? &bad[which] : &good[which];
                }
                check_batch(&ways, algorithm, cases, count);
            }
        }
    }
    ways_cleanup(&ways);
    for (size_t k = 0; k < KEYS; k++) {
        signing_key_cleanup(&keys[k]);
    }
    rcu_unregister();
}

Test(verdicts, one_bad_among_good_and_one_good_among_bad_ed25519, .timeout = 3600)
{
    one_among_others(SIGNATURE_EDDSA);
}

Test(verdicts, one_bad_among_good_and_one_good_among_bad_es256, .timeout = 3600)
{
    one_among_others(SIGNATURE_ES256);
}
