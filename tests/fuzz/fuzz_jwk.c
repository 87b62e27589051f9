/* JWKs and JWK Sets. A key that is read, written with its required members alone, is the same key
 * with the same thumbprint; a key that is refused leaves zeros. A set finds only keys of the
 * algorithm's type. */
#include "jose/base64url.h"
#include "jose/json_write.h"
#include "jose/jwks.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void write_base64url(struct json_writer *writer, const char *name, const uint8_t *bytes,
                            size_t size)
{
    char text[BASE64URL_ENCODED_SIZE(RSA_MODULUS_BYTES_MAX)];
    json_write_string_member(writer, name,
                             span_make(text, base64url_encode(span_make(bytes, size), text)));
}

static struct span write_key(const struct public_key *key, char *out, size_t size)
{
    struct json_writer writer;
    struct span text;
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    if (key->type == KEY_RSA) {
        uint8_t exponent[4];
        size_t bytes = 0;
        for (int shift = 24; shift >= 0; shift -= 8) {
            if (bytes > 0 || key->exponent >> shift != 0) {
                exponent[bytes++] = (uint8_t)(key->exponent >> shift);
            }
        }
        json_write_string_member(&writer, "kty", SPAN_LITERAL("RSA"));
        write_base64url(&writer, "n", key->modulus, key->modulus_size);
        write_base64url(&writer, "e", exponent, bytes);
    } else if (key->type == KEY_ED25519) {
        json_write_string_member(&writer, "kty", SPAN_LITERAL("OKP"));
        json_write_string_member(&writer, "crv", SPAN_LITERAL("Ed25519"));
        write_base64url(&writer, "x", key->x, 32);
    } else {
        check(key->type == KEY_P256 || key->type == KEY_P384 || key->type == KEY_P521);
        size_t bytes = key->type == KEY_P256 ? 32 : key->type == KEY_P384 ? 48 : 66;
        const char *crv = bytes == 32 ? "P-256" : bytes == 48 ? "P-384" : "P-521";
        json_write_string_member(&writer, "kty", SPAN_LITERAL("EC"));
        json_write_string_member(&writer, "crv", span_from_string(crv));
        write_base64url(&writer, "x", key->x, bytes);
        write_base64url(&writer, "y", key->y, bytes);
    }
    json_write_object_end(&writer);
    check(json_write_end(&writer, &text) == STATUS_OK);
    return text;
}

static void check_key(const struct public_key *key)
{
    char text[1024];
    struct json_parser *parser = json_parser_new(sizeof text);
    struct json_document document;
    struct public_key again;
    uint8_t first[JWK_THUMBPRINT_BYTES], second[JWK_THUMBPRINT_BYTES];
    check(json_parse(parser, write_key(key, text, sizeof text), &document) == STATUS_OK);
    check(jwk_read(&document, 0, &again) == STATUS_OK);
    check(memcmp(key, &again, sizeof again) == 0);
    jwk_thumbprint(key, first);
    jwk_thumbprint(&again, second);
    check(memcmp(first, second, sizeof first) == 0);
    json_parser_free(parser);
}

static void check_document(struct span text)
{
    static struct json_parser *parser;
    if (parser == NULL) {
        parser = json_parser_new(16384);
    }
    struct json_document document;
    if (json_parse(parser, text, &document) != STATUS_OK) {
        return;
    }
    /* Any value may be asked for; only objects can be keys. */
    for (uint32_t i = 0; i <= document.count; i++) {
        struct public_key key;
        memset(&key, 0x5a, sizeof key);
        enum status status = jwk_read(&document, i, &key);
        if (status == STATUS_OK) {
            check(document.values[i].type == JSON_OBJECT);
            check(json_member(&document, i, "d") == NULL && json_member(&document, i, "k") == NULL);
            check_key(&key);
        } else {
            static const struct public_key zero;
            check(status == STATUS_MALFORMED || status == STATUS_UNSUPPORTED);
            check(memcmp(&key, &zero, sizeof key) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    struct jwks *jwks;
    const char *error;
    check_document(text);
    if (jwks_parse(text, &jwks, &error) == STATUS_OK) {
        check(error == NULL && jwks_count(jwks) > 0 && jwks_count(jwks) <= JWKS_KEYS_MAX);
        for (int algorithm = SIGNATURE_NONE; algorithm < SIGNATURE_ALGORITHMS; algorithm++) {
            const struct public_key *key = jwks_find(jwks, false, span_make(NULL, 0),
                                                     (enum signature_algorithm)algorithm);
            check(key == NULL ||
                  key->type == signature_key_type((enum signature_algorithm)algorithm));
            check(key == NULL || public_key_validate(key) == STATUS_OK);
            if (key != NULL) {
                check_key(key);
            }
        }
        jwks_free(jwks);
    } else {
        check(error != NULL && jwks == NULL);
    }
    return 0;
}
