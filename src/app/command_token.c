/* Mints an RFC 9068 access token, bound to a DPoP key, a certificate, or both. */
#include "app/command_options.h"
#include "app/commands.h"
#include "app/demo_keys.h"
#include "base/clock.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jws_sign.h"
#include "tls/authority.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define AUDIENCES_MAX 8

struct arguments {
    const char *folder, *key, *algorithm, *issuer, *subject, *client_id, *scope, *expires;
    const char *not_before, *jkt, *jkt_from, *x5t_from, *type, *kid;
    const char *audiences[AUDIENCES_MAX];
    size_t audiences_count;
    bool header, unbound;
};

/* What the token is bound to, as cnf holds it; size 0: not. */
struct binding {
    char jkt[JWK_THUMBPRINT_TEXT_BYTES];
    size_t jkt_size;
    char x5t[BASE64URL_ENCODED_SIZE(32)];
    size_t x5t_size;
};

struct minting {
    const struct command_line *line;
    const struct arguments *arguments;
    struct binding binding;
    int64_t expires_s, not_before_s;
    char error[DEMO_PATH_MAX + 256];
};

static enum status read_jkt_key(struct minting *minting, const char *path)
{
    struct signing_key *key = NULL;
    struct public_key public_key;
    enum status status = demo_read_key(path, &key, minting->error, sizeof minting->error);
    if (status == STATUS_OK) {
        signing_key_public(key, &public_key);
        jwk_thumbprint_text(&public_key, minting->binding.jkt);
        minting->binding.jkt_size = JWK_THUMBPRINT_TEXT_BYTES;
    }
    signing_key_free(key);
    return status;
}

static enum status read_x5t(struct minting *minting, const char *path)
{
    char *pem = NULL;
    uint8_t digest[32];
    enum status status = demo_read_file(path, &pem, minting->error, sizeof minting->error);
    if (status != STATUS_OK) {
        return status;
    }
    status = certificate_digest(span_from_string(pem), digest);
    signing_text_free(pem);
    if (status != STATUS_OK) {
        snprintf(minting->error, sizeof minting->error, "%s: holds no certificate", path);
        return status;
    }
    minting->binding.x5t_size = base64url_encode(span_make(digest, sizeof digest),
                                                 minting->binding.x5t);
    return STATUS_OK;
}

static enum status read_jkt(struct minting *minting, const char *text)
{
    uint8_t bytes[JWK_THUMBPRINT_BYTES + 2];
    struct span decoded;
    if (base64url_decode(span_from_string(text), (struct span_mut){bytes, sizeof bytes},
                         &decoded) != STATUS_OK ||
        decoded.size != JWK_THUMBPRINT_BYTES) {
        snprintf(minting->error, sizeof minting->error,
                 "--jkt: '%s' is not a SHA-256 thumbprint in base64url (43 characters)", text);
        return STATUS_MALFORMED;
    }
    memcpy(minting->binding.jkt, text, JWK_THUMBPRINT_TEXT_BYTES);
    minting->binding.jkt_size = JWK_THUMBPRINT_TEXT_BYTES;
    return STATUS_OK;
}

/* With a folder and nothing said, the token is bound to the folder's first DPoP key: an unbound one
 * is good for nothing. */
static enum status read_binding(struct minting *minting)
{
    const struct arguments *arguments = minting->arguments;
    enum status status = STATUS_OK;
    if (arguments->jkt != NULL) {
        status = read_jkt(minting, arguments->jkt);
    } else if (arguments->jkt_from != NULL) {
        status = read_jkt_key(minting, arguments->jkt_from);
    } else if (arguments->x5t_from == NULL && !arguments->unbound) {
        char path[DEMO_PATH_MAX];
        status = demo_path(arguments->folder, DEMO_DPOP_KEY, path);
        status = status == STATUS_OK ? read_jkt_key(minting, path) : status;
    }
    if (status == STATUS_OK && arguments->x5t_from != NULL) {
        status = read_x5t(minting, arguments->x5t_from);
    }
    return status;
}

static enum status write_header(const struct minting *minting, const struct signing_key *key,
                                enum signature_algorithm algorithm, char *out, size_t size,
                                struct span *header)
{
    const struct arguments *arguments = minting->arguments;
    struct public_key public_key;
    char kid[JWK_THUMBPRINT_TEXT_BYTES];
    signing_key_public(key, &public_key);
    jwk_thumbprint_text(&public_key, kid);
    struct json_writer writer;
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    json_write_string_member(&writer, "typ", span_from_string(arguments->type));
    json_write_string_member(&writer, "alg", span_from_string(jwa_name(algorithm)));
    json_write_string_member(&writer, "kid",
                             arguments->kid != NULL ? span_from_string(arguments->kid)
                                                    : span_make(kid, sizeof kid));
    json_write_object_end(&writer);
    return json_write_end(&writer, header);
}

static void write_audience(struct json_writer *writer, const struct arguments *arguments)
{
    json_write_name_string(writer, "aud");
    if (arguments->audiences_count == 1) {
        json_write_string(writer, span_from_string(arguments->audiences[0]));
        return;
    }
    json_write_array(writer);
    for (size_t i = 0; i < arguments->audiences_count; i++) {
        json_write_string(writer, span_from_string(arguments->audiences[i]));
    }
    json_write_array_end(writer);
}

static void write_time(struct json_writer *writer, const char *name, int64_t value)
{
    json_write_name_string(writer, name);
    json_write_integer(writer, value);
}

static enum status write_claims(const struct minting *minting, char *out, size_t size,
                                struct span *claims)
{
    const struct arguments *arguments = minting->arguments;
    const struct binding *binding = &minting->binding;
    int64_t now_s = clock_read().wall_s;
    uint8_t random[16];
    char jti[BASE64URL_ENCODED_SIZE(sizeof random)];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return STATUS_SYSTEM;
    }
    size_t jti_size = base64url_encode(span_make(random, sizeof random), jti);
    struct json_writer writer;
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    json_write_string_member(&writer, "iss", span_from_string(arguments->issuer));
    json_write_string_member(&writer, "sub", span_from_string(arguments->subject));
    write_audience(&writer, arguments);
    json_write_string_member(&writer, "client_id", span_from_string(arguments->client_id));
    write_time(&writer, "iat", now_s);
    if (arguments->not_before != NULL) {
        write_time(&writer, "nbf", now_s + minting->not_before_s);
    }
    write_time(&writer, "exp", now_s + minting->expires_s);
    json_write_string_member(&writer, "jti", span_make(jti, jti_size));
    if (arguments->scope[0] != '\0') {
        json_write_string_member(&writer, "scope", span_from_string(arguments->scope));
    }
    if (binding->jkt_size > 0 || binding->x5t_size > 0) {
        json_write_name_string(&writer, "cnf");
        json_write_object(&writer);
        if (binding->jkt_size > 0) {
            json_write_string_member(&writer, "jkt", span_make(binding->jkt, binding->jkt_size));
        }
        if (binding->x5t_size > 0) {
            json_write_string_member(&writer, "x5t#S256",
                                     span_make(binding->x5t, binding->x5t_size));
        }
        json_write_object_end(&writer);
    }
    json_write_object_end(&writer);
    return json_write_end(&writer, claims);
}

static enum status mint(struct minting *minting, const char *key_path)
{
    char header[1024], claims[8192], text[16384];
    struct span header_json, claims_json, token;
    struct signing_key *key = NULL;
    enum status status = demo_read_key(key_path, &key, minting->error, sizeof minting->error);
    if (status == STATUS_OK) {
        status = read_binding(minting);
    }
    enum signature_algorithm algorithm = SIGNATURE_NONE;
    if (status == STATUS_OK) {
        algorithm = demo_algorithm(minting->arguments->algorithm, key, minting->error,
                                   sizeof minting->error);
        status = algorithm != SIGNATURE_NONE ? STATUS_OK : STATUS_UNSUPPORTED;
    }
    if (status == STATUS_OK) {
        snprintf(minting->error, sizeof minting->error,
                 "a claim is too long, or not UTF-8, to be signed");
        status = write_header(minting, key, algorithm, header, sizeof header, &header_json);
    }
    if (status == STATUS_OK) {
        status = write_claims(minting, claims, sizeof claims, &claims_json);
    }
    if (status == STATUS_OK) {
        status = jws_sign(key, algorithm, header_json, claims_json,
                          (struct span_mut){(uint8_t *)text, sizeof text}, &token);
    }
    signing_key_free(key);
    if (status == STATUS_OK) {
        const char *scheme = minting->binding.jkt_size > 0 ? "DPoP" : "Bearer";
        if (minting->arguments->header) {
            printf("Authorization: %s ", scheme);
        }
        printf("%.*s\n", SPAN_ARG(token));
    }
    return status;
}

static int run(const struct command_line *line, struct arguments *arguments)
{
    struct minting minting = {.line = line, .arguments = arguments};
    char path[DEMO_PATH_MAX];
    const char *key_path = arguments->key;
    if (arguments->folder == NULL && arguments->key == NULL) {
        command_error(line, "whose key? --dir DIR of a demo authority, or --key FILE");
        return 2;
    }
    if (arguments->folder == NULL && arguments->jkt == NULL && arguments->jkt_from == NULL &&
        arguments->x5t_from == NULL && !arguments->unbound) {
        command_error(line, "bound to what? --jkt-from KEY, --jkt, --x5t-from CERTIFICATE, or "
                            "--unbound");
        return 2;
    }
    if (arguments->jkt != NULL && arguments->jkt_from != NULL) {
        command_error(line, "--jkt and --jkt-from are two answers to one question");
        return 2;
    }
    if (command_seconds(arguments->expires, &minting.expires_s) != STATUS_OK) {
        command_error(line, "--expires: '%s' is not a time such as 90s, 5m, 1h or -1m",
                      arguments->expires);
        return 2;
    }
    if (arguments->not_before != NULL &&
        command_seconds(arguments->not_before, &minting.not_before_s) != STATUS_OK) {
        command_error(line, "--not-before: '%s' is not a time such as 90s, 5m, 1h or -1m",
                      arguments->not_before);
        return 2;
    }
    if (key_path == NULL) {
        if (demo_path(arguments->folder, DEMO_ISSUER_KEY, path) != STATUS_OK) {
            command_error(line, "--dir: the path is too long");
            return 2;
        }
        key_path = path;
    }
    if (arguments->audiences_count == 0) {
        arguments->audiences[arguments->audiences_count++] = DEMO_ORIGIN;
    }
    if (mint(&minting, key_path) != STATUS_OK) {
        command_error(line, "%s", minting.error);
        return 1;
    }
    return 0;
}

int command_token(int argc, char **argv)
{
    struct arguments arguments = {.issuer = DEMO_ISSUER,
                                  .subject = DEMO_CLIENT,
                                  .client_id = DEMO_CLIENT,
                                  .scope = DEMO_SCOPE,
                                  .expires = "5m",
                                  .type = "at+jwt"};
    const struct command_option options[] = {
        {"dir", "DIR",
         "a folder made by demo-authority: signs with issuer.key, binds to dpop-a.key",
         &arguments.folder, 1, NULL, NULL},
        {"key", "FILE", "the issuer's private key", &arguments.key, 1, NULL, NULL},
        {"alg", "ALG", "what to sign with (what the key is for; RSA: PS256)", &arguments.algorithm,
         1, NULL, NULL},
        {"issuer", "URL", "iss (" DEMO_ISSUER ")", &arguments.issuer, 1, NULL, NULL},
        {"audience", "URL", "aud; may be repeated (" DEMO_ORIGIN ")", arguments.audiences,
         AUDIENCES_MAX, &arguments.audiences_count, NULL},
        {"subject", "NAME", "sub (" DEMO_CLIENT ")", &arguments.subject, 1, NULL, NULL},
        {"client-id", "NAME", "client_id (" DEMO_CLIENT ")", &arguments.client_id, 1, NULL, NULL},
        {"scope", "SCOPES", "scope (" DEMO_SCOPE "); \"\" for none", &arguments.scope, 1, NULL,
         NULL},
        {"expires", "TIME", "from now: 5m (default), 90s, 1h, -1m", &arguments.expires, 1, NULL,
         NULL},
        {"not-before", "TIME", "from now: adds nbf", &arguments.not_before, 1, NULL, NULL},
        {"jkt-from", "KEY", "bind to this DPoP key (cnf.jkt)", &arguments.jkt_from, 1, NULL, NULL},
        {"jkt", "THUMBPRINT", "the same, the thumbprint itself", &arguments.jkt, 1, NULL, NULL},
        {"x5t-from", "CERTIFICATE", "bind to this client certificate (cnf.x5t#S256)",
         &arguments.x5t_from, 1, NULL, NULL},
        {"unbound", NULL, "bind to nothing: to see it refused", NULL, 0, NULL, &arguments.unbound},
        {"type", "TYP", "typ (at+jwt)", &arguments.type, 1, NULL, NULL},
        {"kid", "KID", "kid (the key's thumbprint)", &arguments.kid, 1, NULL, NULL},
        {"header", NULL, "print the whole line: Authorization: DPoP ...", NULL, 0, NULL,
         &arguments.header},
        {0},
    };
    const struct command_line line = {
        .command = "token",
        .synopsis = "--dir DIR [OPTIONS]",
        .purpose = "Mints an access token (RFC 9068), bound to a key and printed on one line.\n",
        .options = options,
        .examples =
            "  curl -H \"$(popgate token --dir demo --header)\" ...\n"
            "  popgate token --dir demo --x5t-from demo/client-a.crt    certificate-bound alone\n",
    };
    enum command_parse parsed = command_parse(&line, argc, argv);
    if (parsed != COMMAND_PARSE_GO) {
        return parsed == COMMAND_PARSE_HELP ? 0 : 2;
    }
    return run(&line, &arguments);
}
