#include "proxy/origin.h"

#include <criterion/criterion.h>

static const struct span origins[] = {
    SPAN_LITERAL("https://orders.example.com"),
    SPAN_LITERAL("https://orders.example.com:8443"),
    SPAN_LITERAL("https://[::1]:8443"),
    SPAN_LITERAL("http://plain.example.com"),
};

static bool is_public(const char *authority)
{
    struct auth_settings settings = {.public_origins = origins, .public_origins_count = 4};
    return origin_is_public(&settings, span_from_string(authority));
}

static bool matches(const char *authority, const char *name)
{
    return origin_matches_server_name(span_from_string(authority), span_from_string(name));
}

Test(origin, only_what_is_listed)
{
    cr_assert(is_public("orders.example.com"));
    cr_assert(is_public("orders.example.com:8443"));
    cr_assert(is_public("[::1]:8443"));
    cr_assert_not(is_public("orders.example.com:444"));
    cr_assert_not(is_public("[::1]"));
    cr_assert_not(is_public("example.com"));
    cr_assert_not(is_public("orders.example.com.evil"));
    cr_assert_not(is_public("orders.example.co"));
    cr_assert_not(is_public(""));
}

Test(origin, a_plain_http_origin_is_none_of_ours)
{
    cr_assert_not(is_public("plain.example.com"));
    cr_assert_not(is_public("//plain.example.com"));
}

Test(origin, without_any_origin_nothing_is_public)
{
    struct auth_settings settings = {0};
    cr_assert_not(origin_is_public(&settings, SPAN_LITERAL("orders.example.com")));
}

Test(origin, the_host_is_the_server_name_whatever_the_port)
{
    cr_assert(matches("orders.example.com", "orders.example.com"));
    cr_assert(matches("orders.example.com:8443", "orders.example.com"));
    cr_assert(matches("orders.example.com", "Orders.Example.COM"));
    cr_assert_not(matches("orders.example.com", "other.example.com"));
    cr_assert_not(matches("orders.example.com", "orders.example.com:8443"));
    cr_assert_not(matches("orders.example.com", "orders.example.co"));
    cr_assert_not(matches("[::1]:8443", "orders.example.com"));
    cr_assert_not(matches("", "orders.example.com"));
}

Test(origin, a_client_that_names_no_server_is_judged_by_the_origins_alone)
{
    cr_assert(matches("orders.example.com", ""));
    cr_assert(matches("[::1]:8443", ""));
}
