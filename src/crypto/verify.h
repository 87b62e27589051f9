/* The signature contract: jobs in, one status a job out. Several implementations stand behind it,
 * chosen once at start, and give the same verdict bit for bit. All inputs are public, so nothing
 * here is constant-time. Layer rule: bytes of fixed meaning only; no JSON, no base64. */
#ifndef POPGATE_CRYPTO_VERIFY_H
#define POPGATE_CRYPTO_VERIFY_H

#include "base/span.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum signature_algorithm {
    SIGNATURE_NONE = 0, /* never valid; what unwritten memory reads as */
    SIGNATURE_ES256,    /* P-256, SHA-256, r || s, 64 bytes */
    SIGNATURE_ES384,    /* P-384, SHA-384, r || s, 96 bytes */
    SIGNATURE_ES512,    /* P-521, SHA-512, r || s, 132 bytes */
    SIGNATURE_EDDSA,    /* Ed25519, R || S, 64 bytes (JOSE names EdDSA and Ed25519) */
    SIGNATURE_PS256,    /* RSASSA-PSS, SHA-256, salt of 32 bytes */
    SIGNATURE_RS256,    /* RSASSA-PKCS1-v1_5, SHA-256 */
    SIGNATURE_ALGORITHMS,
};

enum public_key_type {
    KEY_NONE = 0,
    KEY_P256,
    KEY_P384,
    KEY_P521,
    KEY_ED25519,
    KEY_RSA,
};

/* RSA: modulus of 2048 to 4096 bits, big-endian without leading zero bytes; exponent odd, 3 to 2^32
 * - 1. */
#define RSA_MODULUS_BYTES_MAX 512

/* A public key as it came, not yet validated; plain data, may be copied and hashed.
 * x, y: big-endian coordinates, left-padded to the field size (32, 48, 66). Ed25519: x holds the
 * 32-byte encoding A. RSA: `modulus` with `modulus_size`, `exponent`. Unused bytes are zero, so
 * equal keys are equal bytes. */
struct public_key {
    enum public_key_type type;
    uint32_t exponent;
    size_t modulus_size;
    uint8_t x[66];
    uint8_t y[66];
    uint8_t modulus[RSA_MODULUS_BYTES_MAX];
};

/* The key type an algorithm needs: an algorithm is never taken from a message without comparing
 * this with the key. */
enum public_key_type signature_key_type(enum signature_algorithm algorithm);

/* A key prepared for repeated use. Points are validated here, once. Opaque; whether tables stand
 * behind it is the implementation's affair. */
struct key_context;

/* One signature to verify. The caller fills the inputs, keeps them alive until the batch is done,
 * and reads `status`: STATUS_OK or STATUS_FAILED, nothing else. */
struct verify_job {
    enum signature_algorithm algorithm;
    const struct public_key *key; /* borrowed for the call */
    struct span message;          /* the signing input, hashed here */
    struct span signature;        /* raw JOSE form */
    enum status status; /* set to STATUS_FAILED first, by every implementation, for every job */
};

struct verifier; /* shared by all workers: implementation, key contexts, G tables, counters */

struct verifier_options {
    size_t key_memory_bytes;    /* for key contexts, crypto.key_memory */
    const char *implementation; /* NULL: the fastest the CPU has, or the environment's
                                   POPGATE_CRYPTO; else "reference", "portable", "ifma" */
};

/* Returns owned; NULL when memory fails or the implementation named is unknown or not for this CPU.
 */
struct verifier *verifier_new(const struct verifier_options *options);
void verifier_free(struct verifier *verifier);

/* "reference", "portable" or "ifma". */
const char *verifier_implementation(const struct verifier *verifier);

/* Verifies `count` jobs together and writes every job's status. Any thread, one call at a time per
 * scratch. Never fails as a whole: a job that could not be done is STATUS_FAILED. Calling thread
 * must be registered with base/rcu and online. */
struct verify_scratch; /* a worker's own working memory */
struct verify_scratch *verify_scratch_new(void);
void verify_scratch_free(struct verify_scratch *scratch);
void verify_batch(struct verifier *verifier, struct verify_scratch *scratch,
                  struct verify_job *jobs, size_t count);

/* A key used for the second time gets a context. By default verify_batch builds it itself, after
 * all statuses are written and before it returns; a worker that wants its answers on their way
 * first defers that and calls verify_build_contexts at the end of its turn (registered and online;
 * at most a few tables, below a millisecond). */
void verify_scratch_defer_builds(struct verify_scratch *scratch, bool deferred);
void verify_build_contexts(struct verifier *verifier, struct verify_scratch *scratch);

/* Builds a key's context at once, as far as memory and budget allow: STATUS_OK; STATUS_EXISTS;
 * STATUS_FULL; STATUS_FAILED for a key that is not valid; STATUS_NO_MEMORY. For keys known to be
 * used, such as issuers'. Registered and online. */
MUST_CHECK enum status verify_prepare_key(struct verifier *verifier, struct verify_scratch *scratch,
                                          const struct public_key *key);

/* Ed25519 has one rule for its edges, the same alone, in a batch and by every implementation: the
 * cofactorless equation of RFC 8032 (R is compared byte for byte with the encoding of [S]B - [h]A),
 * S < L, A and R canonical, A not of small order. crypto/ed25519_rule.h says it in full. */

/* Validates a key on its own: STATUS_OK, or STATUS_FAILED (off the curve, coordinate >= p, RSA out
 * of bounds, small order or non-canonical Ed25519). */
MUST_CHECK enum status public_key_validate(const struct public_key *key);

/* Counted over all workers since start, for metrics. */
struct verifier_counters {
    uint64_t signatures[SIGNATURE_ALGORITHMS][3]; /* by engine: reference, portable, ifma */
    uint64_t key_contexts;                        /* live now */
    uint64_t key_context_bytes;
    uint64_t context_hits, context_misses, context_builds, context_evictions, context_refusals;
};
void verifier_read_counters(const struct verifier *verifier, struct verifier_counters *out);

#endif
