#include "app/commands.h"

#include "app/config.h"
#include "app/demo_keys.h"
#include "base/rcu.h"
#include "crypto/sha256.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jwks.h"
#include "jose/jws.h"
#include "jose/jws_sign.h"
#include "tls/authority.h"
#include "unit/app/command_runner.h"
#include "unit/tls/driver.h"

#include <sys/stat.h>
#include <time.h>

static char *folder;
static char demo[600];
static struct command_result result;

static void set_up(void)
{
    folder = test_folder_make();
    snprintf(demo, sizeof demo, "%s/demo", folder);
}

static void tear_down(void)
{
    test_folder_remove(strdup(demo));
    test_folder_remove(folder);
}

static const char *in_demo(const char *name)
{
    static char paths[4][700];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", demo, name);
    return path;
}

TestSuite(demo_authority, .init = set_up, .fini = tear_down);
TestSuite(token, .init = set_up, .fini = tear_down);
TestSuite(proof, .init = set_up, .fini = tear_down);

static void make_demo(void)
{
    RUN(command_demo_authority, &result, "demo-authority", demo, "--dns", "orders.example.com");
    cr_assert(result.exit_code == 0, "%s", result.error);
}

static char *read_all(const char *name)
{
    char *text = NULL, error[512];
    cr_assert(demo_read_file(in_demo(name), &text, error, sizeof error) == STATUS_OK, "%s", error);
    return text;
}

/* ---- demo-authority ---- */

Test(demo_authority, makes_what_it_says_with_private_keys_private)
{
    umask(0);
    make_demo();
    static const char *const names[] = {
        "ca.crt",       "server.crt",   "server.key",      "client-a.crt", "client-a.key",
        "client-b.crt", "client-b.key", "stranger-ca.crt", "stranger.crt", "stranger.key",
        "issuer.key",   "jwks.json",    "dpop-a.key",      "dpop-b.key",   "popgate.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct stat info;
        cr_assert(lstat(in_demo(names[i]), &info) == 0, "%s", names[i]);
        bool is_key = strstr(names[i], ".key") != NULL;
        cr_expect((info.st_mode & 07777) == (is_key ? 0600 : 0644), "%s: %o", names[i],
                  info.st_mode);
    }
    cr_expect(strstr(result.out, "popgate run -c") != NULL);
}

Test(demo_authority, its_certificates_work_and_are_known_as_a_demo)
{
    make_demo();
    struct tls_options options = {.certificate_path = in_demo("server.crt"),
                                  .private_key_path = in_demo("server.key"),
                                  .client_ca_path = in_demo("ca.crt"),
                                  .min_version_minor = 3};
    struct world world = {.now = clock_read()};
    char error[512] = "";
    cr_assert(tls_context_new(&options, &world.context, error, sizeof error) == STATUS_OK, "%s",
              error);
    cr_expect(tls_context_is_demo(world.context));
    struct span names[4];
    bool wildcard = false;
    cr_expect(tls_context_dns_names(world.context, names, 4, &wildcard) == 2);
    cr_expect(span_equal_string(names[0], "localhost"));
    cr_expect(span_equal_string(names[1], "orders.example.com"));

    static const struct {
        const char *name;
        enum status status;
    } clients[] = {{"client-a", STATUS_OK}, {"client-b", STATUS_OK}, {"stranger", STATUS_FAILED}};
    for (size_t i = 0; i < 3; i++) {
        char file[64];
        world.client_ctx = SSL_CTX_new(TLS_method());
        cr_assert(SSL_CTX_load_verify_locations(world.client_ctx, in_demo("ca.crt"), NULL));
        SSL_CTX_set_verify(world.client_ctx, SSL_VERIFY_PEER, NULL);
        snprintf(file, sizeof file, "%s.crt", clients[i].name);
        cr_assert(SSL_CTX_use_certificate_file(world.client_ctx, in_demo(file), SSL_FILETYPE_PEM));
        snprintf(file, sizeof file, "%s.key", clients[i].name);
        cr_assert(SSL_CTX_use_PrivateKey_file(world.client_ctx, in_demo(file), SSL_FILETYPE_PEM));
        struct pair pair;
        pair_open(&pair, &world, 4096, 0, 100000);
        cr_expect(SSL_set1_host(pair.client, "orders.example.com"));
        cr_expect(pair_handshake(&pair) == clients[i].status, "%s: %s", clients[i].name,
                  tls_connection_failure(pair.server));
        if (clients[i].status == STATUS_OK) {
            char id[128];
            snprintf(id, sizeof id, "spiffe://example.com/%s", clients[i].name);
            cr_expect(span_equal_string(tls_connection_peer(pair.server)->spiffe_id, id));
        }
        pair_close(&pair);
        SSL_CTX_free(world.client_ctx);
    }
    tls_context_release(world.context);
}

Test(demo_authority, its_jwks_holds_the_public_half_alone)
{
    make_demo();
    char *text = read_all("jwks.json"), error_text[512];
    struct jwks *jwks = NULL;
    const char *error = NULL;
    cr_assert(jwks_parse(span_from_string(text), &jwks, &error) == STATUS_OK, "%s", error);
    cr_expect(jwks_count(jwks) == 1);
    struct signing_key *key = NULL;
    struct public_key public_key;
    cr_assert(demo_read_key(in_demo("issuer.key"), &key, error_text, sizeof error_text) ==
              STATUS_OK);
    signing_key_public(key, &public_key);
    const struct public_key *found = jwks_find(jwks, false, (struct span){NULL, 0},
                                               SIGNATURE_ES256);
    cr_assert(found != NULL && memcmp(found->x, public_key.x, sizeof public_key.x) == 0);
    signing_key_free(key);
    jwks_free(jwks);
    free(text);
}

Test(demo_authority, refuses_a_folder_with_something_in_it)
{
    make_demo();
    char *before = read_all("ca.crt");
    RUN(command_demo_authority, &result, "demo-authority", demo);
    cr_expect(result.exit_code == 1);
    cr_expect(strstr(result.error, "not an empty folder") != NULL, "%s", result.error);
    char *after = read_all("ca.crt");
    cr_expect_str_eq(before, after);
    free(after);
    RUN(command_demo_authority, &result, "demo-authority", "--force", demo);
    cr_expect(result.exit_code == 0, "%s", result.error);
    after = read_all("ca.crt");
    cr_expect(strcmp(before, after) != 0);
    free(before);
    free(after);
}

Test(demo_authority, does_not_write_through_a_link)
{
    mkdir(demo, 0700);
    char *target = test_write_text(folder, "target", "precious");
    cr_assert(symlink(target, in_demo("issuer.key")) == 0);
    RUN(command_demo_authority, &result, "demo-authority", demo, "--force");
    cr_expect(result.exit_code == 0);
    FILE *file = fopen(target, "rb");
    char text[16] = "";
    cr_expect(fread(text, 1, sizeof text - 1, file) == 8);
    cr_expect_str_eq(text, "precious");
    fclose(file);
    free(target);
}

Test(demo_authority, other_algorithms_and_names)
{
    RUN(command_demo_authority, &result, "demo-authority", demo, "--alg", "EdDSA", "--dpop-alg",
        "PS256", "--trust-domain", "td.example", "--listen", "127.0.0.1:9443", "--issuer",
        "https://as.example", "--audience", "https://orders.example");
    cr_assert(result.exit_code == 0, "%s", result.error);
    char *text = read_all("popgate.yaml");
    cr_expect(strstr(text, "listen: \"127.0.0.1:9443\"") != NULL);
    cr_expect(strstr(text, "\"https://localhost:9443\"") != NULL);
    cr_expect(strstr(text, "issuer: \"https://as.example\"") != NULL);
    free(text);
    text = read_all("jwks.json");
    cr_expect(strstr(text, "\"Ed25519\"") != NULL && strstr(text, "\"d\"") == NULL);
    free(text);
    struct signing_key *key = NULL;
    char error[512];
    cr_assert(demo_read_key(in_demo("dpop-a.key"), &key, error, sizeof error) == STATUS_OK);
    cr_expect(signing_key_algorithm(key) == SIGNATURE_PS256);
    signing_key_free(key);
}

Test(demo_authority, its_configuration_is_one)
{
    make_demo();
    struct config *config = NULL;
    struct config_errors errors = {0};
    cr_assert(config_load(in_demo("popgate.yaml"), &config, &errors) == STATUS_OK, "%s",
              errors.list[0].text);
    cr_expect(config->public_origins_count == 4);
    cr_expect_str_eq(config->tls.client_ca, in_demo("ca.crt"));
    config_free(config);
}

Test(demo_authority, tells_what_is_wrong)
{
    RUN(command_demo_authority, &result, "demo-authority");
    cr_expect(result.exit_code == 2);
    RUN(command_demo_authority, &result, "demo-authority", "--nonsense", demo);
    cr_expect(result.exit_code == 2 && strstr(result.error, "no option --nonsense") != NULL);
    RUN(command_demo_authority, &result, "demo-authority", demo, "--alg", "HS256");
    cr_expect(result.exit_code == 1 && strstr(result.error, "no algorithm 'HS256'") != NULL);
    RUN(command_demo_authority, &result, "demo-authority", demo, "--force", "--dns", "a b");
    cr_expect(result.exit_code == 1, "%s", result.error);
    RUN(command_demo_authority, &result, "demo-authority", demo, "--force", "--dns", "a\"b");
    cr_expect(result.exit_code == 2, "%s", result.error);
    RUN(command_demo_authority, &result, "demo-authority", demo, "--force", "--trust-domain",
        "Example.com");
    cr_expect(result.exit_code == 1, "%s", result.error);
    RUN(command_demo_authority, &result, "demo-authority", "/nonexistent/a/b");
    cr_expect(result.exit_code == 1 && strstr(result.error, "cannot be made") != NULL);
    RUN(command_demo_authority, &result, "demo-authority", "--help");
    cr_expect(result.exit_code == 0 && strstr(result.out, "--trust-domain DOMAIN") != NULL);
}

/* ---- token and proof: checked by our own readers and verifier ---- */

static uint8_t scratch[65536];
static struct jws jws;
static struct json_parser *parser;
static struct json_document header, claims;
static uint8_t header_copy[8192];

static bool verifies(const struct public_key *key, enum signature_algorithm algorithm)
{
    rcu_register();
    struct verifier_options options = {.key_memory_bytes = 1 << 20, .implementation = "reference"};
    struct verifier *verifier = verifier_new(&options);
    struct verify_scratch *memory = verify_scratch_new();
    struct verify_job job = {.algorithm = algorithm,
                             .key = key,
                             .message = jws.signing_input,
                             .signature = jws.signature};
    verify_batch(verifier, memory, &job, 1);
    verify_scratch_free(memory);
    verifier_free(verifier);
    rcu_unregister();
    return job.status == STATUS_OK;
}

static struct json_document parse(struct span text)
{
    struct json_document document;
    cr_assert(json_parse(parser, text, &document) == STATUS_OK, "%.*s", SPAN_ARG(text));
    return document;
}

/* Takes the printed line apart; `prefix` is what --header puts before it. */
static void take_apart(const char *prefix)
{
    cr_assert(result.exit_code == 0, "%s", result.error);
    struct span line = span_from_string(result.out);
    cr_assert(line.size > 0 && line.data[line.size - 1] == '\n');
    cr_assert(span_find(line, '\n') == line.size - 1); /* one line */
    line = span_first(line, line.size - 1);
    cr_assert(span_starts_with(line, span_from_string(prefix)), "%s", result.out);
    line = span_after(line, strlen(prefix));
    cr_assert(jws_split(line, (struct span_mut){scratch, sizeof scratch}, &jws) == STATUS_OK);
    if (parser == NULL) {
        parser = json_parser_new(65536);
    }
    memcpy(header_copy, jws.header.data, jws.header.size);
}

static const char *text_of(struct json_document *document, const char *name)
{
    static char text[4][1024];
    static int next;
    const struct json_value *value = json_member(document, 0, name);
    if (value == NULL || value->type != JSON_STRING) {
        return "(none)";
    }
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%.*s", SPAN_ARG(value->text));
    return out;
}

static int64_t number_of(struct json_document *document, const char *name)
{
    const struct json_value *value = json_member(document, 0, name);
    return value != NULL && value->type == JSON_INTEGER ? value->integer : INT64_MIN;
}

static struct public_key public_of(const char *file)
{
    struct signing_key *key = NULL;
    struct public_key public_key;
    char error[512];
    cr_assert(demo_read_key(in_demo(file), &key, error, sizeof error) == STATUS_OK, "%s", error);
    signing_key_public(key, &public_key);
    signing_key_free(key);
    return public_key;
}

Test(token, is_bound_to_the_dpop_key_and_signed_by_the_issuer)
{
    make_demo();
    RUN(command_token, &result, "token", "--dir", demo);
    take_apart("");
    struct public_key issuer = public_of("issuer.key"), dpop = public_of("dpop-a.key");
    cr_expect(verifies(&issuer, SIGNATURE_ES256));
    cr_expect(!verifies(&dpop, SIGNATURE_ES256));
    header = parse(span_make(header_copy, jws.header.size));
    cr_expect_str_eq(text_of(&header, "typ"), "at+jwt");
    cr_expect_str_eq(text_of(&header, "alg"), "ES256");
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "iss"), DEMO_ISSUER);
    cr_expect_str_eq(text_of(&claims, "aud"), DEMO_ORIGIN);
    cr_expect_str_eq(text_of(&claims, "sub"), "client-a");
    cr_expect_str_eq(text_of(&claims, "client_id"), "client-a");
    cr_expect_str_eq(text_of(&claims, "scope"), DEMO_SCOPE);
    cr_expect(number_of(&claims, "exp") - number_of(&claims, "iat") == 300);
    int64_t age_s = time(NULL) - number_of(&claims, "iat");
    cr_expect(age_s >= 0 && age_s < 10);
    cr_expect(json_member(&claims, 0, "nbf") == NULL);
    const struct json_value *cnf = json_member(&claims, 0, "cnf");
    cr_assert(cnf != NULL);
    uint32_t index = (uint32_t)(cnf - claims.values);
    char jkt[JWK_THUMBPRINT_TEXT_BYTES];
    uint8_t thumbprint[32];
    jwk_thumbprint(&dpop, thumbprint);
    base64url_encode(span_make(thumbprint, 32), jkt);
    const struct json_value *value = json_member(&claims, index, "jkt");
    cr_assert(value != NULL && span_equal(value->text, span_make(jkt, sizeof jkt)));
    cr_expect(json_member(&claims, index, "x5t#S256") == NULL);
    json_parser_free(parser);
    parser = NULL;
}

Test(token, binds_to_a_certificate_to_both_or_to_nothing)
{
    make_demo();
    char *pem = read_all("client-a.crt");
    uint8_t digest[32];
    char x5t[43];
    cr_assert(certificate_digest(span_from_string(pem), digest) == STATUS_OK);
    free(pem);
    base64url_encode(span_make(digest, 32), x5t);

    RUN(command_token, &result, "token", "--dir", demo, "--x5t-from", in_demo("client-a.crt"),
        "--header");
    take_apart("Authorization: Bearer ");
    claims = parse(jws.payload);
    uint32_t cnf = (uint32_t)(json_member(&claims, 0, "cnf") - claims.values);
    cr_expect(span_equal(json_member(&claims, cnf, "x5t#S256")->text, span_make(x5t, 43)));
    cr_expect(json_member(&claims, cnf, "jkt") == NULL);

    RUN(command_token, &result, "token", "--dir", demo, "--x5t-from", in_demo("client-a.crt"),
        "--jkt-from", in_demo("dpop-b.key"), "--header");
    take_apart("Authorization: DPoP ");
    claims = parse(jws.payload);
    cnf = (uint32_t)(json_member(&claims, 0, "cnf") - claims.values);
    cr_expect(json_member(&claims, cnf, "x5t#S256") != NULL);
    cr_expect(json_member(&claims, cnf, "jkt") != NULL);

    RUN(command_token, &result, "token", "--dir", demo, "--jkt",
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    take_apart("");
    RUN(command_token, &result, "token", "--dir", demo, "--unbound");
    take_apart("");
    claims = parse(jws.payload);
    cr_expect(json_member(&claims, 0, "cnf") == NULL);
    json_parser_free(parser);
    parser = NULL;
}

Test(token, says_what_it_is_told)
{
    make_demo();
    RUN(command_token, &result, "token", "--key", in_demo("issuer.key"), "--jkt-from",
        in_demo("dpop-a.key"), "--issuer", "https://as", "--audience", "https://a", "--audience",
        "https://b", "--subject", "s\"\n", "--client-id", "c", "--scope", "", "--expires", "-1m",
        "--not-before", "1h", "--type", "JWT", "--kid", "k1");
    take_apart("");
    header = parse(span_make(header_copy, jws.header.size));
    cr_expect_str_eq(text_of(&header, "typ"), "JWT");
    cr_expect_str_eq(text_of(&header, "kid"), "k1");
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "iss"), "https://as");
    cr_expect_str_eq(text_of(&claims, "sub"), "s\"\n");
    const struct json_value *aud = json_member(&claims, 0, "aud");
    cr_expect(aud != NULL && aud->type == JSON_ARRAY);
    cr_expect(json_member(&claims, 0, "scope") == NULL);
    cr_expect(number_of(&claims, "exp") == number_of(&claims, "iat") - 60);
    cr_expect(number_of(&claims, "nbf") == number_of(&claims, "iat") + 3600);
    json_parser_free(parser);
    parser = NULL;
}

Test(token, tells_what_is_wrong)
{
    make_demo();
    RUN(command_token, &result, "token");
    cr_expect(result.exit_code == 2 && strstr(result.error, "whose key") != NULL);
    RUN(command_token, &result, "token", "--key", in_demo("issuer.key"));
    cr_expect(result.exit_code == 2 && strstr(result.error, "bound to what") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--expires", "5");
    cr_expect(result.exit_code == 2 && strstr(result.error, "--expires") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--not-before", "x");
    cr_expect(result.exit_code == 2 && strstr(result.error, "--not-before") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--jkt", "short");
    cr_expect(result.exit_code == 1 && strstr(result.error, "--jkt") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--jkt", "a", "--jkt-from", "b");
    cr_expect(result.exit_code == 2);
    RUN(command_token, &result, "token", "--dir", demo, "--alg", "PS256");
    cr_expect(result.exit_code == 1 && strstr(result.error, "does not sign with PS256") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--x5t-from", in_demo("dpop-a.key"));
    cr_expect(result.exit_code == 1 && strstr(result.error, "holds no certificate") != NULL);
    RUN(command_token, &result, "token", "--dir", "/nonexistent");
    cr_expect(result.exit_code == 1 && strstr(result.error, "cannot be opened") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--key", in_demo("ca.crt"));
    cr_expect(result.exit_code == 1 && strstr(result.error, "no readable private key") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--subject", "\xff");
    cr_expect(result.exit_code == 1 && strstr(result.error, "not UTF-8") != NULL);
    RUN(command_token, &result, "token", "--help");
    cr_expect(result.exit_code == 0 && strstr(result.out, "--jkt-from KEY") != NULL);
}

Test(proof, is_what_rfc_9449_asks_for)
{
    make_demo();
    RUN(command_proof, &result, "proof", "--dir", demo, "--method", "POST", "--url",
        "https://localhost:8443/a/b?c=d#e", "--token", "a.b.c", "--nonce", "n-1", "--header");
    take_apart("DPoP: ");
    header = parse(span_make(header_copy, jws.header.size));
    cr_expect_str_eq(text_of(&header, "typ"), "dpop+jwt");
    cr_expect_str_eq(text_of(&header, "alg"), "ES256");
    struct public_key dpop = public_of("dpop-a.key"), embedded;
    const struct json_value *jwk = json_member(&header, 0, "jwk");
    cr_assert(jwk != NULL);
    cr_assert(jwk_read(&header, (uint32_t)(jwk - header.values), &embedded) == STATUS_OK);
    cr_expect(memcmp(&embedded, &dpop, sizeof dpop) == 0);
    cr_expect(verifies(&embedded, SIGNATURE_ES256));
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "htm"), "POST");
    cr_expect_str_eq(text_of(&claims, "htu"), "https://localhost:8443/a/b");
    cr_expect_str_eq(text_of(&claims, "nonce"), "n-1");
    uint8_t digest[32];
    char ath[43];
    sha256(SPAN_LITERAL("a.b.c"), digest);
    base64url_encode(span_make(digest, 32), ath);
    cr_expect(span_equal(json_member(&claims, 0, "ath")->text, span_make(ath, 43)));
    cr_expect(strlen(text_of(&claims, "jti")) == 22);
    int64_t age_s = time(NULL) - number_of(&claims, "iat");
    cr_expect(age_s >= 0 && age_s < 10);
    json_parser_free(parser);
    parser = NULL;
}

Test(proof, every_algorithm_and_both_names_of_ed25519)
{
    static const struct {
        const char *alg;
        enum signature_algorithm algorithm;
    } cases[] = {{"EdDSA", SIGNATURE_EDDSA}, {"Ed25519", SIGNATURE_EDDSA},
                 {"ES384", SIGNATURE_ES384}, {"ES512", SIGNATURE_ES512},
                 {"PS256", SIGNATURE_PS256}, {"RS256", SIGNATURE_RS256}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RUN(command_demo_authority, &result, "demo-authority", demo, "--force", "--dpop-alg",
            cases[i].alg);
        cr_assert(result.exit_code == 0, "%s", result.error);
        RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--alg",
            cases[i].alg);
        take_apart("");
        header = parse(span_make(header_copy, jws.header.size));
        cr_expect_str_eq(text_of(&header, "alg"), cases[i].alg);
        struct public_key dpop = public_of("dpop-a.key");
        cr_expect(verifies(&dpop, cases[i].algorithm), "%s", cases[i].alg);
    }
    json_parser_free(parser);
    parser = NULL;
}

Test(proof, every_one_is_fresh_unless_told_otherwise)
{
    make_demo();
    char first[32768];
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/");
    snprintf(first, sizeof first, "%s", result.out);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/");
    cr_expect(strcmp(first, result.out) != 0);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--jti", "mine",
        "--iat", "-65s");
    take_apart("");
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "jti"), "mine");
    cr_expect(json_member(&claims, 0, "ath") == NULL && json_member(&claims, 0, "nonce") == NULL);
    int64_t age_s = time(NULL) - number_of(&claims, "iat");
    cr_expect(age_s >= 65 && age_s < 75);
    json_parser_free(parser);
    parser = NULL;
}

Test(proof, tells_what_is_wrong)
{
    make_demo();
    RUN(command_proof, &result, "proof", "--url", "https://a/");
    cr_expect(result.exit_code == 2 && strstr(result.error, "whose key") != NULL);
    RUN(command_proof, &result, "proof", "--dir", demo);
    cr_expect(result.exit_code == 2 && strstr(result.error, "--url") != NULL);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--iat", "now");
    cr_expect(result.exit_code == 2 && strstr(result.error, "--iat") != NULL);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--alg", "none");
    cr_expect(result.exit_code == 1 && strstr(result.error, "no algorithm 'none'") != NULL);
    RUN(command_proof, &result, "proof", "--dir", "/nonexistent", "--url", "https://a/");
    cr_expect(result.exit_code == 1);
    RUN(command_proof, &result, "proof", "--help");
    cr_expect(result.exit_code == 0 && strstr(result.out, "--nonce NONCE") != NULL);
}
