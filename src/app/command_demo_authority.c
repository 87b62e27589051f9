/* A folder with everything to try the gate: a throw-away CA, certificates, an issuer's key and
 * JWKS, DPoP keys, and a configuration that uses them. */
#include "app/command_options.h"
#include "app/commands.h"
#include "app/demo_keys.h"
#include "jose/json_write.h"
#include "jose/jwk.h"
#include "jose/jws_sign.h"
#include "tls/authority.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAYS 30

struct arguments {
    const char *folder;
    const char *dns_names[AUTHORITY_NAMES_MAX - 1];
    size_t dns_names_count;
    const char *trust_domain, *algorithm, *dpop_algorithm, *issuer, *audience, *listen, *upstream;
    bool force;
};

struct making {
    const struct arguments *arguments;
    const struct command_line *line;
    char error[DEMO_PATH_MAX + 256];
};

/* Everything this command writes, and so everything --force removes. */
static const char *const files[] = {
    "ca.crt",        "server.crt",   "server.key",      "client-a.crt", "client-a.key",
    "client-b.crt",  "client-b.key", "stranger-ca.crt", "stranger.crt", "stranger.key",
    DEMO_ISSUER_KEY, "jwks.json",    DEMO_DPOP_KEY,     "dpop-b.key",   "popgate.yaml",
};

static enum status put(struct making *making, const char *name, struct span text, unsigned mode)
{
    char path[DEMO_PATH_MAX];
    if (demo_path(making->arguments->folder, name, path) != STATUS_OK) {
        snprintf(making->error, sizeof making->error, "%s: the path is too long",
                 making->arguments->folder);
        return STATUS_TOO_LARGE;
    }
    return demo_write_file(path, text, mode, making->error, sizeof making->error);
}

static enum status put_string(struct making *making, const char *name, const char *text,
                              unsigned mode)
{
    if (text == NULL) {
        snprintf(making->error, sizeof making->error, "%s: out of memory", name);
        return STATUS_NO_MEMORY;
    }
    return put(making, name, span_from_string(text), mode);
}

/* ---- the folder ---- */

static bool is_empty(const char *folder)
{
    DIR *stream = opendir(folder);
    if (stream == NULL) {
        return false;
    }
    bool empty = true;
    for (struct dirent *entry = readdir(stream); entry != NULL && empty; entry = readdir(stream)) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(stream);
    return empty;
}

static enum status prepare_folder(struct making *making)
{
    const char *folder = making->arguments->folder;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        snprintf(making->error, sizeof making->error, "%s: cannot be made: %m", folder);
        return STATUS_SYSTEM;
    }
    if (is_empty(folder)) {
        return STATUS_OK;
    }
    if (!making->arguments->force) {
        snprintf(making->error, sizeof making->error,
                 "%s is not an empty folder; name another one, or --force to replace the files of "
                 "an earlier demo authority",
                 folder);
        return STATUS_EXISTS;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[DEMO_PATH_MAX];
        if (demo_path(folder, files[i], path) != STATUS_OK ||
            (unlink(path) != 0 && errno != ENOENT)) {
            snprintf(making->error, sizeof making->error, "%s/%s: cannot be replaced: %m", folder,
                     files[i]);
            return STATUS_SYSTEM;
        }
    }
    return STATUS_OK;
}

/* ---- certificates ---- */

static enum status issue(struct making *making, const struct authority *authority, const char *name,
                         const struct authority_request *request)
{
    char file[64];
    char *certificate = NULL, *key = NULL;
    enum status status = authority_issue(authority, request, &certificate, &key);
    if (status != STATUS_OK) {
        snprintf(making->error, sizeof making->error,
                 "%s: a name is not one that a certificate can hold", name);
        return status;
    }
    snprintf(file, sizeof file, "%s.crt", name);
    status = put_string(making, file, certificate, 0644);
    if (status == STATUS_OK) {
        snprintf(file, sizeof file, "%s.key", name);
        status = put_string(making, file, key, 0600);
    }
    free(certificate);
    authority_key_free(key);
    return status;
}

static enum status issue_client(struct making *making, const struct authority *authority,
                                const char *name)
{
    char uri[512];
    int size = snprintf(uri, sizeof uri, "spiffe://%s/%s", making->arguments->trust_domain, name);
    if (size < 0 || (size_t)size >= sizeof uri) {
        snprintf(making->error, sizeof making->error, "--trust-domain is too long");
        return STATUS_TOO_LARGE;
    }
    struct authority_request request = {
        .common_name = name, .uri = uri, .client = true, .days = DAYS};
    return issue(making, authority, name, &request);
}

static enum status issue_server(struct making *making, const struct authority *authority)
{
    const struct arguments *arguments = making->arguments;
    const char *dns_names[AUTHORITY_NAMES_MAX] = {"localhost"};
    memcpy(dns_names + 1, arguments->dns_names,
           arguments->dns_names_count * sizeof *arguments->dns_names);
    char uri[512];
    snprintf(uri, sizeof uri, "spiffe://%s/gate", arguments->trust_domain);
    struct authority_request request = {.common_name = "popgate demo",
                                        .dns_names = dns_names,
                                        .dns_names_count = arguments->dns_names_count + 1,
                                        .loopback = true,
                                        .uri = uri,
                                        .server = true,
                                        .days = DAYS};
    return issue(making, authority, "server", &request);
}

/* One CA and what it issues: ours, or the stranger's, whose client the gate must not let in. */
static enum status make_authority(struct making *making, const char *common_name,
                                  const char *ca_file, bool ours)
{
    struct authority *authority = authority_new(common_name, DAYS);
    if (authority == NULL) {
        snprintf(making->error, sizeof making->error, "a CA cannot be made: out of memory");
        return STATUS_NO_MEMORY;
    }
    char *ca = authority_certificate(authority);
    enum status status = put_string(making, ca_file, ca, 0644);
    free(ca);
    if (status == STATUS_OK && !ours) {
        status = issue_client(making, authority, "stranger");
    } else if (status == STATUS_OK) {
        status = issue_server(making, authority);
        status = status == STATUS_OK ? issue_client(making, authority, "client-a") : status;
        status = status == STATUS_OK ? issue_client(making, authority, "client-b") : status;
    }
    authority_free(authority);
    return status;
}

/* ---- keys that sign ---- */

/* A key for the algorithm named by option `option`; *key is owned. */
static enum status make_key(struct making *making, const char *file, const char *option,
                            const char *algorithm_name, struct signing_key **key,
                            enum signature_algorithm *algorithm)
{
    *algorithm = jwa_from_name(span_from_string(algorithm_name));
    *key = *algorithm != SIGNATURE_NONE ? signing_key_generate(*algorithm) : NULL;
    if (*key == NULL) {
        snprintf(making->error, sizeof making->error,
                 "--%s: no algorithm '%s'; there are ES256, EdDSA, ES384, ES512, PS256, RS256",
                 option, algorithm_name);
        return STATUS_UNSUPPORTED;
    }
    char *pem = signing_key_write(*key);
    enum status status = put_string(making, file, pem, 0600);
    signing_text_free(pem);
    return status;
}

static enum status write_jwks(struct making *making, const struct signing_key *key,
                              enum signature_algorithm algorithm)
{
    struct public_key public_key;
    char kid[JWK_THUMBPRINT_TEXT_BYTES], text[4096];
    struct json_writer writer;
    struct span json;
    signing_key_public(key, &public_key);
    jwk_thumbprint_text(&public_key, kid);
    json_write_begin(&writer, text, sizeof text - 1);
    json_write_object(&writer);
    json_write_name_string(&writer, "keys");
    json_write_array(&writer);
    jwk_write(&writer, &public_key, algorithm, span_make(kid, sizeof kid));
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    enum status status = json_write_end(&writer, &json);
    if (status != STATUS_OK) {
        snprintf(making->error, sizeof making->error, "jwks.json: %s", status_name(status));
        return status;
    }
    text[json.size] = '\n';
    return put(making, "jwks.json", span_make(text, json.size + 1), 0644);
}

static enum status make_keys(struct making *making)
{
    static const char *const dpop_files[] = {DEMO_DPOP_KEY, "dpop-b.key"};
    struct signing_key *key = NULL;
    enum signature_algorithm algorithm = SIGNATURE_NONE;
    enum status status = make_key(making, DEMO_ISSUER_KEY, "alg", making->arguments->algorithm,
                                  &key, &algorithm);
    if (status == STATUS_OK) {
        status = write_jwks(making, key, algorithm);
    }
    signing_key_free(key);
    for (size_t i = 0; status == STATUS_OK && i < 2; i++) {
        status = make_key(making, dpop_files[i], "dpop-alg", making->arguments->dpop_algorithm,
                          &key, &algorithm);
        signing_key_free(key);
    }
    return status;
}

/* ---- the configuration ---- */

struct text {
    char bytes[16384];
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->bytes + text->size, sizeof text->bytes - text->size, format,
                         arguments);
    va_end(arguments);
    text->size += size > 0 ? (size_t)size : 0;
    if (text->size >= sizeof text->bytes) {
        text->size = sizeof text->bytes; /* write_config refuses it */
    }
}

/* A YAML scalar in double quotes; true if `value` is one that needs no escapes within them. */
static bool is_plain(const char *value)
{
    for (; *value != '\0'; value++) {
        if ((unsigned char)*value < 0x20 || (unsigned char)*value == 0x7f || *value == '"' ||
            *value == '\\') {
            return false;
        }
    }
    return true;
}

/* ":8443" of the address to listen on. */
static const char *port_of(const struct arguments *arguments)
{
    const char *colon = strrchr(arguments->listen, ':');
    return colon != NULL ? colon : ":8443";
}

static void add_origins(struct text *text, const struct arguments *arguments)
{
    const char *port = port_of(arguments);
    add(text, "public_origins:\n  - \"https://localhost%s\"\n  - \"https://127.0.0.1%s\"\n", port,
        port);
    for (size_t i = 0; i < arguments->dns_names_count; i++) {
        add(text, "  - \"https://%s\"\n  - \"https://%s%s\"\n", arguments->dns_names[i],
            arguments->dns_names[i], port);
    }
}

static enum status write_config(struct making *making)
{
    const struct arguments *arguments = making->arguments;
    char folder[PATH_MAX];
    struct text *text = calloc(1, sizeof *text);
    if (text == NULL || realpath(arguments->folder, folder) == NULL || !is_plain(folder)) {
        snprintf(making->error, sizeof making->error,
                 "%s: its name cannot be written into popgate.yaml", arguments->folder);
        free(text);
        return STATUS_MALFORMED;
    }
    add(text,
        "# Made by popgate demo-authority, to try the gate on this machine:\n"
        "#   popgate run -c %s/popgate.yaml\n",
        folder);
    add(text, "listen: \"%s\"\nupstream: \"%s\"\n", arguments->listen, arguments->upstream);
    add(text,
        "tls:\n  certificate: \"%s/server.crt\"\n  private_key: \"%s/server.key\"\n"
        "  client_ca: \"%s/ca.crt\"\n",
        folder, folder, folder);
    add_origins(text, arguments);
    add(text,
        "accept: [dpop, mtls]\nissuers:\n  - issuer: \"%s\"\n    audience: \"%s\"\n"
        "    jwks_file: \"%s/jwks.json\"\n",
        arguments->issuer, arguments->audience, folder);
    add(text, "dpop:\n  algorithms: [ES256, EdDSA, ES384, ES512, PS256, RS256]\n");
    add(text, "replay:\n"
              "  # A gate that may have forgotten what it saw challenges older proofs with a "
              "nonce; curl\n"
              "  # cannot answer that. Not for production.\n"
              "  cold_start: accept\n");
    add(text, "admin:\n  listen: 127.0.0.1:9901\n");
    enum status status = STATUS_TOO_LARGE;
    if (text->size < sizeof text->bytes) {
        status = put(making, "popgate.yaml", span_make(text->bytes, text->size), 0644);
    } else {
        snprintf(making->error, sizeof making->error, "popgate.yaml: too many names");
    }
    free(text);
    return status;
}

/* ---- the command ---- */

static enum status make_all(struct making *making)
{
    enum status status = prepare_folder(making);
    if (status == STATUS_OK) {
        status = make_authority(making, "popgate demo CA, not for production", "ca.crt", true);
    }
    if (status == STATUS_OK) {
        status = make_authority(making, "a stranger's CA", "stranger-ca.crt", false);
    }
    if (status == STATUS_OK) {
        status = make_keys(making);
    }
    return status == STATUS_OK ? write_config(making) : status;
}

static bool texts_are_plain(const struct command_line *line, const struct arguments *arguments)
{
    const char *const texts[] = {arguments->issuer, arguments->audience, arguments->listen,
                                 arguments->upstream};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!is_plain(texts[i])) {
            command_error(line, "'%s' holds a quote, a backslash or a control character", texts[i]);
            return false;
        }
    }
    for (size_t i = 0; i < arguments->dns_names_count; i++) {
        if (!is_plain(arguments->dns_names[i])) {
            command_error(line, "--dns: '%s' is no name", arguments->dns_names[i]);
            return false;
        }
    }
    return true;
}

static void print_next(const struct arguments *arguments)
{
    const char *folder = arguments->folder, *port = port_of(arguments);
    printf("%s: a demo authority, valid for %d days\n\n", folder, DAYS);
    printf("  popgate run -c %s/popgate.yaml\n\n", folder);
    printf("  TOKEN=$(popgate token --dir %s)\n", folder);
    printf("  PROOF=$(popgate proof --dir %s --method GET --url https://localhost%s/ "
           "--token \"$TOKEN\")\n",
           folder, port);
    printf("  curl --cacert %s/ca.crt --cert %s/client-a.crt --key %s/client-a.key \\\n", folder,
           folder, folder);
    printf("    -H \"Authorization: DPoP $TOKEN\" -H \"DPoP: $PROOF\" https://localhost%s/\n",
           port);
}

int command_demo_authority(int argc, char **argv)
{
    struct arguments arguments = {.trust_domain = DEMO_TRUST_DOMAIN,
                                  .algorithm = "ES256",
                                  .dpop_algorithm = "ES256",
                                  .issuer = DEMO_ISSUER,
                                  .audience = DEMO_ORIGIN,
                                  .listen = "127.0.0.1:8443",
                                  .upstream = "http://127.0.0.1:8080"};
    const struct command_option options[] = {
        {"dns", "NAME", "a DNS name of the server's certificate beside localhost; may be repeated",
         arguments.dns_names, AUTHORITY_NAMES_MAX - 1, &arguments.dns_names_count, NULL},
        {"trust-domain", "DOMAIN", "of the SPIFFE IDs (" DEMO_TRUST_DOMAIN ")",
         &arguments.trust_domain, 1, NULL, NULL},
        {"alg", "ALG",
         "what the issuer signs with: ES256 (default), EdDSA, ES384, ES512, PS256, RS256",
         &arguments.algorithm, 1, NULL, NULL},
        {"dpop-alg", "ALG", "what the DPoP keys sign with (ES256)", &arguments.dpop_algorithm, 1,
         NULL, NULL},
        {"issuer", "URL", "the issuer in popgate.yaml (" DEMO_ISSUER ")", &arguments.issuer, 1,
         NULL, NULL},
        {"audience", "URL", "the audience in popgate.yaml (" DEMO_ORIGIN ")", &arguments.audience,
         1, NULL, NULL},
        {"listen", "ADDRESS", "in popgate.yaml (127.0.0.1:8443)", &arguments.listen, 1, NULL, NULL},
        {"upstream", "URL", "in popgate.yaml (http://127.0.0.1:8080)", &arguments.upstream, 1, NULL,
         NULL},
        {"force", NULL, "replace the files of an earlier demo authority in DIR", NULL, 0, NULL,
         &arguments.force},
        {0},
    };
    const struct command_line line = {
        .command = "demo-authority",
        .synopsis = "[OPTIONS] DIR",
        .purpose =
            "Makes DIR with a throw-away CA (ca.crt), certificates with SPIFFE IDs (server, "
            "client-a,\n"
            "client-b, and stranger of another CA), an issuer's signing key (issuer.key) and its\n"
            "jwks.json, DPoP keys (dpop-a.key, dpop-b.key), and a popgate.yaml that uses them. "
            "For\n"
            "trying the gate out: `popgate run` refuses this CA on anything but loopback.\n",
        .options = options,
        .positional = &arguments.folder,
        .positional_max = 1,
    };
    enum command_parse parsed = command_parse(&line, argc, argv);
    if (parsed != COMMAND_PARSE_GO) {
        return parsed == COMMAND_PARSE_HELP ? 0 : 2;
    }
    if (arguments.folder == NULL) {
        command_error(&line, "which folder? usage: popgate demo-authority DIR");
        return 2;
    }
    if (!texts_are_plain(&line, &arguments)) {
        return 2;
    }
    struct making making = {.arguments = &arguments, .line = &line};
    umask(022);
    if (make_all(&making) != STATUS_OK) {
        command_error(&line, "%s", making.error);
        return 1;
    }
    print_next(&arguments);
    return 0;
}
