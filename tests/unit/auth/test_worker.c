#include "auth/worker.h"
#include "support/gate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* A request whose bytes stay until the test is over. */
struct sent {
    struct auth_request request;
    struct auth_check check;
    char authorization[MINT_TEXT_MAX];
    char *proof;
};

static void submit(struct gate *gate, struct sent *sent, const char *token, char *proof)
{
    snprintf(sent->authorization, sizeof(sent->authorization), "DPoP %s", token);
    sent->proof = proof;
    sent->request = gate->request;
    sent->request.authorization = span_from_string(sent->authorization);
    sent->request.authorization_count = 1;
    sent->request.dpop = span_from_string(proof);
    sent->request.dpop_count = 1;
    sent->check = (struct auth_check){.user = sent};
    auth_submit(gate->worker, &sent->request, &gate->now, &sent->check);
}

static struct sent *submit_good(struct gate *gate)
{
    struct sent *sent = calloc(1, sizeof(*sent));
    submit(gate, sent, gate->token, gate_proof(gate, &(struct proof_spec){0}));
    cr_assert_eq(sent->check.outcome, AUTH_PENDING);
    return sent;
}

static void finish(struct gate *gate, struct sent *sent)
{
    auth_release(gate->worker, &sent->check);
    free(sent->proof);
    free(sent);
}

static enum auth_denial try_good(struct gate *gate)
{
    char *proof = gate_proof(gate, &(struct proof_spec){0});
    enum auth_denial denial = gate_try(gate, "DPoP", gate->token, proof);
    free(proof);
    return denial;
}

static struct auth_counters counters(const struct gate *gate)
{
    struct auth_counters all;
    auth_read_counters(gate->worker, &all);
    return all;
}

Test(worker, an_allowed_request_brings_the_verified_identity)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    for (int i = 0; i < 2; i++) { /* read, then from the cache */
        struct auth_check check;
        char *proof = gate_proof(&gate, &(struct proof_spec){0});
        gate_send(&gate, "DPoP", gate.token, proof, &check);
        cr_assert_eq(check.outcome, AUTH_ALLOWED);
        cr_expect_eq(check.denial, AUTH_DENIAL_NONE);
        cr_expect_eq(check.http_status, 0);
        cr_expect_eq(check.scheme, AUTH_SCHEME_DPOP);
        cr_expect_eq(check.detail[0], '\0');
        cr_expect(span_equal_string(check.identity.issuer, GATE_ISSUER));
        cr_expect(span_equal_string(check.identity.subject, "alice"));
        cr_expect(span_equal_string(check.identity.client_id, "shop"));
        cr_expect(span_equal_string(check.identity.scope, "orders.read orders.write"));
        cr_expect_eq(check.identity.expires_s, GATE_NOW_S + 600);
        cr_expect(span_equal_string(span_make(check.identity.jkt, check.identity.jkt_size),
                                    mint_key_jkt(gate.client_key)));
        auth_release(gate.worker, &check);
        cr_expect_eq(check.identity.subject.size, 0, "nothing points to what was given back");
        auth_release(gate.worker, &check);
        free(proof);
    }
    cr_expect_eq(counters(&gate).token_misses, 1);
    cr_expect_eq(counters(&gate).token_hits, 1);
    gate_close(&gate);
}

Test(worker, a_denied_request_says_which_check_and_brings_no_identity)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check check;
    char *proof = gate_proof(&gate, &(struct proof_spec){.htm = "\"PUT\""});
    gate_send(&gate, "DPoP", gate.token, proof, &check);
    cr_expect_eq(check.outcome, AUTH_DENIED);
    cr_expect_eq(check.denial, AUTH_DENIAL_PROOF_HTM);
    cr_expect_eq(check.http_status, 401);
    cr_expect_str_eq(check.detail, "htm is \"PUT\", the method is GET");
    cr_expect_null(check.token);
    cr_expect_null(check.work);
    cr_expect_eq(check.identity.subject.size, 0);
    cr_expect_eq(check.identity.jkt_size, 0);
    cr_expect_eq(counters(&gate).denials[AUTH_DENIAL_PROOF_HTM], 1);
    auth_release(gate.worker, &check);
    free(proof);
    gate_close(&gate);
}

Test(worker, one_turn_is_one_batch_in_the_order_submitted)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct sent *sent[20];
    for (int i = 0; i < 20; i++) {
        sent[i] = submit_good(&gate);
    }
    struct auth_check *check = auth_run(gate.worker, &gate.now);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(check, &sent[i]->check);
        cr_expect_eq(check->outcome, AUTH_ALLOWED);
        cr_expect_eq(check->user, sent[i]);
        check = check->next;
    }
    cr_expect_null(check);
    cr_expect_null(auth_run(gate.worker, &gate.now), "the queue is empty");
    cr_expect_eq(counters(&gate).batches, 1);
    cr_expect_eq(counters(&gate).jobs, 40,
                 "twenty proofs, and the token twenty times: none was verified before");
    const struct histogram *sizes = auth_batch_sizes(gate.worker);
    cr_expect_eq(counter_read(&sizes->sum), 40);
    cr_expect_eq(counter_read(&sizes->buckets[6]), 1, "over 32, at most 64");
    cr_expect_gt(counter_read(&auth_verify_durations(gate.worker)->sum), 0);
    for (int i = 0; i < 20; i++) {
        finish(&gate, sent[i]);
    }
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE);
    cr_expect_eq(counters(&gate).jobs, 41, "now the token is known");
    gate_close(&gate);
}

Test(worker, a_queue_longer_than_a_batch_takes_several)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    enum { COUNT = AUTH_BATCH_JOBS_MAX / 2 + 3 };
    struct sent *sent[COUNT];
    for (int i = 0; i < COUNT; i++) {
        sent[i] = submit_good(&gate);
    }
    struct auth_check *check = auth_run(gate.worker, &gate.now);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(check, &sent[i]->check);
        cr_assert_eq(check->outcome, AUTH_ALLOWED, "%d %s", i, check->detail);
        check = check->next;
        finish(&gate, sent[i]);
    }
    cr_expect_eq(counters(&gate).batches, 2);
    cr_expect_eq(counters(&gate).jobs, 2 * COUNT);
    gate_close(&gate);
}

Test(worker, good_and_bad_in_one_batch_are_told_apart)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const enum auth_denial wanted[] = {AUTH_DENIAL_NONE, AUTH_DENIAL_PROOF_SIGNATURE,
                                              AUTH_DENIAL_PROOF_REPLAY, AUTH_DENIAL_TOKEN_SIGNATURE,
                                              AUTH_DENIAL_NONE};
    struct sent sent[5];
    char *first = gate_proof(&gate, &(struct proof_spec){0});
    submit(&gate, &sent[0], gate.token, first);
    uint8_t zeros[64] = {1};
    char *plain = gate_proof(&gate, &(struct proof_spec){0});
    submit(&gate, &sent[1], gate.token, mint_with_signature(plain, span_make(zeros, 64)));
    submit(&gate, &sent[2], gate.token, mint_with_signature(first, span_make(zeros, 0)));
    auth_release(gate.worker, &sent[2].check);
    free(sent[2].proof);
    char *copy = malloc(strlen(first) + 1);
    memcpy(copy, first, strlen(first) + 1);
    submit(&gate, &sent[2], gate.token, copy);
    char *forged = mint_with_signature(gate.token, span_make(zeros, 64));
    submit(&gate, &sent[3], forged, gate_proof(&gate, &(struct proof_spec){.token = forged}));
    submit(&gate, &sent[4], gate.token, gate_proof(&gate, &(struct proof_spec){0}));
    cr_assert_eq(auth_run(gate.worker, &gate.now), &sent[0].check);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(sent[i].check.denial, wanted[i], "%d: %s", i,
                     auth_denial_label(sent[i].check.denial));
        auth_release(gate.worker, &sent[i].check);
        free(sent[i].proof);
    }
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, plain), AUTH_DENIAL_NONE,
                 "not burnt by its forgery");
    free(plain);
    free(forged);
    gate_close(&gate);
}

/* first, last, middle, only one: the queue stays whole, and the forgotten proof is not burnt */
Test(worker, a_cancelled_check_is_forgotten)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    for (int gone = 0; gone < 3; gone++) {
        struct sent *sent[3];
        for (int i = 0; i < 3; i++) {
            sent[i] = submit_good(&gate);
        }
        auth_cancel(gate.worker, &sent[gone]->check);
        cr_expect_eq(sent[gone]->check.outcome, AUTH_DENIED);
        cr_expect_null(sent[gone]->check.work);
        memset(sent[gone]->authorization, 0, sizeof(sent[gone]->authorization));
        struct sent *late = submit_good(&gate);
        struct auth_check *check = auth_run(gate.worker, &gate.now);
        for (int i = 0; i < 3; i++) {
            if (i != gone) {
                cr_assert_eq(check, &sent[i]->check);
                cr_expect_eq(check->outcome, AUTH_ALLOWED);
                check = check->next;
            }
        }
        cr_assert_eq(check, &late->check);
        cr_expect_null(check->next);
        cr_expect_eq(gate_try(&gate, "DPoP", gate.token, sent[gone]->proof), AUTH_DENIAL_NONE);
        finish(&gate, late);
        for (int i = 0; i < 3; i++) {
            finish(&gate, sent[i]);
        }
    }
    struct sent *alone = submit_good(&gate);
    auth_cancel(gate.worker, &alone->check);
    cr_expect_null(auth_run(gate.worker, &gate.now));
    auth_cancel(gate.worker, &alone->check);
    finish(&gate, alone);
    /* a decided one is released */
    struct sent *decided = submit_good(&gate);
    auth_run(gate.worker, &gate.now);
    cr_assert_not_null(decided->check.token);
    auth_cancel(gate.worker, &decided->check);
    cr_expect_null(decided->check.token);
    finish(&gate, decided);
    gate_close(&gate);
}

Test(worker, freeing_forgets_what_is_pending)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct sent *a = submit_good(&gate), *b = submit_good(&gate);
    auth_worker_free(gate.worker);
    gate.worker = NULL;
    cr_expect_neq(a->check.outcome, AUTH_PENDING);
    cr_expect_neq(b->check.outcome, AUTH_PENDING);
    free(a->proof);
    free(b->proof);
    free(a);
    free(b);
    gate_close(&gate);
}

Test(worker, off_looks_at_the_certificate_alone)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_policy_rule deny = {.deny = true};
    gate.settings.mode = AUTH_OFF;
    gate.settings.policy = &deny;
    gate.settings.policy_count = 1;
    gate_reconfigure(&gate);
    cr_expect_eq(gate_try(&gate, "Whatever", "is, here", "x"), AUTH_DENIAL_NONE);
    struct auth_check check;
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    gate_send(&gate, "DPoP", gate.token, proof, &check);
    cr_expect_eq(check.outcome, AUTH_ALLOWED);
    cr_expect_eq(check.identity.subject.size, 0, "no identity from a token nobody checked");
    auth_release(gate.worker, &check);
    free(proof);
    gate.request.certificate_not_after_s = GATE_NOW_S - 1;
    cr_expect_eq(gate_try(&gate, "DPoP", "x", NULL), AUTH_DENIAL_CERTIFICATE_EXPIRED);
    gate_close(&gate);
}

Test(worker, shadow_decides_as_enforce_does)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.mode = AUTH_SHADOW;
    gate_reconfigure(&gate);
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_NONE);
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_PROOF_REPLAY);
    free(proof);
    gate_close(&gate);
}

Test(worker, certificate_expiry_is_looked_at_each_time)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.request.certificate_not_after_s = GATE_NOW_S + 1;
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE);
    gate_advance(&gate, 1);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE, "the last second");
    gate_advance(&gate, 1);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_CERTIFICATE_EXPIRED);
    gate_close(&gate);
}

static enum auth_denial try_bare(struct gate *gate, uint32_t proofs)
{
    struct auth_request request = gate->request;
    request.dpop_count = proofs;
    struct auth_check check = {0};
    auth_submit(gate->worker, &request, &gate->now, &check);
    cr_assert_neq(check.outcome, AUTH_PENDING);
    auth_release(gate->worker, &check);
    return check.denial;
}

Test(worker, policy)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const struct span scopes[] = {{(const uint8_t *)"orders.read", 11}};
    static const struct span admin[] = {{(const uint8_t *)"admin", 5}};
    static const struct span peer[] = {{(const uint8_t *)"spiffe://td/client", 18}};
    static const struct span other_peer[] = {{(const uint8_t *)"spiffe://td/other", 17}};
    struct auth_policy_rule rule = {.path = SPAN_LITERAL(GATE_PATH)};
    gate.settings.policy = &rule;
    gate.settings.policy_count = 1;
    gate_reconfigure(&gate);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE, "a rule that asks for nothing");
    cr_expect_eq(try_bare(&gate, 0), AUTH_DENIAL_NO_CREDENTIALS);
    rule.scopes = scopes;
    rule.scopes_count = 1;
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE);
    rule.scopes = admin;
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_POLICY_SCOPE);
    rule.scopes_count = 0;
    rule.spiffe_ids = peer;
    rule.spiffe_ids_count = 1;
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE);
    rule.spiffe_ids = other_peer;
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_POLICY);
    rule.spiffe_ids_count = 0;
    rule.open = true;
    cr_expect_eq(try_bare(&gate, 0), AUTH_DENIAL_NONE);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE, "with credentials too");
    cr_expect_eq(gate_try(&gate, "DPoP", "bad", "bad"), AUTH_DENIAL_PROOF_SYNTAX,
                 "which are checked");
    cr_expect_eq(try_bare(&gate, 1), AUTH_DENIAL_NO_CREDENTIALS,
                 "a proof alone means something else");
    rule.spiffe_ids_count = 1;
    cr_expect_eq(try_bare(&gate, 0), AUTH_DENIAL_POLICY, "open to the peers it names");
    rule.spiffe_ids_count = 0;
    rule.deny = true;
    cr_expect_eq(try_bare(&gate, 0), AUTH_DENIAL_POLICY);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_POLICY);
    rule.path = SPAN_LITERAL("/other");
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE, "no rule matches: any verified caller");
    cr_expect_eq(try_bare(&gate, 0), AUTH_DENIAL_NO_CREDENTIALS);
    gate_close(&gate);
}

Test(worker, http_statuses)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check check;
    gate_send(&gate, "DPoP", "a b", NULL, &check);
    cr_expect_eq(check.http_status, 400);
    gate_send(&gate, "Basic", "x", NULL, &check);
    cr_expect_eq(check.http_status, 401);
    struct auth_policy_rule deny = {.deny = true};
    gate.settings.policy = &deny;
    gate.settings.policy_count = 1;
    gate_send(&gate, "Basic", "x", NULL, &check);
    cr_expect_eq(check.http_status, 403);
    gate_close(&gate);
}

Test(worker, another_generation_forgets_tokens_and_keys_but_not_what_is_held)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check held;
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    gate_send(&gate, "DPoP", gate.token, proof, &held);
    free(proof);
    cr_assert_eq(held.outcome, AUTH_ALLOWED);
    /* the issuer is not trusted any more */
    struct auth_settings other = gate.settings;
    other.generation++;
    other.issuers_count = 0;
    auth_worker_configure(gate.worker, &other);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_TOKEN_ISSUER);
    cr_expect(span_equal_string(held.identity.subject, "alice"));
    auth_release(gate.worker, &held);
    /* ES256 is not accepted any more: a header read before is not good for it */
    other = gate.settings;
    other.algorithms = 1u << SIGNATURE_EDDSA;
    auth_worker_configure(gate.worker, &other);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_PROOF_ALG);
    /* no JWKS yet */
    other = gate.settings;
    gate.issuer.jwks = NULL;
    auth_worker_configure(gate.worker, &other);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_TOKEN_KEY);
    gate.issuer.jwks = gate.jwks;
    auth_worker_configure(gate.worker, &gate.settings);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE);
    gate_close(&gate);
}

Test(worker, limits_may_grow_and_shrink)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.proof_bytes_max = 16;
    gate_reconfigure(&gate);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_PROOF_TOO_LARGE);
    gate.settings.proof_bytes_max = 40000;
    gate.settings.jti_bytes_max = 20000;
    gate_reconfigure(&gate);
    char jti[9004];
    memset(jti, 'j', sizeof(jti));
    jti[0] = jti[9002] = '"';
    jti[9003] = '\0';
    char *proof = gate_proof(&gate, &(struct proof_spec){.jti = jti});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_NONE);
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_PROOF_REPLAY);
    free(proof);
    gate_close(&gate);
}

Test(worker, allow_typ_and_several_issuers)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const struct span jwt[] = {{(const uint8_t *)"JWT", 3}};
    struct auth_issuer issuers[2] = {gate.issuer, gate.issuer};
    issuers[0].issuer = SPAN_LITERAL("https://other.example");
    issuers[0].allow_typ = jwt;
    issuers[0].allow_typ_count = 1;
    gate.settings.issuers = issuers;
    gate.settings.issuers_count = 2;
    gate_reconfigure(&gate);
    cr_expect_eq(try_good(&gate), AUTH_DENIAL_NONE, "the second issuer");
    static const struct {
        const char *issuer, *typ;
        enum auth_denial denial;
    } cases[] = {
        {"\"https://other.example\"", "\"JWT\"", AUTH_DENIAL_NONE},
        {"\"https://other.example\"", "\"jwt\"", AUTH_DENIAL_NONE},
        {"\"https://other.example\"", "\"at+jwt\"", AUTH_DENIAL_NONE},
        {"\"https://other.example\"", "\"dpop+jwt\"", AUTH_DENIAL_TOKEN_TYP},
        {"\"" GATE_ISSUER "\"", "\"JWT\"", AUTH_DENIAL_TOKEN_TYP},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *token = gate_token(&gate,
                                 &(struct token_spec){.iss = cases[i].issuer, .typ = cases[i].typ});
        char *proof = gate_proof(&gate, &(struct proof_spec){.token = token});
        cr_expect_eq(gate_try(&gate, "DPoP", token, proof), cases[i].denial, "%zu", i);
        free(token);
        free(proof);
    }
    gate_close(&gate);
}

static void algorithm_passes(enum signature_algorithm algorithm)
{
    struct gate gate;
    gate_open(&gate, algorithm);
    gate.settings.algorithms = 1u << algorithm;
    gate_reconfigure(&gate);
    struct mint_key *client = mint_key_new(algorithm);
    char cnf[80];
    snprintf(cnf, sizeof(cnf), "{\"jkt\":\"%s\"}", mint_key_jkt(client));
    char *token = gate_token(&gate, &(struct token_spec){.cnf = cnf});
    for (int i = 0; i < 2; i++) {
        char *proof = gate_proof(&gate, &(struct proof_spec){.key = client, .token = token});
        cr_expect_eq(gate_try(&gate, "DPoP", token, proof), AUTH_DENIAL_NONE);
        char *end = strrchr(proof, '.');
        uint8_t signature[512];
        size_t size = mint_sign(client, SPAN_LITERAL("something else"), signature);
        char *forged = mint_with_signature(proof, span_make(signature, size));
        cr_expect_eq(gate_try(&gate, "DPoP", token, forged), AUTH_DENIAL_PROOF_SIGNATURE);
        free(forged);
        *end = '\0';
        free(proof);
    }
    free(token);
    mint_key_free(client);
    gate_close(&gate);
}

Test(worker, es384)
{
    algorithm_passes(SIGNATURE_ES384);
}

Test(worker, es512)
{
    algorithm_passes(SIGNATURE_ES512);
}

Test(worker, eddsa)
{
    algorithm_passes(SIGNATURE_EDDSA);
}

Test(worker, ps256)
{
    algorithm_passes(SIGNATURE_PS256);
}

Test(worker, rs256)
{
    algorithm_passes(SIGNATURE_RS256);
}

Test(worker, a_full_replay_cache_says_so)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    /* Entries of nobody, until there is no room. */
    struct replay_key key = {0, 0};
    uint64_t now_boot_s = gate.now.boot_ns / 1000000000u;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && key.low < 10000000) {
        key.low += 0x9e3779b97f4a7c15u;
        key.high = key.low * 0xda942042e4dd58b5u;
        status = replay_insert(gate.shared.replay, key, now_boot_s, now_boot_s + 250);
    }
    /* And then the last free places, of which one client's share is not enough. */
    for (int i = 0; i < 200000; i++) {
        key.low = key.low * 6364136223846793005u + 1442695040888963407u;
        key.high ^= key.low * 0xda942042e4dd58b5u;
        status = replay_insert(gate.shared.replay, key, now_boot_s, now_boot_s + 250);
    }
    cr_assert_eq(status, STATUS_FULL);
    struct auth_check check;
    enum auth_denial denial = AUTH_DENIAL_NONE;
    char *proof = NULL;
    for (int i = 0; i < 2000 && denial == AUTH_DENIAL_NONE; i++) {
        free(proof);
        proof = gate_proof(&gate, &(struct proof_spec){0});
        gate_send(&gate, "DPoP", gate.token, proof, &check);
        denial = check.denial;
        auth_release(gate.worker, &check);
    }
    cr_expect_eq(denial, AUTH_DENIAL_REPLAY_FULL);
    cr_expect_eq(check.http_status, 503);
    cr_expect_eq(check.identity.subject.size, 0);
    /* It was not stored: when there is room, it passes. */
    gate_advance(&gate, 251);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){0});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_NONE);
    free(proof);
    gate_close(&gate);
}

/* A window wider than the replay cache was made for: it refuses to remember, so nothing passes. */
Test(worker, a_replay_cache_that_cannot_remember_denies)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.max_age_s = 1000;
    gate_reconfigure(&gate);
    struct auth_check check;
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    gate_send(&gate, "DPoP", gate.token, proof, &check);
    cr_expect_eq(check.denial, AUTH_DENIAL_REPLAY_UNAVAILABLE);
    cr_expect_eq(check.http_status, 503);
    auth_release(gate.worker, &check);
    free(proof);
    gate_close(&gate);
}

/* A path that the service may read as another one, under rules that then differ: with credentials
 * it is refused before they are looked at, without it is asked for them, open or not. */
Test(worker, a_path_with_two_readings_passes_only_if_the_rules_agree)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    const struct auth_policy_rule rules[] = {{.path = SPAN_LITERAL("/admin/"), .deny = true},
                                             {.path = SPAN_LITERAL("/open/"), .open = true}};
    gate.settings.policy = rules;
    gate.settings.policy_count = 2;
    gate_reconfigure(&gate);
    static const struct {
        const char *path;
        enum auth_denial without, with, with_bearer;
    } cases[] = {
        {"//admin/x", AUTH_DENIAL_NO_CREDENTIALS, AUTH_DENIAL_POLICY, AUTH_DENIAL_POLICY},
        {"//open/x", AUTH_DENIAL_NO_CREDENTIALS, AUTH_DENIAL_POLICY, AUTH_DENIAL_POLICY},
        {"/open;a/x", AUTH_DENIAL_NO_CREDENTIALS, AUTH_DENIAL_POLICY, AUTH_DENIAL_POLICY},
        {"/admin//x", AUTH_DENIAL_POLICY, AUTH_DENIAL_POLICY, AUTH_DENIAL_POLICY},
        {"/open//x", AUTH_DENIAL_NONE, AUTH_DENIAL_PROOF_HTU, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER},
        {"/orders//7;a", AUTH_DENIAL_NO_CREDENTIALS, AUTH_DENIAL_PROOF_HTU,
         AUTH_DENIAL_TOKEN_BOUND_AS_BEARER},
    };
    gate.settings.accept_mtls = true;
    gate_reconfigure(&gate);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        gate.request.path = span_from_string(cases[i].path);
        char *proof = gate_proof(&gate, &(struct proof_spec){0});
        cr_expect_eq(gate_try(&gate, NULL, NULL, NULL), cases[i].without, "%s", cases[i].path);
        cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), cases[i].with, "%s",
                     cases[i].path);
        cr_expect_eq(gate_try(&gate, "Bearer", gate.token, NULL), cases[i].with_bearer, "%s",
                     cases[i].path);
        cr_expect_neq(gate_try(&gate, NULL, NULL, proof), AUTH_DENIAL_NONE, "%s: a proof alone",
                      cases[i].path);
        free(proof);
    }
    gate_close(&gate);
}

/* A nearly full cache: who fills it is told to wait, and others still pass. */
Test(worker, a_client_over_its_share_of_a_nearly_full_cache_waits)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct span issuer = SPAN_LITERAL(GATE_ISSUER), greedy = SPAN_LITERAL("client-a");
    uint64_t client = replay_client_hash(gate.shared.replay, &issuer, &greedy);
    uint64_t now_boot_s = gate.now.boot_ns / 1000000000u;
    unsigned filled = 0;
    while (replay_admit(gate.shared.replay, client, now_boot_s) == STATUS_OK) {
        struct replay_key key = {UINT64_C(0x9e3779b97f4a7c15) * ++filled,
                                 UINT64_C(0xbf58476d1ce4e5b9) * filled};
        cr_assert_eq(replay_insert(gate.shared.replay, key, now_boot_s, now_boot_s + 60), STATUS_OK,
                     "%u", filled);
        replay_account(gate.shared.replay, client, now_boot_s);
    }
    cr_assert_geq(filled, 4096 * 3 / 4);
    struct auth_check check;
    char *token = gate_token(&gate, &(struct token_spec){.client_id = "\"client-a\""});
    char *proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    gate_send(&gate, "DPoP", token, proof, &check);
    cr_expect_eq(check.denial, AUTH_DENIAL_REPLAY_SHARE);
    cr_expect_eq(check.http_status, 429);
    auth_release(gate.worker, &check);
    char *other = gate_token(&gate, &(struct token_spec){.client_id = "\"client-b\""});
    char *others = gate_proof(&gate, &(struct proof_spec){.token = other});
    cr_expect_eq(gate_try(&gate, "DPoP", other, others), AUTH_DENIAL_NONE);
    /* It was not remembered, so it passes when there is room again. */
    gate_advance(&gate, 62);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    cr_expect_eq(gate_try(&gate, "DPoP", token, proof), AUTH_DENIAL_NONE);
    free(token);
    free(proof);
    free(other);
    free(others);
    gate_close(&gate);
}

/* A turn that took so long that the proof left its window: refused, not inserted with an expiry in
 * the past. */
Test(worker, a_proof_that_grew_old_in_the_queue_is_refused)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct sent *sent = submit_good(&gate);
    gate_advance(&gate, 100);
    auth_run(gate.worker, &gate.now);
    cr_expect_eq(sent->check.denial, AUTH_DENIAL_PROOF_IAT);
    finish(&gate, sent);
    gate_close(&gate);
}

Test(worker, replay_window_holds_every_expiry)
{
    struct auth_settings settings = {.max_age_s = 60, .clock_skew_s = 5};
    cr_expect_eq(auth_replay_window_s(&settings), 73);
}
