#include "tls/spiffe.h"

#include "tls/peer.h"

#include <criterion/criterion.h>

static bool valid(const char *text)
{
    return spiffe_id_is_valid(span_from_string(text));
}

Test(spiffe, accepts_workload_ids)
{
    static const char *const good[] = {
        "spiffe://example.org/a",    "spiffe://example.org/ns/default/sa/orders",
        "spiffe://td_1.x-y/A.b_c-D", "spiffe://1.2.3.4/x",
        "spiffe://td/...",           "spiffe://td/.a/..b",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_expect(valid(good[i]), "%s", good[i]);
    }
}

Test(spiffe, refuses_everything_else)
{
    static const char *const bad[] = {
        "",
        "spiffe:",
        "spiffe:/",
        "spiffe://",
        "spiffe:///a",
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/a/",
        "spiffe://example.org//a",
        "spiffe://example.org/a//b",
        "spiffe://example.org/.",
        "spiffe://example.org/..",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/a/./b",
        "spiffe://Example.org/a",
        "spiffe://example.org:443/a",
        "spiffe://user@example.org/a",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe://example.org/a%2fb",
        "spiffe://example.org/a b",
        "spiffe://example.org/\xc3\xa4",
        "spiffe://ex%41mple.org/a",
        "SPIFFE://example.org/a",
        "Spiffe://example.org/a",
        "https://example.org/a",
        " spiffe://example.org/a",
        "spiffe://example.org/a\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect(!valid(bad[i]), "%s", bad[i]);
    }
    cr_expect(!spiffe_id_is_valid(span_make("spiffe://td/a\0b", 15)));
}

Test(spiffe, bounds_the_trust_domain_and_the_whole)
{
    char text[TLS_SPIFFE_ID_MAX + 2] = "spiffe://";
    memset(text + 9, 'a', 256);
    text[9 + 255] = '/';
    text[9 + 256] = 'p';
    cr_expect(spiffe_id_is_valid(span_make(text, 9 + 257)));
    text[9 + 255] = 'a';
    text[9 + 256] = '/';
    text[9 + 257] = 'p';
    cr_expect(!spiffe_id_is_valid(span_make(text, 9 + 258)));

    memset(text + 9, 'a', sizeof text - 9);
    text[9 + 4] = '/';
    cr_expect(spiffe_id_is_valid(span_make(text, TLS_SPIFFE_ID_MAX)));
    cr_expect(!spiffe_id_is_valid(span_make(text, TLS_SPIFFE_ID_MAX + 1)));
}

Test(spiffe, knows_its_scheme_in_any_case)
{
    cr_expect(spiffe_claims_scheme(SPAN_LITERAL("spiffe://td/a")));
    cr_expect(spiffe_claims_scheme(SPAN_LITERAL("SPIFFE:")));
    cr_expect(spiffe_claims_scheme(SPAN_LITERAL("sPiFfE:x")));
    cr_expect(!spiffe_claims_scheme(SPAN_LITERAL("spiffe")));
    cr_expect(!spiffe_claims_scheme(SPAN_LITERAL("https://spiffe:")));
    cr_expect(!spiffe_claims_scheme(SPAN_LITERAL("")));
}
