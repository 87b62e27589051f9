#include "app/commands.h"

#include "crypto/sha256.h"
#include "unit/app/printed_jws.h"

TestSuite(proof, .init = set_up, .fini = put_away);

Test(proof, is_what_rfc_9449_asks_for)
{
    make_demo();
    RUN(command_proof, &result, "proof", "--dir", demo, "--method", "POST", "--url",
        "https://localhost:8443/a/b?c=d#e", "--token", "a.b.c", "--nonce", "n-1", "--header");
    take_apart("DPoP: ");
    header = parse(span_make(header_copy, jws.header.size));
    cr_expect_str_eq(text_of(&header, "typ"), "dpop+jwt");
    cr_expect_str_eq(text_of(&header, "alg"), "ES256");
    struct public_key dpop = public_of("dpop-a.key"), embedded;
    const struct json_value *jwk = json_member(&header, 0, "jwk");
    cr_assert(jwk != NULL);
    cr_assert(jwk_read(&header, (uint32_t)(jwk - header.values), &embedded) == STATUS_OK);
    cr_expect(memcmp(&embedded, &dpop, sizeof dpop) == 0);
    cr_expect(verifies(&embedded, SIGNATURE_ES256));
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "htm"), "POST");
    cr_expect_str_eq(text_of(&claims, "htu"), "https://localhost:8443/a/b");
    cr_expect_str_eq(text_of(&claims, "nonce"), "n-1");
    uint8_t digest[32];
    char ath[43];
    sha256(SPAN_LITERAL("a.b.c"), digest);
    base64url_encode(span_make(digest, 32), ath);
    cr_expect(span_equal(json_member(&claims, 0, "ath")->text, span_make(ath, 43)));
    cr_expect(strlen(text_of(&claims, "jti")) == 22);
    int64_t age_s = time(NULL) - number_of(&claims, "iat");
    cr_expect(age_s >= 0 && age_s < 10);
}

Test(proof, every_algorithm_and_both_names_of_ed25519)
{
    static const struct {
        const char *alg;
        enum signature_algorithm algorithm;
    } cases[] = {{"EdDSA", SIGNATURE_EDDSA}, {"Ed25519", SIGNATURE_EDDSA},
                 {"ES384", SIGNATURE_ES384}, {"ES512", SIGNATURE_ES512},
                 {"PS256", SIGNATURE_PS256}, {"RS256", SIGNATURE_RS256}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RUN(command_demo_authority, &result, "demo-authority", demo, "--force", "--dpop-alg",
            cases[i].alg);
        cr_assert(result.exit_code == 0, "%s", result.error);
        RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--alg",
            cases[i].alg);
        take_apart("");
        header = parse(span_make(header_copy, jws.header.size));
        cr_expect_str_eq(text_of(&header, "alg"), cases[i].alg);
        struct public_key dpop = public_of("dpop-a.key");
        cr_expect(verifies(&dpop, cases[i].algorithm), "%s", cases[i].alg);
    }
}

Test(proof, every_one_is_fresh_unless_told_otherwise)
{
    make_demo();
    char first[32768];
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/");
    snprintf(first, sizeof first, "%s", result.out);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/");
    cr_expect(strcmp(first, result.out) != 0);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--jti", "mine",
        "--iat", "-65s");
    take_apart("");
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "jti"), "mine");
    cr_expect(json_member(&claims, 0, "ath") == NULL && json_member(&claims, 0, "nonce") == NULL);
    int64_t age_s = time(NULL) - number_of(&claims, "iat");
    cr_expect(age_s >= 65 && age_s < 75);
}

Test(proof, tells_what_is_wrong)
{
    make_demo();
    RUN(command_proof, &result, "proof", "--url", "https://a/");
    cr_expect(result.exit_code == 2 && strstr(result.error, "whose key") != NULL);
    RUN(command_proof, &result, "proof", "--dir", demo);
    cr_expect(result.exit_code == 2 && strstr(result.error, "--url") != NULL);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--iat", "now");
    cr_expect(result.exit_code == 2 && strstr(result.error, "--iat") != NULL);
    RUN(command_proof, &result, "proof", "--dir", demo, "--url", "https://a/", "--alg", "none");
    cr_expect(result.exit_code == 1 && strstr(result.error, "no algorithm 'none'") != NULL);
    RUN(command_proof, &result, "proof", "--dir", "/nonexistent", "--url", "https://a/");
    cr_expect(result.exit_code == 1);
    RUN(command_proof, &result, "proof", "--help");
    cr_expect(result.exit_code == 0 && strstr(result.out, "--nonce NONCE") != NULL);
}
