/* Another server that verifies with libpopgate: built outside the tree, as C and as C++, from what
 * `make install` installs. The RFCs' examples, by x and y and by JWK, one by one and in a batch. */
#include "rfc_examples.h"

#include <popgate/replay_cache.h>
#include <popgate/verify.h>
#include <stdio.h>
#include <string.h>

#define BATCH 40

static unsigned passed, failed;

static void check(int good, const char *what)
{
    passed += good != 0;
    failed += good == 0;
    if (!good) {
        printf("failed: %s\n", what);
    }
}

static int es256(struct popgate_worker *worker, const struct popgate_key *key,
                 const uint8_t *signature, size_t size)
{
    return popgate_verify(worker, POPGATE_ES256, key, (const uint8_t *)es256_message,
                          strlen(es256_message), signature, size);
}

static void check_batch(struct popgate_worker *worker, const struct popgate_key *ec,
                        const struct popgate_key *ed)
{
    struct popgate_signature batch[BATCH];
    uint8_t signatures[BATCH][64];
    int right = 1;
    for (int i = 0; i < BATCH; i++) {
        const int is_ed = i % 3 == 0;
        const char *message = is_ed ? ed25519_message : es256_message;
        memcpy(signatures[i], is_ed ? ed25519_signature : es256_signature, 64);
        signatures[i][i % 64] ^= (uint8_t)(i % 7 == 3);
        memset(&batch[i], 0, sizeof batch[i]);
        batch[i].algorithm = is_ed ? POPGATE_EDDSA : POPGATE_ES256;
        batch[i].key = is_ed ? ed : ec;
        batch[i].message = (const uint8_t *)message;
        batch[i].message_size = strlen(message);
        batch[i].signature = signatures[i];
        batch[i].signature_size = 64;
        batch[i].verdict = i % 2;
    }
    popgate_verify_batch(worker, batch, BATCH);
    for (int i = 0; i < BATCH; i++) {
        right = right && batch[i].verdict == (i % 7 != 3);
    }
    check(right, "a batch, with exactly the bad ones refused");
}

int main(void)
{
    struct popgate_verifier *verifier = popgate_verifier_new((size_t)4 << 20, NULL);
    struct popgate_worker *worker = verifier != NULL ? popgate_worker_new(verifier) : NULL;
    struct popgate_key *by_xy = popgate_key_from_coordinates(POPGATE_P256, es256_x, 32, es256_y,
                                                             32);
    struct popgate_key *by_jwk = popgate_key_from_jwk(es256_jwk, strlen(es256_jwk));
    struct popgate_key *ed = popgate_key_from_jwk(ed25519_jwk, strlen(ed25519_jwk));
    uint8_t bad[64], off_curve[32];
    check(worker != NULL && by_xy != NULL && by_jwk != NULL && ed != NULL, "all is made");
    if (failed > 0) {
        printf("%u passed, %u failed\n", passed, failed);
        return 1;
    }
    memcpy(bad, es256_signature, 64);
    bad[63] ^= 1;
    memcpy(off_curve, es256_y, 32);
    off_curve[31] ^= 1;
    check(popgate_key_from_coordinates(POPGATE_P256, es256_x, 32, off_curve, 32) == NULL,
          "a point off the curve is no key");
    check(popgate_key_from_coordinates(POPGATE_P384, es256_x, 32, es256_y, 32) == NULL,
          "coordinates of another curve");
    check(popgate_key_prepare(worker, by_xy) == 1, "its context is built at once");
    for (int use = 0; use < 3; use++) {
        check(es256(worker, by_xy, es256_signature, 64) == 1, "ES256 by x and y");
        check(es256(worker, by_jwk, es256_signature, 64) == 1, "ES256 by JWK");
        check(es256(worker, by_xy, bad, 64) == 0, "a bad one");
        check(es256(worker, by_xy, es256_signature, 63) == 0, "a short one");
        check(es256(worker, ed, es256_signature, 64) == 0, "a key of another kind");
        check_batch(worker, by_xy, ed);
    }
    printf("popgate: %s\n", popgate_verifier_implementation(verifier));
    popgate_key_free(by_xy);
    popgate_key_free(by_jwk);
    popgate_key_free(ed);
    popgate_worker_free(worker);
    popgate_verifier_free(verifier);

    struct popgate_replay_options options;
    memset(&options, 0, sizeof options);
    options.capacity = 1024;
    options.window_s_max = 70;
    char error[256];
    struct popgate_replay_cache *cache = popgate_replay_new(&options, NULL, error, sizeof error);
    check(cache != NULL, "a replay cache");
    if (cache != NULL) {
        check(popgate_replay_count(cache) == 0, "it is empty");
        popgate_replay_free(cache);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
