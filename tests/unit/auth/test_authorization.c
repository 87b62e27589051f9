#include "auth/authorization.h"
#include "base/bytes.h"

#include <criterion/criterion.h>

static enum status parse(const char *text, enum auth_scheme *scheme, struct span *token)
{
    return authorization_parse(span_from_string(text), scheme, token);
}

static void expect_token(const char *text, enum auth_scheme wanted, const char *wanted_token)
{
    enum auth_scheme scheme = AUTH_SCHEME_NONE;
    struct span token = {NULL, 0};
    cr_assert_eq(parse(text, &scheme, &token), STATUS_OK, "%s", text);
    cr_expect_eq(scheme, wanted, "%s", text);
    cr_expect(span_equal_string(token, wanted_token), "%s", text);
}

static void expect_status(const char *text, enum status wanted)
{
    enum auth_scheme scheme = AUTH_SCHEME_NONE;
    struct span token = {NULL, 0};
    cr_expect_eq(parse(text, &scheme, &token), wanted, "\"%s\"", text);
    cr_expect_eq(scheme, AUTH_SCHEME_NONE, "nothing is set on failure");
}

Test(authorization, scheme_in_any_case_and_any_run_of_spaces)
{
    expect_token("DPoP abc", AUTH_SCHEME_DPOP, "abc");
    expect_token("dpop abc", AUTH_SCHEME_DPOP, "abc");
    expect_token("DPOP     abc", AUTH_SCHEME_DPOP, "abc");
    expect_token("Bearer abc", AUTH_SCHEME_BEARER, "abc");
    expect_token("bEARER a", AUTH_SCHEME_BEARER, "a");
}

Test(authorization, token68_with_all_its_bytes)
{
    expect_token("DPoP azAZ09-._~+/==", AUTH_SCHEME_DPOP, "azAZ09-._~+/==");
}

Test(authorization, other_schemes_are_not_ours_whatever_follows)
{
    expect_status("Basic YTpi", STATUS_UNSUPPORTED);
    expect_status("Digest username=\"a\", realm=\"b\"", STATUS_UNSUPPORTED);
    expect_status("Negotiate", STATUS_UNSUPPORTED);
    expect_status("DPoPx a", STATUS_UNSUPPORTED);
    expect_status("xDPoP a", STATUS_UNSUPPORTED);
    expect_status("D!#$%&'*+-.^_`|~PoP a", STATUS_UNSUPPORTED);
}

Test(authorization, malformed)
{
    static const char *const texts[] = {
        "",           " ",          " DPoP a",          "DPoP",          "DPoP ",
        "DPoP\ta",    "DPoP \ta",   "DPoP,a",           "DPoP=a",        "DPoP a ",
        "DPoP a b",   "DPoP a,b",   "DPoP a, Bearer b", "DPoP ===",      "DPoP a=b",
        "DPoP a\x7f", "DPoP \"a\"", "DPoP a;b",         "DPoP \xc3\xa4", "\"DPoP\" a",
        "Bearer",     "DPoP:a",     "(DPoP) a",         "DPoP\va",       "Bearer a\r\n b",
        "\x80 a"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        expect_status(texts[i], STATUS_MALFORMED);
    }
}

Test(authorization, a_nul_ends_nothing)
{
    enum auth_scheme scheme;
    struct span token;
    cr_expect_eq(authorization_parse(SPAN_LITERAL("DPoP a\0b"), &scheme, &token), STATUS_MALFORMED);
    cr_expect_eq(authorization_parse(SPAN_LITERAL("DPoP\0 a"), &scheme, &token), STATUS_MALFORMED);
    cr_expect_eq(authorization_parse(SPAN_LITERAL("\0"), &scheme, &token), STATUS_MALFORMED);
}

/* Sixteen bytes are looked at together: each byte, in each place of a step and of what is left. */
Test(authorization, every_byte_at_every_place_of_a_long_token)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 40; place++) {
            char text[5 + 40] = "DPoP ";
            memset(text + 5, 'a', 40);
            text[5 + place] = (char)byte;
            enum auth_scheme scheme = AUTH_SCHEME_NONE;
            struct span token = {NULL, 0};
            enum status status = authorization_parse(span_make(text, sizeof text), &scheme, &token);
            bool good = byte_is((uint8_t)byte, BYTE_TOKEN68);
            bool space_before = byte == ' ' && place == 0;
            bool padding_behind = byte == '=' && place == 39;
            cr_assert_eq(status == STATUS_OK, good || space_before || padding_behind, "%02x at %zu",
                         byte, place);
        }
    }
}
