/* Another server that verifies with libpopgate: built outside the tree, as C and as C++, from what
 * `make install` installs. The examples of RFC 7515 appendix A.3 (ES256, by x and y and by JWK) and
 * RFC 8037 appendix A (Ed25519), one by one and in a batch. */
#include <popgate/replay_cache.h>
#include <popgate/verify.h>
#include <stdio.h>
#include <string.h>

static const uint8_t es256_x[32] = {127, 205, 206, 39,  112, 246, 196, 93,  65, 131, 203,
                                    238, 111, 219, 75,  123, 88,  7,   51,  53, 123, 233,
                                    239, 19,  186, 207, 110, 60,  123, 209, 84, 69};
static const uint8_t es256_y[32] = {199, 241, 68,  205, 27,  189, 155, 126, 135, 44,  223,
                                    237, 185, 238, 185, 244, 179, 105, 93,  110, 169, 11,
                                    36,  173, 138, 70,  35,  40,  133, 136, 229, 173};
static const char es256_jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char es256_message[] =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
    "bS9pc19yb290Ijp0cnVlfQ";
static const uint8_t es256_signature[64] = {
    14,  209, 33,  83,  121, 99,  108, 72,  60,  47,  127, 21,  88,  7,   212, 2,
    163, 178, 40,  3,   58,  249, 124, 126, 23,  129, 154, 195, 22,  158, 166, 101,
    197, 10,  7,   211, 140, 60,  112, 229, 216, 241, 45,  175, 8,   74,  84,  128,
    166, 101, 144, 197, 242, 147, 80,  154, 143, 63,  127, 138, 131, 163, 84,  213};
static const char ed25519_jwk[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
static const char ed25519_message[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
static const uint8_t ed25519_signature[64] = {
    0x86, 0x0c, 0x98, 0xd2, 0x29, 0x7f, 0x30, 0x60, 0xa3, 0x3f, 0x42, 0x73, 0x96, 0x72, 0xd6, 0x1b,
    0x53, 0xcf, 0x3a, 0xde, 0xfe, 0xd3, 0xd3, 0xc6, 0x72, 0xf3, 0x20, 0xdc, 0x02, 0x1b, 0x41, 0x1e,
    0x9d, 0x59, 0xb8, 0x62, 0x8d, 0xc3, 0x51, 0xe2, 0x48, 0xb8, 0x8b, 0x29, 0x46, 0x8e, 0x0e, 0x41,
    0x85, 0x5b, 0x0f, 0xb7, 0xd8, 0x3b, 0xb1, 0x5b, 0xe9, 0x02, 0xbf, 0xcc, 0xb8, 0xcd, 0x0a, 0x02};

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
