/* A gate as a worker has it: real verifier, replay cache, nonces, settings, an issuer's JWKS; and
 * the proofs and tokens a client would send it. Every part can be bent, one at a time. */
#ifndef POPGATE_TESTS_SUPPORT_GATE_H
#define POPGATE_TESTS_SUPPORT_GATE_H

#include "auth/gate.h"
#include "auth/nonce.h"
#include "auth/policy.h"
#include "support/mint.h"

#define GATE_NOW_S     INT64_C(1800000000)
#define GATE_ISSUER    "https://as.example.com"
#define GATE_AUDIENCE  "https://orders.example.com"
#define GATE_AUTHORITY "orders.example.com"
#define GATE_PATH      "/orders/7"
#define GATE_URI       "https://orders.example.com/orders/7"

struct gate {
    struct auth_shared shared;
    struct auth_settings settings;
    struct auth_issuer issuer;
    struct jwks *jwks;
    struct auth_worker *worker;
    struct clock_now now;
    struct mint_key *issuer_key; /* kid "k1" */
    struct mint_key *client_key; /* ES256 */
    uint8_t certificate_sha256[32];
    char certificate_text[44];
    struct auth_request request; /* filled for GATE_URI, GET; credentials by gate_send */
    char *token;                 /* the usual one, bound to client_key */
    uint32_t proofs;             /* minted, so that each has its own jti */
};

/* ES256 throughout unless another algorithm is given for the issuer's key. The gate must not move:
 * its replay cache reads gate->now. */
void gate_open(struct gate *gate, enum signature_algorithm issuer_algorithm);
void gate_close(struct gate *gate);
/* Uses gate->settings as changed, with a new generation. */
void gate_reconfigure(struct gate *gate);
/* Moves both clocks. */
void gate_advance(struct gate *gate, int64_t seconds);

/* JSON texts of members; NULL: what a good client sends; "": the member is left out. */
struct proof_spec {
    const char *typ, *alg, *jwk, *header_more; /* *_more: ,"name":value appended as it is */
    const char *jti, *htm, *htu, *iat, *ath, *nonce, *payload_more;
    const char *token;          /* what ath is computed from; NULL: gate->token */
    const struct mint_key *key; /* NULL: client_key */
};
char *gate_proof(struct gate *gate, const struct proof_spec *spec);

struct token_spec {
    const char *typ, *alg, *kid, *header_more;
    const char *iss, *aud, *exp, *nbf, *iat, *sub, *client_id, *scope, *cnf, *payload_more;
    const struct mint_key *key; /* NULL: issuer_key */
};
char *gate_token(struct gate *gate, const struct token_spec *spec);

/* Submits request with "DPoP TOKEN" (or `scheme`; NULL: no Authorization), `proof` (NULL: none),
 * runs the queue. The check is decided; release it. */
void gate_send(struct gate *gate, const char *scheme, const char *token, const char *proof,
               struct auth_check *check);
/* The same, released; returns the denial (AUTH_DENIAL_NONE only if allowed). */
enum auth_denial gate_try(struct gate *gate, const char *scheme, const char *token,
                          const char *proof);

#endif
