/* The insides of struct auth_worker, shared by auth's own files only. */
#ifndef POPGATE_AUTH_WORKER_H
#define POPGATE_AUTH_WORKER_H

#include "auth/gate.h"
#include "auth/proof_key.h"
#include "auth/token_cache.h"
#include "base/metrics.h"
#include "crypto/sha256.h"

/* Signatures verified in one call; a longer queue takes several. A check has at most two. */
#define AUTH_BATCH_JOBS_MAX 512
/* Pending checks whose memory is kept for the next ones: about 1.3 KiB each. */
#define AUTH_WORKS_CACHED_MAX 4096

/* A check between auth_submit and auth_run. */
struct auth_work {
    struct auth_check *previous; /* in the queue */
    struct auth_token *token;    /* held */
    struct proof_key *key;       /* held; NULL without a proof */
    bool verify_token;           /* its signature is to be verified: it was not in the cache */
    enum signature_algorithm token_algorithm;
    const struct public_key *token_key; /* of the settings' JWKS */
    struct span token_message, proof_message;
    size_t token_signature_size, proof_signature_size;
    struct replay_key replay_key;
    uint64_t replay_expires_boot_s;
    uint64_t floor_raises; /* before this check looked at the floor */
    uint64_t generation;   /* of the settings it was begun under */
    bool local;            /* the shared store was away: a nonce of ours was asked for */
    uint8_t store_key[SHA256_BYTES];
    struct replay_insertion *insertion;       /* in the batch of the moment; NULL: none */
    struct verify_job *token_job, *proof_job; /* in the batch of the moment */
    uint8_t token_signature[RSA_MODULUS_BYTES_MAX], proof_signature[RSA_MODULUS_BYTES_MAX];
};

struct auth_worker {
    struct auth_shared *shared;
    const struct auth_settings *settings;
    size_t text_bytes_max; /* what the three below have room for; a longer text is refused */
    struct json_parser *header_json, *payload_json;
    struct span_mut scratch;     /* decoded parts of one JWS */
    struct span_mut uri_scratch; /* htu, normalised, and once more in one piece */
    struct span_mut key_scratch; /* what store_key is the digest of */
    struct token_cache tokens;
    struct proof_key_cache keys;
    struct slab works;
    struct auth_check *queue_first, *queue_last;
    struct verify_scratch *verify_scratch;
    struct verify_job jobs[AUTH_BATCH_JOBS_MAX];
    struct replay_insertion insertions[AUTH_BATCH_JOBS_MAX];
    char algs[64]; /* for the challenge: "ES256 EdDSA Ed25519" */
    counter denials[AUTH_DENIALS];
    counter token_hits, token_misses, token_evictions, batches, batch_jobs, replay_inserts,
        local_inserts;
    struct histogram batch_sizes, verify_durations;
};

/* auth/challenge.c: the value of algs for these settings. */
void challenge_write_algs(uint32_t algorithms, char *out, size_t size);

/* Sees a wall clock that was set back, and raises the floor. At every check, before the floor is
 * looked at. Any thread. */
void auth_watch_clock(struct auth_shared *shared, const struct clock_now *now);

#endif
