/* How fast signatures are verified: per algorithm, implementation and batch size, as a ratio to the
 * linked BoringSSL, in one process and in turns (a slice of each, round robin), so that a machine
 * that slows down slows all of them. Also new keys, a flood of keys that never come back, what a
 * table costs in memory and time, and how long a start takes. */
#include "base/rcu.h"
#include "crypto/verifier.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PER_KEY      8
#define FLOOD_KEYS   4096
#define MESSAGE_SIZE 384 /* the signing input of a usual DPoP proof with its JWK */
#define BATCH_MAX    64

/* Keys with signatures of one algorithm, made before anything is timed. */
struct material {
    enum signature_algorithm algorithm;
    size_t keys, per_key;
    struct public_key *public;
    EC_KEY **ec; /* public halves, for the reference loop */
    uint8_t (*messages)[MESSAGE_SIZE];
    uint8_t (*signatures)[64];
    enum status verdict; /* the right one, of all of them */
};

/* CPU time of this thread: other processes then disturb only by what they do to caches and clock
 * rates. */
static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void require(int good)
{
    if (!good) {
        fprintf(stderr, "bench_crypto: BoringSSL failed or a verdict was wrong\n");
        exit(1);
    }
}

static void sign_es256(struct material *m, size_t index, EC_KEY *ec)
{
    uint8_t digest[32];
    SHA256(m->messages[index], MESSAGE_SIZE, digest);
    ECDSA_SIG *sig = ECDSA_do_sign(digest, 32, ec);
    require(sig != NULL);
    const BIGNUM *r, *s;
    ECDSA_SIG_get0(sig, &r, &s);
    require(BN_bn2bin_padded(m->signatures[index], 32, r));
    require(BN_bn2bin_padded(m->signatures[index] + 32, 32, s));
    ECDSA_SIG_free(sig);
}

/* The coordinates of a key that is in m->ec. */
static void publish(struct material *m, size_t index)
{
    const EC_KEY *ec = m->ec[index];
    BIGNUM *x = BN_new(), *y = BN_new();
    require(EC_POINT_get_affine_coordinates_GFp(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec),
                                                x, y, NULL) &&
            BN_bn2bin_padded(m->public[index].x, 32, x) &&
            BN_bn2bin_padded(m->public[index].y, 32, y));
    BN_free(x);
    BN_free(y);
}

static struct material make(enum signature_algorithm algorithm, size_t keys, size_t per_key)
{
    struct material m = {
        .algorithm = algorithm, .keys = keys, .per_key = per_key, .verdict = STATUS_OK};
    m.public = calloc(keys, sizeof *m.public);
    m.ec = calloc(keys, sizeof(EC_KEY *));
    m.messages = calloc(keys * per_key, MESSAGE_SIZE);
    m.signatures = calloc(keys * per_key, 64);
    require(m.public != NULL && m.ec != NULL && m.messages != NULL && m.signatures != NULL);
    for (size_t k = 0; k < keys; k++) {
        uint8_t seed[64];
        if (algorithm == SIGNATURE_ES256) {
            m.public[k].type = KEY_P256;
            m.ec[k] = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
            require(m.ec[k] != NULL && EC_KEY_generate_key(m.ec[k]));
            publish(&m, k);
        } else {
            m.public[k].type = KEY_ED25519;
            ED25519_keypair(m.public[k].x, seed);
        }
        for (size_t i = 0; i < per_key; i++) {
            size_t index = k * per_key + i;
            for (size_t j = 0; j < MESSAGE_SIZE; j++) {
                m.messages[index][j] = (uint8_t)(index * 131 + j * 7 + (j >> 3) * index);
            }
            if (algorithm == SIGNATURE_ES256) {
                sign_es256(&m, index, m.ec[k]);
            } else {
                require(ED25519_sign(m.signatures[index], m.messages[index], MESSAGE_SIZE, seed));
            }
        }
    }
    return m;
}

static void material_free(struct material *m)
{
    for (size_t k = 0; k < m->keys; k++) {
        EC_KEY_free(m->ec[k]);
    }
    free(m->public);
    free(m->ec);
    free(m->messages);
    free(m->signatures);
}

/* The signature a running number names: neighbours have different keys. */
static size_t pick(const struct material *m, uint64_t number)
{
    uint64_t scrambled = (number * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    return scrambled % (m->keys * m->per_key);
}

/* BoringSSL with the key already parsed: what a server that caches EC_KEYs would do. The hash is
 * included. */
static void run_boringssl(const struct material *m, uint64_t number)
{
    size_t index = pick(m, number);
    if (m->algorithm == SIGNATURE_EDDSA) {
        require(ED25519_verify(m->messages[index], MESSAGE_SIZE, m->signatures[index],
                               m->public[index / m->per_key].x));
        return;
    }
    uint8_t digest[32];
    SHA256(m->messages[index], MESSAGE_SIZE, digest);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(m->signatures[index], 32, NULL);
    BIGNUM *s = BN_bin2bn(m->signatures[index] + 32, 32, NULL);
    require(sig != NULL && ECDSA_SIG_set0(sig, r, s));
    require(ECDSA_do_verify(digest, 32, sig, m->ec[index / m->per_key]) ==
            (m->verdict == STATUS_OK));
    ECDSA_SIG_free(sig);
}

struct row {
    struct verifier *verifier; /* NULL: BoringSSL */
    size_t batch;
    uint64_t number;
    double seconds, signatures;
};

static void run_slice(struct row *row, const struct material *m, struct verify_scratch *scratch,
                      double seconds)
{
    double begun = now_s(), passed;
    do {
        if (row->verifier == NULL) {
            for (int i = 0; i < 16; i++) {
                run_boringssl(m, row->number++);
            }
            row->signatures += 16;
        } else {
            struct verify_job jobs[BATCH_MAX];
            size_t repeats = row->batch < 16 ? 16 / row->batch : 1;
            for (size_t repeat = 0; repeat < repeats; repeat++) {
                for (size_t i = 0; i < row->batch; i++) {
                    size_t index = pick(m, row->number++);
                    jobs[i] = (struct verify_job){
                        .algorithm = m->algorithm,
                        .key = &m->public[index / m->per_key],
                        .message = span_make(m->messages[index], MESSAGE_SIZE),
                        .signature = span_make(m->signatures[index], 64)};
                }
                verify_batch(row->verifier, scratch, jobs, row->batch);
                for (size_t i = 0; i < row->batch; i++) {
                    require(jobs[i].status == m->verdict);
                }
                rcu_quiescent();
                row->signatures += (double)row->batch;
            }
        }
        passed = now_s() - begun;
    } while (passed < seconds);
    row->seconds += passed;
}

static void round_robin(struct row *rows, size_t count, const struct material *m,
                        struct verify_scratch *scratch, double seconds)
{
    const double slice = 0.01;
    for (double spent = 0; spent < seconds; spent += slice) {
        for (size_t i = 0; i < count; i++) {
            run_slice(&rows[i], m, scratch, slice);
        }
    }
}

/* What the command line says. */
struct wish {
    double seconds;      /* a row */
    size_t memory, keys; /* bytes; keys with a context */
    size_t batch;        /* 0: all of them */
    const char *algorithm, *implementation, *part;
};

static bool wished(const char *wish, const char *name)
{
    return wish == NULL || strcmp(wish, name) == 0;
}

static const char *const tiers[] = {"reference", "portable", "ifma"};
static const size_t batches[] = {1, 8, 16, 64};

static struct verifier *verifier_make(const char *tier, size_t memory, bool say)
{
    double begun = now_s();
    struct verifier *verifier = verifier_new(
        &(struct verifier_options){.key_memory_bytes = memory, .implementation = tier});
    if (say && verifier != NULL) {
        printf("  start, %-9s %7.1f ms\n", tier, 1e3 * (now_s() - begun));
    }
    return verifier;
}

/* NULL: not asked for, or not for this CPU. */
static struct verifier *verifier_wished(const struct wish *wish, const char *tier, bool say)
{
    return wished(wish->implementation, tier) ? verifier_make(tier, wish->memory, say) : NULL;
}

static void print_rows(const char *what, const struct row *rows, size_t count)
{
    double reference = rows[0].seconds / rows[0].signatures;
    for (size_t i = 0; i < count; i++) {
        double each = rows[i].seconds / rows[i].signatures;
        printf("  %-8s %-10s %3zu  %8.2f us  %9.0f /s  %6.2f x\n", what,
               rows[i].verifier == NULL ? "BoringSSL" : verifier_implementation(rows[i].verifier),
               rows[i].batch, 1e6 * each, 1 / each, reference / each);
    }
}

/* Beside BoringSSL, in batches of the sizes asked for. */
static void measure_batches(const char *name, struct verifier *verifier, const struct material *m,
                            const struct wish *wish, struct verify_scratch *scratch)
{
    struct row rows[1 + 4] = {{.batch = 1}};
    size_t count = 1;
    for (size_t b = 0; b < 4; b++) {
        if (wish->batch == 0 || wish->batch == batches[b]) {
            rows[count++] = (struct row){.verifier = verifier, .batch = batches[b]};
        }
    }
    round_robin(rows, count, m, scratch, wish->seconds);
    print_rows(name, rows, count);
}

/* Uses every key until its context is there: the second use builds it. The budget of a flood may
 * hold that up, so time is given. */
static void warm(struct verifier *verifier, const struct material *m,
                 struct verify_scratch *scratch)
{
    struct verifier_counters counters;
    for (double begun = now_s(); now_s() < begun + 5;) {
        for (size_t i = 0; i < m->keys; i++) {
            struct verify_job job = {
                .algorithm = m->algorithm,
                .key = &m->public[i],
                .message = span_make(m->messages[i * m->per_key], MESSAGE_SIZE),
                .signature = span_make(m->signatures[i * m->per_key], 64)};
            verify_batch(verifier, scratch, &job, 1);
            rcu_quiescent();
        }
        verifier_read_counters(verifier, &counters);
        if (counters.key_contexts >= m->keys) {
            break;
        }
    }
    printf("  %llu contexts, %llu bytes each, tables of size %u\n",
           (unsigned long long)counters.key_contexts,
           (unsigned long long)(counters.key_contexts > 0
                                    ? counters.key_context_bytes / counters.key_contexts
                                    : 0),
           verifier->table_sizes[signature_key_type(m->algorithm)]);
}

/* Keys whose contexts are there. One implementation after the other, as a process has only one: the
 * tables of two would push each other out of the caches. */
static void bench_warm(const char *name, enum signature_algorithm algorithm,
                       const struct wish *wish, struct verify_scratch *scratch)
{
    struct material m = make(algorithm, wish->keys, PER_KEY);
    for (size_t t = 1; t < 3; t++) {
        struct verifier *verifier = verifier_wished(wish, tiers[t], true);
        if (verifier == NULL) {
            continue;
        }
        warm(verifier, &m, scratch);
        measure_batches(name, verifier, &m, wish, scratch);
        verifier_free(verifier);
    }
    material_free(&m);
}

/* Keys without contexts: with no key memory at all, and with the default while none ever comes
 * back. */
static void bench_new(const char *name, enum signature_algorithm algorithm, const struct wish *wish,
                      struct verify_scratch *scratch)
{
    struct material m = make(algorithm, FLOOD_KEYS, 1);
    struct row rows[1 + 8] = {{.batch = 1}};
    size_t count = 1;
    struct verifier *verifiers[3] = {0};
    for (size_t t = 1; t < 3; t++) {
        verifiers[t] = wished(wish->implementation, tiers[t]) ? verifier_make(tiers[t], 0, false)
                                                              : NULL;
        for (size_t b = 0; b < 2 && verifiers[t] != NULL; b++) {
            rows[count++] = (struct row){.verifier = verifiers[t], .batch = batches[b]};
        }
    }
    round_robin(rows, count, &m, scratch, wish->seconds);
    printf("  new keys:\n");
    print_rows(name, rows, count);
    /* The flood: every key once through a fresh verifier, so the filter has seen none of them. */
    for (size_t b = 0; b < 2; b++) {
        struct verifier *verifier = verifier_make(NULL, wish->memory, false);
        double begun = now_s();
        struct verify_job jobs[8];
        for (size_t i = 0; i < m.keys; i += batches[b]) {
            for (size_t j = 0; j < batches[b]; j++) {
                jobs[j] = (struct verify_job){.algorithm = algorithm,
                                              .key = &m.public[i + j],
                                              .message = span_make(m.messages[i + j], MESSAGE_SIZE),
                                              .signature = span_make(m.signatures[i + j], 64)};
            }
            verify_batch(verifier, scratch, jobs, batches[b]);
            rcu_quiescent();
        }
        double each = (now_s() - begun) / (double)m.keys;
        struct verifier_counters counters;
        verifier_read_counters(verifier, &counters);
        printf("  %-8s flood by %zu: %.2f us each, %.2f of BoringSSL's cost, %llu contexts built\n",
               name, batches[b], 1e6 * each, each / (rows[0].seconds / rows[0].signatures),
               (unsigned long long)counters.context_builds);
        verifier_free(verifier);
    }
    for (size_t t = 0; t < 3; t++) {
        verifier_free(verifiers[t]);
    }
    material_free(&m);
}

/* Turns a key into one by which u1 G + u2 Q is the point at infinity: d = -u1 / u2 = -e / r for
 * any r and s. However the terms are added, the last addition is exceptional and goes to the
 * reference: the most that a client can make of a signature. */
static void provoke(struct material *m, size_t index)
{
    uint8_t digest[32];
    SHA256(m->messages[index], MESSAGE_SIZE, digest);
    const EC_GROUP *group = EC_KEY_get0_group(m->ec[index]);
    const BIGNUM *n = EC_GROUP_get0_order(group);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *e = BN_bin2bn(digest, 32, NULL), *r = BN_bin2bn(m->signatures[index], 32, NULL);
    BIGNUM *d = BN_new();
    EC_POINT *q = EC_POINT_new(group);
    require(BN_mod_inverse(d, r, n, ctx) != NULL && BN_mod_mul(d, d, e, n, ctx) &&
            BN_sub(d, n, d) && EC_POINT_mul(group, q, d, NULL, NULL, ctx) &&
            EC_KEY_set_public_key(m->ec[index], q));
    publish(m, index);
    BN_free(e);
    BN_free(r);
    BN_free(d);
    EC_POINT_free(q);
    BN_CTX_free(ctx);
}

/* Batches of nothing but signatures that provoke an exceptional addition. */
static void bench_provoked(const char *name, const struct wish *wish,
                           struct verify_scratch *scratch)
{
    struct material m = make(SIGNATURE_ES256, wish->keys, 1);
    m.verdict = STATUS_FAILED;
    for (size_t i = 0; i < m.keys; i++) {
        provoke(&m, i);
    }
    printf("  exceptions provoked by every signature:\n");
    for (size_t t = 1; t < 3; t++) {
        struct verifier *verifier = verifier_wished(wish, tiers[t], false);
        if (verifier == NULL) {
            continue;
        }
        /* As after one good signature of each key: bad ones alone build nothing. */
        key_contexts_unlimit_builds(verifier->contexts);
        for (size_t i = 0; i < m.keys; i++) {
            require(verify_prepare_key(verifier, scratch, &m.public[i]) == STATUS_OK);
        }
        measure_batches(name, verifier, &m, wish, scratch);
        verifier_free(verifier);
    }
    material_free(&m);
}

#define SIZES_STEP 4 /* of the tables' sizes, which there are some thirty of */

/* What building one context costs, in verifications by BoringSSL. */
static void bench_build(const char *name, enum public_key_type type, const struct wish *wish)
{
    for (size_t t = 1; t < 3; t++) {
        struct verifier *verifier = verifier_wished(wish, tiers[t], false);
        if (verifier == NULL) {
            continue;
        }
        struct verify_scratch *scratch = verify_scratch_new();
        struct material m = make(type == KEY_P256 ? SIGNATURE_ES256 : SIGNATURE_EDDSA, 64, 1);
        const struct engine *engine = verifier->engines[type];
        for (unsigned size = 0; size <= engine->size_max; size += SIZES_STEP) {
            size_t bytes = engine->table_bytes(size);
            void *table = aligned_alloc(ENGINE_ALIGNMENT, (bytes + 63) / 64 * 64);
            double begun = now_s();
            for (size_t i = 0; i < m.keys; i++) {
                require(engine->table_build(verifier->shared[type], scratch->engine, size,
                                            &m.public[i], table) == STATUS_OK);
                if (engine->table_cleanup != NULL) {
                    engine->table_cleanup(table);
                }
            }
            printf("  %-8s %-10s table of size %2u: %7zu bytes, %7.1f us\n", name, tiers[t], size,
                   bytes, 1e6 * (now_s() - begun) / (double)m.keys);
            free(table);
        }
        material_free(&m);
        verify_scratch_free(scratch);
        verifier_free(verifier);
    }
}

static const char usage[] =
    "usage: bench_crypto [--seconds=N] [--memory=MIB] [--keys=N] [--algorithm=ES256|Ed25519]\n"
    "                    [--implementation=portable|ifma] [--part=build|warm|new|provoked]\n"
    "                    [--batch=1|8|16|64]\n"
    "  --seconds=N  a row (1)   --memory=MIB  for contexts (32)   --keys=N  with a context (256)\n";

/* The value of `--name=value`, or NULL. */
static const char *option(const char *argument, const char *name)
{
    size_t size = strlen(name);
    return strncmp(argument, name, size) == 0 && argument[size] == '=' ? argument + size + 1 : NULL;
}

static bool read_wish(int argc, char **argv, struct wish *wish)
{
    *wish = (struct wish){.seconds = 1, .memory = (size_t)32 << 20, .keys = 256};
    for (int i = 1; i < argc; i++) {
        const char *value;
        if ((value = option(argv[i], "--seconds")) != NULL) {
            wish->seconds = strtod(value, NULL);
        } else if ((value = option(argv[i], "--memory")) != NULL) {
            wish->memory = (size_t)strtoul(value, NULL, 10) << 20;
        } else if ((value = option(argv[i], "--keys")) != NULL) {
            wish->keys = strtoul(value, NULL, 10);
        } else if ((value = option(argv[i], "--batch")) != NULL) {
            wish->batch = strtoul(value, NULL, 10);
        } else if ((value = option(argv[i], "--algorithm")) != NULL) {
            wish->algorithm = value;
        } else if ((value = option(argv[i], "--implementation")) != NULL) {
            wish->implementation = value;
        } else if ((value = option(argv[i], "--part")) != NULL) {
            wish->part = value;
        } else {
            return false;
        }
    }
    return wish->seconds > 0 && wish->keys > 0 && wish->keys <= 65536;
}

int main(int argc, char **argv)
{
    struct wish wish;
    if (!read_wish(argc, argv, &wish)) {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    rcu_register();
    struct verify_scratch *scratch = verify_scratch_new();
    require(scratch != NULL);
    printf("BoringSSL API version %d; %zu keys, messages of %d bytes hashed in every row, "
           "key memory %zu MiB\n",
           BORINGSSL_API_VERSION, wish.keys, MESSAGE_SIZE, wish.memory >> 20);
    static const struct {
        const char *name;
        enum signature_algorithm algorithm;
    } runs[] = {{"ES256", SIGNATURE_ES256}, {"Ed25519", SIGNATURE_EDDSA}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (!wished(wish.algorithm, runs[i].name)) {
            continue;
        }
        printf("%s\n", runs[i].name);
        if (wished(wish.part, "build")) {
            bench_build(runs[i].name, signature_key_type(runs[i].algorithm), &wish);
        }
        if (wished(wish.part, "warm")) {
            bench_warm(runs[i].name, runs[i].algorithm, &wish, scratch);
        }
        if (wished(wish.part, "new")) {
            bench_new(runs[i].name, runs[i].algorithm, &wish, scratch);
        }
        if (wished(wish.part, "provoked") && runs[i].algorithm == SIGNATURE_ES256) {
            bench_provoked(runs[i].name, &wish, scratch);
        }
    }
    verify_scratch_free(scratch);
    rcu_unregister();
    return 0;
}
