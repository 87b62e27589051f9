#include "jose/jwks.h"

#include "unit/jose/vectors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct jwks *jwks;
static const char *error;

static void forget(void)
{
    jwks_free(jwks);
    jwks = NULL;
}
TestSuite(jwks, .fini = forget);

/* `text` is written with ' for ". Owned by nobody after the call: the set must not point into it.
 */
static enum status parse_bytes(const char *text, size_t size)
{
    char *json = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        json[i] = text[i] == '\'' ? '"' : text[i];
    }
    forget();
    jwks = (struct jwks *)&error;
    error = "untouched";
    enum status status = jwks_parse(span_make(json, size), &jwks, &error);
    memset(json, 'x', size);
    free(json);
    if (status == STATUS_OK) {
        cr_assert_not_null(jwks);
        cr_assert_null(error);
    } else {
        cr_assert_null(jwks);
        cr_assert_not_null(error);
        cr_assert_str_neq(error, "untouched");
    }
    return status;
}

static enum status parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

#define P256      "'kty':'EC','crv':'P-256','x':'" P256_X "','y':'" P256_Y "'"
#define P384      "'kty':'EC','crv':'P-384','x':'" P384_X "','y':'" P384_Y "'"
#define P521      "'kty':'EC','crv':'P-521','x':'" P521_X "','y':'" P521_Y "'"
#define ED25519   "'kty':'OKP','crv':'Ed25519','x':'" ED25519_X "'"
#define RSA       "'kty':'RSA','n':'" RSA_2048_N "','e':'AQAB'"
#define SET(keys) "{'keys':[" keys "]}"

static const struct public_key *find(const char *kid, enum signature_algorithm algorithm)
{
    return jwks_find(jwks, kid != NULL, span_from_string(kid), algorithm);
}

Test(jwks, a_key_is_found_by_kid_and_type)
{
    cr_assert_eq(parse(SET("{" P256 ",'kid':'a'},{" RSA ",'kid':'b'},{" ED25519
                           ",'kid':'c','use':'sig'},{" P384 ",'kid':'d'},{" P521 ",'kid':'e'}")),
                 STATUS_OK);
    cr_assert_eq(jwks_count(jwks), 5);
    cr_assert_eq(find("a", SIGNATURE_ES256)->type, KEY_P256);
    cr_assert_eq(find("b", SIGNATURE_RS256)->type, KEY_RSA);
    cr_assert_eq(find("b", SIGNATURE_PS256)->type, KEY_RSA);
    cr_assert_eq(find("c", SIGNATURE_EDDSA)->type, KEY_ED25519);
    cr_assert_eq(find("d", SIGNATURE_ES384)->type, KEY_P384);
    cr_assert_eq(find("e", SIGNATURE_ES512)->type, KEY_P521);
    cr_assert_null(find("a", SIGNATURE_RS256), "the kid's key is of another type");
    cr_assert_null(find("b", SIGNATURE_ES256));
    cr_assert_null(find("d", SIGNATURE_ES256));
    cr_assert_null(find("x", SIGNATURE_ES256), "no such kid, though a key would fit");
    cr_assert_null(find("", SIGNATURE_ES256));
    cr_assert_null(find("a ", SIGNATURE_ES256));
    cr_assert_null(find("A", SIGNATURE_ES256));
    cr_assert_null(find("a", SIGNATURE_NONE));
    cr_assert_null(find(NULL, SIGNATURE_NONE));
    cr_assert_null(jwks_find(jwks, true, SPAN_LITERAL("a\0"), SIGNATURE_ES256));
}

Test(jwks, without_a_kid_only_a_single_fitting_key)
{
    cr_assert_eq(parse(SET("{" P256 ",'kid':'a'},{" P256 "},{" RSA "},{" ED25519 ",'kid':'c'}")),
                 STATUS_OK);
    cr_assert_null(find(NULL, SIGNATURE_ES256), "two keys fit");
    cr_assert_eq(find(NULL, SIGNATURE_RS256)->type, KEY_RSA);
    cr_assert_eq(find(NULL, SIGNATURE_EDDSA)->type, KEY_ED25519);
    cr_assert_null(find(NULL, SIGNATURE_ES384), "none fits");
    cr_assert_null(find("", SIGNATURE_RS256), "no kid is not an empty kid");
}

Test(jwks, a_keys_own_alg_binds_it)
{
    cr_assert_eq(parse(SET("{" RSA ",'kid':'a','alg':'PS256'},{" RSA
                           ",'kid':'b','alg':'RS256'},{" ED25519 ",'kid':'c','alg':'Ed25519'}")),
                 STATUS_OK);
    cr_assert_not_null(find("a", SIGNATURE_PS256));
    cr_assert_null(find("a", SIGNATURE_RS256));
    cr_assert_null(find("b", SIGNATURE_PS256));
    cr_assert_eq(find(NULL, SIGNATURE_PS256), find("a", SIGNATURE_PS256));
    cr_assert_eq(find(NULL, SIGNATURE_RS256), find("b", SIGNATURE_RS256));
    cr_assert_not_null(find("c", SIGNATURE_EDDSA));
}

Test(jwks, keys_that_share_a_kid)
{
    cr_assert_eq(parse(SET("{" P256 ",'kid':'a'},{" RSA ",'kid':'a'}")), STATUS_OK);
    cr_assert_eq(find("a", SIGNATURE_ES256)->type, KEY_P256);
    cr_assert_eq(find("a", SIGNATURE_RS256)->type, KEY_RSA);
    cr_assert_eq(parse(SET("{" RSA ",'kid':'a'},{" RSA ",'kid':'a'}")), STATUS_OK);
    cr_assert_null(find("a", SIGNATURE_RS256), "which of the two is not known");
}

Test(jwks, kids_are_compared_unescaped_and_may_hold_anything)
{
    cr_assert_eq(parse(SET("{" P256 ",'kid':'\\u0061\\u0000'},{" RSA ",'kid':''}")), STATUS_OK);
    cr_assert_not_null(jwks_find(jwks, true, SPAN_LITERAL("a\0"), SIGNATURE_ES256));
    cr_assert_null(find("a", SIGNATURE_ES256));
    cr_assert_not_null(find("", SIGNATURE_RS256));
}

Test(jwks, what_we_do_not_do_is_skipped)
{
    cr_assert_eq(
        parse(SET("{'kty':'AKP','pub':'AA'},{'kty':'EC','crv':'secp256k1','x':'AA','y':'AA'},"
                  "{'kty':'OKP','crv':'X25519','x':'AA'},{" RSA ",'use':'enc'},{" RSA
                  ",'alg':'RSA-OAEP'},{'kty':'RSA','n':'" RSA_1024_N "','e':'AQAB'},{" P256
                  ",'key_ops':['deriveKey']},{" P256 ",'kid':'only','x5c':['MIIB']}")),
        STATUS_OK);
    cr_assert_eq(jwks_count(jwks), 1);
    cr_assert_not_null(find("only", SIGNATURE_ES256));
    cr_assert_null(find(NULL, SIGNATURE_RS256));
}

Test(jwks, malformed)
{
    static const struct {
        const char *text;
        const char *word; /* of the sentence that says what is wrong */
    } cases[] = {
        {"", "strict JSON"},
        {"{", "strict JSON"},
        {"{'keys':[],'keys':[]}", "strict JSON"},
        {SET("{" P256 "}") "x", "strict JSON"},
        {"[[[[[[[[[]]]]]]]]]", "strict JSON"},
        {"[]", "array \"keys\""},
        {"{}", "array \"keys\""},
        {"{'keys':{}}", "array \"keys\""},
        {"{'keys':null}", "array \"keys\""},
        {"{" P256 "}", "array \"keys\""}, /* a JWK, not a set */
        {"{'keys':[1]}", "not an object"},
        {"{'keys':[[]]}", "not an object"},
        {"{'keys':['x']}", "not an object"},
        {SET(""), "no key that can verify"},
        {SET("{" RSA ",'use':'enc'}"), "no key that can verify"},
        {SET("{" P256 ",'d':'AA'}"), "private"},
        {SET("{" P256 "},{" ED25519 ",'d':'AA'}"), "private"},
        {SET("{'kty':'oct','k':'AA'}"), "symmetric"},
        {SET("{}"), "damaged"},
        {SET("{'kty':'EC','crv':'P-256','x':'AA','y':'AA'}"), "damaged"},
        {SET("{'kty':'EC','crv':'P-256','x':'" P256_X "','y':'" P256_X "'}"), "curve"},
        {SET("{" P256 ",'kid':1}"), "kid"},
        {SET("{" P256 ",'kid':null}"), "kid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status status = parse(cases[i].text);
        cr_expect(status == STATUS_MALFORMED || status == STATUS_TOO_LARGE, "%s", cases[i].text);
        cr_expect_not_null(strstr(error, cases[i].word), "%s: %s", cases[i].text, error);
    }
}

Test(jwks, as_many_keys_as_are_named)
{
    char *text = malloc(JWKS_BYTES_MAX);
    for (unsigned keys = JWKS_KEYS_MAX - 1; keys <= JWKS_KEYS_MAX + 1; keys++) {
        int size = snprintf(text, JWKS_BYTES_MAX, "{'keys':[{'kty':'AKP'}");
        for (unsigned i = 0; i < keys; i++) {
            size += snprintf(text + size, JWKS_BYTES_MAX - (size_t)size, ",{" P256 ",'kid':'%u'}",
                             i);
        }
        snprintf(text + size, JWKS_BYTES_MAX - (size_t)size, ",{'kty':'AKP'}]}");
        cr_assert_eq(parse(text), keys <= JWKS_KEYS_MAX ? STATUS_OK : STATUS_TOO_LARGE);
        if (jwks != NULL) {
            cr_assert_eq(jwks_count(jwks), keys);
            cr_assert_not_null(find("0", SIGNATURE_ES256));
            cr_assert_not_null(find("62", SIGNATURE_ES256));
        }
    }
    free(text);
}

Test(jwks, bytes_are_bounded)
{
    char *text = malloc(JWKS_BYTES_MAX + 1);
    memset(text, ' ', JWKS_BYTES_MAX + 1);
    memcpy(text, SET("{" P256 "}"), sizeof(SET("{" P256 "}")) - 1);
    cr_assert_eq(parse_bytes(text, JWKS_BYTES_MAX), STATUS_OK);
    cr_assert_eq(parse_bytes(text, JWKS_BYTES_MAX + 1), STATUS_TOO_LARGE);
    cr_assert_not_null(strstr(error, "256 KiB"));
    free(text);
}
