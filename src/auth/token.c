#include "auth/token.h"

#include "auth/deny.h"
#include "auth/signature_size.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jwks.h"
#include "jose/jws.h"

/* Strings of a document are compared with what the settings name exactly; only typ, a media type,
 * ignores case. */
static bool contains(const struct span *list, size_t count, struct span wanted, bool ignore_case)
{
    for (size_t i = 0; i < count; i++) {
        if (ignore_case ? span_equal_ignore_case(list[i], wanted) : span_equal(list[i], wanted)) {
            return true;
        }
    }
    return false;
}

/* The value of a decimal digit, or more than 9. */
static unsigned digit_of(uint8_t byte)
{
    return (unsigned)byte - '0';
}

/* NumericDate (RFC 7519 section 2): "non-integer values can be represented". A fraction is rounded
 * so that the token is good for less, never for more. Exponents are refused: nobody writes a time
 * that way. */
static bool numeric_date_read(const struct json_value *value, bool round_up, int64_t *seconds)
{
    if (value->type == JSON_INTEGER) {
        *seconds = value->integer;
        return value->integer >= 0 && value->integer <= TOKEN_TIME_MAX;
    }
    if (value->type != JSON_NUMBER) {
        return false;
    }
    struct span text = value->text;
    size_t dot = span_find(text, '.');
    int64_t whole = 0;
    for (size_t at = 0; at < dot; at++) {
        if (digit_of(text.data[at]) > 9 || whole > TOKEN_TIME_MAX) {
            return false;
        }
        whole = whole * 10 + digit_of(text.data[at]);
    }
    bool fraction = false;
    for (size_t at = dot + 1; at < text.size; at++) {
        if (digit_of(text.data[at]) > 9) {
            return false;
        }
        fraction |= text.data[at] != '0';
    }
    *seconds = whole + (fraction && round_up ? 1 : 0);
    return *seconds <= TOKEN_TIME_MAX;
}

/* A claim that becomes a header field: printable ASCII, and no space at an end, where HTTP would
 * drop it and turn one identity into another. Absent is the empty span. Refused, never cut. */
static enum status read_text_claim(const struct json_document *payload, const char *name,
                                   bool may_be_empty, struct span *text, struct auth_check *check)
{
    const struct json_value *value = json_member(payload, 0, name);
    *text = span_make(NULL, 0);
    if (value == NULL) {
        return STATUS_OK;
    }
    if (value->type != JSON_STRING || (value->text.size == 0 && !may_be_empty)) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS, "%s is not a string, or empty", name);
    }
    struct span found = value->text;
    for (size_t i = 0; i < found.size; i++) {
        if (found.data[i] < 0x20 || found.data[i] > 0x7e) {
            return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS, "%s has a control or non-ASCII byte",
                             name);
        }
    }
    if (found.size > 0 && (found.data[0] == ' ' || found.data[found.size - 1] == ' ')) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS, "%s begins or ends with a space", name);
    }
    *text = found;
    return STATUS_OK;
}

/* RFC 9068 section 4: "The resource server MUST verify that the "typ" header value is "at+jwt" or
 * "application/at+jwt" and reject tokens carrying any other value." Any other but those allow_typ
 * names. Media types are compared without case (RFC 2045 section 5.1). */
static bool typ_is_accepted(const struct json_value *typ, const struct auth_issuer *issuer)
{
    static const struct span standard[] = {{(const uint8_t *)"at+jwt", 6},
                                           {(const uint8_t *)"application/at+jwt", 18}};
    return typ != NULL && typ->type == JSON_STRING &&
           (contains(standard, 2, typ->text, true) ||
            contains(issuer->allow_typ, issuer->allow_typ_count, typ->text, true));
}

static const struct auth_issuer *find_issuer(const struct auth_settings *settings,
                                             struct span issuer)
{
    for (size_t i = 0; i < settings->issuers_count; i++) {
        if (span_equal(settings->issuers[i].issuer, issuer)) {
            return &settings->issuers[i];
        }
    }
    return NULL;
}

/* The header, as far as it does not need the issuer. */
static enum status read_header(const struct json_document *header, struct token_claims *claims,
                               struct auth_check *check)
{
    /* RFC 7515 section 4.1.11: "If any of the listed extension Header Parameters are not understood
     * and supported by the recipient, then the JWS is invalid." We support none; b64 (RFC 7797) is
     * one. */
    if (json_member(header, 0, "crit") != NULL || json_member(header, 0, "b64") != NULL) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CRIT, "crit or b64 in the token's header");
    }
    /* Keys come from the issuer's JWKS alone: jku, x5u and x5c are never looked at. A jwk is what
     * proofs have, so a token with one is refused outright. */
    if (json_member(header, 0, "jwk") != NULL) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_KEY, "the token brings its own key");
    }
    const struct json_value *alg = json_member(header, 0, "alg");
    /* RFC 9068 section 4: "The resource server MUST reject any JWT in which the value of "alg" is
     * "none"." MACs are no better: jwa_from_name knows neither. */
    claims->algorithm = alg != NULL && alg->type == JSON_STRING ? jwa_from_name(alg->text)
                                                                : SIGNATURE_NONE;
    if (claims->algorithm == SIGNATURE_NONE) {
        struct span name = alg != NULL ? alg->text : SPAN_LITERAL("");
        return auth_deny(check, AUTH_DENIAL_TOKEN_ALG, "alg is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(name)));
    }
    return STATUS_OK;
}

/* RFC 9068 section 4: "The resource server MUST validate that the "aud" claim contains a resource
 * indicator value corresponding to an identifier the resource server expects for itself." */
static enum status check_audience(const struct json_document *payload,
                                  const struct auth_issuer *issuer, struct auth_check *check)
{
    const struct json_value *aud = json_member(payload, 0, "aud");
    if (aud == NULL || (aud->type != JSON_STRING && aud->type != JSON_ARRAY)) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS, "aud is missing or ill-typed");
    }
    bool found = false;
    uint32_t first = (uint32_t)(aud - payload->values);
    uint32_t from = aud->type == JSON_ARRAY ? first + 1 : first;
    for (uint32_t i = from; i < aud->next; i = payload->values[i].next) {
        const struct json_value *one = &payload->values[i];
        if (one->type != JSON_STRING) {
            return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS, "aud holds something not a string");
        }
        found = found || contains(issuer->audiences, issuer->audiences_count, one->text, false);
    }
    if (!found) {
        struct span text = from < aud->next ? payload->values[from].text : SPAN_LITERAL("");
        return auth_deny(check, AUTH_DENIAL_TOKEN_AUDIENCE, "aud is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(text)));
    }
    return STATUS_OK;
}

enum status token_check_times(const struct auth_settings *settings, int64_t expires_s,
                              int64_t not_before_s, int64_t now_s, struct auth_check *check)
{
    /* RFC 9068 section 4: "The current time MUST be before the time represented by the "exp"
     * claim." No leeway: what outlives its exp is what an attacker would like. */
    if (now_s >= expires_s) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_EXPIRED, "expired %lld s ago",
                         (long long)(now_s - expires_s));
    }
    /* RFC 7519 section 4.1.5: "Implementers MAY provide for some small leeway": an issuer's clock
     * may be ahead. */
    if (not_before_s > now_s + settings->clock_skew_s) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_NOT_YET, "not valid for another %lld s",
                         (long long)(not_before_s - now_s));
    }
    return STATUS_OK;
}

static enum status read_times(const struct token_reader *reader,
                              const struct json_document *payload, int64_t now_s,
                              struct token_claims *claims, struct auth_check *check)
{
    const struct json_value *exp = json_member(payload, 0, "exp");
    const struct json_value *nbf = json_member(payload, 0, "nbf");
    const struct json_value *iat = json_member(payload, 0, "iat");
    int64_t issued_s = 0;
    claims->not_before_s = 0;
    if (exp == NULL || !numeric_date_read(exp, false, &claims->expires_s) ||
        (nbf != NULL && !numeric_date_read(nbf, true, &claims->not_before_s)) ||
        (iat != NULL && !numeric_date_read(iat, false, &issued_s))) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS,
                         "exp is missing, or exp, nbf or iat is no time in seconds");
    }
    /* A token from the future says that someone's clock is wrong, and then exp means nothing
     * either. */
    if (issued_s > now_s + reader->settings->clock_skew_s) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_NOT_YET, "issued %lld s from now",
                         (long long)(issued_s - now_s));
    }
    return token_check_times(reader->settings, claims->expires_s, claims->not_before_s, now_s,
                             check);
}

/* One confirmation: base64url of a SHA-256, canonical, so that one hash has one text. */
static bool read_hash(const struct json_value *value, uint8_t hash[TOKEN_HASH_BYTES])
{
    uint8_t bytes[BASE64URL_DECODED_MAX(BASE64URL_ENCODED_SIZE(TOKEN_HASH_BYTES))];
    struct span decoded;
    if (value->type != JSON_STRING ||
        value->text.size != BASE64URL_ENCODED_SIZE(TOKEN_HASH_BYTES) ||
        base64url_decode(value->text, (struct span_mut){bytes, sizeof(bytes)}, &decoded) !=
            STATUS_OK) {
        return false;
    }
    memcpy(hash, decoded.data, TOKEN_HASH_BYTES);
    return true;
}

/* RFC 9449 section 6.1 (jkt), RFC 8705 section 3.1 (x5t#S256). Other confirmation methods are not
 * ours to judge (RFC 7800 section 3.1), and bind nothing here. */
static enum status read_confirmation(const struct json_document *payload,
                                     struct token_claims *claims, struct auth_check *check)
{
    claims->has_jkt = claims->has_x5t = false;
    const struct json_value *cnf = json_member(payload, 0, "cnf");
    if (cnf == NULL) {
        return STATUS_OK;
    }
    if (cnf->type != JSON_OBJECT) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS, "cnf is not an object");
    }
    uint32_t object = (uint32_t)(cnf - payload->values);
    const struct json_value *jkt = json_member(payload, object, "jkt");
    const struct json_value *x5t = json_member(payload, object, "x5t#S256");
    if ((jkt != NULL && !read_hash(jkt, claims->jkt)) ||
        (x5t != NULL && !read_hash(x5t, claims->x5t))) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS,
                         "cnf.jkt or cnf.x5t#S256 is not the base64url of a SHA-256");
    }
    claims->has_jkt = jkt != NULL;
    claims->has_x5t = x5t != NULL;
    return STATUS_OK;
}

/* The key is the issuer's, chosen by kid, and its type is the algorithm's: RFC 8725 section 3.1,
 * "each key MUST be used with exactly one algorithm". */
static enum status find_key(const struct json_document *header, const struct auth_issuer *issuer,
                            struct token_claims *claims, struct auth_check *check)
{
    const struct json_value *kid = json_member(header, 0, "kid");
    if (kid != NULL && kid->type != JSON_STRING) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_KEY, "kid is not a string");
    }
    struct span name = kid != NULL ? kid->text : SPAN_LITERAL("");
    if (issuer->jwks == NULL) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_KEY, "the issuer's JWKS has not been loaded");
    }
    claims->key = jwks_find(issuer->jwks, kid != NULL, name, claims->algorithm);
    if (claims->key == NULL) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_KEY, "no key for kid \"%.*s\" with %s",
                         SPAN_ARG(auth_excerpt(name)), jwa_name(claims->algorithm));
    }
    return STATUS_OK;
}

static enum status read_identity(const struct json_document *payload, struct token_claims *claims,
                                 struct auth_check *check)
{
    enum status status = read_text_claim(payload, "sub", false, &claims->subject, check);
    if (status == STATUS_OK) {
        status = read_text_claim(payload, "client_id", false, &claims->client_id, check);
    }
    if (status == STATUS_OK) {
        status = read_text_claim(payload, "scope", true, &claims->scope, check);
    }
    if (status == STATUS_OK &&
        claims->issuer.size + claims->subject.size + claims->client_id.size + claims->scope.size >
            TOKEN_CLAIMS_BYTES_MAX) {
        status = auth_deny(check, AUTH_DENIAL_TOKEN_CLAIMS,
                           "iss, sub, client_id and scope have more than %d bytes",
                           TOKEN_CLAIMS_BYTES_MAX);
    }
    return status;
}

/* Both JSON texts are in the parsers: everything they say, dearest last. */
static enum status read_documents(const struct token_reader *reader,
                                  const struct json_document *header,
                                  const struct json_document *payload, int64_t now_s,
                                  struct token_claims *claims, struct auth_check *check)
{
    enum status status = read_header(header, claims, check);
    if (status == STATUS_OK) {
        status = read_text_claim(payload, "iss", false, &claims->issuer, check);
    }
    if (status != STATUS_OK) {
        return status;
    }
    /* RFC 9068 section 4: "The issuer identifier for the authorization server ... MUST exactly
     * match the value of the "iss" claim." */
    const struct auth_issuer *issuer = find_issuer(reader->settings, claims->issuer);
    if (issuer == NULL) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_ISSUER, "iss is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(claims->issuer)));
    }
    const struct json_value *typ = json_member(header, 0, "typ");
    if (!typ_is_accepted(typ, issuer)) {
        struct span name = typ != NULL ? typ->text : SPAN_LITERAL("");
        return auth_deny(check, AUTH_DENIAL_TOKEN_TYP, "typ is \"%.*s\"",
                         SPAN_ARG(auth_excerpt(name)));
    }
    status = check_audience(payload, issuer, check);
    if (status == STATUS_OK) {
        status = read_times(reader, payload, now_s, claims, check);
    }
    if (status == STATUS_OK) {
        status = read_identity(payload, claims, check);
    }
    if (status == STATUS_OK) {
        status = read_confirmation(payload, claims, check);
    }
    if (status == STATUS_OK) {
        status = find_key(header, issuer, claims, check);
    }
    return status;
}

static enum status parse_object(struct json_parser *parser, struct span text,
                                struct json_document *document, const char *what,
                                struct auth_check *check)
{
    enum status status = json_parse(parser, text, document);
    if (status != STATUS_OK || document->values[0].type != JSON_OBJECT) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_JSON, "the token's %s is %s", what,
                         status == STATUS_OK ? "not an object" : status_name(status));
    }
    return STATUS_OK;
}

enum status token_read(const struct token_reader *reader, struct span text, int64_t now_s,
                       struct token_claims *claims, struct auth_check *check)
{
    struct jws jws;
    enum status status = jws_split(text, reader->scratch, &jws);
    if (status != STATUS_OK) {
        return auth_deny(check, AUTH_DENIAL_TOKEN_SYNTAX, "the token is %s", status_name(status));
    }
    struct json_document header, payload;
    status = parse_object(reader->header_json, jws.header, &header, "header", check);
    if (status == STATUS_OK) {
        status = parse_object(reader->payload_json, jws.payload, &payload, "payload", check);
    }
    if (status == STATUS_OK) {
        status = read_documents(reader, &header, &payload, now_s, claims, check);
    }
    if (status == STATUS_OK &&
        !signature_size_fits(claims->algorithm, claims->key, jws.signature.size)) {
        status = auth_deny(check, AUTH_DENIAL_TOKEN_SIGNATURE, "a signature of %zu bytes",
                           jws.signature.size);
    }
    claims->signing_input = jws.signing_input;
    claims->signature = jws.signature;
    return status;
}
