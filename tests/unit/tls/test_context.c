#include "tls/context.h"

#include "tls/demo.h"
#include "unit/tls/driver.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

static struct world world;

static void set_up(void)
{
    world_open(&world);
}

static void tear_down(void)
{
    world_close(&world);
}

TestSuite(context, .init = set_up, .fini = tear_down);

static void expect_error(const struct tls_options *options, const char *path, const char *words)
{
    char error[512] = "";
    struct tls_context *context = (struct tls_context *)&world;
    cr_expect(tls_context_new(options, &context, error, sizeof error) != STATUS_OK);
    cr_expect(context == NULL);
    cr_expect(strstr(error, path) != NULL && strstr(error, words) != NULL, "%s", error);
}

Test(context, knows_its_certificate)
{
    struct span names[4];
    bool wildcard = true;
    cr_expect(tls_context_dns_names(world.context, names, 4, &wildcard) == 2);
    cr_expect(span_equal_string(names[0], "localhost"));
    cr_expect(span_equal_string(names[1], "orders.example.com"));
    cr_expect(!wildcard);
    cr_expect(tls_context_dns_names(world.context, names, 1, &wildcard) == 1);
    int64_t left_s = tls_context_certificate_expiry(world.context) - world.now.wall_s;
    cr_expect(left_s > 86400 - 60 && left_s <= 86400, "%lld", (long long)left_s);
    left_s = tls_context_client_ca_expiry(world.context) - world.now.wall_s;
    cr_expect(left_s > 86400 - 60 && left_s <= 86400);
    cr_expect(!tls_context_is_demo(world.context));
    cr_expect(tls_context_generation(world.context) == 1);
    cr_expect(strncmp(tls_library_version(), "BoringSSL (API ", 15) == 0);
}

Test(context, tells_wildcard_names)
{
    static const struct test_san sans[] = {{GEN_DNS, "*.example.com"}, {0, NULL}};
    struct test_certificate_options options = {.issuer = &world.ca, .sans = sans};
    struct test_certificate server = test_certificate_make(&options);
    free(test_write_certificates(world.folder, "tls.crt", (X509 *[]){server.x509, NULL}));
    free(test_write_key(world.folder, "tls.key", server.key));
    struct tls_options tls = world_options(&world);
    world_reload(&world, &tls);
    struct span names[4];
    bool wildcard = false;
    cr_expect(tls_context_dns_names(world.context, names, 4, &wildcard) == 0 && wildcard);
    test_certificate_free(&server);
}

Test(context, names_the_file_that_is_missing)
{
    struct tls_options options = world_options(&world);
    options.certificate_path = "/nonexistent/tls.crt";
    expect_error(&options, "/nonexistent/tls.crt", "cannot be opened");
    options = world_options(&world);
    options.private_key_path = "/nonexistent/tls.key";
    expect_error(&options, "/nonexistent/tls.key", "cannot be opened");
    options = world_options(&world);
    options.client_ca_path = "/nonexistent/ca.crt";
    expect_error(&options, "/nonexistent/ca.crt", "cannot be opened");
    options = world_options(&world);
    options.client_crl_path = "/nonexistent/ca.crl";
    expect_error(&options, "/nonexistent/ca.crl", "cannot be opened");
    options = world_options(&world);
    options.certificate_path = world.folder;
    expect_error(&options, world.folder, "cannot be");
}

Test(context, tells_what_is_in_the_wrong_file)
{
    struct tls_options options = world_options(&world);
    options.certificate_path = world.server_key_path;
    expect_error(&options, "tls.key", "holds no certificate");
    options = world_options(&world);
    options.private_key_path = world.server_path;
    expect_error(&options, "tls.crt", "holds no private key");
    options = world_options(&world);
    options.client_crl_path = world.ca_path;
    expect_error(&options, "ca.crt", "holds no CRL");
    options = world_options(&world);
    options.client_ca_path = world.server_path;
    expect_error(&options, "tls.crt", "is not a CA's");
    char *empty = test_write_text(world.folder, "empty", "");
    options = world_options(&world);
    options.client_ca_path = empty;
    expect_error(&options, "empty", "holds no certificate");
    free(empty);
}

Test(context, tells_what_is_damaged)
{
    char *path = test_write_text(world.folder, "bad.pem",
                                 "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    struct tls_options options = world_options(&world);
    options.client_ca_path = path;
    expect_error(&options, "bad.pem", "certificate number 1 is damaged");
    free(path);
    path = test_write_text(world.folder, "bad.pem",
                           "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n");
    options = world_options(&world);
    options.client_crl_path = path;
    expect_error(&options, "bad.pem", "CRL number 1 is damaged");
    free(path);
    path = test_write_text(world.folder, "bad.pem",
                           "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    options = world_options(&world);
    options.private_key_path = path;
    expect_error(&options, "bad.pem", "damaged or of an unknown kind");
    free(path);
}

Test(context, refuses_an_encrypted_key_without_asking)
{
    char path[512];
    snprintf(path, sizeof path, "%s/enc.key", world.folder);
    FILE *file = fopen(path, "wb");
    cr_assert(PEM_write_PrivateKey(file, world.server.key, EVP_aes_128_cbc(),
                                   (unsigned char *)"secret", 6, NULL, NULL));
    fclose(file);
    struct tls_options options = world_options(&world);
    options.private_key_path = path;
    expect_error(&options, "enc.key", "is encrypted");
}

Test(context, refuses_a_file_that_is_too_large)
{
    char *text = malloc(1024 * 1024 + 2);
    memset(text, 'a', 1024 * 1024 + 1);
    text[1024 * 1024 + 1] = '\0';
    char *path = test_write_text(world.folder, "large", text);
    struct tls_options options = world_options(&world);
    options.client_ca_path = path;
    expect_error(&options, "large", "larger than");
    free(path);
    free(text);
}

Test(context, refuses_a_key_of_another_certificate)
{
    char *path = test_write_key(world.folder, "other.key", world.client.key);
    struct tls_options options = world_options(&world);
    options.private_key_path = path;
    expect_error(&options, "other.key", "is not the key of the certificate");
    free(path);
}

Test(context, refuses_what_is_out_of_its_time)
{
    struct test_certificate_options expired = {
        .common_name = "x", .issuer = &world.ca, .from_s = -3600, .until_s = -10};
    struct test_certificate server = test_certificate_make(&expired);
    char *path = test_write_certificates(world.folder, "old.crt", (X509 *[]){server.x509, NULL});
    char *key_path = test_write_key(world.folder, "old.key", server.key);
    struct tls_options options = world_options(&world);
    options.certificate_path = path;
    options.private_key_path = key_path;
    expect_error(&options, "old.crt", "expired");
    test_certificate_free(&server);
    free(path);
    free(key_path);

    expired.from_s = 600;
    expired.until_s = 3600;
    server = test_certificate_make(&expired);
    path = test_write_certificates(world.folder, "new.crt", (X509 *[]){server.x509, NULL});
    key_path = test_write_key(world.folder, "new.key", server.key);
    options.certificate_path = path;
    options.private_key_path = key_path;
    expect_error(&options, "new.crt", "is not valid for another");
    test_certificate_free(&server);
    free(path);
    free(key_path);

    X509_CRL *crl = test_crl_make(&world.ca, NULL, -3600, -10);
    path = test_write_crl(world.folder, "old.crl", crl);
    options = world_options(&world);
    options.client_crl_path = path;
    expect_error(&options, "old.crl", "past its nextUpdate");
    X509_CRL_free(crl);
    free(path);
}

Test(context, an_old_CA_beside_a_current_one_is_fine_but_not_alone)
{
    struct test_certificate_options expired = {
        .common_name = "old CA", .is_ca = true, .from_s = -3600, .until_s = -10};
    struct test_certificate old = test_certificate_make(&expired);
    char *path = test_write_certificates(world.folder, "both.crt",
                                         (X509 *[]){old.x509, world.ca.x509, NULL});
    struct tls_options options = world_options(&world);
    options.client_ca_path = path;
    world_reload(&world, &options);
    cr_expect(tls_context_client_ca_expiry(world.context) < world.now.wall_s);
    free(path);
    path = test_write_certificates(world.folder, "old.crt", (X509 *[]){old.x509, NULL});
    options.client_ca_path = path;
    expect_error(&options, "old.crt", "expired");
    free(path);
    test_certificate_free(&old);
}

Test(context, recognises_the_demo_authority)
{
    struct test_certificate_options options = {.common_name = "demo", .is_ca = true};
    struct test_certificate ca = test_certificate_make(&options);
    cr_assert(demo_mark(ca.x509) == STATUS_OK);
    cr_assert(X509_sign(ca.x509, ca.key, EVP_sha256()));
    cr_expect(demo_is_marked(ca.x509) && !demo_is_marked(world.ca.x509));
    char *path = test_write_certificates(world.folder, "demo.crt",
                                         (X509 *[]){world.ca.x509, ca.x509, NULL});
    struct tls_options tls = world_options(&world);
    tls.client_ca_path = path;
    world_reload(&world, &tls);
    cr_expect(tls_context_is_demo(world.context));
    free(path);
    test_certificate_free(&ca);
}

Test(context, sends_its_whole_chain)
{
    struct test_certificate_options options = {.common_name = "intermediate",
                                               .issuer = &world.ca,
                                               .is_ca = true,
                                               .key_usage = "critical,keyCertSign"};
    struct test_certificate intermediate = test_certificate_make(&options);
    struct test_certificate server = test_server_make(&intermediate);
    free(test_write_certificates(world.folder, "tls.crt",
                                 (X509 *[]){server.x509, intermediate.x509, NULL}));
    free(test_write_key(world.folder, "tls.key", server.key));
    struct tls_options tls = world_options(&world);
    world_reload(&world, &tls);
    struct pair pair;
    pair_open(&pair, &world, 4096, 0, 100000);
    cr_expect(pair_handshake(&pair) == STATUS_OK);
    cr_expect(sk_CRYPTO_BUFFER_num(SSL_get0_peer_certificates(pair.client)) == 2);
    pair_close(&pair);
    test_certificate_free(&server);
    test_certificate_free(&intermediate);
}
