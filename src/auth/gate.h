/* The decision: may this request pass? RFC 9449 section 4.3 and 7, RFC 9068, RFC 8705. No I/O and
 * no clock of its own.
 *
 * A worker submits each request's check; cheap checks run at once, signatures join the worker's
 * queue, and auth_run verifies the queue of one loop turn together, then inserts into the replay
 * cache what passed everything else. */
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

/* Everything a decision depends on, immutable, one per configuration generation, shared by all
 * workers. Spans and arrays are borrowed and outlive every worker that uses it. */
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

/* The longest a proof is remembered, in whole seconds of the boot clock: give it to
 * replay_options.window_s_max. It is max_age + 2 * clock_skew + 3: one second because a proof is
 * good for the whole second that iat + max_age + clock_skew names, one because the boot clock is in
 * whole seconds too, one for a clock that was set back by less than AUTH_CLOCK_STEP_NS. */
uint64_t auth_replay_window_s(const struct auth_settings *settings);
/* The part of it after a proof's iat, for replay_options.reach_s: max_age + clock_skew. */
uint64_t auth_replay_reach_s(const struct auth_settings *settings);

/* Shared by all workers and generations. Zero-initialise it, then set the three pointers. */
struct auth_shared {
    struct verifier *verifier;
    struct replay_cache *replay;
    struct nonce_issuer
        *nonces; /* auth/nonce.h; needed also with nonce_required false, for the floor */
    /* Proofs with iat below it are answered with use_dpop_nonce (DESIGN.md, Time). auth_raise_floor
     * sets it. */
    _Atomic int64_t floor_s;
    /* Wall minus boot clock, the highest seen by any worker; 0: not seen yet. A worker that sees
     * less by more than AUTH_CLOCK_STEP_NS knows that the wall clock was set back, and raises the
     * floor. */
    _Atomic int64_t clock_offset_ns;
    /* Counts the raises of the floor: a check that waited for something across one was made by a
     * floor that does not hold any more. */
    _Atomic uint64_t floor_raises;
    /* Set before any worker: an insert into `replay` is to be confirmed by a store that replicas
     * share (AUTH_STORING). */
    bool store;
    /* ... which is away, and nobody waits for it: auth_set_local. */
    _Atomic bool local;
};

#define AUTH_CLOCK_STEP_NS 500000000

/* Memory may have been lost (a start without a surviving cache, another Redis, a window that grew):
 * proofs with an iat below `floor_s` (now + clock_skew, usually) pass only with a nonce minted
 * after this call. Never lowers the floor. Any thread. */
void auth_raise_floor(struct auth_shared *shared, int64_t floor_s);

/* Raises the floor above every proof that anyone who uses this memory can have accepted by now: iat
 * is at most now + clock_skew, in whole seconds, and this second is not over. */
void auth_raise_floor_to_now(struct auth_shared *shared, int64_t wall_s);

/* The shared store is away (`local`), or back. While it is, inserts are local, and every proof
 * needs a nonce that this process has minted since: so no proof passes at two replicas that are
 * both cut off. Raises the floor in both directions. Any thread. */
void auth_set_local(struct auth_shared *shared, bool local, int64_t floor_s);

/* The floor and the clock that `replay` has kept for us from the process before. Once, at start,
 * before any worker. */
void auth_take_over(struct auth_shared *shared);

/* What the connection and the parser know about one request. Spans live until the check is done. */
struct auth_request {
    struct span method;
    struct span authority; /* normalised, of the real connection: Host checked against SNI and
                              origins by the proxy */
    struct span path;      /* normalised */
    uint32_t authorization_count, dpop_count;
    struct span authorization, dpop;   /* the first of each */
    const uint8_t *certificate_sha256; /* 32 bytes, of the verified client certificate */
    struct span spiffe_id;
    int64_t certificate_not_after_s;
};

/* AUTH_STORING: all is well but for the shared store, which the caller asks: auth_stored. */
enum auth_outcome { AUTH_DENIED = 0, AUTH_ALLOWED, AUTH_PENDING, AUTH_STORING };

/* Claims of the verified token; spans are valid until auth_release. */
struct auth_identity {
    struct span issuer, subject, client_id, scope;
    char jkt[43]; /* base64url thumbprint of the proof's key; jkt_size 0 without a proof */
    uint8_t jkt_size;
    int64_t expires_s; /* the token's exp: tunnels and streams end there */
};

/* The scheme the credentials came in: the challenge puts the error there. */
enum auth_scheme { AUTH_SCHEME_NONE, AUTH_SCHEME_DPOP, AUTH_SCHEME_BEARER };

struct auth_token; /* a verified token; auth's own */

struct auth_check {
    /* the answer, valid once outcome is neither AUTH_PENDING nor AUTH_STORING */
    enum auth_outcome outcome;
    enum auth_denial denial; /* auth/checks.h: which check failed; AUTH_DENIAL_NONE when allowed */
    uint16_t http_status;    /* 401, 400, 403, 429, 503 when denied */
    char detail[160];        /* for the log only: what was found, escaped by the log */
    struct auth_identity identity;
    void *user;              /* the caller's */
    struct auth_check *next; /* list link: of the queue, then of the finished ones */
    enum auth_scheme scheme;
    bool nonce_ageing; /* allowed, but the nonce used will expire soon: see auth_success_fields */
    const struct auth_policy_rule
        *rule;                /* the rule that decided, or NULL; as long as the settings */
    struct auth_work *work;   /* auth's own, while pending or storing */
    struct auth_token *token; /* auth's own, until auth_release */
};

struct auth_worker;

/* Returns owned, NULL when memory fails. One per worker thread. */
struct auth_worker *auth_worker_new(struct auth_shared *shared,
                                    const struct auth_settings *settings);
void auth_worker_free(struct auth_worker *worker);
/* Switches to another generation; drops the caches of tokens and proof keys. No check may be
 * pending; decided ones keep what they hold. The settings before may be freed after it. */
void auth_worker_configure(struct auth_worker *worker, const struct auth_settings *settings);

/* Runs the cheap checks. Afterwards the check is decided (outcome DENIED or ALLOWED) or
 * AUTH_PENDING in the queue. Writes all of `check` but `user`. `request` itself may go when this
 * returns; the bytes its spans point to may not. */
void auth_submit(struct auth_worker *worker, const struct auth_request *request,
                 const struct clock_now *now, struct auth_check *check);

/* Verifies everything queued together; returns the finished checks as a list (by `next`), all
 * decided or AUTH_STORING, in the order submitted; NULL if none were queued. Whoever walks the list
 * keeps its checks in memory until the walk is over, also those it releases on the way. */
struct auth_check *auth_run(struct auth_worker *worker, const struct clock_now *now);

/* What the shared store is to be asked for a check that is AUTH_STORING. */
struct auth_store_question {
    uint8_t key[32];         /* SHA-256 over the length-prefixed (jkt, canonical htu, htm, jti) */
    uint64_t expires_boot_s; /* as in replay_insert */
};
void auth_store_question(const struct auth_check *check, struct auth_store_question *question);

/* The store has answered, and the check is decided. `status`: STATUS_OK: it was new there too.
 * STATUS_EXISTS: a replay. STATUS_EXPIRED: its time passed while it waited. STATUS_DENIED: the
 * store's memory was lost, and the floor has been raised. Anything else: it cannot be asked. */
void auth_stored(struct auth_worker *worker, struct auth_check *check, enum status status,
                 const struct clock_now *now);

/* The client went away: a pending check is forgotten (its result is dropped), a decided one is
 * released. */
void auth_cancel(struct auth_worker *worker, struct auth_check *check);

/* Gives back what a decided check holds (the token's claims). */
void auth_release(struct auth_worker *worker, struct auth_check *check);

/* Room that auth_challenge and auth_success_fields never need more than. */
#define AUTH_CHALLENGE_BYTES_MAX 1536

/* Writes the response header fields of a denied check, each ending in CRLF: WWW-Authenticate (one
 * line a scheme), and DPoP-Nonce, Cache-Control, Retry-After where they belong. Returns the bytes
 * written, at most `size`: a line that does not fit is left out whole. No NUL. */
size_t auth_challenge(struct auth_worker *worker, const struct auth_check *check,
                      const struct clock_now *now, char *out, size_t size);

/* The fields that an allowed request's response needs from us, each ending in CRLF: a fresh
 * DPoP-Nonce (RFC 9449 section 8.2) with Cache-Control: no-store when the one used is about to
 * expire; usually none, 0. As auth_challenge. */
size_t auth_success_fields(struct auth_worker *worker, const struct auth_check *check,
                           const struct clock_now *now, char *out, size_t size);

struct auth_counters {
    uint64_t denials[AUTH_DENIALS];
    uint64_t token_hits, token_misses, token_evictions;
    uint64_t batches, jobs;
    uint64_t replay_inserts; /* proofs that the replay cache had not seen; the others are denials */
    uint64_t local_inserts;  /* of them, while the shared store was away */
};
/* Owned by the worker, read by the admin thread (relaxed atomics behind it). */
void auth_read_counters(const struct auth_worker *worker, struct auth_counters *out);
struct histogram;                                                           /* base/metrics.h */
const struct histogram *auth_batch_sizes(const struct auth_worker *worker); /* signatures */
const struct histogram *auth_verify_durations(const struct auth_worker *worker); /* nanoseconds */

#endif
