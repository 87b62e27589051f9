#include "jose/jws_sign.h"

#include "jose/base64url.h"
#include "jose/jwk.h"

enum status jws_sign(const struct signing_key *key, enum signature_algorithm algorithm,
                     struct span header, struct span payload, struct span_mut out,
                     struct span *token)
{
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t signature_size = 0;
    size_t input_size = BASE64URL_ENCODED_SIZE(header.size) + 1 +
                        BASE64URL_ENCODED_SIZE(payload.size);
    if (input_size + 1 + BASE64URL_ENCODED_SIZE(sizeof signature) > out.size) {
        return STATUS_TOO_LARGE;
    }
    char *text = (char *)out.data;
    size_t used = base64url_encode(header, text);
    text[used++] = '.';
    used += base64url_encode(payload, text + used);
    enum status status = signing_key_sign(key, algorithm, span_make(text, used), signature,
                                          &signature_size);
    if (status != STATUS_OK) {
        return status;
    }
    text[used++] = '.';
    used += base64url_encode(span_make(signature, signature_size), text + used);
    *token = span_make(text, used);
    return STATUS_OK;
}

static void write_bytes(struct json_writer *writer, const char *name, struct span bytes)
{
    char text[BASE64URL_ENCODED_SIZE(RSA_MODULUS_BYTES_MAX)];
    json_write_string_member(writer, name, span_make(text, base64url_encode(bytes, text)));
}

static void write_curve(struct json_writer *writer, const char *name, const struct public_key *key,
                        size_t field_bytes)
{
    json_write_string_member(writer, "kty", SPAN_LITERAL("EC"));
    json_write_string_member(writer, "crv", span_from_string(name));
    write_bytes(writer, "x", span_make(key->x, field_bytes));
    write_bytes(writer, "y", span_make(key->y, field_bytes));
}

static void write_rsa(struct json_writer *writer, const struct public_key *key)
{
    uint8_t exponent[4];
    size_t skipped = 0;
    for (size_t i = 0; i < 4; i++) {
        exponent[i] = (uint8_t)(key->exponent >> (24 - 8 * i));
    }
    while (skipped < 3 && exponent[skipped] == 0) {
        skipped++;
    }
    json_write_string_member(writer, "kty", SPAN_LITERAL("RSA"));
    write_bytes(writer, "n", span_make(key->modulus, key->modulus_size));
    write_bytes(writer, "e", span_make(exponent + skipped, 4 - skipped));
}

void jwk_write(struct json_writer *writer, const struct public_key *key,
               enum signature_algorithm algorithm, struct span kid)
{
    json_write_object(writer);
    switch (key->type) {
    case KEY_P256:
        write_curve(writer, "P-256", key, 32);
        break;
    case KEY_P384:
        write_curve(writer, "P-384", key, 48);
        break;
    case KEY_P521:
        write_curve(writer, "P-521", key, 66);
        break;
    case KEY_RSA:
        write_rsa(writer, key);
        break;
    default:
        json_write_string_member(writer, "kty", SPAN_LITERAL("OKP"));
        json_write_string_member(writer, "crv", SPAN_LITERAL("Ed25519"));
        write_bytes(writer, "x", span_make(key->x, 32));
        break;
    }
    if (algorithm != SIGNATURE_NONE) {
        json_write_string_member(writer, "alg", span_from_string(jwa_name(algorithm)));
        json_write_string_member(writer, "use", SPAN_LITERAL("sig"));
    }
    if (kid.size > 0) {
        json_write_string_member(writer, "kid", kid);
    }
    json_write_object_end(writer);
}

void jwk_thumbprint_text(const struct public_key *key, char out[JWK_THUMBPRINT_TEXT_BYTES])
{
    uint8_t thumbprint[JWK_THUMBPRINT_BYTES];
    jwk_thumbprint(key, thumbprint);
    base64url_encode(span_make(thumbprint, sizeof thumbprint), out);
}
