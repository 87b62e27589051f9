/* Access tokens: JWT (RFC 9068 section 4), bound to a key by cnf (RFC 9449 section 6.1, RFC 8705
 * section 3.1). */
#ifndef POPGATE_AUTH_TOKEN_H
#define POPGATE_AUTH_TOKEN_H

#include "auth/gate.h"
#include "jose/json.h"

#define TOKEN_HASH_BYTES 32
/* 9999-12-31T23:59:59Z: a later time is milliseconds, or worse. */
#define TOKEN_TIME_MAX INT64_C(253402300799)
/* issuer, subject, client_id and scope together: they become header fields towards the service,
 * which reads some 8 KiB of head at most. */
#define TOKEN_CLAIMS_BYTES_MAX 8192

/* What reading works with. Both parsers and the scratch take texts of settings->token_bytes_max. */
struct token_reader {
    const struct auth_settings *settings;
    struct json_parser *header_json, *payload_json;
    struct span_mut scratch;
};

/* A token as read, its signature not yet verified. Spans point into the parsers' documents, the
 * scratch (signature) and the text (signing_input): valid until the reader is used again. */
struct token_claims {
    struct span issuer, subject, client_id, scope; /* printable ASCII; empty when absent */
    int64_t expires_s, not_before_s;               /* not_before_s 0 when absent */
    bool has_jkt, has_x5t;
    uint8_t jkt[TOKEN_HASH_BYTES], x5t[TOKEN_HASH_BYTES];
    /* what its signature must verify with */
    enum signature_algorithm algorithm;
    const struct public_key *key; /* of the settings' JWKS */
    struct span signing_input, signature;
};

/* Everything about the token that needs neither signature nor request. STATUS_OK, or STATUS_DENIED
 * with the denial in `check`. Allocates nothing. */
MUST_CHECK enum status token_read(const struct token_reader *reader, struct span text,
                                  int64_t now_s, struct token_claims *claims,
                                  struct auth_check *check);

/* exp and nbf, for a token just read and on every use of one kept. */
MUST_CHECK enum status token_check_times(const struct auth_settings *settings, int64_t expires_s,
                                         int64_t not_before_s, int64_t now_s,
                                         struct auth_check *check);

#endif
