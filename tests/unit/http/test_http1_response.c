#include "support.h"

#include <criterion/criterion.h>

static const struct http_limits usual = {.head_bytes_max = 4096, .headers_max = 16};

struct response_case {
    const char *name;
    const char *bytes;
    size_t size;
    const char *reason; /* NULL: accepted */
    enum http_body_kind body;
    uint64_t length;
    bool keep_alive;
};

#define B(text)      text, sizeof(text) - 1
#define LINE(line)   B(line "\r\nContent-Length: 1\r\n\r\n")
#define FIELD(field) B("HTTP/1.1 200 OK\r\n" field "\r\n\r\n")

static const char version[] = "status line does not begin with HTTP/1.0 or HTTP/1.1";
static const char code[] = "status is not 100 to 599";
static const char length[] = "Content-Length is not a length";
static const char no_body[] = "a body where the status allows none";

static const struct response_case cases[] = {
    {"plain", LINE("HTTP/1.1 200 OK"), NULL, HTTP_BODY_LENGTH, 1, true},
    {"no reason", LINE("HTTP/1.1 200 "), NULL, HTTP_BODY_LENGTH, 1, true},
    {"no second space", LINE("HTTP/1.1 200"), NULL, HTTP_BODY_LENGTH, 1, true},
    {"a long reason", LINE("HTTP/1.1 404 Not \t Found \xe4"), NULL, HTTP_BODY_LENGTH, 1, true},
    {"1.0", LINE("HTTP/1.0 200 OK"), NULL, HTTP_BODY_LENGTH, 1, false},
    {"1.0 keep-alive", B("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n"),
     NULL, HTTP_BODY_LENGTH, 1, true},
    {"1.1 close", FIELD("Connection: close\r\nContent-Length: 1"), NULL, HTTP_BODY_LENGTH, 1,
     false},
    {"chunked", FIELD("Transfer-Encoding: chunked"), NULL, HTTP_BODY_CHUNKED, 0, true},
    {"until close", B("HTTP/1.1 200 OK\r\n\r\n"), NULL, HTTP_BODY_UNTIL_CLOSE, 0, false},
    {"until close, 1.0", B("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), NULL,
     HTTP_BODY_UNTIL_CLOSE, 0, false},
    {"100", B("HTTP/1.1 100 Continue\r\n\r\n"), NULL, HTTP_BODY_NONE, 0, true},
    {"103", B("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), NULL, HTTP_BODY_NONE, 0, true},
    {"204", B("HTTP/1.1 204 No Content\r\n\r\n"), NULL, HTTP_BODY_NONE, 0, true},
    {"204 with CL 0", B("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), NULL,
     HTTP_BODY_NONE, 0, true},
    {"304", B("HTTP/1.1 304 Not Modified\r\n\r\n"), NULL, HTTP_BODY_NONE, 0, true},
    {"304 with CL", B("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), NULL,
     HTTP_BODY_NONE, 9, true},
    {"304 with TE", B("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"), NULL,
     HTTP_BODY_NONE, 0, true},
    {"599", LINE("HTTP/1.1 599 x"), NULL, HTTP_BODY_LENGTH, 1, true},
    {"other spellings pass", FIELD("Content_Length: 5\r\nContent-Length: 1"), NULL,
     HTTP_BODY_LENGTH, 1, true},
    {"Connection may name anything", FIELD("Connection: content-length\r\nContent-Length: 1"), NULL,
     HTTP_BODY_LENGTH, 1, true},
    /* illegal */
    {"2.0", LINE("HTTP/2.0 200 OK"), version},
    {"1.2", LINE("HTTP/1.2 200 OK"), version},
    {"0.9", B("<html>\r\n"), version},
    {"lower case", LINE("http/1.1 200 OK"), version},
    {"01.1", LINE("HTTP/01.1 200 OK"), version},
    {"1.10", LINE("HTTP/1.10 200 OK"), version},
    {"ICY", LINE("ICY 200 OK OK"), version},
    {"empty line first", LINE("\r\nHTTP/1.1 200 OK"), version},
    {"leading space", LINE(" HTTP/1.1 200 OK"), version},
    {"no code", LINE("HTTP/1.1"), version},
    {"tab", LINE("HTTP/1.1\t200 OK"), version},
    {"two spaces", LINE("HTTP/1.1  200 OK"), code},
    {"two digits", LINE("HTTP/1.1 20 OK"), code},
    {"four digits", LINE("HTTP/1.1 2000 OK"), code},
    {"code then letter", LINE("HTTP/1.1 200OK"), code},
    {"code then tab", LINE("HTTP/1.1 200\tOK"), code},
    {"letters", LINE("HTTP/1.1 2x0 OK"), code},
    {"letters last", LINE("HTTP/1.1 20x OK"), code},
    {"below the digits", LINE("HTTP/1.1 2/0 OK"), code},
    {"below the digits last", LINE("HTTP/1.1 20/ OK"), code},
    {"000", LINE("HTTP/1.1 000 OK"), code},
    {"099", LINE("HTTP/1.1 099 OK"), code},
    {"600", LINE("HTTP/1.1 600 OK"), code},
    {"999", LINE("HTTP/1.1 999 OK"), code},
    {"-1", LINE("HTTP/1.1 -10 OK"), code},
    {"two CL", FIELD("Content-Length: 1\r\nContent-Length: 2"), "repeated Content-Length"},
    {"two CL, equal", FIELD("Content-Length: 1\r\nContent-Length: 1"), "repeated Content-Length"},
    {"CL list", FIELD("Content-Length: 1, 1"), length},
    {"CL empty", FIELD("Content-Length:"), length},
    {"CL +1", FIELD("Content-Length: +1"), length},
    {"CL 2^63", FIELD("Content-Length: 9223372036854775808"), length},
    {"CL with TE", FIELD("Content-Length: 1\r\nTransfer-Encoding: chunked"),
     "Content-Length with Transfer-Encoding"},
    {"two TE", FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
     "repeated Transfer-Encoding"},
    {"TE unknown", FIELD("Transfer-Encoding: gzip, chunked"), "unknown transfer coding"},
    {"TE in 1.0", B("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
     "Transfer-Encoding in HTTP/1.0"},
    {"204 with a body", B("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), no_body},
    {"204 with TE", B("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), no_body},
    {"100 with a body", B("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"), no_body},
    {"103 with TE", B("HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n"), no_body},
    {"101", B("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
     "101 that nobody asked for"},
    {"folded", FIELD("X: a\r\n b"), "folded header line"},
    {"bare LF", B("HTTP/1.1 200 OK\nX: a\n\n"), "bare LF"},
    {"bare CR", FIELD("X: a\rb"), "bare CR"},
    {"NUL", FIELD("X: a\0b"), "control character in the head"},
    {"space before colon", FIELD("X : a"), "white space in or behind a header name"},
    {"no colon", FIELD("X"), "header line without a colon"},
    {"Connection no list", FIELD("Connection: a b\r\nContent-Length: 1"),
     "Connection is not a list of tokens"},
    {"seventeen headers",
     FIELD("a:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\na:9\r\na:10\r\n"
           "a:11\r\na:12\r\na:13\r\na:14\r\na:15\r\na:16\r\na:17"),
     "too many headers"},
};

static void parse_in_steps(struct span bytes, const struct http_limits *limits, const char *method,
                           bool upgrade, size_t split, size_t step, struct verdict *verdict)
{
    struct http1_scan scan = {0};
    for (size_t size = split; size < bytes.size; size += step) {
        response_step(&scan, span_first(bytes, size), limits, span_from_string(method), upgrade,
                      verdict);
        if (verdict->status != STATUS_AGAIN) {
            return;
        }
    }
    response_step(&scan, bytes, limits, span_from_string(method), upgrade, verdict);
}

static void check_splits(const char *name, struct span bytes, const struct http_limits *limits,
                         const struct verdict *whole)
{
    static struct verdict split;
    parse_in_steps(bytes, limits, "GET", false, 0, 1, &split);
    cr_expect(same_verdict(whole, &split), "%s byte by byte: %s %s", name,
              status_name(split.status), split.reason);
    for (size_t at = 0; at < bytes.size; at++) {
        parse_in_steps(bytes, limits, "GET", false, at, bytes.size, &split);
        cr_expect(same_verdict(whole, &split), "%s split at %zu: %s %s", name, at,
                  status_name(split.status), split.reason);
    }
}

static struct http_head parsed;

static enum status parse(struct span bytes, const char *method, bool upgrade, const char **reason)
{
    struct http1_scan scan = {0};
    size_t head_size = 0;
    *reason = NULL;
    enum status status = http1_parse_response(&scan, bytes, &usual, span_from_string(method),
                                              upgrade, &parsed, &head_size, reason);
    cr_expect(status != STATUS_OK || head_size == bytes.size);
    return status;
}

Test(http1_response, accepts_and_refuses_at_every_split)
{
    static struct verdict whole;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct response_case *c = &cases[i];
        struct span bytes = span_make(c->bytes, c->size);
        const char *reason;
        enum status status = parse(bytes, "GET", false, &reason);
        if (c->reason == NULL) {
            cr_expect_eq(status, STATUS_OK, "%s: %s", c->name, reason);
            cr_expect_eq(parsed.body, c->body, "%s", c->name);
            cr_expect_eq(parsed.content_length, c->length, "%s", c->name);
            cr_expect_eq(parsed.keep_alive, c->keep_alive, "%s", c->name);
            cr_expect(!parsed.upgrade_websocket && parsed.method.size == 0);
        } else {
            cr_expect(status != STATUS_OK && status != STATUS_AGAIN, "%s", c->name);
            cr_expect_str_eq(reason == NULL ? "" : reason, c->reason, "%s", c->name);
        }
        parse_in_steps(bytes, &usual, "GET", false, bytes.size, 1, &whole);
        check_splits(c->name, bytes, &usual, &whole);
    }
}

Test(http1_response, the_parts_of_a_head)
{
    const char *reason;
    cr_assert_eq(
        parse(SPAN_LITERAL("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nDPoP-Nonce: n\r\n"
                           "X: y\r\n\r\n"),
              "GET", false, &reason),
        STATUS_OK);
    cr_expect_eq(parsed.status, 404);
    cr_expect_eq(parsed.minor_version, 1);
    cr_expect(span_equal_string(parsed.reason, "Not Found"));
    cr_assert_eq(parsed.headers_count, 3);
    cr_expect_eq(parsed.headers[1].field, HTTP_FIELD_DPOP_NONCE);
    cr_expect(span_equal_string(parsed.headers[2].value, "y"));
}

Test(http1_response, a_response_to_head_has_no_body_whatever_it_says)
{
    const char *reason;
    cr_expect_eq(
        parse(SPAN_LITERAL("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "HEAD", false, &reason),
        STATUS_OK);
    cr_expect_eq(parsed.body, HTTP_BODY_NONE);
    cr_expect_eq(parsed.content_length, 3);
    cr_expect_eq(parse(SPAN_LITERAL("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                       "HEAD", false, &reason),
                 STATUS_OK);
    cr_expect_eq(parsed.body, HTTP_BODY_NONE);
    cr_expect_eq(parse(SPAN_LITERAL("HTTP/1.1 200 OK\r\n\r\n"), "HEAD", false, &reason), STATUS_OK);
    cr_expect_eq(parsed.body, HTTP_BODY_NONE);
    cr_expect(parsed.keep_alive);
    /* but what it says must still be one thing */
    cr_expect_eq(
        parse(SPAN_LITERAL("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"),
              "HEAD", false, &reason),
        STATUS_MALFORMED);
    /* and methods have a case */
    cr_expect_eq(parse(SPAN_LITERAL("HTTP/1.1 200 OK\r\n\r\n"), "head", false, &reason), STATUS_OK);
    cr_expect_eq(parsed.body, HTTP_BODY_UNTIL_CLOSE);
}

Test(http1_response, an_asked_for_101_must_be_to_websocket)
{
    const char *reason;
    cr_expect_eq(
        parse(SPAN_LITERAL("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"),
              "GET", true, &reason),
        STATUS_OK);
    cr_expect(parsed.upgrade_websocket && !parsed.keep_alive);
    static const char *const others[] = {
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_expect_eq(parse(span_from_string(others[i]), "GET", true, &reason), STATUS_MALFORMED);
        cr_expect_str_eq(reason, "101 to another protocol than was asked for");
    }
    /* the service may decline */
    cr_expect_eq(
        parse(SPAN_LITERAL("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "GET", true, &reason),
        STATUS_OK);
    cr_expect(!parsed.upgrade_websocket && parsed.keep_alive);
}

Test(http1_response, limits)
{
    static struct verdict verdict;
    struct span bytes = SPAN_LITERAL("HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    struct http_limits limits = {.head_bytes_max = (uint32_t)bytes.size, .headers_max = 1};
    parse_in_steps(bytes, &limits, "GET", false, bytes.size, 1, &verdict);
    cr_expect_eq(verdict.status, STATUS_OK);
    check_splits("at the limit", bytes, &limits, &verdict);
    limits.head_bytes_max--;
    parse_in_steps(bytes, &limits, "GET", false, bytes.size, 1, &verdict);
    cr_expect_eq(verdict.status, STATUS_TOO_LARGE);
    cr_expect_str_eq(verdict.reason, "head over the limit");
    check_splits("over the limit", bytes, &limits, &verdict);

    limits = (struct http_limits){.head_bytes_max = 4096, .headers_max = 100000};
    char text[4096];
    size_t size = (size_t)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n");
    for (unsigned i = 0; i <= HTTP_HEADERS_MAX; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size, "a:%u\r\n", i % 10);
    }
    parse_in_steps(span_make(text, size), &limits, "GET", false, size, 1, &verdict);
    cr_expect_eq(verdict.status, STATUS_TOO_LARGE);
    cr_expect_str_eq(verdict.reason, "too many headers");
}
