#include "proxy/upstream_h2_internal.h"

#include <criterion/criterion.h>

static struct h2_fields fields;
static struct http_head head;

static void fill(const char *text)
{
    head.uri.authority = SPAN_LITERAL("a.example");
    fields.count = 0;
    upstream_h2_fill_head(&fields, span_from_string(text), &head);
}

static void expect(size_t at, const char *name, const char *value)
{
    cr_assert_lt(at, fields.count);
    cr_assert(span_equal_string(fields.list[at].name, name), "%.*s",
              SPAN_ARG(fields.list[at].name));
    cr_assert(span_equal_string(fields.list[at].value, value), "%.*s",
              SPAN_ARG(fields.list[at].value));
}

Test(upstream_h2_head, lines_become_pseudo_header_fields_and_fields)
{
    http_head_reset(&head);
    fill("POST /a?b HTTP/1.1\r\nHost: a.example\r\nx-a: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    cr_assert_eq(fields.count, 5);
    expect(0, ":method", "POST");
    expect(1, ":scheme", "http");
    expect(2, ":authority", "a.example");
    expect(3, ":path", "/a?b");
    expect(4, "x-a", "1");
}

Test(upstream_h2_head, te_trailers_is_asked_for_anew)
{
    http_head_reset(&head);
    head.te_trailers = true;
    fill("POST / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    cr_assert_eq(fields.count, 5);
    expect(4, "te", "trailers");
}

Test(upstream_h2_head, a_websocket_is_extended_connect)
{
    http_head_reset(&head);
    head.upgrade_websocket = true;
    fill("GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Key: x\r\nsec-websocket-version: 13\r\n\r\n");
    cr_assert_eq(fields.count, 6);
    expect(0, ":method", "CONNECT");
    expect(1, ":protocol", "websocket");
    expect(2, ":scheme", "http");
    expect(3, ":authority", "a.example");
    expect(4, ":path", "/ws");
    expect(5, "sec-websocket-version", "13");
}
