/* Every reason to say no, by name: one list gives the enum, the metric label `check`, the fixed
 * description in the challenge and the kind of answer. */
#ifndef POPGATE_AUTH_CHECKS_H
#define POPGATE_AUTH_CHECKS_H

enum auth_answer {
    AUTH_ANSWER_NONE,
    AUTH_ANSWER_CHALLENGE,     /* 401 without an error member */
    AUTH_ANSWER_INVALID_PROOF, /* 401 invalid_dpop_proof */
    AUTH_ANSWER_INVALID_TOKEN, /* 401 invalid_token */
    AUTH_ANSWER_BAD_REQUEST,   /* 400 invalid_request */
    AUTH_ANSWER_USE_NONCE,     /* 401 use_dpop_nonce */
    AUTH_ANSWER_SCOPE,         /* 403 insufficient_scope */
    AUTH_ANSWER_FORBIDDEN,     /* 403, no error member */
    AUTH_ANSWER_OVER_SHARE,    /* 429, Retry-After */
    AUTH_ANSWER_UNAVAILABLE,   /* 503, Retry-After */
    AUTH_ANSWERS
};

/* X(enum suffix, metric label and log reason, answer, description for error_description) */
#define AUTH_DENIAL_LIST(X)                                                                        \
    X(NONE, "none", NONE, "")                                                                      \
    X(NO_CREDENTIALS, "no_credentials", CHALLENGE, "")                                             \
    X(REPEATED_AUTHORIZATION, "repeated_authorization", BAD_REQUEST,                               \
      "more than one Authorization")                                                               \
    X(AUTHORIZATION_SYNTAX, "authorization_syntax", BAD_REQUEST, "Authorization is malformed")     \
    X(UNKNOWN_SCHEME, "unknown_scheme", CHALLENGE, "")                                             \
    X(PROOF_MISSING, "proof_missing", INVALID_PROOF, "the DPoP header is missing")                 \
    X(PROOF_REPEATED, "proof_repeated", INVALID_PROOF, "more than one DPoP header")                \
    X(PROOF_TOO_LARGE, "proof_too_large", INVALID_PROOF, "the proof is too large")                 \
    X(PROOF_SYNTAX, "proof_syntax", INVALID_PROOF, "the proof is not a compact JWS")               \
    X(PROOF_JSON, "proof_json", INVALID_PROOF, "the proof's JSON is not strict")                   \
    X(PROOF_TYP, "proof_typ", INVALID_PROOF, "typ is not dpop+jwt")                                \
    X(PROOF_ALG, "proof_alg", INVALID_PROOF, "alg is not accepted")                                \
    X(PROOF_CRIT, "proof_crit", INVALID_PROOF, "crit and b64 are not supported")                   \
    X(PROOF_JWK, "proof_jwk", INVALID_PROOF, "jwk is not a usable public key")                     \
    X(PROOF_JTI, "proof_jti", INVALID_PROOF, "jti is missing, empty or too long")                  \
    X(PROOF_HTM, "proof_htm", INVALID_PROOF, "htm is not this request's method")                   \
    X(PROOF_HTU, "proof_htu", INVALID_PROOF, "htu is not this request's URI")                      \
    X(PROOF_IAT, "proof_iat", INVALID_PROOF, "iat is missing or outside the window")               \
    X(PROOF_ATH, "proof_ath", INVALID_PROOF, "ath is not this token's hash")                       \
    X(PROOF_NONCE, "proof_nonce", USE_NONCE, "a nonce is required")                                \
    X(PROOF_FLOOR, "proof_floor", USE_NONCE, "a nonce is required")                                \
    X(PROOF_SIGNATURE, "proof_signature", INVALID_PROOF, "the signature does not verify")          \
    X(PROOF_REPLAY, "proof_replay", INVALID_PROOF, "the proof was used before")                    \
    X(PROOF_UNEXPECTED, "proof_unexpected", INVALID_TOKEN, "a proof came with an unbound token")   \
    X(TOKEN_TOO_LARGE, "token_too_large", INVALID_TOKEN, "the token is too large")                 \
    X(TOKEN_SYNTAX, "token_syntax", INVALID_TOKEN, "the token is not a compact JWS")               \
    X(TOKEN_JSON, "token_json", INVALID_TOKEN, "the token's JSON is not strict")                   \
    X(TOKEN_TYP, "token_typ", INVALID_TOKEN, "typ is not an access token's")                       \
    X(TOKEN_ALG, "token_alg", INVALID_TOKEN, "alg is not accepted")                                \
    X(TOKEN_CRIT, "token_crit", INVALID_TOKEN, "crit is not supported")                            \
    X(TOKEN_ISSUER, "token_issuer", INVALID_TOKEN, "the issuer is not trusted")                    \
    X(TOKEN_AUDIENCE, "token_audience", INVALID_TOKEN, "the audience is another")                  \
    X(TOKEN_KEY, "token_key", INVALID_TOKEN, "no key of the issuer fits")                          \
    X(TOKEN_SIGNATURE, "token_signature", INVALID_TOKEN, "the signature does not verify")          \
    X(TOKEN_EXPIRED, "token_expired", INVALID_TOKEN, "the token has expired")                      \
    X(TOKEN_NOT_YET, "token_not_yet", INVALID_TOKEN, "the token is not valid yet")                 \
    X(TOKEN_CLAIMS, "token_claims", INVALID_TOKEN, "a required claim is missing or ill-typed")     \
    X(TOKEN_UNBOUND, "token_unbound", INVALID_TOKEN, "the token is not bound to a key")            \
    X(TOKEN_BOUND_AS_BEARER, "token_bound_as_bearer", INVALID_TOKEN,                               \
      "a DPoP-bound token was sent as Bearer")                                                     \
    X(BINDING_JKT, "binding_jkt", INVALID_TOKEN, "the token is bound to another key")              \
    X(BINDING_CERTIFICATE, "binding_certificate", INVALID_TOKEN,                                   \
      "the token is bound to another certificate")                                                 \
    X(CERTIFICATE_EXPIRED, "certificate_expired", INVALID_TOKEN, "the client certificate expired") \
    X(POLICY_SCOPE, "policy_scope", SCOPE, "the scope does not cover this request")                \
    X(POLICY, "policy", FORBIDDEN, "")                                                             \
    X(REPLAY_FULL, "replay_full", UNAVAILABLE, "")                                                 \
    X(REPLAY_SHARE, "replay_share", OVER_SHARE, "")                                                \
    X(REPLAY_UNAVAILABLE, "replay_unavailable", UNAVAILABLE, "")                                   \
    X(INTERNAL, "internal", UNAVAILABLE, "")

enum auth_denial {
#define X(name, label, answer, description) AUTH_DENIAL_##name,
    AUTH_DENIAL_LIST(X)
#undef X
        AUTH_DENIALS
};

const char *auth_denial_label(enum auth_denial denial);
const char *auth_denial_description(enum auth_denial denial);
enum auth_answer auth_denial_answer(enum auth_denial denial);

/* The OAuth error code (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 8628
 * section 3.5, RFC 9449 sections 7.1 and 9); NULL where the answer carries none. */
const char *auth_answer_error(enum auth_answer answer);

#endif
