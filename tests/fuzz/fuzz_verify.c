/* Arbitrary bytes as keys, messages and signatures of a batch: every implementation, with and
 * without contexts, must give BoringSSL's verdict for every job. The first byte chooses; keys in
 * the input are used, or mended into valid ones by taking them from a fixed set, so that the deep
 * code is reached too. */
#include "base/rcu.h"
#include "crypto/reference.h"
#include "crypto/verifier.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIXED_KEYS 4
#define JOBS_MAX   16
#define JOB_BYTES  (1 + 64 + 64 + 8)

struct state {
    struct verifier *verifiers[4];
    size_t count;
    struct verify_scratch *scratch;
    struct public_key p256[FIXED_KEYS], ed25519[FIXED_KEYS];
    uint8_t signed_p256[FIXED_KEYS][64], signed_ed25519[FIXED_KEYS][64];
};

static const struct span fixed_message = SPAN_LITERAL("popgate!");

/* Fixed private scalars, so that inputs mean the same in every run. */
static void fix_keys(struct state *state)
{
    for (uint8_t k = 0; k < FIXED_KEYS; k++) {
        uint8_t seed[32] = {(uint8_t)(k + 1)}, private[64];
        state->ed25519[k].type = KEY_ED25519;
        ED25519_keypair_from_seed(state->ed25519[k].x, private, seed);
        if (!ED25519_sign(state->signed_ed25519[k], fixed_message.data, fixed_message.size,
                          private)) {
            abort();
        }
        state->p256[k].type = KEY_P256;
        EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
        BIGNUM *d = BN_new(), *x = BN_new(), *y = BN_new();
        EC_POINT *point = EC_POINT_new(EC_KEY_get0_group(ec));
        if (!BN_set_word(d, k + 1u) ||
            !EC_POINT_mul(EC_KEY_get0_group(ec), point, d, NULL, NULL, NULL) ||
            !EC_KEY_set_private_key(ec, d) || !EC_KEY_set_public_key(ec, point) ||
            !EC_POINT_get_affine_coordinates_GFp(EC_KEY_get0_group(ec), point, x, y, NULL) ||
            !BN_bn2bin_padded(state->p256[k].x, 32, x) ||
            !BN_bn2bin_padded(state->p256[k].y, 32, y)) {
            abort();
        }
        uint8_t digest[32];
        SHA256(fixed_message.data, fixed_message.size, digest);
        ECDSA_SIG *sig = ECDSA_do_sign(digest, 32, ec);
        const BIGNUM *r, *s;
        ECDSA_SIG_get0(sig, &r, &s);
        if (!BN_bn2bin_padded(state->signed_p256[k], 32, r) ||
            !BN_bn2bin_padded(state->signed_p256[k] + 32, 32, s)) {
            abort();
        }
        ECDSA_SIG_free(sig);
        EC_POINT_free(point);
        BN_free(d);
        BN_free(x);
        BN_free(y);
        EC_KEY_free(ec);
    }
}

static void warm(struct state *state, struct verifier *verifier)
{
    for (size_t i = 0; i < 3 * FIXED_KEYS; i++) {
        struct verify_job jobs[2] = {
            {.algorithm = SIGNATURE_ES256,
             .key = &state->p256[i % FIXED_KEYS],
             .message = fixed_message,
             .signature = span_make(state->signed_p256[i % FIXED_KEYS], 64)},
            {.algorithm = SIGNATURE_EDDSA,
             .key = &state->ed25519[i % FIXED_KEYS],
             .message = fixed_message,
             .signature = span_make(state->signed_ed25519[i % FIXED_KEYS], 64)},
        };
        verify_batch(verifier, state->scratch, jobs, 2);
        if (jobs[0].status != STATUS_OK || jobs[1].status != STATUS_OK) {
            abort();
        }
        rcu_quiescent();
    }
}

static struct state *state_get(void)
{
    static struct state state;
    if (state.scratch != NULL) {
        return &state;
    }
    rcu_register();
    state.scratch = verify_scratch_new();
    fix_keys(&state);
    static const char *const tiers[] = {"portable", "ifma"};
    for (size_t i = 0; i < 4; i++) {
        struct verifier *verifier = verifier_new(&(struct verifier_options){
            .key_memory_bytes = i % 2 ? 0 : (size_t)1 << 20, .implementation = tiers[i / 2]});
        if (verifier != NULL) {
            warm(&state, verifier);
            state.verifiers[state.count++] = verifier;
        }
    }
    return &state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state *state = state_get();
    struct public_key keys[JOBS_MAX];
    struct verify_job jobs[JOBS_MAX];
    uint8_t signatures[JOBS_MAX][64];
    enum status expected[JOBS_MAX];
    size_t count = 0;
    for (; size >= JOB_BYTES && count < JOBS_MAX; data += JOB_BYTES, size -= JOB_BYTES, count++) {
        uint8_t choice = data[0];
        bool p256 = choice & 1;
        size_t fixed = (choice >> 4) % FIXED_KEYS;
        memset(&keys[count], 0, sizeof keys[count]);
        keys[count].type = p256 ? KEY_P256 : KEY_ED25519;
        if (choice & 2) {
            keys[count] = p256 ? state->p256[fixed] : state->ed25519[fixed];
        } else {
            memcpy(keys[count].x, data + 1, 32);
            if (p256) {
                memcpy(keys[count].y, data + 33, 32);
            }
        }
        memcpy(signatures[count], data + 65, 64);
        jobs[count] = (struct verify_job){
            .algorithm = p256 ? SIGNATURE_ES256 : SIGNATURE_EDDSA,
            .key = &keys[count],
            .message = span_make(data + 129, 8),
            .signature = span_make(signatures[count], 64),
        };
        if (choice & 4) { /* a good signature, with the input's bytes flipping bits of it */
            for (size_t i = 0; i < 64; i++) {
                signatures[count][i] ^= (p256 ? state->signed_p256
                                              : state->signed_ed25519)[fixed][i];
            }
            jobs[count].message = fixed_message;
        }
        expected[count] = reference_verify(jobs[count].algorithm, &keys[count], jobs[count].message,
                                           jobs[count].signature);
    }
    for (size_t v = 0; v < state->count; v++) {
        verify_batch(state->verifiers[v], state->scratch, jobs, count);
        rcu_quiescent();
        for (size_t i = 0; i < count; i++) {
            if (jobs[i].status != expected[i]) {
                abort();
            }
        }
    }
    return 0;
}
