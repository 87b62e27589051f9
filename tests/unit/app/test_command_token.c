#include "app/commands.h"

#include "tls/authority.h"
#include "unit/app/printed_jws.h"

TestSuite(token, .init = set_up, .fini = put_away);

Test(token, is_bound_to_the_dpop_key_and_signed_by_the_issuer)
{
    make_demo();
    RUN(command_token, &result, "token", "--dir", demo);
    take_apart("");
    struct public_key issuer = public_of("issuer.key"), dpop = public_of("dpop-a.key");
    cr_expect(verifies(&issuer, SIGNATURE_ES256));
    cr_expect(!verifies(&dpop, SIGNATURE_ES256));
    header = parse(span_make(header_copy, jws.header.size));
    cr_expect_str_eq(text_of(&header, "typ"), "at+jwt");
    cr_expect_str_eq(text_of(&header, "alg"), "ES256");
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "iss"), DEMO_ISSUER);
    cr_expect_str_eq(text_of(&claims, "aud"), DEMO_ORIGIN);
    cr_expect_str_eq(text_of(&claims, "sub"), "client-a");
    cr_expect_str_eq(text_of(&claims, "client_id"), "client-a");
    cr_expect_str_eq(text_of(&claims, "scope"), DEMO_SCOPE);
    cr_expect(number_of(&claims, "exp") - number_of(&claims, "iat") == 300);
    int64_t age_s = time(NULL) - number_of(&claims, "iat");
    cr_expect(age_s >= 0 && age_s < 10);
    cr_expect(json_member(&claims, 0, "nbf") == NULL);
    const struct json_value *cnf = json_member(&claims, 0, "cnf");
    cr_assert(cnf != NULL);
    uint32_t index = (uint32_t)(cnf - claims.values);
    char jkt[JWK_THUMBPRINT_TEXT_BYTES];
    uint8_t thumbprint[32];
    jwk_thumbprint(&dpop, thumbprint);
    base64url_encode(span_make(thumbprint, 32), jkt);
    const struct json_value *value = json_member(&claims, index, "jkt");
    cr_assert(value != NULL && span_equal(value->text, span_make(jkt, sizeof jkt)));
    cr_expect(json_member(&claims, index, "x5t#S256") == NULL);
}

Test(token, binds_to_a_certificate_to_both_or_to_nothing)
{
    make_demo();
    char *pem = read_all("client-a.crt");
    uint8_t digest[32];
    char x5t[43];
    cr_assert(certificate_digest(span_from_string(pem), digest) == STATUS_OK);
    free(pem);
    base64url_encode(span_make(digest, 32), x5t);

    RUN(command_token, &result, "token", "--dir", demo, "--x5t-from", in_demo("client-a.crt"),
        "--header");
    take_apart("Authorization: Bearer ");
    claims = parse(jws.payload);
    uint32_t cnf = (uint32_t)(json_member(&claims, 0, "cnf") - claims.values);
    cr_expect(span_equal(json_member(&claims, cnf, "x5t#S256")->text, span_make(x5t, 43)));
    cr_expect(json_member(&claims, cnf, "jkt") == NULL);

    RUN(command_token, &result, "token", "--dir", demo, "--x5t-from", in_demo("client-a.crt"),
        "--jkt-from", in_demo("dpop-b.key"), "--header");
    take_apart("Authorization: DPoP ");
    claims = parse(jws.payload);
    cnf = (uint32_t)(json_member(&claims, 0, "cnf") - claims.values);
    cr_expect(json_member(&claims, cnf, "x5t#S256") != NULL);
    cr_expect(json_member(&claims, cnf, "jkt") != NULL);

    RUN(command_token, &result, "token", "--dir", demo, "--jkt",
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    take_apart("");
    RUN(command_token, &result, "token", "--dir", demo, "--unbound");
    take_apart("");
    claims = parse(jws.payload);
    cr_expect(json_member(&claims, 0, "cnf") == NULL);
}

Test(token, says_what_it_is_told)
{
    make_demo();
    RUN(command_token, &result, "token", "--key", in_demo("issuer.key"), "--jkt-from",
        in_demo("dpop-a.key"), "--issuer", "https://as", "--audience", "https://a", "--audience",
        "https://b", "--subject", "s\"\n", "--client-id", "c", "--scope", "", "--expires", "-1m",
        "--not-before", "1h", "--type", "JWT", "--kid", "k1");
    take_apart("");
    header = parse(span_make(header_copy, jws.header.size));
    cr_expect_str_eq(text_of(&header, "typ"), "JWT");
    cr_expect_str_eq(text_of(&header, "kid"), "k1");
    claims = parse(jws.payload);
    cr_expect_str_eq(text_of(&claims, "iss"), "https://as");
    cr_expect_str_eq(text_of(&claims, "sub"), "s\"\n");
    const struct json_value *aud = json_member(&claims, 0, "aud");
    cr_expect(aud != NULL && aud->type == JSON_ARRAY);
    cr_expect(json_member(&claims, 0, "scope") == NULL);
    cr_expect(number_of(&claims, "exp") == number_of(&claims, "iat") - 60);
    cr_expect(number_of(&claims, "nbf") == number_of(&claims, "iat") + 3600);
}

Test(token, tells_what_is_wrong)
{
    make_demo();
    RUN(command_token, &result, "token");
    cr_expect(result.exit_code == 2 && strstr(result.error, "whose key") != NULL);
    RUN(command_token, &result, "token", "--key", in_demo("issuer.key"));
    cr_expect(result.exit_code == 2 && strstr(result.error, "bound to what") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--expires", "5");
    cr_expect(result.exit_code == 2 && strstr(result.error, "--expires") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--not-before", "x");
    cr_expect(result.exit_code == 2 && strstr(result.error, "--not-before") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--jkt", "short");
    cr_expect(result.exit_code == 1 && strstr(result.error, "--jkt") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--jkt", "a", "--jkt-from", "b");
    cr_expect(result.exit_code == 2);
    RUN(command_token, &result, "token", "--dir", demo, "--alg", "PS256");
    cr_expect(result.exit_code == 1 && strstr(result.error, "does not sign with PS256") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--x5t-from", in_demo("dpop-a.key"));
    cr_expect(result.exit_code == 1 && strstr(result.error, "holds no certificate") != NULL);
    RUN(command_token, &result, "token", "--dir", "/nonexistent");
    cr_expect(result.exit_code == 1 && strstr(result.error, "cannot be opened") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--key", in_demo("ca.crt"));
    cr_expect(result.exit_code == 1 && strstr(result.error, "no readable private key") != NULL);
    RUN(command_token, &result, "token", "--dir", demo, "--subject", "\xff");
    cr_expect(result.exit_code == 1 && strstr(result.error, "not UTF-8") != NULL);
    RUN(command_token, &result, "token", "--help");
    cr_expect(result.exit_code == 0 && strstr(result.out, "--jkt-from KEY") != NULL);
}
