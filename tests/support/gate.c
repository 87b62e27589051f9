#include "support/gate.h"

#include "base/rcu.h"
#include "jose/base64url.h"
#include "jose/jwks.h"

#include <stdio.h>
#include <stdlib.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "gate: %s\n", what);
        abort();
    }
}

static const struct span audiences[] = {
    {(const uint8_t *)GATE_AUDIENCE, sizeof(GATE_AUDIENCE) - 1}};

static void load_issuer(struct gate *gate)
{
    char text[2048];
    const char *error = NULL;
    const char *jwk = mint_key_jwk(gate->issuer_key);
    snprintf(text, sizeof(text), "{\"keys\":[{\"kid\":\"k1\",%s]}", jwk + 1);
    must(jwks_parse(span_from_string(text), &gate->jwks, &error) == STATUS_OK, text);
    gate->issuer = (struct auth_issuer){
        .issuer = SPAN_LITERAL(GATE_ISSUER),
        .audiences = audiences,
        .audiences_count = 1,
        .jwks = gate->jwks,
    };
}

static uint64_t boot_s(void *context)
{
    const struct gate *gate = context;
    return gate->now.boot_ns / 1000000000u;
}

void gate_open(struct gate *gate, enum signature_algorithm issuer_algorithm)
{
    *gate = (struct gate){0};
    rcu_register();
    gate->now = (struct clock_now){
        .wall_s = GATE_NOW_S,
        .wall_ns = (uint64_t)GATE_NOW_S * 1000000000u + 250000000u,
        .boot_ns = 5000u * 1000000000u + 700000000u,
    };
    gate->settings = (struct auth_settings){
        .generation = 1,
        .mode = AUTH_ENFORCE,
        .accept_dpop = true,
        .algorithms = 1u << SIGNATURE_ES256 | 1u << SIGNATURE_EDDSA,
        .max_age_s = 60,
        .clock_skew_s = 5,
        .proof_bytes_max = 8192,
        .token_bytes_max = 16384,
        .jti_bytes_max = 256,
        .issuers = &gate->issuer,
        .issuers_count = 1,
    };
    gate->issuer_key = mint_key_new(issuer_algorithm);
    gate->client_key = mint_key_new(SIGNATURE_ES256);
    load_issuer(gate);
    char error[256] = "";
    int survived = 0;
    struct replay_options replay = {
        .capacity = 4096,
        .reach_s = 65,
        .window_s_max = 300, /* room for tests that widen the window */
        .clock_boot_s = boot_s,
        .clock_context = gate,
    };
    must(replay_cache_new(&replay, &gate->shared.replay, &survived, error, sizeof(error)) ==
             STATUS_OK,
         error);
    struct verifier_options options = {.key_memory_bytes = 1 << 20};
    gate->shared.verifier = verifier_new(&options);
    gate->shared.nonces = nonce_issuer_new(NULL, NONCE_INSTANCE);
    gate->worker = auth_worker_new(&gate->shared, &gate->settings);
    must(gate->shared.verifier != NULL && gate->shared.nonces != NULL && gate->worker != NULL,
         "memory");
    memset(gate->certificate_sha256, 0xc5, sizeof(gate->certificate_sha256));
    base64url_encode(span_make(gate->certificate_sha256, 32), gate->certificate_text);
    gate->request = (struct auth_request){
        .method = SPAN_LITERAL("GET"),
        .authority = SPAN_LITERAL(GATE_AUTHORITY),
        .path = SPAN_LITERAL(GATE_PATH),
        .certificate_sha256 = gate->certificate_sha256,
        .spiffe_id = SPAN_LITERAL("spiffe://td/client"),
        .certificate_not_after_s = GATE_NOW_S + 86400,
    };
    gate->token = gate_token(gate, &(struct token_spec){0});
}

void gate_close(struct gate *gate)
{
    auth_worker_free(gate->worker);
    nonce_issuer_free(gate->shared.nonces);
    replay_cache_free(gate->shared.replay);
    verifier_free(gate->shared.verifier);
    jwks_free(gate->jwks);
    mint_key_free(gate->issuer_key);
    mint_key_free(gate->client_key);
    free(gate->token);
    rcu_unregister();
}

void gate_reconfigure(struct gate *gate)
{
    gate->settings.generation++;
    auth_worker_configure(gate->worker, &gate->settings);
}

void gate_advance(struct gate *gate, int64_t seconds)
{
    gate->now.wall_s += seconds;
    gate->now.wall_ns += (uint64_t)(seconds * 1000000000);
    gate->now.boot_ns += (uint64_t)(seconds * 1000000000);
}

/* JSON under construction; a member that is "" is left out. */
struct members {
    char text[12288];
    size_t size;
};

static void add_text(struct members *members, const char *text)
{
    size_t size = strlen(text);
    must(members->size + size < sizeof(members->text), "a text too long for the tests");
    memcpy(members->text + members->size, text, size + 1);
    members->size += size;
}

static void add(struct members *members, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return;
    }
    add_text(members, members->size == 0 ? "{\"" : ",\"");
    add_text(members, name);
    add_text(members, "\":");
    add_text(members, value);
}

static void add_more(struct members *members, const char *more)
{
    if (members->size == 0) {
        add_text(members, "{");
    }
    add_text(members, more != NULL ? more : "");
    add_text(members, "}");
}

static const char *otherwise(const char *value, const char *usual)
{
    return value != NULL ? value : usual;
}

char *gate_proof(struct gate *gate, const struct proof_spec *spec)
{
    const struct mint_key *key = spec->key != NULL ? spec->key : gate->client_key;
    char alg[24], jti[40], iat[32], hash[44], ath[48], htm[48];
    snprintf(alg, sizeof(alg), "\"%s\"", mint_key_alg(key));
    snprintf(jti, sizeof(jti), "\"proof-%u\"", gate->proofs++);
    snprintf(iat, sizeof(iat), "%lld", (long long)gate->now.wall_s);
    snprintf(htm, sizeof(htm), "\"%.*s\"", SPAN_ARG(gate->request.method));
    mint_hash(span_from_string(spec->token != NULL ? spec->token : gate->token), hash);
    snprintf(ath, sizeof(ath), "\"%s\"", hash);
    struct members header = {.size = 0}, payload = {.size = 0};
    add(&header, "typ", otherwise(spec->typ, "\"dpop+jwt\""));
    add(&header, "alg", otherwise(spec->alg, alg));
    add(&header, "jwk", otherwise(spec->jwk, mint_key_jwk(key)));
    add_more(&header, spec->header_more);
    add(&payload, "jti", otherwise(spec->jti, jti));
    add(&payload, "htm", otherwise(spec->htm, htm));
    add(&payload, "htu", otherwise(spec->htu, "\"" GATE_URI "\""));
    add(&payload, "iat", otherwise(spec->iat, iat));
    add(&payload, "ath", otherwise(spec->ath, ath));
    add(&payload, "nonce", spec->nonce);
    add_more(&payload, spec->payload_more);
    return mint_jws(key, header.text, payload.text);
}

char *gate_token(struct gate *gate, const struct token_spec *spec)
{
    const struct mint_key *key = spec->key != NULL ? spec->key : gate->issuer_key;
    char alg[24], exp[32], iat[32], cnf[80];
    snprintf(alg, sizeof(alg), "\"%s\"", mint_key_alg(key));
    snprintf(exp, sizeof(exp), "%lld", (long long)(gate->now.wall_s + 600));
    snprintf(iat, sizeof(iat), "%lld", (long long)gate->now.wall_s);
    snprintf(cnf, sizeof(cnf), "{\"jkt\":\"%s\"}", mint_key_jkt(gate->client_key));
    struct members header = {.size = 0}, payload = {.size = 0};
    add(&header, "typ", otherwise(spec->typ, "\"at+jwt\""));
    add(&header, "alg", otherwise(spec->alg, alg));
    add(&header, "kid", otherwise(spec->kid, "\"k1\""));
    add_more(&header, spec->header_more);
    add(&payload, "iss", otherwise(spec->iss, "\"" GATE_ISSUER "\""));
    add(&payload, "aud", otherwise(spec->aud, "\"" GATE_AUDIENCE "\""));
    add(&payload, "exp", otherwise(spec->exp, exp));
    add(&payload, "nbf", spec->nbf);
    add(&payload, "iat", otherwise(spec->iat, iat));
    add(&payload, "sub", otherwise(spec->sub, "\"alice\""));
    add(&payload, "client_id", otherwise(spec->client_id, "\"shop\""));
    add(&payload, "scope", otherwise(spec->scope, "\"orders.read orders.write\""));
    add(&payload, "cnf", otherwise(spec->cnf, cnf));
    add_more(&payload, spec->payload_more);
    return mint_jws(key, header.text, payload.text);
}

void gate_send(struct gate *gate, const char *scheme, const char *token, const char *proof,
               struct auth_check *check)
{
    /* Exactly as large as the texts, so that a sanitizer sees a byte read beyond them. */
    size_t size = scheme != NULL ? strlen(scheme) + 1 + strlen(token) : 0;
    char *authorization = malloc(size + 1);
    must(authorization != NULL, "memory");
    struct auth_request request = gate->request;
    if (scheme != NULL) {
        snprintf(authorization, size + 1, "%s %s", scheme, token);
        request.authorization = span_make(authorization, size);
        request.authorization_count = 1;
    }
    request.dpop = span_from_string(proof);
    request.dpop_count = proof != NULL ? 1 : 0;
    *check = (struct auth_check){.user = gate};
    auth_submit(gate->worker, &request, &gate->now, check);
    memset(&request, 0xee, sizeof(request));
    struct auth_check *finished = auth_run(gate->worker, &gate->now);
    must(finished == NULL || finished == check, "another check was finished");
    must(check->outcome != AUTH_PENDING && check->user == gate, "the check is not decided");
    free(authorization);
}

enum auth_denial gate_try(struct gate *gate, const char *scheme, const char *token,
                          const char *proof)
{
    struct auth_check check;
    gate_send(gate, scheme, token, proof, &check);
    must((check.outcome == AUTH_ALLOWED) == (check.denial == AUTH_DENIAL_NONE), "outcome, denial");
    auth_release(gate->worker, &check);
    return check.denial;
}
