/* The decision: may this request pass? RFC 9449 section 4.3 and 7, RFC 9068, RFC 8705. No I/O and no clock of its own.
 *
 * A worker submits each request's check; cheap checks run at once, signatures join the worker's queue, and auth_run verifies
 * the queue of one loop turn together, then inserts into the replay cache what passed everything else. */
#ifndef POPGATE_AUTH_GATE_H
#define POPGATE_AUTH_GATE_H

#include "auth/checks.h"
#include "base/clock.h"
#include "base/span.h"
#include "base/status.h"
#include "crypto/verify.h"
#include "replay/replay_cache.h"

#include <stdbool.h>
#include <stdint.h>

enum auth_mode { AUTH_ENFORCE, AUTH_SHADOW, AUTH_OFF };

struct auth_issuer {
    struct span issuer;
    const struct span *audiences;
    size_t audiences_count;
    const struct span *allow_typ; /* beside at+jwt and application/at+jwt */
    size_t allow_typ_count;
    const struct jwks *jwks; /* NULL: none loaded (yet): every token of it is refused */
};

struct auth_policy_rule; /* auth/policy.h */

/* Everything a decision depends on, immutable, one per configuration generation, shared by all workers. Spans and arrays
 * are borrowed and outlive every worker that uses it. */
struct auth_settings {
    uint64_t generation;
    enum auth_mode mode;
    bool accept_dpop, accept_mtls;
    uint32_t algorithms; /* bit 1 << enum signature_algorithm, for proofs */
    int64_t max_age_s, clock_skew_s;
    size_t proof_bytes_max, token_bytes_max, jti_bytes_max;
    const struct span *public_origins; /* normalised "https://authority" */
    size_t public_origins_count;
    const struct auth_issuer *issuers;
    size_t issuers_count;
    bool nonce_required;
    const struct auth_policy_rule *policy;
    size_t policy_count;
};

/* Shared by all workers and generations. */
struct auth_shared {
    struct verifier *verifier;
    struct replay_cache *replay;
    /* Proofs with iat below it are answered with use_dpop_nonce (DESIGN.md, Time). Raised, never lowered. */
    _Atomic int64_t floor_s;
    struct nonce_issuer *nonces; /* replay/nonce.h */
};

/* What the connection and the parser know about one request. Spans live until the check is done. */
struct auth_request {
    struct span method;
    struct span authority; /* normalised, of the real connection: Host checked against SNI and origins by the proxy */
    struct span path;      /* normalised */
    uint32_t authorization_count, dpop_count;
    struct span authorization, dpop; /* the first of each */
    const uint8_t *certificate_sha256; /* 32 bytes, of the verified client certificate */
    struct span spiffe_id;
    int64_t certificate_not_after_s;
};

enum auth_outcome { AUTH_DENIED = 0, AUTH_ALLOWED, AUTH_PENDING };

/* Claims of the verified token; spans are valid until auth_release. */
struct auth_identity {
    struct span issuer, subject, client_id, scope;
    char jkt[43]; /* base64url thumbprint of the proof's key; jkt_size 0 without a proof */
    uint8_t jkt_size;
    int64_t expires_s; /* the token's exp: tunnels and streams end there */
};

struct auth_check {
    /* the answer, valid once outcome is not AUTH_PENDING */
    enum auth_outcome outcome;
    enum auth_denial denial;      /* auth/checks.h: which check failed; AUTH_DENIAL_NONE when allowed */
    uint16_t http_status;         /* 401, 400, 403, 429, 503 when denied */
    char detail[160];             /* for the log only: what was found, escaped by the log */
    struct auth_identity identity;
    void *user;                   /* the caller's */
    struct auth_check *next;      /* list link: of the queue, then of the finished ones */
    struct auth_work *work;       /* auth's own */
};

struct auth_worker;

/* Returns owned, NULL when memory fails. One per worker thread. */
struct auth_worker *auth_worker_new(struct auth_shared *shared,
                                    const struct auth_settings *settings);
void auth_worker_free(struct auth_worker *worker);
/* Switches to another generation; drops the token cache. No check may be pending. */
void auth_worker_configure(struct auth_worker *worker, const struct auth_settings *settings);

/* Runs the cheap checks. Afterwards the check is decided (outcome DENIED or ALLOWED) or AUTH_PENDING in the queue. */
void auth_submit(struct auth_worker *worker, const struct auth_request *request,
                 const struct clock_now *now, struct auth_check *check);

/* Verifies everything queued together; returns the finished checks as a list (by `next`), all decided, in the order
 * submitted; NULL if none were queued. */
struct auth_check *auth_run(struct auth_worker *worker, const struct clock_now *now);

/* The client went away: a pending check is forgotten (its result is dropped), a decided one is released. */
void auth_cancel(struct auth_worker *worker, struct auth_check *check);

/* Gives back what a decided check holds (the token's claims). */
void auth_release(struct auth_worker *worker, struct auth_check *check);

/* Writes the response header fields of a denied check, each ending in CRLF: WWW-Authenticate, and DPoP-Nonce,
 * Cache-Control, Retry-After where they belong. Returns the bytes written, at most `size`. */
size_t auth_challenge(struct auth_worker *worker, const struct auth_check *check,
                      const struct clock_now *now, char *out, size_t size);

struct auth_counters {
    uint64_t denials[AUTH_DENIALS];
    uint64_t token_hits, token_misses, token_evictions;
    uint64_t batches, jobs;
};
/* Owned by the worker, read by the admin thread (relaxed atomics behind it). */
void auth_read_counters(const struct auth_worker *worker, struct auth_counters *out);
struct histogram;
const struct histogram *auth_batch_sizes(const struct auth_worker *worker);
const struct histogram *auth_verify_durations(const struct auth_worker *worker);

#endif
