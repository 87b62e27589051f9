#include "jose/jwk.h"

#include "jose/base64url.h"
#include "unit/jose/vectors.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct json_parser *parser;
static struct json_document document;
static struct public_key key;

static void open_parser(void)
{
    parser = json_parser_new(8192);
    cr_assert_not_null(parser);
}
static void close_parser(void)
{
    json_parser_free(parser);
}
TestSuite(jwk, .init = open_parser, .fini = close_parser);

/* `text` is written with ' for ". */
static enum status read_jwk(const char *text)
{
    char json[8192];
    size_t size = strlen(text);
    cr_assert_leq(size, sizeof json);
    for (size_t i = 0; i < size; i++) {
        json[i] = text[i] == '\'' ? '"' : text[i];
    }
    cr_assert_eq(json_parse(parser, span_make(json, size), &document), STATUS_OK, "%s", text);
    memset(&key, 0x5a, sizeof key);
    enum status status = jwk_read(&document, 0, &key);
    if (status != STATUS_OK) {
        static const struct public_key zero;
        cr_assert_eq(memcmp(&key, &zero, sizeof key), 0, "a refused key leaves nothing to use");
    }
    return status;
}

static void thumbprint_is(const char *expected)
{
    uint8_t thumbprint[JWK_THUMBPRINT_BYTES];
    char text[43];
    jwk_thumbprint(&key, thumbprint);
    cr_assert_eq(base64url_encode(span_make(thumbprint, sizeof thumbprint), text), sizeof text);
    cr_assert(span_equal_string(span_make(text, sizeof text), expected), "%.43s is not %s", text,
              expected);
}

#define EC(crv, x, y) "{'kty':'EC','crv':'" crv "','x':'" x "','y':'" y "'}"
#define OKP(crv, x)   "{'kty':'OKP','crv':'" crv "','x':'" x "'}"
#define RSA(n, e)     "{'kty':'RSA','n':'" n "','e':'" e "'}"

#define P256_MEMBERS    "'kty':'EC','crv':'P-256','x':'" P256_X "','y':'" P256_Y "'"
#define ED25519_MEMBERS "'kty':'OKP','crv':'Ed25519','x':'" ED25519_X "'"
#define RSA_MEMBERS     "'kty':'RSA','n':'" RSA_2048_N "','e':'AQAB'"

Test(jwk, keys_and_thumbprints)
{
    static const struct {
        const char *text;
        enum public_key_type type;
        const char *thumbprint;
    } keys[] = {
        {EC("P-256", P256_X, P256_Y), KEY_P256, P256_THUMBPRINT},
        {EC("P-384", P384_X, P384_Y), KEY_P384, P384_THUMBPRINT},
        {EC("P-521", P521_X, P521_Y), KEY_P521, P521_THUMBPRINT},
        {OKP("Ed25519", ED25519_X), KEY_ED25519, ED25519_THUMBPRINT},
        {RSA(RSA_2048_N, "AQAB"), KEY_RSA, RSA_2048_THUMBPRINT},
        {RSA(RSA_3072_N, "AQAB"), KEY_RSA, RSA_3072_THUMBPRINT},
        {RSA(RSA_3072_N, "Aw"), KEY_RSA, RSA_3072_E3_THUMBPRINT},
        {RSA(RSA_4096_N, "AQAB"), KEY_RSA, RSA_4096_THUMBPRINT},
        /* order, spacing, escapes and other members change nothing */
        {"{ 'y':'" P256_Y "', 'kid':'1', 'x':'" P256_X "', 'ext':true, 'crv':'P\\u002d256',\n"
         "'key_ops':['verify'], 'use':'sig', 'alg':'ES256', 'k\\u0074y':'EC','x5c':['a'],'z':{}}",
         KEY_P256, P256_THUMBPRINT},
        /* RFC 7638 section 3.1 as it is printed there */
        {"{'kty':'RSA','n':'" RSA_2048_N "','e':'AQAB','alg':'RS256','kid':'2011-04-29'}", KEY_RSA,
         RSA_2048_THUMBPRINT},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        cr_assert_eq(read_jwk(keys[i].text), STATUS_OK, "%s", keys[i].text);
        cr_assert_eq(key.type, keys[i].type);
        thumbprint_is(keys[i].thumbprint);
    }
}

Test(jwk, thumbprints_of_the_rfcs)
{
    cr_assert_eq(read_jwk(RSA(RSA_2048_N, "AQAB")), STATUS_OK);
    thumbprint_is("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"); /* RFC 7638 section 3.1 */
    cr_assert_eq(read_jwk(OKP("Ed25519", ED25519_X)), STATUS_OK);
    thumbprint_is("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); /* RFC 8037 appendix A.3 */
    cr_assert_eq(read_jwk(EC("P-256", P256_X, P256_Y)), STATUS_OK);
    thumbprint_is("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"); /* RFC 9449 section 6.1 */
}

Test(jwk, bytes_of_a_key)
{
    static const uint8_t x[] = {0x97, 0xcb, 0x45, 0xae, 0x1c, 0x7e, 0xdf, 0x8b};
    static const uint8_t a[] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7};
    cr_assert_eq(read_jwk("{" P256_MEMBERS "}"), STATUS_OK);
    cr_assert_arr_eq(key.x, x, sizeof x);
    cr_assert_eq(key.modulus_size, 0);
    for (size_t i = 32; i < sizeof key.x; i++) {
        cr_assert_eq(key.x[i] | key.y[i], 0, "unused bytes are zero");
    }
    cr_assert_eq(read_jwk("{" ED25519_MEMBERS "}"), STATUS_OK);
    cr_assert_arr_eq(key.x, a, sizeof a);
    cr_assert_eq(read_jwk("{" RSA_MEMBERS "}"), STATUS_OK);
    cr_assert_eq(key.modulus_size, 256);
    cr_assert_eq(key.modulus[0], 0xd2);
    cr_assert_eq(key.modulus[255], 0x83);
    cr_assert_eq(key.exponent, 65537);
    cr_assert_eq(read_jwk(RSA(RSA_2048_N, "_____w")), STATUS_OK);
    cr_assert_eq(key.exponent, 0xffffffff);
}

Test(jwk, malformed)
{
    static const char *const refused[] = {
        "[]",
        "['kty','EC']",
        "{}",
        "{'kty':null,'crv':'P-256','x':'" P256_X "','y':'" P256_Y "'}",
        "{'kty':1}",
        "{'kty':['EC']}",
        "{'kty':{'EC':1}}",
        "{'crv':'P-256','x':'" P256_X "','y':'" P256_Y "'}", /* no kty */
        /* symmetric */
        "{'kty':'oct','k':'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T'}",
        "{'kty':'oct'}",
        /* members missing or of another type */
        "{'kty':'EC','x':'" P256_X "','y':'" P256_Y "'}",
        "{'kty':'EC','crv':256,'x':'" P256_X "','y':'" P256_Y "'}",
        "{'kty':'EC','crv':'P-256','y':'" P256_Y "'}",
        "{'kty':'EC','crv':'P-256','x':'" P256_X "'}",
        "{'kty':'EC','crv':'P-256','x':1,'y':'" P256_Y "'}",
        "{'kty':'EC','crv':'P-256','x':'" P256_X "','y':true}",
        "{'kty':'EC','crv':'P-256','x':'" P256_X "','y':['" P256_Y "']}",
        "{'kty':'OKP','x':'" ED25519_X "'}",
        "{'kty':'OKP','crv':'Ed25519'}",
        "{'kty':'OKP','crv':'Ed25519','x':null}",
        "{'kty':'RSA','e':'AQAB'}",
        "{'kty':'RSA','n':'" RSA_2048_N "'}",
        "{'kty':'RSA','n':'" RSA_2048_N "','e':65537}",
        "{'kty':'RSA','n':17,'e':'AQAB'}",
        /* coordinates of another size */
        EC("P-256", "", P256_Y),
        EC("P-256", "AA", P256_Y),
        EC("P-256", "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBA", P256_Y),   /* 31 */
        EC("P-256", P256_X, "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRA"),   /* 31 */
        EC("P-256", P256_X, "APVROI3_zpP6OuM2005XLjSWox5rer_Uw1a1NAnbxkQw"), /* a zero before */
        EC("P-256", P384_X, P384_Y),
        EC("P-384", P256_X, P256_Y),
        EC("P-521", P384_X, P384_Y),
        OKP("Ed25519", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"),
        OKP("Ed25519", "ANdamAGCsQq31Uv-08lkBzoO4XLz2qYjJa8CGmj3B1Ea"),
        /* not canonical base64url */
        EC("P-256", P256_X "=", P256_Y),
        EC("P-256", P256_X, P256_Y " "),
        EC("P-256", "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFt", P256_Y), /* trailing bits */
        EC("P-256", "l8tFrhx+34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", P256_Y), /* + for - */
        OKP("Ed25519", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"),      /* / for _ */
        RSA(RSA_2048_N "==", "AQAB"),
        RSA(RSA_2048_N, "AQAB="),
        RSA(RSA_2048_N, "A"),
        RSA(RSA_2048_N, ""),
        RSA("", "AQAB"),
        /* not the minimum of octets: another thumbprint for the same key */
        RSA(RSA_2048_N, "AAEAAQ"),
        RSA(RSA_2048_N, "AA"),
        RSA("AAAA" RSA_2048_N, "AQAB"),
        /* private members, whatever they hold */
        "{" P256_MEMBERS ",'d':'AA'}",
        "{" P256_MEMBERS ",'d':null}",
        "{" P256_MEMBERS ",'\\u0064':'AA'}",
        "{" P256_MEMBERS ",'k':'AA'}",
        "{" P256_MEMBERS ",'p':'AA'}",
        "{'d':'AA'," P256_MEMBERS "}",
        "{" ED25519_MEMBERS ",'d':'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A'}",
        "{" RSA_MEMBERS ",'d':'AQ'}",
        "{" RSA_MEMBERS ",'p':'AQ'}",
        "{" RSA_MEMBERS ",'q':'AQ'}",
        "{" RSA_MEMBERS ",'dp':'AQ'}",
        "{" RSA_MEMBERS ",'dq':'AQ'}",
        "{" RSA_MEMBERS ",'qi':'AQ'}",
        "{" RSA_MEMBERS ",'oth':[]}",
        "{'kty':'OKP','crv':'X25519','x':'" ED25519_X "','d':'AA'}",
        /* what it says of its use, of another type */
        "{" P256_MEMBERS ",'use':1}",
        "{" P256_MEMBERS ",'use':['sig']}",
        "{" P256_MEMBERS ",'alg':null}",
        "{" P256_MEMBERS ",'alg':['ES256']}",
        "{" P256_MEMBERS ",'key_ops':'verify'}",
        "{" P256_MEMBERS ",'key_ops':{'verify':1}}",
        "{" P256_MEMBERS ",'key_ops':['verify',1]}",
        "{" P256_MEMBERS ",'key_ops':[['verify']]}",
        "{" P256_MEMBERS ",'key_ops':['verify','verify']}",
        "{" P256_MEMBERS ",'key_ops':['verify','sign','sign']}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        cr_expect_eq(read_jwk(refused[i]), STATUS_MALFORMED, "case %zu: %s", i, refused[i]);
    }
}

Test(jwk, unsupported)
{
    static const char *const refused[] = {
        "{'kty':'AKP','pub':'AA','alg':'ML-DSA-44'}",
        "{'kty':'','x':'AA'}",
        "{'kty':'ec','crv':'P-256','x':'" P256_X "','y':'" P256_Y "'}",
        "{'kty':'EC\\u0000','crv':'P-256','x':'" P256_X "','y':'" P256_Y "'}",
        "{'kty':'rsa','n':'" RSA_2048_N "','e':'AQAB'}",
        EC("secp256k1", P256_X, P256_Y),
        EC("P-256 ", P256_X, P256_Y),
        EC("p-256", P256_X, P256_Y),
        EC("", P256_X, P256_Y),
        EC("Ed25519", ED25519_X, P256_Y), /* a curve of the other kty */
        OKP("P-256", P256_X),
        OKP("Ed448", "AA"),
        OKP("X25519", ED25519_X),
        RSA(RSA_1024_N, "AQAB"),
        RSA(RSA_2047_N, "AQAB"),
        RSA(RSA_4104_N, "AQAB"),
        RSA(RSA_2048_N, "AQ"),      /* 1 */
        RSA(RSA_2048_N, "Ag"),      /* 2 */
        RSA(RSA_2048_N, "AQAA"),    /* even */
        RSA(RSA_2048_N, "AQAAAAE"), /* five bytes */
        "{" P256_MEMBERS ",'use':'enc'}",
        "{" P256_MEMBERS ",'use':''}",
        "{" P256_MEMBERS ",'use':'SIG'}",
        "{" P256_MEMBERS ",'alg':'ES384'}",
        "{" P256_MEMBERS ",'alg':'EdDSA'}",
        "{" P256_MEMBERS ",'alg':'ECDH-ES'}",
        "{" P256_MEMBERS ",'alg':'none'}",
        "{" P256_MEMBERS ",'alg':'HS256'}",
        "{" ED25519_MEMBERS ",'alg':'ES256'}",
        "{" RSA_MEMBERS ",'alg':'RSA-OAEP'}",
        "{" RSA_MEMBERS ",'alg':'RS512'}",
        "{" P256_MEMBERS ",'key_ops':[]}",
        "{" P256_MEMBERS ",'key_ops':['sign']}",
        "{" P256_MEMBERS ",'key_ops':['deriveKey','encrypt']}",
        "{" P256_MEMBERS ",'key_ops':['Verify']}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        cr_expect_eq(read_jwk(refused[i]), STATUS_UNSUPPORTED, "case %zu: %s", i, refused[i]);
    }
}

Test(jwk, what_a_key_says_of_its_use_and_means_us)
{
    static const char *const accepted[] = {
        "{" P256_MEMBERS ",'use':'sig'}",
        "{" P256_MEMBERS ",'alg':'ES256'}",
        "{" P256_MEMBERS ",'key_ops':['verify']}",
        "{" P256_MEMBERS ",'key_ops':['sign','verify']}",
        "{" P256_MEMBERS ",'use':'sig','alg':'ES256','key_ops':['verify','deriveBits']}",
        "{" ED25519_MEMBERS ",'alg':'EdDSA'}",
        "{" ED25519_MEMBERS ",'alg':'Ed25519'}",
        "{" RSA_MEMBERS ",'alg':'PS256'}",
        "{" RSA_MEMBERS ",'alg':'RS256'}",
        /* names that only look private */
        "{" P256_MEMBERS ",'D':'AA','dd':1,'ot':2,'oth ':3,'qq':4}",
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        cr_expect_eq(read_jwk(accepted[i]), STATUS_OK, "case %zu: %s", i, accepted[i]);
    }
}

Test(jwk, inside_a_larger_document)
{
    static const char text[] = "{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
                               "\",\"y\":\"" P256_Y
                               "\"},\"d\":\"a private member of another object\",\"kty\":\"oct\"}";
    cr_assert_eq(json_parse(parser, span_from_string(text), &document), STATUS_OK);
    cr_assert_eq(jwk_read(&document, 1, &key), STATUS_OK);
    thumbprint_is(P256_THUMBPRINT);
    cr_assert_eq(jwk_read(&document, 0, &key), STATUS_MALFORMED);
    cr_assert_eq(jwk_read(&document, 2, &key), STATUS_MALFORMED, "a string");
    cr_assert_eq(jwk_read(&document, document.count, &key), STATUS_MALFORMED, "no such value");
}

/* public_key_validate is crypto's: here only that a point off its curve is read and refused there.
 */
Test(jwk, a_point_off_the_curve_is_read_and_then_refused_by_crypto)
{
    cr_assert_eq(read_jwk(EC("P-256", P256_X, P256_X)), STATUS_OK);
    cr_assert_eq(public_key_validate(&key), STATUS_FAILED);
    cr_assert_eq(read_jwk(EC("P-256", P256_X, P256_Y)), STATUS_OK);
    cr_assert_eq(public_key_validate(&key), STATUS_OK);
}

Test(jwa, names)
{
    static const struct {
        const char *name;
        enum signature_algorithm algorithm;
    } names[] = {
        {"ES256", SIGNATURE_ES256}, {"ES384", SIGNATURE_ES384},   {"ES512", SIGNATURE_ES512},
        {"EdDSA", SIGNATURE_EDDSA}, {"Ed25519", SIGNATURE_EDDSA}, {"PS256", SIGNATURE_PS256},
        {"RS256", SIGNATURE_RS256},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_expect_eq(jwa_from_name(span_from_string(names[i].name)), names[i].algorithm);
        if (strcmp(names[i].name, "Ed25519") != 0) {
            cr_expect_str_eq(jwa_name(names[i].algorithm), names[i].name);
        }
    }
    static const char *const unknown[] = {"",       "none",   "None",  "HS256", "es256",
                                          "ES256 ", "ES256K", "RS384", "PS512", "Ed448",
                                          "eddsa",  "ES2560", "ES25",  "ECDSA", "ED25519"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        cr_expect_eq(jwa_from_name(span_from_string(unknown[i])), SIGNATURE_NONE, "%s", unknown[i]);
    }
    cr_expect_eq(jwa_from_name(SPAN_LITERAL("ES256\0")), SIGNATURE_NONE);
    cr_expect_eq(jwa_from_name((struct span){NULL, 0}), SIGNATURE_NONE);
    cr_expect_str_eq(jwa_name(SIGNATURE_NONE), "none");
}
