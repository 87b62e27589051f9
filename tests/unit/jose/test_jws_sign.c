#include "jose/jws_sign.h"

#include "jose/jwk.h"
#include "jose/jwks.h"
#include "jose/jws.h"

#include <criterion/criterion.h>

static const enum signature_algorithm algorithms[] = {
    SIGNATURE_ES256, SIGNATURE_ES384, SIGNATURE_ES512, SIGNATURE_EDDSA, SIGNATURE_PS256};
#define ALGORITHMS (sizeof algorithms / sizeof algorithms[0])

Test(jws_sign, is_read_back_by_jws_split)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key *key = signing_key_generate(algorithms[i]);
        uint8_t text[2048], scratch[2048];
        struct span token;
        struct jws jws;
        cr_assert(jws_sign(key, algorithms[i], SPAN_LITERAL("{\"a\":1}"), SPAN_LITERAL("{\"b\":2}"),
                           (struct span_mut){text, sizeof text}, &token) == STATUS_OK);
        cr_assert(jws_split(token, (struct span_mut){scratch, sizeof scratch}, &jws) == STATUS_OK);
        cr_expect(span_equal_string(jws.header, "{\"a\":1}"));
        cr_expect(span_equal_string(jws.payload, "{\"b\":2}"));
        cr_expect(jws.signature.size >= 64);
        signing_key_free(key);
    }
}

Test(jws_sign, needs_room_and_the_right_algorithm)
{
    struct signing_key *key = signing_key_generate(SIGNATURE_ES256);
    uint8_t text[2048];
    struct span token;
    cr_expect(jws_sign(key, SIGNATURE_ES256, SPAN_LITERAL("{}"), SPAN_LITERAL("{}"),
                       (struct span_mut){text, 100}, &token) == STATUS_TOO_LARGE);
    cr_expect(jws_sign(key, SIGNATURE_EDDSA, SPAN_LITERAL("{}"), SPAN_LITERAL("{}"),
                       (struct span_mut){text, sizeof text}, &token) == STATUS_UNSUPPORTED);
    signing_key_free(key);
}

static struct span write_jwk(const struct public_key *key, enum signature_algorithm algorithm,
                             const char *kid, char *out, size_t size)
{
    struct json_writer writer;
    struct span text;
    json_write_begin(&writer, out, size);
    jwk_write(&writer, key, algorithm, span_from_string(kid));
    cr_assert(json_write_end(&writer, &text) == STATUS_OK);
    return text;
}

Test(jwk_write, is_read_back_by_jwk_read)
{
    struct json_parser *parser = json_parser_new(8192);
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key *key = signing_key_generate(algorithms[i]);
        struct public_key one, two;
        struct json_document document;
        char text[4096];
        signing_key_public(key, &one);
        struct span json = write_jwk(&one, algorithms[i], "k", text, sizeof text);
        cr_assert(json_parse(parser, json, &document) == STATUS_OK);
        cr_assert(jwk_read(&document, 0, &two) == STATUS_OK, "%.*s", SPAN_ARG(json));
        cr_expect(memcmp(&one, &two, sizeof one) == 0);
        cr_expect(json_member(&document, 0, "alg") != NULL);
        cr_expect(json_member(&document, 0, "kid") != NULL);
        json = write_jwk(&one, SIGNATURE_NONE, "", text, sizeof text);
        cr_assert(json_parse(parser, json, &document) == STATUS_OK);
        cr_expect(json_member(&document, 0, "alg") == NULL);
        cr_expect(json_member(&document, 0, "use") == NULL);
        cr_expect(json_member(&document, 0, "kid") == NULL);
        signing_key_free(key);
    }
    json_parser_free(parser);
}

/* RFC 7518 section 6.3.1.2: the exponent is its "big-endian representation", in as few octets as it
 * takes. */
Test(jwk_write, exponents_have_no_leading_zeros)
{
    static const struct {
        uint32_t exponent;
        const char *text;
    } cases[] = {{3, "Aw"}, {257, "AQE"}, {65537, "AQAB"}, {0x81000001, "gQAAAQ"}};
    struct json_parser *parser = json_parser_new(8192);
    struct json_document document;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct public_key key = {
            .type = KEY_RSA, .exponent = cases[i].exponent, .modulus_size = 256};
        memset(key.modulus, 0xff, 256);
        char text[4096];
        struct span json = write_jwk(&key, SIGNATURE_RS256, "k", text, sizeof text);
        cr_assert(json_parse(parser, json, &document) == STATUS_OK);
        const struct json_value *e = json_member(&document, 0, "e");
        cr_assert(e != NULL && span_equal_string(e->text, cases[i].text), "%s", cases[i].text);
    }
    json_parser_free(parser);
}

Test(jwk_write, makes_a_set_that_finds_its_key)
{
    struct signing_key *key = signing_key_generate(SIGNATURE_EDDSA);
    struct public_key public_key;
    char text[4096], kid[JWK_THUMBPRINT_TEXT_BYTES];
    struct json_writer writer;
    struct span json;
    signing_key_public(key, &public_key);
    jwk_thumbprint_text(&public_key, kid);
    json_write_begin(&writer, text, sizeof text);
    json_write_object(&writer);
    json_write_name_string(&writer, "keys");
    json_write_array(&writer);
    jwk_write(&writer, &public_key, SIGNATURE_EDDSA, span_make(kid, sizeof kid));
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    cr_assert(json_write_end(&writer, &json) == STATUS_OK);
    struct jwks *jwks = NULL;
    const char *error = NULL;
    cr_assert(jwks_parse(json, &jwks, &error) == STATUS_OK, "%s", error);
    const struct public_key *found = jwks_find(jwks, true, span_make(kid, sizeof kid),
                                               SIGNATURE_EDDSA);
    cr_assert(found != NULL);
    cr_expect(memcmp(found->x, public_key.x, 32) == 0);
    jwks_free(jwks);
    signing_key_free(key);
}
