#include "crypto/verifier.h"

#include "base/cpu_features.h"

#include <stdlib.h>

/* Building contexts may take an eighth of a core, and a tenth of a second of it at once: enough for
 * the clients of a start, and a bound for whoever makes keys to be used twice. */
#define BUILD_SHARE    8
#define BUILD_BURST_NS 100000000u

static const char *const tier_names[ENGINE_TIERS] = {"reference", "portable", "ifma"};

static bool tier_choose(const char *name, enum engine_tier *tier)
{
    bool ifma = cpu_features_read().avx512_ifma;
    if (name == NULL || name[0] == '\0') {
        *tier = ifma ? ENGINE_IFMA : ENGINE_PORTABLE;
        return true;
    }
    for (int i = 0; i < ENGINE_TIERS; i++) {
        if (strcmp(name, tier_names[i]) == 0) {
            *tier = (enum engine_tier)i;
            return i != ENGINE_IFMA || ifma;
        }
    }
    return false;
}

struct verifier *verifier_new(const struct verifier_options *options)
{
    const char *name = options->implementation != NULL ? options->implementation
                                                       : getenv("POPGATE_CRYPTO");
    enum engine_tier tier;
    if (!tier_choose(name, &tier)) {
        return NULL;
    }
    struct verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL) {
        return NULL;
    }
    verifier->tier = tier;
    struct key_contexts_options store = {.memory_max = options->key_memory_bytes,
                                         .build_share = BUILD_SHARE,
                                         .build_burst_ns = BUILD_BURST_NS};
    verifier->contexts = key_contexts_new(&store);
    bool good = verifier->contexts != NULL;
    for (int type = KEY_NONE + 1; good && type < KEY_TYPES; type++) {
        const struct engine *engine = engine_choose(tier, (enum public_key_type)type);
        verifier->engines[type] = engine;
        verifier->table_sizes[type] = key_contexts_table_size(engine, options->key_memory_bytes);
        if (engine->shared_new != NULL) {
            verifier->shared[type] = engine->shared_new();
            good = verifier->shared[type] != NULL;
        }
    }
    if (!good) {
        verifier_free(verifier);
        return NULL;
    }
    return verifier;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier == NULL) {
        return;
    }
    key_contexts_free(verifier->contexts);
    for (int type = KEY_NONE + 1; type < KEY_TYPES; type++) {
        if (verifier->shared[type] != NULL) {
            verifier->engines[type]->shared_free(verifier->shared[type]);
        }
    }
    free(verifier);
}

const char *verifier_implementation(const struct verifier *verifier)
{
    return tier_names[verifier->tier];
}

struct verify_scratch *verify_scratch_new(void)
{
    /* Big enough for any engine there is: the scratch is made before anybody says for which
     * verifier. */
    size_t bytes = 0;
    for (int tier = 0; tier < ENGINE_TIERS; tier++) {
        for (int type = KEY_NONE + 1; type < KEY_TYPES; type++) {
            size_t wanted = engine_choose((enum engine_tier)tier, (enum public_key_type)type)
                                ->scratch_bytes;
            bytes = wanted > bytes ? wanted : bytes;
        }
    }
    bytes += sizeof(struct verify_scratch);
    bytes = (bytes + ENGINE_ALIGNMENT - 1) / ENGINE_ALIGNMENT * ENGINE_ALIGNMENT;
    struct verify_scratch *scratch = aligned_alloc(ENGINE_ALIGNMENT, bytes);
    if (scratch != NULL) {
        memset(scratch, 0, bytes);
    }
    return scratch;
}

void verify_scratch_free(struct verify_scratch *scratch)
{
    free(scratch);
}

void verify_scratch_defer_builds(struct verify_scratch *scratch, bool deferred)
{
    scratch->defer_builds = deferred;
}

void verifier_read_counters(const struct verifier *verifier, struct verifier_counters *out)
{
    struct key_contexts_counters contexts;
    key_contexts_read_counters(verifier->contexts, &contexts);
    *out = (struct verifier_counters){
        .key_contexts = contexts.live,
        .key_context_bytes = contexts.bytes,
        .context_hits = atomic_load_explicit(&((struct verifier *)verifier)->hits,
                                             memory_order_relaxed),
        .context_misses = atomic_load_explicit(&((struct verifier *)verifier)->misses,
                                               memory_order_relaxed),
        .context_builds = contexts.builds,
        .context_evictions = contexts.evictions,
        .context_refusals = contexts.refusals,
    };
    for (size_t a = 0; a < SIGNATURE_ALGORITHMS; a++) {
        for (size_t i = 0; i < ENGINE_TIERS; i++) {
            out->signatures[a][i] = atomic_load_explicit(
                &((struct verifier *)verifier)->signatures[a][i], memory_order_relaxed);
        }
    }
}
