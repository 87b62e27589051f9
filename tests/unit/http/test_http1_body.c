#include "http/http1.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct body_case {
    const char *name;
    const char *bytes;
    size_t size;
    enum status status;  /* STATUS_OK: done; STATUS_AGAIN: not whole */
    const char *payload; /* of good ones */
    size_t rest;         /* bytes behind the body */
};

#define B(text) text, sizeof(text) - 1

static const struct body_case chunked_cases[] = {
    {"one chunk", B("5\r\nhello\r\n0\r\n\r\n"), STATUS_OK, "hello", 0},
    {"two chunks", B("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), STATUS_OK, "hello world", 0},
    {"empty", B("0\r\n\r\n"), STATUS_OK, "", 0},
    {"zeros", B("0000\r\n\r\n"), STATUS_OK, "", 0},
    {"leading zeros", B("0005\r\nhello\r\n00\r\n\r\n"), STATUS_OK, "hello", 0},
    {"hexadecimal", B("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"), STATUS_OK,
     "0123456789abcdefghij", 0},
    {"sixteen digits", B("0000000000000001\r\nx\r\n0\r\n\r\n"), STATUS_OK, "x", 0},
    {"line ends in the data", B("4\r\n\r\n\r\n\r\n0\r\n\r\n"), STATUS_OK, "\r\n\r\n", 0},
    {"the next request behind", B("1\r\nx\r\n0\r\n\r\nGET /"), STATUS_OK, "x", 5},
    {"extension", B("1;a\r\nx\r\n0;b\r\n\r\n"), STATUS_OK, "x", 0},
    {"extension value", B("1;a=b;c=d;e\r\nx\r\n0\r\n\r\n"), STATUS_OK, "x", 0},
    {"extension in quotes", B("1;a=\"b \\\" ;\xff\t\\\\\";c=\"\"\r\nx\r\n0\r\n\r\n"), STATUS_OK,
     "x", 0},
    {"trailer", B("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n"), STATUS_OK, "x", 0},
    {"trailer with obs-text", B("0\r\nA: \xff\t \r\n\r\n"), STATUS_OK, "", 0},
    {"trailer of ours", B("0\r\nX-Popgate-Subject: root\r\nContent-Length: 9\r\n\r\n"), STATUS_OK,
     "", 0},
    {"nothing", B(""), STATUS_AGAIN, "", 0},
    {"half a size", B("5"), STATUS_AGAIN, "", 0},
    {"half a chunk", B("5\r\nhel"), STATUS_AGAIN, "hel", 0},
    {"no last chunk", B("5\r\nhello\r\n"), STATUS_AGAIN, "hello", 0},
    {"no last line", B("0\r\n"), STATUS_AGAIN, "", 0},
    {"no last LF", B("0\r\n\r"), STATUS_AGAIN, "", 0},
    /* sizes */
    {"no size", B("\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"plus", B("+5\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"minus", B("-5\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"minus zero", B("-0\r\n\r\n"), STATUS_MALFORMED},
    {"0x", B("0x5\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"0X", B("0X5\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"x", B("x\r\n"), STATUS_MALFORMED},
    {"g", B("5g\r\n"), STATUS_MALFORMED},
    {"underscore", B("1_0\r\n"), STATUS_MALFORMED},
    {"space before", B(" 5\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"space behind", B("5 \r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"tab behind", B("5\t\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"space within", B("1 0\r\n"), STATUS_MALFORMED},
    {"space before the extension", B("5 ;a\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"seventeen digits", B("00000000000000001\r\nx\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"2^63", B("8000000000000000\r\nx"), STATUS_MALFORMED},
    {"2^64 - 1", B("ffffffffffffffff\r\nx"), STATUS_MALFORMED},
    {"2^64 + 5", B("10000000000000005\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"NUL", B("5\0\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"obs-text", B("5\xa0\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    /* line ends */
    {"bare LF behind the size", B("5\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"bare CR behind the size", B("5\rhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"CR CR LF", B("5\r\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"bare LF behind the data", B("5\r\nhello\n0\r\n\r\n"), STATUS_MALFORMED},
    {"bare CR behind the data", B("5\r\nhello\r0\r\n\r\n"), STATUS_MALFORMED},
    {"no line end behind the data", B("5\r\nhello0\r\n\r\n"), STATUS_MALFORMED},
    {"junk behind the data", B("5\r\nhelloXX\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"chunk longer than its size", B("5\r\nhello!\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"chunk shorter than its size", B("6\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    /* one byte of a CRLF replaced, the rest in its place */
    {"other byte for the size's LF", B("5\rXhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"other byte for the data's CR", B("5\r\nhelloX\n0\r\n\r\n"), STATUS_MALFORMED},
    {"other byte for the data's LF", B("5\r\nhello\rX0\r\n\r\n"), STATUS_MALFORMED},
    {"other byte for the last size's LF", B("0\rX\r\n"), STATUS_MALFORMED},
    {"other byte for a trailer's LF", B("0\r\nA: b\rX\r\n"), STATUS_MALFORMED},
    {"other byte for the last LF", B("0\r\n\rX"), STATUS_MALFORMED},
    {"bare LF behind the last chunk", B("0\n\r\n"), STATUS_MALFORMED},
    {"bare LF at the end", B("0\r\n\n"), STATUS_MALFORMED},
    {"bare CR at the end", B("0\r\n\rx"), STATUS_MALFORMED},
    /* extensions */
    {"empty extension", B("5;\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"two semicolons", B("5;;a\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"extension without a name", B("5;=a\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"extension without a value", B("5;a=\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"extension with two values", B("5;a=b=c\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"extension name in quotes", B("5;\"a\"\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"quotes within a value", B("5;a=b\"c\"\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"junk behind quotes", B("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"space in an extension", B("5; a\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"space behind an extension", B("5;a \r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"bare LF in an extension", B("5;a\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"bare LF in quotes", B("5;a=\"\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"bare CR in quotes", B("5;a=\"\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"escaped LF in quotes", B("5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    {"NUL in an extension", B("5;a\0\r\nhello\r\n0\r\n\r\n"), STATUS_MALFORMED},
    /* trailers */
    {"trailer with a space before the colon", B("0\r\nA : b\r\n\r\n"), STATUS_MALFORMED},
    {"trailer without a name", B("0\r\n: b\r\n\r\n"), STATUS_MALFORMED},
    {"trailer without a colon", B("0\r\nA\r\n\r\n"), STATUS_MALFORMED},
    {"trailer folded", B("0\r\nA: b\r\n c\r\n\r\n"), STATUS_MALFORMED},
    {"trailer folded by a tab", B("0\r\nA: b\r\n\tc\r\n\r\n"), STATUS_MALFORMED},
    {"trailer with bare LF", B("0\r\nA: b\n\r\n"), STATUS_MALFORMED},
    {"trailer with bare CR", B("0\r\nA: b\rc\r\n\r\n"), STATUS_MALFORMED},
    {"trailer with NUL", B("0\r\nA: \0\r\n\r\n"), STATUS_MALFORMED},
    {"trailer with delete", B("0\r\nA: \x7f\r\n\r\n"), STATUS_MALFORMED},
    {"trailer name with a NUL", B("0\r\nA\0: b\r\n\r\n"), STATUS_MALFORMED},
    {"trailer name with obs-text", B("0\r\nA\xff: b\r\n\r\n"), STATUS_MALFORMED},
    {"a request where a trailer belongs", B("0\r\nGET / HTTP/1.1\r\n\r\n"), STATUS_MALFORMED},
};

struct outcome {
    enum status status; /* STATUS_AGAIN: not done when the bytes ended */
    size_t consumed;
    size_t payload_size;
    uint8_t payload[65536];
};

/* Feeds `bytes` in pieces that end at `split` and then every `step`, each on memory of its own. */
static void feed(struct http1_body *body, struct span bytes, size_t split, size_t step,
                 struct outcome *outcome)
{
    outcome->status = STATUS_AGAIN;
    outcome->consumed = 0;
    outcome->payload_size = 0;
    size_t end = split;
    while (!body->done) {
        size_t available = end < bytes.size ? end : bytes.size;
        size_t size = available - outcome->consumed;
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, bytes.data + outcome->consumed, size);
        size_t consumed;
        struct span payload;
        enum status status = http1_body_feed(body, span_make(copy, size), &consumed, &payload);
        if (status == STATUS_OK) {
            cr_assert(payload.size <= consumed && consumed <= size);
            cr_assert(payload.data >= copy && payload.data + payload.size <= copy + size);
            memcpy(outcome->payload + outcome->payload_size, payload.data, payload.size);
            outcome->payload_size += payload.size;
            outcome->consumed += consumed;
        }
        free(copy);
        if (status != STATUS_OK) {
            outcome->status = status;
            return;
        }
        if (consumed == size && !body->done) {
            if (available == bytes.size) {
                return;
            }
            end = available + step;
        }
    }
    outcome->status = STATUS_OK;
}

static struct http_head head_of(enum http_body_kind kind, uint64_t length)
{
    struct http_head head;
    http_head_reset(&head);
    head.body = kind;
    head.content_length = length;
    return head;
}

static void start(struct http1_body *body, enum http_body_kind kind, uint64_t length, uint64_t max)
{
    struct http_head head = head_of(kind, length);
    http1_body_init(body, &head, max);
}

static void expect_same(const char *name, size_t split, const struct outcome *a,
                        const struct outcome *b)
{
    cr_expect(a->status == b->status &&
                  (a->status == STATUS_MALFORMED || a->status == STATUS_TOO_LARGE ||
                   (a->consumed == b->consumed && a->payload_size == b->payload_size)) &&
                  a->payload_size == b->payload_size &&
                  memcmp(a->payload, b->payload, a->payload_size) == 0,
              "%s split at %zu: %s, %zu; whole: %s, %zu", name, split, status_name(b->status),
              b->payload_size, status_name(a->status), a->payload_size);
}

Test(http1_body, chunked_bodies_at_every_split)
{
    static struct outcome whole, split;
    for (size_t i = 0; i < sizeof chunked_cases / sizeof *chunked_cases; i++) {
        const struct body_case *c = &chunked_cases[i];
        struct span bytes = span_make(c->bytes, c->size);
        struct http1_body body;
        start(&body, HTTP_BODY_CHUNKED, 0, 0);
        feed(&body, bytes, c->size, 1, &whole);
        cr_expect_eq(whole.status, c->status, "%s: %s", c->name, status_name(whole.status));
        if (c->payload != NULL) {
            cr_expect(span_equal_string(span_make(whole.payload, whole.payload_size), c->payload),
                      "%s", c->name);
            cr_expect_eq(whole.consumed, c->size - c->rest, "%s", c->name);
            cr_expect_eq(body.total, strlen(c->payload), "%s", c->name);
        }
        start(&body, HTTP_BODY_CHUNKED, 0, 0);
        feed(&body, bytes, 0, 1, &split);
        expect_same(c->name, 0, &whole, &split);
        for (size_t at = 0; at < c->size; at++) {
            start(&body, HTTP_BODY_CHUNKED, 0, 0);
            feed(&body, bytes, at, c->size, &split);
            expect_same(c->name, at, &whole, &split);
        }
    }
}

Test(http1_body, none_is_done_and_takes_nothing)
{
    struct http1_body body;
    start(&body, HTTP_BODY_NONE, 7, 0);
    cr_expect(body.done);
    size_t consumed = 9;
    struct span payload;
    cr_expect_eq(http1_body_feed(&body, SPAN_LITERAL("GET /"), &consumed, &payload), STATUS_OK);
    cr_expect_eq(consumed, 0);
    cr_expect_eq(payload.size, 0);
    start(&body, HTTP_BODY_LENGTH, 0, 0);
    cr_expect(body.done);
    cr_expect_eq(http1_body_feed(&body, SPAN_LITERAL("GET /"), &consumed, &payload), STATUS_OK);
    cr_expect_eq(consumed, 0);
    start(&body, HTTP_BODY_CHUNKED, 0, 0);
    cr_expect(!body.done);
    cr_expect_eq(http1_body_feed(&body, SPAN_LITERAL("0\r\n\r\n"), &consumed, &payload), STATUS_OK);
    cr_expect(body.done);
    cr_expect_eq(http1_body_feed(&body, SPAN_LITERAL("GET /"), &consumed, &payload), STATUS_OK);
    cr_expect_eq(consumed, 0);
}

Test(http1_body, a_length_is_exact)
{
    static struct outcome outcome;
    struct span bytes = SPAN_LITERAL("helloGET /");
    for (size_t split = 0; split <= bytes.size; split++) {
        struct http1_body body;
        start(&body, HTTP_BODY_LENGTH, 5, 0);
        feed(&body, bytes, split, split == 0 ? 1 : bytes.size, &outcome);
        cr_expect_eq(outcome.status, STATUS_OK);
        cr_expect_eq(outcome.consumed, 5);
        cr_expect(span_equal_string(span_make(outcome.payload, outcome.payload_size), "hello"));
        cr_expect_eq(body.total, 5);
    }
    struct http1_body body;
    start(&body, HTTP_BODY_LENGTH, 50, 0);
    feed(&body, bytes, bytes.size, 1, &outcome);
    cr_expect_eq(outcome.status, STATUS_AGAIN);
    cr_expect_eq(body.left, 40);
    start(&body, HTTP_BODY_LENGTH, INT64_MAX, 0);
    feed(&body, bytes, bytes.size, 1, &outcome);
    cr_expect_eq(outcome.status, STATUS_AGAIN);
}

Test(http1_body, until_close_takes_everything_and_is_never_done)
{
    static struct outcome outcome;
    struct http1_body body;
    start(&body, HTTP_BODY_UNTIL_CLOSE, 0, 0);
    feed(&body, SPAN_LITERAL("0\r\n\r\n"), 2, 1, &outcome);
    cr_expect_eq(outcome.status, STATUS_AGAIN);
    cr_expect_eq(outcome.payload_size, 5);
    cr_expect_eq(body.total, 5);
    cr_expect(!body.done);
}

Test(http1_body, a_body_of_the_limit_and_one_byte_more)
{
    static struct outcome outcome;
    static const struct {
        enum http_body_kind kind;
        const char *fits, *over;
    } limits[] = {
        {HTTP_BODY_CHUNKED, "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
         "2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n"},
        {HTTP_BODY_CHUNKED, "5\r\nabcde\r\n0\r\n\r\n", "6\r\n"},
        {HTTP_BODY_CHUNKED, "5\r\nabcde\r\n0\r\n\r\n", "7fffffffffffffff\r\n"},
        {HTTP_BODY_CHUNKED, "5\r\nabcde\r\n0\r\n\r\n", "5\r\nabcde\r\n7fffffffffffffff\r\n"},
        {HTTP_BODY_UNTIL_CLOSE, "abcde", "abcdef"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct span fits = span_from_string(limits[i].fits),
                    over = span_from_string(limits[i].over);
        for (size_t split = 0; split <= over.size; split++) {
            struct http1_body body;
            start(&body, limits[i].kind, 0, 5);
            feed(&body, fits, split, 1, &outcome);
            cr_expect_eq(outcome.status,
                         limits[i].kind == HTTP_BODY_CHUNKED ? STATUS_OK : STATUS_AGAIN);
            cr_expect_eq(outcome.payload_size, 5);
            start(&body, limits[i].kind, 0, 5);
            feed(&body, over, split, 1, &outcome);
            cr_expect_eq(outcome.status, STATUS_TOO_LARGE, "%zu", i);
            cr_expect(outcome.payload_size <= 5);
        }
    }
    struct http1_body body;
    start(&body, HTTP_BODY_LENGTH, 5, 5);
    feed(&body, SPAN_LITERAL("abcde"), 2, 1, &outcome);
    cr_expect_eq(outcome.status, STATUS_OK);
    start(&body, HTTP_BODY_LENGTH, 6, 5);
    feed(&body, SPAN_LITERAL("abcdef"), 2, 1, &outcome);
    cr_expect_eq(outcome.status, STATUS_TOO_LARGE);
    cr_expect_eq(outcome.payload_size, 0);
}

/* The bound is on all extensions of a message together: small chunks with long ones are an attack
 * (CVE-2023-39326). */
Test(http1_body, extensions_are_bounded_together)
{
    static struct outcome outcome;
    static char text[65536];
    for (size_t over = 0; over <= 1; over++) {
        size_t size = 0, extension = 0;
        while (extension + 64 <= HTTP1_EXTENSION_BYTES_MAX) {
            /* 63 bytes and the CR that ends them */
            size += (size_t)snprintf(text + size, sizeof text - size, "1;%063d\r\nx\r\n", 0);
            extension += 64;
        }
        size += (size_t)snprintf(text + size, sizeof text - size, "%s", over ? "1;a\r\nx\r\n" : "");
        size += (size_t)snprintf(text + size, sizeof text - size, "0\r\n\r\n");
        struct http1_body body;
        start(&body, HTTP_BODY_CHUNKED, 0, 0);
        feed(&body, span_make(text, size), size, 1, &outcome);
        cr_expect_eq(outcome.status, over ? STATUS_TOO_LARGE : STATUS_OK);
    }
}

Test(http1_body, trailers_are_bounded_in_number_and_bytes)
{
    static struct outcome outcome;
    static char text[65536];
    struct http1_body body;
    for (unsigned count = HTTP1_TRAILERS_MAX; count <= HTTP1_TRAILERS_MAX + 1; count++) {
        size_t size = (size_t)snprintf(text, sizeof text, "0\r\n");
        for (unsigned i = 0; i < count; i++) {
            size += (size_t)snprintf(text + size, sizeof text - size, "a:\r\n");
        }
        size += (size_t)snprintf(text + size, sizeof text - size, "\r\n");
        start(&body, HTTP_BODY_CHUNKED, 0, 0);
        feed(&body, span_make(text, size), size, 1, &outcome);
        cr_expect_eq(outcome.status, count > HTTP1_TRAILERS_MAX ? STATUS_TOO_LARGE : STATUS_OK);
    }
    /* "a:" and the value, its CR and that of the empty line; line feeds are not counted. */
    for (int value = HTTP1_TRAILER_BYTES_MAX - 4; value <= HTTP1_TRAILER_BYTES_MAX - 3; value++) {
        size_t size = (size_t)snprintf(text, sizeof text, "1;extension\r\nx\r\n0\r\na:%0*d\r\n\r\n",
                                       value, 0);
        start(&body, HTTP_BODY_CHUNKED, 0, 0);
        feed(&body, span_make(text, size), size, 1, &outcome);
        cr_expect_eq(outcome.status,
                     value > HTTP1_TRAILER_BYTES_MAX - 4 ? STATUS_TOO_LARGE : STATUS_OK, "%d",
                     value);
    }
}

/* The trailer parts of every call, together, are the section and its empty line, however the bytes
 * come. */
Test(http1_body, the_trailer_section_is_given_out_whole)
{
    static const char text[] = "3\r\nabc\r\n0\r\nX-Late: 1\r\nY: \r\n\r\nnext";
    static const char want[] = "X-Late: 1\r\nY: \r\n\r\n";
    for (size_t step = 1; step < sizeof text; step++) {
        struct http1_body body;
        start(&body, HTTP_BODY_CHUNKED, 0, 0);
        char got[64];
        size_t got_size = 0, at = 0;
        while (!body.done) {
            size_t left = sizeof text - 1 - at;
            size_t consumed;
            struct span payload;
            cr_assert_eq(http1_body_feed(&body, span_make(text + at, left < step ? left : step),
                                         &consumed, &payload),
                         STATUS_OK);
            memcpy(got + got_size, body.trailer_part.data, body.trailer_part.size);
            got_size += body.trailer_part.size;
            at += consumed;
        }
        cr_assert_eq(body.trailer_count, 2);
        cr_assert_eq(got_size, sizeof want - 1);
        cr_assert_eq(memcmp(got, want, got_size), 0);
    }
}
