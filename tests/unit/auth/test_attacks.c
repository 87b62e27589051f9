/* Every known trick against proofs and tokens, each with the denial it must meet, one line of a
 * table each; FAPI 2.0's negative and positive cases are among them. After each, the same client's
 * honest request passes. */
#include "support/gate.h"

#include <criterion/criterion.h>
#include <openssl/bn.h>
#include <stdio.h>
#include <stdlib.h>

/* The tricks leave nothing behind: after each one the same client's honest request passes. */
static void expect_honest_passes(struct gate *gate, const char *after)
{
    char *proof = gate_proof(gate, &(struct proof_spec){0});
    enum auth_denial denial = gate_try(gate, "DPoP", gate->token, proof);
    cr_assert_eq(denial, AUTH_DENIAL_NONE, "honest request after \"%s\": %s", after,
                 auth_denial_label(denial));
    free(proof);
}

static void expect(struct gate *gate, const char *name, const char *scheme, const char *token,
                   const char *proof, enum auth_denial wanted)
{
    struct auth_check check;
    gate_send(gate, scheme, token, proof, &check);
    cr_expect_eq(check.denial, wanted, "%s: %s (%s), expected %s", name,
                 auth_denial_label(check.denial), check.detail, auth_denial_label(wanted));
    cr_expect_eq(check.outcome, wanted == AUTH_DENIAL_NONE ? AUTH_ALLOWED : AUTH_DENIED, "%s",
                 name);
    auth_release(gate->worker, &check);
}

struct proof_case {
    const char *name;
    struct proof_spec spec;
    enum auth_denial denial;
};

static void run_proofs(struct gate *gate, const struct proof_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *proof = gate_proof(gate, &cases[i].spec);
        expect(gate, cases[i].name, "DPoP", gate->token, proof, cases[i].denial);
        free(proof);
        expect_honest_passes(gate, cases[i].name);
    }
}
#define RUN_PROOFS(gate, cases) run_proofs(gate, cases, sizeof(cases) / sizeof(*(cases)))

Test(attacks, proof_members_missing_or_ill_typed)
{
    static const struct proof_case cases[] = {
        {"typ missing", {.typ = ""}, AUTH_DENIAL_PROOF_TYP},
        {"typ a number", {.typ = "1"}, AUTH_DENIAL_PROOF_TYP},
        {"typ JWT", {.typ = "\"JWT\""}, AUTH_DENIAL_PROOF_TYP},
        {"typ at+jwt", {.typ = "\"at+jwt\""}, AUTH_DENIAL_PROOF_TYP},
        {"typ in another case", {.typ = "\"DPoP+JWT\""}, AUTH_DENIAL_PROOF_TYP},
        {"typ with its media type prefix",
         {.typ = "\"application/dpop+jwt\""},
         AUTH_DENIAL_PROOF_TYP},
        {"typ with a space", {.typ = "\"dpop+jwt \""}, AUTH_DENIAL_PROOF_TYP},
        {"typ with a NUL", {.typ = "\"dpop+jwt\\u0000\""}, AUTH_DENIAL_PROOF_TYP},
        {"typ escaped is the same string", {.typ = "\"dpop\\u002bjwt\""}, AUTH_DENIAL_NONE},
        {"alg missing", {.alg = ""}, AUTH_DENIAL_PROOF_ALG},
        {"alg null", {.alg = "null"}, AUTH_DENIAL_PROOF_ALG},
        {"alg an array", {.alg = "[\"ES256\"]"}, AUTH_DENIAL_PROOF_ALG},
        {"jwk missing", {.jwk = ""}, AUTH_DENIAL_PROOF_JWK},
        {"jwk a string", {.jwk = "\"k\""}, AUTH_DENIAL_PROOF_JWK},
        {"jwk empty", {.jwk = "{}"}, AUTH_DENIAL_PROOF_JWK},
        {"jti missing", {.jti = ""}, AUTH_DENIAL_PROOF_JTI},
        {"jti a number", {.jti = "7"}, AUTH_DENIAL_PROOF_JTI},
        {"jti empty", {.jti = "\"\""}, AUTH_DENIAL_PROOF_JTI},
        {"jti null", {.jti = "null"}, AUTH_DENIAL_PROOF_JTI},
        {"htm missing", {.htm = ""}, AUTH_DENIAL_PROOF_HTM},
        {"htm an array", {.htm = "[\"GET\"]"}, AUTH_DENIAL_PROOF_HTM},
        {"htm another method", {.htm = "\"POST\""}, AUTH_DENIAL_PROOF_HTM},
        {"htm in lower case", {.htm = "\"get\""}, AUTH_DENIAL_PROOF_HTM},
        {"htm with a space", {.htm = "\"GET \""}, AUTH_DENIAL_PROOF_HTM},
        {"htu missing", {.htu = ""}, AUTH_DENIAL_PROOF_HTU},
        {"htu a number", {.htu = "1"}, AUTH_DENIAL_PROOF_HTU},
        {"htu empty", {.htu = "\"\""}, AUTH_DENIAL_PROOF_HTU},
        {"iat missing", {.iat = ""}, AUTH_DENIAL_PROOF_IAT},
        {"iat a string", {.iat = "\"1800000000\""}, AUTH_DENIAL_PROOF_IAT},
        {"iat fractional", {.iat = "1800000000.5"}, AUTH_DENIAL_PROOF_IAT},
        {"iat with a zero fraction", {.iat = "1800000000.0"}, AUTH_DENIAL_PROOF_IAT},
        {"iat with an exponent", {.iat = "18e8"}, AUTH_DENIAL_PROOF_IAT},
        {"iat in milliseconds", {.iat = "1800000000000"}, AUTH_DENIAL_PROOF_IAT},
        {"iat negative", {.iat = "-1800000000"}, AUTH_DENIAL_PROOF_IAT},
        {"iat at the end of 63 bits", {.iat = "9223372036854775807"}, AUTH_DENIAL_PROOF_IAT},
        {"iat at the other end", {.iat = "-9223372036854775808"}, AUTH_DENIAL_PROOF_IAT},
        {"iat null", {.iat = "null"}, AUTH_DENIAL_PROOF_IAT},
        {"ath missing", {.ath = ""}, AUTH_DENIAL_PROOF_ATH},
        {"ath a number", {.ath = "1"}, AUTH_DENIAL_PROOF_ATH},
        {"ath empty", {.ath = "\"\""}, AUTH_DENIAL_PROOF_ATH},
        {"ath of another token", {.token = "another"}, AUTH_DENIAL_PROOF_ATH},
        {"crit", {.header_more = ",\"crit\":[\"exp\"],\"exp\":1"}, AUTH_DENIAL_PROOF_CRIT},
        {"crit empty", {.header_more = ",\"crit\":[]"}, AUTH_DENIAL_PROOF_CRIT},
        {"crit in an escape", {.header_more = ",\"cri\\u0074\":[\"b64\"]"}, AUTH_DENIAL_PROOF_CRIT},
        {"b64 false", {.header_more = ",\"b64\":false"}, AUTH_DENIAL_PROOF_CRIT},
        {"b64 true", {.header_more = ",\"b64\":true"}, AUTH_DENIAL_PROOF_CRIT},
        {"a duplicate in the header",
         {.header_more = ",\"alg\":\"ES256\""},
         AUTH_DENIAL_PROOF_JSON},
        {"a duplicate by escape",
         {.header_more = ",\"al\\u0067\":\"ES256\""},
         AUTH_DENIAL_PROOF_JSON},
        {"a duplicate in the payload",
         {.payload_more = ",\"htm\":\"GET\""},
         AUTH_DENIAL_PROOF_JSON},
        {"nine levels", {.payload_more = ",\"a\":[[[[[[[[1]]]]]]]]"}, AUTH_DENIAL_PROOF_JSON},
        {"a lone surrogate", {.payload_more = ",\"a\":\"\\ud800\""}, AUTH_DENIAL_PROOF_JSON},
        {"bad UTF-8", {.payload_more = ",\"a\":\"\xc3\x28\""}, AUTH_DENIAL_PROOF_JSON},
        {"a bad member nobody reads", {.payload_more = ",\"a\":tru"}, AUTH_DENIAL_PROOF_JSON},
        {"trailing bytes", {.payload_more = "} "}, AUTH_DENIAL_PROOF_JSON},
        {"extra members in header and payload are accepted",
         {.header_more = ",\"kid\":\"k\",\"jku\":\"http://evil/\",\"x\":{\"y\":[1,2.5,null]}",
          .payload_more = ",\"hello\":[true,{\"a\":\"b\"}]"},
         AUTH_DENIAL_NONE},
        {"nbf and exp in a proof are accepted, whatever they say",
         {.payload_more = ",\"nbf\":9999999999,\"exp\":1"},
         AUTH_DENIAL_NONE},
        {"an unasked nonce is accepted", {.nonce = "\"whatever\""}, AUTH_DENIAL_NONE},
        {"an unasked nonce of another type too", {.nonce = "7"}, AUTH_DENIAL_NONE},
    };
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    RUN_PROOFS(&gate, cases);
    gate_close(&gate);
}

Test(attacks, jti_length)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char jti[300];
    for (size_t size = 255; size <= 257; size++) {
        snprintf(jti, sizeof(jti), "\"%0*d\"", (int)size, 7);
        char *proof = gate_proof(&gate, &(struct proof_spec){.jti = jti});
        expect(&gate, "jti length", "DPoP", gate.token, proof,
               size > 256 ? AUTH_DENIAL_PROOF_JTI : AUTH_DENIAL_NONE);
        free(proof);
    }
    gate_close(&gate);
}

Test(attacks, htu_confusions)
{
    static const struct proof_case cases[] = {
        {"path in another case",
         {.htu = "\"https://orders.example.com/Orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"another port",
         {.htu = "\"https://orders.example.com:8443/orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"http", {.htu = "\"http://orders.example.com/orders/7\""}, AUTH_DENIAL_PROOF_HTU},
        {"http's port",
         {.htu = "\"https://orders.example.com:80/orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"userinfo", {.htu = "\"https://a@orders.example.com/orders/7\""}, AUTH_DENIAL_PROOF_HTU},
        {"userinfo with our host in it",
         {.htu = "\"https://orders.example.com@evil.example/orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"double slash",
         {.htu = "\"https://orders.example.com//orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"double slash within",
         {.htu = "\"https://orders.example.com/orders//7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"escaped slash",
         {.htu = "\"https://orders.example.com/orders%2f7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"trailing slash",
         {.htu = "\"https://orders.example.com/orders/7/\""},
         AUTH_DENIAL_PROOF_HTU},
        {"trailing dot of the host",
         {.htu = "\"https://orders.example.com./orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"a prefix of the path",
         {.htu = "\"https://orders.example.com/orders\""},
         AUTH_DENIAL_PROOF_HTU},
        {"a longer path",
         {.htu = "\"https://orders.example.com/orders/77\""},
         AUTH_DENIAL_PROOF_HTU},
        {"another host", {.htu = "\"https://evil.example/orders/7\""}, AUTH_DENIAL_PROOF_HTU},
        {"a host that ends alike",
         {.htu = "\"https://xorders.example.com/orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"no scheme", {.htu = "\"//orders.example.com/orders/7\""}, AUTH_DENIAL_PROOF_HTU},
        {"path only", {.htu = "\"/orders/7\""}, AUTH_DENIAL_PROOF_HTU},
        {"a space", {.htu = "\"https://orders.example.com/orders/7 \""}, AUTH_DENIAL_PROOF_HTU},
        {"a newline", {.htu = "\"https://orders.example.com/orders/7\\n\""}, AUTH_DENIAL_PROOF_HTU},
        {"a NUL", {.htu = "\"https://orders.example.com/orders/7\\u0000\""}, AUTH_DENIAL_PROOF_HTU},
        {"backslashes",
         {.htu = "\"https:\\\\\\\\orders.example.com\\\\orders\\\\7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"IPv6", {.htu = "\"https://[::1]/orders/7\""}, AUTH_DENIAL_PROOF_HTU},
        {"a bad escape",
         {.htu = "\"https://orders.example.com/orders/%7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"an internationalised host",
         {.htu = "\"https://\\u00f6rders.example.com/orders/7\""},
         AUTH_DENIAL_PROOF_HTU},
        {"with a query", {.htu = "\"https://orders.example.com/orders/7?a=b\""}, AUTH_DENIAL_NONE},
        {"with a fragment",
         {.htu = "\"https://orders.example.com/orders/7#here\""},
         AUTH_DENIAL_NONE},
        {"scheme and host in upper case",
         {.htu = "\"HTTPS://ORDERS.example.COM/orders/7\""},
         AUTH_DENIAL_NONE},
        {"the default port",
         {.htu = "\"https://orders.example.com:443/orders/7\""},
         AUTH_DENIAL_NONE},
        {"an unreserved escape",
         {.htu = "\"https://orders.example.com/%6frders/7\""},
         AUTH_DENIAL_NONE},
        {"dot segments",
         {.htu = "\"https://orders.example.com/x/../orders/./7\""},
         AUTH_DENIAL_NONE},
    };
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    RUN_PROOFS(&gate, cases);
    /* One proof of two spellings is one proof. */
    char *first = gate_proof(&gate, &(struct proof_spec){.jti = "\"same\""});
    char *second = gate_proof(
        &gate, &(struct proof_spec){.jti = "\"same\"",
                                    .htu = "\"https://ORDERS.example.com:443/orders/7?x\""});
    expect(&gate, "first spelling", "DPoP", gate.token, first, AUTH_DENIAL_NONE);
    expect(&gate, "second spelling", "DPoP", gate.token, second, AUTH_DENIAL_PROOF_REPLAY);
    free(first);
    free(second);
    gate.request.authority = SPAN_LITERAL("[2001:db8::1]:8443");
    first = gate_proof(&gate,
                       &(struct proof_spec){.htu = "\"https://[2001:DB8::1]:8443/orders/7\""});
    expect(&gate, "IPv6 in upper case", "DPoP", gate.token, first, AUTH_DENIAL_NONE);
    free(first);
    gate_close(&gate);
}

Test(attacks, iat_edges)
{
    static const struct {
        int64_t offset;
        enum auth_denial denial;
    } edges[] = {
        {-66, AUTH_DENIAL_PROOF_IAT},  {-65, AUTH_DENIAL_NONE},    {-64, AUTH_DENIAL_NONE},
        {5, AUTH_DENIAL_NONE},         {6, AUTH_DENIAL_PROOF_IAT}, {-3600, AUTH_DENIAL_PROOF_IAT},
        {3600, AUTH_DENIAL_PROOF_IAT},
    };
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
        char iat[32];
        snprintf(iat, sizeof(iat), "%lld", (long long)(GATE_NOW_S + edges[i].offset));
        char *proof = gate_proof(&gate, &(struct proof_spec){.iat = iat});
        expect(&gate, iat, "DPoP", gate.token, proof, edges[i].denial);
        free(proof);
    }
    /* FAPI: "iat 8 s ahead within skew 10 s". */
    gate.settings.clock_skew_s = 10;
    gate_reconfigure(&gate);
    char iat[32];
    snprintf(iat, sizeof(iat), "%lld", (long long)(GATE_NOW_S + 8));
    char *proof = gate_proof(&gate, &(struct proof_spec){.iat = iat});
    expect(&gate, "8 s ahead", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    gate_close(&gate);
}

/* Signed headers and payloads that gate_proof cannot make. */
static void expect_header(struct gate *gate, const char *name, const char *header,
                          enum auth_denial denial)
{
    char *good = gate_proof(gate, &(struct proof_spec){0});
    char *dot = strchr(good, '.');
    char *end = strrchr(good, '.');
    char payload[2048];
    snprintf(payload, sizeof(payload), "%.*s", (int)(end - dot - 1), dot + 1);
    char *proof = mint_jws(gate->client_key, header, "{}");
    /* header of the one, payload of the other: these are refused before any signature is looked at
     */
    char mixed[8192];
    snprintf(mixed, sizeof(mixed), "%.*s.%s%s", (int)(strchr(proof, '.') - proof), proof, payload,
             end);
    expect(gate, name, "DPoP", gate->token, mixed, denial);
    free(good);
    free(proof);
}

Test(attacks, alg_confusion)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const char *const names[] = {"none",  "None",   "NONE",   "nOnE", "",
                                        "HS256", "HS384",  "HS512",  "RS1",  "ES256K",
                                        "es256", "ES256 ", "A128KW", "dir"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char alg[32];
        snprintf(alg, sizeof(alg), "\"%s\"", names[i]);
        char *proof = gate_proof(&gate, &(struct proof_spec){.alg = alg});
        expect(&gate, alg, "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_ALG);
        free(proof);
    }
    /* Known, but not accepted by these settings. */
    struct mint_key *rsa = mint_key_new(SIGNATURE_RS256);
    char *proof = gate_proof(&gate, &(struct proof_spec){.key = rsa});
    expect(&gate, "RS256 with an RSA key", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_ALG);
    free(proof);
    /* Accepted, but not of this key. */
    gate.settings.algorithms |= 1u << SIGNATURE_RS256 | 1u << SIGNATURE_PS256 |
                                1u << SIGNATURE_ES384;
    gate_reconfigure(&gate);
    static const char *const others[] = {"EdDSA", "Ed25519", "RS256", "PS256", "ES384"};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        char alg[32];
        snprintf(alg, sizeof(alg), "\"%s\"", others[i]);
        proof = gate_proof(&gate, &(struct proof_spec){.alg = alg});
        expect(&gate, alg, "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_ALG);
        free(proof);
    }
    char header[2048];
    snprintf(header, sizeof(header), "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":%s}",
             mint_key_jwk(rsa));
    expect_header(&gate, "ES256 with an RSA key", header, AUTH_DENIAL_PROOF_ALG);
    /* jwk.alg names another algorithm than alg, for the same type of key. */
    snprintf(header, sizeof(header),
             "{\"typ\":\"dpop+jwt\",\"alg\":\"RS256\",\"jwk\":{\"alg\":\"PS256\",%s}",
             mint_key_jwk(rsa) + 1);
    expect_header(&gate, "RS256 with a key for PS256", header, AUTH_DENIAL_PROOF_ALG);
    snprintf(header, sizeof(header), "{\"alg\":\"ES256\",%s", mint_key_jwk(gate.client_key) + 1);
    proof = gate_proof(&gate, &(struct proof_spec){.jwk = header});
    expect(&gate, "a jwk that names alg itself", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    mint_key_free(rsa);
    expect_honest_passes(&gate, "alg confusion");
    gate_close(&gate);
}

Test(attacks, hmac_keyed_with_the_public_key)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char *proof = gate_proof(&gate, &(struct proof_spec){.alg = "\"HS256\""});
    uint8_t mac[32];
    memset(mac, 7, sizeof(mac));
    char *forged = mint_with_signature(proof, span_make(mac, sizeof(mac)));
    expect(&gate, "HS256 proof", "DPoP", gate.token, forged, AUTH_DENIAL_PROOF_ALG);
    free(proof);
    free(forged);
    char *token = gate_token(&gate, &(struct token_spec){.alg = "\"HS256\""});
    forged = mint_with_signature(token, span_make(mac, sizeof(mac)));
    proof = gate_proof(&gate, &(struct proof_spec){.token = forged});
    expect(&gate, "HS256 token", "DPoP", forged, proof, AUTH_DENIAL_TOKEN_ALG);
    free(proof);
    free(token);
    free(forged);
    gate_close(&gate);
}

Test(attacks, jwk_that_is_no_public_key)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char *proof = gate_proof(&gate,
                             &(struct proof_spec){.jwk = mint_key_private_jwk(gate.client_key)});
    expect(&gate, "private EC key", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_JWK);
    free(proof);
    struct mint_key *ed25519 = mint_key_new(SIGNATURE_EDDSA);
    proof = gate_proof(&gate,
                       &(struct proof_spec){.key = ed25519, .jwk = mint_key_private_jwk(ed25519)});
    expect(&gate, "private Ed25519 key", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_JWK);
    free(proof);
    mint_key_free(ed25519);
    /* x and y of the right key, bent. Off the curve and not below p are told apart when the key is
     * prepared. */
    const char *jwk = mint_key_jwk(gate.client_key);
    char x[44], y[44], bent[512];
    snprintf(x, sizeof(x), "%.43s", strstr(jwk, "\"x\":\"") + 5);
    snprintf(y, sizeof(y), "%.43s", strstr(jwk, "\"y\":\"") + 5);
#define EC "{\"kty\":\"EC\",\"crv\":\"P-256\","
    struct {
        const char *name, *format;
        enum auth_denial denial;
    } cases[] = {
        {"symmetric", "{\"kty\":\"oct\",\"k\":\"%s%s\"}", AUTH_DENIAL_PROOF_JWK},
        {"off the curve", EC "\"x\":\"%2$s\",\"y\":\"%1$s\"}", AUTH_DENIAL_PROOF_SIGNATURE},
        {"x not below p",
         EC "\"x\":\"_____________________________________________1%1$.0s\",\"y\":\"%2$s\"}",
         AUTH_DENIAL_PROOF_JWK},
        {"x = 2^256 - 1",
         EC "\"x\":\"__________________________________________8%1$.0s\",\"y\":\"%2$s\"}",
         AUTH_DENIAL_PROOF_SIGNATURE},
        {"x short", EC "\"x\":\"%.42s\",\"y\":\"%s\"}", AUTH_DENIAL_PROOF_JWK},
        {"x long", EC "\"x\":\"AA%s\",\"y\":\"%s\"}", AUTH_DENIAL_PROOF_JWK},
        {"y missing", EC "\"x\":\"%s\"%.0s}", AUTH_DENIAL_PROOF_JWK},
        {"x padded", EC "\"x\":\"%s=\",\"y\":\"%s\"}", AUTH_DENIAL_PROOF_JWK},
        {"x with a space", EC "\"x\":\" %s\",\"y\":\"%s\"}", AUTH_DENIAL_PROOF_JWK},
        {"another curve's name", "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"%s\",\"y\":\"%s\"}",
         AUTH_DENIAL_PROOF_JWK},
        {"an unknown curve", "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"%s\",\"y\":\"%s\"}",
         AUTH_DENIAL_PROOF_JWK},
        {"for encryption", EC "\"use\":\"enc\",\"x\":\"%s\",\"y\":\"%s\"}", AUTH_DENIAL_PROOF_JWK},
    };
#undef EC
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(bent, sizeof(bent), cases[i].format, x, y);
#pragma GCC diagnostic pop
        /* Bound to it, so that nothing but the key itself is wrong. */
        char *bent_proof = gate_proof(&gate, &(struct proof_spec){.jwk = bent});
        struct auth_check check;
        gate_send(&gate, "DPoP", gate.token, bent_proof, &check);
        bool other_jkt = check.denial == AUTH_DENIAL_BINDING_JKT;
        cr_expect(check.denial == cases[i].denial ||
                      (other_jkt && cases[i].denial == AUTH_DENIAL_PROOF_SIGNATURE),
                  "%s: %s (%s)", cases[i].name, auth_denial_label(check.denial), check.detail);
        auth_release(gate.worker, &check);
        free(bent_proof);
    }
    expect_honest_passes(&gate, "jwk");
    gate_close(&gate);
}

/* A key off the curve that the token is bound to: only the verification can refuse it. */
Test(attacks, bound_to_a_point_off_the_curve)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    const char *jwk = mint_key_jwk(gate.client_key);
    char bent[512], hash[44], cnf[80];
    snprintf(bent, sizeof(bent),
             "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%.43s\",\"y\":\"%.43s\"}",
             strstr(jwk, "\"y\":\"") + 5, strstr(jwk, "\"x\":\"") + 5);
    mint_hash(span_from_string(bent), hash);
    snprintf(cnf, sizeof(cnf), "{\"jkt\":\"%s\"}", hash);
    char *token = gate_token(&gate, &(struct token_spec){.cnf = cnf});
    char *proof = gate_proof(&gate, &(struct proof_spec){.jwk = bent, .token = token});
    expect(&gate, "off the curve", "DPoP", token, proof, AUTH_DENIAL_PROOF_SIGNATURE);
    free(proof);
    free(token);
    gate_close(&gate);
}

Test(attacks, framing_of_the_proof)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char *good = gate_proof(&gate, &(struct proof_spec){0});
    char *first = strchr(good, '.'), *second = strrchr(good, '.');
    char text[8192];
    struct {
        const char *name;
        char text[4096];
    } cases[16];
    size_t count = 0;
#define CASE(label, ...)                                                                           \
    do {                                                                                           \
        cases[count].name = label;                                                                 \
        snprintf(cases[count++].text, sizeof(cases[0].text), __VA_ARGS__);                         \
    } while (0)
    CASE("empty", "%s", "");
    CASE("one part", "%.*s", (int)(first - good), good);
    CASE("two parts", "%.*s", (int)(second - good), good);
    CASE("two parts and a dot", "%.*s", (int)(second + 1 - good), good);
    CASE("four parts", "%s.AAAA", good);
    CASE("a dot behind", "%s.", good);
    CASE("no header", "%s", first);
    CASE("no payload", "%.*s.%s", (int)(first - good), good, second);
    CASE("JSON serialization", "{\"protected\":\"%.*s\",\"payload\":\"e30\",\"signature\":\"AA\"}",
         (int)(first - good), good);
    CASE("padding", "%s=", good);
    CASE("padding in the header", "%.*s=%s", (int)(first - good), good, first);
    CASE("a space before", " %s", good);
    CASE("a space behind", "%s ", good);
    CASE("a line break", "%.*s\n%s", (int)(first - good), good, first);
    CASE("wrong alphabet", "%.*s+/%s", (int)(first - good), good, first);
    CASE("a comma: two in one field", "%.1800s,%.1800s", good, good);
#undef CASE
    for (size_t i = 0; i < count; i++) {
        expect(&gate, cases[i].name, "DPoP", gate.token, cases[i].text, AUTH_DENIAL_PROOF_SYNTAX);
    }
    /* 64 bytes have 86 characters: four trailing bits that must be zero. */
    snprintf(text, sizeof(text), "%s", good);
    char *last = text + strlen(text) - 1;
    *last = *last == 'A' ? 'B' : (char)(*last + 1);
    expect(&gate, "trailing bits", "DPoP", gate.token, text, AUTH_DENIAL_PROOF_SYNTAX);
    expect(&gate, "untouched", "DPoP", gate.token, good, AUTH_DENIAL_NONE);
    free(good);
    char *dots = malloc(65537);
    memset(dots, '.', 65536);
    dots[65536] = '\0';
    expect(&gate, "64 KiB of dots", "DPoP", gate.token, dots, AUTH_DENIAL_PROOF_TOO_LARGE);
    dots[8193] = '\0';
    expect(&gate, "8 KiB and a byte", "DPoP", gate.token, dots, AUTH_DENIAL_PROOF_TOO_LARGE);
    dots[8192] = '\0';
    expect(&gate, "8 KiB of dots", "DPoP", gate.token, dots, AUTH_DENIAL_PROOF_SYNTAX);
    free(dots);
    char *proof = mint_jws(gate.client_key, "[]", "{}");
    expect(&gate, "the header an array", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_JSON);
    free(proof);
    char header[512];
    snprintf(header, sizeof(header), "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":%s}",
             mint_key_jwk(gate.client_key));
    static const char *const payloads[] = {"[]", "\"GET\"", "1", "null", "{", " ", "[{}]"};
    for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
        proof = mint_jws(gate.client_key, header, payloads[i]);
        expect(&gate, payloads[i], "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_JSON);
        free(proof);
    }
    proof = mint_jws(gate.client_key, "{", "{}");
    expect(&gate, "the header no JSON", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_JSON);
    free(proof);
    gate_close(&gate);
}

static void expect_signature(struct gate *gate, const char *name, const char *proof,
                             struct span signature)
{
    char *forged = mint_with_signature(proof, signature);
    expect(gate, name, "DPoP", gate->token, forged, AUTH_DENIAL_PROOF_SIGNATURE);
    free(forged);
}

Test(attacks, ecdsa_signatures)
{
    /* n of P-256 */
    static const uint8_t n[32] = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                  0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    const char *end = strrchr(proof, '.');
    uint8_t good[64], bad[80];
    mint_sign(gate.client_key, span_make(proof, (size_t)(end - proof)), good);
    for (int half = 0; half < 2; half++) {
        size_t at = half == 0 ? 0 : 32;
        memcpy(bad, good, 64);
        memset(bad + at, 0, 32);
        expect_signature(&gate, "zero", proof, span_make(bad, 64));
        memcpy(bad + at, n, 32);
        expect_signature(&gate, "n", proof, span_make(bad, 64));
        bad[at + 31]++;
        expect_signature(&gate, "n + 1", proof, span_make(bad, 64));
        memset(bad + at, 0xff, 32);
        expect_signature(&gate, "all ones", proof, span_make(bad, 64));
        memcpy(bad, good, 64);
        bad[at + 31] ^= 1;
        expect_signature(&gate, "a bit", proof, span_make(bad, 64));
    }
    memset(bad, 0, sizeof(bad));
    expect_signature(&gate, "both zero", proof, span_make(bad, 64));
    /* DER: SEQUENCE of two INTEGERs, as many libraries give it. */
    uint8_t der[72] = {0x30, 70, 0x02, 33, 0};
    memcpy(der + 5, good, 32);
    der[37] = 0x02;
    der[38] = 33;
    memcpy(der + 40, good + 32, 32);
    expect_signature(&gate, "DER", proof, span_make(der, sizeof(der)));
    expect_signature(&gate, "short", proof, span_make(good, 63));
    memcpy(bad, good, 64);
    expect_signature(&gate, "long", proof, span_make(bad, 65));
    char *other = gate_proof(&gate, &(struct proof_spec){0});
    uint8_t others[64];
    mint_sign(gate.client_key, span_make(other, (size_t)(strrchr(other, '.') - other)), others);
    expect_signature(&gate, "another proof's", proof, span_make(others, 64));
    free(other);
    /* None of these burnt its jti. */
    expect(&gate, "at last the good one", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    gate_close(&gate);
}

Test(attacks, replays)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char *proof = gate_proof(&gate, &(struct proof_spec){.jti = "\"once\""});
    char *negated = mint_negate_s(proof);
    expect(&gate, "first", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    expect(&gate, "replay", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_REPLAY);
    expect(&gate, "replay with s negated", "DPoP", gate.token, negated, AUTH_DENIAL_PROOF_REPLAY);
    free(negated);
    char *again = gate_proof(&gate, &(struct proof_spec){.jti = "\"once\""});
    expect(&gate, "signed again", "DPoP", gate.token, again, AUTH_DENIAL_PROOF_REPLAY);
    free(again);
    again = gate_proof(&gate, &(struct proof_spec){.jti = "\"\\u006fnce\""});
    expect(&gate, "jti escaped", "DPoP", gate.token, again, AUTH_DENIAL_PROOF_REPLAY);
    free(again);
    again = gate_proof(&gate, &(struct proof_spec){.jti = "\"once\"", .header_more = ",\"x\":1"});
    expect(&gate, "another header", "DPoP", gate.token, again, AUTH_DENIAL_PROOF_REPLAY);
    free(again);
    /* negated first: then the plain one is the replay */
    again = gate_proof(&gate, &(struct proof_spec){0});
    negated = mint_negate_s(again);
    expect(&gate, "negated first", "DPoP", gate.token, negated, AUTH_DENIAL_NONE);
    expect(&gate, "plain second", "DPoP", gate.token, again, AUTH_DENIAL_PROOF_REPLAY);
    free(again);
    free(negated);
    /* To the last second of its life, whatever fraction the clocks stand at. */
    gate_advance(&gate, 65);
    expect(&gate, "replay at the last second", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_REPLAY);
    gate.now.wall_ns += 749999999u;
    gate.now.boot_ns += 749999999u;
    expect(&gate, "replay at the last nanosecond", "DPoP", gate.token, proof,
           AUTH_DENIAL_PROOF_REPLAY);
    gate.now.wall_ns += 1;
    gate.now.boot_ns += 1;
    gate.now.wall_s += 1;
    expect(&gate, "too old", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_IAT);
    free(proof);
    gate_close(&gate);
}

/* All fractions of both clocks, a proof as far in the future as allowed: never accepted twice. */
Test(attacks, replay_memory_outlasts_acceptance)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.max_age_s = 2;
    gate.settings.clock_skew_s = 1;
    gate_reconfigure(&gate);
    for (uint64_t wall = 0; wall < 1000000000u; wall += 333333333u) {
        for (uint64_t boot = 0; boot < 1000000000u; boot += 333333333u) {
            struct clock_now start = {
                .wall_s = GATE_NOW_S,
                .wall_ns = (uint64_t)GATE_NOW_S * 1000000000u + wall,
                .boot_ns = 7000u * 1000000000u + boot,
            };
            gate.shared.clock_offset_ns = 0;
            replay_keep_clock_offset(gate.shared.replay, 0);
            gate.now = start;
            char iat[32];
            snprintf(iat, sizeof(iat), "%lld", (long long)(GATE_NOW_S + 1));
            char *proof = gate_proof(&gate, &(struct proof_spec){.iat = iat});
            expect(&gate, "first", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
            bool over = false;
            for (uint64_t later = 0; later < 7000000000u; later += 100000000u) {
                gate.now.wall_ns = start.wall_ns + later;
                gate.now.boot_ns = start.boot_ns + later;
                gate.now.wall_s = (int64_t)(gate.now.wall_ns / 1000000000u);
                enum auth_denial denial = gate_try(&gate, "DPoP", gate.token, proof);
                over = over || denial == AUTH_DENIAL_PROOF_IAT;
                cr_assert_eq(denial, over ? AUTH_DENIAL_PROOF_IAT : AUTH_DENIAL_PROOF_REPLAY,
                             "%llu %llu %llu", (unsigned long long)wall, (unsigned long long)boot,
                             (unsigned long long)later);
            }
            cr_assert(over);
            free(proof);
        }
    }
    gate_close(&gate);
}

Test(attacks, two_keys_one_jti_and_wrong_keys)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct mint_key *other = mint_key_new(SIGNATURE_EDDSA);
    char cnf[80];
    snprintf(cnf, sizeof(cnf), "{\"jkt\":\"%s\"}", mint_key_jkt(other));
    char *others_token = gate_token(&gate, &(struct token_spec){.cnf = cnf});
    char *proof = gate_proof(&gate, &(struct proof_spec){.jti = "\"j\""});
    expect(&gate, "first key", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    proof = gate_proof(&gate,
                       &(struct proof_spec){.jti = "\"j\"", .key = other, .token = others_token});
    expect(&gate, "same jti, second key", "DPoP", others_token, proof, AUTH_DENIAL_NONE);
    free(proof);
    /* dpop sends alg Ed25519 for the same key (RFC 9864). */
    proof = gate_proof(
        &gate, &(struct proof_spec){.alg = "\"Ed25519\"", .key = other, .token = others_token});
    expect(&gate, "alg Ed25519", "DPoP", others_token, proof, AUTH_DENIAL_NONE);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){.jti = "\"k\"", .key = other});
    expect(&gate, "a stolen token with the thief's key", "DPoP", gate.token, proof,
           AUTH_DENIAL_BINDING_JKT);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){.jti = "\"k\"", .token = others_token});
    expect(&gate, "a token that is bound to another key", "DPoP", others_token, proof,
           AUTH_DENIAL_BINDING_JKT);
    free(proof);
    /* The owner's jwk in the header, the thief's signature. */
    struct mint_key *thief = mint_key_new(SIGNATURE_ES256);
    proof = gate_proof(
        &gate,
        &(struct proof_spec){.jti = "\"k\"", .key = thief, .jwk = mint_key_jwk(gate.client_key)});
    expect(&gate, "the owner's jwk, the thief's signature", "DPoP", gate.token, proof,
           AUTH_DENIAL_PROOF_SIGNATURE);
    free(proof);
    mint_key_free(thief);
    /* Nothing of this burnt the jti. */
    proof = gate_proof(&gate, &(struct proof_spec){.jti = "\"k\""});
    expect(&gate, "not burnt", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    free(others_token);
    mint_key_free(other);
    gate_close(&gate);
}

Test(attacks, a_failed_check_burns_no_jti)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const struct span wanted[] = {{(const uint8_t *)"admin", 5}};
    struct auth_policy_rule rule = {.scopes = wanted, .scopes_count = 1};
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    gate.request.method = SPAN_LITERAL("POST");
    expect(&gate, "other method", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_HTM);
    gate.request.method = SPAN_LITERAL("GET");
    gate.request.path = SPAN_LITERAL("/orders/8");
    expect(&gate, "other path", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_HTU);
    gate.request.path = SPAN_LITERAL(GATE_PATH);
    gate.settings.policy = &rule;
    gate.settings.policy_count = 1;
    gate_reconfigure(&gate);
    expect(&gate, "scope", "DPoP", gate.token, proof, AUTH_DENIAL_POLICY_SCOPE);
    gate.settings.policy_count = 0;
    gate.settings.nonce_required = true;
    gate_reconfigure(&gate);
    expect(&gate, "nonce", "DPoP", gate.token, proof, AUTH_DENIAL_PROOF_NONCE);
    gate.settings.nonce_required = false;
    gate.request.certificate_not_after_s = GATE_NOW_S - 1;
    expect(&gate, "certificate", "DPoP", gate.token, proof, AUTH_DENIAL_CERTIFICATE_EXPIRED);
    gate.request.certificate_not_after_s = GATE_NOW_S;
    expect(&gate, "at last", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    gate_close(&gate);
}

struct token_case {
    const char *name;
    struct token_spec spec;
    enum auth_denial denial;
};

static void run_tokens(struct gate *gate, const struct token_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *token = gate_token(gate, &cases[i].spec);
        char *proof = gate_proof(gate, &(struct proof_spec){.token = token});
        expect(gate, cases[i].name, "DPoP", token, proof, cases[i].denial);
        free(proof);
        free(token);
        expect_honest_passes(gate, cases[i].name);
    }
}
#define RUN_TOKENS(gate, cases) run_tokens(gate, cases, sizeof(cases) / sizeof(*(cases)))
#define JKT_A                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

Test(attacks, tokens)
{
    static const struct token_case cases[] = {
        {"expired", {.exp = "1799999999"}, AUTH_DENIAL_TOKEN_EXPIRED},
        {"expires this second", {.exp = "1800000000"}, AUTH_DENIAL_TOKEN_EXPIRED},
        {"expires next second", {.exp = "1800000001"}, AUTH_DENIAL_NONE},
        {"expires in this second's fraction", {.exp = "1800000000.9"}, AUTH_DENIAL_TOKEN_EXPIRED},
        {"a fraction in the next second", {.exp = "1800000001.5"}, AUTH_DENIAL_NONE},
        {"no exp", {.exp = ""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp a string", {.exp = "\"1800000600\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp with an exponent", {.exp = "18e99"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp negative", {.exp = "-1"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp a negative fraction", {.exp = "-1.5"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp in milliseconds", {.exp = "1800000600000"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp over 64 bits, with a fraction",
         {.exp = "99999999999999999999.0"},
         AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp with a fraction and an exponent",
         {.exp = "1800000600.5e1"},
         AUTH_DENIAL_TOKEN_CLAIMS},
        {"exp at the end of 63 bits", {.exp = "9223372036854775807"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"not yet valid", {.nbf = "1800000006"}, AUTH_DENIAL_TOKEN_NOT_YET},
        {"nbf within the skew", {.nbf = "1800000005"}, AUTH_DENIAL_NONE},
        {"nbf a fraction beyond", {.nbf = "1800000005.1"}, AUTH_DENIAL_TOKEN_NOT_YET},
        {"nbf a tenth beyond, written longer", {.nbf = "1800000005.10"}, AUTH_DENIAL_TOKEN_NOT_YET},
        {"nbf with a zero fraction", {.nbf = "1800000005.00"}, AUTH_DENIAL_NONE},
        {"nbf a string", {.nbf = "\"1\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"issued in the future", {.iat = "1800000006"}, AUTH_DENIAL_TOKEN_NOT_YET},
        {"iat a string", {.iat = "\"1\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"no iat", {.iat = ""}, AUTH_DENIAL_NONE},
        {"other issuer", {.iss = "\"https://evil.example\""}, AUTH_DENIAL_TOKEN_ISSUER},
        {"issuer with a slash", {.iss = "\"https://as.example.com/\""}, AUTH_DENIAL_TOKEN_ISSUER},
        {"issuer in another case", {.iss = "\"https://AS.example.com\""}, AUTH_DENIAL_TOKEN_ISSUER},
        {"no issuer", {.iss = ""}, AUTH_DENIAL_TOKEN_ISSUER},
        {"issuer an array", {.iss = "[\"" GATE_ISSUER "\"]"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"other audience", {.aud = "\"https://other.example\""}, AUTH_DENIAL_TOKEN_AUDIENCE},
        {"audience with a slash", {.aud = "\"" GATE_AUDIENCE "/\""}, AUTH_DENIAL_TOKEN_AUDIENCE},
        {"no audience", {.aud = ""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"audience a number", {.aud = "1"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"audience an object", {.aud = "{\"" GATE_AUDIENCE "\":1}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"audience an empty list", {.aud = "[]"}, AUTH_DENIAL_TOKEN_AUDIENCE},
        {"audience a list of others", {.aud = "[\"a\",\"b\"]"}, AUTH_DENIAL_TOKEN_AUDIENCE},
        {"audience nested", {.aud = "[[\"" GATE_AUDIENCE "\"]]"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"audience among others", {.aud = "[\"a\",\"" GATE_AUDIENCE "\",\"b\"]"}, AUTH_DENIAL_NONE},
        {"ours, and a number", {.aud = "[\"" GATE_AUDIENCE "\",1]"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"unknown kid", {.kid = "\"k2\""}, AUTH_DENIAL_TOKEN_KEY},
        {"kid a number", {.kid = "1"}, AUTH_DENIAL_TOKEN_KEY},
        {"kid empty", {.kid = "\"\""}, AUTH_DENIAL_TOKEN_KEY},
        {"no kid, one key", {.kid = ""}, AUTH_DENIAL_NONE},
        {"alg none", {.alg = "\"none\""}, AUTH_DENIAL_TOKEN_ALG},
        {"alg missing", {.alg = ""}, AUTH_DENIAL_TOKEN_ALG},
        {"alg a number", {.alg = "256"}, AUTH_DENIAL_TOKEN_ALG},
        {"alg not the key's", {.alg = "\"RS256\""}, AUTH_DENIAL_TOKEN_KEY},
        {"alg of another curve", {.alg = "\"ES384\""}, AUTH_DENIAL_TOKEN_KEY},
        {"embedded jwk", {.header_more = ",\"jwk\":{\"kty\":\"EC\"}"}, AUTH_DENIAL_TOKEN_KEY},
        {"jku and x5u are not looked at",
         {.header_more =
              ",\"jku\":\"https://evil.example\",\"x5u\":\"file:///etc/passwd\",\"x5c\":[\"A\"]"},
         AUTH_DENIAL_NONE},
        {"crit", {.header_more = ",\"crit\":[\"b64\"]"}, AUTH_DENIAL_TOKEN_CRIT},
        {"b64", {.header_more = ",\"b64\":false"}, AUTH_DENIAL_TOKEN_CRIT},
        {"a proof as a token", {.typ = "\"dpop+jwt\""}, AUTH_DENIAL_TOKEN_TYP},
        {"an ID token", {.typ = "\"JWT\""}, AUTH_DENIAL_TOKEN_TYP},
        {"no typ", {.typ = ""}, AUTH_DENIAL_TOKEN_TYP},
        {"typ an array", {.typ = "[\"at+jwt\"]"}, AUTH_DENIAL_TOKEN_TYP},
        {"typ long", {.typ = "\"application/at+jwt\""}, AUTH_DENIAL_NONE},
        {"typ in any case", {.typ = "\"AT+JWT\""}, AUTH_DENIAL_NONE},
        {"typ with another prefix", {.typ = "\"text/at+jwt\""}, AUTH_DENIAL_TOKEN_TYP},
        {"cnf a string", {.cnf = "\"x\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"cnf an array", {.cnf = "[]"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"cnf null", {.cnf = "null"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt a number", {.cnf = "{\"jkt\":1}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt null", {.cnf = "{\"jkt\":null}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt empty", {.cnf = "{\"jkt\":\"\"}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt short", {.cnf = "{\"jkt\":\"AAAA\"}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt padded", {.cnf = "{\"jkt\":\"" JKT_A "=\"}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt not canonical",
         {.cnf = "{\"jkt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\"}"},
         AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt in the other alphabet",
         {.cnf = "{\"jkt\":\"+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"},
         AUTH_DENIAL_TOKEN_CLAIMS},
        {"jkt of another key", {.cnf = "{\"jkt\":\"" JKT_A "\"}"}, AUTH_DENIAL_BINDING_JKT},
        {"x5t of the wrong shape", {.cnf = "{\"x5t#S256\":\"x\"}"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"no cnf", {.cnf = ""}, AUTH_DENIAL_PROOF_UNEXPECTED},
        {"cnf empty", {.cnf = "{}"}, AUTH_DENIAL_PROOF_UNEXPECTED},
        {"cnf of a method we do not know",
         {.cnf = "{\"kid\":\"x\"}"},
         AUTH_DENIAL_PROOF_UNEXPECTED},
        {"sub a number", {.sub = "1"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub empty", {.sub = "\"\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub with a line break",
         {.sub = "\"a\\r\\nX-Popgate-Scope: admin\""},
         AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub with a NUL", {.sub = "\"a\\u0000\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub with DEL", {.sub = "\"a\\u007f\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub not ASCII", {.sub = "\"\\u00e4lice\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub that HTTP would trim", {.sub = "\"alice \""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub that HTTP would trim in front", {.sub = "\" alice\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"sub with a space within", {.sub = "\"al ice\""}, AUTH_DENIAL_NONE},
        {"no sub", {.sub = ""}, AUTH_DENIAL_NONE},
        {"client_id an array", {.client_id = "[]"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"client_id with a tab", {.client_id = "\"a\\tb\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"no client_id", {.client_id = ""}, AUTH_DENIAL_NONE},
        {"scope an array", {.scope = "[\"a\"]"}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"scope with a line break", {.scope = "\"a\\nb\""}, AUTH_DENIAL_TOKEN_CLAIMS},
        {"scope empty", {.scope = "\"\""}, AUTH_DENIAL_NONE},
        {"no scope", {.scope = ""}, AUTH_DENIAL_NONE},
        {"a duplicate claim", {.payload_more = ",\"sub\":\"root\""}, AUTH_DENIAL_TOKEN_JSON},
        {"a duplicate in cnf",
         {.cnf = "{\"jkt\":\"" JKT_A "\",\"jkt\":\"" JKT_A "\"}"},
         AUTH_DENIAL_TOKEN_JSON},
    };
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    RUN_TOKENS(&gate, cases);
    gate_close(&gate);
}

Test(attacks, tokens_signed_by_others)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct mint_key *other = mint_key_new(SIGNATURE_ES256);
    char *token = gate_token(&gate, &(struct token_spec){.key = other});
    char *proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    for (int i = 0; i < 2; i++) {
        expect(&gate, "another key, the issuer's kid", "DPoP", token, proof,
               AUTH_DENIAL_TOKEN_SIGNATURE);
    }
    free(token);
    free(proof);
    /* The client signs itself a token with the key it proves. */
    token = gate_token(&gate, &(struct token_spec){.key = gate.client_key});
    proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    expect(&gate, "signed by the client", "DPoP", token, proof, AUTH_DENIAL_TOKEN_SIGNATURE);
    free(token);
    free(proof);
    uint8_t signature[70] = {1};
    token = mint_with_signature(gate.token, span_make(signature, 64));
    proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    expect(&gate, "a made-up signature", "DPoP", token, proof, AUTH_DENIAL_TOKEN_SIGNATURE);
    free(token);
    free(proof);
    token = mint_with_signature(gate.token, span_make(signature, 70));
    proof = gate_proof(&gate, &(struct proof_spec){.token = token});
    expect(&gate, "DER", "DPoP", token, proof, AUTH_DENIAL_TOKEN_SIGNATURE);
    free(token);
    free(proof);
    char cut[MINT_TEXT_MAX];
    snprintf(cut, sizeof(cut), "%.*s.", (int)(strrchr(gate.token, '.') - gate.token), gate.token);
    proof = gate_proof(&gate, &(struct proof_spec){.token = cut});
    expect(&gate, "no signature", "DPoP", cut, proof, AUTH_DENIAL_TOKEN_SYNTAX);
    free(proof);
    static const char *const documents[][2] = {{"[]", "{}"}, {"{", "{}"},   {"{}", "[]"},
                                               {"{}", "1"},  {"{}", "{,}"}, {"\"\"", "{}"}};
    for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
        token = mint_jws(gate.issuer_key, documents[i][0], documents[i][1]);
        proof = gate_proof(&gate, &(struct proof_spec){.token = token});
        expect(&gate, documents[i][1], "DPoP", token, proof, AUTH_DENIAL_TOKEN_JSON);
        free(token);
        free(proof);
    }
    proof = gate_proof(&gate, &(struct proof_spec){.token = "opaque"});
    expect(&gate, "not a JWT", "DPoP", "opaque", proof, AUTH_DENIAL_TOKEN_SYNTAX);
    free(proof);
    mint_key_free(other);
    gate_close(&gate);
}

Test(attacks, token_limits)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.token_bytes_max = strlen(gate.token);
    expect_honest_passes(&gate, "a token of the limit");
    gate.settings.token_bytes_max--;
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    expect(&gate, "a byte more", "DPoP", gate.token, proof, AUTH_DENIAL_TOKEN_TOO_LARGE);
    free(proof);
    gate.settings.token_bytes_max = 16384;
    /* Claims of 8192 bytes together pass, one more does not. */
    size_t fixed = strlen(GATE_ISSUER) + strlen("alice") + strlen("shop");
    for (size_t more = 0; more < 2; more++) {
        char scope[8300];
        size_t size = 8192 - fixed + more;
        scope[0] = '"';
        memset(scope + 1, 's', size);
        memcpy(scope + 1 + size, "\"", 2);
        char *token = gate_token(&gate, &(struct token_spec){.scope = scope});
        proof = gate_proof(&gate, &(struct proof_spec){.token = token});
        expect(&gate, "large claims", "DPoP", token, proof,
               more == 0 ? AUTH_DENIAL_NONE : AUTH_DENIAL_TOKEN_CLAIMS);
        free(proof);
        free(token);
    }
    gate_close(&gate);
}

Test(attacks, schemes)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char *proof = NULL;
    static const char *const accepted[] = {"DPoP", "dpop", "DPOP", "dPoP"};
    for (size_t i = 0; i < 4; i++) {
        proof = gate_proof(&gate, &(struct proof_spec){0});
        expect(&gate, accepted[i], accepted[i], gate.token, proof, AUTH_DENIAL_NONE);
        free(proof);
    }
    proof = gate_proof(&gate, &(struct proof_spec){0});
    expect(&gate, "spaces", "DPoP   ", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){0});
    expect(&gate, "no proof", "DPoP", gate.token, NULL, AUTH_DENIAL_PROOF_MISSING);
    expect(&gate, "bound token as Bearer", "Bearer", gate.token, NULL,
           AUTH_DENIAL_TOKEN_BOUND_AS_BEARER);
    expect(&gate, "bound token as Bearer with a proof", "Bearer", gate.token, proof,
           AUTH_DENIAL_TOKEN_BOUND_AS_BEARER);
    expect(&gate, "a tab", "DPoP\t", gate.token, proof, AUTH_DENIAL_AUTHORIZATION_SYNTAX);
    expect(&gate, "Basic", "Basic", "YTpi", proof, AUTH_DENIAL_UNKNOWN_SCHEME);
    expect(&gate, "a longer scheme", "DPoPx", gate.token, proof, AUTH_DENIAL_UNKNOWN_SCHEME);
    expect(&gate, "no token", "DPoP", "", proof, AUTH_DENIAL_AUTHORIZATION_SYNTAX);
    expect(&gate, "two schemes in one field", "DPoP", "a, Bearer b", proof,
           AUTH_DENIAL_AUTHORIZATION_SYNTAX);
    gate.settings.accept_mtls = true;
    gate_reconfigure(&gate);
    expect(&gate, "bound token as Bearer where Bearer is accepted", "Bearer", gate.token, NULL,
           AUTH_DENIAL_TOKEN_BOUND_AS_BEARER);
    expect(&gate, "with a proof", "Bearer", gate.token, proof, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER);
    expect(&gate, "the honest way", "DPoP", gate.token, proof, AUTH_DENIAL_NONE);
    free(proof);
    gate_close(&gate);
}

/* A cached certificate-bound token waits for no signature: its scope is looked at all the same. */
Test(attacks, a_cached_token_without_the_scope_does_not_pass)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const struct span wanted[] = {{(const uint8_t *)"admin", 5}};
    struct auth_policy_rule rule = {.scopes = wanted, .scopes_count = 1};
    char x5t[80];
    snprintf(x5t, sizeof(x5t), "{\"x5t#S256\":\"%s\"}", gate.certificate_text);
    char *token = gate_token(&gate, &(struct token_spec){.cnf = x5t});
    gate.settings.accept_mtls = true;
    gate_reconfigure(&gate);
    expect(&gate, "no policy", "Bearer", token, NULL, AUTH_DENIAL_NONE);
    gate.settings.policy = &rule;
    gate.settings.policy_count = 1;
    gate_reconfigure(&gate);
    for (int i = 0; i < 3; i++) {
        expect(&gate, "without the scope", "Bearer", token, NULL, AUTH_DENIAL_POLICY_SCOPE);
    }
    free(token);
    gate_close(&gate);
}

Test(attacks, certificate_bound_tokens)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char x5t[80], both[160];
    snprintf(x5t, sizeof(x5t), "{\"x5t#S256\":\"%s\"}", gate.certificate_text);
    snprintf(both, sizeof(both), "{\"x5t#S256\":\"%s\",\"jkt\":\"%s\"}", gate.certificate_text,
             mint_key_jkt(gate.client_key));
    char *by_certificate = gate_token(&gate, &(struct token_spec){.cnf = x5t});
    char *by_both = gate_token(&gate, &(struct token_spec){.cnf = both});
    char *unbound = gate_token(&gate, &(struct token_spec){.cnf = ""});
    char *proof = gate_proof(&gate, &(struct proof_spec){.token = by_certificate});
    expect(&gate, "mtls not accepted", "Bearer", by_certificate, NULL, AUTH_DENIAL_UNKNOWN_SCHEME);
    expect(&gate, "unbound as Bearer", "Bearer", unbound, NULL, AUTH_DENIAL_TOKEN_UNBOUND);
    gate.settings.accept_mtls = true;
    gate_reconfigure(&gate);
    for (int i = 0; i < 2; i++) { /* the second from the cache, without a signature to wait for */
        expect(&gate, "as Bearer", "bearer", by_certificate, NULL, AUTH_DENIAL_NONE);
        expect(&gate, "as DPoP", "DPoP", by_certificate, proof, AUTH_DENIAL_PROOF_UNEXPECTED);
        expect(&gate, "with a proof nobody looks at", "Bearer", by_certificate, proof,
               AUTH_DENIAL_PROOF_UNEXPECTED);
        expect(&gate, "unbound", "Bearer", unbound, NULL, AUTH_DENIAL_TOKEN_UNBOUND);
        expect(&gate, "both as Bearer", "Bearer", by_both, NULL, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER);
        char *fresh = gate_proof(&gate, &(struct proof_spec){.token = by_both});
        expect(&gate, "both as DPoP", "DPoP", by_both, fresh, AUTH_DENIAL_NONE);
        free(fresh);
    }
    gate.certificate_sha256[31] ^= 1;
    expect(&gate, "another certificate", "Bearer", by_certificate, NULL,
           AUTH_DENIAL_BINDING_CERTIFICATE);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){.token = by_both});
    expect(&gate, "right key, another certificate", "DPoP", by_both, proof,
           AUTH_DENIAL_BINDING_CERTIFICATE);
    gate.request.certificate_sha256 = NULL;
    expect(&gate, "right key, no certificate", "DPoP", by_both, proof,
           AUTH_DENIAL_BINDING_CERTIFICATE);
    gate.certificate_sha256[31] ^= 1;
    gate.request.certificate_sha256 = gate.certificate_sha256;
    gate.settings.accept_mtls = false;
    expect(&gate, "both are enforced with DPoP alone too", "DPoP", by_both, proof,
           AUTH_DENIAL_NONE);
    free(proof);
    /* only mtls */
    gate.settings.accept_mtls = true;
    gate.settings.accept_dpop = false;
    proof = gate_proof(&gate, &(struct proof_spec){0});
    expect(&gate, "DPoP is not accepted", "DPoP", gate.token, proof, AUTH_DENIAL_UNKNOWN_SCHEME);
    free(proof);
    free(by_certificate);
    free(by_both);
    free(unbound);
    gate_close(&gate);
}

Test(attacks, repeated_fields)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char authorization[MINT_TEXT_MAX];
    snprintf(authorization, sizeof(authorization), "DPoP %s", gate.token);
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    static const struct {
        uint32_t authorizations, proofs;
        enum auth_denial denial;
    } cases[] = {
        {0, 0, AUTH_DENIAL_NO_CREDENTIALS},
        {0, 1, AUTH_DENIAL_NO_CREDENTIALS},
        {2, 1, AUTH_DENIAL_REPEATED_AUTHORIZATION},
        {2, 2, AUTH_DENIAL_REPEATED_AUTHORIZATION},
        {1, 2, AUTH_DENIAL_PROOF_REPEATED},
        {1, 0, AUTH_DENIAL_PROOF_MISSING},
        {1, 1, AUTH_DENIAL_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct auth_request request = gate.request;
        request.authorization = span_from_string(authorization);
        request.authorization_count = cases[i].authorizations;
        request.dpop = span_from_string(proof);
        request.dpop_count = cases[i].proofs;
        struct auth_check check = {0};
        auth_submit(gate.worker, &request, &gate.now, &check);
        auth_run(gate.worker, &gate.now);
        cr_expect_eq(check.denial, cases[i].denial, "%zu: %s", i, auth_denial_label(check.denial));
        auth_release(gate.worker, &check);
    }
    free(proof);
    gate_close(&gate);
}

Test(attacks, a_cache_hit_after_exp)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    expect_honest_passes(&gate, "the start");
    gate_advance(&gate, 599);
    expect_honest_passes(&gate, "599 s");
    struct auth_counters before, after;
    auth_read_counters(gate.worker, &before);
    gate_advance(&gate, 1);
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    expect(&gate, "a hit after exp", "DPoP", gate.token, proof, AUTH_DENIAL_TOKEN_EXPIRED);
    free(proof);
    auth_read_counters(gate.worker, &after);
    cr_expect_eq(after.token_hits, before.token_hits + 1, "it was a hit");
    gate_close(&gate);
}
