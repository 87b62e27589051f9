#include "http/http1.h"

#include <criterion/criterion.h>

#include <stdio.h>

static struct http_head trailers, head;

static enum status read(const char *text)
{
    return http1_read_trailers(span_from_string(text), &trailers);
}

static void expect_written(const char *want)
{
    char text[1024];
    struct http1_writer writer;
    http1_writer_init(&writer, text, sizeof text);
    http1_write_trailers(&writer, &trailers);
    cr_assert(!writer.overflow);
    cr_assert(span_equal_string(span_make(text, writer.size), want), "%.*s", (int)writer.size,
              text);
}

Test(http1_trailers, a_section_is_read_and_written)
{
    cr_assert_eq(read("X-Late:1\r\nY: \t two words \r\nEmpty:\r\n\r\n"), STATUS_OK);
    cr_assert_eq(trailers.headers_count, 3);
    http_mark_trailers_dropped(NULL, &trailers);
    expect_written("X-Late: 1\r\nY: two words\r\nEmpty: \r\n");
    cr_assert_eq(read("\r\n"), STATUS_OK);
    cr_assert_eq(trailers.headers_count, 0);
}

Test(http1_trailers, what_is_no_section_is_refused)
{
    const char *const wrong[] = {"",
                                 "X: 1",
                                 "X: 1\r\n",
                                 "X : 1\r\n\r\n",
                                 "X\r\n\r\n",
                                 "X: a\rb\r\n\r\n",
                                 " X: 1\r\n\r\n",
                                 "X: 1\n\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(read(wrong[i]), STATUS_MALFORMED, "%s", wrong[i]);
    }
    char many[HTTP1_TRAILERS_MAX * 8 + 16] = {0};
    size_t size = 0;
    for (size_t i = 0; i < HTTP1_TRAILERS_MAX; i++) {
        size += (size_t)snprintf(many + size, sizeof many - size, "a: 1\r\n");
    }
    snprintf(many + size, sizeof many - size, "\r\n");
    cr_assert_eq(read(many), STATUS_OK);
    snprintf(many + size, sizeof many - size, "a: 1\r\n\r\n");
    cr_assert_eq(read(many), STATUS_MALFORMED);
}

/* RFC 9110 section 6.5.1 */
Test(http1_trailers, what_must_not_be_merged_is_dropped)
{
    static const char *const names[] = {
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "TE",
        "Trailer",
        "Connection",
        "Authorization",
        "DPoP",
        "Cookie",
        "Set-Cookie",
        "Cache-Control",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Max-Forwards",
        "X-Popgate-Subject",
        "x_popgate_jkt",
        "Content_Length",
        "Expect",
        "X-Forwarded-Client-Cert",
        "X-Forwarded-For",
        "Date",
        "Location",
        "WWW-Authenticate",
        "If-Match",
        "Range",
        "Upgrade",
        "Proxy-Authorization",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[128];
        snprintf(text, sizeof text, "A: 1\r\n%s: 2\r\nB: 3\r\n\r\n", names[i]);
        cr_assert_eq(read(text), STATUS_OK);
        http_mark_trailers_dropped(NULL, &trailers);
        expect_written("A: 1\r\nB: 3\r\n");
    }
    cr_assert_eq(read("Content-Digest: x\r\ngrpc-status: 0\r\nETag: y\r\n\r\n"), STATUS_OK);
    http_mark_trailers_dropped(NULL, &trailers);
    expect_written("Content-Digest: x\r\ngrpc-status: 0\r\nETag: y\r\n");
}

/* RFC 9110 section 7.6.1: "remove any header or trailer field(s) from the message with the same
 * name as the connection-option". */
Test(http1_trailers, what_connection_names_is_dropped)
{
    http_head_reset(&head);
    http_head_add(&head, SPAN_LITERAL("Connection"), SPAN_LITERAL("keep-alive, x-mine"));
    cr_assert_eq(read("X-Mine: 1\r\nX-Other: 2\r\n\r\n"), STATUS_OK);
    http_mark_trailers_dropped(&head, &trailers);
    expect_written("X-Other: 2\r\n");
    cr_assert(http_connection_names_fields(&head));
}

Test(http1_trailers, usual_connection_options_name_no_field)
{
    http_head_reset(&head);
    cr_assert_not(http_connection_names_fields(&head));
    http_head_add(&head, SPAN_LITERAL("Connection"), SPAN_LITERAL("Keep-Alive,, close ,TE"));
    http_head_add(&head, SPAN_LITERAL("Connection"), SPAN_LITERAL("upgrade"));
    http_head_add(&head, SPAN_LITERAL("X"), SPAN_LITERAL("other"));
    cr_assert_not(http_connection_names_fields(&head));
    http_head_add(&head, SPAN_LITERAL("Connection"), SPAN_LITERAL("other"));
    cr_assert(http_connection_names_fields(&head));
}
