#include "app/public_origins.h"

#include "unit/tls/driver.h"

#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world world;
static struct config config;
static struct span *origins;
static size_t count;
static char *text;
static char error[256];

static void set_up(void)
{
    world_open(&world);
}

static void tear_down(void)
{
    free(origins);
    free(text);
    world_close(&world);
}

TestSuite(public_origins, .init = set_up, .fini = tear_down);

static void listen_at(size_t index, sa_family_t family, uint16_t port)
{
    struct config_address *address = &config.listen[index];
    memset(address, 0, sizeof *address);
    if (family == AF_INET6) {
        *(struct sockaddr_in6 *)&address->address = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                                                          .sin6_port = htons(port)};
    } else {
        *(struct sockaddr_in *)&address->address = (struct sockaddr_in){.sin_family = AF_INET,
                                                                        .sin_port = htons(port)};
    }
    config.listen_count = index + 1;
}

/* The gate's own certificate holds these names. */
static void certificate_for(const struct test_san *sans)
{
    struct test_certificate_options options = {.issuer = &world.ca, .sans = sans};
    struct test_certificate server = test_certificate_make(&options);
    free(test_write_certificates(world.folder, "tls.crt", (X509 *[]){server.x509, NULL}));
    free(test_write_key(world.folder, "tls.key", server.key));
    test_certificate_free(&server);
    struct tls_options options_now = world_options(&world);
    world_reload(&world, &options_now);
}

static enum status read_origins(void)
{
    return public_origins_from_certificate(world.context, &config, &origins, &count, &text, error,
                                           sizeof error);
}

static void expect_origins(const char *const *expected)
{
    cr_assert_eq(read_origins(), STATUS_OK, "%s", error);
    size_t i = 0;
    for (; expected[i] != NULL; i++) {
        cr_assert_lt(i, count, "%s is missing", expected[i]);
        cr_expect(span_equal_string(origins[i], expected[i]), "%.*s, not %s", SPAN_ARG(origins[i]),
                  expected[i]);
    }
    cr_expect_eq(count, i);
}

Test(public_origins, each_name_alone_and_with_each_port)
{
    listen_at(0, AF_INET, 8443);
    listen_at(1, AF_INET6, 9443);
    expect_origins((const char *const[]){"https://localhost", "https://localhost:8443",
                                         "https://localhost:9443", "https://orders.example.com",
                                         "https://orders.example.com:8443",
                                         "https://orders.example.com:9443", NULL});
}

Test(public_origins, the_port_of_https_is_not_written)
{
    listen_at(0, AF_INET6, 443);
    expect_origins((const char *const[]){"https://localhost", "https://orders.example.com", NULL});
}

/* RFC 3986 section 3.2.2: a host's case does not matter; htu is compared in lower case. */
Test(public_origins, are_in_lower_case)
{
    certificate_for((const struct test_san[]){{GEN_DNS, "Orders.EXAMPLE.com"}, {0, NULL}});
    listen_at(0, AF_INET, 443);
    expect_origins((const char *const[]){"https://orders.example.com", NULL});
}

Test(public_origins, a_name_that_no_client_can_connect_to_is_left_out)
{
    char name[255];
    memset(name, 'a', sizeof name - 1);
    for (size_t i = 63; i < sizeof name - 1; i += 64) {
        name[i] = '.';
    }
    name[sizeof name - 1] = '\0'; /* 254 characters */
    certificate_for(
        (const struct test_san[]){{GEN_DNS, name}, {GEN_DNS, "short.example"}, {0, NULL}});
    listen_at(0, AF_INET, 443);
    expect_origins((const char *const[]){"https://short.example", NULL});
}

Test(public_origins, what_would_be_a_guess_is_refused)
{
    listen_at(0, AF_INET, 8443);
    certificate_for((const struct test_san[]){
        {GEN_DNS, "a.example.com"}, {GEN_DNS, "*.example.com"}, {0, NULL}});
    cr_expect_eq(read_origins(), STATUS_UNSUPPORTED);
    cr_expect(strstr(error, "wildcard") != NULL, "%s", error);
    certificate_for((const struct test_san[]){{GEN_URI, "spiffe://example.com/a"}, {0, NULL}});
    cr_expect_eq(read_origins(), STATUS_UNSUPPORTED);
    cr_expect(strstr(error, "no DNS name") != NULL, "%s", error);
    cr_expect_null(origins);
    cr_expect_null(text);
}
