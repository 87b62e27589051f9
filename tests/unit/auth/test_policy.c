#include "auth/policy_match.h"

#include <criterion/criterion.h>

#define S(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct span get_only[] = {S("GET"), S("HEAD")};
static const struct span two_scopes[] = {S("orders.read"), S("orders.write")};
static const struct span peers[] = {S("spiffe://td/a"), S("spiffe://td/b")};

static const struct auth_policy_rule rules[] = {
    {.path = S("/healthz"), .open = true},
    {.path = S("/admin/"), .deny = true},
    {.path = S("/orders/"), .methods = get_only, .methods_count = 2},
    {.path = S("/orders/"), .scopes = two_scopes, .scopes_count = 2},
    {.path = S("/peers/"), .spiffe_ids = peers, .spiffe_ids_count = 2},
};

static const struct auth_policy_rule *match(const char *method, const char *path)
{
    return policy_match(rules, sizeof(rules) / sizeof(*rules), span_from_string(method),
                        span_from_string(path));
}

Test(policy, a_path_without_a_slash_at_its_end_is_exact)
{
    cr_expect_eq(match("GET", "/healthz"), &rules[0]);
    cr_expect_null(match("GET", "/healthz/"));
    cr_expect_null(match("GET", "/healthzz"));
    cr_expect_null(match("GET", "/health"));
    cr_expect_null(match("GET", "/HEALTHZ"));
}

Test(policy, a_path_with_one_is_a_prefix)
{
    cr_expect_eq(match("GET", "/admin/"), &rules[1]);
    cr_expect_eq(match("PUT", "/admin/users/1"), &rules[1]);
    cr_expect_null(match("GET", "/admin"));
    cr_expect_null(match("GET", "/administrator"));
}

Test(policy, the_first_rule_that_matches_path_and_method_decides)
{
    cr_expect_eq(match("GET", "/orders/1"), &rules[2]);
    cr_expect_eq(match("HEAD", "/orders/1"), &rules[2]);
    cr_expect_eq(match("POST", "/orders/1"), &rules[3]);
    cr_expect_eq(match("get", "/orders/1"), &rules[3], "methods have a case");
}

Test(policy, an_empty_path_is_every_path)
{
    static const struct auth_policy_rule any[] = {{.deny = true}};
    cr_expect_eq(policy_match(any, 1, span_from_string("GET"), span_from_string("/x")), &any[0]);
    cr_expect_null(policy_match(any, 0, span_from_string("GET"), span_from_string("/x")));
    cr_expect_null(policy_match(NULL, 0, span_from_string("GET"), span_from_string("/x")));
}

Test(policy, peers_are_named_exactly)
{
    cr_expect(policy_admits_peer(&rules[4], span_from_string("spiffe://td/b")));
    cr_expect_not(policy_admits_peer(&rules[4], span_from_string("spiffe://td/c")));
    cr_expect_not(policy_admits_peer(&rules[4], span_from_string("spiffe://td/bb")));
    cr_expect_not(policy_admits_peer(&rules[4], span_make(NULL, 0)), "a peer without an ID");
    cr_expect(policy_admits_peer(&rules[0], span_make(NULL, 0)), "none named: any");
}

Test(policy, every_scope_of_the_rule_must_be_there_as_a_word)
{
    static const struct {
        const char *scope;
        bool suffices;
    } cases[] = {
        {"orders.read orders.write", true},
        {"orders.write orders.read", true},
        {"a orders.read b orders.write c", true},
        {"orders.read", false},
        {"orders.write", false},
        {"", false},
        {"orders.readorders.write", false},
        {"orders.read orders.writes", false},
        {"orders.read orders.WRITE", false},
        {"xorders.read orders.write", false},
        {"  orders.read   orders.write ", true},
        {"orders.read,orders.write", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cr_expect_eq(policy_scope_suffices(&rules[3], span_from_string(cases[i].scope)),
                     cases[i].suffices, "%s", cases[i].scope);
    }
    cr_expect(policy_scope_suffices(&rules[0], span_make(NULL, 0)));
}
