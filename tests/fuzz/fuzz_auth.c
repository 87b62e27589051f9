/* Authorization and DPoP from bytes, against a gate with real keys. The oracle: only what this
 * program minted may pass.
 *
 * Input: the first byte says what is made of the rest.
 *   0: Authorization, up to the first 0x00 byte, and DPoP after it, as they are
 *   1: the good pair, bent: each 3 bytes (place low, place high, byte) overwrite one byte of
 * Authorization or DPoP 2: a proof signed by the right key with the rest as header and payload
 * (split at the first 0x00) 3: the same for a token, with the issuer's key, and a proof for it */
#include "base/rcu.h"
#include "support/gate.h"

#include <stdio.h>
#include <stdlib.h>

static struct gate gate;
static char authorization[MINT_TEXT_MAX + 64], dpop[MINT_TEXT_MAX];

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_auth: %s\n", what);
        abort();
    }
}

/* Submits the two fields once; returns whether they pass. Nothing about a refused request may be
 * left over. */
static bool passes(struct span credentials, struct span proof, struct auth_check *check)
{
    struct auth_request request = gate.request;
    request.authorization = credentials;
    request.authorization_count = 1;
    request.dpop = proof;
    request.dpop_count = 1;
    *check = (struct auth_check){0};
    auth_submit(gate.worker, &request, &gate.now, check);
    auth_run(gate.worker, &gate.now);
    must(check->outcome != AUTH_PENDING && check->work == NULL, "undecided");
    must((check->outcome == AUTH_ALLOWED) == (check->denial == AUTH_DENIAL_NONE), "denial");
    must((check->outcome == AUTH_ALLOWED) == (check->http_status == 0), "status");
    must(memchr(check->detail, '\0', sizeof(check->detail)) != NULL, "detail");
    char fields[AUTH_CHALLENGE_BYTES_MAX];
    size_t size = auth_challenge(gate.worker, check, &gate.now, fields, sizeof(fields));
    must(size == 0 || fields[size - 1] == '\n', "challenge");
    bool passed = check->outcome == AUTH_ALLOWED;
    must(passed || (check->token == NULL && check->identity.subject.size == 0), "left over");
    return passed;
}

/* Text of a claim that passed: fit for a header. */
static void check_claim(struct span claim)
{
    for (size_t i = 0; i < claim.size; i++) {
        must(claim.data[i] >= 0x20 && claim.data[i] <= 0x7e, "a claim that is no header value");
    }
}

static struct span exact_copy(struct span bytes)
{
    uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    must(copy != NULL, "memory");
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return span_make(copy, bytes.size);
}

static void raw(struct span input)
{
    size_t split = span_find(input, 0);
    struct span credentials = exact_copy(span_first(input, split));
    struct span proof = exact_copy(span_after(input, split < input.size ? split + 1 : split));
    struct auth_check check;
    must(!passes(credentials, proof, &check), "raw bytes passed");
    free((void *)(uintptr_t)credentials.data);
    free((void *)(uintptr_t)proof.data);
}

/* The same signed content and scheme: only s of an ECDSA signature may differ, and no fuzzer finds
 * that one. */
static void bend(struct span input)
{
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    size_t credentials_size = (size_t)snprintf(authorization, sizeof(authorization), "DPoP %s",
                                               gate.token);
    size_t proof_size = (size_t)snprintf(dpop, sizeof(dpop), "%s", proof);
    for (size_t i = 0; i + 3 <= input.size; i += 3) {
        size_t place = (size_t)(input.data[i] | input.data[i + 1] << 8) %
                       (credentials_size + proof_size);
        char *byte = place < credentials_size ? &authorization[place]
                                              : &dpop[place - credentials_size];
        *byte = (char)input.data[i + 2];
    }
    struct span credentials = span_make(authorization, credentials_size);
    bool same = span_equal_ignore_case(span_first(credentials, 4), SPAN_LITERAL("DPoP")) &&
                authorization[4] == ' ' &&
                span_equal_string(span_after(credentials, 5), gate.token) &&
                span_equal_string(span_make(dpop, proof_size), proof);
    struct auth_check check;
    bool passed = passes(credentials, span_make(dpop, proof_size), &check);
    must(passed == same, "a bent pair passed, or the good one did not");
    auth_release(gate.worker, &check);
    /* bent or not, the good one is now used or still unused: once in all */
    snprintf(authorization, sizeof(authorization), "DPoP %s", gate.token);
    passed = passes(span_from_string(authorization), span_from_string(proof), &check);
    must(passed == !same, "a proof passed twice, or was burnt by a bent one");
    auth_release(gate.worker, &check);
    free(proof);
}

static void split_texts(struct span input, char *first, char *second, size_t size)
{
    size_t split = span_find(input, 0);
    struct span rest = span_after(input, split < input.size ? split + 1 : split);
    snprintf(first, size, "%.*s", (int)split, (const char *)input.data);
    snprintf(second, size, "%.*s", (int)rest.size, rest.size > 0 ? (const char *)rest.data : "");
}

static char header[4096], payload[4096];

static void sign_proof(struct span input)
{
    split_texts(input, header, payload, sizeof(header));
    char *proof = mint_jws(gate.client_key, header, payload);
    snprintf(authorization, sizeof(authorization), "DPoP %s", gate.token);
    struct auth_check check;
    if (passes(span_from_string(authorization), span_from_string(proof), &check)) {
        auth_release(gate.worker, &check);
        must(!passes(span_from_string(authorization), span_from_string(proof), &check), "twice");
    }
    auth_release(gate.worker, &check);
    free(proof);
}

static void sign_token(struct span input)
{
    split_texts(input, header, payload, sizeof(header));
    char *token = mint_jws(gate.issuer_key, header, payload);
    char *proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    snprintf(authorization, sizeof(authorization), "DPoP %s", token);
    struct auth_check check;
    if (passes(span_from_string(authorization), span_from_string(proof), &check)) {
        must(strstr(payload, mint_key_jkt(gate.client_key)) != NULL, "bound to another key");
        must(span_equal_string(check.identity.issuer, GATE_ISSUER), "another issuer");
        must(check.identity.expires_s > gate.now.wall_s, "expired");
        check_claim(check.identity.subject);
        check_claim(check.identity.client_id);
        check_claim(check.identity.scope);
    }
    auth_release(gate.worker, &check);
    free(proof);
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool opened;
    if (!opened) {
        gate_open(&gate, SIGNATURE_ES256);
        opened = true;
    }
    if (size == 0 || size > 4000) {
        return 0;
    }
    rcu_quiescent();
    struct span input = span_make(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        raw(input);
        break;
    case 1:
        bend(input);
        break;
    case 2:
        sign_proof(input);
        break;
    default:
        sign_token(input);
    }
    /* So that entries expire and the replay cache does not fill up. */
    gate_advance(&gate, 1);
    if (gate.now.wall_s > GATE_NOW_S + 300) {
        free(gate.token);
        gate.now.wall_s = GATE_NOW_S;
        gate.now.wall_ns = (uint64_t)GATE_NOW_S * 1000000000u;
        gate.shared.clock_offset_ns = 0; /* the test's clock, not one set back */
        replay_keep_clock_offset(gate.shared.replay, 0);
        gate.token = gate_token(&gate, &(struct token_spec){0});
    }
    return 0;
}
