/* The queue: what one turn brought, sorted by the kind of key and by whether its context is there,
 * verified together. Jobs meet in an engine's vectors but never in a verdict: an engine answers for
 * each alone, and what it cannot answer (STATUS_AGAIN) goes to the reference, alone. */
#include "crypto/reference.h"
#include "crypto/verifier.h"

#define RAW_SIGNATURE_BYTES 64 /* ES256 and EdDSA */

/* Of a message: a usual proof's. */
#define ASKED_BYTES_MAX 512

static enum status decide_by_reference(struct verify_scratch *scratch, const struct engine_job *job)
{
    scratch->signatures[job->algorithm][ENGINE_REFERENCE]++;
    return reference_verify(job->algorithm, job->key, job->message, job->signature);
}

static void flush_known(struct verifier *verifier, struct verify_scratch *scratch,
                        enum public_key_type type)
{
    struct verify_group *group = &scratch->known[type];
    if (group->count == 0) {
        return;
    }
    const struct engine *engine = verifier->engines[type];
    engine->verify_known(verifier->shared[type], scratch->engine, verifier->table_sizes[type],
                         group->jobs, group->count);
    for (size_t i = 0; i < group->count; i++) {
        struct engine_job *job = &group->jobs[i];
        if (job->status == STATUS_AGAIN) {
            job->status = decide_by_reference(scratch, job);
        } else {
            scratch->signatures[job->algorithm][engine->tier]++;
        }
        job->job->status = job->status == STATUS_OK ? STATUS_OK : STATUS_FAILED;
    }
    group->count = 0;
}

static void want_context(struct verifier *verifier, struct verify_scratch *scratch,
                         const struct engine_job *job)
{
    if (!key_contexts_admit(verifier->contexts, job->key_hash) ||
        scratch->pending_count == BUILDS_PER_TURN_MAX) {
        return;
    }
    for (size_t i = 0; i < scratch->pending_count; i++) {
        if (scratch->pending[i].hash == job->key_hash) {
            return;
        }
    }
    scratch->pending[scratch->pending_count++] = (struct verify_pending){.hash = job->key_hash,
                                                                         .key = *job->key};
}

static void flush_unknown(struct verifier *verifier, struct verify_scratch *scratch,
                          enum public_key_type type)
{
    struct verify_group *group = &scratch->unknown[type];
    if (group->count == 0) {
        return;
    }
    const struct engine *engine = verifier->engines[type];
    bool together = engine->verify_unknown != NULL && group->count >= engine->unknown_min;
    if (together) {
        engine->verify_unknown(verifier->shared[type], scratch->engine, group->jobs, group->count);
    }
    for (size_t i = 0; i < group->count; i++) {
        struct engine_job *job = &group->jobs[i];
        if (!together || job->status == STATUS_AGAIN) {
            job->status = decide_by_reference(scratch, job);
        } else {
            scratch->signatures[job->algorithm][engine->tier]++;
        }
        job->job->status = job->status == STATUS_OK ? STATUS_OK : STATUS_FAILED;
        /* Only a key that signed counts as seen: noise cannot fill the filter. */
        if (job->status == STATUS_OK) {
            want_context(verifier, scratch, job);
        }
    }
    group->count = 0;
}

static void enqueue(struct verifier *verifier, struct verify_scratch *scratch,
                    struct verify_job *job)
{
    enum public_key_type type = signature_key_type(job->algorithm);
    if (type == KEY_NONE || job->key == NULL || job->key->type != type) {
        return; /* it stays failed */
    }
    bool raw = type == KEY_P256 || type == KEY_ED25519;
    if (raw && job->signature.size != RAW_SIGNATURE_BYTES) {
        return;
    }
    uint64_t hash = key_contexts_hash(verifier->contexts, job->key);
    const struct key_context *context = key_contexts_find(verifier->contexts, hash, job->key);
    struct verify_group *group = context != NULL ? &scratch->known[type] : &scratch->unknown[type];
    struct engine_job *slot = &group->jobs[group->count++];
    slot->algorithm = job->algorithm;
    slot->status = STATUS_FAILED;
    slot->table = context != NULL ? context->table : NULL;
    slot->key = job->key;
    slot->signature = job->signature;
    slot->message = job->message;
    slot->job = job;
    slot->key_hash = hash;
    if (context != NULL) {
        scratch->hits++;
    } else {
        scratch->misses++;
    }
    slot->digest_wanted = true;
    if (group->count == ENGINE_JOBS_MAX) {
        if (context != NULL) {
            flush_known(verifier, scratch, type);
        } else {
            flush_unknown(verifier, scratch, type);
        }
    }
}

/* The lines that enqueue and the engines are about to read, all of a turn at once. */
static void ask_for_inputs(const struct verify_job *job)
{
    if (job->key != NULL) {
        const uint8_t *key = (const uint8_t *)(const void *)job->key;
        __builtin_prefetch(key);
        __builtin_prefetch(key + 64);
    }
    __builtin_prefetch(job->signature.data);
    for (size_t at = 0; at < job->message.size && at < ASKED_BYTES_MAX; at += 64) {
        __builtin_prefetch(job->message.data + at);
    }
}

static void publish_counters(struct verifier *verifier, struct verify_scratch *scratch)
{
    for (size_t a = 0; a < SIGNATURE_ALGORITHMS; a++) {
        for (size_t i = 0; i < ENGINE_TIERS; i++) {
            if (scratch->signatures[a][i] != 0) {
                atomic_fetch_add_explicit(&verifier->signatures[a][i], scratch->signatures[a][i],
                                          memory_order_relaxed);
                scratch->signatures[a][i] = 0;
            }
        }
    }
    if (scratch->hits != 0) {
        atomic_fetch_add_explicit(&verifier->hits, scratch->hits, memory_order_relaxed);
    }
    if (scratch->misses != 0) {
        atomic_fetch_add_explicit(&verifier->misses, scratch->misses, memory_order_relaxed);
    }
    scratch->hits = scratch->misses = 0;
}

static enum status build(struct verifier *verifier, struct verify_scratch *scratch, uint64_t hash,
                         const struct public_key *key)
{
    return key_contexts_build(verifier->contexts, verifier->engines[key->type],
                              verifier->shared[key->type], scratch->engine,
                              verifier->table_sizes[key->type], hash, key);
}

enum status verify_prepare_key(struct verifier *verifier, struct verify_scratch *scratch,
                               const struct public_key *key)
{
    if (key->type <= KEY_NONE || key->type >= KEY_TYPES) {
        return STATUS_FAILED;
    }
    return build(verifier, scratch, key_contexts_hash(verifier->contexts, key), key);
}

void verify_build_contexts(struct verifier *verifier, struct verify_scratch *scratch)
{
    for (size_t i = 0; i < scratch->pending_count; i++) {
        /* Whatever comes of it: the key's next proof is verified all the same, and asks again. */
        enum status status = build(verifier, scratch, scratch->pending[i].hash,
                                   &scratch->pending[i].key);
        (void)status;
    }
    scratch->pending_count = 0;
}

void verify_batch(struct verifier *verifier, struct verify_scratch *scratch,
                  struct verify_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        jobs[i].status = STATUS_FAILED;
        ask_for_inputs(&jobs[i]);
    }
    for (size_t i = 0; i < count; i++) {
        enqueue(verifier, scratch, &jobs[i]);
    }
    for (int type = KEY_NONE + 1; type < KEY_TYPES; type++) {
        flush_known(verifier, scratch, (enum public_key_type)type);
        flush_unknown(verifier, scratch, (enum public_key_type)type);
    }
    publish_counters(verifier, scratch);
    if (!scratch->defer_builds) {
        verify_build_contexts(verifier, scratch);
    }
}
