/* What a server that embeds libpopgate sees: the public header only. */
#include "popgate/verify.h"

#include "library/rfc_examples.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static const uint8_t ed25519_x[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

#define TEXT(text) (const uint8_t *)(text), strlen(text)

static int verify(struct popgate_worker *worker, const struct popgate_key *key, int ed25519,
                  const uint8_t *signature, size_t size)
{
    return ed25519
               ? popgate_verify(worker, POPGATE_EDDSA, key, TEXT(ed25519_message), signature, size)
               : popgate_verify(worker, POPGATE_ES256, key, TEXT(es256_message), signature, size);
}

Test(public_verify, the_rfcs_examples_by_jwk_and_by_coordinates_with_every_implementation)
{
    static const char *const implementations[] = {NULL, "reference", "portable", "ifma"};
    for (size_t i = 0; i < 4; i++) {
        struct popgate_verifier *verifier = popgate_verifier_new((size_t)8 << 20,
                                                                 implementations[i]);
        if (verifier == NULL) {
            cr_assert_eq(i, 3, "only a CPU without AVX-512 lacks one");
            continue;
        }
        cr_assert(i == 0 ||
                  strcmp(popgate_verifier_implementation(verifier), implementations[i]) == 0);
        struct popgate_worker *worker = popgate_worker_new(verifier);
        struct popgate_key *keys[2][2] = {
            {popgate_key_from_jwk(es256_jwk, strlen(es256_jwk)),
             popgate_key_from_coordinates(POPGATE_P256, es256_x, 32, es256_y, 32)},
            {popgate_key_from_jwk(ed25519_jwk, strlen(ed25519_jwk)),
             popgate_key_from_coordinates(POPGATE_ED25519, ed25519_x, 32, NULL, 0)}};
        for (int kind = 0; kind < 2; kind++) {
            const uint8_t *good = kind ? ed25519_signature : es256_signature;
            for (int from = 0; from < 2; from++) {
                cr_assert_not_null(keys[kind][from]);
                for (int use = 0; use < 4; use++) { /* without a context, and with */
                    uint8_t bad[64];
                    memcpy(bad, good, 64);
                    bad[use * 15] ^= 1;
                    cr_assert_eq(verify(worker, keys[kind][from], kind, good, 64), 1);
                    cr_assert_eq(verify(worker, keys[kind][from], kind, bad, 64), 0);
                    cr_assert_eq(verify(worker, keys[kind][from], kind, good, 63), 0);
                    cr_assert_eq(verify(worker, keys[kind][from], !kind, good, 64), 0);
                }
            }
            popgate_key_free(keys[kind][0]);
            popgate_key_free(keys[kind][1]);
        }
        popgate_worker_free(worker);
        popgate_verifier_free(verifier);
    }
}

Test(public_verify, a_batch_writes_every_verdict)
{
    struct popgate_verifier *verifier = popgate_verifier_new((size_t)8 << 20, NULL);
    struct popgate_worker *worker = popgate_worker_new(verifier);
    struct popgate_key *es256 = popgate_key_from_jwk(es256_jwk, strlen(es256_jwk));
    struct popgate_key *ed25519 = popgate_key_from_jwk(ed25519_jwk, strlen(ed25519_jwk));
    cr_assert_eq(popgate_key_prepare(worker, es256), 1);
    cr_assert_eq(popgate_key_prepare(worker, ed25519), 1);
    cr_assert_eq(popgate_key_prepare(worker, ed25519), 1);
    struct popgate_signature batch[200];
    uint8_t bad[64];
    memcpy(bad, ed25519_signature, 64);
    bad[33] ^= 4;
    for (size_t i = 0; i < 200; i++) {
        int kind = i % 3 == 0;
        batch[i] = (struct popgate_signature){
            .algorithm = kind ? POPGATE_EDDSA : POPGATE_ES256,
            .key = kind ? ed25519 : es256,
            .message = (const uint8_t *)(kind ? ed25519_message : es256_message),
            .message_size = strlen(kind ? ed25519_message : es256_message),
            .signature = i % 7 == 1 ? bad
                         : kind     ? ed25519_signature
                                    : es256_signature,
            .signature_size = 64,
            .verdict = 1};
    }
    batch[150].key = NULL;
    batch[151].algorithm = (enum popgate_algorithm)0;
    batch[152].algorithm = (enum popgate_algorithm)77;
    popgate_verify_batch(worker, batch, 200);
    for (size_t i = 0; i < 200; i++) {
        int wanted = i % 7 != 1 && (i < 150 || i > 152);
        cr_assert_eq(batch[i].verdict, wanted, "%zu", i);
    }
    popgate_verify_batch(worker, NULL, 0);
    popgate_key_free(es256);
    popgate_key_free(ed25519);
    popgate_worker_free(worker);
    popgate_verifier_free(verifier);
}

Test(public_verify, what_is_no_key_is_refused)
{
    uint8_t off[32];
    memcpy(off, es256_y, 32);
    off[31] ^= 1;
    cr_assert_null(popgate_key_from_coordinates(POPGATE_P256, es256_x, 32, off, 32));
    cr_assert_null(popgate_key_from_coordinates(POPGATE_P256, es256_x, 31, es256_y, 32));
    cr_assert_null(popgate_key_from_coordinates(POPGATE_P256, es256_x, 32, es256_y, 33));
    cr_assert_null(popgate_key_from_coordinates(POPGATE_P256, es256_x, 32, NULL, 32));
    cr_assert_null(popgate_key_from_coordinates(POPGATE_P256, NULL, 32, es256_y, 32));
    cr_assert_null(popgate_key_from_coordinates(POPGATE_P384, es256_x, 32, es256_y, 32));
    cr_assert_null(popgate_key_from_coordinates(POPGATE_ED25519, ed25519_x, 32, es256_y, 32));
    cr_assert_null(popgate_key_from_coordinates((enum popgate_curve)0, es256_x, 32, es256_y, 32));
    cr_assert_null(popgate_key_from_coordinates((enum popgate_curve)9, es256_x, 32, es256_y, 32));
    uint8_t small[32] = {1};
    cr_assert_null(popgate_key_from_coordinates(POPGATE_ED25519, small, 32, NULL, 0));
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "7",
                                        "{\"kty\":\"EC\"}",
                                        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
                                        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
                                        "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_assert_null(popgate_key_from_jwk(texts[i], strlen(texts[i])), "%s", texts[i]);
    }
    static char large[70000];
    memset(large, ' ', sizeof large);
    memcpy(large, es256_jwk, strlen(es256_jwk));
    cr_assert_null(popgate_key_from_jwk(large, sizeof large));
    popgate_key_free(NULL);
    popgate_worker_free(NULL);
    popgate_verifier_free(NULL);
    cr_assert_null(popgate_verifier_new(0, "quick"));
}

/* Without key memory there are no contexts, and everything still works; two threads, a worker each.
 */
static void *use(void *argument)
{
    struct popgate_worker *worker = popgate_worker_new(argument);
    struct popgate_key *key = popgate_key_from_jwk(ed25519_jwk, strlen(ed25519_jwk));
    uintptr_t good = 0;
    for (int i = 0; i < 50; i++) {
        good += (uintptr_t)verify(worker, key, 1, ed25519_signature, 64);
    }
    good += (uintptr_t)popgate_key_prepare(worker, key) * 1000;
    popgate_key_free(key);
    popgate_worker_free(worker);
    return (void *)good;
}

Test(public_verify, threads_share_a_verifier)
{
    for (size_t memory = 0; memory <= (size_t)1 << 20; memory += (size_t)1 << 20) {
        struct popgate_verifier *verifier = popgate_verifier_new(memory, NULL);
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++) {
            cr_assert_eq(pthread_create(&threads[i], NULL, use, verifier), 0);
        }
        for (size_t i = 0; i < 2; i++) {
            void *good;
            pthread_join(threads[i], &good);
            cr_assert_eq((uintptr_t)good, memory == 0 ? 50u : 1050u);
        }
        popgate_verifier_free(verifier);
    }
}
