#include "base/uri.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- absolute URIs ---- */

struct uri_case {
    const char *text;
    enum status status;
    const char *scheme, *authority, *path, *query; /* query NULL: none */
};

static const struct uri_case uri_cases[] = {
    /* what RFC 3986 section 6.2.2 and 6.2.3 make equal */
    {"https://example.com/a", STATUS_OK, "https", "example.com", "/a", NULL},
    {"HTTPS://EXAMPLE.com/A", STATUS_OK, "https", "example.com", "/A", NULL},
    {"http://example.com", STATUS_OK, "http", "example.com", "/", NULL},
    {"http://example.com/", STATUS_OK, "http", "example.com", "/", NULL},
    {"http://example.com:/", STATUS_OK, "http", "example.com", "/", NULL},
    {"http://example.com:80/", STATUS_OK, "http", "example.com", "/", NULL},
    {"https://example.com:443/", STATUS_OK, "https", "example.com", "/", NULL},
    {"https://example.com:80/", STATUS_OK, "https", "example.com:80", "/", NULL},
    {"http://example.com:443/", STATUS_OK, "http", "example.com:443", "/", NULL},
    {"https://example.com:8443", STATUS_OK, "https", "example.com:8443", "/", NULL},
    {"https://example.com:65535/", STATUS_OK, "https", "example.com:65535", "/", NULL},
    {"https://ex%61mple.c%4Fm/", STATUS_OK, "https", "example.com", "/", NULL},
    {"https://a/%7Euser/%41%2d%5f", STATUS_OK, "https", "a", "/~user/A-_", NULL},
    {"https://a/%7e%c3%a9%2f%3f%25", STATUS_OK, "https", "a", "/~%C3%A9%2F%3F%25", NULL},
    {"https://a/./b/../b/%63/%7bfoo%7d", STATUS_OK, "https", "a", "/b/c/%7Bfoo%7D", NULL},
    /* dot segments, RFC 3986 section 5.4 */
    {"http://a/b/c/./g", STATUS_OK, "http", "a", "/b/c/g", NULL},
    {"http://a/b/c/../g", STATUS_OK, "http", "a", "/b/g", NULL},
    {"http://a/b/c/.", STATUS_OK, "http", "a", "/b/c/", NULL},
    {"http://a/b/c/..", STATUS_OK, "http", "a", "/b/", NULL},
    {"http://a/b/c/../../../../g", STATUS_OK, "http", "a", "/g", NULL},
    {"http://a/..", STATUS_OK, "http", "a", "/", NULL},
    {"http://a/../", STATUS_OK, "http", "a", "/", NULL},
    {"http://a/.", STATUS_OK, "http", "a", "/", NULL},
    {"http://a/b/c/g.", STATUS_OK, "http", "a", "/b/c/g.", NULL},
    {"http://a/b/c/.g", STATUS_OK, "http", "a", "/b/c/.g", NULL},
    {"http://a/b/c/g..", STATUS_OK, "http", "a", "/b/c/g..", NULL},
    {"http://a/b/c/..g", STATUS_OK, "http", "a", "/b/c/..g", NULL},
    {"http://a/b/...", STATUS_OK, "http", "a", "/b/...", NULL},
    {"http://a/b/c/g/./h", STATUS_OK, "http", "a", "/b/c/g/h", NULL},
    {"http://a/%2e%2e/%2E/x", STATUS_OK, "http", "a", "/x", NULL},
    {"http://a/b/.%2e/x", STATUS_OK, "http", "a", "/x", NULL},
    /* dot segments to those who decode or cut first: refused */
    {"http://a/b%2f../x", STATUS_MALFORMED},
    {"http://a/..%2fx", STATUS_MALFORMED},
    {"http://a/%2e%2E%2Fx/y", STATUS_MALFORMED},
    {"http://a/.%5cx", STATUS_MALFORMED},
    {"http://a/x%5C..", STATUS_MALFORMED},
    {"http://a/x%2f.%2fy", STATUS_MALFORMED},
    {"http://a/..;/x", STATUS_MALFORMED},
    {"http://a/.;a=b", STATUS_MALFORMED},
    {"http://a/..%3b/x", STATUS_MALFORMED},
    {"http://a/x%2f..;y", STATUS_MALFORMED},
    {"http://a/x%2f..;y/z", STATUS_MALFORMED},
    /* and what only looks like them */
    {"http://a/x%2f...", STATUS_OK, "http", "a", "/x%2F...", NULL},
    {"http://a/x%2f..y/.z%2f", STATUS_OK, "http", "a", "/x%2F..y/.z%2F", NULL},
    {"http://a/...;/..x;", STATUS_OK, "http", "a", "/...;/..x;", NULL},
    {"http://a/..%3ax", STATUS_OK, "http", "a", "/..%3Ax", NULL},
    {"http://a/..%3", STATUS_MALFORMED},
    {"http://a/x%2fy/../z", STATUS_OK, "http", "a", "/z", NULL},
    {"http://a/x%2fy/..", STATUS_OK, "http", "a", "/", NULL},
    {"http://a/;/x;..", STATUS_OK, "http", "a", "/;/x;..", NULL},
    /* what is not equal */
    {"https://a//b", STATUS_OK, "https", "a", "//b", NULL},
    {"https://a/b//../c", STATUS_OK, "https", "a", "/b/c", NULL},
    {"https://a/b/..//c", STATUS_OK, "https", "a", "//c", NULL},
    {"https://a/b/", STATUS_OK, "https", "a", "/b/", NULL},
    {"https://a/b;x=1,2:3@!$&'()*+", STATUS_OK, "https", "a", "/b;x=1,2:3@!$&'()*+", NULL},
    /* query and fragment */
    {"https://a?x=1", STATUS_OK, "https", "a", "/", "x=1"},
    {"https://a/?", STATUS_OK, "https", "a", "/", ""},
    {"https://a/b?x=%41%2f&y=[1]|{\"\\^`<>}/?", STATUS_OK, "https", "a", "/b",
     "x=%41%2f&y=[1]|{\"\\^`<>}/?"},
    {"https://a/b?x#y", STATUS_OK, "https", "a", "/b", "x"},
    {"https://a/b#", STATUS_OK, "https", "a", "/b", NULL},
    {"https://a#/x?y%41", STATUS_OK, "https", "a", "/", NULL},
    {"https://a/b?x?y", STATUS_OK, "https", "a", "/b", "x?y"},
    {"https://a/..?/../x", STATUS_OK, "https", "a", "/", "/../x"},
    /* hosts */
    {"https://127.0.0.1:8443/", STATUS_OK, "https", "127.0.0.1:8443", "/", NULL},
    {"https://[2001:DB8::1]/", STATUS_OK, "https", "[2001:db8::1]", "/", NULL},
    {"https://[::1]:443/", STATUS_OK, "https", "[::1]", "/", NULL},
    {"https://[::1]:8443/", STATUS_OK, "https", "[::1]:8443", "/", NULL},
    {"https://[::ffff:192.0.2.1]", STATUS_OK, "https", "[::ffff:192.0.2.1]", "/", NULL},
    {"https://a_b-c~d.e/", STATUS_OK, "https", "a_b-c~d.e", "/", NULL},
    {"https://x--1.example/", STATUS_OK, "https", "x--1.example", "/", NULL},
    /* refused: scheme */
    {"", STATUS_MALFORMED},
    {"https", STATUS_MALFORMED},
    {"https:", STATUS_MALFORMED},
    {"https:/a", STATUS_MALFORMED},
    {"https:a", STATUS_MALFORMED},
    {"https:/\\a", STATUS_MALFORMED},
    {"//a/b", STATUS_MALFORMED},
    {"/a/b", STATUS_MALFORMED},
    {"://a/b", STATUS_MALFORMED},
    {"ftp://a/b", STATUS_UNSUPPORTED},
    {"urn:a:b", STATUS_UNSUPPORTED},
    {"httpss://a", STATUS_UNSUPPORTED},
    {" https://a", STATUS_UNSUPPORTED},
    /* refused: authority */
    {"https://", STATUS_MALFORMED},
    {"https:///a", STATUS_MALFORMED},
    {"https://?x", STATUS_MALFORMED},
    {"https://:443/", STATUS_MALFORMED},
    {"https://user@a/", STATUS_MALFORMED},
    {"https://user:pass@a/", STATUS_MALFORMED},
    {"https://a@/", STATUS_MALFORMED},
    {"https://a%40b/", STATUS_MALFORMED},
    {"https://a.example./", STATUS_MALFORMED},
    {"https://a.example%2e/", STATUS_MALFORMED},
    {"https://a..b/", STATUS_MALFORMED},
    {"https://.a/", STATUS_MALFORMED},
    {"https://./", STATUS_MALFORMED},
    {"https://a,b/", STATUS_MALFORMED},
    {"https://a;b/", STATUS_MALFORMED},
    {"https://a b/", STATUS_MALFORMED},
    {"https://a\\b/", STATUS_MALFORMED},
    {"https://a%2fb/", STATUS_MALFORMED},
    {"https://a%00b/", STATUS_MALFORMED},
    {"https://a%2561/", STATUS_MALFORMED},
    {"https://a%6/", STATUS_MALFORMED},
    {"https://a%/", STATUS_MALFORMED},
    {"https://a%g1/", STATUS_MALFORMED},
    {"https://\xc3\xa9.example/", STATUS_MALFORMED},
    {"https://a:65536/", STATUS_MALFORMED},
    {"https://a:99999/", STATUS_MALFORMED},
    {"https://a:100000/", STATUS_MALFORMED},
    {"https://a:0/", STATUS_MALFORMED},
    {"https://a:0443/", STATUS_MALFORMED},
    {"https://a:+443/", STATUS_MALFORMED},
    {"https://a:44a/", STATUS_MALFORMED},
    {"https://a:443:443/", STATUS_MALFORMED},
    {"https://a: 443/", STATUS_MALFORMED},
    {"https://a:%34/", STATUS_MALFORMED},
    {"https://[::1/", STATUS_MALFORMED},
    {"https://::1/", STATUS_MALFORMED},
    {"https://[]/", STATUS_MALFORMED},
    {"https://[::1]a/", STATUS_MALFORMED},
    {"https://[::1]443/", STATUS_MALFORMED},
    {"https://[::g]/", STATUS_MALFORMED},
    {"https://[fe80::1%25eth0]/", STATUS_MALFORMED},
    {"https://[fe80::1%eth0]/", STATUS_MALFORMED},
    {"https://[v1.x]/", STATUS_MALFORMED},
    {"https://[1:2:3:4:5:6:7:8:9]/", STATUS_MALFORMED},
    {"https://[127.0.0.1]/", STATUS_MALFORMED},
    {"https://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/", STATUS_MALFORMED},
    /* refused: path, query, fragment */
    {"https://a/b c", STATUS_MALFORMED},
    {"https://a/b\tc", STATUS_MALFORMED},
    {"https://a/b\x7f", STATUS_MALFORMED},
    {"https://a/\xc3\xa9", STATUS_MALFORMED},
    {"https://a/b\\c", STATUS_MALFORMED},
    {"https://a/<b>", STATUS_MALFORMED},
    {"https://a/[b]", STATUS_MALFORMED},
    {"https://a/{b}", STATUS_MALFORMED},
    {"https://a/b|c", STATUS_MALFORMED},
    {"https://a/b^c", STATUS_MALFORMED},
    {"https://a/b`c", STATUS_MALFORMED},
    {"https://a/b\"c", STATUS_MALFORMED},
    {"https://a/%", STATUS_MALFORMED},
    {"https://a/%4", STATUS_MALFORMED},
    {"https://a/%4g", STATUS_MALFORMED},
    {"https://a/%g4", STATUS_MALFORMED},
    {"https://a/%-1", STATUS_MALFORMED},
    {"https://a/%@1", STATUS_MALFORMED},
    {"https://a/%00", STATUS_MALFORMED},
    {"https://a/b?%", STATUS_MALFORMED},
    {"https://a/b?x=100%", STATUS_MALFORMED},
    {"https://a/b?%zz", STATUS_MALFORMED},
    {"https://a/b?x y", STATUS_MALFORMED},
    {"https://a?x y", STATUS_MALFORMED},
    {"https://a/b?\x01", STATUS_MALFORMED},
    {"https://a/b?\xff", STATUS_MALFORMED},
    {"https://a/b#x#y", STATUS_MALFORMED},
    {"https://a/b#x y", STATUS_MALFORMED},
    {"https://a/b#%1", STATUS_MALFORMED},
};

/* Exactly as large as promised, so that a sanitizer sees a byte too many. */
static enum status normalise(const char *text, struct uri *uri, struct span_mut *out)
{
    size_t size = strlen(text);
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, text, size);
    *out = (struct span_mut){malloc(size + 2), size + 2};
    memset(uri, 0, sizeof *uri);
    enum status status = uri_normalise(span_make(copy, size), *out, uri);
    free(copy);
    return status;
}

Test(uri, normalises_or_refuses_absolute_uris)
{
    for (size_t i = 0; i < sizeof uri_cases / sizeof *uri_cases; i++) {
        const struct uri_case *c = &uri_cases[i];
        struct uri uri;
        struct span_mut out;
        enum status status = normalise(c->text, &uri, &out);
        cr_expect_eq(status, c->status, "%s: %s", c->text, status_name(status));
        if (status == STATUS_OK && c->status == STATUS_OK) {
            cr_expect(span_equal_string(uri.scheme, c->scheme), "%s: scheme %.*s", c->text,
                      SPAN_ARG(uri.scheme));
            cr_expect(span_equal_string(uri.authority, c->authority), "%s: authority %.*s", c->text,
                      SPAN_ARG(uri.authority));
            cr_expect(span_equal_string(uri.path, c->path), "%s: path %.*s", c->text,
                      SPAN_ARG(uri.path));
            cr_expect_eq(uri.has_query, c->query != NULL, "%s", c->text);
            cr_expect(span_equal_string(uri.query, c->query), "%s: query %.*s", c->text,
                      SPAN_ARG(uri.query));
        }
        free(out.data);
    }
}

Test(uri, normalising_again_changes_nothing)
{
    for (size_t i = 0; i < sizeof uri_cases / sizeof *uri_cases; i++) {
        struct uri uri, again;
        struct span_mut out, out_again;
        if (normalise(uri_cases[i].text, &uri, &out) == STATUS_OK) {
            char text[512];
            snprintf(text, sizeof text, "%.*s://%.*s%.*s%s%.*s", SPAN_ARG(uri.scheme),
                     SPAN_ARG(uri.authority), SPAN_ARG(uri.path), uri.has_query ? "?" : "",
                     SPAN_ARG(uri.query));
            cr_expect_eq(normalise(text, &again, &out_again), STATUS_OK, "%s", text);
            cr_expect(span_equal(uri.scheme, again.scheme) &&
                          span_equal(uri.authority, again.authority) &&
                          span_equal(uri.path, again.path) && span_equal(uri.query, again.query) &&
                          uri.has_query == again.has_query,
                      "%s", text);
            free(out_again.data);
        }
        free(out.data);
    }
}

Test(uri, a_nul_is_refused_everywhere)
{
    static const char text[] = "https://[::1]:8443/path/%41?query=1#fragment";
    uint8_t out[sizeof text + 2];
    for (size_t at = 0; at < sizeof text - 1; at++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[at] = '\0';
        struct uri uri;
        enum status status = uri_normalise(span_make(copy, sizeof text - 1),
                                           (struct span_mut){out, sizeof out}, &uri);
        cr_expect(status == STATUS_MALFORMED || status == STATUS_UNSUPPORTED, "at %zu", at);
    }
}

Test(uri, every_byte_of_a_path_is_decided)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-._~!$&'()*+,;=:@/?";
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t target[] = {'/', 'x', (uint8_t)byte, 'y'}, out[5];
        struct uri uri;
        enum status status = uri_normalise_target(span_make(target, sizeof target),
                                                  (struct span_mut){out, sizeof out}, &uri);
        bool expected = byte != 0 && strchr(allowed, (int)byte) != NULL;
        cr_expect_eq(status == STATUS_OK, expected, "byte %02x", byte);
    }
}

Test(uri, every_byte_of_a_query_is_decided)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t target[] = {'/', '?', (uint8_t)byte, 'y'}, out[5];
        struct uri uri;
        enum status status = uri_normalise_target(span_make(target, sizeof target),
                                                  (struct span_mut){out, sizeof out}, &uri);
        bool expected = byte > 0x20 && byte < 0x7f && byte != '#' && byte != '%';
        cr_expect_eq(status == STATUS_OK, expected, "byte %02x", byte);
    }
}

Test(uri, every_escape_is_decoded_kept_or_refused)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";
    for (unsigned byte = 0; byte < 256; byte++) {
        char target[8], expected[8];
        snprintf(target, sizeof target, "/x%%%02x", byte);
        if (byte != 0 && strchr(unreserved, (int)byte) != NULL) {
            snprintf(expected, sizeof expected, "/x%c", (char)byte);
        } else {
            snprintf(expected, sizeof expected, "/x%%%02X", byte);
        }
        uint8_t out[8];
        struct uri uri;
        enum status status = uri_normalise_target(span_from_string(target),
                                                  (struct span_mut){out, sizeof out}, &uri);
        cr_expect_eq(status == STATUS_OK, byte != 0, "%s", target);
        cr_expect(byte == 0 || span_equal_string(uri.path, expected), "%s", target);
    }
}

Test(uri, two_hosts_of_255_bytes_and_of_256)
{
    char text[8 + 256 + 1];
    memset(text, 'a', sizeof text);
    memcpy(text, "https://", 8);
    struct uri uri;
    struct span_mut out;
    text[8 + 255] = '\0';
    cr_expect_eq(normalise(text, &uri, &out), STATUS_OK);
    cr_expect_eq(uri.authority.size, 255);
    free(out.data);
    text[8 + 255] = 'a';
    text[8 + 256] = '\0';
    cr_expect_eq(normalise(text, &uri, &out), STATUS_MALFORMED);
    free(out.data);
}

Test(uri, output_too_small_is_said)
{
    uint8_t out[32];
    struct uri uri;
    struct span authority;
    struct span text = SPAN_LITERAL("https://example.com/a");
    cr_expect_eq(uri_normalise(text, (struct span_mut){out, text.size + 1}, &uri),
                 STATUS_TOO_LARGE);
    cr_expect_eq(uri_normalise(text, (struct span_mut){out, text.size + 2}, &uri), STATUS_OK);
    text = SPAN_LITERAL("/path?query");
    cr_expect_eq(uri_normalise_target(text, (struct span_mut){out, text.size}, &uri),
                 STATUS_TOO_LARGE);
    cr_expect_eq(uri_normalise_target(text, (struct span_mut){out, text.size + 1}, &uri),
                 STATUS_OK);
    text = SPAN_LITERAL("example.com");
    cr_expect_eq(uri_normalise_authority(text, SPAN_LITERAL("https"),
                                         (struct span_mut){out, text.size - 1}, &authority),
                 STATUS_TOO_LARGE);
    cr_expect_eq(uri_normalise_authority(text, SPAN_LITERAL("https"),
                                         (struct span_mut){out, text.size}, &authority),
                 STATUS_OK);
}

/* ---- authorities ---- */

struct authority_case {
    const char *text, *scheme, *expected; /* NULL: refused */
};

static const struct authority_case authority_cases[] = {
    {"Orders.Example.com", "https", "orders.example.com"},
    {"orders.example.com:443", "https", "orders.example.com"},
    {"orders.example.com:", "https", "orders.example.com"},
    {"orders.example.com:80", "https", "orders.example.com:80"},
    {"orders.example.com:80", "http", "orders.example.com"},
    {"orders.example.com:443", "h2c", "orders.example.com:443"},
    {"[::1]:8443", "https", "[::1]:8443"},
    {"[::1]:443", "https", "[::1]"},
    {"[FE80::A]", "https", "[fe80::a]"},
    {"", "https", NULL},
    {":443", "https", NULL},
    {"a, b", "https", NULL},
    {"a,b", "https", NULL},
    {"a b", "https", NULL},
    {"user@a", "https", NULL},
    {"a/b", "https", NULL},
    {"a?b", "https", NULL},
    {"a#b", "https", NULL},
    {"a.", "https", NULL},
    {"a.:443", "https", NULL},
    {"ex%61mple.com", "https", NULL},
    {"a:b", "https", NULL},
    {"a:443:1", "https", NULL},
    {"a:70000", "https", NULL},
    {"[::1", "https", NULL},
    {"[::1]x", "https", NULL},
    {"*.example.com", "https", NULL},
    {"\xe4.example", "https", NULL},
};

Test(uri, normalises_or_refuses_authorities)
{
    for (size_t i = 0; i < sizeof authority_cases / sizeof *authority_cases; i++) {
        const struct authority_case *c = &authority_cases[i];
        struct span text = span_from_string(c->text), authority = {NULL, 0};
        struct span_mut out = {malloc(text.size + 1), text.size};
        enum status status = uri_normalise_authority(text, span_from_string(c->scheme), out,
                                                     &authority);
        cr_expect_eq(status, c->expected != NULL ? STATUS_OK : STATUS_MALFORMED, "%s", c->text);
        cr_expect(span_equal_string(authority, c->expected), "%s: %.*s", c->text,
                  SPAN_ARG(authority));
        free(out.data);
    }
}

/* ---- request targets ---- */

struct target_case {
    const char *text, *path, *query; /* path NULL: refused; query NULL: none */
};

static const struct target_case target_cases[] = {
    {"/", "/", NULL},
    {"/a/b?c=d", "/a/b", "c=d"},
    {"/a/../b?", "/b", ""},
    {"//example.com/a", "//example.com/a", NULL},
    {"/%2e%2e/%2E%2e/etc/passwd", "/etc/passwd", NULL},
    {"/a%2fb", "/a%2Fb", NULL},
    {"/a/b/../../..//c/./?x=../y", "//c/", "x=../y"},
    {"", NULL, NULL},
    {"*", NULL, NULL},
    {"a/b", NULL, NULL},
    {"?x", NULL, NULL},
    {"https://a/b", NULL, NULL},
    {"/a#b", NULL, NULL},
    {"/a?b#c", NULL, NULL},
    {"/a b", NULL, NULL},
    {"/a?b c", NULL, NULL},
    {"/a\r\nb", NULL, NULL},
    {"/a\x80", NULL, NULL},
    {"/a?\x80", NULL, NULL},
    {"/a\\..\\b", NULL, NULL},
    {"/%u0041", NULL, NULL},
};

Test(uri, normalises_or_refuses_targets)
{
    for (size_t i = 0; i < sizeof target_cases / sizeof *target_cases; i++) {
        const struct target_case *c = &target_cases[i];
        struct span text = span_from_string(c->text);
        struct span_mut out = {malloc(text.size + 1), text.size + 1};
        struct uri uri = {.path = {NULL, 0}};
        enum status status = uri_normalise_target(text, out, &uri);
        cr_expect_eq(status, c->path != NULL ? STATUS_OK : STATUS_MALFORMED, "%s", c->text);
        if (status == STATUS_OK) {
            cr_expect(span_equal_string(uri.path, c->path), "%s: %.*s", c->text,
                      SPAN_ARG(uri.path));
            cr_expect_eq(uri.has_query, c->query != NULL, "%s", c->text);
            cr_expect(span_equal_string(uri.query, c->query), "%s", c->text);
            /* Contiguous, so that it can be forwarded as it is. */
            cr_expect_eq(uri.path.data, out.data);
            cr_expect_eq(uri.query.data, uri.path.data + uri.path.size + (uri.has_query ? 1 : 0));
        }
        free(out.data);
    }
}

Test(uri, many_dot_segments_cost_linear_time)
{
    /* 32 KiB of "/a" and as many "/..": quadratic would be 10^8 steps and more, and a timeout here.
     */
    enum { PAIRS = 1 << 20 };
    char *text = malloc(PAIRS * 5);
    for (size_t i = 0; i < PAIRS; i++) {
        memcpy(text + i * 2, "/a", 2);
        memcpy(text + PAIRS * 2 + i * 3, "/..", 3);
    }
    uint8_t *out = malloc(PAIRS * 5 + 1);
    struct uri uri;
    cr_assert_eq(uri_normalise_target(span_make(text, PAIRS * 5),
                                      (struct span_mut){out, PAIRS * 5 + 1}, &uri),
                 STATUS_OK);
    cr_assert(span_equal_string(uri.path, "/"));
    free(text);
    free(out);
}
