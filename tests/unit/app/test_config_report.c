#include "app/config_report.h"

#include <criterion/criterion.h>

static struct config_errors errors;
static struct config_report report;

static void add(uint32_t line, uint32_t column, const char *text)
{
    config_report_add(&report, (struct config_position){line, column}, "%s", text);
}

Test(config_report, file_order_and_stable)
{
    config_report_init(&report, "f", &errors);
    add(3, 1, "a");
    add(1, 9, "b");
    add(1, 2, "c");
    add(3, 1, "d");
    add(1, 2, "e");
    config_report_finish(&report);
    static const char *const want[] = {"f:1:2: c", "f:1:2: e", "f:1:9: b", "f:3:1: a", "f:3:1: d"};
    cr_assert_eq(errors.count, 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_str_eq(errors.list[i].text, want[i]);
    }
}

Test(config_report, beyond_its_room)
{
    config_report_init(&report, "f", &errors);
    for (uint32_t i = 0; i < CONFIG_ERRORS_MAX; i++) {
        cr_assert_not(config_report_is_full(&report));
        add(i + 1, 1, "x");
    }
    cr_assert(config_report_is_full(&report));
    config_report_finish(&report);
    cr_assert_str_eq(errors.list[CONFIG_ERRORS_MAX - 1].text, "f:32:1: x");
    add(99, 1, "one too many");
    config_report_finish(&report);
    cr_assert_eq(errors.count, CONFIG_ERRORS_MAX);
    cr_assert_str_eq(errors.list[CONFIG_ERRORS_MAX - 1].text,
                     "f:32:1: more errors from here on; mend those above first");
}

Test(config_report, long_names_and_texts_are_cut_not_overrun)
{
    static char name[2000], text[2000];
    memset(name, 'n', sizeof name - 1);
    memset(text, 't', sizeof text - 1);
    config_report_init(&report, name, &errors);
    add(1, 1, "x");
    cr_assert_eq(strlen(errors.list[0].text), sizeof errors.list[0].text - 1);
    config_report_init(&report, "f", &errors);
    add(1, 1, text);
    cr_assert_eq(strlen(errors.list[0].text), sizeof errors.list[0].text - 1);
}

Test(config_report, quotes)
{
    cr_assert_str_eq(config_quote(SPAN_LITERAL("abc")).text, "\"abc\"");
    cr_assert_str_eq(config_quote(SPAN_LITERAL("")).text, "\"\"");
    cr_assert_str_eq(config_quote(SPAN_LITERAL("a\n\x1b\x7f\0b")).text, "\"a????b\"");
    char text[200];
    memset(text, 'a', sizeof text);
    cr_assert_eq(strlen(config_quote(span_make(text, 60)).text), 62);
    cr_assert_eq(strlen(config_quote(span_make(text, 61)).text), 65);
    cr_assert_str_eq(config_quote(span_make(text, 61)).text + 61, "...\"");
    /* never in the middle of a character */
    for (size_t pad = 57; pad < 61; pad++) {
        memset(text, 'a', sizeof text);
        memcpy(text + pad, "\xf0\x9f\x98\x80", 4);
        struct config_quote quote = config_quote(span_make(text, 100));
        size_t shown = strlen(quote.text) - 5;
        cr_assert(shown == pad || shown == 60 || (shown == pad + 4 && shown <= 60), "%zu", shown);
        cr_assert(shown <= pad || shown >= pad + 4, "%zu of %zu", shown, pad);
    }
}

static size_t distance(const char *a, const char *b)
{
    return config_name_distance(span_from_string(a), span_from_string(b));
}

Test(config_report, distances)
{
    cr_assert_eq(distance("", ""), 0);
    cr_assert_eq(distance("abc", ""), 3);
    cr_assert_eq(distance("", "abc"), 3);
    cr_assert_eq(distance("listen", "listen"), 0);
    cr_assert_eq(distance("LISTEN", "listen"), 0);
    cr_assert_eq(distance("max-age", "max_age"), 0);
    cr_assert_eq(distance("lisen", "listen"), 1);
    cr_assert_eq(distance("liisten", "listen"), 1);
    cr_assert_eq(distance("lesten", "listen"), 1);
    cr_assert_eq(distance("lsiten", "listen"), 1);
    cr_assert_eq(distance("kitten", "sitting"), 3);
    cr_assert_eq(distance("maxage", "max_age"), 1);
    cr_assert_eq(distance("ca", "abc"), 3); /* optimal string alignment, not full Damerau */
    cr_assert_eq(distance("abcdefghijklmnopqrstuvwxyzabcdef", "abcdefghijklmnopqrstuvwxyzabcdef"),
                 0);
    cr_assert_eq(distance("abcdefghijklmnopqrstuvwxyzabcdefg", "a"), SIZE_MAX);
    cr_assert_eq(distance("a", "abcdefghijklmnopqrstuvwxyzabcdefg"), SIZE_MAX);
}

Test(config_report, nearness_grows_with_the_word)
{
    cr_assert(config_name_is_close(SPAN_LITERAL("user"), 1));
    cr_assert_not(config_name_is_close(SPAN_LITERAL("user"), 2));
    cr_assert(config_name_is_close(SPAN_LITERAL("max_age"), 2));
    cr_assert_not(config_name_is_close(SPAN_LITERAL("max_age"), 3));
    cr_assert(config_name_is_close(SPAN_LITERAL("certificate"), 3));
    cr_assert_not(config_name_is_close(SPAN_LITERAL("certificate"), 4));
    cr_assert_not(config_name_is_close(SPAN_LITERAL("certificate"), SIZE_MAX));
}
