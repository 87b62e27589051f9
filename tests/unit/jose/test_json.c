#include "jose/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define CASE(text)                                                                                 \
    {                                                                                              \
        "" text, sizeof(text) - 1                                                                  \
    }
struct text {
    const char *bytes;
    size_t size;
};

static struct json_parser *parser;
static struct json_document document;

static void open_parser(void)
{
    parser = json_parser_new(4096);
    cr_assert_not_null(parser);
}
static void close_parser(void)
{
    json_parser_free(parser);
}
TestSuite(json, .init = open_parser, .fini = close_parser);

static enum status parse(struct text text)
{
    /* Memory of exactly this size, so that a sanitizer sees a byte read beyond it. */
    char *exact = malloc(text.size > 0 ? text.size : 1);
    memcpy(exact, text.bytes, text.size);
    enum status status = json_parse(parser, span_make(exact, text.size), &document);
    free(exact);
    if (status != STATUS_OK) {
        cr_assert_eq(document.count, 0, "a refused text leaves nothing to read");
        cr_assert_null(document.values);
    }
    return status;
}

static enum status parse_string(const char *text)
{
    return parse((struct text){text, strlen(text)});
}

static void refuse_all(const struct text *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(parse(texts[i]), STATUS_MALFORMED, "case %zu: %s", i, texts[i].bytes);
    }
}
#define REFUSE_ALL(texts) refuse_all(texts, sizeof(texts) / sizeof((texts)[0]))

/* What JSONTestSuite calls n_array_*, n_object_*, n_structure_*. */
Test(json, n_structure)
{
    static const struct text texts[] = {
        CASE(""),
        CASE(" "),
        CASE("\n"),
        CASE("["),
        CASE("]"),
        CASE("{"),
        CASE("}"),
        CASE("[}"),
        CASE("{]"),
        CASE("[]]"),
        CASE("{}}"),
        CASE("[[]"),
        CASE("{\"a\":{}"),
        CASE("[1"),
        CASE("[1,"),
        CASE("[1,]"),
        CASE("[,1]"),
        CASE("[1,,2]"),
        CASE("[1,,]"),
        CASE("[,]"),
        CASE("[1 2]"),
        CASE("[1:2]"),
        CASE("[\"\":1]"),
        CASE("[\"a\",\n4\n,1,"),
        CASE("[1}"),
        CASE("[a"),
        CASE("[3[4]]"),
        CASE("[3{}]"),
        CASE("[\"x\"\"y\"]"),
        CASE("[\"x\" true]"),
        CASE("[\"a\"1]"),
        CASE("[1\"a\"]"),
        CASE("[true\"a\"]"),
        CASE("[*]"),
        CASE("[\"\"],"),
        CASE("[1],"),
        CASE("[][]"),
        CASE("{}{}"),
        CASE("{},[]"),
        CASE("[] x"),
        CASE("{}#"),
        CASE("{\"a\":1}/**/"),
        CASE("/**/{\"a\":1}"),
        CASE("{/*c*/}"),
        CASE("[1//\n]"),
        CASE("{\"a\"}"),
        CASE("{\"a\":}"),
        CASE("{:1}"),
        CASE("{,\"a\":1}"),
        CASE("{\"a\":1,}"),
        CASE("{\"a\":1,,}"),
        CASE("{\"a\":1,,\"b\":2}"),
        CASE("{\"a\" 1}"),
        CASE("{\"a\"::1}"),
        CASE("{\"a\":1 \"b\":2}"),
        CASE("{\"a\":1:2}"),
        CASE("{\"a\",1}"),
        CASE("{a:1}"),
        CASE("{'a':1}"),
        CASE("{1:1}"),
        CASE("{null:1}"),
        CASE("{[]:1}"),
        CASE("{{}:1}"),
        CASE("{\"a\":\"b\"}#"),
        CASE("{\"a\":a}"),
        CASE("{\"a\":1 true}"),
        CASE("{\"a\":/**/1}"),
        CASE("{\"a\":1]"),
        CASE("[\"a\":1]"),
        CASE("{\"a\""),
        CASE("{\"a"),
        CASE("{\""),
        CASE("[\"a"),
        CASE("[\""),
        CASE("[\\]"),
        CASE("\\[]"),
        CASE("{\\u0022a\":1}"),
        CASE("<null>"),
        CASE("[<null>]"),
        CASE("*"),
        CASE("[undefined]"),
        CASE("[\f]"),
        CASE("[\v1]"),
        CASE("\f[]"),
        CASE("[]\v"),
        CASE("[\xc2\xa0"
             "1]"),
        CASE("\xe2\x80\x8b[]"),
        CASE("\xef\xbb\xbf{}"),
        CASE("\xef\xbb\xbf"),
        CASE("\xff\xfe[\0]\0"),
        CASE("[\0]\0"),
        CASE("\0[]"),
        CASE("[]\0"),
        CASE("{}\0{}"),
        CASE("[1]\0"),
        CASE("[\0"
             "1]"),
        CASE("{\"a\"\0:1}"),
        CASE("{\"a\":\0"
             "1}"),
        CASE("\x1e[]\n"),
        CASE("[]\x1e"),
    };
    REFUSE_ALL(texts);
}

Test(json, n_roots_that_are_neither_object_nor_array)
{
    static const struct text texts[] = {
        CASE("1"),     CASE("-1"),  CASE(" 1 "),  CASE("\"a\""), CASE("null"), CASE("true"),
        CASE("false"), CASE("1.5"), CASE("\"\""), CASE("2 "),    CASE("a"),    CASE("\"{}\""),
    };
    REFUSE_ALL(texts);
}

Test(json, n_literals)
{
    static const struct text texts[] = {
        CASE("[nul]"),      CASE("[nulll]"),     CASE("[tru]"),      CASE("[truee]"),
        CASE("[fals]"),     CASE("[falsee]"),    CASE("[True]"),     CASE("[FALSE]"),
        CASE("[NULL]"),     CASE("[nan]"),       CASE("[NaN]"),      CASE("[inf]"),
        CASE("[Infinity]"), CASE("[-Infinity]"), CASE("[-NaN]"),     CASE("[true false]"),
        CASE("[n]"),        CASE("[t"),          CASE("[tru"),       CASE("[fals"),
        CASE("[nul"),       CASE("[true1]"),     CASE("[null\"\"]"),
    };
    REFUSE_ALL(texts);
}

Test(json, n_number)
{
    static const struct text texts[] = {
        CASE("[-]"),           CASE("[+1]"),      CASE("[--1]"),   CASE("[-+1]"),
        CASE("[01]"),          CASE("[-01]"),     CASE("[00]"),    CASE("[-00]"),
        CASE("[012]"),         CASE("[0x1]"),     CASE("[0x]"),    CASE("[1.]"),
        CASE("[.1]"),          CASE("[-.1]"),     CASE("[-2.]"),   CASE("[0.e1]"),
        CASE("[1.e1]"),        CASE("[1e]"),      CASE("[1E]"),    CASE("[1e+]"),
        CASE("[1e-]"),         CASE("[1eE2]"),    CASE("[1e1.5]"), CASE("[1e++1]"),
        CASE("[0e]"),          CASE("[0e+]"),     CASE("[1.0e]"),  CASE("[1.0e-]"),
        CASE("[1.2.3]"),       CASE("[1_000]"),   CASE("[1 000]"), CASE("[1,000,]"),
        CASE("[1a]"),          CASE("[1e1a]"),    CASE("[1.5a]"),  CASE("[-1x]"),
        CASE("[0.3e]"),        CASE("[2.e3]"),    CASE("[- 1]"),   CASE("[-a]"),
        CASE("[1+2]"),         CASE("[1-2]"),     CASE("[9.e+]"),  CASE("[\xef\xbc\x91]"),
        CASE("[1\xe5]"),       CASE("[1e1\xe5]"), CASE("[0\xe5]"), CASE("[1"),
        CASE("[1."),           CASE("[1e"),       CASE("[-"),      CASE("{\"a\":-}"),
        CASE("{\"exp\":1 0}"),
    };
    REFUSE_ALL(texts);
}

Test(json, n_number_out_of_range)
{
    static const struct text texts[] = {
        CASE("[9223372036854775808]"),
        CASE("[-9223372036854775809]"),
        CASE("[18446744073709551615]"),
        CASE("[18446744073709551616]"),
        CASE("[100000000000000000000]"),
        CASE("[-100000000000000000000]"),
        CASE("[123456789012345678901234567890]"),
        CASE("[1e309]"),
        CASE("[-1e309]"),
        CASE("[1e400]"),
        CASE("[1.5e+9999]"),
        CASE("[1e99999999999999999999]"),
        CASE("{\"exp\":9223372036854775808}"),
    };
    REFUSE_ALL(texts);
}

Test(json, n_string)
{
    static const struct text texts[] = {
        CASE("[\"\\\"]"),
        CASE("[\"\\"),
        CASE("[\"\\\"]"),
        CASE("[\"\\x00\"]"),
        CASE("[\"\\a\"]"),
        CASE("[\"\\'\"]"),
        CASE("[\"\\0\"]"),
        CASE("[\"\\U0041\"]"),
        CASE("[\"\\ \"]"),
        CASE("[\"\\\n\"]"),
        CASE("[\"\\\0\"]"),
        CASE("[\"\\u\"]"),
        CASE("[\"\\u0\"]"),
        CASE("[\"\\u00\"]"),
        CASE("[\"\\u004\"]"),
        CASE("[\"\\u00G0\"]"),
        CASE("[\"\\u 041\"]"),
        CASE("[\"\\u+041\"]"),
        CASE("[\"\\u-041\"]"),
        CASE("[\"\\u0x41\"]"),
        CASE("[\"\\u004\xc3\xa9\"]"),
        CASE("[\"\\{\"]"),
        CASE("[\"\\\xf0\x9f\x98\x80\"]"),
        CASE("['a']"),
        CASE("[\"a'] "),
        CASE("[\"a\nb\"]"),
        CASE("[\"a\tb\"]"),
        CASE("[\"a\rb\"]"),
        CASE("[\"\x1f\"]"),
        CASE("[\"\x01\"]"),
        CASE("[\"a\0b\"]"),
        CASE("[\"\0\"]"),
        CASE("[\"\b\"]"),
        CASE("{\"a\nb\":1}"),
        CASE("{\"a\0b\":1}"),
        CASE("{\"\\x\":1}"),
        CASE("{\"\\u12\":1}"),
        CASE("[\\u0041]"),
        CASE("[\"a\"\\]"),
        CASE("[\"\\\\\\\"]"),
    };
    REFUSE_ALL(texts);
}

Test(json, n_lone_surrogates)
{
    static const struct text texts[] = {
        CASE("[\"\\ud800\"]"),
        CASE("[\"\\uDBFF\"]"),
        CASE("[\"\\udc00\"]"),
        CASE("[\"\\uDFFF\"]"),
        CASE("[\"\\ud800x\"]"),
        CASE("[\"\\ud800\\n\"]"),
        CASE("[\"\\ud800\\\\u\"]"),
        CASE("[\"\\ud800\\u0041\"]"),
        CASE("[\"\\ud800\\ud800\"]"),
        CASE("[\"\\ud800\\udbff\"]"),
        CASE("[\"\\ud800\\ue000\"]"),
        CASE("[\"\\ud800\\uffff\"]"),
        CASE("[\"\\udc00\\ud800\"]"),
        CASE("[\"\\ud83d\\ude00\\ud83d\"]"),
        CASE("[\"\\ud83d\\ude00\\ude00\"]"),
        CASE("[\"\\ud800\\u\"]"),
        CASE("[\"\\ud800\\u1\"]"),
        CASE("[\"\\uD834\\uDd\"]"),
        CASE("[\"\\ud800\",\"\\udc00\"]"),
        CASE("{\"\\ud800\":1}"),
        CASE("{\"a\":{\"\\udc00\":1}}"),
        CASE("[\"\\\\\\ud800\"]"),
        CASE("[\"\\u0041\\udc00\"]"),
        CASE("[\"\\ud800\\udc0\"]"),
    };
    REFUSE_ALL(texts);
}

Test(json, n_utf8)
{
    static const struct text texts[] = {
        CASE("[\"\xff\"]"),
        CASE("[\"\xfe\"]"),
        CASE("[\"\x80\"]"),
        CASE("[\"\xbf\"]"),
        CASE("[\"\xc3\"]"),
        CASE("[\"\xc3(\"]"),
        CASE("[\"\xe2\x82\"]"),
        CASE("[\"\xe2(\xa1\"]"),
        CASE("[\"\xf0\x9f\x98\"]"),
        CASE("[\"\xf0(\x8c\xbc\"]"),
        CASE("[\"\xf0\x90(\xbc\"]"),
        CASE("[\"\xc0\xaf\"]"),
        CASE("[\"\xc1\xbf\"]"),
        CASE("[\"\xc0\x80\"]"), /* overlong */
        CASE("[\"\xe0\x80\xaf\"]"),
        CASE("[\"\xe0\x9f\xbf\"]"), /* overlong */
        CASE("[\"\xf0\x80\x80\xaf\"]"),
        CASE("[\"\xf0\x8f\xbf\xbf\"]"),         /* overlong */
        CASE("[\"\xfc\x80\x80\x80\x80\xaf\"]"), /* six bytes */
        CASE("[\"\xed\xa0\x80\"]"),
        CASE("[\"\xed\xbf\xbf\"]"),             /* surrogates */
        CASE("[\"\xed\xa0\xbd\xed\xb8\x80\"]"), /* CESU-8 */
        CASE("[\"\xf4\x90\x80\x80\"]"),
        CASE("[\"\xf5\x80\x80\x80\"]"), /* over 10ffff */
        CASE("[\"\xc3\"\xa9]"),
        CASE("[\"a\xe5\"]"),
        CASE("[\xc3\xa9]"),
        CASE("[\xff]"),
        CASE("{\"\xff\":1}"),
        CASE("{\"a\xc3\":1}"),
        CASE("{\"\xed\xa0\x80\":1}"), /* in names */
        CASE("{\"\xc0\x80\":1}"),
        CASE("{\"a\":1,\"\x80\":2}"),
        CASE("[]\x80"),
        CASE("\xff[]"),
        CASE("[\"\xe5\"]"),
    };
    REFUSE_ALL(texts);
}

/* The bad byte far into the text, so that it falls into every place of a vector. */
Test(json, n_utf8_at_every_offset)
{
    static const char *const bad[] = {"\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"};
    char text[200];
    for (size_t kind = 0; kind < sizeof bad / sizeof bad[0]; kind++) {
        for (size_t offset = 2; offset < 140; offset++) {
            memset(text, 'a', sizeof text);
            memcpy(text, "[\"", 2);
            memcpy(text + offset, bad[kind], strlen(bad[kind]));
            memcpy(text + 150, "\"]", 2);
            cr_assert_eq(parse((struct text){text, 152}), STATUS_MALFORMED, "%zu %zu", kind,
                         offset);
        }
    }
}

Test(json, n_duplicate_names)
{
    static const struct text texts[] = {
        CASE("{\"a\":1,\"a\":1}"),
        CASE("{\"a\":1,\"a\":2}"),
        CASE("{\"a\":1,\"b\":2,\"a\":3}"),
        CASE("{\"\":1,\"\":2}"),
        CASE("{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}"),
        CASE("{\"\\u0061lg\":1,\"a\\u006cg\":2}"),
        CASE("{\"\\u0061\":1,\"\\u0061\":1}"),
        CASE("{\"a/b\":1,\"a\\/b\":2}"),
        CASE("{\"\xc3\xa9\":1,\"\\u00e9\":2}"),
        CASE("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"),
        CASE("{\"\\n\":1,\"\\u000a\":2}"),
        CASE("{\"\\u0000\":1,\"\\u0000\":2}"),
        CASE("{\"x\":{\"a\":1,\"a\":2}}"),
        CASE("[{},{\"a\":1,\"a\":2}]"),
        CASE("{\"x\":[{\"y\":{\"a\":1,\"a\":2}}]}"),
        CASE("{\"a\":{\"b\":{\"c\":1}},\"a\":1}"),
        CASE("{\"a\":[1,2,3],\"b\":0,\"a\":[]}"),
        CASE("{\"crit\":1,\"jwk\":{\"kty\":\"EC\",\"kty\":\"oct\"}}"),
        CASE("{\"A\":1,\"\\u0041\":2}"),
        CASE("{\"\\\\\":1,\"\\u005C\":2}"),
    };
    REFUSE_ALL(texts);
}

Test(json, duplicate_names_are_found_at_every_pair_of_places)
{
    for (unsigned first = 0; first < JSON_MEMBERS_MAX; first++) {
        for (unsigned second = first + 1; second < JSON_MEMBERS_MAX; second++) {
            char text[4096];
            int size = 0;
            for (unsigned i = 0; i < JSON_MEMBERS_MAX; i++) {
                size += snprintf(text + size, sizeof text - (size_t)size,
                                 "%s\"m%02u\":{\"x\":[%u]}", i == 0 ? "{" : ",",
                                 i == second ? first : i, i);
            }
            size += snprintf(text + size, sizeof text - (size_t)size, "}");
            cr_assert_eq(parse((struct text){text, (size_t)size}), STATUS_MALFORMED, "%u %u", first,
                         second);
        }
    }
}

Test(json, y_names_that_differ)
{
    static const char *const texts[] = {
        "{\"a\":1,\"A\":2}",
        "{\"a\":1,\"a \":2}",
        "{\"a\":1,\"\\u0000\":2,\"a\\u0000\":3}",
        "{\"\xc3\xa9\":1,\"e\xcc\x81\":2}", /* é in two normal forms: names are compared as code
                                               points */
        "{\"a\":{\"a\":{\"a\":1}}}",
        "[{\"a\":1},{\"a\":1}]",
        "{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1}]}",
        "{\"ab\":1,\"ba\":2,\"aab\":3,\"abab\":4}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_expect_eq(parse_string(texts[i]), STATUS_OK, "%s", texts[i]);
    }
}

Test(json, y_accepted)
{
    static const struct text texts[] = {
        CASE("[]"),
        CASE("\r[]"),
        CASE("{}"),
        CASE(" [] "),
        CASE("\t{\n}\r\n"),
        CASE("[ ]"),
        CASE("[[]   ]"),
        CASE("[\"\"]"),
        CASE("[null]"),
        CASE("[true,false,null]"),
        CASE("[null, 1, \"1\", {}]"),
        CASE("[1\n]"),
        CASE("[1,null,null,null,2]"),
        CASE("[2] "),
        CASE("[0]"),
        CASE("[-0]"),
        CASE("[-0.0]"),
        CASE("[0e1]"),
        CASE("[0e+1]"),
        CASE("[0E-1]"),
        CASE("[1E22]"),
        CASE("[1E-2]"),
        CASE("[1E+2]"),
        CASE("[123e45]"),
        CASE("[123.456e78]"),
        CASE("[1e-400]"),
        CASE("[1e308]"),
        CASE("[-237462374673276894279832749832423479823246327846e2]"),
        CASE("[0.1234567890123456789012345678901234567890]"),
        CASE("[20e1]"),
        CASE("[123.456789]"),
        CASE("[-123]"),
        CASE("[-0.000000000000000000000000000000000000000000000000000000000001]"),
        CASE("[\"\\u0060\\u012a\\u12AB\"]"),
        CASE("[\"\\ud801\\udc37\"]"),
        CASE("[\"\\uD83D\\uDE39\"]"),
        CASE("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
        CASE("[\"\\\\u0000\"]"),
        CASE("[\"\\\\ud800\"]"),
        CASE("[\"\\u0000\"]"),
        CASE("[\"\\uFFFF\"]"),
        CASE("[\"\\uFDD0\"]"),
        CASE("[\"\\uDBFF\\uDFFF\"]"),
        CASE("[\"\xef\xbf\xbf\"]"),
        CASE("[\"\xf4\x8f\xbf\xbf\"]"),
        CASE("[\"\xef\xbb\xbf\"]"),
        CASE("[\"\xe2\x80\xa8\xe2\x80\xa9\"]"),
        CASE("[\"\x7f\"]"),
        CASE("[\"a/*b*/c//d\"]"),
        CASE("[\"\\u2028\\u0022\\u005C\"]"),
        CASE("[\"\xcf\x80\"]"),
        CASE("[\"[]{},:\"]"),
        CASE("{\"\":0}"),
        CASE("{\"a\":[]}"),
        CASE("{\"a\":\"b\",\"c\":\"d\"}"),
        CASE("{\"\\u0000\":1}"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_expect_eq(parse(texts[i]), STATUS_OK, "case %zu: %s", i, texts[i].bytes);
    }
}

Test(json, depth_eight_is_read_and_nine_is_not)
{
    char text[256];
    for (int depth = 1; depth <= 16; depth++) {
        for (int objects = 0; objects < 2; objects++) {
            int size = 0;
            for (int i = 0; i < depth; i++) {
                size += snprintf(text + size, sizeof text - (size_t)size,
                                 objects && i ? "{\"\":" : "[");
            }
            for (int i = depth; i-- > 0;) {
                if (objects && i == depth - 1) {
                    text[size++] = '0';
                }
                text[size++] = objects && i ? '}' : ']';
            }
            cr_assert_eq(parse((struct text){text, (size_t)size}),
                         depth <= JSON_DEPTH_MAX ? STATUS_OK : STATUS_TOO_LARGE, "%.*s", size,
                         text);
        }
    }
}

Test(json, a_bomb_of_brackets)
{
    char text[4096];
    memset(text, '[', sizeof text);
    cr_assert_neq(parse((struct text){text, sizeof text}), STATUS_OK);
    memset(text + 2048, ']', 2048);
    cr_assert_eq(parse((struct text){text, sizeof text}), STATUS_TOO_LARGE);
    for (size_t i = 0; i + 5 <= sizeof text; i += 5) {
        memcpy(text + i, "{\"\":", 5);
    }
    cr_assert_neq(parse((struct text){text, 4095}), STATUS_OK);
}

Test(json, members_of_one_object_are_bounded)
{
    char text[4096];
    for (unsigned members = JSON_MEMBERS_MAX - 1; members <= JSON_MEMBERS_MAX + 1; members++) {
        int size = snprintf(text, sizeof text, "[{\"z\":1},{");
        for (unsigned i = 0; i < members; i++) {
            size += snprintf(text + size, sizeof text - (size_t)size, "%s\"%u\":{\"a\":1}",
                             i > 0 ? "," : "", i);
        }
        size += snprintf(text + size, sizeof text - (size_t)size, "}]");
        cr_assert_eq(parse((struct text){text, (size_t)size}),
                     members <= JSON_MEMBERS_MAX ? STATUS_OK : STATUS_TOO_LARGE);
    }
}

Test(json, document_size_is_bounded)
{
    char text[4097];
    memset(text, ' ', sizeof text);
    text[0] = '[';
    text[4095] = ']';
    cr_assert_eq(parse((struct text){text, 4096}), STATUS_OK);
    cr_assert_eq(parse((struct text){text, 4097}), STATUS_TOO_LARGE);
    struct json_parser *none = json_parser_new(0);
    cr_assert_not_null(none);
    cr_assert_eq(json_parse(none, SPAN_LITERAL("{}"), &document), STATUS_TOO_LARGE);
    cr_assert_eq(json_parse(none, (struct span){NULL, 0}, &document), STATUS_MALFORMED);
    json_parser_free(none);
    cr_assert_null(json_parser_new(SIZE_MAX));
    cr_assert_null(json_parser_new((size_t)1 << 31));
    json_parser_free(NULL);
}

Test(json, most_values_a_document_can_hold)
{
    static const char *const fillings[] = {"0", "[]", "\"\"", "{}", "0.5"};
    for (size_t kind = 0; kind < sizeof fillings / sizeof fillings[0]; kind++) {
        for (size_t size = 2; size < 66; size++) {
            /* A parser of exactly this size: one value too many would be written behind its memory.
             */
            struct json_parser *exact = json_parser_new(size);
            char text[80];
            size_t used = 0;
            uint32_t values = 1;
            text[used++] = '[';
            while (used + strlen(fillings[kind]) + 1 < size) {
                if (values > 1) {
                    text[used++] = ',';
                }
                memcpy(text + used, fillings[kind], strlen(fillings[kind]));
                used += strlen(fillings[kind]);
                values++;
            }
            text[used++] = ']';
            if (used <= size) {
                cr_assert_eq(json_parse(exact, span_make(text, used), &document), STATUS_OK, "%.*s",
                             (int)used, text);
                cr_assert_eq(document.count, values);
            }
            json_parser_free(exact);
        }
    }
}

Test(json, values_in_document_order)
{
    cr_assert_eq(parse_string("{\"s\":\"t\\u0000\\u00e9\",\"a\":[1,[-2],{\"b\":true}],\"n\":null,"
                              "\"f\":false,\"d\":1.50,\"o\":{}}"),
                 STATUS_OK);
    static const struct {
        enum json_type type;
        uint32_t next;
        const char *name;
        int64_t integer;
    } expected[] = {
        {JSON_OBJECT, 12, "", 0},   {JSON_STRING, 2, "s", 0},  {JSON_ARRAY, 8, "a", 0},
        {JSON_INTEGER, 4, "", 1},   {JSON_ARRAY, 6, "", 0},    {JSON_INTEGER, 6, "", -2},
        {JSON_OBJECT, 8, "", 0},    {JSON_BOOLEAN, 8, "b", 1}, {JSON_NULL, 9, "n", 0},
        {JSON_BOOLEAN, 10, "f", 0}, {JSON_NUMBER, 11, "d", 0}, {JSON_OBJECT, 12, "o", 0},
    };
    cr_assert_eq(document.count, sizeof expected / sizeof expected[0]);
    for (uint32_t i = 0; i < document.count; i++) {
        const struct json_value *value = &document.values[i];
        cr_expect_eq(value->type, expected[i].type, "type of %u", i);
        cr_expect_eq(value->next, expected[i].next, "next of %u", i);
        cr_expect(span_equal_string(value->name, expected[i].name), "name of %u", i);
        cr_expect_eq(value->integer, expected[i].integer, "integer of %u", i);
    }
    cr_expect(span_equal(document.values[1].text, SPAN_LITERAL("t\0\xc3\xa9")));
    cr_expect(span_equal_string(document.values[10].text, "1.50"));
}

Test(json, integers_are_exact_and_numbers_keep_their_text)
{
    static const struct {
        const char *text;
        enum json_type type;
        int64_t integer;
    } cases[] = {
        {"0", JSON_INTEGER, 0},
        {"-0", JSON_INTEGER, 0},
        {"1", JSON_INTEGER, 1},
        {"-1", JSON_INTEGER, -1},
        {"9007199254740993", JSON_INTEGER, INT64_C(9007199254740993)}, /* not a double */
        {"9223372036854775807", JSON_INTEGER, INT64_MAX},
        {"-9223372036854775808", JSON_INTEGER, INT64_MIN},
        {"1.0", JSON_NUMBER, 0},
        {"1e3", JSON_NUMBER, 0},
        {"1E3", JSON_NUMBER, 0},
        {"1e0", JSON_NUMBER, 0},
        {"-0.0", JSON_NUMBER, 0},
        {"1562262616.5", JSON_NUMBER, 0},
        {"1.25e+2", JSON_NUMBER, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        /* Decoys before it: digits and quotes in strings, names and integers are not the number
         * looked for. */
        snprintf(text, sizeof text, "{\"1.5\":[\"-2e2\\\"3.5\",7,-8],\"\\\\\":\"\\\\\",\"n\":%s}",
                 cases[i].text);
        cr_assert_eq(parse_string(text), STATUS_OK, "%s", text);
        const struct json_value *value = json_member(&document, 0, "n");
        cr_assert_not_null(value);
        cr_expect_eq(value->type, cases[i].type, "%s", cases[i].text);
        cr_expect_eq(value->integer, cases[i].integer, "%s", cases[i].text);
        cr_expect(span_equal_string(value->text, cases[i].type == JSON_NUMBER ? cases[i].text : ""),
                  "%s", cases[i].text);
    }
    cr_assert_eq(parse_string("[1.5,2,-3.25e1,4,5E0]"), STATUS_OK);
    cr_expect(span_equal_string(document.values[1].text, "1.5"));
    cr_expect(span_equal_string(document.values[3].text, "-3.25e1"));
    cr_expect(span_equal_string(document.values[5].text, "5E0"));
    cr_expect_eq(document.values[2].integer, 2);
    cr_expect_eq(document.values[4].integer, 4);
}

Test(json, escapes_are_decoded)
{
    cr_assert_eq(
        parse_string("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"]"),
        STATUS_OK);
    cr_assert(span_equal_string(document.values[1].text,
                                "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
}

Test(json, members_are_found_by_unescaped_name_in_their_own_object)
{
    cr_assert_eq(parse_string("{\"x\":{\"alg\":1},\"\\u0061lg\":2,\"arr\":[{\"alg\":3}],\"al\":4}"),
                 STATUS_OK);
    cr_assert_eq(json_member(&document, 0, "alg")->integer, 2);
    cr_assert_eq(json_member(&document, 1, "alg")->integer, 1);
    cr_assert_eq(json_member(&document, 5, "alg")->integer, 3);
    cr_assert_null(json_member(&document, 0, "algo"));
    cr_assert_null(json_member(&document, 0, ""));
    cr_assert_null(json_member(&document, 4, "alg"), "an array has no members");
    cr_assert_null(json_member(&document, 2, "alg"), "an integer has no members");
    cr_assert_null(json_member(&document, 99, "alg"), "no such value");
}

Test(json, one_parse_leaves_nothing_to_the_next)
{
    cr_assert_eq(parse_string("{\"a\":[1,2,{\"b\":1.5}]}"), STATUS_OK);
    cr_assert_eq(parse_string("{\"a\":1,\"a\":2}"), STATUS_MALFORMED);
    cr_assert_eq(parse_string("[[[[[[[[[1]]]]]]]]]"), STATUS_TOO_LARGE);
    cr_assert_eq(parse_string("{\"a\":9223372036854775808}"), STATUS_MALFORMED);
    cr_assert_eq(parse_string("{\"a\":3}"), STATUS_OK);
    cr_assert_eq(document.count, 2);
    cr_assert_eq(document.values[1].integer, 3);
}

/* Every \u escape of a surrogate alone, and behind a high surrogate every other escape. */
Test(json, surrogate_escapes_exhaustively)
{
    char text[32];
    for (unsigned unit = 0; unit <= 0xffff; unit++) {
        snprintf(text, sizeof text, "[\"\\u%04x\"]", unit);
        cr_assert_eq(parse_string(text),
                     unit >= 0xd800 && unit <= 0xdfff ? STATUS_MALFORMED : STATUS_OK, "%s", text);
        static const unsigned high[] = {0xd800, 0xd83d, 0xdbff};
        for (size_t i = 0; i < sizeof high / sizeof high[0]; i++) {
            snprintf(text, sizeof text, "{\"\\u%04X\\u%04X\":1}", high[i], unit);
            cr_assert_eq(parse_string(text),
                         unit >= 0xdc00 && unit <= 0xdfff ? STATUS_OK : STATUS_MALFORMED, "%s",
                         text);
        }
    }
}

/* Names of every length up to past the eight bytes that are hashed, alike in all but one byte. */
Test(json, names_alike_in_all_but_one_byte)
{
    for (size_t size = 0; size < 24; size++) {
        for (size_t place = 0; place <= size; place++) {
            char text[128], first[32], second[32];
            memset(first, 'n', size);
            memset(second, 'n', size);
            first[size] = second[size] = '\0';
            if (place < size) {
                second[place] = 'm';
            }
            snprintf(text, sizeof text, "{\"%s\":1,\"x\":{\"%s\":2},\"%s\":3}", first, first,
                     second);
            cr_assert_eq(parse_string(text), place < size ? STATUS_OK : STATUS_MALFORMED, "%s",
                         text);
        }
    }
}
