/* Verified tokens of one worker, by SHA-256 of their text (the same hash that ath is). Bounded; one
 * thread. */
#ifndef POPGATE_AUTH_TOKEN_CACHE_H
#define POPGATE_AUTH_TOKEN_CACHE_H

#include "auth/clock_cache.h"
#include "auth/token.h"
#include "base/memory.h"
#include "crypto/sha256.h"

/* Two sizes, so that a usual token costs a usual token's memory: at most about 3 MiB and 1.1 MiB a
 * worker. */
#define TOKEN_SMALL_CLAIMS_BYTES 512
#define TOKEN_SMALL_ENTRIES      4096
#define TOKEN_LARGE_ENTRIES      128

/* The claims are copied here, so a token outlives the settings and the request it came with. */
struct auth_token {
    struct clock_node node;
    uint8_t digest[SHA256_BYTES]; /* the node's key */
    struct span issuer, subject, client_id, scope;
    int64_t expires_s, not_before_s;
    bool has_jkt, has_x5t, large;
    uint8_t jkt[TOKEN_HASH_BYTES], x5t[TOKEN_HASH_BYTES];
    uint8_t claims[];
};

struct token_class {
    struct clock_cache cache;
    struct slab slab;
};

struct token_cache {
    struct token_class small, large;
};

/* STATUS_OK or STATUS_NO_MEMORY. The cache must not move afterwards. */
MUST_CHECK enum status token_cache_init(struct token_cache *cache);
void token_cache_cleanup(struct token_cache *cache);

/* Returns the token with one more reference, or NULL. Its times are the caller's to check, every
 * time. */
struct auth_token *token_cache_acquire(struct token_cache *cache,
                                       const uint8_t digest[SHA256_BYTES]);

/* A token with one reference, not yet in the cache: for one whose signature is still to be
 * verified. NULL when memory fails. */
struct auth_token *token_cache_make(struct token_cache *cache, const uint8_t digest[SHA256_BYTES],
                                    const struct token_claims *claims);

/* The signature has verified: others may find it. */
void token_cache_insert(struct token_cache *cache, struct auth_token *token);
void token_cache_release(struct token_cache *cache, struct auth_token *token);

/* Another generation: nothing is found any more. Held tokens stay with their holders. */
void token_cache_clear(struct token_cache *cache);
uint64_t token_cache_evictions(const struct token_cache *cache);

#endif
