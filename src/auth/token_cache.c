#include "auth/token_cache.h"

#include <assert.h>

_Static_assert(offsetof(struct auth_token, node) == 0, "a node is its token");

static void dispose(void *context, struct clock_node *node)
{
    slab_give(context, (struct auth_token *)node);
}

/* Cached objects of a slab are as many as the table holds and those that run beside it at any time;
 * beyond that they go back to the allocator. */
static enum status class_init(struct token_class *class, size_t claims_bytes, uint32_t entries)
{
    slab_init(&class->slab, sizeof(struct auth_token) + claims_bytes, 0, entries);
    return clock_cache_init(&class->cache, entries, dispose, &class->slab);
}

static void class_cleanup(struct token_class *class)
{
    clock_cache_cleanup(&class->cache);
    slab_cleanup(&class->slab);
}

enum status token_cache_init(struct token_cache *cache)
{
    enum status status = class_init(&cache->small, TOKEN_SMALL_CLAIMS_BYTES, TOKEN_SMALL_ENTRIES);
    if (status != STATUS_OK) {
        return status;
    }
    status = class_init(&cache->large, TOKEN_CLAIMS_BYTES_MAX, TOKEN_LARGE_ENTRIES);
    if (status != STATUS_OK) {
        class_cleanup(&cache->small);
    }
    return status;
}

void token_cache_cleanup(struct token_cache *cache)
{
    class_cleanup(&cache->small);
    class_cleanup(&cache->large);
}

/* The table's hash. Only what a trusted issuer signed is in the table, and a digest is as even as a
 * hash gets. */
static uint64_t digest_hash(const uint8_t digest[SHA256_BYTES])
{
    uint64_t hash;
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

struct auth_token *token_cache_acquire(struct token_cache *cache,
                                       const uint8_t digest[SHA256_BYTES])
{
    struct span key = span_make(digest, SHA256_BYTES);
    uint64_t hash = digest_hash(digest);
    struct clock_node *node = clock_cache_acquire(&cache->small.cache, key, hash);
    if (node == NULL) {
        node = clock_cache_acquire(&cache->large.cache, key, hash);
    }
    return (struct auth_token *)node;
}

static struct token_class *class_of(struct token_cache *cache, const struct auth_token *token)
{
    return token->large ? &cache->large : &cache->small;
}

static struct span copy_claim(uint8_t **to, struct span claim)
{
    if (claim.size == 0) {
        return span_make(NULL, 0);
    }
    uint8_t *start = *to;
    memcpy(start, claim.data, claim.size);
    *to += claim.size;
    return span_make(start, claim.size);
}

struct auth_token *token_cache_make(struct token_cache *cache, const uint8_t digest[SHA256_BYTES],
                                    const struct token_claims *claims)
{
    size_t bytes = claims->issuer.size + claims->subject.size + claims->client_id.size +
                   claims->scope.size;
    assert(bytes <= TOKEN_CLAIMS_BYTES_MAX);
    bool large = bytes > TOKEN_SMALL_CLAIMS_BYTES;
    struct auth_token *token = slab_take(large ? &cache->large.slab : &cache->small.slab);
    if (token == NULL) {
        return NULL;
    }
    memcpy(token->digest, digest, SHA256_BYTES);
    clock_node_init(&token->node, span_make(token->digest, SHA256_BYTES), digest_hash(digest));
    uint8_t *to = token->claims;
    token->issuer = copy_claim(&to, claims->issuer);
    token->subject = copy_claim(&to, claims->subject);
    token->client_id = copy_claim(&to, claims->client_id);
    token->scope = copy_claim(&to, claims->scope);
    token->expires_s = claims->expires_s;
    token->not_before_s = claims->not_before_s;
    token->has_jkt = claims->has_jkt;
    token->has_x5t = claims->has_x5t;
    token->large = large;
    memcpy(token->jkt, claims->jkt, sizeof(token->jkt));
    memcpy(token->x5t, claims->x5t, sizeof(token->x5t));
    return token;
}

void token_cache_insert(struct token_cache *cache, struct auth_token *token)
{
    clock_cache_insert(&class_of(cache, token)->cache, &token->node);
}

void token_cache_release(struct token_cache *cache, struct auth_token *token)
{
    clock_cache_release(&class_of(cache, token)->cache, &token->node);
}

void token_cache_clear(struct token_cache *cache)
{
    clock_cache_clear(&cache->small.cache);
    clock_cache_clear(&cache->large.cache);
}

uint64_t token_cache_evictions(const struct token_cache *cache)
{
    return cache->small.cache.evictions + cache->large.cache.evictions;
}
