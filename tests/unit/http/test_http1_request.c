#include "support.h"

#include <criterion/criterion.h>
#include <time.h>

static const struct http_limits usual = {.head_bytes_max = 4096, .headers_max = 16};

struct request_case {
    const char *name;
    const char *bytes;
    size_t size;
    uint16_t refusal; /* 0: accepted; 1: not whole */
    const char *reason;
};

#define B(text)          text, sizeof(text) - 1
#define LINE(line)       B(line "\r\nHost: a.example\r\n\r\n")
#define FIELD(field)     B("POST /x HTTP/1.1\r\nHost: a.example\r\n" field "\r\n\r\n")
#define FIELD_1_0(field) B("POST /x HTTP/1.0\r\nHost: a.example\r\n" field "\r\n\r\n")
#define HOST(field)      B("GET /x HTTP/1.1\r\n" field "\r\n")

static const char no_method[] = "request line does not begin with a method";
static const char method_token[] = "method is no token";
static const char no_version[] = "request line without an HTTP version";
static const char bad_version[] = "request line does not end in an HTTP version";
static const char other_version[] = "HTTP version other than 1.0 and 1.1";
static const char bad_target[] = "request target is malformed";
static const char bad_uri[] = "request target is no URI we serve";
static const char asterisk[] = "asterisk-form";
static const char fragment[] = "fragment in the request target";
static const char bare_lf[] = "bare LF";
static const char bare_cr[] = "bare CR";
static const char control[] = "control character in the head";
static const char folded[] = "folded header line";
static const char no_colon[] = "header line without a colon";
static const char space_colon[] = "white space in or behind a header name";
static const char empty_name[] = "empty header name";
static const char name_token[] = "header name is no token";
static const char bad_length[] = "Content-Length is not a length";
static const char two_lengths[] = "repeated Content-Length";
static const char two_codings[] = "repeated Transfer-Encoding";
static const char both[] = "Content-Length with Transfer-Encoding";
static const char bad_coding[] = "Transfer-Encoding is not a list of codings";
static const char unknown_coding[] = "unknown transfer coding";
static const char not_last[] = "chunked is not the last coding";
static const char tab[] = "tab in a framing field";
static const char old_coding[] = "Transfer-Encoding in HTTP/1.0";
static const char bad_host[] = "Host is malformed";
static const char two_hosts[] = "repeated Host";
static const char no_host[] = "no Host";
static const char other_host[] = "Host is not the request target's";
static const char protected[] = "Connection names a field that must not be dropped";
static const char bad_option[] = "Connection is not a list of tokens";
static const char disguised[] = "a known header under another spelling";
static const char expectation[] = "expectation other than 100-continue";

static const struct request_case cases[] = {
    /* accepted */
    {"plain", LINE("GET / HTTP/1.1")},
    {"1.0", LINE("GET / HTTP/1.0")},
    {"query", LINE("GET /a?b=c HTTP/1.1")},
    {"other method", LINE("M-SEARCH /a HTTP/1.1")},
    {"method case", LINE("get / HTTP/1.1")},
    {"odd method token", LINE("!#$%&'*+-.^_`|~09AZaz / HTTP/1.1")},
    {"one empty line first", LINE("\r\nGET / HTTP/1.1")},
    {"absolute-form", LINE("GET https://a.example/b HTTP/1.1")},
    {"absolute-form, spelled otherwise", LINE("GET HTTPS://A.example:443/b HTTP/1.1")},
    {"absolute-form, empty path", LINE("GET https://a.example HTTP/1.1")},
    {"absolute-form, query", LINE("GET https://a.example?b HTTP/1.1")},
    {"OPTIONS of a path", LINE("OPTIONS https://a.example/ HTTP/1.1")},
    {"dot segments", LINE("GET /a/../%2e%2E/b HTTP/1.1")},
    {"empty value", FIELD("X:")},
    {"spaces around a value", FIELD("X: \t a\tb  \t")},
    {"obs-text in a value", FIELD("X: \x80\xff")},
    {"odd header name", FIELD("!#$%&'*+-.^_`|~09AZaz: 1")},
    {"unknown underscore", FIELD("my_header: 1")},
    {"CL", FIELD("Content-Length: 5")},
    {"CL without a space", FIELD("Content-Length:5")},
    {"CL zero", FIELD("Content-Length: 0")},
    {"CL 2^63 - 1", FIELD("Content-Length: 9223372036854775807")},
    {"TE", FIELD("Transfer-Encoding: chunked")},
    {"TE case", FIELD("transfer-encoding:CHUNKED")},
    {"Expect", FIELD("Expect: 100-Continue\r\nContent-Length: 1")},
    {"Expect without content", FIELD("Expect: 100-continue")},
    {"Expect in 1.0", FIELD_1_0("Expect: 100-continue\r\nContent-Length: 1")},
    {"Connection list", FIELD("Connection: close, X-A,, Keep-Alive ,\r\nConnection: te")},
    {"Host with port", HOST("Host: A.example:8443\r\n")},
    {"Host IPv6", HOST("Host: [::1]:8443\r\n")},
    {"sixteen headers",
     FIELD("a:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\na:9\r\na:10\r\n"
           "a:11\r\na:12\r\na:13\r\na:14\r\na:15")},
    /* not whole */
    {"nothing", B(""), 1, NULL},
    {"half a line", B("GET / HT"), 1, NULL},
    {"a line", B("GET / HTTP/1.1\r\n"), 1, NULL},
    {"no last LF", B("GET / HTTP/1.1\r\nHost: a\r\n\r"), 1, NULL},
    {"CR at the end", B("GET / HTTP/1.1\r\nHost: a\r"), 1, NULL},
    {"empty line only", B("\r\n"), 1, NULL},
    /* CL and TE */
    {"CL then TE", FIELD("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400, both},
    {"TE then CL", FIELD("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400, both},
    {"CL 0 and TE", FIELD("Content-Length: 0\r\nTransfer-Encoding: chunked"), 400, both},
    {"CL and TE identity", FIELD("Content-Length: 5\r\nTransfer-Encoding: identity"), 400, both},
    {"two CL, equal", FIELD("Content-Length: 5\r\nContent-Length: 5"), 400, two_lengths},
    {"two CL", FIELD("Content-Length: 5\r\nContent-Length: 6"), 400, two_lengths},
    {"two CL, case", FIELD("Content-Length: 5\r\nx: y\r\ncontent-LENGTH: 5"), 400, two_lengths},
    {"CL list, equal", FIELD("Content-Length: 5, 5"), 400, bad_length},
    {"CL list", FIELD("Content-Length: 5,6"), 400, bad_length},
    {"CL empty", FIELD("Content-Length:"), 400, bad_length},
    {"CL spaces", FIELD("Content-Length:   "), 400, bad_length},
    {"CL +5", FIELD("Content-Length: +5"), 400, bad_length},
    {"CL -0", FIELD("Content-Length: -0"), 400, bad_length},
    {"CL -5", FIELD("Content-Length: -5"), 400, bad_length},
    {"CL 0x5", FIELD("Content-Length: 0x5"), 400, bad_length},
    {"CL 5_0", FIELD("Content-Length: 5_0"), 400, bad_length},
    {"CL 1 0", FIELD("Content-Length: 1 0"), 400, bad_length},
    {"CL 5.0", FIELD("Content-Length: 5.0"), 400, bad_length},
    {"CL 1e1", FIELD("Content-Length: 1e1"), 400, bad_length},
    {"CL 05", FIELD("Content-Length: 05"), 400, bad_length},
    {"CL 00", FIELD("Content-Length: 00"), 400, bad_length},
    {"CL in quotes", FIELD("Content-Length: \"5\""), 400, bad_length},
    {"CL letter", FIELD("Content-Length: five"), 400, bad_length},
    {"CL slash", FIELD("Content-Length: /"), 400, bad_length},
    {"CL obs-text", FIELD("Content-Length: 5\xa0"), 400, bad_length},
    {"CL 2^63", FIELD("Content-Length: 9223372036854775808"), 400, bad_length},
    {"CL 2^64 + 5", FIELD("Content-Length: 18446744073709551621"), 400, bad_length},
    {"CL 10^40", FIELD("Content-Length: 10000000000000000000000000000000000000000"), 400,
     bad_length},
    {"CL tab", FIELD("Content-Length:\t5"), 400, tab},
    {"CL tab behind", FIELD("Content-Length: 5\t"), 400, tab},
    {"CL vertical tab", FIELD("Content-Length: \v5"), 400, control},
    {"CL NUL", FIELD("Content-Length: 5\0"), 400, control},
    {"CL folded", FIELD("Content-Length:\r\n 5"), 400, folded},
    {"CL disguised", FIELD("Content_Length: 5"), 400, disguised},
    {"TE repeated", FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400,
     two_codings},
    {"TE repeated otherwise", FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
     400, two_codings},
    {"TE empty", FIELD("Transfer-Encoding:"), 400, bad_coding},
    {"TE ,chunked", FIELD("Transfer-Encoding: ,chunked"), 400, bad_coding},
    {"TE chunked,", FIELD("Transfer-Encoding: chunked,"), 400, not_last},
    {"TE chunked,chunked", FIELD("Transfer-Encoding: chunked, chunked"), 400, not_last},
    {"TE chunked,gzip", FIELD("Transfer-Encoding: chunked, gzip"), 400, not_last},
    {"TE chunked,identity", FIELD("Transfer-Encoding: chunked, identity"), 400, not_last},
    {"TE gzip,,chunked", FIELD("Transfer-Encoding: gzip,,chunked"), 400, bad_coding},
    {"TE gzip,chunked", FIELD("Transfer-Encoding: gzip, chunked"), 501, unknown_coding},
    {"TE gzip", FIELD("Transfer-Encoding: gzip"), 501, unknown_coding},
    {"TE xchunked", FIELD("Transfer-Encoding: xchunked"), 501, unknown_coding},
    {"TE chunkedx", FIELD("Transfer-Encoding: chunkedx"), 501, unknown_coding},
    {"TE identity", FIELD("Transfer-Encoding: identity"), 501, unknown_coding},
    {"TE chunked;x=1", FIELD("Transfer-Encoding: chunked;x=1"), 400, bad_coding},
    {"TE \"chunked\"", FIELD("Transfer-Encoding: \"chunked\""), 400, bad_coding},
    {"TE two words", FIELD("Transfer-Encoding: chunked chunked"), 400, bad_coding},
    {"TE obs-text", FIELD("Transfer-Encoding: chunked\xa0"), 400, bad_coding},
    {"TE tab", FIELD("Transfer-Encoding:\tchunked"), 400, tab},
    {"TE tab behind", FIELD("Transfer-Encoding: chunked\t"), 400, tab},
    {"TE vertical tab", FIELD("Transfer-Encoding: \vchunked"), 400, control},
    {"TE form feed", FIELD("Transfer-Encoding: chunked\f"), 400, control},
    {"TE backspace", FIELD("Transfer-Encoding: chunked\b"), 400, control},
    {"TE NUL", FIELD("Transfer-Encoding: chunked\0"), 400, control},
    {"TE escape",
     FIELD("Transfer-Encoding: \x1b"
           "chunked"),
     400, control},
    {"TE delete", FIELD("Transfer-Encoding: chunked\x7f"), 400, control},
    {"TE bare CR", FIELD("Transfer-Encoding: chunked\r"), 400, bare_cr},
    {"TE bare LF", FIELD("Transfer-Encoding: chunked\n"), 400, bare_lf},
    {"TE folded", FIELD("Transfer-Encoding:\r\n chunked"), 400, folded},
    {"TE folded by a tab", FIELD("Transfer-Encoding:\r\n\tchunked"), 400, folded},
    {"TE space before colon", FIELD("Transfer-Encoding : chunked"), 400, space_colon},
    {"TE tab before colon", FIELD("Transfer-Encoding\t: chunked"), 400, space_colon},
    {"TE disguised", FIELD("Transfer_Encoding: chunked"), 400, disguised},
    {"TE disguised by a dot", FIELD("Transfer.Encoding: chunked"), 400, disguised},
    {"TE in 1.0", FIELD_1_0("Transfer-Encoding: chunked"), 400, old_coding},
    {"TE unknown in 1.0", FIELD_1_0("Transfer-Encoding: gzip"), 400, old_coding},
    /* line ends, folding, names */
    {"bare LF everywhere", B("GET / HTTP/1.1\nHost: a\n\n"), 400, bare_lf},
    {"bare LF in a field", FIELD("X: a\nY: b"), 400, bare_lf},
    {"bare LF ends the head", B("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400, bare_lf},
    {"bare CR in a field", FIELD("X: a\rY: b"), 400, bare_cr},
    {"CR CR LF", FIELD("X: a\r"), 400, bare_cr},
    {"bare CR in the first line", LINE("GET /\rx HTTP/1.1"), 400, bare_cr},
    {"bare CR first", B("\rGET / HTTP/1.1\r\n"), 400, bare_cr},
    {"bare LF first", B("\nGET / HTTP/1.1\r\n"), 400, bare_lf},
    {"LF CR", B("GET / HTTP/1.1\n\rHost: a\r\n\r\n"), 400, bare_lf},
    {"folded", FIELD("X: a\r\n b"), 400, folded},
    {"folded by a tab", FIELD("X: a\r\n\tb"), 400, folded},
    {"folded to nothing", FIELD("X: a\r\n "), 400, folded},
    {"first header folded", HOST(" Host: a\r\n"), 400, folded},
    {"NUL in a value", FIELD("X: a\0b"), 400, control},
    {"NUL in a name", FIELD("X\0: a"), 400, control},
    {"NUL in the target", LINE("GET /\0 HTTP/1.1"), 400, control},
    {"NUL in the method", LINE("GE\0T / HTTP/1.1"), 400, control},
    {"delete in a value", FIELD("X: a\x7f"), 400, control},
    {"TLS", B("\x16\x03\x01\x02\x00"), 400, control},
    {"space before colon", FIELD("X : a"), 400, space_colon},
    {"tab before colon", FIELD("X\t: a"), 400, space_colon},
    {"space in a name", FIELD("X Y: a"), 400, space_colon},
    {"empty name", FIELD(": a"), 400, empty_name},
    {"no colon", FIELD("Xa"), 400, no_colon},
    {"name with a slash", FIELD("X/Y: a"), 400, name_token},
    {"name with a quote", FIELD("\"X\": a"), 400, empty_name},
    {"name with obs-text", FIELD("X\xc3\xa9: a"), 400, name_token},
    {"name with a parenthesis", FIELD("X(): a"), 400, name_token},
    {"name with an at sign", FIELD("X@: a"), 400, name_token},
    {"name with a brace", FIELD("{X}: a"), 400, empty_name},
    /* the first line */
    {"leading space", LINE(" GET / HTTP/1.1"), 400, no_method},
    {"leading tab", LINE("\tGET / HTTP/1.1"), 400, no_method},
    {"two empty lines first", LINE("\r\n\r\nGET / HTTP/1.1"), 400, no_method},
    {"space in the empty line", LINE(" \r\nGET / HTTP/1.1"), 400, no_method},
    {"method no token", LINE("G/T / HTTP/1.1"), 400, method_token},
    {"method obs-text", LINE("G\xc3T / HTTP/1.1"), 400, method_token},
    {"method colon", LINE("GET: / HTTP/1.1"), 400, method_token},
    {"tab behind the method", LINE("GET\t/ HTTP/1.1"), 400, method_token},
    {"method only", LINE("GET"), 400, method_token},
    {"0.9", B("GET /\r\n"), 400, no_version},
    {"0.9, space", B("GET / \r\n"), 400, bad_version},
    {"0.9, named", LINE("GET / HTTP/0.9"), 505, other_version},
    {"no target", LINE("GET HTTP/1.1"), 400, no_version},
    {"empty target", LINE("GET  HTTP/1.1"), 400, "request line without a target"},
    {"two spaces", LINE("GET  / HTTP/1.1"), 400, bad_version},
    {"two spaces before the version", LINE("GET /  HTTP/1.1"), 400, bad_version},
    {"space behind the version", LINE("GET / HTTP/1.1 "), 400, bad_version},
    {"tab before the version", LINE("GET /\tHTTP/1.1"), 400, no_version},
    {"raw space", LINE("GET /a b HTTP/1.1"), 400, bad_version},
    {"raw space in the query", LINE("GET /a?b c HTTP/1.1"), 400, bad_version},
    {"HTTP/1.10", LINE("GET / HTTP/1.10"), 400, bad_version},
    {"HTTP/01.1", LINE("GET / HTTP/01.1"), 400, bad_version},
    {"HTTP/1.", LINE("GET / HTTP/1."), 400, bad_version},
    {"HTTP/1", LINE("GET / HTTP/1"), 400, bad_version},
    {"HTTP/1,1", LINE("GET / HTTP/1,1"), 400, bad_version},
    {"HTTP/x.1", LINE("GET / HTTP/x.1"), 400, bad_version},
    {"HTTP/ .1", LINE("GET / HTTP//.1"), 400, bad_version},
    {"HTTP/1.x", LINE("GET / HTTP/1.x"), 400, bad_version},
    {"HTTP/1./", LINE("GET / HTTP/1./"), 400, bad_version},
    {"HTTP/+1.1", LINE("GET / HTTP/+1.1"), 400, bad_version},
    {"http/1.1", LINE("GET / http/1.1"), 400, bad_version},
    {"HTTPS/1.1", LINE("GET / HTTPS/1.1"), 400, bad_version},
    {"ICY", LINE("GET / ICY/1.1x"), 400, bad_version},
    {"HTTP/1.2", LINE("GET / HTTP/1.2"), 505, other_version},
    {"HTTP/2.0", LINE("GET / HTTP/2.0"), 505, other_version},
    {"HTTP/3.0", LINE("GET / HTTP/3.0"), 505, other_version},
    {"HTTP/2 preface", B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, other_version},
    {"GET *", LINE("GET * HTTP/1.1"), 400, asterisk},
    {"OPTIONS *", LINE("OPTIONS * HTTP/1.1"), 400, asterisk},
    {"OPTIONS of a host", LINE("OPTIONS https://a.example HTTP/1.1"), 400, asterisk},
    {"fragment", LINE("GET /a#b HTTP/1.1"), 400, bad_target},
    {"fragment in the query", LINE("GET /a?b#c HTTP/1.1"), 400, bad_target},
    {"fragment in absolute-form", LINE("GET https://a.example/#b HTTP/1.1"), 400, fragment},
    {"bad escape", LINE("GET /%g1 HTTP/1.1"), 400, bad_target},
    {"obs-text in the target", LINE("GET /\xc3\xa9 HTTP/1.1"), 400, bad_target},
    {"backslash", LINE("GET /a\\b HTTP/1.1"), 400, bad_target},
    {"relative", LINE("GET a/b HTTP/1.1"), 400, bad_uri},
    {"query only", LINE("GET ?a HTTP/1.1"), 400, bad_uri},
    {"authority-form", LINE("GET a.example:443 HTTP/1.1"), 400, bad_uri},
    {"CONNECT", LINE("CONNECT a.example:443 HTTP/1.1"), 400, "CONNECT is not served"},
    {"CONNECT with a path", LINE("CONNECT / HTTP/1.1"), 400, "CONNECT is not served"},
    {"absolute-form of another host", LINE("GET https://b.example/ HTTP/1.1"), 400, other_host},
    {"absolute-form of another port", LINE("GET https://a.example:8443/ HTTP/1.1"), 400,
     other_host},
    {"absolute-form with a dot", LINE("GET https://a.example./ HTTP/1.1"), 400, bad_uri},
    {"absolute-form with userinfo", LINE("GET https://u@a.example/ HTTP/1.1"), 400, bad_uri},
    {"absolute-form without a host", LINE("GET https:///b HTTP/1.1"), 400, bad_uri},
    {"absolute-form of http", LINE("GET http://a.example/ HTTP/1.1"), 400,
     "request target is not https"},
    {"absolute-form of ftp", LINE("GET ftp://a.example/ HTTP/1.1"), 400, bad_uri},
    {"absolute-form without Host", B("GET https://a.example/ HTTP/1.1\r\n\r\n"), 400, no_host},
    /* Host */
    {"no Host", HOST(""), 400, no_host},
    {"no Host in 1.0", B("GET / HTTP/1.0\r\n\r\n"), 400, no_host},
    {"two Hosts", HOST("Host: a\r\nHost: b\r\n"), 400, two_hosts},
    {"two Hosts, equal", HOST("Host: a\r\nHost: a\r\n"), 400, two_hosts},
    {"two Hosts, case", HOST("Host: a\r\nx: y\r\nhOsT: a\r\n"), 400, two_hosts},
    {"Host empty", HOST("Host:\r\n"), 400, bad_host},
    {"Host with a comma", HOST("Host: a,b\r\n"), 400, bad_host},
    {"Host list", HOST("Host: a, a\r\n"), 400, bad_host},
    {"Host with userinfo", HOST("Host: u@a\r\n"), 400, bad_host},
    {"Host with a path", HOST("Host: a/b\r\n"), 400, bad_host},
    {"Host with a scheme", HOST("Host: https://a\r\n"), 400, bad_host},
    {"Host with a space", HOST("Host: a b\r\n"), 400, bad_host},
    {"Host with a trailing dot", HOST("Host: a.\r\n"), 400, bad_host},
    {"Host with an escape", HOST("Host: %61\r\n"), 400, bad_host},
    {"Host with a bad port", HOST("Host: a:99999\r\n"), 400, bad_host},
    {"Host with obs-text", HOST("Host: \xc3\xa9\r\n"), 400, bad_host},
    /* Connection, Expect, disguises */
    {"Connection: Host", FIELD("Connection: host"), 400, protected},
    {"Connection: Content-Length", FIELD("Connection: close, content-length"), 400, protected},
    {"Connection: Transfer-Encoding", FIELD("Connection: Transfer-Encoding"), 400, protected},
    {"Connection: Authorization", FIELD("Connection: close\r\nConnection: Authorization"), 400,
     protected},
    {"Connection: DPoP", FIELD("Connection: DPoP"), 400, protected},
    {"Connection: disguised", FIELD("Connection: content_length"), 400, protected},
    {"Connection no token", FIELD("Connection: a b"), 400, bad_option},
    {"Connection with a parameter", FIELD("Connection: close;x"), 400, bad_option},
    {"Connection too long", FIELD("Connection: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"), 400,
     "too many Connection options"},
    {"Connection of commas", FIELD("Connection: ,,,,,,,,,,,,,,,,"), 400,
     "too many Connection options"},
    {"Expect something", FIELD("Expect: 200-ok"), 417, expectation},
    {"Expect empty", FIELD("Expect:"), 417, expectation},
    {"Expect list", FIELD("Expect: 100-continue, x"), 417, expectation},
    {"Expect twice", FIELD("Expect: 100-continue\r\nExpect: 100-continue"), 417, expectation},
    {"disguised Keep-Alive", FIELD("Keep_Alive: x"), 400, disguised},
    /* limits */
    {"seventeen headers",
     FIELD("a:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\na:9\r\na:10\r\n"
           "a:11\r\na:12\r\na:13\r\na:14\r\na:15\r\na:16"),
     431, "too many headers"},
};

/* What `limits` makes of the first `size` bytes, after the parser has seen those before `split`, in
 * steps of `step`. */
static void parse_in_steps(struct span bytes, const struct http_limits *limits, size_t split,
                           size_t step, struct verdict *verdict)
{
    struct http1_scan scan = {0};
    for (size_t size = split; size < bytes.size; size += step) {
        request_step(&scan, span_first(bytes, size), limits, verdict);
        if (verdict->status != STATUS_AGAIN) {
            return;
        }
    }
    request_step(&scan, bytes, limits, verdict);
}

static void parse_whole(struct span bytes, const struct http_limits *limits,
                        struct verdict *verdict)
{
    parse_in_steps(bytes, limits, bytes.size, 1, verdict);
}

/* The verdict must not depend on how the bytes came. */
static void check_splits(const char *name, struct span bytes, const struct http_limits *limits,
                         const struct verdict *whole)
{
    static struct verdict split;
    parse_in_steps(bytes, limits, 0, 1, &split);
    cr_expect(same_verdict(whole, &split), "%s byte by byte: %s, %u %s; whole: %s, %u %s", name,
              status_name(split.status), split.refusal, split.reason, status_name(whole->status),
              whole->refusal, whole->reason);
    for (size_t at = 0; at < bytes.size; at++) {
        parse_in_steps(bytes, limits, at, bytes.size, &split);
        cr_expect(same_verdict(whole, &split), "%s split at %zu: %s, %u %s", name, at,
                  status_name(split.status), split.refusal, split.reason);
    }
}

Test(http1_request, every_listed_trick_gets_its_answer_at_every_split)
{
    static struct verdict whole;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct request_case *c = &cases[i];
        struct span bytes = span_make(c->bytes, c->size);
        parse_whole(bytes, &usual, &whole);
        if (c->refusal == 0) {
            cr_expect_eq(whole.status, STATUS_OK, "%s: %u %s", c->name, whole.refusal,
                         whole.reason);
            cr_expect_eq(whole.head_size, c->size, "%s", c->name);
        } else if (c->refusal == 1) {
            cr_expect_eq(whole.status, STATUS_AGAIN, "%s: %u %s", c->name, whole.refusal,
                         whole.reason);
        } else {
            cr_expect_eq(whole.refusal, c->refusal, "%s: %s, %u %s", c->name,
                         status_name(whole.status), whole.refusal, whole.reason);
            cr_expect_str_eq(whole.reason == NULL ? "" : whole.reason, c->reason, "%s", c->name);
            enum status expected = c->refusal == 400   ? STATUS_MALFORMED
                                   : c->refusal == 431 ? STATUS_TOO_LARGE
                                                       : STATUS_UNSUPPORTED;
            cr_expect_eq(whole.status, expected, "%s", c->name);
        }
        check_splits(c->name, bytes, &usual, &whole);
    }
}

Test(http1_request, one_line_over_its_limit_is_431_at_every_split)
{
    static const struct http_limits small = {
        .head_bytes_max = 4096, .headers_max = 3, .header_bytes_max = 10};
    static const struct {
        const char *text;
        uint16_t refusal;
        const char *reason;
    } lines[] = {
        {"Host: a\r\nab: 345678\r\n\r\n", 0, ""},
        {"Host: a\r\nab: 3456789\r\n\r\n", 431, "header line over the limit"},
        {"Host: a\r\nab: 3456789\n", 431, "header line over the limit"},
        {"Host: a\r\nab: 3456789\rX", 431, "header line over the limit"},
        {"Host: a\r\nab: 345678\rX", 400, "bare CR"},
        {"Host: a\r\nab: 345678\n", 400, "bare LF"},
        {"Host: a\r\na: 1\r\na: 1\r\nab: 3456789\r\n\r\n", 431, "header line over the limit"},
        {"Host: a\r\na: 1\r\na: 1\r\nab: 345678\r\n\r\n", 431, "too many headers"},
    };
    static struct verdict whole;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[256];
        int size = snprintf(text, sizeof text, "GET /longer/than/ten HTTP/1.1\r\n%s",
                            lines[i].text);
        struct span bytes = span_make(text, (size_t)size);
        parse_whole(bytes, &small, &whole);
        cr_expect_eq(whole.refusal, lines[i].refusal, "%s: %u", lines[i].text, whole.refusal);
        if (lines[i].refusal != 0) {
            cr_expect_str_eq(whole.reason, lines[i].reason, "%s", lines[i].text);
        }
        check_splits(lines[i].text, bytes, &small, &whole);
    }
}

/* What follows a head must not change it, whatever it is: the next request, a body, or rubbish. */
Test(http1_request, what_follows_does_not_matter)
{
    static struct verdict alone, followed;
    static const char *const tails[] = {"GET / HTTP/1.1\r\nHost: b\r\n\r\n", "\n\n\n", "\r", "x",
                                        "0\r\n\r\n"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct request_case *c = &cases[i];
        if (c->refusal == 1) {
            continue;
        }
        parse_whole(span_make(c->bytes, c->size), &usual, &alone);
        for (size_t t = 0; t < sizeof tails / sizeof *tails; t++) {
            char bytes[2048];
            size_t tail = strlen(tails[t]);
            memcpy(bytes, c->bytes, c->size);
            memcpy(bytes + c->size, tails[t], tail);
            parse_whole(span_make(bytes, c->size + tail), &usual, &followed);
            cr_expect(same_verdict(&alone, &followed), "%s before %s", c->name, tails[t]);
        }
    }
}

/* Every byte at every place of a good request: accepted or refused, but never two ways. */
Test(http1_request, any_byte_anywhere_gets_one_verdict, .timeout = 120)
{
    static const char text[] = "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    static struct verdict whole, split;
    for (size_t at = 0; at < sizeof text - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char bytes[sizeof text];
            memcpy(bytes, text, sizeof text);
            bytes[at] = (char)byte;
            struct span span = span_make(bytes, sizeof text - 1);
            parse_whole(span, &usual, &whole);
            parse_in_steps(span, &usual, 0, 1, &split);
            cr_assert(same_verdict(&whole, &split), "byte %02x at %zu", byte, at);
            bool is_control = (byte < 0x20 && byte != '\t' && byte != '\r' && byte != '\n') ||
                              byte == 0x7f;
            cr_assert(!is_control || whole.refusal == 400, "byte %02x at %zu", byte, at);
        }
    }
}

/* ---- what a head says ---- */

static struct http_head parsed;
static uint8_t parsed_out[4096 + 8];

static const struct http_head *parse(const char *text)
{
    struct http1_scan scan = {0};
    struct http_refusal refusal = {0, ""};
    size_t size = 0;
    enum status status = http1_parse_request(&scan, span_from_string(text), &usual,
                                             (struct span_mut){parsed_out, sizeof parsed_out},
                                             &parsed, &size, &refusal);
    cr_assert_eq(status, STATUS_OK, "%s: %u %s", text, refusal.status, refusal.reason);
    return &parsed;
}

static void expect_span(struct span span, const char *text)
{
    cr_expect(span_equal_string(span, text), "%.*s, not %s", SPAN_ARG(span), text);
}

Test(http1_request, the_parts_of_a_head)
{
    const struct http_head *head = parse("PUT /A/%7e/../b?c=%2f HTTP/1.1\r\nHost: A.Example:443\r\n"
                                         "X-One:  1 \t\r\nEmpty:\r\nDPoP: p\r\ndpop: q\r\n"
                                         "AUTHORIZATION: DPoP t\r\nContent-Length: 42\r\n\r\n");
    expect_span(head->method, "PUT");
    expect_span(head->target, "/A/%7e/../b?c=%2f");
    expect_span(head->uri.scheme, "https");
    expect_span(head->uri.authority, "a.example");
    expect_span(head->uri.path, "/A/b");
    expect_span(head->uri.query, "c=%2f");
    cr_expect(head->uri.has_query);
    cr_expect_eq(head->minor_version, 1);
    cr_expect(head->keep_alive && !head->expect_continue && !head->upgrade_websocket);
    cr_expect_eq(head->body, HTTP_BODY_LENGTH);
    cr_expect_eq(head->content_length, 42);
    cr_expect_eq(head->dpop_count, 2);
    cr_expect_eq(head->authorization_count, 1);
    expect_span(head->dpop, "p");
    expect_span(head->authorization, "DPoP t");
    cr_assert_eq(head->headers_count, 7);
    expect_span(head->headers[0].name, "Host");
    expect_span(head->headers[1].name, "X-One");
    expect_span(head->headers[1].value, "1");
    expect_span(head->headers[2].value, "");
    cr_expect_eq(head->headers[3].field, HTTP_FIELD_DPOP);
    cr_expect_eq(head->headers[5].field, HTTP_FIELD_AUTHORIZATION);
    cr_expect_eq(head->status, 0);
}

Test(http1_request, absolute_form_is_taken_as_origin_form)
{
    const struct http_head *head = parse(
        "GET HTTPS://A.example:8443/x/../y?z HTTP/1.1\r\nHost: a.EXAMPLE:8443\r\n\r\n");
    expect_span(head->uri.scheme, "https");
    expect_span(head->uri.authority, "a.example:8443");
    expect_span(head->uri.path, "/y");
    expect_span(head->uri.query, "z");
    /* Contiguous: forwarded as it stands. */
    cr_expect_eq(head->uri.query.data, head->uri.path.data + head->uri.path.size + 1);
    head = parse("GET https://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n");
    expect_span(head->uri.path, "/");
    cr_expect(!head->uri.has_query);
}

static bool kept_alive(const char *version, const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "GET / %s\r\nHost: a\r\n%s\r\n", version, fields);
    return parse(text)->keep_alive;
}

Test(http1_request, persistence_is_by_version_and_connection)
{
    cr_expect(kept_alive("HTTP/1.1", ""));
    cr_expect(kept_alive("HTTP/1.1", "Connection: x\r\n"));
    cr_expect(kept_alive("HTTP/1.1", "Connection: keep-alive\r\n"));
    cr_expect(!kept_alive("HTTP/1.1", "Connection: Close\r\n"));
    cr_expect(!kept_alive("HTTP/1.1", "Connection: x , close\r\n"));
    cr_expect(!kept_alive("HTTP/1.1", "Connection: x\r\nConnection: close\r\n"));
    cr_expect(!kept_alive("HTTP/1.1", "Connection: keep-alive, close\r\n"));
    cr_expect(!kept_alive("HTTP/1.0", ""));
    cr_expect(!kept_alive("HTTP/1.0", "Connection: x\r\n"));
    cr_expect(kept_alive("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    cr_expect(!kept_alive("HTTP/1.0", "Connection: close, keep-alive\r\n"));
}

Test(http1_request, bodies)
{
    cr_expect_eq(parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n")->body, HTTP_BODY_NONE);
    cr_expect_eq(parse("POST / HTTP/1.1\r\nHost: a\r\n\r\n")->body, HTTP_BODY_NONE);
    cr_expect_eq(parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")->content_length,
                 9);
    cr_expect_eq(parse("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n")->body,
                 HTTP_BODY_CHUNKED);
    cr_expect_eq(parse("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n")->body,
                 HTTP_BODY_LENGTH);
}

static bool expects(const char *version, const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "POST / %s\r\nHost: a\r\nExpect: 100-continue\r\n%s\r\n", version,
             fields);
    return parse(text)->expect_continue;
}

Test(http1_request, expect_is_heard_where_there_is_content_to_wait_with)
{
    cr_expect(expects("HTTP/1.1", "Content-Length: 1\r\n"));
    cr_expect(expects("HTTP/1.1", "Transfer-Encoding: chunked\r\n"));
    cr_expect(!expects("HTTP/1.1", "Content-Length: 0\r\n"));
    cr_expect(!expects("HTTP/1.1", ""));
    cr_expect(!expects("HTTP/1.0", "Content-Length: 1\r\n"));
}

static bool upgrades(const char *line, const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "%s\r\nHost: a\r\n%s\r\n", line, fields);
    return parse(text)->upgrade_websocket;
}

Test(http1_request, only_a_bodiless_get_in_1_1_upgrades_and_only_to_websocket)
{
    static const char good[] = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    cr_expect(upgrades("GET / HTTP/1.1", good));
    cr_expect(!upgrades("GET / HTTP/1.0", good));
    cr_expect(!upgrades("POST / HTTP/1.1", good));
    cr_expect(!upgrades("GET / HTTP/1.1", "Upgrade: websocket\r\n"));
    cr_expect(!upgrades("GET / HTTP/1.1", "Connection: upgrade\r\n"));
    cr_expect(!upgrades("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"));
    cr_expect(!upgrades("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"));
    cr_expect(!upgrades("GET / HTTP/1.1",
                        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n"));
    cr_expect(!upgrades("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n"
                                          "Content-Length: 1\r\n"));
}

/* ---- limits ---- */

Test(http1_request, a_head_of_the_limit_and_one_byte_more)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct span bytes = span_make(text, sizeof text - 1);
    static struct verdict verdict;
    struct http_limits limits = {.head_bytes_max = sizeof text - 1, .headers_max = 1};
    parse_whole(bytes, &limits, &verdict);
    cr_expect_eq(verdict.status, STATUS_OK);
    check_splits("at the limit", bytes, &limits, &verdict);
    limits.head_bytes_max--;
    parse_whole(bytes, &limits, &verdict);
    cr_expect_eq(verdict.status, STATUS_TOO_LARGE);
    cr_expect_eq(verdict.refusal, 431);
    check_splits("over the limit", bytes, &limits, &verdict);
    limits.head_bytes_max = 15; /* the first CR is the last byte */
    parse_whole(bytes, &limits, &verdict);
    cr_expect_eq(verdict.refusal, 414);
    check_splits("first line over the limit", bytes, &limits, &verdict);
    limits.head_bytes_max = 16;
    parse_whole(bytes, &limits, &verdict);
    cr_expect_eq(verdict.refusal, 431);
}

Test(http1_request, a_long_target_is_414_and_long_fields_are_431)
{
    static struct verdict verdict;
    char *text = malloc(8192);
    memset(text, 'a', 8192);
    memcpy(text, "GET /", 5);
    parse_whole(span_make(text, 8192), &usual, &verdict);
    cr_expect_eq(verdict.refusal, 414);
    cr_expect_str_eq(verdict.reason, "request line over the limit");
    memcpy(text, "GET / HTTP/1.1\r\nx: ", 19);
    parse_whole(span_make(text, 8192), &usual, &verdict);
    cr_expect_eq(verdict.refusal, 431);
    cr_expect_str_eq(verdict.reason, "head over the limit");
    free(text);
}

Test(http1_request, no_more_headers_than_the_array_holds)
{
    struct http_limits limits = {.head_bytes_max = 4096, .headers_max = 100000};
    static struct verdict verdict;
    char text[4096];
    for (unsigned count = HTTP_HEADERS_MAX - 1; count <= HTTP_HEADERS_MAX; count++) {
        size_t size = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 0; i < count; i++) {
            size += (size_t)snprintf(text + size, sizeof text - size, "a:%u\r\n", i % 10);
        }
        size += (size_t)snprintf(text + size, sizeof text - size, "\r\n");
        parse_whole(span_make(text, size), &limits, &verdict);
        cr_expect_eq(verdict.status == STATUS_OK, count < HTTP_HEADERS_MAX, "%u", count);
        cr_expect_eq(verdict.refusal, count < HTTP_HEADERS_MAX ? 0 : 431);
    }
}

Test(http1_request, a_body_over_the_limit_is_413)
{
    struct http_limits limits = {.head_bytes_max = 4096, .headers_max = 16, .body_bytes_max = 5};
    static struct verdict verdict;
    struct span five = SPAN_LITERAL("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    struct span six = SPAN_LITERAL("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    parse_whole(five, &limits, &verdict);
    cr_expect_eq(verdict.status, STATUS_OK);
    parse_whole(six, &limits, &verdict);
    cr_expect_eq(verdict.status, STATUS_TOO_LARGE);
    cr_expect_eq(verdict.refusal, 413);
    check_splits("body over the limit", six, &limits, &verdict);
}

/* One long line, byte by byte: linear is a million small steps; quadratic would be 10^12 and never
 * end. */
Test(http1_request, a_head_byte_by_byte_costs_linear_time, .timeout = 30)
{
    static const char *const starts[] = {
        "GET /", "GET / HTTP/1.1\r\nHost: a\r\nx: ", "GET / HTTP/1.1\r\nHost: a\r\nx"};
    enum { SIZE = 1 << 20 };
    struct http_limits limits = {.head_bytes_max = SIZE + 1, .headers_max = 16};
    uint8_t *bytes = malloc(SIZE), *out = malloc(SIZE + 9);
    struct http_head *head = malloc(sizeof *head);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        memset(bytes, 'a', SIZE);
        memcpy(bytes, starts[i], strlen(starts[i]));
        struct http1_scan scan = {0};
        struct http_refusal refusal;
        size_t head_size;
        for (size_t size = 0; size <= SIZE; size++) {
            cr_assert_eq(http1_parse_request(&scan, span_make(bytes, size), &limits,
                                             (struct span_mut){out, SIZE + 9}, head, &head_size,
                                             &refusal),
                         STATUS_AGAIN);
        }
    }
    free(head);
    free(out);
    free(bytes);
}
