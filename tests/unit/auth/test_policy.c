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
    const struct auth_policy_rule *rule = &rules[0];
    cr_expect(policy_match(rules, sizeof(rules) / sizeof(*rules), span_from_string(method),
                           span_from_string(path), &rule),
              "%s", path);
    return rule;
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
    cr_expect_eq(match("get", "/orders/1"), &rules[2], "to some services it is GET");
    cr_expect_eq(match("GETS", "/orders/1"), &rules[3]);
}

/* Extended CONNECT: a service that speaks HTTP/1.1 gets a GET. */
Test(policy, a_websockets_connect_is_what_its_get_is)
{
    static const struct span connect_only[] = {S("CONNECT")}, post_only[] = {S("POST")};
    static const struct auth_policy_rule more[] = {
        {.path = S("/a/"), .methods = get_only, .methods_count = 2, .deny = true},
        {.path = S("/b/"), .methods = connect_only, .methods_count = 1, .deny = true},
        {.path = S("/b/"), .methods = get_only, .methods_count = 2},
        {.methods = post_only, .methods_count = 1},
    };
    static const struct {
        const char *method, *path;
        const struct auth_policy_rule *rule;
    } cases[] = {
        {"CONNECT", "/a/x", &more[0]}, {"GET", "/a/x", &more[0]}, {"CONNECT", "/b/x", &more[1]},
        {"GET", "/b/x", &more[2]},     {"CONNECT", "/c", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct auth_policy_rule *rule = NULL;
        cr_expect(policy_match(more, 4, span_from_string(cases[i].method),
                               span_from_string(cases[i].path), &rule));
        cr_expect_eq(rule, cases[i].rule, "%s %s", cases[i].method, cases[i].path);
    }
}

Test(policy, an_empty_path_is_every_path)
{
    static const struct auth_policy_rule any[] = {{.deny = true}};
    static const char *const paths[] = {"/x", "//x;y%2F"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const struct auth_policy_rule *rule = NULL;
        struct span path = span_from_string(paths[i]);
        cr_expect(policy_match(any, 1, span_from_string("GET"), path, &rule));
        cr_expect_eq(rule, &any[0]);
        cr_expect(policy_match(any, 0, span_from_string("GET"), path, &rule));
        cr_expect_null(rule);
        cr_expect(policy_match(NULL, 0, span_from_string("GET"), path, &rule));
        cr_expect_null(rule);
    }
}

/* What a rule says must not depend on who reads the path behind us. */
Test(policy, a_path_that_services_read_differently_has_a_rule_only_if_all_give_it_that_one)
{
    static const struct {
        const char *path;
        const struct auth_policy_rule *rule; /* as it stands */
        bool one;
    } cases[] = {
        /* another spelling of a denied prefix */
        {"//admin/x", NULL, false},
        {"///admin/x", NULL, false},
        {"/admin;v=1/x", NULL, false},
        {"/admin;/", NULL, false},
        {"/admin%3Bv=1/x", NULL, false},
        {"/admin%2Fx", NULL, false},
        {"/admin%5Cx", NULL, false},
        {"/%2Fadmin/x", NULL, false},
        {"/;/admin/x", NULL, false},
        {"/;a=b;c=d//;/admin;e/x", NULL, false},
        /* of an open one */
        {"/healthz;x", NULL, false},
        {"//healthz", NULL, false},
        {"/healthz%3B", NULL, false},
        /* out of a prefix nothing leads but dots, which are gone before */
        {"/admin//x", &rules[1], true},
        {"/admin/;v=1/x", &rules[1], true},
        {"/admin/%2F%2Fx;y", &rules[1], true},
        {"/orders/a%3Ab", &rules[2], true},
        /* an exact path is not the same with a slash, however it is spelled */
        {"/healthz//", NULL, true},
        {"/healthz/;x", NULL, true},
        {"/healthzz;x", NULL, true},
        {"/heal;thz", NULL, true},
        {"/;", NULL, true},
        {"/x//healthz", NULL, true},
        {"/x;/healthz", NULL, true},
        {"/%2541dmin/x", NULL, true},
        {"/admi%C3%B1/x", NULL, true},
        {"/%", NULL, true},
        {"/%2", NULL, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct auth_policy_rule *rule = &rules[4];
        bool one = policy_match(rules, sizeof(rules) / sizeof(*rules), span_from_string("GET"),
                                span_from_string(cases[i].path), &rule);
        cr_expect_eq(one, cases[i].one, "%s", cases[i].path);
        cr_expect_eq(rule, cases[i].rule, "%s", cases[i].path);
    }
}

Test(policy, a_byte_with_two_spellings_is_seen_under_both)
{
    static const struct auth_policy_rule verbs[] = {
        {.path = S("/v1/x:cancel"), .deny = true},
        {.path = S("/v1/"), .open = true},
    };
    const struct auth_policy_rule *rule = NULL;
    cr_expect(
        policy_match(verbs, 2, span_from_string("POST"), span_from_string("/v1/x:cancel"), &rule));
    cr_expect_eq(rule, &verbs[0]);
    cr_expect_not(policy_match(verbs, 2, span_from_string("POST"),
                               span_from_string("/v1/x%3Acancel"), &rule));
    cr_expect_eq(rule, &verbs[1]);
    cr_expect(
        policy_match(verbs, 2, span_from_string("POST"), span_from_string("/v1/x%3Aget"), &rule));
    cr_expect_eq(rule, &verbs[1]);
}

Test(policy, plain_paths)
{
    static const char *const plain[] = {"/",       "/a",       "/a/",    "/a/b.c~d_e-f",
                                        "/a%20b/", "/a:b@c/d", "/%C3%B1"};
    static const char *const others[] = {"//",    "/a//b", "/a/;",    "/;",      "/a;b/c", "/a%2Fb",
                                         "/a%5C", "/a%3B", "/a%3Ab",  "/%40",    "/a%24b", "/a%26",
                                         "/a//",  "/a;",   "/a%2F/b", "/a/%5Cb", "/%2F"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        cr_expect(policy_path_is_plain(span_from_string(plain[i])), "%s", plain[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        cr_expect_not(policy_path_is_plain(span_from_string(others[i])), "%s", others[i]);
    }
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
