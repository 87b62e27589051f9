/* What a proof's header says, kept: a client's proofs all begin with the same header, so its JSON,
 * its jwk and the thumbprint are worked out once. Found by the encoded header's bytes, all of them.
 * Bounded; one worker. */
#ifndef POPGATE_AUTH_PROOF_KEY_H
#define POPGATE_AUTH_PROOF_KEY_H

#include "auth/clock_cache.h"
#include "auth/gate.h"
#include "base/memory.h"
#include "jose/json.h"
#include "jose/jwk.h"

#define PROOF_KEY_ENTRIES 4096 /* at most about 6.5 MiB a worker */
#define PROOF_KEY_HEADER_BYTES_MAX                                                                 \
    768 /* a longer header (RSA beyond 3072 bits) is read each time */
#define PROOF_KEY_JKT_TEXT_BYTES 43

struct proof_key {
    struct clock_node node;
    enum signature_algorithm algorithm;
    uint8_t thumbprint[JWK_THUMBPRINT_BYTES];
    char thumbprint_text[PROOF_KEY_JKT_TEXT_BYTES];
    struct public_key key;
    uint8_t header[PROOF_KEY_HEADER_BYTES_MAX]; /* base64url, as it came; the node's key */
};

struct proof_key_cache {
    struct clock_cache cache;
    struct slab slab;
    uint64_t seed; /* so that nobody can aim at one bucket */
};

/* STATUS_OK, STATUS_NO_MEMORY or STATUS_SYSTEM (no randomness). The cache must not move afterwards.
 */
MUST_CHECK enum status proof_key_cache_init(struct proof_key_cache *cache);
void proof_key_cache_cleanup(struct proof_key_cache *cache);

/* Returns the key with one more reference, or NULL. */
struct proof_key *proof_key_acquire(struct proof_key_cache *cache, struct span encoded_header);

/* Reads a header: typ, alg (one of `algorithms`), crit, jwk. STATUS_OK sets *key, with one
 * reference and not yet in the cache; STATUS_DENIED with the denial in `check`. `json` is used. */
MUST_CHECK enum status proof_key_read(struct proof_key_cache *cache, uint32_t algorithms,
                                      struct json_parser *json, struct span encoded_header,
                                      struct span header, struct proof_key **key,
                                      struct auth_check *check);

/* A proof with this header has passed every check: the next one may find it. So nobody without a
 * token fills the cache. */
void proof_key_insert(struct proof_key_cache *cache, struct proof_key *key);
void proof_key_release(struct proof_key_cache *cache, struct proof_key *key);
void proof_key_clear(struct proof_key_cache *cache);

#endif
