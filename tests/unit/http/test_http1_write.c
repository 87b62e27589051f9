#include "support.h"

#include <criterion/criterion.h>

static const struct http_limits usual = {.head_bytes_max = 4096, .headers_max = 32};
static struct http_head head;
static char input[4096], output[4096];
static uint8_t target[4096 + 8];

static const struct http_head *request(const char *text)
{
    struct http1_scan scan = {0};
    struct http_refusal refusal = {0, ""};
    size_t size;
    snprintf(input, sizeof input, "%s", text);
    cr_assert_eq(http1_parse_request(&scan, span_from_string(input), &usual,
                                     (struct span_mut){target, sizeof target}, &head, &size,
                                     &refusal),
                 STATUS_OK, "%s", refusal.reason);
    http_mark_dropped(&head, false);
    return &head;
}

static const struct http_head *response(const char *text, const char *method)
{
    struct http1_scan scan = {0};
    const char *reason = "";
    size_t size;
    snprintf(input, sizeof input, "%s", text);
    cr_assert_eq(http1_parse_response(&scan, span_from_string(input), &usual,
                                      span_from_string(method), true, &head, &size, &reason),
                 STATUS_OK, "%s", reason);
    http_mark_dropped(&head, false);
    return &head;
}

static void expect_request(const char *text, const char *expected)
{
    struct http1_writer writer;
    http1_writer_init(&writer, output, sizeof output);
    http1_write_request_head(&writer, request(text));
    cr_expect(!writer.overflow);
    cr_expect(span_equal_string(span_make(output, writer.size), expected), "%.*s", (int)writer.size,
              output);
}

static void expect_response(const char *text, const char *method, uint8_t minor, bool keep_alive,
                            const char *expected)
{
    struct http1_writer writer;
    http1_writer_init(&writer, output, sizeof output);
    http1_write_response_head(&writer, response(text, method), minor, keep_alive);
    cr_expect(!writer.overflow);
    cr_expect(span_equal_string(span_make(output, writer.size), expected), "%.*s", (int)writer.size,
              output);
}

/* RFC 8441: a tunnel asked for by CONNECT is asked for by GET in HTTP/1.1. */
Test(http1_write, an_extended_connect_goes_on_as_an_upgrade)
{
    request("GET /chat HTTP/1.1\r\nHost: a.example\r\n\r\n");
    head.method = SPAN_LITERAL("CONNECT");
    head.extended_connect = head.upgrade_websocket = true;
    struct http1_writer writer;
    http1_writer_init(&writer, output, sizeof output);
    http1_write_request_head(&writer, &head);
    cr_expect(span_equal_string(span_make(output, writer.size),
                                "GET /chat HTTP/1.1\r\nHost: a.example\r\n"
                                "Connection: upgrade\r\nUpgrade: websocket\r\n"),
              "%.*s", (int)writer.size, output);
}

Test(http1_write, a_request_goes_on_normalised_and_with_our_framing)
{
    expect_request("GET /a/../%7e?b=%2f HTTP/1.0\r\nHost: A.Example:443\r\n"
                   "Connection: keep-alive, X-Gone\r\nX-Gone: 1\r\nAccept:*/*\r\n"
                   "X-Popgate-Subject: root\r\nDPoP: p\r\nAuthorization: DPoP t\r\n"
                   "Keep-Alive: 5\r\nEmpty:\r\n\r\n",
                   "GET /~?b=%2f HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nEmpty: \r\n");
    expect_request(
        "PUT https://a.example/x HTTP/1.1\r\nHost: a.example\r\nContent-Length:5\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n");
    expect_request("PUT / HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding: CHUNKED\r\nTrailer: x\r\n"
                   "TE: trailers\r\nExpect: 100-continue\r\n\r\n",
                   "PUT / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nExpect: 100-continue\r\n"
                   "Transfer-Encoding: chunked\r\n");
    expect_request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTrailer: x\r\n"
                   "TE: deflate, Trailers\r\nConnection: te\r\n\r\n",
                   "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTE: trailers\r\n"
                   "Connection: TE\r\n");
    expect_request("GET / HTTP/1.1\r\nHost: a\r\nTE: deflate\r\nConnection: te\r\n\r\n",
                   "GET / HTTP/1.1\r\nHost: a\r\n");
    expect_request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
                   "PUT / HTTP/1.1\r\nHost: a\r\n");
    expect_request("GET /? HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
                   "Sec-WebSocket-Key: k\r\n\r\n",
                   "GET /? HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n"
                   "Upgrade: websocket\r\n");
    expect_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
                   "GET / HTTP/1.1\r\nHost: a\r\n");
}

/* What the fuzzer holds too: a head written again is the same head. */
Test(http1_write, a_written_request_reads_as_the_same_request)
{
    static char first[DUMP_BYTES], second[DUMP_BYTES];
    struct http1_writer writer;
    http1_writer_init(&writer, output, sizeof output);
    http1_write_request_head(&writer,
                             request("POST /a/./b?c HTTP/1.1\r\nHost: A:443\r\nX: \xff y\r\n"
                                     "Content-Length: 7\r\n\r\n"));
    http1_write(&writer, SPAN_LITERAL("\r\n"));
    output[writer.size] = '\0';
    request(output);
    head.target = span_make(NULL, 0);
    dump_head(&head, first);
    http1_writer_init(&writer, output, sizeof output);
    http1_write_request_head(&writer, &head);
    http1_write(&writer, SPAN_LITERAL("\r\n"));
    output[writer.size] = '\0';
    request(output);
    head.target = span_make(NULL, 0);
    dump_head(&head, second);
    cr_expect_str_eq(first, second);
    cr_expect_not_null(strstr(first, "path=/a/b\n"));
}

Test(http1_write, a_response_is_framed_for_the_client_it_goes_to)
{
    static const char counted[] = "HTTP/1.1 200 Fine\r\nConnection: close, X\r\nX: 1\r\n"
                                  "Content-Length: 5\r\nServer: s\r\n\r\n";
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n";
    static const char endless[] = "HTTP/1.0 200\r\nA: b\r\n\r\n";
    expect_response(counted, "GET", 1, true,
                    "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 5\r\n");
    expect_response(counted, "GET", 1, false,
                    "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 5\r\nConnection: close\r\n");
    expect_response(counted, "GET", 0, true,
                    "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 5\r\n"
                    "Connection: keep-alive\r\n");
    expect_response(counted, "GET", 0, false,
                    "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 5\r\nConnection: close\r\n");
    expect_response(chunked, "GET", 1, true,
                    "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n");
    expect_response(chunked, "GET", 0, true, "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n");
    expect_response(endless, "GET", 1, true,
                    "HTTP/1.1 200 \r\nA: b\r\nTransfer-Encoding: chunked\r\n");
    expect_response(endless, "GET", 0, true, "HTTP/1.1 200 \r\nA: b\r\nConnection: close\r\n");
}

Test(http1_write, responses_without_a_body_keep_their_length_where_it_means_something)
{
    static const char counted[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    expect_response(counted, "HEAD", 1, true, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
    expect_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", 1, true,
                    "HTTP/1.1 200 OK\r\n");
    expect_response("HTTP/1.1 304 x\r\nContent-Length: 5\r\nETag: e\r\n\r\n", "GET", 1, true,
                    "HTTP/1.1 304 x\r\nETag: e\r\nContent-Length: 5\r\n");
    expect_response("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", "GET", 1, true,
                    "HTTP/1.1 204 x\r\n");
    expect_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", 1, true,
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
}

Test(http1_write, interim_responses_have_neither_framing_nor_persistence)
{
    expect_response("HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close\r\n\r\n", "GET", 1,
                    false, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n");
    expect_response(
        "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nA: b\r\n\r\n",
        "GET", 1, false,
        "HTTP/1.1 101 Switching\r\nA: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n");
}

Test(http1_write, answers_of_our_own)
{
    struct http1_writer writer;
    http1_writer_init(&writer, output, sizeof output);
    http1_write_answer(&writer, 401, SPAN_LITERAL("WWW-Authenticate: DPoP\r\n"), "text/plain",
                       SPAN_LITERAL("no\n"), true, false);
    cr_expect(span_equal_string(span_make(output, writer.size),
                                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: DPoP\r\n"
                                "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n"));
    http1_writer_init(&writer, output, sizeof output);
    http1_write_answer(&writer, 400, span_make(NULL, 0), NULL, SPAN_LITERAL("no\n"), false, true);
    cr_expect(span_equal_string(
        span_make(output, writer.size),
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"));
}

Test(http1_write, what_does_not_fit_is_not_written_and_is_remembered)
{
    static char full[4096];
    struct http1_writer writer;
    http1_writer_init(&writer, full, sizeof full);
    http1_write_request_head(&writer, request("PUT /a?b HTTP/1.1\r\nHost: a\r\nX: yyyy\r\n"
                                              "Content-Length: 12\r\n\r\n"));
    size_t whole = writer.size;
    cr_assert(!writer.overflow);
    for (size_t capacity = 0; capacity <= whole; capacity++) {
        char *small = malloc(capacity + 1);
        http1_writer_init(&writer, small, capacity);
        http1_write_request_head(&writer, &head);
        cr_expect_eq(writer.overflow, capacity < whole, "%zu", capacity);
        cr_expect(writer.size <= capacity);
        free(small);
    }
}

Test(http1_write, no_value_can_forge_a_line)
{
    static const char *const bad[] = {"a\r\nX-Popgate-Subject: root", "a\n", "\r", "\x01", "\x7f"};
    struct http1_writer writer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        http1_writer_init(&writer, output, sizeof output);
        http1_write_header(&writer, "X", span_from_string(bad[i]));
        cr_expect(writer.overflow && writer.size == 0);
    }
    http1_writer_init(&writer, output, sizeof output);
    http1_write_header(&writer, "X", span_make("a\0b", 3));
    cr_expect(writer.overflow);
    http1_writer_init(&writer, output, sizeof output);
    http1_write_header(&writer, "X", SPAN_LITERAL("a\tb \xff"));
    cr_expect(!writer.overflow);
    cr_expect(span_equal_string(span_make(output, writer.size), "X: a\tb \xff\r\n"));
    http1_writer_init(&writer, output, 9);
    http1_write_header(&writer, "Long-Name-Of-A-Header", SPAN_LITERAL("1"));
    http1_write_header(&writer, "X", SPAN_LITERAL("a long value of a header"));
    cr_expect(writer.overflow && writer.size == 0);
}

Test(http1_write, numbers_and_chunk_prefixes)
{
    static const struct {
        uint64_t number;
        const char *decimal, *prefix;
    } numbers[] = {
        {0, "0", "0\r\n"},
        {9, "9", "9\r\n"},
        {10, "10", "a\r\n"},
        {255, "255", "ff\r\n"},
        {256, "256", "100\r\n"},
        {4096, "4096", "1000\r\n"},
        {UINT64_C(0x1a2b), "6699", "1a2b\r\n"},
        {UINT64_MAX, "18446744073709551615", "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct http1_writer writer;
        http1_writer_init(&writer, output, sizeof output);
        http1_write_number(&writer, numbers[i].number);
        http1_write_string(&writer, "");
        cr_expect(span_equal_string(span_make(output, writer.size), numbers[i].decimal));
        char prefix[18];
        size_t size = http1_chunk_prefix(numbers[i].number, prefix);
        cr_expect(span_equal_string(span_make(prefix, size), numbers[i].prefix));
    }
}
