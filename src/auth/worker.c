#include "auth/worker.h"

#include "auth/authorization.h"
#include "auth/deny.h"
#include "auth/nonce.h"
#include "auth/policy_match.h"
#include "auth/proof.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SECOND_NS INT64_C(1000000000)

static const uint64_t batch_size_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
static const uint64_t verify_duration_bounds_ns[] = {
    5000,    10000,   20000,   50000,    100000,   200000,   500000,
    1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000};

/* Parsers and scratch for texts of the settings' size. false: memory failed, what was there is
 * kept. */
static bool fit_memory(struct auth_worker *worker, const struct auth_settings *settings)
{
    size_t bytes = settings->proof_bytes_max > settings->token_bytes_max
                       ? settings->proof_bytes_max
                       : settings->token_bytes_max;
    if (bytes <= worker->text_bytes_max) {
        return true;
    }
    /* Half for htu as uri_normalise writes it (two bytes more than its text), half for "https://"
     * and the same. */
    size_t uri_bytes = 2 * (bytes + 16);
    /* htu once normalised, htm and jti, of one text; the thumbprint, and four lengths. */
    size_t key_bytes = 3 * (bytes + 16) + 64;
    struct json_parser *header_json = json_parser_new(bytes);
    struct json_parser *payload_json = json_parser_new(bytes);
    uint8_t *scratch = malloc(bytes);
    uint8_t *uri_scratch = malloc(uri_bytes);
    uint8_t *key_scratch = malloc(key_bytes);
    bool ok = header_json != NULL && payload_json != NULL && scratch != NULL &&
              uri_scratch != NULL && key_scratch != NULL;
    if (ok) {
        /* The old ones are freed below. */
        struct json_parser *old_header = worker->header_json, *old_payload = worker->payload_json;
        uint8_t *old_scratch = worker->scratch.data, *old_uri = worker->uri_scratch.data;
        uint8_t *old_key = worker->key_scratch.data;
        worker->header_json = header_json;
        worker->payload_json = payload_json;
        worker->scratch = (struct span_mut){scratch, bytes};
        worker->uri_scratch = (struct span_mut){uri_scratch, uri_bytes};
        worker->key_scratch = (struct span_mut){key_scratch, key_bytes};
        worker->text_bytes_max = bytes;
        header_json = old_header;
        payload_json = old_payload;
        scratch = old_scratch;
        uri_scratch = old_uri;
        key_scratch = old_key;
    }
    json_parser_free(header_json);
    json_parser_free(payload_json);
    free(scratch);
    free(uri_scratch);
    free(key_scratch);
    return ok;
}

static void use_settings(struct auth_worker *worker, const struct auth_settings *settings)
{
    worker->settings = settings;
    challenge_write_algs(settings->algorithms, worker->algs, sizeof(worker->algs));
}

struct auth_worker *auth_worker_new(struct auth_shared *shared,
                                    const struct auth_settings *settings)
{
    struct auth_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return NULL;
    }
    worker->shared = shared;
    slab_init(&worker->works, sizeof(struct auth_work), 0, AUTH_WORKS_CACHED_MAX);
    worker->batch_sizes.bounds = batch_size_bounds;
    worker->batch_sizes.bounds_count = sizeof(batch_size_bounds) / sizeof(*batch_size_bounds);
    worker->verify_durations.bounds = verify_duration_bounds_ns;
    worker->verify_durations.bounds_count = sizeof(verify_duration_bounds_ns) /
                                            sizeof(*verify_duration_bounds_ns);
    if (token_cache_init(&worker->tokens) != STATUS_OK) {
        free(worker);
        return NULL;
    }
    if (proof_key_cache_init(&worker->keys) != STATUS_OK) {
        token_cache_cleanup(&worker->tokens);
        free(worker);
        return NULL;
    }
    worker->verify_scratch = verify_scratch_new();
    if (worker->verify_scratch == NULL || !fit_memory(worker, settings)) {
        auth_worker_free(worker);
        return NULL;
    }
    use_settings(worker, settings);
    return worker;
}

static void drop_work(struct auth_worker *worker, struct auth_check *check)
{
    struct auth_work *work = check->work;
    check->work = NULL;
    if (work == NULL) {
        return;
    }
    if (work->key != NULL) {
        proof_key_release(&worker->keys, work->key);
    }
    if (work->token != NULL) {
        token_cache_release(&worker->tokens, work->token);
    }
    slab_give(&worker->works, work);
}

void auth_worker_free(struct auth_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    while (worker->queue_first != NULL) {
        auth_cancel(worker, worker->queue_first);
    }
    token_cache_cleanup(&worker->tokens);
    proof_key_cache_cleanup(&worker->keys);
    slab_cleanup(&worker->works);
    verify_scratch_free(worker->verify_scratch);
    json_parser_free(worker->header_json);
    json_parser_free(worker->payload_json);
    free(worker->scratch.data);
    free(worker->uri_scratch.data);
    free(worker->key_scratch.data);
    free(worker);
}

void auth_worker_configure(struct auth_worker *worker, const struct auth_settings *settings)
{
    assert(worker->queue_first == NULL);
    token_cache_clear(&worker->tokens);
    proof_key_clear(&worker->keys);
    /* Without the memory for larger texts the old limit stands: longer ones are refused, which is
     * safe. */
    (void)fit_memory(worker, settings);
    use_settings(worker, settings);
}

/* The outcome is final: counters, status, and what was held for the verification is given back. */
static void decide(struct auth_worker *worker, struct auth_check *check, enum status status)
{
    static const uint16_t http_status[] = {
        [AUTH_ANSWER_NONE] = 503, /* a denial without an answer is a bug inside */
        [AUTH_ANSWER_CHALLENGE] = 401,     [AUTH_ANSWER_INVALID_PROOF] = 401,
        [AUTH_ANSWER_INVALID_TOKEN] = 401, [AUTH_ANSWER_BAD_REQUEST] = 400,
        [AUTH_ANSWER_USE_NONCE] = 401,     [AUTH_ANSWER_SCOPE] = 403,
        [AUTH_ANSWER_FORBIDDEN] = 403,     [AUTH_ANSWER_OVER_SHARE] = 429,
        [AUTH_ANSWER_UNAVAILABLE] = 503,
    };
    assert(status != STATUS_AGAIN);
    drop_work(worker, check);
    if (status == STATUS_OK) {
        check->outcome = AUTH_ALLOWED;
        check->denial = AUTH_DENIAL_NONE;
        check->http_status = 0;
        return;
    }
    check->outcome = AUTH_DENIED;
    check->nonce_ageing = false;
    check->http_status = http_status[auth_denial_answer(check->denial)];
    counter_add(&worker->denials[check->denial], 1);
}

/* RFC 9449 section 4.3: "confirm that the public key to which the access token is bound matches the
 * public key from the DPoP proof". RFC 8705 section 3: "MUST verify that the certificate matches
 * the certificate associated with the access token". Both are enforced when both are there. */
static enum status check_binding(const struct auth_worker *worker,
                                 const struct auth_request *request, struct auth_check *check,
                                 const struct auth_work *work)
{
    const struct auth_token *token = work->token;
    if (check->scheme == AUTH_SCHEME_DPOP) {
        if (!token->has_jkt) {
            return auth_deny(check, AUTH_DENIAL_PROOF_UNEXPECTED, "the token has no cnf.jkt");
        }
        if (memcmp(token->jkt, work->key->thumbprint, sizeof(token->jkt)) != 0) {
            return auth_deny(check, AUTH_DENIAL_BINDING_JKT, "the proof's key is %.*s",
                             PROOF_KEY_JKT_TEXT_BYTES, work->key->thumbprint_text);
        }
    } else {
        /* RFC 9449 section 7.2: "such a protected resource MUST reject a DPoP-bound access token
         * received as a bearer token per [RFC6750]". */
        if (token->has_jkt) {
            return auth_deny(check, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER, "the token has a cnf.jkt");
        }
        if (!token->has_x5t) {
            return auth_deny(check, AUTH_DENIAL_TOKEN_UNBOUND, "the token has no cnf");
        }
        if (!worker->settings->accept_mtls) {
            return auth_deny(check, AUTH_DENIAL_UNKNOWN_SCHEME,
                             "certificate-bound tokens are not accepted here");
        }
        if (request->dpop_count != 0) {
            return auth_deny(check, AUTH_DENIAL_PROOF_UNEXPECTED, "a Bearer token with a proof");
        }
    }
    if (token->has_x5t &&
        (request->certificate_sha256 == NULL ||
         memcmp(token->x5t, request->certificate_sha256, sizeof(token->x5t)) != 0)) {
        return auth_deny(check, AUTH_DENIAL_BINDING_CERTIFICATE,
                         "cnf.x5t#S256 is not this connection's certificate");
    }
    return STATUS_OK;
}

/* The token of work, from the cache or read. A cached one has its times checked again. */
static enum status find_token(struct auth_worker *worker, struct span text,
                              const uint8_t digest[SHA256_BYTES], const struct clock_now *now,
                              struct auth_check *check, struct auth_work *work)
{
    work->token = token_cache_acquire(&worker->tokens, digest);
    if (work->token != NULL) {
        counter_add(&worker->token_hits, 1);
        return token_check_times(worker->settings, work->token->expires_s,
                                 work->token->not_before_s, now->wall_s, check);
    }
    counter_add(&worker->token_misses, 1);
    struct token_reader reader = {
        .settings = worker->settings,
        .header_json = worker->header_json,
        .payload_json = worker->payload_json,
        .scratch = worker->scratch,
    };
    struct token_claims claims;
    enum status status = token_read(&reader, text, now->wall_s, &claims, check);
    if (status != STATUS_OK) {
        return status;
    }
    work->token = token_cache_make(&worker->tokens, digest, &claims);
    if (work->token == NULL) {
        return auth_deny(check, AUTH_DENIAL_INTERNAL, "no memory for the token");
    }
    work->verify_token = true;
    work->token_algorithm = claims.algorithm;
    work->token_key = claims.key;
    work->token_message = claims.signing_input;
    work->token_signature_size = claims.signature.size;
    memcpy(work->token_signature, claims.signature.data, claims.signature.size);
    return STATUS_OK;
}

/* Proof and token of a request whose framing is in order, in that order: the proof is what
 * attackers vary. */
static enum status check_credentials(struct auth_worker *worker, const struct auth_request *request,
                                     struct span token, const struct clock_now *now,
                                     struct auth_check *check, struct auth_work *work)
{
    if (token.size > worker->settings->token_bytes_max || token.size > worker->text_bytes_max) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_TOO_LARGE, "a token of %zu bytes", token.size);
    }
    uint8_t digest[SHA256_BYTES];
    sha256(token, digest);
    enum status status = STATUS_OK;
    if (check->scheme == AUTH_SCHEME_DPOP) {
        status = proof_check(worker, request, digest, now, check, work);
    }
    if (status == STATUS_OK) {
        status = find_token(worker, token, digest, now, check, work);
    }
    if (status == STATUS_OK) {
        status = check_binding(worker, request, check, work);
    }
    return status;
}

/* The proof was checked by a floor that has been raised since. */
static bool floor_has_risen(const struct auth_worker *worker, const struct auth_work *work)
{
    return atomic_load_explicit(&worker->shared->floor_raises, memory_order_acquire) !=
           work->floor_raises;
}

static enum status deny_below_new_floor(struct auth_check *check)
{
    return auth_deny(check, AUTH_DENIAL_PROOF_FLOOR, "the floor rose while the check went on");
}

/* The proof has not been remembered for the first time, so it does not pass. */
static enum status deny_unremembered(struct auth_check *check, enum status status)
{
    switch (status) {
    case STATUS_EXISTS:
        return auth_deny(check, AUTH_DENIAL_PROOF_REPLAY, "this proof has been used");
    case STATUS_FULL:
        return auth_deny(check, AUTH_DENIAL_REPLAY_FULL, "the replay cache is full");
    case STATUS_EXPIRED:
        return auth_deny(check, AUTH_DENIAL_PROOF_IAT, "iat left the window while waiting");
    default:
        return auth_deny(check, AUTH_DENIAL_REPLAY_UNAVAILABLE, "the replay cache says %s",
                         status_name(status));
    }
}

/* Who holds how much of the replay cache. */
static uint64_t client_of(const struct auth_worker *worker, const struct auth_work *work)
{
    return replay_client_hash(worker->shared->replay, &work->token->issuer,
                              &work->token->client_id);
}

/* What every signature has been verified for: policy, then, for a proof, the one step that cannot
 * be taken back, which the batch takes together. */
static enum status prepare(struct auth_worker *worker, const struct clock_now *now,
                           struct auth_check *check, size_t *insertions)
{
    struct auth_work *work = check->work;
    if (check->rule != NULL && !policy_scope_suffices(check->rule, work->token->scope)) {
        return auth_deny(check, AUTH_DENIAL_POLICY_SCOPE, "the scope is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(work->token->scope)));
    }
    if (work->key == NULL) {
        return STATUS_OK;
    }
    uint64_t now_boot_s = now->boot_ns / (uint64_t)SECOND_NS;
    if (work->replay_expires_boot_s <= now_boot_s) {
        return deny_unremembered(check, STATUS_EXPIRED);
    }
    if (replay_admit(worker->shared->replay, client_of(worker, work), now_boot_s) != STATUS_OK) {
        return auth_deny(check, AUTH_DENIAL_REPLAY_SHARE,
                         "the replay cache is nearly full, this client's share is used up");
    }
    work->insertion = &worker->insertions[(*insertions)++];
    *work->insertion = (struct replay_insertion){
        .key = work->replay_key,
        .expires_boot_s = work->replay_expires_boot_s,
    };
    return STATUS_OK;
}

/* The proof, if there is one, has been remembered wherever it must be. */
static enum status finish(struct auth_worker *worker, const struct clock_now *now,
                          struct auth_check *check)
{
    struct auth_work *work = check->work;
    if (work->key != NULL) {
        replay_account(worker->shared->replay, client_of(worker, work),
                       now->boot_ns / (uint64_t)SECOND_NS);
        counter_add(&worker->replay_inserts, 1);
        /* Not one of before a reload, whose settings may refuse its algorithm. */
        if (work->generation == worker->settings->generation) {
            proof_key_insert(&worker->keys, work->key);
        }
        memcpy(check->identity.jkt, work->key->thumbprint_text, sizeof(check->identity.jkt));
        check->identity.jkt_size = PROOF_KEY_JKT_TEXT_BYTES;
    }
    /* The reference goes over to the check, until auth_release. */
    check->token = work->token;
    work->token = NULL;
    check->identity.issuer = check->token->issuer;
    check->identity.subject = check->token->subject;
    check->identity.client_id = check->token->client_id;
    check->identity.scope = check->token->scope;
    check->identity.expires_s = check->token->expires_s;
    return STATUS_OK;
}

/* After the insertions. STATUS_AGAIN: the shared store is to be asked too. */
static enum status finish_locally(struct auth_worker *worker, const struct clock_now *now,
                                  struct auth_check *check)
{
    struct auth_work *work = check->work;
    if (work->key != NULL && work->insertion->status != STATUS_OK) {
        return deny_unremembered(check, work->insertion->status);
    }
    work->insertion = NULL;
    if (work->key == NULL || !worker->shared->store) {
        return finish(worker, now, check);
    }
    if (!work->local) {
        return STATUS_AGAIN;
    }
    if (floor_has_risen(worker, work)) {
        return deny_below_new_floor(check);
    }
    counter_add(&worker->local_inserts, 1);
    return finish(worker, now, check);
}

static void enqueue(struct auth_worker *worker, struct auth_check *check)
{
    check->outcome = AUTH_PENDING;
    check->work->previous = worker->queue_last;
    if (worker->queue_last != NULL) {
        worker->queue_last->next = check;
    } else {
        worker->queue_first = check;
    }
    worker->queue_last = check;
}

/* Framing: how many there are, and of what kind. STATUS_OK sets *token. */
static enum status read_framing(const struct auth_worker *worker,
                                const struct auth_request *request, struct auth_check *check,
                                struct span *token)
{
    if (request->authorization_count == 0) {
        return auth_deny(check, AUTH_DENIAL_NO_CREDENTIALS, "no Authorization");
    }
    if (request->authorization_count > 1) {
        return auth_deny(check, AUTH_DENIAL_REPEATED_AUTHORIZATION, "%u Authorization fields",
                         request->authorization_count);
    }
    switch (authorization_parse(request->authorization, &check->scheme, token)) {
    case STATUS_OK:
        break;
    case STATUS_UNSUPPORTED:
        return auth_deny(check, AUTH_DENIAL_UNKNOWN_SCHEME, "neither DPoP nor Bearer");
    default:
        return auth_deny(check, AUTH_DENIAL_AUTHORIZATION_SYNTAX, "not a scheme and one token");
    }
    if (check->scheme == AUTH_SCHEME_DPOP && !worker->settings->accept_dpop) {
        return auth_deny(check, AUTH_DENIAL_UNKNOWN_SCHEME, "DPoP is not accepted here");
    }
    /* RFC 9449 section 4.3: "There is not more than one DPoP HTTP request header field." */
    if (request->dpop_count > 1) {
        return auth_deny(check, AUTH_DENIAL_PROOF_REPEATED, "%u DPoP fields", request->dpop_count);
    }
    if (check->scheme == AUTH_SCHEME_DPOP && request->dpop_count == 0) {
        return auth_deny(check, AUTH_DENIAL_PROOF_MISSING, "no DPoP field");
    }
    return STATUS_OK;
}

/* STATUS_AGAIN when signatures are to be verified. */
static enum status examine(struct auth_worker *worker, const struct auth_request *request,
                           const struct clock_now *now, struct auth_check *check)
{
    const struct auth_settings *settings = worker->settings;
    if (request->certificate_not_after_s < now->wall_s) {
        return auth_deny(check, AUTH_DENIAL_CERTIFICATE_EXPIRED, "expired %lld s ago",
                         (long long)(now->wall_s - request->certificate_not_after_s));
    }
    if (settings->mode == AUTH_OFF) {
        return STATUS_OK;
    }
    auth_watch_clock(worker->shared, now);
    const struct auth_policy_rule *rule;
    bool one_reading = policy_match(settings->policy, settings->policy_count, request->method,
                                    request->path, &rule);
    check->rule = rule;
    if (rule != NULL && (rule->deny || !policy_admits_peer(rule, request->spiffe_id))) {
        return auth_deny(check, AUTH_DENIAL_POLICY, "rule %zu %s",
                         (size_t)(rule - settings->policy),
                         rule->deny ? "denies everyone" : "is for other peers");
    }
    /* Credentials that are there are checked all the same: who sends them means them. */
    bool none = request->authorization_count == 0 && request->dpop_count == 0;
    if (!one_reading && !none) {
        return auth_deny(check, AUTH_DENIAL_POLICY,
                         "services differ in how they read this path, and rules in what it may");
    }
    if (one_reading && none && rule != NULL && rule->open) {
        return STATUS_OK;
    }
    struct span token = {NULL, 0};
    enum status status = read_framing(worker, request, check, &token);
    if (status != STATUS_OK) {
        return status;
    }
    check->work = slab_take(&worker->works);
    if (check->work == NULL) {
        return auth_deny(check, AUTH_DENIAL_INTERNAL, "no memory for the check");
    }
    struct auth_work *work = check->work;
    memset(work, 0, offsetof(struct auth_work, token_signature));
    work->generation = settings->generation;
    status = check_credentials(worker, request, token, now, check, work);
    if (status != STATUS_OK) {
        return status;
    }
    if (work->key != NULL || work->verify_token) {
        return STATUS_AGAIN;
    }
    size_t insertions = 0; /* without a proof there are none */
    status = prepare(worker, now, check, &insertions);
    return status == STATUS_OK ? finish(worker, now, check) : status;
}

void auth_submit(struct auth_worker *worker, const struct auth_request *request,
                 const struct clock_now *now, struct auth_check *check)
{
    /* Denied, for a reason inside, until something else is decided. */
    *check = (struct auth_check){.denial = AUTH_DENIAL_INTERNAL, .user = check->user};
    enum status status = examine(worker, request, now, check);
    if (status == STATUS_AGAIN) {
        enqueue(worker, check);
    } else {
        decide(worker, check, status);
    }
}

static struct verify_job *add_job(struct auth_worker *worker, size_t *count,
                                  enum signature_algorithm algorithm, const struct public_key *key,
                                  struct span message, struct span signature)
{
    struct verify_job *job = &worker->jobs[(*count)++];
    *job = (struct verify_job){
        .algorithm = algorithm,
        .key = key,
        .message = message,
        .signature = signature,
        .status = STATUS_FAILED,
    };
    return job;
}

static void add_jobs(struct auth_worker *worker, size_t *count, struct auth_work *work)
{
    if (work->verify_token) {
        work->token_job = add_job(worker, count, work->token_algorithm, work->token_key,
                                  work->token_message,
                                  span_make(work->token_signature, work->token_signature_size));
    }
    if (work->key != NULL) {
        work->proof_job = add_job(worker, count, work->key->algorithm, &work->key->key,
                                  work->proof_message,
                                  span_make(work->proof_signature, work->proof_signature_size));
    }
}

/* The jobs are done: their statuses, then all that waits for them. */
static enum status conclude(struct auth_worker *worker, const struct clock_now *now,
                            struct auth_check *check, size_t *insertions)
{
    struct auth_work *work = check->work;
    if (work->token_job != NULL) {
        if (work->token_job->status != STATUS_OK) {
            return auth_deny(check, AUTH_DENIAL_TOKEN_SIGNATURE, "with the issuer's key");
        }
        token_cache_insert(&worker->tokens, work->token);
    }
    if (work->proof_job != NULL && work->proof_job->status != STATUS_OK) {
        return auth_deny(check, AUTH_DENIAL_PROOF_SIGNATURE, "with the key in jwk");
    }
    return prepare(worker, now, check, insertions);
}

/* Verifies and decides the checks from `first` on, as many as fit; returns the first that did not.
 */
static struct auth_check *run_batch(struct auth_worker *worker, struct auth_check *first,
                                    const struct clock_now *now)
{
    size_t count = 0;
    struct auth_check *end = first;
    for (; end != NULL && count + 2 <= AUTH_BATCH_JOBS_MAX; end = end->next) {
        add_jobs(worker, &count, end->work);
    }
    /* The clock is read here to be shown, not to decide anything. */
    uint64_t started_ns = clock_read().boot_ns;
    verify_batch(worker->shared->verifier, worker->verify_scratch, worker->jobs, count);
    histogram_record(&worker->verify_durations, clock_read().boot_ns - started_ns);
    histogram_record(&worker->batch_sizes, count);
    counter_add(&worker->batches, 1);
    counter_add(&worker->batch_jobs, count);
    size_t insertions = 0;
    for (struct auth_check *check = first; check != end; check = check->next) {
        enum status status = conclude(worker, now, check, &insertions);
        if (status != STATUS_OK) {
            decide(worker, check, status);
        }
    }
    replay_insert_many(worker->shared->replay, worker->insertions, insertions,
                       now->boot_ns / (uint64_t)SECOND_NS);
    for (struct auth_check *check = first; check != end; check = check->next) {
        if (check->outcome != AUTH_PENDING) {
            continue;
        }
        enum status status = finish_locally(worker, now, check);
        if (status == STATUS_AGAIN) {
            check->outcome = AUTH_STORING;
        } else {
            decide(worker, check, status);
        }
    }
    counter_set(&worker->token_evictions, token_cache_evictions(&worker->tokens));
    return end;
}

struct auth_check *auth_run(struct auth_worker *worker, const struct clock_now *now)
{
    struct auth_check *first = worker->queue_first;
    worker->queue_first = NULL;
    worker->queue_last = NULL;
    for (struct auth_check *check = first; check != NULL;) {
        check = run_batch(worker, check, now);
    }
    return first;
}

void auth_store_question(const struct auth_check *check, struct auth_store_question *question)
{
    assert(check->outcome == AUTH_STORING);
    memcpy(question->key, check->work->store_key, sizeof question->key);
    question->expires_boot_s = check->work->replay_expires_boot_s;
}

void auth_stored(struct auth_worker *worker, struct auth_check *check, enum status status,
                 const struct clock_now *now)
{
    assert(check->outcome == AUTH_STORING);
    const struct auth_work *work = check->work;
    enum status decided = STATUS_FAILED;
    if (status == STATUS_EXISTS) {
        decided = deny_unremembered(check, status);
    } else if (status == STATUS_DENIED || floor_has_risen(worker, work)) {
        decided = deny_below_new_floor(check);
    } else if (status == STATUS_OK) {
        decided = finish(worker, now, check);
    } else if (status == STATUS_EXPIRED) {
        decided = deny_unremembered(check, status);
    } else {
        decided = auth_deny(check, AUTH_DENIAL_REPLAY_UNAVAILABLE, "the shared store says %s",
                            status_name(status));
    }
    decide(worker, check, decided);
}

/* A check that nobody waits for any more. Its `next` may be walked at this moment. */
static void forget(struct auth_worker *worker, struct auth_check *check)
{
    drop_work(worker, check);
    check->outcome = AUTH_DENIED;
    check->denial = AUTH_DENIAL_INTERNAL;
}

void auth_cancel(struct auth_worker *worker, struct auth_check *check)
{
    if (check->outcome == AUTH_STORING) {
        forget(worker, check);
        return;
    }
    if (check->outcome != AUTH_PENDING) {
        auth_release(worker, check);
        return;
    }
    struct auth_check *previous = check->work->previous;
    if (previous != NULL) {
        previous->next = check->next;
    } else {
        worker->queue_first = check->next;
    }
    if (check->next != NULL) {
        check->next->work->previous = previous;
    } else {
        worker->queue_last = previous;
    }
    forget(worker, check);
    check->next = NULL;
}

void auth_release(struct auth_worker *worker, struct auth_check *check)
{
    assert(check->outcome != AUTH_PENDING && check->outcome != AUTH_STORING);
    if (check->token != NULL) {
        token_cache_release(&worker->tokens, check->token);
        check->token = NULL;
        check->identity = (struct auth_identity){0};
    }
}

void auth_read_counters(const struct auth_worker *worker, struct auth_counters *out)
{
    for (size_t i = 0; i < AUTH_DENIALS; i++) {
        out->denials[i] = counter_read(&worker->denials[i]);
    }
    out->token_hits = counter_read(&worker->token_hits);
    out->token_misses = counter_read(&worker->token_misses);
    out->token_evictions = counter_read(&worker->token_evictions);
    out->batches = counter_read(&worker->batches);
    out->jobs = counter_read(&worker->batch_jobs);
    out->replay_inserts = counter_read(&worker->replay_inserts);
    out->local_inserts = counter_read(&worker->local_inserts);
}

const struct histogram *auth_batch_sizes(const struct auth_worker *worker)
{
    return &worker->batch_sizes;
}

const struct histogram *auth_verify_durations(const struct auth_worker *worker)
{
    return &worker->verify_durations;
}
