#include "proxy/h2_fields.h"

#include <criterion/criterion.h>

static struct h2_fields fields;
static struct http_head head;
static struct chunk_pool pool;
static struct buffer buffer;

static void setup(void)
{
    chunk_pool_init(&pool, 64, 1);
    buffer_init(&buffer, &pool);
    http_head_reset(&head);
    fields.count = 0;
}

static void teardown(void)
{
    buffer_clear(&buffer);
    chunk_pool_cleanup(&pool);
}

TestSuite(h2_fields, .init = setup, .fini = teardown);

static void trailer(const char *name, const char *value, bool dropped)
{
    http_head_add(&head, span_from_string(name), span_from_string(value));
    head.headers[head.headers_count - 1].dropped = dropped;
}

Test(h2_fields, lines_become_fields)
{
    h2_fields_add_lines(&fields, SPAN_LITERAL("a: 1\r\nb: \r\nc: x: y\r\n"));
    cr_assert_eq(fields.count, 3);
    cr_assert(span_equal_string(fields.list[0].name, "a"));
    cr_assert(span_equal_string(fields.list[0].value, "1"));
    cr_assert(span_equal_string(fields.list[1].value, ""));
    cr_assert(span_equal_string(fields.list[2].value, "x: y"));
    h2_fields_add_lines(&fields, SPAN_LITERAL(""));
    h2_fields_add_lines(&fields, SPAN_LITERAL("\n"));
    h2_fields_add_lines(&fields, SPAN_LITERAL("no colon\r\n: empty\r\n"));
    cr_assert_eq(fields.count, 3);
}

Test(h2_fields, no_more_than_fit)
{
    for (size_t i = 0; i < H2_FIELDS_MAX + 5; i++) {
        h2_fields_add(&fields, SPAN_LITERAL("a"), SPAN_LITERAL("1"));
    }
    cr_assert_eq(fields.count, H2_FIELDS_MAX);
}

Test(h2_fields, trailers_are_kept_without_what_is_dropped)
{
    trailer("grpc-status", "0", false);
    trailer("x-popgate-subject", "admin", true);
    trailer("x", "y", false);
    cr_assert_eq(h2_fields_keep(&buffer, &head), STATUS_OK);
    cr_assert(span_equal_string(h2_fields_kept(&buffer), "grpc-status: 0\r\nx: y\r\n"));
    h2_fields_add_lines(&fields, h2_fields_kept(&buffer));
    cr_assert_eq(fields.count, 2);
}

Test(h2_fields, none_are_none)
{
    cr_assert_eq(h2_fields_keep(&buffer, &head), STATUS_OK);
    cr_assert_eq(h2_fields_kept(&buffer).size, 0);
}

Test(h2_fields, what_does_not_fit_is_refused)
{
    trailer("grpc-message", "twelve and twelve and twelve and twelve", false); /* 55 bytes */
    cr_assert_eq(h2_fields_keep(&buffer, &head), STATUS_OK);
    struct buffer other;
    buffer_init(&other, &pool);
    cr_assert_eq(h2_fields_keep(&other, &head), STATUS_FULL);
    cr_assert_eq(other.size, 0);
    trailer("x", "12345", false);
    cr_assert_eq(h2_fields_keep(&other, &head), STATUS_TOO_LARGE);
}
