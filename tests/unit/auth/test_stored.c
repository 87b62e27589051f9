/* A check that the shared store has to confirm: AUTH_STORING, auth_stored, auth_set_local. */
#include "crypto/sha256.h"
#include "jose/base64url.h"
#include "support/gate.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct gate gate;

static void set_up(void)
{
    gate_open(&gate, SIGNATURE_ES256);
    gate.shared.store = true;
}

static void tear_down(void)
{
    gate_close(&gate);
}

TestSuite(stored, .init = set_up, .fini = tear_down);

static char *fresh_proof(void)
{
    return gate_proof(&gate, &(struct proof_spec){0});
}

static void send_proof(const char *proof, struct auth_check *check)
{
    gate_send(&gate, "DPoP", gate.token, proof, check);
}

/* A new proof that waits for the store. */
static void ask(struct auth_check *check)
{
    char *proof = fresh_proof();
    send_proof(proof, check);
    free(proof);
    cr_assert_eq(check->outcome, AUTH_STORING);
}

Test(stored, what_the_store_says_decides)
{
    static const struct {
        enum status status;
        enum auth_denial denial;
        uint16_t http_status;
    } cases[] = {
        {STATUS_OK, AUTH_DENIAL_NONE, 0},
        {STATUS_EXISTS, AUTH_DENIAL_PROOF_REPLAY, 401},
        {STATUS_EXPIRED, AUTH_DENIAL_PROOF_IAT, 401},
        {STATUS_DENIED, AUTH_DENIAL_PROOF_FLOOR, 401},
        {STATUS_SYSTEM, AUTH_DENIAL_REPLAY_UNAVAILABLE, 503},
        {STATUS_FULL, AUTH_DENIAL_REPLAY_UNAVAILABLE, 503},
        {STATUS_FAILED, AUTH_DENIAL_REPLAY_UNAVAILABLE, 503},
        {STATUS_AGAIN, AUTH_DENIAL_REPLAY_UNAVAILABLE, 503},
    };
    struct auth_counters counters;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct auth_check check;
        ask(&check);
        auth_read_counters(gate.worker, &counters);
        cr_assert_eq(counters.replay_inserts, i > 0, "nothing is counted before the answer");
        auth_stored(gate.worker, &check, cases[i].status, &gate.now);
        cr_assert_eq(check.outcome, i == 0 ? AUTH_ALLOWED : AUTH_DENIED);
        cr_assert_eq(check.denial, cases[i].denial, "%s", auth_denial_label(check.denial));
        cr_assert_eq(check.http_status, cases[i].http_status);
        cr_assert_eq(check.identity.jkt_size, i == 0 ? 43 : 0);
        auth_release(gate.worker, &check);
    }
}

Test(stored, a_local_replay_asks_nobody)
{
    struct auth_check check;
    char *proof = fresh_proof();
    send_proof(proof, &check);
    cr_assert_eq(check.outcome, AUTH_STORING);
    struct auth_check again;
    send_proof(proof, &again);
    cr_assert_eq(again.outcome, AUTH_DENIED);
    cr_assert_eq(again.denial, AUTH_DENIAL_PROOF_REPLAY);
    auth_stored(gate.worker, &check, STATUS_OK, &gate.now);
    cr_assert_eq(check.outcome, AUTH_ALLOWED);
    auth_release(gate.worker, &check);
    free(proof);
}

Test(stored, the_key_is_the_digest_of_the_fields)
{
    char *proof = gate_proof(&gate, &(struct proof_spec){.jti = "\"one\""});
    struct auth_check check;
    send_proof(proof, &check);
    cr_assert_eq(check.outcome, AUTH_STORING);
    struct auth_store_question question;
    auth_store_question(&check, &question);
    cr_assert_gt(question.expires_boot_s, gate.now.boot_ns / 1000000000u);
    auth_stored(gate.worker, &check, STATUS_OK, &gate.now);

    uint8_t thumbprint[BASE64URL_DECODED_MAX(43)];
    struct span decoded;
    cr_assert_eq(base64url_decode(span_make(check.identity.jkt, 43),
                                  (struct span_mut){thumbprint, sizeof thumbprint}, &decoded),
                 STATUS_OK);
    uint8_t bytes[512];
    size_t used = 0;
    const struct span fields[] = {span_make(thumbprint, 32), SPAN_LITERAL(GATE_URI),
                                  SPAN_LITERAL("GET"), SPAN_LITERAL("one")};
    for (size_t i = 0; i < 4; i++) {
        const uint8_t length[4] = {0, 0, 0, (uint8_t)fields[i].size};
        memcpy(bytes + used, length, 4);
        memcpy(bytes + used + 4, fields[i].data, fields[i].size);
        used += 4 + fields[i].size;
    }
    uint8_t digest[32];
    sha256(span_make(bytes, used), digest);
    cr_assert_arr_eq(question.key, digest, 32);
    auth_release(gate.worker, &check);
    free(proof);
}

Test(stored, keys_of_the_longest_fields)
{
    /* A jti as long as the settings allow. */
    char jti[300] = "\"";
    memset(jti + 1, 'j', gate.settings.jti_bytes_max);
    jti[1 + gate.settings.jti_bytes_max] = '"';
    char *proof = gate_proof(&gate, &(struct proof_spec){.jti = jti});
    struct auth_check check;
    send_proof(proof, &check);
    cr_assert_eq(check.outcome, AUTH_STORING);
    auth_cancel(gate.worker, &check);
    free(proof);
}

Test(stored, a_floor_that_rises_meanwhile_voids_what_the_store_says)
{
    struct auth_check check;
    ask(&check);
    auth_raise_floor(&gate.shared, 0); /* does not even reach the proof */
    auth_stored(gate.worker, &check, STATUS_OK, &gate.now);
    cr_assert_eq(check.denial, AUTH_DENIAL_PROOF_FLOOR);
    cr_assert_eq(check.http_status, 401);
    ask(&check);
    auth_raise_floor(&gate.shared, 0);
    auth_stored(gate.worker, &check, STATUS_EXISTS, &gate.now);
    cr_assert_eq(check.denial, AUTH_DENIAL_PROOF_REPLAY);
}

Test(stored, who_leaves_is_forgotten)
{
    struct auth_check check;
    ask(&check);
    auth_cancel(gate.worker, &check);
    cr_assert_eq(check.outcome, AUTH_DENIED);
    auth_cancel(gate.worker, &check);
    cr_assert_eq(check.outcome, AUTH_DENIED);
}

Test(stored, a_reload_meanwhile)
{
    struct auth_check check;
    ask(&check);
    gate.settings.algorithms = 1u << SIGNATURE_EDDSA;
    gate_reconfigure(&gate);
    auth_stored(gate.worker, &check, STATUS_OK, &gate.now);
    cr_assert_eq(check.outcome, AUTH_ALLOWED, "it was decided by the settings of before");
    cr_assert(span_equal_string(check.identity.issuer, GATE_ISSUER));
    auth_release(gate.worker, &check);
    /* But its key must not pass by having been seen. */
    char *proof = fresh_proof();
    send_proof(proof, &check);
    cr_assert_eq(check.denial, AUTH_DENIAL_PROOF_ALG);
    free(proof);
}

static void nonce_of(const struct auth_check *check, char nonce[48])
{
    char fields[AUTH_CHALLENGE_BYTES_MAX + 1];
    fields[auth_challenge(gate.worker, check, &gate.now, fields, AUTH_CHALLENGE_BYTES_MAX)] = '\0';
    const char *found = strstr(fields, "DPoP-Nonce: ");
    cr_assert_not_null(found, "%s", fields);
    snprintf(nonce, 48, "\"%.43s\"", found + strlen("DPoP-Nonce: "));
}

static enum auth_denial with_nonce(const char *nonce, struct auth_check *check)
{
    char *proof = gate_proof(&gate, &(struct proof_spec){.nonce = nonce});
    send_proof(proof, check);
    free(proof);
    return check->denial;
}

Test(stored, local_asks_for_a_nonce_and_no_store)
{
    struct auth_check check, waiting;
    char before[48], after[48];
    ask(&waiting);
    auth_set_local(&gate.shared, true, 0);
    auth_stored(gate.worker, &waiting, STATUS_SYSTEM, &gate.now);
    cr_assert_eq(waiting.denial, AUTH_DENIAL_PROOF_FLOOR, "a client that can retry, not a 503");
    nonce_of(&waiting, before);

    cr_assert_eq(with_nonce(NULL, &check), AUTH_DENIAL_PROOF_FLOOR, "whatever its iat");
    cr_assert_eq(with_nonce("\"x\"", &check), AUTH_DENIAL_PROOF_FLOOR);
    cr_assert_eq(with_nonce(before, &check), AUTH_DENIAL_NONE);
    cr_assert_eq(check.outcome, AUTH_ALLOWED);
    auth_release(gate.worker, &check);
    struct auth_counters counters;
    auth_read_counters(gate.worker, &counters);
    cr_assert_eq(counters.local_inserts, 1);
    cr_assert_eq(counters.replay_inserts, 1);

    auth_set_local(&gate.shared, false, gate.now.wall_s + 10);
    cr_assert_eq(with_nonce(before, &check), AUTH_DENIAL_PROOF_FLOOR, "of the time without store");
    nonce_of(&check, after);
    cr_assert_eq(with_nonce(after, &check), AUTH_DENIAL_INTERNAL);
    cr_assert_eq(check.outcome, AUTH_STORING);
    auth_stored(gate.worker, &check, STATUS_OK, &gate.now);
    cr_assert_eq(check.outcome, AUTH_ALLOWED);
    auth_release(gate.worker, &check);
}

Test(stored, local_that_ends_between_check_and_insert)
{
    struct auth_check check;
    char nonce[48];
    auth_set_local(&gate.shared, true, 0);
    cr_assert_eq(with_nonce(NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    nonce_of(&check, nonce);
    char *proof = gate_proof(&gate, &(struct proof_spec){.nonce = nonce});
    char authorization[4096];
    snprintf(authorization, sizeof authorization, "DPoP %s", gate.token);
    gate.request.authorization_count = 1;
    gate.request.dpop_count = 1;
    gate.request.authorization = span_from_string(authorization);
    gate.request.dpop = span_from_string(proof);
    auth_submit(gate.worker, &gate.request, &gate.now, &check);
    cr_assert_eq(check.outcome, AUTH_PENDING);
    auth_set_local(&gate.shared, false, 0);
    cr_assert_eq(auth_run(gate.worker, &gate.now), &check);
    cr_assert_eq(check.denial, AUTH_DENIAL_PROOF_FLOOR);
    free(proof);
}
