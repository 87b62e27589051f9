#include "base/utf8.h"

#include <criterion/criterion.h>

/* RFC 3629 section 3's table, written the other way round. */
static size_t encode(uint32_t character, uint8_t out[4])
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    size_t size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (uint8_t)(lead[size] | character);
    return size;
}

/* Every number four bytes can spell: characters are read, surrogates and what is beyond are not. */
Test(utf8, every_character_is_read_whole_and_never_cut)
{
    for (uint32_t character = 0; character < 0x200000; character++) {
        uint8_t bytes[5] = {0, 0, 0, 0, 'x'};
        uint32_t read = 0xffffffff;
        size_t size = encode(character, bytes);
        bool good = character <= 0x10ffff && (character < 0xd800 || character > 0xdfff);
        bytes[size] = 'x';
        cr_assert_eq(utf8_read(span_make(bytes, size + 1), &read), good ? size : 0, "%x",
                     character);
        cr_assert(!good || read == character, "%x: %x", character, read);
        for (size_t cut = 1; cut < size; cut++) {
            cr_assert_eq(utf8_read(span_make(bytes, cut), &read), 0, "%x", character);
        }
    }
}

Test(utf8, no_character_has_a_second_spelling)
{
    /* In every size, all numbers below the smallest that needs it. */
    static const struct {
        size_t size;
        uint8_t lead;
        uint32_t below;
    } overlong[] = {{2, 0xc0, 0x80}, {3, 0xe0, 0x800}, {4, 0xf0, 0x10000}};
    for (size_t i = 0; i < sizeof overlong / sizeof *overlong; i++) {
        for (uint32_t value = 0; value < overlong[i].below; value++) {
            uint8_t bytes[4];
            uint32_t left = value, read;
            for (size_t at = overlong[i].size - 1; at > 0; at--) {
                bytes[at] = (uint8_t)(0x80 | (left & 0x3f));
                left >>= 6;
            }
            bytes[0] = (uint8_t)(overlong[i].lead | left);
            cr_assert_eq(utf8_read(span_make(bytes, overlong[i].size), &read), 0, "%x in %zu",
                         value, overlong[i].size);
        }
    }
}

Test(utf8, what_begins_or_goes_on_no_character_is_none)
{
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        for (unsigned second = 0; second < 0x100; second++) {
            uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, 0x80, 0x80};
            uint32_t read;
            size_t size = utf8_read(span_make(bytes, 4), &read);
            bool may = lead >= 0xc2 && lead <= 0xf4 && (second & 0xc0) == 0x80;
            cr_assert(size == 0 || may, "%02x %02x", lead, second);
            for (size_t at = 2; at < size; at++) {
                static const uint8_t wrong[] = {0, 0x7f, 0xc0, 0xff};
                for (size_t w = 0; w < sizeof wrong; w++) {
                    uint8_t bent[4] = {bytes[0], bytes[1], bytes[2], bytes[3]};
                    bent[at] = wrong[w];
                    cr_assert_eq(utf8_read(span_make(bent, 4), &read), 0, "%02x %02x", lead,
                                 second);
                }
            }
        }
    }
}
