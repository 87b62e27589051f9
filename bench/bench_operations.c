/* What a signature costs the AVX-512 engine of ES256, in operations: the engine is emulated
 * (tests/avx512/immintrin.h) and counts them. The counts are the same on every machine and in every
 * run, so that a change's cost is seen where there is no AVX-512 to time it on. Not counted: what
 * is done with 64-bit words (loading, inversions of fewer than five signatures, the doublings of a
 * table), hashing, and what the compiler spills. */
#include "avx512/operations.h"
#include "crypto/engine.h"
#include "crypto/p256_engine.h"
#include "unit/crypto/signing.h"

#include <stdio.h>
#include <stdlib.h>

#define UNKNOWN_KEYS 8 /* a group of lanes */

static void require(int good)
{
    if (!good) {
        fprintf(stderr, "bench_operations: no memory, or a verdict was wrong\n");
        exit(1);
    }
}

struct subject {
    struct public_key key;
    uint8_t digest[32], signature[64];
};

static void subject_make(struct subject *subject, uint8_t number)
{
    struct signing_key key;
    *subject = (struct subject){.digest = {number}};
    signing_key_init(&key, KEY_P256);
    signing_ecdsa(&key, subject->digest, sizeof subject->digest, 32, subject->signature);
    subject->key = key.public;
    signing_key_cleanup(&key);
}

static void print(const char *what, const struct avx512_operations *counted, size_t signatures)
{
    const double each = 1.0 / (double)signatures;
    printf("  %-26s %9.1f %10.1f %8.1f %8.1f %11.3f\n", what, (double)counted->products * each,
           (double)counted->arithmetic * each, (double)counted->loads * each,
           (double)counted->stores * each, (double)counted->extractions / 4 * each);
}

struct bed {
    const struct engine *engine;
    void *shared, *scratch;
    struct subject subjects[ENGINE_JOBS_MAX];
    void *tables[ENGINE_JOBS_MAX];
};

/* `count` signatures together; without tables as those of new keys. */
static void verify(const struct bed *bed, unsigned size, size_t count, bool known)
{
    struct engine_job jobs[ENGINE_JOBS_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct subject *subject = &bed->subjects[i];
        jobs[i] = (struct engine_job){.algorithm = SIGNATURE_ES256,
                                      .status = STATUS_FAILED,
                                      .key = &subject->key,
                                      .table = bed->tables[i],
                                      .signature = span_make(subject->signature, 64)};
        memcpy(jobs[i].digest, subject->digest, sizeof jobs[i].digest);
    }
    avx512_operations = (struct avx512_operations){0};
    if (known) {
        bed->engine->verify_known(bed->shared, bed->scratch, size, jobs, count);
    } else {
        bed->engine->verify_unknown(bed->shared, bed->scratch, jobs, count);
    }
    for (size_t i = 0; i < count; i++) {
        require(jobs[i].status == STATUS_OK);
    }
}

static void run_size(struct bed *bed, unsigned size)
{
    static const size_t batches[] = {1, 2, 4, 8, 16, 32, 64};
    const size_t bytes = bed->engine->table_bytes(size);
    printf("%u windows, %zu terms, a table of %.1f KiB\n", p256_windows_of(size),
           P256_TERMS(p256_windows_of(size)), (double)bytes / 1024);
    avx512_operations = (struct avx512_operations){0};
    for (size_t i = 0; i < ENGINE_JOBS_MAX; i++) {
        bed->tables[i] = aligned_alloc(ENGINE_ALIGNMENT, bytes);
        require(bed->tables[i] != NULL &&
                bed->engine->table_build(bed->shared, bed->scratch, size, &bed->subjects[i].key,
                                         bed->tables[i]) == STATUS_OK);
    }
    const struct avx512_operations built = avx512_operations;
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        char what[32];
        snprintf(what, sizeof what, "a signature of %zu", batches[b]);
        verify(bed, size, batches[b], true);
        print(what, &avx512_operations, batches[b]);
    }
    print("a table", &built, ENGINE_JOBS_MAX);
    for (size_t i = 0; i < ENGINE_JOBS_MAX; i++) {
        free(bed->tables[i]);
        bed->tables[i] = NULL;
    }
}

int main(void)
{
    static struct bed bed = {.engine = &p256_engine_ifma};
    bed.scratch = aligned_alloc(ENGINE_ALIGNMENT, (bed.engine->scratch_bytes + 63) / 64 * 64);
    bed.shared = bed.engine->shared_new();
    require(bed.scratch != NULL && bed.shared != NULL);
    for (size_t i = 0; i < ENGINE_JOBS_MAX; i++) {
        subject_make(&bed.subjects[i], (uint8_t)i);
    }
    printf("  %-26s %9s %10s %8s %8s %11s\n", "each", "products", "arithmetic", "loads", "stores",
           "inversions");
    static const unsigned windows[] = {P256_WINDOWS_MAX, 52, 43, 39, 37, 32, P256_WINDOWS_MIN};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        run_size(&bed, p256_windows_of(0) - windows[i]);
    }
    printf("keys without a table\n");
    verify(&bed, 0, UNKNOWN_KEYS, false);
    print("a signature of 8", &avx512_operations, UNKNOWN_KEYS);
    bed.engine->shared_free(bed.shared);
    free(bed.scratch);
    return 0;
}
