#include "proxy/traceparent.h"

#include <criterion/criterion.h>

#define VALID "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static bool valid(const char *text)
{
    return traceparent_valid(span_from_string(text));
}

Test(traceparent, the_examples_of_the_specification_pass)
{
    cr_assert(valid(VALID));
    cr_assert(valid("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
}

Test(traceparent, a_higher_version_may_be_longer_and_version_zero_may_not)
{
    cr_assert(valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    cr_assert(valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes"));
    cr_assert_not(valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what"));
    cr_assert_not(valid(VALID "-what"));
    cr_assert_not(valid(VALID "-"));
    cr_assert_not(valid("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    cr_assert(valid("f0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
}

Test(traceparent, zero_ids_are_invalid)
{
    cr_assert_not(valid("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
    cr_assert_not(valid("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
}

Test(traceparent, every_prefix_is_too_short)
{
    for (size_t size = 0; size < TRACEPARENT_BYTES; size++) {
        cr_assert_not(traceparent_valid(span_make(VALID, size)), "%zu", size);
    }
}

Test(traceparent, every_byte_matters)
{
    for (size_t at = 0; at < TRACEPARENT_BYTES; at++) {
        const char bad[] = {'G', 'A', ' ', '\r', '\n', '\0', '_'};
        for (size_t i = 0; i < sizeof bad; i++) {
            char text[] = VALID;
            text[at] = bad[i];
            cr_assert_not(traceparent_valid(span_make(text, TRACEPARENT_BYTES)), "%zu %d", at,
                          bad[i]);
        }
    }
}

Test(traceparent, a_new_one_is_valid_and_not_the_one_before)
{
    uint64_t state = 7;
    char first[TRACEPARENT_BYTES];
    char second[TRACEPARENT_BYTES];
    traceparent_begin(&state, first);
    traceparent_begin(&state, second);
    cr_assert(traceparent_valid(span_make(first, sizeof first)));
    cr_assert(traceparent_valid(span_make(second, sizeof second)));
    cr_assert(memcmp(first + 3, second + 3, 32) != 0);
    cr_assert(memcmp(first + 36, second + 36, 16) != 0);
    cr_assert_eq(memcmp(first + 52, "-00", 3), 0);
}
