#include "jose/base64url.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static enum status decode(const char *text, size_t size, uint8_t *out, size_t room, size_t *got)
{
    struct span decoded = {(const uint8_t *)"x", 77};
    enum status status = base64url_decode(span_make(text, size), (struct span_mut){out, room},
                                          &decoded);
    *got = decoded.size;
    if (status == STATUS_OK) {
        cr_assert_eq(decoded.data, out);
    } else {
        cr_assert_eq(decoded.size, 0, "a refused text leaves nothing to read");
    }
    return status;
}

/* RFC 4648 section 10, without its padding, and RFC 7515 appendix C. */
static const struct {
    const char *bytes;
    size_t size;
    const char *text;
} vectors[] = {
    {"", 0, ""},
    {"f", 1, "Zg"},
    {"fo", 2, "Zm8"},
    {"foo", 3, "Zm9v"},
    {"foob", 4, "Zm9vYg"},
    {"fooba", 5, "Zm9vYmE"},
    {"foobar", 6, "Zm9vYmFy"},
    {"\x03\xec\xff\xe0\xc1", 5, "A-z_4ME"},
    {"\xff\xff\xff", 3, "____"},
    {"\xfb\xef\xbe", 3, "----"},
    {"\0\0\0\0", 4, "AAAAAA"},
};

Test(base64url, rfc_vectors_both_ways)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t out[64];
        char text[64];
        size_t got;
        cr_assert_eq(decode(vectors[i].text, strlen(vectors[i].text), out, sizeof out, &got),
                     STATUS_OK, "%s", vectors[i].text);
        cr_assert_eq(got, vectors[i].size, "%s", vectors[i].text);
        cr_assert_arr_eq(out, vectors[i].bytes, got);
        size_t size = base64url_encode(span_make(vectors[i].bytes, vectors[i].size), text);
        cr_assert_eq(size, strlen(vectors[i].text));
        cr_assert_eq(size, BASE64URL_ENCODED_SIZE(vectors[i].size));
        cr_assert_arr_eq(text, vectors[i].text, size);
    }
}

Test(base64url, refuses_what_is_not_canonical)
{
    static const char *const refused[] = {
        "A",      "AAAAA",    "AAAAAAAAA",                       /* 1 mod 4 */
        "Zg==",   "Zg=",      "Zm8=",      "Zm9v=",     "=",     /* padding */
        "====",   "Zg==Zg",                                      /* padding inside */
        "Zm9v\n", "Zm9\nv",   " Zm9v",     "Zm9v ",     "Zm 9v", /* white space */
        "\tZm9v", "Zm9v\r\n",                                    /* more of it */
        "+A",     "/A",       "ab+/",      "ab.c",      "ab,c",  /* other alphabets, separators */
        "ab%c",   "\x80g",    "Zm9\xff",   "Z\xc3\xa9", "ab~c",
        "Zh",     "Zi",       "Zj",        "Zv",        "Z_", /* 4 trailing bits not zero */
        "Zm9",    "Zm-",      "Zm_",                          /* 2 trailing bits not zero */
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        uint8_t out[64];
        size_t got;
        cr_assert_eq(decode(refused[i], strlen(refused[i]), out, sizeof out, &got),
                     STATUS_MALFORMED, "%s", refused[i]);
    }
}

Test(base64url, refuses_nul_and_every_other_byte_in_every_place)
{
    /* 67 characters: every position of a vector's block, of the quartets behind it and of the tail.
     */
    char text[67];
    uint8_t out[64];
    size_t got;
    for (size_t place = 0; place < sizeof text; place++) {
        for (int byte = 0; byte < 256; byte++) {
            memset(text, 'A', sizeof text);
            text[place] = (char)byte;
            bool in_alphabet = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                               (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
            if (place == sizeof text - 1) { /* the last of 3: its two low bits are trailing */
                in_alphabet = byte != 0 && strchr("AEIMQUYcgkosw048", byte) != NULL;
            }
            cr_assert_eq(decode(text, sizeof text, out, sizeof out, &got),
                         in_alphabet ? STATUS_OK : STATUS_MALFORMED, "byte %d at %zu", byte, place);
        }
    }
}

Test(base64url, every_tail_has_exactly_one_text)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t out[2];
    size_t got, two = 0, three = 0;
    for (size_t a = 0; a < 64; a++) {
        for (size_t b = 0; b < 64; b++) {
            char text[3] = {all[a], all[b], 'A'};
            two += decode(text, 2, out, sizeof out, &got) == STATUS_OK;
            for (size_t c = 0; c < 64; c++) {
                text[2] = all[c];
                if (decode(text, 3, out, sizeof out, &got) == STATUS_OK) {
                    char again[3];
                    three++;
                    cr_assert_eq(base64url_encode(span_make(out, got), again), 3);
                    cr_assert_arr_eq(again, text, 3);
                }
            }
        }
    }
    cr_assert_eq(two, 256);
    cr_assert_eq(three, 65536);
}

Test(base64url, room_is_checked_before_anything_is_written)
{
    uint8_t out[8];
    size_t got;
    memset(out, 0xaa, sizeof out);
    cr_assert_eq(decode("Zm9vYmFy", 8, out, 5, &got), STATUS_TOO_LARGE);
    cr_assert_eq(decode("Zg", 2, out, 0, &got), STATUS_TOO_LARGE);
    cr_assert_eq(out[0], 0xaa);
    cr_assert_eq(decode("Zm9vYmFy", 8, out, 6, &got), STATUS_OK);
    cr_assert_eq(out[6], 0xaa);
    struct span decoded;
    cr_assert_eq(base64url_decode((struct span){NULL, 0}, (struct span_mut){NULL, 0}, &decoded),
                 STATUS_OK);
    cr_assert_eq(decoded.size, 0);
}

Test(base64url, round_trip_at_every_length_in_exact_memory)
{
    uint32_t random = 1;
    for (size_t size = 0; size <= 300; size++) {
        /* Exactly as large as needed, so that a sanitizer sees one byte too many. */
        uint8_t *bytes = malloc(size + 1), *back = malloc(size + 1);
        size_t text_size = BASE64URL_ENCODED_SIZE(size);
        char *text = malloc(text_size + 1);
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (uint8_t)(random >> 24);
        }
        text[text_size] = '!';
        back[size] = 0x5a;
        cr_assert_eq(base64url_encode(span_make(bytes, size), text), text_size);
        cr_assert_eq(text[text_size], '!');
        size_t got;
        cr_assert_eq(decode(text, text_size, back, size, &got), STATUS_OK);
        cr_assert_eq(got, size);
        cr_assert_leq(got, BASE64URL_DECODED_MAX(text_size));
        cr_assert_eq(memcmp(bytes, back, size), 0);
        cr_assert_eq(back[size], 0x5a, "one byte too many at %zu", size);
        free(bytes);
        free(back);
        free(text);
    }
}
