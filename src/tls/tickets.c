#include "tls/tickets.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NAME_BYTES  16
#define NONCE_BYTES 12
#define KEY_BYTES   32
/* A random 96-bit nonce is safe for 2^32 messages under one key (NIST SP 800-38D section 8.3): a
 * new key is made long before, whether or not somebody rotates. */
#define SEALS_MAX (1u << 28)

struct ticket_key {
    bool usable;
    uint8_t name[NAME_BYTES];
    EVP_AEAD_CTX aead; /* immutable once made: any number of threads may seal and open with it */
};

struct tls_ticket_keys {
    pthread_rwlock_t lock;     /* written only by a rotation */
    struct ticket_key keys[2]; /* the newest, the one before */
    _Atomic uint32_t seals;    /* under the newest */
};

static enum status make_key(struct ticket_key *key)
{
    uint8_t secret[KEY_BYTES];
    RAND_bytes(secret, sizeof secret);
    RAND_bytes(key->name, sizeof key->name);
    key->usable = EVP_AEAD_CTX_init(&key->aead, EVP_aead_aes_256_gcm(), secret, sizeof secret, 16,
                                    NULL);
    OPENSSL_cleanse(secret, sizeof secret);
    return key->usable ? STATUS_OK : STATUS_FAILED;
}

struct tls_ticket_keys *tls_ticket_keys_new(void)
{
    struct tls_ticket_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) {
        return NULL;
    }
    pthread_rwlock_init(&keys->lock, NULL);
    if (make_key(&keys->keys[0]) != STATUS_OK) {
        tls_ticket_keys_free(keys);
        return NULL;
    }
    return keys;
}

void tls_ticket_keys_free(struct tls_ticket_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        if (keys->keys[i].usable) {
            EVP_AEAD_CTX_cleanup(&keys->keys[i].aead);
        }
    }
    pthread_rwlock_destroy(&keys->lock);
    OPENSSL_cleanse(keys, sizeof *keys);
    free(keys);
}

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
    struct ticket_key key = {0};
    if (make_key(&key) != STATUS_OK) {
        return; /* the old one goes on: sessions stay sealed */
    }
    pthread_rwlock_wrlock(&keys->lock);
    if (keys->keys[1].usable) {
        EVP_AEAD_CTX_cleanup(&keys->keys[1].aead);
    }
    /* An EVP_AEAD_CTX may be moved, not copied: exactly one of the two is used afterwards. */
    keys->keys[1] = keys->keys[0];
    keys->keys[0] = key;
    atomic_store_explicit(&keys->seals, 0, memory_order_relaxed);
    pthread_rwlock_unlock(&keys->lock);
    OPENSSL_cleanse(&key, sizeof key);
}

enum status ticket_seal(struct tls_ticket_keys *keys, struct span plain, struct span_mut out,
                        size_t *size)
{
    if (out.size < plain.size + TICKET_OVERHEAD_BYTES) {
        return STATUS_TOO_LARGE;
    }
    if (atomic_fetch_add_explicit(&keys->seals, 1, memory_order_relaxed) >= SEALS_MAX) {
        tls_ticket_keys_rotate(keys);
    }
    uint8_t *nonce = out.data + NAME_BYTES, *sealed = nonce + NONCE_BYTES;
    size_t sealed_size = 0;
    RAND_bytes(nonce, NONCE_BYTES);
    pthread_rwlock_rdlock(&keys->lock);
    const struct ticket_key *key = &keys->keys[0];
    memcpy(out.data, key->name, NAME_BYTES);
    int ok = EVP_AEAD_CTX_seal(&key->aead, sealed, &sealed_size,
                               out.size - NAME_BYTES - NONCE_BYTES, nonce, NONCE_BYTES, plain.data,
                               plain.size, key->name, NAME_BYTES);
    pthread_rwlock_unlock(&keys->lock);
    *size = NAME_BYTES + NONCE_BYTES + sealed_size;
    return ok ? STATUS_OK : STATUS_FAILED;
}

enum status ticket_open(struct tls_ticket_keys *keys, struct span ticket, struct span_mut out,
                        size_t *size)
{
    if (ticket.size < TICKET_OVERHEAD_BYTES) {
        return STATUS_MALFORMED;
    }
    const uint8_t *nonce = ticket.data + NAME_BYTES;
    struct span sealed = span_after(ticket, NAME_BYTES + NONCE_BYTES);
    enum status status = STATUS_NOT_FOUND;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < 2 && status == STATUS_NOT_FOUND; i++) {
        const struct ticket_key *key = &keys->keys[i];
        if (key->usable && memcmp(key->name, ticket.data, NAME_BYTES) == 0) {
            status = EVP_AEAD_CTX_open(&key->aead, out.data, size, out.size, nonce, NONCE_BYTES,
                                       sealed.data, sealed.size, key->name, NAME_BYTES)
                         ? STATUS_OK
                         : STATUS_MALFORMED;
        }
    }
    pthread_rwlock_unlock(&keys->lock);
    if (status == STATUS_MALFORMED) {
        ERR_clear_error();
    }
    return status;
}
