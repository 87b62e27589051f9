#include "http/scan.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static size_t control_by_hand(const uint8_t *bytes, size_t at, size_t size)
{
    for (; at < size; at++) {
        bool control = (bytes[at] <= 0x1f || bytes[at] == 0x7f) && bytes[at] != 0x09;
        if (control) {
            break;
        }
    }
    return at;
}

static size_t plain_by_hand(const uint8_t *bytes, size_t at, size_t size)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
    while (at < size && bytes[at] != 0 && strchr(plain, bytes[at]) != NULL) {
        at++;
    }
    return at;
}

/* Every byte value at every place of a run of that size. */
static void compare_spellings(size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    for (size_t place = 0; place < size; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(bytes, 'a', size);
            bytes[place] = (uint8_t)byte;
            for (size_t at = 0; at <= size; at += 7) {
                size_t control = control_by_hand(bytes, at, size);
                size_t plain = plain_by_hand(bytes, at, size);
                cr_assert_eq(scan_control(bytes, at, size), control);
                cr_assert_eq(scan_plain(bytes, at, size), plain);
                cr_assert_eq(scan_control_portable(bytes, at, size), control);
                cr_assert_eq(scan_plain_portable(bytes, at, size), plain);
            }
        }
    }
    free(bytes);
}

/* Up to more than two blocks of 16. */
Test(scan, both_spellings_find_the_same_byte)
{
    for (size_t size = 0; size <= 40; size++) {
        compare_spellings(size);
    }
}

/* Where four blocks are looked at in a step: once and twice of them, exactly and almost. */
Test(scan, both_spellings_find_the_same_byte_in_a_long_line)
{
    for (size_t size = 95; size <= 98; size++) {
        compare_spellings(size);
        compare_spellings(size + 64);
    }
}

Test(scan, tokens_are_rfc_9110s)
{
    static const char others[] = "!#$%&'*+-.^_`|~"
                                 "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (unsigned byte = 0; byte < 256; byte++) {
        bool token = byte != 0 && strchr(others, (int)byte) != NULL;
        cr_expect_eq(byte_is((uint8_t)byte, BYTE_TOKEN), token, "%02x", byte);
    }
}

static size_t token(const char *text, size_t size, bool *plain)
{
    return scan_token(span_make(text, size), strlen(text), plain);
}

Test(scan, a_token_ends_where_it_ends)
{
    bool plain;
    cr_expect_eq(token("Host: a", 7, &plain), 4);
    cr_expect(plain);
    cr_expect_eq(token("My_Host: a", 10, &plain), 7);
    cr_expect(!plain);
    cr_expect_eq(token("_", 1, &plain), 1);
    cr_expect(!plain);
    cr_expect_eq(token("a.b.c", 5, &plain), 5);
    cr_expect_eq(token("", 0, &plain), 0);
    cr_expect_eq(token(": a", 3, &plain), 0);
    cr_expect_eq(token("a\r\nbcdefghijklmnopqrstuvw", 1, &plain), 1);
    cr_expect_eq(token("A-Very-Long-Header-Name-Of-Many-Bytes: x", 40, &plain), 37);
    cr_expect(plain);
    /* never beyond the text, even when what follows is a token too */
    cr_expect_eq(token("abcdef", 3, &plain), 3);
    cr_expect_eq(token("ab_def", 3, &plain), 3);
}

Test(scan, trims_spaces_and_tabs_alone)
{
    cr_expect(span_equal_string(scan_trim(SPAN_LITERAL(" \t a b\t ")), "a b"));
    cr_expect(span_equal_string(scan_trim(SPAN_LITERAL("a")), "a"));
    cr_expect(span_equal_string(scan_trim(SPAN_LITERAL(" \t ")), ""));
    cr_expect(span_equal_string(scan_trim(SPAN_LITERAL("")), ""));
    cr_expect(span_equal_string(scan_trim(SPAN_LITERAL("\xa0")), "\xa0"));
}

Test(scan, lists_give_every_element)
{
    struct span list = SPAN_LITERAL("a , b,,c ,"), element = {NULL, 0};
    static const char *const expected[] = {"a", "b", "", "c", ""};
    for (size_t i = 0; i < 5; i++) {
        cr_assert(scan_list_next(&list, &element));
        cr_expect(span_equal_string(element, expected[i]), "%zu", i);
    }
    cr_expect(!scan_list_next(&list, &element));
}
