#include "auth/proof_key.h"

#include "auth/deny.h"
#include "jose/base64url.h"

#include <stddef.h>
#include <sys/random.h>
#include <xxhash.h>

_Static_assert(offsetof(struct proof_key, node) == 0, "a node is its key");
_Static_assert(BASE64URL_ENCODED_SIZE(JWK_THUMBPRINT_BYTES) == PROOF_KEY_JKT_TEXT_BYTES, "jkt");

static void dispose(void *context, struct clock_node *node)
{
    slab_give(context, (struct proof_key *)node);
}

enum status proof_key_cache_init(struct proof_key_cache *cache)
{
    if (getrandom(&cache->seed, sizeof(cache->seed), 0) != (ssize_t)sizeof(cache->seed)) {
        return STATUS_SYSTEM;
    }
    slab_init(&cache->slab, sizeof(struct proof_key), 0, PROOF_KEY_ENTRIES);
    return clock_cache_init(&cache->cache, PROOF_KEY_ENTRIES, dispose, &cache->slab);
}

void proof_key_cache_cleanup(struct proof_key_cache *cache)
{
    clock_cache_cleanup(&cache->cache);
    slab_cleanup(&cache->slab);
}

static uint64_t header_hash(const struct proof_key_cache *cache, struct span encoded_header)
{
    return XXH3_64bits_withSeed(encoded_header.data, encoded_header.size, cache->seed);
}

struct proof_key *proof_key_acquire(struct proof_key_cache *cache, struct span encoded_header)
{
    if (encoded_header.size > PROOF_KEY_HEADER_BYTES_MAX) {
        return NULL;
    }
    return (struct proof_key *)clock_cache_acquire(&cache->cache, encoded_header,
                                                   header_hash(cache, encoded_header));
}

/* RFC 9449 section 4.3: "The JOSE Header alg header parameter indicates a registered asymmetric
 * digital signature algorithm, is not none, is supported by the application, and is acceptable per
 * local policy." */
static enum status read_algorithm(const struct json_document *header, uint32_t algorithms,
                                  enum signature_algorithm *algorithm, struct auth_check *check)
{
    const struct json_value *alg = json_member(header, 0, "alg");
    *algorithm = alg != NULL && alg->type == JSON_STRING ? jwa_from_name(alg->text)
                                                         : SIGNATURE_NONE;
    if (*algorithm == SIGNATURE_NONE || (algorithms & UINT32_C(1) << *algorithm) == 0) {
        return auth_deny(check, AUTH_DENIAL_PROOF_ALG, "alg is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(alg != NULL ? alg->text : SPAN_LITERAL(""))));
    }
    return STATUS_OK;
}

static enum status read_jwk(const struct json_document *header, enum signature_algorithm algorithm,
                            struct public_key *key, struct auth_check *check)
{
    const struct json_value *jwk = json_member(header, 0, "jwk");
    if (jwk == NULL || jwk->type != JSON_OBJECT) {
        return auth_deny(check, AUTH_DENIAL_PROOF_JWK, "jwk is missing or not an object");
    }
    /* RFC 9449 section 4.3: "The jwk JOSE Header Parameter does not contain a private key."
     * jwk_read refuses them. */
    uint32_t object = (uint32_t)(jwk - header->values);
    enum status status = jwk_read(header, object, key);
    if (status != STATUS_OK) {
        return auth_deny(check, AUTH_DENIAL_PROOF_JWK, "jwk is %s", status_name(status));
    }
    const struct json_value *alg = json_member(header, object, "alg");
    if (signature_key_type(algorithm) != key->type ||
        (alg != NULL && jwa_from_name(alg->text) != algorithm)) {
        return auth_deny(check, AUTH_DENIAL_PROOF_ALG, "alg %s is not for the key in jwk",
                         jwa_name(algorithm));
    }
    return STATUS_OK;
}

static enum status read_header(uint32_t algorithms, struct json_parser *json, struct span text,
                               struct proof_key *key, struct auth_check *check)
{
    struct json_document header;
    enum status status = json_parse(json, text, &header);
    if (status != STATUS_OK || header.values[0].type != JSON_OBJECT) {
        return auth_deny(check, AUTH_DENIAL_PROOF_JSON, "the proof's header is %s",
                         status == STATUS_OK ? "not an object" : status_name(status));
    }
    /* RFC 9449 section 4.3: "The typ JOSE Header Parameter has the value dpop+jwt." Exactly that:
     * RFC 7515 leaves the meaning of typ to the application, section 5.3 compares code points, and
     * no client writes another case. */
    const struct json_value *typ = json_member(&header, 0, "typ");
    if (typ == NULL || typ->type != JSON_STRING || !span_equal_string(typ->text, "dpop+jwt")) {
        return auth_deny(check, AUTH_DENIAL_PROOF_TYP, "typ is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(typ != NULL ? typ->text : SPAN_LITERAL(""))));
    }
    /* RFC 7515 section 4.1.11, as for tokens; section 4: others "MUST be ignored when not
     * understood". */
    if (json_member(&header, 0, "crit") != NULL || json_member(&header, 0, "b64") != NULL) {
        return auth_deny(check, AUTH_DENIAL_PROOF_CRIT, "crit or b64 in the proof's header");
    }
    status = read_algorithm(&header, algorithms, &key->algorithm, check);
    if (status == STATUS_OK) {
        status = read_jwk(&header, key->algorithm, &key->key, check);
    }
    return status;
}

enum status proof_key_read(struct proof_key_cache *cache, uint32_t algorithms,
                           struct json_parser *json, struct span encoded_header, struct span header,
                           struct proof_key **key, struct auth_check *check)
{
    struct proof_key *fresh = slab_take(&cache->slab);
    if (fresh == NULL) {
        return auth_deny(check, AUTH_DENIAL_INTERNAL, "no memory for the proof's key");
    }
    fresh->key = (struct public_key){0};
    enum status status = read_header(algorithms, json, header, fresh, check);
    if (status != STATUS_OK) {
        slab_give(&cache->slab, fresh);
        return status;
    }
    jwk_thumbprint(&fresh->key, fresh->thumbprint);
    base64url_encode(span_make(fresh->thumbprint, sizeof(fresh->thumbprint)),
                     fresh->thumbprint_text);
    struct span name = span_make(fresh->header, 0);
    if (encoded_header.size <= sizeof(fresh->header)) {
        memcpy(fresh->header, encoded_header.data, encoded_header.size);
        name.size = encoded_header.size;
    }
    clock_node_init(&fresh->node, name, header_hash(cache, name));
    *key = fresh;
    return STATUS_OK;
}

void proof_key_insert(struct proof_key_cache *cache, struct proof_key *key)
{
    if (!key->node.cached && key->node.key.size > 0) {
        clock_cache_insert(&cache->cache, &key->node);
    }
}

void proof_key_release(struct proof_key_cache *cache, struct proof_key *key)
{
    clock_cache_release(&cache->cache, &key->node);
}

void proof_key_clear(struct proof_key_cache *cache)
{
    clock_cache_clear(&cache->cache);
}
