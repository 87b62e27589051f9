#include "proxy/grpc.h"

#include <criterion/criterion.h>

static struct http_head head;

static void with(const char *name, const char *value)
{
    http_head_reset(&head);
    http_head_add(&head, span_from_string("x-first"), span_from_string("1"));
    http_head_add(&head, span_from_string(name), span_from_string(value));
}

static bool is_grpc(const char *type)
{
    with("content-type", type);
    return grpc_is_request(&head);
}

Test(grpc, requests_are_told_by_their_type)
{
    cr_assert(is_grpc("application/grpc"));
    cr_assert(is_grpc("application/grpc+proto"));
    cr_assert(is_grpc("application/grpc;charset=utf-8"));
    cr_assert(is_grpc("Application/GRPC"));
    cr_assert_not(is_grpc("application/grpc-web"));
    cr_assert_not(is_grpc("application/grpc-web+proto"));
    cr_assert_not(is_grpc("application/grp"));
    cr_assert_not(is_grpc(""));
    with("x-type", "application/grpc");
    cr_assert_not(grpc_is_request(&head));
}

Test(grpc, statuses)
{
    const struct {
        uint16_t http;
        unsigned grpc;
    } cases[] = {{401, 16}, {403, 7},  {429, 8},  {413, 8},  {431, 8},  {502, 14},
                 {503, 14}, {504, 14}, {408, 14}, {421, 14}, {400, 13}, {417, 13}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(grpc_status_of(cases[i].http), cases[i].grpc, "%u", cases[i].http);
    }
}

Test(grpc, timeouts)
{
    const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1H", 3600000}, {"2M", 120000},
                {"3S", 3000},    {"4m", 4},
                {"5u", 1},       {"1001u", 2},
                {"6n", 1},       {"1000001n", 2},
                {"0m", 1},       {"99999999H", UINT64_C(359999996400000)}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ms = 0;
        with("grpc-timeout", good[i].text);
        cr_assert(grpc_timeout(&head, &ms), "%s", good[i].text);
        cr_assert_eq(ms, good[i].ms, "%s: %lu", good[i].text, ms);
    }
    const char *const bad[] = {"", "m", "1", "-1m", "1x", "100000000m", "1 m", "1mm"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t ms;
        with("grpc-timeout", bad[i]);
        cr_assert_not(grpc_timeout(&head, &ms), "%s", bad[i]);
    }
    uint64_t ms;
    with("x", "1m");
    cr_assert_not(grpc_timeout(&head, &ms));
}
