#include "base/hex.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(hex, every_byte_in_every_place)
{
    for (unsigned value = 0; value < 256; value++) {
        for (size_t place = 0; place < 4; place++) {
            uint8_t bytes[4] = {0x9f, 0xa0, 0x0a, 0xff};
            char digits[9] = "", expected[9];
            bytes[place] = (uint8_t)value;
            snprintf(expected, sizeof expected, "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2],
                     bytes[3]);
            hex_write4(bytes, digits);
            cr_assert_str_eq(digits, expected);
        }
    }
}

Test(hex, in_order_and_no_further)
{
    uint8_t bytes[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    char digits[18] = "xxxxxxxxxxxxxxxxx";
    hex_write(bytes, sizeof bytes, digits);
    cr_assert_str_eq(digits, "0123456789abcdefx");
    hex_write(bytes, 0, digits);
    cr_assert_str_eq(digits, "0123456789abcdefx");
}
