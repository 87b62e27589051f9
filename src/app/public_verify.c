/* include/popgate/verify.h over crypto/verify.h and jose/jwk.h. It stands in app/ since it joins
 * two layers. */
#include "popgate/verify.h"

#include "base/rcu.h"
#include "crypto/verifier.h"
#include "jose/jwk.h"

#include <stdlib.h>

/* A JWK of RSA-4096 with a certificate chain fits. */
#define JWK_BYTES_MAX (64 * 1024)
/* Translated at a time: on the stack. */
#define CHUNK 64

struct popgate_verifier {
    struct verifier *verifier;
};

struct popgate_worker {
    struct verifier *verifier;
    struct verify_scratch *scratch;
};

struct popgate_key {
    struct public_key key;
};

struct popgate_verifier *popgate_verifier_new(size_t key_memory_bytes, const char *implementation)
{
    struct popgate_verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL) {
        return NULL;
    }
    verifier->verifier = verifier_new(&(struct verifier_options){
        .key_memory_bytes = key_memory_bytes, .implementation = implementation});
    if (verifier->verifier == NULL) {
        free(verifier);
        return NULL;
    }
    return verifier;
}

void popgate_verifier_free(struct popgate_verifier *verifier)
{
    if (verifier == NULL) {
        return;
    }
    /* Waiting for what was retired needs a registered thread; this one's worker, if it had one, is
     * gone. */
    rcu_register();
    verifier_free(verifier->verifier);
    rcu_unregister();
    free(verifier);
}

const char *popgate_verifier_implementation(const struct popgate_verifier *verifier)
{
    return verifier_implementation(verifier->verifier);
}

/* The thread is registered as long as it has a worker, and online only inside a call: the host's
 * threads may block as they like. */
struct popgate_worker *popgate_worker_new(struct popgate_verifier *verifier)
{
    struct popgate_worker *worker = calloc(1, sizeof *worker);
    struct verify_scratch *scratch = verify_scratch_new();
    if (worker == NULL || scratch == NULL) {
        free(worker);
        verify_scratch_free(scratch);
        return NULL;
    }
    *worker = (struct popgate_worker){.verifier = verifier->verifier, .scratch = scratch};
    rcu_register();
    rcu_offline();
    return worker;
}

void popgate_worker_free(struct popgate_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    rcu_unregister();
    verify_scratch_free(worker->scratch);
    free(worker);
}

static struct popgate_key *key_new(const struct public_key *public)
{
    struct popgate_key *key = NULL;
    if (public_key_validate(public) == STATUS_OK) {
        key = malloc(sizeof *key);
    }
    if (key != NULL) {
        key->key = *public;
    }
    return key;
}

struct popgate_key *popgate_key_from_coordinates(enum popgate_curve curve, const uint8_t *x,
                                                 size_t x_size, const uint8_t *y, size_t y_size)
{
    static const struct {
        enum public_key_type type;
        size_t x_size, y_size;
    } curves[] = {[POPGATE_P256] = {KEY_P256, 32, 32},
                  [POPGATE_P384] = {KEY_P384, 48, 48},
                  [POPGATE_P521] = {KEY_P521, 66, 66},
                  [POPGATE_ED25519] = {KEY_ED25519, 32, 0}};
    size_t index = (size_t)curve;
    if (index < POPGATE_P256 || index > POPGATE_ED25519 || x == NULL ||
        x_size != curves[index].x_size || y_size != curves[index].y_size ||
        (y == NULL && y_size != 0)) {
        return NULL;
    }
    struct public_key key = {.type = curves[index].type};
    memcpy(key.x, x, x_size);
    if (y_size != 0) {
        memcpy(key.y, y, y_size);
    }
    return key_new(&key);
}

struct popgate_key *popgate_key_from_jwk(const char *text, size_t size)
{
    struct popgate_key *key = NULL;
    struct json_parser *parser = size <= JWK_BYTES_MAX ? json_parser_new(size) : NULL;
    struct json_document document;
    struct public_key public;
    if (parser != NULL && json_parse(parser, span_make(text, size), &document) == STATUS_OK &&
        document.values[0].type == JSON_OBJECT && jwk_read(&document, 0, &public) == STATUS_OK) {
        key = key_new(&public);
    }
    json_parser_free(parser);
    return key;
}

void popgate_key_free(struct popgate_key *key)
{
    free(key);
}

int popgate_key_prepare(struct popgate_worker *worker, const struct popgate_key *key)
{
    rcu_online();
    enum status status = verify_prepare_key(worker->verifier, worker->scratch, &key->key);
    rcu_offline();
    return status == STATUS_OK || status == STATUS_EXISTS;
}

static enum signature_algorithm algorithm_of(enum popgate_algorithm algorithm)
{
    switch (algorithm) {
    case POPGATE_ES256:
        return SIGNATURE_ES256;
    case POPGATE_ES384:
        return SIGNATURE_ES384;
    case POPGATE_ES512:
        return SIGNATURE_ES512;
    case POPGATE_EDDSA:
        return SIGNATURE_EDDSA;
    case POPGATE_PS256:
        return SIGNATURE_PS256;
    case POPGATE_RS256:
        return SIGNATURE_RS256;
    default:
        return SIGNATURE_NONE;
    }
}

int popgate_verify(struct popgate_worker *worker, enum popgate_algorithm algorithm,
                   const struct popgate_key *key, const uint8_t *message, size_t message_size,
                   const uint8_t *signature, size_t signature_size)
{
    struct popgate_signature one = {.algorithm = algorithm,
                                    .key = key,
                                    .message = message,
                                    .message_size = message_size,
                                    .signature = signature,
                                    .signature_size = signature_size};
    popgate_verify_batch(worker, &one, 1);
    return one.verdict;
}

void popgate_verify_batch(struct popgate_worker *worker, struct popgate_signature *signatures,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        signatures[i].verdict = 0;
    }
    rcu_online();
    for (size_t first = 0; first < count; first += CHUNK) {
        struct verify_job jobs[CHUNK];
        size_t chunk = count - first < CHUNK ? count - first : CHUNK;
        for (size_t i = 0; i < chunk; i++) {
            const struct popgate_signature *s = &signatures[first + i];
            jobs[i] = (struct verify_job){.algorithm = algorithm_of(s->algorithm),
                                          .key = s->key != NULL ? &s->key->key : NULL,
                                          .message = span_make(s->message, s->message_size),
                                          .signature = span_make(s->signature, s->signature_size)};
        }
        verify_batch(worker->verifier, worker->scratch, jobs, chunk);
        for (size_t i = 0; i < chunk; i++) {
            signatures[first + i].verdict = jobs[i].status == STATUS_OK;
        }
    }
    rcu_offline();
}
