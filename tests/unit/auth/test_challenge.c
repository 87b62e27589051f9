#include "auth/worker.h"
#include "support/gate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static char fields[AUTH_CHALLENGE_BYTES_MAX + 1];

static const char *challenge(struct gate *gate, enum auth_denial denial, enum auth_scheme scheme)
{
    struct auth_check check = {.denial = denial, .scheme = scheme};
    size_t size = auth_challenge(gate->worker, &check, &gate->now, fields,
                                 AUTH_CHALLENGE_BYTES_MAX);
    fields[size] = '\0';
    return fields;
}

#define DPOP "WWW-Authenticate: DPoP algs=\"ES256 EdDSA Ed25519\""

Test(challenge, dpop_alone)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_NO_CREDENTIALS, AUTH_SCHEME_NONE), DPOP "\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_UNKNOWN_SCHEME, AUTH_SCHEME_NONE), DPOP "\r\n");
    cr_expect_str_eq(
        challenge(&gate, AUTH_DENIAL_PROOF_REPLAY, AUTH_SCHEME_DPOP),
        DPOP ", error=\"invalid_dpop_proof\", error_description=\"the proof was used before\"\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_TOKEN_EXPIRED, AUTH_SCHEME_DPOP), DPOP
                     ", error=\"invalid_token\", error_description=\"the token has expired\"\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER, AUTH_SCHEME_BEARER),
                     DPOP ", error=\"invalid_token\", error_description=\"a DPoP-bound token was "
                          "sent as Bearer\"\r\n",
                     "Bearer is not accepted here, so it gets no challenge of its own");
    cr_expect_str_eq(
        challenge(&gate, AUTH_DENIAL_REPEATED_AUTHORIZATION, AUTH_SCHEME_NONE),
        DPOP ", error=\"invalid_request\", error_description=\"more than one Authorization\"\r\n");
    gate_close(&gate);
}

Test(challenge, both_schemes_the_error_on_the_one_used)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.accept_mtls = true;
    gate_reconfigure(&gate);
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_NO_CREDENTIALS, AUTH_SCHEME_NONE),
                     DPOP "\r\nWWW-Authenticate: Bearer\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_TOKEN_EXPIRED, AUTH_SCHEME_DPOP), DPOP
                     ", error=\"invalid_token\", error_description=\"the token has expired\"\r\n"
                     "WWW-Authenticate: Bearer\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_TOKEN_EXPIRED, AUTH_SCHEME_BEARER),
                     DPOP "\r\nWWW-Authenticate: Bearer error=\"invalid_token\", "
                          "error_description=\"the token has expired\"\r\n");
    gate.settings.accept_dpop = false;
    gate_reconfigure(&gate);
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_NO_CREDENTIALS, AUTH_SCHEME_NONE),
                     "WWW-Authenticate: Bearer\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_CERTIFICATE_EXPIRED, AUTH_SCHEME_NONE),
                     "WWW-Authenticate: Bearer error=\"invalid_token\", "
                     "error_description=\"the client certificate expired\"\r\n");
    gate_close(&gate);
}

Test(challenge, nonce)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const enum auth_denial denials[] = {AUTH_DENIAL_PROOF_NONCE, AUTH_DENIAL_PROOF_FLOOR};
    for (int i = 0; i < 2; i++) {
        challenge(&gate, denials[i], AUTH_SCHEME_DPOP);
        static const char start[] = DPOP
            ", error=\"use_dpop_nonce\", "
            "error_description=\"a nonce is required\"\r\nDPoP-Nonce: ";
        cr_assert_eq(strncmp(fields, start, strlen(start)), 0, "%s", fields);
        const char *nonce = fields + strlen(start);
        cr_expect_str_eq(nonce + NONCE_TEXT_BYTES, "\r\nCache-Control: no-store\r\n");
        int64_t age_s;
        cr_expect_eq(nonce_check(gate.shared.nonces, span_make(nonce, NONCE_TEXT_BYTES), GATE_NOW_S,
                                 NONCE_BELOW_FLOOR, &age_s),
                     STATUS_OK);
    }
    gate_close(&gate);
}

Test(challenge, what_is_not_about_credentials_has_no_challenge)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_POLICY, AUTH_SCHEME_DPOP), "");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_NONE, AUTH_SCHEME_DPOP), "");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_REPLAY_FULL, AUTH_SCHEME_DPOP),
                     "Retry-After: 1\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_INTERNAL, AUTH_SCHEME_DPOP),
                     "Retry-After: 1\r\n");
    cr_expect_str_eq(challenge(&gate, AUTH_DENIAL_REPLAY_SHARE, AUTH_SCHEME_DPOP),
                     "Retry-After: 5\r\n");
    gate_close(&gate);
}

/* Whatever was denied: complete lines, nothing but printable ASCII, algs on every 401, and the room
 * promised suffices. */
Test(challenge, every_denial_gives_well_formed_lines)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.accept_mtls = true;
    gate.settings.algorithms = 0xffffffff;
    gate_reconfigure(&gate);
    static const struct auth_policy_rule no_scopes = {.scopes_count = 0};
    for (int denial = 0; denial < AUTH_DENIALS; denial++) {
        struct auth_check check = {.denial = (enum auth_denial)denial, .rule = &no_scopes};
        size_t size = auth_challenge(gate.worker, &check, &gate.now, fields,
                                     AUTH_CHALLENGE_BYTES_MAX);
        fields[size] = '\0';
        cr_assert(size == 0 || strcmp(fields + size - 2, "\r\n") == 0);
        for (size_t i = 0; i < size; i++) {
            cr_assert((fields[i] >= ' ' && fields[i] <= '~') || fields[i] == '\r' ||
                      fields[i] == '\n');
        }
        enum auth_answer answer = auth_denial_answer((enum auth_denial)denial);
        bool is_401 = answer == AUTH_ANSWER_CHALLENGE || answer == AUTH_ANSWER_INVALID_PROOF ||
                      answer == AUTH_ANSWER_INVALID_TOKEN || answer == AUTH_ANSWER_USE_NONCE;
        if (is_401) {
            cr_assert_not_null(
                strstr(fields, "algs=\"ES256 EdDSA Ed25519 PS256 RS256 ES384 ES512\""));
        }
    }
    gate_close(&gate);
}

Test(challenge, insufficient_scope_names_what_the_rule_wants)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const struct span two[] = {{(const uint8_t *)"orders.read", 11},
                                      {(const uint8_t *)"admin!", 6}};
    static const char *const bad[] = {"a\"b", "a\\b", "a b", "a\nb", "a\x7f", "\x80", ""};
    struct auth_policy_rule rule = {.scopes = two, .scopes_count = 2};
    struct auth_check check = {
        .denial = AUTH_DENIAL_POLICY_SCOPE, .scheme = AUTH_SCHEME_DPOP, .rule = &rule};
    fields[auth_challenge(gate.worker, &check, &gate.now, fields, AUTH_CHALLENGE_BYTES_MAX)] = '\0';
#define START                                                                                      \
    DPOP ", error=\"insufficient_scope\", error_description=\"the scope does not cover this "      \
         "request\""
    cr_expect_str_eq(fields, START ", scope=\"orders.read admin!\"\r\n");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct span scopes[] = {two[0], span_from_string(bad[i])};
        rule.scopes = scopes;
        fields[auth_challenge(gate.worker, &check, &gate.now, fields, AUTH_CHALLENGE_BYTES_MAX)] =
            '\0';
        cr_expect_str_eq(fields, START "\r\n", "%s", fields);
    }
    /* Too long to be named: left out, not cut. */
    char text[700];
    memset(text, 's', sizeof(text));
    for (size_t size = 400; size < sizeof(text); size++) {
        struct span scopes[] = {two[0], span_make(text, size)};
        rule.scopes = scopes;
        size_t used = auth_challenge(gate.worker, &check, &gate.now, fields,
                                     AUTH_CHALLENGE_BYTES_MAX);
        fields[used] = '\0';
        cr_assert(used == strlen(START "\r\n") || strcmp(fields + used - 4, "s\"\r\n") == 0);
    }
    gate_close(&gate);
}

Test(challenge, a_line_that_does_not_fit_is_left_out_whole)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.accept_mtls = true;
    gate_reconfigure(&gate);
    struct auth_check check = {.denial = AUTH_DENIAL_PROOF_NONCE, .scheme = AUTH_SCHEME_DPOP};
    size_t full = auth_challenge(gate.worker, &check, &gate.now, fields, AUTH_CHALLENGE_BYTES_MAX);
    for (size_t size = 0; size <= full; size++) {
        char *exact = malloc(size + 1);
        size_t used = auth_challenge(gate.worker, &check, &gate.now, exact, size);
        cr_assert_leq(used, size);
        cr_assert(used == 0 || (exact[used - 2] == '\r' && exact[used - 1] == '\n'));
        cr_assert_eq(used == full, size == full);
        free(exact);
    }
    gate_close(&gate);
}

Test(challenge, algs_in_the_order_of_the_documentation)
{
    char text[64];
    challenge_write_algs(1u << SIGNATURE_RS256, text, sizeof(text));
    cr_expect_str_eq(text, "RS256");
    challenge_write_algs(1u << SIGNATURE_EDDSA, text, sizeof(text));
    cr_expect_str_eq(text, "EdDSA Ed25519");
    challenge_write_algs(1u << SIGNATURE_ES512 | 1u << SIGNATURE_ES256, text, sizeof(text));
    cr_expect_str_eq(text, "ES256 ES512");
    challenge_write_algs(0, text, sizeof(text));
    cr_expect_str_eq(text, "");
}

Test(challenge, success_brings_a_fresh_nonce_only_when_the_one_used_ages)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check check = {.outcome = AUTH_ALLOWED};
    cr_expect_eq(auth_success_fields(gate.worker, &check, &gate.now, fields, sizeof(fields)), 0);
    check.nonce_ageing = true;
    size_t size = auth_success_fields(gate.worker, &check, &gate.now, fields, sizeof(fields));
    fields[size] = '\0';
    cr_expect_eq(strncmp(fields, "DPoP-Nonce: ", 12), 0);
    cr_expect_str_eq(fields + 12 + NONCE_TEXT_BYTES, "\r\nCache-Control: no-store\r\n");
    check.outcome = AUTH_DENIED;
    cr_expect_eq(auth_success_fields(gate.worker, &check, &gate.now, fields, sizeof(fields)), 0);
    gate_close(&gate);
}
