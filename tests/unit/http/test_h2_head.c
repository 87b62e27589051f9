#include "http/h2_head.h"
#include "support.h"

#include <criterion/criterion.h>

static const struct http_limits usual = {.head_bytes_max = 4096, .headers_max = 16};
static struct http_head head;
static struct h2_head builder;

enum { TEXT_BYTES = 4096 + 64 };

static uint8_t text[2 * TEXT_BYTES + 8];

struct pair {
    const char *name, *value;
};

#define GOOD                                                                                       \
    {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"},                         \
    {                                                                                              \
        ":path", "/"                                                                               \
    }

static void begin(void)
{
    h2_head_begin(&builder, &head, text, TEXT_BYTES);
}

static void field(const char *name, const char *value)
{
    h2_head_request_field(&builder, &usual, span_from_string(name), span_from_string(value));
}

static enum status read_request(const struct pair *pairs, bool end)
{
    begin();
    for (; pairs->name != NULL; pairs++) {
        field(pairs->name, pairs->value);
    }
    return h2_head_request_finish(&builder, &usual, end);
}

#define REQUEST(end, ...) read_request((const struct pair[]){__VA_ARGS__, {NULL, NULL}}, end)

static void expect_refused(enum status status, uint16_t code, const char *reason)
{
    cr_assert_neq(status, STATUS_OK, "%s", reason);
    cr_assert_eq(builder.refusal.status, code, "%u for %s", builder.refusal.status, reason);
    cr_assert_str_eq(builder.refusal.reason, reason);
}

static void expect_span(struct span span, const char *want)
{
    cr_assert(span_equal_string(span, want), "%.*s, not %s", SPAN_ARG(span), want);
}

Test(h2_head, a_good_request_is_what_http1_would_give)
{
    cr_assert_eq(REQUEST(true, {":method", "GET"}, {":scheme", "https"},
                         {":authority", "A.example:443"}, {":path", "/a/./b?q=1"},
                         {"authorization", "DPoP t"}, {"dpop", "p"}, {"x-a", "1"}),
                 STATUS_OK);
    expect_span(head.method, "GET");
    expect_span(head.uri.authority, "a.example");
    expect_span(head.uri.path, "/a/b");
    expect_span(head.uri.query, "q=1");
    expect_span(head.uri.scheme, "https");
    expect_span(head.authorization, "DPoP t");
    expect_span(head.dpop, "p");
    expect_span(head.target, "/a/./b?q=1");
    cr_assert_eq(head.minor_version, 1);
    cr_assert(head.keep_alive);
    cr_assert_eq(head.body, HTTP_BODY_NONE);
    cr_assert_eq(head.headers_count, 3);
    cr_assert_eq(head.authorization_count, 1);
}

Test(h2_head, the_body_is_what_length_and_end_say)
{
    cr_assert_eq(REQUEST(false, GOOD), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_CHUNKED);
    cr_assert_eq(REQUEST(false, GOOD, {"content-length", "7"}), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_LENGTH);
    cr_assert_eq(head.content_length, 7);
    cr_assert_eq(REQUEST(true, GOOD, {"content-length", "0"}), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_LENGTH);
    expect_refused(REQUEST(true, GOOD, {"content-length", "7"}), 400,
                   "Content-Length without content");
    expect_refused(REQUEST(false, GOOD, {"content-length", "7"}, {"content-length", "7"}), 400,
                   "repeated Content-Length");
    const char *const bad[] = {
        "", "-1", "+1", "01", "1,1", "0x1", "9223372036854775808", "99999999999999999999", "1 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_refused(REQUEST(false, GOOD, {"content-length", bad[i]}), 400,
                       "Content-Length is not a length");
    }
}

Test(h2_head, a_body_over_the_limit_is_413)
{
    struct http_limits small = {.head_bytes_max = 4096, .headers_max = 16, .body_bytes_max = 5};
    (void)REQUEST(false, GOOD, {"content-length", "5"});
    begin();
    const struct pair pairs[] = {GOOD, {"content-length", "6"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        field(pairs[i].name, pairs[i].value);
    }
    expect_refused(h2_head_request_finish(&builder, &small, false), 413, "body over the limit");
}

Test(h2_head, names_and_values_are_judged)
{
    const struct {
        const char *name, *value, *reason;
    } cases[] = {
        {"", "1", "empty field name"},
        {"X", "1", "field name in upper case"},
        {"xA", "1", "field name in upper case"},
        {"x y", "1", "field name is no token"},
        {"x:", "1", "field name is no token"},
        {"x\r\n", "1", "field name is no token"},
        {"x\x80", "1", "field name is no token"},
        {"x", " 1", "white space around a field value"},
        {"x", "1\t", "white space around a field value"},
        {"x", "a\rb", "control character in a field value"},
        {"x", "a\nb", "control character in a field value"},
        {"x", "a\x7f", "control character in a field value"},
        {"connection", "close", "connection-specific field"},
        {"keep-alive", "1", "connection-specific field"},
        {"proxy-connection", "close", "connection-specific field"},
        {"transfer-encoding", "chunked", "connection-specific field"},
        {"upgrade", "websocket", "connection-specific field"},
        {"te", "gzip", "te other than trailers"},
        {"te", "trailers, deflate", "te other than trailers"},
        {"content_length", "0", "a known header under another spelling"},
        {":late", "1", "pseudo-header field behind a regular one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_refused(REQUEST(true, GOOD, {"x-a", "1"}, {cases[i].name, cases[i].value}), 400,
                       cases[i].reason);
    }
    begin();
    h2_head_request_field(&builder, &usual, SPAN_LITERAL("x"), SPAN_LITERAL("a\0b"));
    cr_assert_eq(builder.refusal.status, 400);
    cr_assert_eq(REQUEST(true, GOOD, {"te", "Trailers"}, {"x", "a\tb"}, {"x-empty", ""}),
                 STATUS_OK);
    cr_assert(builder.te_trailers);
}

Test(h2_head, pseudo_header_fields_are_exactly_the_four)
{
    expect_refused(REQUEST(true, GOOD, {":method", "GET"}), 400, "repeated pseudo-header field");
    expect_refused(REQUEST(true, GOOD, {":path", "/"}), 400, "repeated pseudo-header field");
    expect_refused(REQUEST(true, GOOD, {":status", "200"}), 400, "unknown pseudo-header field");
    expect_refused(REQUEST(true, GOOD, {":", ""}), 400, "unknown pseudo-header field");
    expect_refused(REQUEST(true, {":method", "GET\r"}), 400, "control character in a field value");
    expect_refused(REQUEST(true, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}),
                   400, "method is no token");
    expect_refused(REQUEST(true, {":method", "G T"}, {":scheme", "https"},
                           {":authority", "a.example"}, {":path", "/"}),
                   400, "method is no token");
    expect_refused(REQUEST(true, {":method", "GET"}, {":authority", "a.example"}, {":path", "/"}),
                   400, "pseudo-header field missing");
    expect_refused(
        REQUEST(true, {":method", "GET"}, {":authority", "a.example"}, {":scheme", "https"}), 400,
        "pseudo-header field missing");
    expect_refused(REQUEST(true, {":method", "GET"}, {":scheme", "https"}, {":path", "/"}), 400,
                   "no authority");
    expect_refused(REQUEST(true, {":method", "CONNECT"}, {":authority", "a.example"}), 400,
                   "CONNECT is not served");
}

static void expect_target(const char *scheme, const char *path, const char *reason)
{
    enum status status = REQUEST(true, {":method", "GET"}, {":scheme", scheme},
                                 {":authority", "a.example"}, {":path", path});
    expect_refused(status, 400, reason);
}

Test(h2_head, the_target_is_an_https_path)
{
    expect_target("http", "/", "scheme is not https");
    expect_target("HTTPS", "/", "scheme is not https");
    expect_target("", "/", "scheme is not https");
    expect_target("https", "", "path does not begin with a slash");
    expect_target("https", "*", "path does not begin with a slash");
    expect_target("https", "https://a.example/", "path does not begin with a slash");
    expect_target("https", "/a b", "path is malformed");
    expect_target("https", "/a#b", "path is malformed");
    expect_target("https", "/%00", "path is malformed");
    expect_target("https", "/a%2f..%2fb", "path is malformed");
}

Test(h2_head, authority_and_host_must_agree)
{
    cr_assert_eq(REQUEST(true, GOOD, {"host", "A.EXAMPLE:443"}), STATUS_OK);
    expect_span(head.uri.authority, "a.example");
    expect_refused(REQUEST(true, GOOD, {"host", "b.example"}), 400, "Host is not the authority");
    expect_refused(REQUEST(true, GOOD, {"host", "a.example:444"}), 400,
                   "Host is not the authority");
    expect_refused(REQUEST(true, GOOD, {"host", ""}), 400, "Host is not the authority");
    expect_refused(REQUEST(true, GOOD, {"host", "a.example"}, {"host", "a.example"}), 400,
                   "repeated Host");
    cr_assert_eq(REQUEST(true, {":method", "GET"}, {":scheme", "https"}, {":path", "/"},
                         {"host", "b.example"}),
                 STATUS_OK);
    expect_span(head.uri.authority, "b.example");
    expect_refused(REQUEST(true, {":method", "GET"}, {":scheme", "https"}, {":path", "/"},
                           {":authority", "u@a.example"}),
                   400, "authority is malformed");
    expect_refused(
        REQUEST(true, {":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", ""}),
        400, "authority is malformed");
}

Test(h2_head, expectations)
{
    cr_assert_eq(REQUEST(false, GOOD, {"expect", "100-Continue"}), STATUS_OK);
    cr_assert(head.expect_continue);
    cr_assert_eq(REQUEST(true, GOOD, {"expect", "100-continue"}), STATUS_OK);
    cr_assert_not(head.expect_continue);
    expect_refused(REQUEST(false, GOOD, {"expect", "200-maybe"}), 417,
                   "expectation other than 100-continue");
    expect_refused(REQUEST(false, GOOD, {"expect", "100-continue"}, {"expect", "100-continue"}),
                   417, "expectation other than 100-continue");
}

Test(h2_head, crumbs_of_a_cookie_are_joined_in_order)
{
    cr_assert_eq(REQUEST(true, GOOD, {"cookie", "a=1"}, {"x-a", "1"}, {"cookie", ""},
                         {"cookie", "b=2"}, {"x-b", "2"}),
                 STATUS_OK);
    cr_assert_eq(head.headers_count, 3);
    expect_span(head.headers[0].value, "a=1; ; b=2");
    expect_span(head.headers[1].name, "x-a");
    expect_span(head.headers[2].name, "x-b");
    cr_assert_eq(REQUEST(true, GOOD, {"cookie", "a=1"}), STATUS_OK);
    expect_span(head.headers[0].value, "a=1");
}

/* Path, authority, Host and cookies all at their worst fit the second half of the text. */
Test(h2_head, a_head_at_the_limit_fits)
{
    static const struct http_limits wide = {.head_bytes_max = 4096, .headers_max = 256};
    begin();
    const struct pair pairs[] = {GOOD};
    for (size_t i = 0; i < 3; i++) {
        h2_head_request_field(&builder, &wide, span_from_string(pairs[i].name),
                              span_from_string(pairs[i].value));
    }
    char path[600] = "/";
    memset(path + 1, 'p', sizeof path - 2);
    path[sizeof path - 1] = '\0';
    h2_head_request_field(&builder, &wide, SPAN_LITERAL(":path"), span_from_string(path));
    h2_head_request_field(&builder, &wide, SPAN_LITERAL("host"), SPAN_LITERAL("a.example"));
    while (builder.refusal.status == 0) {
        cr_assert(h2_head_has_room(&builder, SPAN_LITERAL("cookie"), SPAN_LITERAL("c")));
        h2_head_request_field(&builder, &wide, SPAN_LITERAL("cookie"), SPAN_LITERAL("c"));
    }
    builder.refusal = (struct http_refusal){0};
    cr_assert_eq(h2_head_request_finish(&builder, &wide, true), STATUS_OK);
    const struct span cookie = head.headers[1].value;
    cr_assert(cookie.size > 100);
    cr_assert_leq((size_t)(cookie.data + cookie.size - text), sizeof text);
    cr_assert_eq(head.headers_count, 2);
}

/* The same with the authority in Host alone: a text without a byte left is joined within its second
 * half. */
Test(h2_head, a_full_head_with_host_alone_fits)
{
    static const struct http_limits wide = {.head_bytes_max = 2 * TEXT_BYTES, .headers_max = 16};
    enum { HOST_BYTES = 251, PATH_BYTES = TEXT_BYTES - 8 - (HOST_BYTES + 8) - 2 * (10 + 6) };
    char host[HOST_BYTES + 1], path[PATH_BYTES + 1] = "/";
    for (size_t i = 0; i < HOST_BYTES; i++) {
        host[i] = i % 63 == 62 ? '.' : 'a';
    }
    host[HOST_BYTES] = '\0';
    memset(path + 1, 'p', PATH_BYTES - 1);
    path[PATH_BYTES] = '\0';
    /* Where it ends the sanitizer, or the guard, sees what is written behind it. */
    enum { ALL_BYTES = 2 * TEXT_BYTES + 8, GUARD_BYTES = 512 };
    uint8_t *own = malloc(ALL_BYTES + GUARD_BYTES);
    cr_assert_not_null(own);
    memset(own, 0xa5, ALL_BYTES + GUARD_BYTES);
    h2_head_begin(&builder, &head, own, TEXT_BYTES);
    const struct pair pairs[] = {{":method", "GET"}, {":scheme", "https"}, {":path", path},
                                 {"host", host},     {"cookie", "cookie"}, {"cookie", "crumbs"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        h2_head_request_field(&builder, &wide, span_from_string(pairs[i].name),
                              span_from_string(pairs[i].value));
    }
    cr_assert_eq(builder.text_size, TEXT_BYTES, "%u", builder.text_size);
    cr_assert_eq(h2_head_request_finish(&builder, &wide, true), STATUS_OK);
    expect_span(head.headers[1].value, "cookie; crumbs");
    expect_span(head.uri.authority, host);
    expect_span(head.uri.path, path);
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        cr_assert_eq(own[ALL_BYTES + i], 0xa5, "%zu bytes behind the end", i);
    }
    free(own);
}

Test(h2_head, limits_refuse_and_go_on_counting)
{
    static const struct http_limits small = {.head_bytes_max = 200, .headers_max = 2};
    char wide[300];
    memset(wide, 'w', sizeof wide);
    begin();
    h2_head_request_field(&builder, &small, SPAN_LITERAL(":path"), span_make(wide, sizeof wide));
    cr_assert_eq(builder.refusal.status, 414);
    begin();
    h2_head_request_field(&builder, &small, SPAN_LITERAL("x"), span_make(wide, sizeof wide));
    cr_assert_eq(builder.refusal.status, 431);
    cr_assert_not(builder.refusal.too_many_headers);
    begin();
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(builder.refusal.status, 0);
        h2_head_request_field(&builder, &small, SPAN_LITERAL("x"), SPAN_LITERAL("1"));
    }
    cr_assert_eq(builder.refusal.status, 431);
    cr_assert(builder.refusal.too_many_headers);
    h2_head_request_field(&builder, &small, SPAN_LITERAL("x"), SPAN_LITERAL("1"));
    cr_assert_eq(builder.fields, 4);
    cr_assert_eq(builder.list_bytes, 4 * 34);
    cr_assert_eq(head.headers_count, 2);
    h2_head_request_field(&builder, &small, SPAN_LITERAL("x"), span_make(wide, UINT32_MAX - 40));
    cr_assert_eq(builder.list_bytes, UINT32_MAX);
}

Test(h2_head, moving_keeps_every_span)
{
    static uint8_t larger[2 * 8192 + 8];
    const struct pair pairs[] = {GOOD,
                                 {"host", "a.example"},
                                 {"content-length", "3"},
                                 {"authorization", "DPoP t"},
                                 {"dpop", "p"}};
    begin();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        field(pairs[i].name, pairs[i].value);
    }
    h2_head_move(&builder, larger, 8192);
    memset(text, 0xee, sizeof text);
    cr_assert_eq(h2_head_request_finish(&builder, &usual, false), STATUS_OK);
    expect_span(head.method, "GET");
    expect_span(head.uri.authority, "a.example");
    expect_span(head.authorization, "DPoP t");
    expect_span(head.dpop, "p");
    expect_span(head.headers[1].name, "content-length");
    expect_span(head.headers[1].value, "3");
    cr_assert_eq(head.content_length, 3);
}

Test(h2_head, trailers_lose_what_must_not_be_merged)
{
    begin();
    const struct pair pairs[] = {{"x-late", "1"},
                                 {"x-popgate-subject", "admin"},
                                 {"x_popgate_subject", "admin"},
                                 {"authorization", "DPoP t"},
                                 {"dpop", "p"},
                                 {"content-length", "7"},
                                 {"host", "evil"},
                                 {"grpc-status", "0"},
                                 {"set-cookie", "a=1"},
                                 {"content-type", "text/html"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        h2_head_trailer_field(&builder, &usual, span_from_string(pairs[i].name),
                              span_from_string(pairs[i].value));
    }
    cr_assert_eq(builder.refusal.status, 0);
    for (size_t i = 0; i < head.headers_count; i++) {
        bool kept = i == 0 || i == 7;
        cr_assert_eq(head.headers[i].dropped, !kept, "%s", pairs[i].name);
    }
    h2_head_trailer_field(&builder, &usual, SPAN_LITERAL(":path"), SPAN_LITERAL("/"));
    cr_assert_eq(builder.refusal.status, 400);
    begin();
    h2_head_trailer_field(&builder, &usual, SPAN_LITERAL("connection"), SPAN_LITERAL("close"));
    cr_assert_eq(builder.refusal.status, 400);
}

static enum status read_response(const struct pair *pairs, const char *method, bool end)
{
    begin();
    for (; pairs->name != NULL; pairs++) {
        h2_head_response_field(&builder, &usual, span_from_string(pairs->name),
                               span_from_string(pairs->value));
    }
    return h2_head_response_finish(&builder, span_from_string(method), end);
}

#define RESPONSE(method, end, ...)                                                                 \
    read_response((const struct pair[]){__VA_ARGS__, {NULL, NULL}}, method, end)

Test(h2_head, responses)
{
    cr_assert_eq(RESPONSE("GET", false, {":status", "200"}, {"content-length", "5"}), STATUS_OK);
    cr_assert_eq(head.status, 200);
    cr_assert_eq(head.body, HTTP_BODY_LENGTH);
    cr_assert_eq(RESPONSE("GET", false, {":status", "599"}), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_CHUNKED);
    cr_assert_eq(RESPONSE("GET", true, {":status", "200"}), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_LENGTH);
    cr_assert_eq(head.content_length, 0);
    cr_assert_eq(RESPONSE("HEAD", true, {":status", "200"}, {"content-length", "5"}), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_NONE);
    cr_assert_eq(RESPONSE("GET", true, {":status", "304"}, {"content-length", "5"}), STATUS_OK);
    cr_assert_eq(RESPONSE("GET", false, {":status", "103"}), STATUS_OK);
    const char *const codes[] = {"", "99", "600", "2000", "2x0", "20"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        expect_refused(RESPONSE("GET", true, {":status", codes[i]}), 502,
                       "status is not 100 to 599");
    }
    expect_refused(RESPONSE("GET", true, {"x", "1"}), 502, "status is not 100 to 599");
    expect_refused(RESPONSE("GET", false, {":status", "101"}), 502, "101 in HTTP/2");
    expect_refused(RESPONSE("GET", true, {":status", "100"}), 502,
                   "a body, or an end, where the status allows none");
    expect_refused(RESPONSE("GET", true, {":status", "204"}, {"content-length", "1"}), 502,
                   "a body, or an end, where the status allows none");
    expect_refused(RESPONSE("GET", true, {":status", "200"}, {"content-length", "1"}), 502,
                   "Content-Length without content");
    expect_refused(RESPONSE("GET", true, {":status", "200"}, {":method", "GET"}), 400,
                   "unknown pseudo-header field");
    expect_refused(RESPONSE("GET", true, {":status", "200"}, {"connection", "close"}), 400,
                   "connection-specific field");
}

#define CONNECT                                                                                    \
    {":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"},                      \
        {":authority", "a.example"},                                                               \
    {                                                                                              \
        ":path", "/ws?a"                                                                           \
    }

Test(h2_head, extended_connect_asks_for_a_websocket)
{
    cr_assert_eq(REQUEST(false, CONNECT, {"sec-websocket-version", "13"}), STATUS_OK);
    expect_span(head.method, "CONNECT");
    expect_span(head.uri.path, "/ws");
    expect_span(head.uri.query, "a");
    expect_span(head.uri.scheme, "https");
    cr_assert(head.extended_connect && head.upgrade_websocket);
    cr_assert_eq(head.body, HTTP_BODY_NONE);
    cr_assert_eq(REQUEST(false, CONNECT, {"expect", "100-continue"}), STATUS_OK);
    cr_assert_not(head.expect_continue);
    cr_assert_eq(REQUEST(false, {":method", "CONNECT"}, {":protocol", "WebSocket"},
                         {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}),
                 STATUS_OK);
    cr_assert_eq(REQUEST(false, GOOD), STATUS_OK);
    cr_assert_not(head.extended_connect || head.upgrade_websocket);
}

Test(h2_head, a_connect_that_is_none_of_ours_is_refused)
{
    expect_refused(REQUEST(true, CONNECT), 400, "a tunnel that ends where it begins");
    expect_refused(REQUEST(false, CONNECT, {"content-length", "0"}), 400,
                   "Content-Length of a tunnel");
    expect_refused(REQUEST(false, CONNECT, {"content-length", "x"}), 400,
                   "Content-Length of a tunnel");
    expect_refused(REQUEST(false, CONNECT, {"upgrade", "websocket"}), 400,
                   "connection-specific field");
    expect_refused(REQUEST(false, CONNECT, {"x", "1"}, {":protocol", "websocket"}), 400,
                   "pseudo-header field behind a regular one");
    expect_refused(REQUEST(false, CONNECT, {":protocol", "websocket"}), 400,
                   "repeated pseudo-header field");
    expect_refused(REQUEST(false, GOOD, {":protocol", "websocket"}), 400,
                   "protocol without CONNECT");
    expect_refused(REQUEST(false, {":method", "CONNECT"}, {":authority", "a.example"}), 400,
                   "CONNECT is not served");
    const char *const others[] = {"", "connect-udp", "websocket2", "websocke", "h2c"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        expect_refused(REQUEST(false, {":method", "CONNECT"}, {":protocol", others[i]},
                               {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}),
                       501, "a protocol other than websocket");
    }
    expect_refused(REQUEST(false, {":method", "CONNECT"}, {":protocol", "websocket"},
                           {":authority", "a.example"}, {":path", "/"}),
                   400, "pseudo-header field missing");
    expect_refused(REQUEST(false, {":method", "CONNECT"}, {":protocol", "websocket"},
                           {":scheme", "https"}, {":authority", "a.example"}),
                   400, "pseudo-header field missing");
}

static enum status read_connect_answer(const char *status, const char *length)
{
    begin();
    h2_head_response_field(&builder, &usual, SPAN_LITERAL(":status"), span_from_string(status));
    if (length != NULL) {
        h2_head_response_field(&builder, &usual, SPAN_LITERAL("content-length"),
                               span_from_string(length));
    }
    return h2_head_response_finish(&builder, SPAN_LITERAL("CONNECT"), false);
}

Test(h2_head, a_2xx_to_connect_is_a_tunnel_whatever_length_it_names)
{
    const char *const opening[] = {"200", "204", "299"};
    for (size_t i = 0; i < sizeof opening / sizeof *opening; i++) {
        cr_assert_eq(read_connect_answer(opening[i], "5"), STATUS_OK);
        cr_assert_eq(head.body, HTTP_BODY_UNTIL_CLOSE);
    }
    cr_assert_eq(read_connect_answer("403", "5"), STATUS_OK);
    cr_assert_eq(head.body, HTTP_BODY_LENGTH);
    cr_assert_neq(read_connect_answer("101", NULL), STATUS_OK);
    cr_assert_neq(read_connect_answer("2000", NULL), STATUS_OK);
}

Test(h2_head, one_field_over_its_limit_is_431)
{
    struct http_limits small = {.head_bytes_max = 4096, .headers_max = 16, .header_bytes_max = 10};
    begin();
    h2_head_request_field(&builder, &small, SPAN_LITERAL(":path"),
                          SPAN_LITERAL("/longer/than/ten"));
    h2_head_request_field(&builder, &small, SPAN_LITERAL("abcd"), SPAN_LITERAL("1234"));
    cr_assert_eq(builder.refusal.status, 0);
    h2_head_request_field(&builder, &small, SPAN_LITERAL("abcd"), SPAN_LITERAL("12345"));
    cr_assert_eq(builder.refusal.status, 431);
    cr_assert(builder.refusal.header_too_long && !builder.refusal.too_many_headers);
}
