#include "auth/nonce.h"

#include "crypto/hmac.h"
#include "jose/base64url.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SALT_BYTES    8
#define TIME_BYTES    8
#define PAYLOAD_BYTES (SALT_BYTES + TIME_BYTES)
#define MAC_BYTES     16 /* half of SHA-256: 2^-128 to forge one, RFC 2104 section 5 */
#define NONCE_BYTES   (PAYLOAD_BYTES + MAC_BYTES)

_Static_assert(BASE64URL_ENCODED_SIZE(NONCE_BYTES) == NONCE_TEXT_BYTES, "header and layout agree");

#define KEYS 4 /* the present one, the one before, and two so that no reader meets a writer */

/* In words, so that a thread which slept through KEYS - 1 changes reads a key that is nobody's, and
 * not something undefined. */
struct key {
    _Atomic uint64_t words[NONCE_KEY_BYTES / 8];
};

struct nonce_issuer {
    struct key keys[KEYS];
    _Atomic unsigned present;  /* index; stored with release when the key is written */
    _Atomic int64_t changed_s; /* when it became the present one; 0: at the start */
    bool random;               /* ours to replace */
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

static void put_key(struct nonce_issuer *issuer, unsigned index,
                    const uint8_t bytes[NONCE_KEY_BYTES])
{
    for (size_t i = 0; i < NONCE_KEY_BYTES / 8; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * i, 8);
        atomic_store_explicit(&issuer->keys[index].words[i], word, memory_order_relaxed);
    }
    /* Release: who takes the index sees the words. */
    atomic_store_explicit(&issuer->present, index, memory_order_release);
}

static void get_key(const struct nonce_issuer *issuer, unsigned index,
                    uint8_t bytes[NONCE_KEY_BYTES])
{
    for (size_t i = 0; i < NONCE_KEY_BYTES / 8; i++) {
        uint64_t word = atomic_load_explicit((_Atomic uint64_t *)&issuer->keys[index].words[i],
                                             memory_order_relaxed);
        memcpy(bytes + 8 * i, &word, 8);
    }
}

static unsigned present_key(const struct nonce_issuer *issuer)
{
    return atomic_load_explicit((_Atomic unsigned *)&issuer->present, memory_order_acquire);
}

struct nonce_issuer *nonce_issuer_new(const uint8_t *key, enum nonce_scope scope)
{
    struct nonce_issuer *issuer = calloc(1, sizeof(*issuer));
    uint64_t salt = 0;
    if (issuer == NULL) {
        return NULL;
    }
    issuer->scope = scope;
    issuer->random = key == NULL;
    uint8_t drawn[2][NONCE_KEY_BYTES];
    if (!random_bytes(&salt, sizeof(salt)) || !random_bytes(drawn, sizeof(drawn))) {
        nonce_issuer_free(issuer);
        return NULL;
    }
    atomic_init(&issuer->salt, salt);
    /* The key before the first: nobody's, and not one of zeros, under which anyone could mint. */
    put_key(issuer, KEYS - 1, drawn[1]);
    put_key(issuer, 0, key != NULL ? key : drawn[0]);
    explicit_bzero(drawn, sizeof(drawn));
    return issuer;
}

void nonce_issuer_free(struct nonce_issuer *issuer)
{
    if (issuer != NULL) {
        explicit_bzero(issuer, sizeof(*issuer));
        free(issuer);
    }
}

void nonce_issuer_use_key(struct nonce_issuer *issuer, const uint8_t key[NONCE_KEY_BYTES],
                          int64_t now_s)
{
    uint8_t old[NONCE_KEY_BYTES];
    unsigned present = present_key(issuer);
    get_key(issuer, present, old);
    if (memcmp(old, key, NONCE_KEY_BYTES) != 0) {
        atomic_store_explicit(&issuer->changed_s, now_s, memory_order_relaxed);
        put_key(issuer, (present + 1) % KEYS, key);
    }
    explicit_bzero(old, sizeof(old));
}

/* One thread an hour, by the exchange, replaces a random key. Without randomness the old one stays.
 */
static void replace_old_key(struct nonce_issuer *issuer, int64_t now_s)
{
    int64_t changed_s = atomic_load_explicit(&issuer->changed_s, memory_order_relaxed);
    if (!issuer->random || (now_s - changed_s < NONCE_KEY_LIFE_S && now_s >= changed_s) ||
        !atomic_compare_exchange_strong_explicit(&issuer->changed_s, &changed_s, now_s,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return;
    }
    uint8_t drawn[NONCE_KEY_BYTES];
    if (changed_s != 0 && random_bytes(drawn, sizeof(drawn))) {
        put_key(issuer, (present_key(issuer) + 1) % KEYS, drawn);
        explicit_bzero(drawn, sizeof(drawn));
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

static void compute_mac(const struct nonce_issuer *issuer, unsigned key_index,
                        const uint8_t payload[PAYLOAD_BYTES], uint8_t mac[HMAC_SHA256_BYTES])
{
    /* The label keeps a key that someone also uses elsewhere from authenticating there what was
     * made here. */
    static const char label[] = "popgate dpop nonce 1";
    uint8_t message[sizeof(label) + PAYLOAD_BYTES];
    memcpy(message, label, sizeof(label));
    memcpy(message + sizeof(label), payload, PAYLOAD_BYTES);
    uint8_t key[NONCE_KEY_BYTES];
    get_key(issuer, key_index, key);
    hmac_sha256(span_make(key, sizeof(key)), span_make(message, sizeof(message)), mac);
    explicit_bzero(key, sizeof(key));
}

size_t nonce_mint(struct nonce_issuer *issuer, int64_t now_s, char *out, size_t size)
{
    if (size < NONCE_TEXT_BYTES) {
        return 0;
    }
    replace_old_key(issuer, now_s);
    uint8_t nonce[PAYLOAD_BYTES + HMAC_SHA256_BYTES];
    put_u64(nonce, atomic_load_explicit(&issuer->salt, memory_order_relaxed));
    put_u64(nonce + SALT_BYTES, (uint64_t)now_s);
    compute_mac(issuer, present_key(issuer), nonce, nonce + PAYLOAD_BYTES);
    return base64url_encode(span_make(nonce, NONCE_BYTES), out);
}

/* Under the present key, or under the one before for as long as its nonces live. */
static bool is_authentic(const struct nonce_issuer *issuer, const uint8_t nonce[NONCE_BYTES],
                         int64_t now_s)
{
    uint8_t mac[HMAC_SHA256_BYTES];
    unsigned present = present_key(issuer);
    compute_mac(issuer, present, nonce, mac);
    if (hmac_equal(mac, nonce + PAYLOAD_BYTES, MAC_BYTES)) {
        return true;
    }
    int64_t changed_s = atomic_load_explicit((_Atomic int64_t *)&issuer->changed_s,
                                             memory_order_relaxed);
    if (changed_s == 0 || now_s - changed_s > NONCE_LIFE_S) {
        return false;
    }
    compute_mac(issuer, (present + KEYS - 1) % KEYS, nonce, mac);
    return hmac_equal(mac, nonce + PAYLOAD_BYTES, MAC_BYTES);
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
    if (!is_authentic(issuer, decoded.data, now_s)) {
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
