#include "app/bench_target.h"

#include <criterion/criterion.h>

#include <netinet/in.h>

static struct bench_target target;
static char error[512];

static unsigned port(void)
{
    return ntohs(((struct sockaddr_in *)&target.address)->sin_port);
}

Test(bench_target, a_url_is_taken_apart)
{
    cr_assert_eq(
        bench_target_read("https://LOCALHOST:8443/a/%7Eb?x=1", NULL, &target, error, sizeof error),
        STATUS_OK, "%s", error);
    cr_assert_str_eq(target.host, "localhost");
    cr_assert_str_eq(target.authority, "localhost:8443");
    cr_assert_str_eq(target.path, "/a/~b?x=1");
    cr_assert_str_eq(target.url, "https://localhost:8443/a/~b");
    cr_assert_str_eq(target.origin, "https://localhost:8443");
    cr_assert_eq(port(), 8443);
}

Test(bench_target, the_default_port_is_443_and_in_no_name)
{
    cr_assert_eq(bench_target_read("https://127.0.0.1", NULL, &target, error, sizeof error),
                 STATUS_OK, "%s", error);
    cr_assert_str_eq(target.authority, "127.0.0.1");
    cr_assert_str_eq(target.path, "/");
    cr_assert_eq(port(), 443);
}

Test(bench_target, an_ipv6_host_loses_its_brackets_only_as_a_name)
{
    cr_assert_eq(bench_target_read("https://[::1]:9443/", NULL, &target, error, sizeof error),
                 STATUS_OK, "%s", error);
    cr_assert_str_eq(target.host, "::1");
    cr_assert_str_eq(target.authority, "[::1]:9443");
    cr_assert_eq(target.address.ss_family, AF_INET6);
}

Test(bench_target, connecting_elsewhere_changes_the_address_alone)
{
    cr_assert_eq(bench_target_read("https://orders.example.com/", "127.0.0.1:7", &target, error,
                                   sizeof error),
                 STATUS_OK, "%s", error);
    cr_assert_str_eq(target.host, "orders.example.com");
    cr_assert_eq(port(), 7);
}

Test(bench_target, what_cannot_be_asked_is_refused)
{
    static const char *const wrong[] = {"http://localhost/", "localhost", "https://", "",
                                        "https://a b/"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_neq(bench_target_read(wrong[i], NULL, &target, error, sizeof error), STATUS_OK,
                      "%s", wrong[i]);
    }
    cr_assert_neq(bench_target_read("https://localhost/", ":1", &target, error, sizeof error),
                  STATUS_OK);
}
