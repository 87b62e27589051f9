/* Hashes under the cache's own secret. */
#include "replay/cache.h"

/* The state of a stream lives on the stack, which takes its definition. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define SHORT_FIELDS_BYTES 1024 /* hashed in one call; longer ones as a stream */

/* The length goes before the bytes, so that no two lists of fields make the same bytes. */
static size_t put_field(uint8_t *out, struct span field)
{
    uint32_t size = (uint32_t)field.size;
    memcpy(out, &size, sizeof size);
    memcpy(out + sizeof size, field.data, field.size);
    return sizeof size + field.size;
}

static XXH128_hash_t hash_short(const struct replay_cache *cache, const struct span fields[4])
{
    uint8_t bytes[SHORT_FIELDS_BYTES];
    size_t size = 0;
    for (int i = 0; i < 4; i++) {
        size += put_field(bytes + size, fields[i]);
    }
    return XXH3_128bits_withSecret(bytes, size, cache->secret, sizeof cache->secret);
}

static XXH128_hash_t hash_long(const struct replay_cache *cache, const struct span fields[4])
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset_withSecret(&state, cache->secret, sizeof cache->secret);
    for (int i = 0; i < 4; i++) {
        uint32_t size = (uint32_t)fields[i].size;
        XXH3_128bits_update(&state, &size, sizeof size);
        XXH3_128bits_update(&state, fields[i].data, fields[i].size);
    }
    return XXH3_128bits_digest(&state);
}

struct replay_key replay_key_hash(const struct replay_cache *cache, const uint8_t jkt[32],
                                  const struct span *htu, const struct span *htm,
                                  const struct span *jti)
{
    const struct span fields[4] = {span_make(jkt, 32), *htu, *htm, *jti};
    size_t size = 0;
    for (int i = 0; i < 4; i++) {
        size += sizeof(uint32_t) + fields[i].size;
    }
    XXH128_hash_t hash = size <= SHORT_FIELDS_BYTES ? hash_short(cache, fields)
                                                    : hash_long(cache, fields);
    return (struct replay_key){.low = hash.low64, .high = hash.high64};
}

struct replay_key replay_bytes_hash(const struct replay_cache *cache, struct span bytes)
{
    XXH128_hash_t hash = XXH3_128bits_withSecret(bytes.data, bytes.size, cache->secret,
                                                 sizeof cache->secret);
    return (struct replay_key){.low = hash.low64, .high = hash.high64};
}

uint64_t replay_client_hash(const struct replay_cache *cache, const struct span *issuer,
                            const struct span *client_id)
{
    XXH64_hash_t seed = XXH3_64bits_withSecret(issuer->data, issuer->size, cache->secret,
                                               sizeof cache->secret);
    return XXH3_64bits_withSecret(client_id->data, client_id->size, cache->secret,
                                  sizeof cache->secret) ^
           (seed << 1 | seed >> 63);
}
