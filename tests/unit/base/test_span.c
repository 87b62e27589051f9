#include "base/span.h"

#include <criterion/criterion.h>

Test(span, equal_compares_sizes_and_bytes)
{
    cr_assert(span_equal(SPAN_LITERAL("abc"), SPAN_LITERAL("abc")));
    cr_assert_not(span_equal(SPAN_LITERAL("abc"), SPAN_LITERAL("abd")));
    cr_assert_not(span_equal(SPAN_LITERAL("abc"), SPAN_LITERAL("ab")));
    cr_assert(span_equal((struct span){NULL, 0}, SPAN_LITERAL("")));
}

Test(span, ignore_case_is_ascii_only)
{
    cr_assert(span_equal_ignore_case(SPAN_LITERAL("DPoP"), SPAN_LITERAL("dpop")));
    cr_assert_not(span_equal_ignore_case(SPAN_LITERAL("dpop"), SPAN_LITERAL("dpop2")));
    cr_assert_not(span_equal_ignore_case(SPAN_LITERAL("a"), SPAN_LITERAL("b")));
    /* '@' and '`', '[' and '{' differ by the case bit alone and are not letters. */
    cr_assert_not(span_equal_ignore_case(SPAN_LITERAL("@["), SPAN_LITERAL("`{")));
    cr_assert_not(span_equal_ignore_case(SPAN_LITERAL("\xc4"), SPAN_LITERAL("\xe4")));
}

Test(span, find_gives_size_when_absent)
{
    cr_assert_eq(span_find(SPAN_LITERAL("a.b.c"), '.'), 1);
    cr_assert_eq(span_find(SPAN_LITERAL("abc"), '.'), 3);
    cr_assert_eq(span_find((struct span){NULL, 0}, '.'), 0);
}

Test(span, prefix_and_parts)
{
    struct span text = SPAN_LITERAL("https://x");
    cr_assert(span_starts_with(text, SPAN_LITERAL("https://")));
    cr_assert_not(span_starts_with(SPAN_LITERAL("http"), SPAN_LITERAL("https")));
    cr_assert(span_equal_string(span_after(text, 8), "x"));
    cr_assert(span_equal_string(span_first(text, 5), "https"));
    cr_assert_eq(span_from_string(NULL).size, 0);
}
