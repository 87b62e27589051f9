#include "jose/jws.h"

#include "jose/base64url.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static enum status split(const char *text, struct jws *jws)
{
    static uint8_t scratch[4096];
    return jws_split(span_from_string(text), (struct span_mut){scratch, sizeof scratch}, jws);
}

/* RFC 7515 appendix A.1. */
static const char rfc7515_a1[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                                 "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtc"
                                 "GxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                                 "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

Test(jws, rfc7515_a1)
{
    static const uint8_t signature[32] = {116, 24,  223, 180, 151, 153, 224, 37,  79,  250, 96,
                                          125, 216, 173, 187, 186, 22,  212, 37,  77,  105, 214,
                                          191, 240, 91,  88,  5,   88,  83,  132, 141, 121};
    struct jws jws;
    cr_assert_eq(split(rfc7515_a1, &jws), STATUS_OK);
    cr_assert(span_equal_string(jws.header, "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}"));
    cr_assert(span_equal_string(jws.payload, "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                                             "\"http://example.com/is_root\":true}"));
    cr_assert(span_equal(jws.signature, span_make(signature, sizeof signature)));
    cr_assert_eq(jws.signing_input.data, (const uint8_t *)rfc7515_a1);
    cr_assert_eq(jws.signing_input.size, (size_t)(strrchr(rfc7515_a1, '.') - rfc7515_a1));
}

Test(jws, refused)
{
    static const char *const refused[] = {
        "",
        ".",
        "..",
        "...",
        "....",
        "e30",
        "e30.e30",
        "e30.e30.",
        ".e30.e30",
        "e30..e30",
        "e30.e30.e30.e30",     /* four parts */
        "e30.e30.e30.",        /* three and a dot */
        ".e30.e30.e30",        /* a dot and three */
        "e30.e30.e30.e30.e30", /* a JWE */
        "e30=.e30.e30",        /* padding */
        "e30.e30=.e30",        /**/
        "e30.e30.e30=",        /**/
        "e30.e30.+/==",        /* the other alphabet */
        "e30.e30.ab\n",        /* white space */
        " e30.e30.e30",        /**/
        "e31.e30.e30",         /* trailing bits */
        "e30.e31.e30",         /**/
        "e30.e30.e31",         /**/
        "e.e30.e30",           /* 1 mod 4 */
        "e30.e30.e",           /**/
        "{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"e30\"}", /* JSON serialization
                                                                              */
        "{\"a\":\"x.y.z\"}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct jws jws;
        memset(&jws, 0x5a, sizeof jws);
        cr_assert_eq(split(refused[i], &jws), STATUS_MALFORMED, "%s", refused[i]);
        cr_assert_eq(jws.header.size + jws.payload.size + jws.signature.size +
                         jws.signing_input.size,
                     0, "a refused text leaves nothing to read: %s", refused[i]);
    }
}

Test(jws, nul_ends_nothing)
{
    uint8_t scratch[64];
    struct jws jws;
    cr_assert_eq(jws_split(SPAN_LITERAL("e30.e30.e30\0"), (struct span_mut){scratch, 64}, &jws),
                 STATUS_MALFORMED);
    cr_assert_eq(jws_split(SPAN_LITERAL("e30\0.e30.e30"), (struct span_mut){scratch, 64}, &jws),
                 STATUS_MALFORMED);
}

Test(jws, dots_alone_touch_no_memory)
{
    size_t size = 64 * 1024;
    char *dots = malloc(size);
    memset(dots, '.', size);
    struct jws jws;
    /* No scratch at all: what is refused by its dots is refused before it is decoded. */
    struct span_mut none = {NULL, 0};
    cr_assert_eq(jws_split(span_make(dots, size), none, &jws), STATUS_MALFORMED);
    dots[0] = 'a';
    dots[2] = 'a';
    cr_assert_eq(jws_split(span_make(dots, size), none, &jws), STATUS_MALFORMED);
    free(dots);
}

Test(jws, scratch_of_the_texts_size_is_enough_and_asked_for)
{
    size_t size = strlen(rfc7515_a1);
    uint8_t *scratch = malloc(size);
    struct jws jws;
    struct span text = span_make(rfc7515_a1, size);
    cr_assert_eq(jws_split(text, (struct span_mut){scratch, size - 1}, &jws), STATUS_TOO_LARGE);
    cr_assert_eq(jws.header.size, 0);
    cr_assert_eq(jws_split(text, (struct span_mut){scratch, size}, &jws), STATUS_OK);
    cr_assert(jws.signature.data + jws.signature.size <= scratch + size);
    free(scratch);
}

Test(jws, each_part_decodes_to_its_own_memory)
{
    for (size_t a = 1; a < 40; a++) {
        for (size_t b = 1; b < 40; b += 3) {
            uint8_t bytes[40], scratch[512];
            char text[512];
            memset(bytes, 'h', sizeof bytes);
            size_t size = base64url_encode(span_make(bytes, a), text);
            text[size++] = '.';
            memset(bytes, 'p', sizeof bytes);
            size += base64url_encode(span_make(bytes, b), text + size);
            text[size++] = '.';
            memset(bytes, 's', sizeof bytes);
            size += base64url_encode(span_make(bytes, 39), text + size);
            struct jws jws;
            cr_assert_eq(jws_split(span_make(text, size), (struct span_mut){scratch, 512}, &jws),
                         STATUS_OK);
            cr_assert_eq(jws.header.size, a);
            cr_assert_eq(jws.payload.size, b);
            cr_assert_eq(jws.signature.size, 39);
            cr_assert_eq(jws.header.data[0], 'h');
            cr_assert_eq(jws.header.data[a - 1], 'h');
            cr_assert_eq(jws.payload.data[0], 'p');
            cr_assert_eq(jws.payload.data[b - 1], 'p');
            cr_assert_eq(jws.signature.data[0], 's');
            cr_assert_eq(jws.signature.data[38], 's');
        }
    }
}
