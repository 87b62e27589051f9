/* Signature verification of libpopgate, for use inside another server: batches verified together,
 * eight to a vector where the CPU can, and a precomputed context for every key that is used again.
 *
 * Shapes: everything is bytes. Signatures are in their raw JOSE form (RFC 7518 section 3, RFC
 * 8037): r || s for ES256 (64 bytes), ES384 (96), ES512 (132); R || S for EdDSA (Ed25519, 64); the
 * RSA signature as long as the modulus. Messages are hashed here. Rules: r and s in 1 .. n - 1;
 * points on the curve with coordinates below p; Ed25519 by the cofactorless equation with S < L,
 * canonical A and R, and A not of small order; RSA of 2048 to 4096 bits with an odd exponent of 3
 * .. 2^32 - 1. Verdicts are the same alone and in a batch, by every implementation. Errors:
 * constructors return NULL; a verdict is 1 for a signature that holds, 0 for everything else. No
 * errno. Ownership: what _new and _from_ return is the caller's, to be given to the matching _free;
 * arguments are borrowed for the call. Threads: a verifier is shared by all threads. A worker
 * belongs to the thread that made it: made, used and freed there; a thread has at most one. Keys
 * are immutable: any thread. Timing: not constant. Everything in a verification is public; do not
 * pass secrets. */
#ifndef POPGATE_VERIFY_H
#define POPGATE_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum popgate_algorithm {
    POPGATE_ES256 = 1,
    POPGATE_ES384,
    POPGATE_ES512,
    POPGATE_EDDSA, /* Ed25519 */
    POPGATE_PS256, /* salt of 32 bytes */
    POPGATE_RS256,
};

enum popgate_curve {
    POPGATE_P256 = 1,
    POPGATE_P384,
    POPGATE_P521,
    POPGATE_ED25519, /* x is the encoded point, there is no y */
};

/* Shared state: the contexts of keys, in `key_memory_bytes` at most (0: none), and the tables of
 * the generators. A context is built when a key has made its second good signature. implementation:
 * NULL for the fastest the CPU has (or what the environment's POPGATE_CRYPTO names), else
 * "reference", "portable" or "ifma". NULL: no memory, an unknown name, or one not for this CPU.
 * Takes some tens of milliseconds. */
struct popgate_verifier;
struct popgate_verifier *popgate_verifier_new(size_t key_memory_bytes, const char *implementation);
/* All workers have been freed. */
void popgate_verifier_free(struct popgate_verifier *verifier);
/* "reference", "portable" or "ifma". */
const char *popgate_verifier_implementation(const struct popgate_verifier *verifier);

/* What one thread needs to verify. */
struct popgate_worker;
struct popgate_worker *popgate_worker_new(struct popgate_verifier *verifier);
void popgate_worker_free(struct popgate_worker *worker);

/* A public key, valid: on its curve, within its bounds. Coordinates are big-endian and exactly as
 * long as the field (32, 48, 66 bytes; Ed25519: x is the 32 bytes of RFC 8032's encoding, y NULL
 * and 0). NULL: not valid, or no memory. */
struct popgate_key;
struct popgate_key *popgate_key_from_coordinates(enum popgate_curve curve, const uint8_t *x,
                                                 size_t x_size, const uint8_t *y, size_t y_size);
/* From the text of a JWK (RFC 7517): EC, OKP with Ed25519, RSA; public members only. */
struct popgate_key *popgate_key_from_jwk(const char *text, size_t size);
void popgate_key_free(struct popgate_key *key);

/* Builds the key's context now instead of at its second use. 1: it is there; 0: there is no room or
 * budget for it at the moment. Verification works either way. */
int popgate_key_prepare(struct popgate_worker *worker, const struct popgate_key *key);

/* 1 if `signature` is `key`'s over `message`. */
int popgate_verify(struct popgate_worker *worker, enum popgate_algorithm algorithm,
                   const struct popgate_key *key, const uint8_t *message, size_t message_size,
                   const uint8_t *signature, size_t signature_size);

/* One of a batch. `verdict` is set to 0 first, for all, and to 1 where the signature holds. */
struct popgate_signature {
    enum popgate_algorithm algorithm;
    const struct popgate_key *key;
    const uint8_t *message;
    size_t message_size;
    const uint8_t *signature;
    size_t signature_size;
    int verdict;
};
void popgate_verify_batch(struct popgate_worker *worker, struct popgate_signature *signatures,
                          size_t count);

#ifdef __cplusplus
}
#endif

#endif
