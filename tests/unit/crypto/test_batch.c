#include "base/rcu.h"
#include "crypto/reference.h"
#include "crypto/verifier.h"
#include "unit/crypto/signing.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *const tiers[] = {"reference", "portable", "ifma"};

static struct verifier *verifier_of(const char *name, size_t memory)
{
    struct verifier_options options = {.key_memory_bytes = memory, .implementation = name};
    return verifier_new(&options);
}

Test(verifier, names)
{
    rcu_register();
    cr_assert_null(verifier_of("fast", 0));
    cr_assert_null(verifier_of("Reference", 0));
    for (size_t i = 0; i < 2; i++) {
        struct verifier *verifier = verifier_of(tiers[i], 0);
        cr_assert_str_eq(verifier_implementation(verifier), tiers[i]);
        verifier_free(verifier);
    }
    cr_assert_eq(setenv("POPGATE_CRYPTO", "reference", 1), 0);
    struct verifier *verifier = verifier_of(NULL, 0);
    cr_assert_str_eq(verifier_implementation(verifier), "reference");
    verifier_free(verifier);
    verifier = verifier_of("portable", 0);
    cr_assert_str_eq(verifier_implementation(verifier), "portable", "the option goes first");
    verifier_free(verifier);
    cr_assert_eq(setenv("POPGATE_CRYPTO", "nonsense", 1), 0);
    cr_assert_null(verifier_of(NULL, 0));
    cr_assert_eq(setenv("POPGATE_CRYPTO", "", 1), 0);
    verifier = verifier_of(NULL, 0);
    cr_assert_not_null(verifier);
    cr_assert_str_neq(verifier_implementation(verifier), "reference");
    verifier_free(verifier);
    verifier_free(NULL);
    rcu_unregister();
}

/* One key and one good signature of each algorithm. */
struct signer {
    struct signing_key key;
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t size;
};
static const struct span message = SPAN_LITERAL("header.payload");

static void signers_init(struct signer signers[SIGNATURE_ALGORITHMS])
{
    for (int a = SIGNATURE_ES256; a < SIGNATURE_ALGORITHMS; a++) {
        signing_key_init(&signers[a].key, signature_key_type((enum signature_algorithm)a));
        signers[a].size = signing_sign(&signers[a].key, (enum signature_algorithm)a, message,
                                       signers[a].signature);
    }
}

static struct verify_job job_of(const struct signer *signers, int algorithm)
{
    return (struct verify_job){
        .algorithm = (enum signature_algorithm)algorithm,
        .key = &signers[algorithm].key.public,
        .message = message,
        .signature = span_make(signers[algorithm].signature, signers[algorithm].size),
        .status = STATUS_OK, /* what the caller left there must not survive */
    };
}

Test(batch, mixed_algorithms_of_every_size_with_exactly_the_bad_ones_refused)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    for (size_t t = 0; t < 3; t++) {
        struct verifier *verifier = verifier_of(tiers[t], (size_t)32 << 20);
        if (verifier == NULL) {
            continue; /* no such CPU */
        }
        struct verify_scratch *scratch = verify_scratch_new();
        for (size_t count = 0; count <= 150; count += 1 + count / 10) {
            struct verify_job jobs[150];
            uint8_t spoilt[150][SIGNATURE_BYTES_MAX];
            for (size_t i = 0; i < count; i++) {
                jobs[i] = job_of(signers, 1 + (int)((i * 7 + count) % 6));
                memcpy(spoilt[i], jobs[i].signature.data, jobs[i].signature.size);
                if ((i + count) % 5 == 0) {
                    spoilt[i][jobs[i].signature.size / 2 + i % 8] ^= 0x10;
                }
                jobs[i].signature.data = spoilt[i];
            }
            verify_batch(verifier, scratch, jobs, count);
            for (size_t i = 0; i < count; i++) {
                cr_assert_eq(jobs[i].status, (i + count) % 5 == 0 ? STATUS_FAILED : STATUS_OK,
                             "%s: job %zu of %zu, algorithm %d", tiers[t], i, count,
                             jobs[i].algorithm);
            }
            rcu_quiescent();
        }
        verify_scratch_free(scratch);
        verifier_free(verifier);
    }
    rcu_unregister();
}

Test(batch, what_is_no_job_fails)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    struct verifier *verifier = verifier_of(NULL, (size_t)1 << 20);
    struct verify_scratch *scratch = verify_scratch_new();
    struct verify_job jobs[9];
    for (size_t i = 0; i < 9; i++) {
        jobs[i] = job_of(signers, SIGNATURE_ES256);
    }
    jobs[0].algorithm = SIGNATURE_NONE;
    jobs[1].algorithm = SIGNATURE_ALGORITHMS;
    jobs[2].algorithm = (enum signature_algorithm) - 1;
    jobs[3].key = NULL;
    jobs[4].signature.size = 63;
    jobs[5].signature.size = 65;
    jobs[6].signature = span_make(NULL, 0);
    jobs[7].algorithm = SIGNATURE_EDDSA;
    verify_batch(verifier, scratch, jobs, 9);
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(jobs[i].status, STATUS_FAILED, "job %zu", i);
    }
    cr_assert_eq(jobs[8].status, STATUS_OK);
    verify_batch(verifier, scratch, NULL, 0);
    verify_scratch_free(scratch);
    verifier_free(verifier);
    rcu_unregister();
}

Test(batch, a_context_is_built_on_the_second_good_use_and_serves_the_third)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    for (int a = SIGNATURE_ES256; a < SIGNATURE_ALGORITHMS; a++) {
        struct verifier *verifier = verifier_of(NULL, (size_t)32 << 20);
        struct verify_scratch *scratch = verify_scratch_new();
        struct verifier_counters counters;
        uint8_t wrong[SIGNATURE_BYTES_MAX];
        struct verify_job job;
        for (size_t i = 0; i < 4; i++) { /* bad signatures never count */
            job = job_of(signers, a);
            memcpy(wrong, job.signature.data, job.signature.size);
            wrong[20] ^= 1;
            job.signature.data = wrong;
            verify_batch(verifier, scratch, &job, 1);
            cr_assert_eq(job.status, STATUS_FAILED);
        }
        for (size_t use = 1; use <= 4; use++) {
            job = job_of(signers, a);
            verify_batch(verifier, scratch, &job, 1);
            cr_assert_eq(job.status, STATUS_OK);
            verifier_read_counters(verifier, &counters);
            cr_assert_eq(counters.context_builds, use >= 2, "algorithm %d use %zu", a, use);
            cr_assert_eq(counters.context_misses, 4 + (use < 2 ? use : 2));
            cr_assert_eq(counters.context_hits, use < 3 ? 0 : use - 2);
        }
        cr_assert_eq(counters.key_contexts, 1);
        cr_assert(counters.key_context_bytes > 1000);
        job.signature.data = wrong;
        verify_batch(verifier, scratch, &job, 1);
        cr_assert_eq(job.status, STATUS_FAILED, "with a context it still fails");
        enum engine_tier tier = verifier->engines[signature_key_type(job.algorithm)]->tier;
        verifier_read_counters(verifier, &counters);
        cr_assert_eq(counters.signatures[a][ENGINE_REFERENCE] +
                         (tier ? counters.signatures[a][tier] : 0),
                     9);
        cr_assert(counters.signatures[a][tier] >= 3);
        verify_scratch_free(scratch);
        verifier_free(verifier);
    }
    rcu_unregister();
}

Test(batch, deferred_builds_wait_for_their_call)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    struct verifier *verifier = verifier_of(NULL, (size_t)32 << 20);
    struct verify_scratch *scratch = verify_scratch_new();
    verify_scratch_defer_builds(scratch, true);
    struct verify_job jobs[12];
    for (size_t i = 0; i < 12; i++) {
        jobs[i] = job_of(signers, 1 + (int)(i % 6));
    }
    verify_batch(verifier, scratch, jobs, 12);
    struct verifier_counters counters;
    verifier_read_counters(verifier, &counters);
    cr_assert_eq(counters.context_builds, 0);
    verify_build_contexts(verifier, scratch);
    verifier_read_counters(verifier, &counters);
    cr_assert_eq(counters.context_builds, BUILDS_PER_TURN_MAX, "and no more in one turn");
    verify_build_contexts(verifier, scratch);
    verifier_read_counters(verifier, &counters);
    cr_assert_eq(counters.context_builds, BUILDS_PER_TURN_MAX);
    verify_scratch_free(scratch);
    verifier_free(verifier);
    rcu_unregister();
}

/* An engine that answers as it is told: undecided must go to the reference, anything odd must fail.
 */
static enum status told[ENGINE_JOBS_MAX];
static size_t told_count;

static size_t told_bytes(unsigned size)
{
    (void)size;
    return 64;
}
static enum status told_build(const void *shared, void *scratch, unsigned size,
                              const struct public_key *key, void *table)
{
    (void)shared;
    (void)scratch;
    (void)size;
    (void)key;
    memset(table, 0, 64);
    return STATUS_OK;
}
static void told_known(const void *shared, void *scratch, unsigned size, struct engine_job *jobs,
                       size_t count)
{
    (void)shared;
    (void)scratch;
    (void)size;
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(jobs[i].status, STATUS_FAILED, "statuses start failed");
        cr_assert_not_null(jobs[i].table);
        jobs[i].status = told[i];
    }
    told_count = count;
}
static void told_unknown(const void *shared, void *scratch, struct engine_job *jobs, size_t count)
{
    (void)shared;
    (void)scratch;
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(jobs[i].status, STATUS_FAILED);
        cr_assert_null(jobs[i].table);
        cr_assert(jobs[i].digest_wanted, "the engine is to hash the message");
        jobs[i].status = told[i];
    }
    told_count = count;
}
static const struct engine told_engine = {
    .tier = ENGINE_PORTABLE,
    .key_type = KEY_P256,
    .table_bytes = told_bytes,
    .table_build = told_build,
    .verify_known = told_known,
    .unknown_min = 4,
    .verify_unknown = told_unknown,
};

static struct verifier *told_verifier(size_t memory)
{
    struct verifier *verifier = verifier_of("reference", memory);
    verifier->engines[KEY_P256] = &told_engine;
    verifier->table_sizes[KEY_P256] = 0;
    return verifier;
}

static void told_check(bool known)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    struct verifier *verifier = told_verifier(known ? 1 << 20 : 0);
    struct verify_scratch *scratch = verify_scratch_new();
    struct verify_job jobs[8];
    if (known) {
        for (size_t i = 0; i < 2; i++) {
            jobs[0] = job_of(signers, SIGNATURE_ES256);
            verify_batch(verifier, scratch, jobs, 1);
            cr_assert_eq(jobs[0].status, STATUS_OK);
        }
    }
    uint8_t wrong[64] = {1};
    static const enum status answers[8] = {STATUS_OK,    STATUS_FAILED, STATUS_AGAIN,
                                           STATUS_AGAIN, STATUS_EXISTS, STATUS_NO_MEMORY,
                                           STATUS_OK,    STATUS_AGAIN};
    static const enum status wanted[8] = {STATUS_OK,     STATUS_FAILED, STATUS_OK, STATUS_FAILED,
                                          STATUS_FAILED, STATUS_FAILED, STATUS_OK, STATUS_OK};
    for (size_t i = 0; i < 8; i++) {
        jobs[i] = job_of(signers, SIGNATURE_ES256);
        told[i] = answers[i];
    }
    jobs[3].signature = span_make(wrong, 64); /* undecided and bad: the reference says so */
    struct verifier_counters before, after;
    verifier_read_counters(verifier, &before);
    verify_batch(verifier, scratch, jobs, 8);
    verifier_read_counters(verifier, &after);
    cr_assert_eq(told_count, 8);
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(jobs[i].status, wanted[i], "job %zu", i);
    }
    cr_assert_eq(after.signatures[SIGNATURE_ES256][ENGINE_REFERENCE] -
                     before.signatures[SIGNATURE_ES256][ENGINE_REFERENCE],
                 3, "only the undecided cost a reference verification");
    cr_assert_eq(after.signatures[SIGNATURE_ES256][ENGINE_PORTABLE] -
                     before.signatures[SIGNATURE_ES256][ENGINE_PORTABLE],
                 5);
    verify_scratch_free(scratch);
    verifier_free(verifier);
    rcu_unregister();
}

Test(batch, an_engines_doubt_about_known_keys_goes_to_the_reference)
{
    told_check(true);
}

Test(batch, an_engines_doubt_about_new_keys_goes_to_the_reference)
{
    told_check(false);
}

Test(batch, few_new_keys_go_to_the_reference_and_many_in_full_groups)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    struct verifier *verifier = told_verifier(0);
    struct verify_scratch *scratch = verify_scratch_new();
    struct verify_job jobs[70];
    for (size_t i = 0; i < ENGINE_JOBS_MAX; i++) {
        told[i] = STATUS_FAILED;
    }
    for (size_t count = 1; count <= 3; count++) {
        for (size_t i = 0; i < count; i++) {
            jobs[i] = job_of(signers, SIGNATURE_ES256);
        }
        told_count = 0;
        verify_batch(verifier, scratch, jobs, count);
        cr_assert_eq(told_count, 0);
        cr_assert_eq(jobs[count - 1].status, STATUS_OK, "the reference decided");
    }
    /* 64 to the engine, which was told to say no, six more to it as well. */
    for (size_t i = 0; i < 70; i++) {
        jobs[i] = job_of(signers, SIGNATURE_ES256);
    }
    verify_batch(verifier, scratch, jobs, 70);
    cr_assert_eq(told_count, 6);
    for (size_t i = 0; i < 70; i++) {
        cr_assert_eq(jobs[i].status, STATUS_FAILED);
    }
    verify_scratch_free(scratch);
    verifier_free(verifier);
    rcu_unregister();
}

Test(batch, without_key_memory_everything_is_verified_all_the_same)
{
    rcu_register();
    static struct signer signers[SIGNATURE_ALGORITHMS];
    signers_init(signers);
    struct verifier *verifier = verifier_of(NULL, 0);
    struct verify_scratch *scratch = verify_scratch_new();
    for (size_t i = 0; i < 3; i++) {
        struct verify_job jobs[SIGNATURE_ALGORITHMS - 1];
        for (int a = SIGNATURE_ES256; a < SIGNATURE_ALGORITHMS; a++) {
            jobs[a - 1] = job_of(signers, a);
        }
        verify_batch(verifier, scratch, jobs, SIGNATURE_ALGORITHMS - 1);
        for (int a = SIGNATURE_ES256; a < SIGNATURE_ALGORITHMS; a++) {
            cr_assert_eq(jobs[a - 1].status, STATUS_OK);
        }
    }
    struct verifier_counters counters;
    verifier_read_counters(verifier, &counters);
    cr_assert_eq(counters.key_contexts, 0);
    cr_assert_eq(counters.context_hits, 0);
    cr_assert_eq(counters.context_misses, 18);
    verify_scratch_free(scratch);
    verifier_free(verifier);
    rcu_unregister();
}
