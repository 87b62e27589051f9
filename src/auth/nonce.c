#include "auth/nonce.h"

#include "crypto/hmac.h"
#include "jose/base64url.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define SALT_BYTES    8
#define TIME_BYTES    8
#define PAYLOAD_BYTES (SALT_BYTES + TIME_BYTES)
#define MAC_BYTES     16 /* half of SHA-256: 2^-128 to forge one, RFC 2104 section 5 */
#define NONCE_BYTES   (PAYLOAD_BYTES + MAC_BYTES)

_Static_assert(BASE64URL_ENCODED_SIZE(NONCE_BYTES) == NONCE_TEXT_BYTES, "header and layout agree");

struct nonce_issuer {
    uint8_t key[NONCE_KEY_BYTES];
    enum nonce_scope scope;
    /* Random at the start, then counted up: never the same twice in one process, and between
     * processes only by chance, 2^-64. Relaxed: a salt stands for itself, nothing is published with
     * it. The raise of the floor, which comes after the rotation, is a release store
     * (auth_raise_floor). */
    _Atomic uint64_t salt;
};

static int random_bytes(void *out, size_t size)
{
    return getrandom(out, size, 0) == (ssize_t)size;
}

struct nonce_issuer *nonce_issuer_new(const uint8_t *key, enum nonce_scope scope)
{
    struct nonce_issuer *issuer = calloc(1, sizeof(*issuer));
    uint64_t salt = 0;
    if (issuer == NULL) {
        return NULL;
    }
    issuer->scope = scope;
    if (!random_bytes(&salt, sizeof(salt)) ||
        (key == NULL && !random_bytes(issuer->key, sizeof(issuer->key)))) {
        nonce_issuer_free(issuer);
        return NULL;
    }
    atomic_init(&issuer->salt, salt);
    if (key != NULL) {
        memcpy(issuer->key, key, NONCE_KEY_BYTES);
    }
    return issuer;
}

void nonce_issuer_free(struct nonce_issuer *issuer)
{
    if (issuer != NULL) {
        explicit_bzero(issuer, sizeof(*issuer));
        free(issuer);
    }
}

void nonce_issuer_rotate(struct nonce_issuer *issuer)
{
    atomic_fetch_add_explicit(&issuer->salt, 1, memory_order_relaxed);
}

static void put_u64(uint8_t out[8], uint64_t value)
{
    for (size_t i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

static uint64_t get_u64(const uint8_t in[8])
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

static void compute_mac(const struct nonce_issuer *issuer, const uint8_t payload[PAYLOAD_BYTES],
                        uint8_t mac[HMAC_SHA256_BYTES])
{
    /* The label keeps a key that someone also uses elsewhere from authenticating there what was
     * made here. */
    static const char label[] = "popgate dpop nonce 1";
    uint8_t message[sizeof(label) + PAYLOAD_BYTES];
    memcpy(message, label, sizeof(label));
    memcpy(message + sizeof(label), payload, PAYLOAD_BYTES);
    hmac_sha256(span_make(issuer->key, sizeof(issuer->key)), span_make(message, sizeof(message)),
                mac);
}

size_t nonce_mint(struct nonce_issuer *issuer, int64_t now_s, char *out, size_t size)
{
    if (size < NONCE_TEXT_BYTES) {
        return 0;
    }
    uint8_t nonce[PAYLOAD_BYTES + HMAC_SHA256_BYTES];
    put_u64(nonce, atomic_load_explicit(&issuer->salt, memory_order_relaxed));
    put_u64(nonce + SALT_BYTES, (uint64_t)now_s);
    compute_mac(issuer, nonce, nonce + PAYLOAD_BYTES);
    return base64url_encode(span_make(nonce, NONCE_BYTES), out);
}

enum status nonce_check(struct nonce_issuer *issuer, struct span nonce, int64_t now_s,
                        enum nonce_purpose purpose, int64_t *age_s)
{
    uint8_t bytes[BASE64URL_DECODED_MAX(NONCE_TEXT_BYTES)];
    struct span decoded;
    if (nonce.size != NONCE_TEXT_BYTES ||
        base64url_decode(nonce, (struct span_mut){bytes, sizeof(bytes)}, &decoded) != STATUS_OK) {
        return STATUS_MALFORMED;
    }
    uint8_t mac[HMAC_SHA256_BYTES];
    compute_mac(issuer, decoded.data, mac);
    if (!hmac_equal(mac, decoded.data + PAYLOAD_BYTES, MAC_BYTES)) {
        return STATUS_MALFORMED;
    }
    /* From here on the bytes are ours: the time is one this process, or one with the same key, has
     * written. */
    int64_t age = now_s - (int64_t)get_u64(decoded.data + SALT_BYTES);
    if (age < -NONCE_AHEAD_S || age > NONCE_LIFE_S) {
        return STATUS_EXPIRED;
    }
    bool own = get_u64(decoded.data) == atomic_load_explicit(&issuer->salt, memory_order_relaxed);
    if (!own && (issuer->scope == NONCE_INSTANCE || purpose == NONCE_BELOW_FLOOR)) {
        return STATUS_DENIED;
    }
    *age_s = age;
    return STATUS_OK;
}
