#include "jose/json_write.h"

#include "jose/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static char out[1024];
static struct json_writer writer;
static struct span text;

static void begin(void)
{
    json_write_begin(&writer, out, sizeof out);
}
TestSuite(json_write, .init = begin);

static void written(const char *expected)
{
    cr_assert_eq(json_write_end(&writer, &text), STATUS_OK);
    cr_assert(span_equal_string(text, expected), "%.*s is not %s", SPAN_ARG(text), expected);
}

Test(json_write, every_kind_of_value_and_the_commas_between)
{
    json_write_object(&writer);
    json_write_string_member(&writer, "s", SPAN_LITERAL("x"));
    json_write_name_string(&writer, "a");
    json_write_array(&writer);
    json_write_integer(&writer, 1);
    json_write_boolean(&writer, true);
    json_write_boolean(&writer, false);
    json_write_null(&writer);
    json_write_string(&writer, SPAN_LITERAL(""));
    json_write_array(&writer);
    json_write_array_end(&writer);
    json_write_object(&writer);
    json_write_object_end(&writer);
    json_write_json(&writer, SPAN_LITERAL("1.5"));
    json_write_array_end(&writer);
    json_write_name(&writer, SPAN_LITERAL("o"));
    json_write_object(&writer);
    json_write_name_string(&writer, "");
    json_write_null(&writer);
    json_write_object_end(&writer);
    json_write_name_string(&writer, "n");
    json_write_integer(&writer, -7);
    json_write_object_end(&writer);
    written("{\"s\":\"x\",\"a\":[1,true,false,null,\"\",[],{},1.5],\"o\":{\"\":null},\"n\":-7}");
}

Test(json_write, integers_at_their_ends)
{
    json_write_array(&writer);
    json_write_integer(&writer, INT64_MAX);
    json_write_integer(&writer, INT64_MIN);
    json_write_integer(&writer, 0);
    json_write_array_end(&writer);
    written("[9223372036854775807,-9223372036854775808,0]");
}

Test(json_write, strings_are_escaped)
{
    json_write_array(&writer);
    json_write_string(&writer, SPAN_LITERAL("\"\\/\n\r\t\b\f\0\x1f\x7f</script>"));
    json_write_string(&writer, SPAN_LITERAL("a\"b"));
    json_write_string(&writer, SPAN_LITERAL("\n"));
    json_write_string(&writer, SPAN_LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    json_write_array_end(&writer);
    written("[\"\\\"\\\\/\\u000a\\u000d\\u0009\\u0008\\u000c\\u0000\\u001f\x7f</script>\","
            "\"a\\\"b\",\"\\u000a\",\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]");
}

Test(json_write, names_are_escaped)
{
    json_write_object(&writer);
    json_write_name(&writer, SPAN_LITERAL("a\"\n"));
    json_write_null(&writer);
    json_write_object_end(&writer);
    written("{\"a\\\"\\u000a\":null}");
}

/* RFC 3629 section 4 at its edges. */
Test(json_write, utf8)
{
    static const char *const good[] = {"\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xe1\x80\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf1\x80\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x7f",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xe1\x80\x7f",
                                      "\xe1\x80\xc0",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf1\x80\x80",
                                      "\xf1\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf1\x80\x80\x7f",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "a\xff",
                                      "\xc3\xa9\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        begin();
        json_write_string(&writer, span_from_string(good[i]));
        cr_expect_eq(json_write_end(&writer, &text), STATUS_OK, "good %zu", i);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        begin();
        json_write_string(&writer, span_from_string(bad[i]));
        json_write_null(&writer);
        cr_expect_eq(json_write_end(&writer, &text), STATUS_MALFORMED, "bad %zu", i);
        cr_expect_eq(text.size, 0);
    }
}

Test(json_write, memory_is_bounded_at_every_size)
{
    static const char whole[] = "{\"a\\\"\":[\"\\u0000\xc3\xa9\",-1,true,null,{}]}";
    for (size_t size = 0; size <= sizeof whole; size++) {
        char *exact = malloc(size > 0 ? size : 1);
        json_write_begin(&writer, exact, size);
        json_write_object(&writer);
        json_write_name_string(&writer, "a\"");
        json_write_array(&writer);
        json_write_string(&writer, SPAN_LITERAL("\0\xc3\xa9"));
        json_write_integer(&writer, -1);
        json_write_boolean(&writer, true);
        json_write_null(&writer);
        json_write_object(&writer);
        json_write_object_end(&writer);
        json_write_array_end(&writer);
        json_write_object_end(&writer);
        bool fits = size >= sizeof whole - 1;
        cr_assert_eq(json_write_end(&writer, &text), fits ? STATUS_OK : STATUS_TOO_LARGE);
        cr_assert(span_equal_string(text, fits ? whole : ""));
        free(exact);
    }
}

Test(json_write, the_first_failure_is_kept)
{
    json_write_begin(&writer, out, 3);
    json_write_string(&writer, SPAN_LITERAL("abc"));
    json_write_string(&writer, SPAN_LITERAL("\xff"));
    cr_assert_eq(json_write_end(&writer, &text), STATUS_TOO_LARGE);
    begin();
    json_write_string(&writer, SPAN_LITERAL("\xff"));
    json_write_string(&writer, SPAN_LITERAL("a"));
    cr_assert_eq(json_write_end(&writer, &text), STATUS_MALFORMED);
}

Test(json_write, every_byte_survives_a_parse)
{
    struct json_parser *parser = json_parser_new(sizeof out);
    uint8_t bytes[0x80];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    json_write_array(&writer);
    json_write_string(&writer, span_make(bytes, sizeof bytes));
    json_write_array_end(&writer);
    cr_assert_eq(json_write_end(&writer, &text), STATUS_OK);
    struct json_document document;
    cr_assert_eq(json_parse(parser, text, &document), STATUS_OK);
    cr_assert(span_equal(document.values[1].text, span_make(bytes, sizeof bytes)));
    json_parser_free(parser);
}
