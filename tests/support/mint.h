/* Real keys and real signatures for tests: JWKs, compact JWS, made with BoringSSL directly, so that
 * what the tests send does not come from the code under test. */
#ifndef POPGATE_TESTS_SUPPORT_MINT_H
#define POPGATE_TESTS_SUPPORT_MINT_H

#include "crypto/verify.h"

#define MINT_TEXT_MAX 32768

struct mint_key;

/* A fresh key; aborts when the library fails. RSA has 2048 bits. */
struct mint_key *mint_key_new(enum signature_algorithm algorithm);
void mint_key_free(struct mint_key *key);

/* The public JWK with its required members only, in lexicographic order: SHA-256 of it is the
 * thumbprint. */
const char *mint_key_jwk(const struct mint_key *key);
/* base64url of that SHA-256, 43 characters and a NUL. */
const char *mint_key_jkt(const struct mint_key *key);
/* "ES256" ... as alg. */
const char *mint_key_alg(const struct mint_key *key);

/* A JWK with the private part (for what must be refused); valid until the next call with this key.
 * EC and Ed25519. */
const char *mint_key_private_jwk(struct mint_key *key);

/* Signs `message`; returns the JOSE signature's size. `signature` has room for 512 bytes. */
size_t mint_sign(const struct mint_key *key, struct span message, uint8_t *signature);

/* base64url(header).base64url(payload).base64url(signature), NUL-terminated, at most MINT_TEXT_MAX.
 * Returns owned. */
char *mint_jws(const struct mint_key *key, const char *header, const char *payload);
/* The same over any bytes, with a signature given. */
char *mint_join(struct span header, struct span payload, struct span signature);

/* For an ES256 text: the same with s replaced by n - s, which verifies too. Returns owned. */
char *mint_negate_s(const char *jws);
/* Replaces the signature. Returns owned. */
char *mint_with_signature(const char *jws, struct span signature);

/* base64url of SHA-256, 43 characters and a NUL. */
void mint_hash(struct span message, char text[44]);

#endif
