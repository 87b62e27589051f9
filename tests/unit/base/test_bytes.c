#include "base/bytes.h"

#include <criterion/criterion.h>

#include <string.h>

#define ALPHANUMERIC "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* Each class is the list its RFC gives, and not a byte more. */
Test(bytes, every_byte_is_in_the_classes_that_the_rfcs_say)
{
    static const struct {
        enum byte_class class;
        const char *members;
    } classes[] = {
        {BYTE_UNRESERVED, ALPHANUMERIC "-._~"},
        {BYTE_PATH, ALPHANUMERIC "-._~!$&'()*+,;=:@/"},
        {BYTE_QUERY, ALPHANUMERIC "-._~!$&'()*+,;=:@/?\"<>[\\]^`{|}"},
        {BYTE_TOKEN, ALPHANUMERIC "!#$%&'*+-.^_`|~"},
        {BYTE_TOKEN68, ALPHANUMERIC "-._~+/"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            bool member = byte != 0 && strchr(classes[i].members, (int)byte) != NULL;
            cr_expect_eq(byte_is((uint8_t)byte, classes[i].class), member, "%02x in %u", byte,
                         (unsigned)classes[i].class);
        }
    }
}

Test(bytes, no_byte_has_a_class_without_a_name)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        cr_expect_eq(byte_classes[byte] &
                         ~(BYTE_UNRESERVED | BYTE_PATH | BYTE_QUERY | BYTE_TOKEN | BYTE_TOKEN68),
                     0, "%02x", byte);
    }
}
