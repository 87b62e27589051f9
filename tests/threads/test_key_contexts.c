/* Several workers verify with contexts of one store that has room for a few of their keys only, so
 * that contexts are built and evicted under load while other workers' batches use them. Every
 * verdict must be right; TSan and ASan see whether anything is read after it was freed or without
 * an order. */
#include "base/rcu.h"
#include "crypto/verifier.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS 3
#define KEYS    24
#define BATCH   24
#define TURNS   400
/* Of the smallest tables of either kind, about eight fit. */
#define KEY_MEMORY ((size_t)420 * 1024)

struct item {
    struct public_key key;
    uint8_t message[40];
    uint8_t signature[64];
    enum signature_algorithm algorithm;
};

struct shared {
    struct verifier *verifier;
    struct item items[KEYS];
    atomic_ulong wrong, right;
};

static void item_init(struct item *item, size_t number)
{
    memset(item, 0, sizeof *item);
    memset(item->message, (int)number + 1, sizeof item->message);
    if (number % 2 == 0) {
        uint8_t private[64];
        item->algorithm = SIGNATURE_EDDSA;
        item->key.type = KEY_ED25519;
        ED25519_keypair(item->key.x, private);
        if (!ED25519_sign(item->signature, item->message, sizeof item->message, private)) {
            abort();
        }
        return;
    }
    item->algorithm = SIGNATURE_ES256;
    item->key.type = KEY_P256;
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    BIGNUM *x = BN_new(), *y = BN_new();
    uint8_t digest[32];
    SHA256(item->message, sizeof item->message, digest);
    if (ec == NULL || !EC_KEY_generate_key(ec) ||
        !EC_POINT_get_affine_coordinates_GFp(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec), x,
                                             y, NULL) ||
        !BN_bn2bin_padded(item->key.x, 32, x) || !BN_bn2bin_padded(item->key.y, 32, y)) {
        abort();
    }
    ECDSA_SIG *sig = ECDSA_do_sign(digest, 32, ec);
    const BIGNUM *r, *s;
    ECDSA_SIG_get0(sig, &r, &s);
    if (!BN_bn2bin_padded(item->signature, 32, r) ||
        !BN_bn2bin_padded(item->signature + 32, 32, s)) {
        abort();
    }
    ECDSA_SIG_free(sig);
    BN_free(x);
    BN_free(y);
    EC_KEY_free(ec);
}

static void *work(void *argument)
{
    struct shared *shared = argument;
    static atomic_uint started;
    unsigned seed = atomic_fetch_add(&started, 1) * 7919 + 1;
    rcu_register();
    struct verify_scratch *scratch = verify_scratch_new();
    unsigned long right = 0, wrong = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        struct verify_job jobs[BATCH];
        uint8_t spoilt[BATCH][64];
        size_t count = turn % BATCH + 1;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525 + 1013904223;
            /* A few keys at a time, drifting, so that there are hits as well as evictions. */
            const struct item *item = &shared->items[(turn / 4 + (seed >> 16) % 6) % KEYS];
            memcpy(spoilt[i], item->signature, 64);
            spoilt[i][40] ^= i % 3 == 2;
            jobs[i] = (struct verify_job){.algorithm = item->algorithm,
                                          .key = &item->key,
                                          .message = span_make(item->message, sizeof item->message),
                                          .signature = span_make(spoilt[i], 64)};
        }
        verify_batch(shared->verifier, scratch, jobs, count);
        for (size_t i = 0; i < count; i++) {
            bool good = jobs[i].status == (i % 3 == 2 ? STATUS_FAILED : STATUS_OK);
            right += good;
            wrong += !good;
        }
        if (turn % 64 == 63) {
            rcu_offline();
            rcu_online();
        } else {
            rcu_quiescent();
        }
    }
    verify_scratch_free(scratch);
    rcu_unregister();
    atomic_fetch_add(&shared->right, right);
    atomic_fetch_add(&shared->wrong, wrong);
    return NULL;
}

static unsigned run(const char *implementation)
{
    static struct shared shared;
    memset(&shared, 0, sizeof shared);
    shared.verifier = verifier_new(&(struct verifier_options){.key_memory_bytes = KEY_MEMORY,
                                                              .implementation = implementation});
    if (shared.verifier == NULL) {
        printf("key_contexts: no %s here\n", implementation);
        return 0;
    }
    /* The budget would end the churn: this is about memory. */
    key_contexts_unlimit_builds(shared.verifier->contexts);
    for (size_t i = 0; i < KEYS; i++) {
        item_init(&shared.items[i], i);
    }
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        if (pthread_create(&threads[i], NULL, work, &shared) != 0) {
            abort();
        }
    }
    rcu_register();
    rcu_offline();
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    rcu_online();
    struct verifier_counters counters;
    verifier_read_counters(shared.verifier, &counters);
    unsigned failed = 0;
    failed += atomic_load(&shared.wrong) != 0;
    failed += counters.context_evictions < 10;
    failed += counters.context_hits < 100;
    failed += counters.key_context_bytes > KEY_MEMORY;
    printf("key_contexts, %s: %lu right, %lu wrong, %llu hits, %llu builds, %llu evictions, "
           "%llu refusals\n",
           implementation, atomic_load(&shared.right), atomic_load(&shared.wrong),
           (unsigned long long)counters.context_hits, (unsigned long long)counters.context_builds,
           (unsigned long long)counters.context_evictions,
           (unsigned long long)counters.context_refusals);
    verifier_free(shared.verifier);
    rcu_unregister();
    return failed;
}

int main(void)
{
    static const char *const implementations[] = {"portable", "ifma"};
    unsigned failed = 0;
    for (size_t i = 0; i < 2; i++) {
        failed += run(implementations[i]);
    }
    printf("%u passed, %u failed\n", 8 - failed, failed);
    return failed != 0;
}
