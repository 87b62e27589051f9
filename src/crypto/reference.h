/* The reference implementation: one signature at a time, by BoringSSL. It knows every algorithm,
 * decides what an engine of ours hands back undecided, and is what the tests compare the engines
 * with. */
#ifndef POPGATE_CRYPTO_REFERENCE_H
#define POPGATE_CRYPTO_REFERENCE_H

#include "crypto/verify.h"

/* Hashes the message and verifies. STATUS_OK or STATUS_FAILED; any thread. Leaves BoringSSL's error
 * queue empty. */
MUST_CHECK enum status reference_verify(enum signature_algorithm algorithm,
                                        const struct public_key *key, struct span message,
                                        struct span signature);

/* A key in BoringSSL's form, parsed and validated once, for repeated use. The object does not
 * change while it is read, so many threads may use it. */
struct ec_key_st;
struct rsa_st;
struct reference_key {
    enum public_key_type type;
    struct ec_key_st *ec;
    struct rsa_st *rsa;
    uint8_t ed25519[32];
};

/* STATUS_FAILED: the key is not valid, nothing is owned. */
MUST_CHECK enum status reference_key_init(struct reference_key *prepared,
                                          const struct public_key *key);
void reference_key_cleanup(struct reference_key *prepared);

/* As reference_verify. */
MUST_CHECK enum status reference_verify_prepared(enum signature_algorithm algorithm,
                                                 const struct reference_key *prepared,
                                                 struct span message, struct span signature);

/* ES256 alone, for a digest that is already there. r || s as 64 bytes. */
MUST_CHECK enum status reference_verify_es256_digest(const struct public_key *key,
                                                     const uint8_t digest[32],
                                                     const uint8_t signature[64]);

#endif
