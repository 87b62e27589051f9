#include "store/resp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct resp_reader *reader;
static const struct resp_answer *answer;

static void set_up(void)
{
    reader = resp_reader_new();
    cr_assert_not_null(reader);
}

static void tear_down(void)
{
    resp_reader_free(reader);
}

static void feed(const char *text)
{
    cr_assert_eq(resp_feed(reader, span_from_string(text)), STATUS_OK);
}

TestSuite(store_resp, .init = set_up, .fini = tear_down);

Test(store_resp, every_kind)
{
    feed("+OK\r\n-OOM no\r\n:-42\r\n");
    cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
    cr_assert_eq(answer->kind, RESP_STATUS);
    cr_assert(span_equal_string(resp_text(answer), "OK"));
    cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
    cr_assert_eq(answer->kind, RESP_ERROR);
    cr_assert(span_equal_string(resp_text(answer), "OOM no"));
    cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
    cr_assert_eq(answer->kind, RESP_INTEGER);
    cr_assert_eq(answer->integer, -42);
}

Test(store_resp, strings_of_any_bytes)
{
    static const char bytes[] = "$5\r\na\r\nb\0\r\n$-1\r\n$0\r\n\r\n";
    cr_assert_eq(resp_feed(reader, span_make(bytes, sizeof bytes - 1)), STATUS_OK);
    cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
    cr_assert_eq(answer->kind, RESP_STRING);
    cr_assert(span_equal(resp_text(answer), SPAN_LITERAL("a\r\nb\0")));
    cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
    cr_assert_eq(answer->kind, RESP_NIL);
    cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
    cr_assert_eq(answer->kind, RESP_STRING);
    cr_assert_eq(answer->size, 0);
    cr_assert_eq(resp_next(reader, &answer), STATUS_AGAIN);
}

Test(store_resp, byte_by_byte)
{
    static const char bytes[] = "$3\r\nabc\r\n:7\r\n+OK\r\n";
    size_t found = 0;
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        cr_assert_eq(resp_feed(reader, span_make(bytes + i, 1)), STATUS_OK);
        while (resp_next(reader, &answer) == STATUS_OK) {
            found++;
        }
    }
    cr_assert_eq(found, 3);
    cr_assert_eq(answer->kind, RESP_STATUS);
}

Test(store_resp, what_nobody_asks_for_is_refused_for_good)
{
    static const char *const bad[] = {
        "*1\r\n:1\r\n", "*2\r\n*1\r\n:1\r\n:2\r\n", "*-2\r\n", "hello\r\n", "$-2\r\n", "$x\r\n",
        ":1x\r\n",      "$9223372036854775807\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        resp_reader_free(reader);
        reader = resp_reader_new();
        feed(bad[i]);
        enum status status = resp_next(reader, &answer);
        if (status == STATUS_AGAIN) { /* a length that never comes */
            char *much = calloc(1, RESP_ANSWER_BYTES_MAX + 1);
            cr_assert_eq(resp_feed(reader, span_make(much, RESP_ANSWER_BYTES_MAX + 1)), STATUS_OK);
            free(much);
            status = resp_next(reader, &answer);
        }
        cr_assert_eq(status, STATUS_MALFORMED, "%s", bad[i]);
        feed("+OK\r\n");
        cr_assert_eq(resp_next(reader, &answer), STATUS_MALFORMED);
    }
}

Test(store_resp, bounds)
{
    /* The longest text that is kept, one more, and one too many to wait for. */
    char *text = malloc(RESP_ANSWER_BYTES_MAX + 1);
    memset(text, 'x', RESP_ANSWER_BYTES_MAX + 1);
    char head[32];
    for (size_t size = RESP_TEXT_BYTES_MAX; size <= RESP_TEXT_BYTES_MAX + 1; size++) {
        (void)snprintf(head, sizeof head, "$%zu\r\n", size);
        feed(head);
        cr_assert_eq(resp_feed(reader, span_make(text, size)), STATUS_OK);
        feed("\r\n");
        cr_assert_eq(resp_next(reader, &answer), STATUS_OK);
        cr_assert_eq(answer->size, RESP_TEXT_BYTES_MAX);
    }
    feed("+");
    cr_assert_eq(resp_feed(reader, span_make(text, RESP_ANSWER_BYTES_MAX - 1)), STATUS_OK);
    cr_assert_eq(resp_next(reader, &answer), STATUS_AGAIN);
    feed("xx"); /* the kind is no part of it */
    cr_assert_eq(resp_next(reader, &answer), STATUS_MALFORMED);
    free(text);
}
