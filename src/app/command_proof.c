/* Mints a DPoP proof (RFC 9449 section 4.2). */
#include "app/command_options.h"
#include "app/commands.h"
#include "app/demo_keys.h"
#include "base/clock.h"
#include "crypto/sha256.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jws_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct arguments {
    const char *folder, *key, *method, *url, *token, *nonce, *iat, *algorithm, *jti;
    bool header;
};

struct minting {
    const struct arguments *arguments;
    int64_t iat_s; /* from now */
    char error[DEMO_PATH_MAX + 256];
};

static enum status write_header(const struct signing_key *key, enum signature_algorithm algorithm,
                                const char *name, char *out, size_t size, struct span *header)
{
    struct public_key public_key;
    struct json_writer writer;
    signing_key_public(key, &public_key);
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    json_write_string_member(&writer, "typ", SPAN_LITERAL("dpop+jwt"));
    /* The name as given: EdDSA and Ed25519 (RFC 9864) are one algorithm. */
    json_write_string_member(&writer, "alg",
                             span_from_string(name != NULL ? name : jwa_name(algorithm)));
    json_write_name_string(&writer, "jwk");
    jwk_write(&writer, &public_key, SIGNATURE_NONE, (struct span){NULL, 0});
    json_write_object_end(&writer);
    return json_write_end(&writer, header);
}

static enum status write_claims(const struct minting *minting, char *out, size_t size,
                                struct span *claims)
{
    const struct arguments *arguments = minting->arguments;
    uint8_t random[16], digest[SHA256_BYTES];
    char text[BASE64URL_ENCODED_SIZE(SHA256_BYTES)];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return STATUS_SYSTEM;
    }
    struct span jti = arguments->jti != NULL
                          ? span_from_string(arguments->jti)
                          : span_make(text, base64url_encode(span_make(random, 16), text));
    /* RFC 9449 section 4.2: htu is "The HTTP target URI [..] without query and fragment parts." */
    struct span url = span_from_string(arguments->url);
    url = span_first(url, span_find(url, '#'));
    url = span_first(url, span_find(url, '?'));
    struct json_writer writer;
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    json_write_string_member(&writer, "jti", jti);
    json_write_string_member(&writer, "htm", span_from_string(arguments->method));
    json_write_string_member(&writer, "htu", url);
    json_write_name_string(&writer, "iat");
    json_write_integer(&writer, clock_read().wall_s + minting->iat_s);
    if (arguments->token != NULL) {
        sha256(span_from_string(arguments->token), digest);
        size_t ath_size = base64url_encode(span_make(digest, sizeof digest), text);
        json_write_string_member(&writer, "ath", span_make(text, ath_size));
    }
    if (arguments->nonce != NULL) {
        json_write_string_member(&writer, "nonce", span_from_string(arguments->nonce));
    }
    json_write_object_end(&writer);
    return json_write_end(&writer, claims);
}

static enum status mint(struct minting *minting, const char *key_path)
{
    const struct arguments *arguments = minting->arguments;
    char header[4096], claims[16384], text[32768];
    struct span header_json, claims_json, proof;
    struct signing_key *key = NULL;
    enum status status = demo_read_key(key_path, &key, minting->error, sizeof minting->error);
    enum signature_algorithm algorithm = SIGNATURE_NONE;
    if (status == STATUS_OK) {
        algorithm = demo_algorithm(arguments->algorithm, key, minting->error,
                                   sizeof minting->error);
        status = algorithm != SIGNATURE_NONE ? STATUS_OK : STATUS_UNSUPPORTED;
    }
    if (status == STATUS_OK) {
        snprintf(minting->error, sizeof minting->error,
                 "a value is too long, or not UTF-8, to be signed");
        status = write_header(key, algorithm, arguments->algorithm, header, sizeof header,
                              &header_json);
    }
    if (status == STATUS_OK) {
        status = write_claims(minting, claims, sizeof claims, &claims_json);
    }
    if (status == STATUS_OK) {
        status = jws_sign(key, algorithm, header_json, claims_json,
                          (struct span_mut){(uint8_t *)text, sizeof text}, &proof);
    }
    signing_key_free(key);
    if (status == STATUS_OK) {
        printf("%s%.*s\n", arguments->header ? "DPoP: " : "", SPAN_ARG(proof));
    }
    return status;
}

static int run(const struct command_line *line, const struct arguments *arguments)
{
    struct minting minting = {.arguments = arguments};
    char path[DEMO_PATH_MAX];
    const char *key_path = arguments->key;
    if (arguments->folder == NULL && arguments->key == NULL) {
        command_error(line, "whose key? --dir DIR of a demo authority, or --key FILE");
        return 2;
    }
    if (arguments->url == NULL) {
        command_error(line, "for which request? --url https://..., and --method unless it is GET");
        return 2;
    }
    if (command_seconds(arguments->iat, &minting.iat_s) != STATUS_OK) {
        command_error(line, "--iat: '%s' is not an offset such as 0s, -65s or 8s", arguments->iat);
        return 2;
    }
    if (key_path == NULL) {
        if (demo_path(arguments->folder, DEMO_DPOP_KEY, path) != STATUS_OK) {
            command_error(line, "--dir: the path is too long");
            return 2;
        }
        key_path = path;
    }
    if (mint(&minting, key_path) != STATUS_OK) {
        command_error(line, "%s", minting.error);
        return 1;
    }
    return 0;
}

int command_proof(int argc, char **argv)
{
    struct arguments arguments = {.method = "GET", .iat = "0s"};
    const struct command_option options[] = {
        {"dir", "DIR", "a folder made by demo-authority: signs with dpop-a.key", &arguments.folder,
         1, NULL, NULL},
        {"key", "FILE", "the DPoP private key", &arguments.key, 1, NULL, NULL},
        {"method", "METHOD", "htm (GET)", &arguments.method, 1, NULL, NULL},
        {"url", "URL", "htu; query and fragment are left out", &arguments.url, 1, NULL, NULL},
        {"token", "TOKEN", "the access token the proof goes with: sets ath", &arguments.token, 1,
         NULL, NULL},
        {"nonce", "NONCE", "from a DPoP-Nonce header", &arguments.nonce, 1, NULL, NULL},
        {"iat", "OFFSET", "from now: 0s (default), -65s, 8s", &arguments.iat, 1, NULL, NULL},
        {"alg", "ALG", "ES256, EdDSA, Ed25519, ES384, ES512, PS256, RS256 (what the key is for)",
         &arguments.algorithm, 1, NULL, NULL},
        {"jti", "ID", "instead of a random one: to see a replay", &arguments.jti, 1, NULL, NULL},
        {"header", NULL, "print the whole line: DPoP: ...", NULL, 0, NULL, &arguments.header},
        {0},
    };
    const struct command_line line = {
        .command = "proof",
        .synopsis = "--dir DIR --url URL [OPTIONS]",
        .purpose = "Mints a DPoP proof (RFC 9449) for one request and prints it on one line.\n",
        .options = options,
        .examples = "  curl -H \"$(popgate proof --dir demo --url " DEMO_ORIGIN
                    "/ --token \"$TOKEN\" --header)\" ...\n",
    };
    enum command_parse parsed = command_parse(&line, argc, argv);
    if (parsed != COMMAND_PARSE_GO) {
        return parsed == COMMAND_PARSE_HELP ? 0 : 2;
    }
    return run(&line, &arguments);
}
