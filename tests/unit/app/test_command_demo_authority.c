#include "app/commands.h"

#include "app/config.h"
#include "jose/jwks.h"
#include "jose/jws_sign.h"
#include "unit/app/demo_folder.h"
#include "unit/tls/driver.h"

#include <sys/stat.h>

TestSuite(demo_authority, .init = set_up, .fini = tear_down);

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
