#include "crypto/verify.h"

#include "base/cpu_features.h"
#include "crypto/reference.h"

#include <stdatomic.h>
#include <stdlib.h>

enum implementation { REFERENCE, PORTABLE, IFMA, IMPLEMENTATIONS };

static const char *const implementation_names[IMPLEMENTATIONS] = {"reference", "portable", "ifma"};

struct verifier {
    enum implementation implementation;
    _Atomic uint64_t signatures[SIGNATURE_ALGORITHMS][IMPLEMENTATIONS];
};

struct verify_scratch {
    uint64_t unused;
};

static bool implementation_choose(const char *name, enum implementation *chosen)
{
    bool ifma = cpu_features_read().avx512_ifma;
    if (name == NULL || name[0] == '\0') {
        *chosen = ifma ? IFMA : PORTABLE;
        return true;
    }
    for (int i = 0; i < IMPLEMENTATIONS; i++) {
        if (strcmp(name, implementation_names[i]) == 0) {
            *chosen = (enum implementation)i;
            return i != IFMA || ifma;
        }
    }
    return false;
}

struct verifier *verifier_new(const struct verifier_options *options)
{
    const char *name = options->implementation != NULL ? options->implementation
                                                       : getenv("POPGATE_CRYPTO");
    enum implementation implementation;
    if (!implementation_choose(name, &implementation)) {
        return NULL;
    }
    struct verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL) {
        return NULL;
    }
    verifier->implementation = implementation;
    return verifier;
}

void verifier_free(struct verifier *verifier)
{
    free(verifier);
}

const char *verifier_implementation(const struct verifier *verifier)
{
    return implementation_names[verifier->implementation];
}

struct verify_scratch *verify_scratch_new(void)
{
    return calloc(1, sizeof(struct verify_scratch));
}

void verify_scratch_free(struct verify_scratch *scratch)
{
    free(scratch);
}

void verify_batch(struct verifier *verifier, struct verify_scratch *scratch,
                  struct verify_job *jobs, size_t count)
{
    (void)scratch;
    for (size_t i = 0; i < count; i++) {
        jobs[i].status = STATUS_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        struct verify_job *job = &jobs[i];
        job->status = reference_verify(job->algorithm, job->key, job->message, job->signature);
        if (signature_key_type(job->algorithm) != KEY_NONE) {
            atomic_fetch_add_explicit(&verifier->signatures[job->algorithm][REFERENCE], 1,
                                      memory_order_relaxed);
        }
    }
}

void verifier_read_counters(const struct verifier *verifier, struct verifier_counters *out)
{
    *out = (struct verifier_counters){0};
    struct verifier *v = (struct verifier *)verifier;
    for (size_t a = 0; a < SIGNATURE_ALGORITHMS; a++) {
        for (size_t i = 0; i < IMPLEMENTATIONS; i++) {
            out->signatures[a][i] = atomic_load_explicit(&v->signatures[a][i],
                                                         memory_order_relaxed);
        }
    }
}
