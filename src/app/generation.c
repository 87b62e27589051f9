#include "app/generation.h"

#include "app/config_value.h"
#include "app/file.h"
#include "app/public_origins.h"
#include "jose/jwks.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

/* The key of the file that a message of tls/context begins with, so that the error stands at its
 * line. */
static const char *tls_key(const struct config *config, const char *message)
{
    const struct {
        const char *key, *path;
    } files[] = {{"tls.certificate", config->tls.certificate},
                 {"tls.private_key", config->tls.private_key},
                 {"tls.client_ca", config->tls.client_ca},
                 {"tls.client_crl", config->tls.client_crl}};
    const char *best = "tls";
    size_t best_size = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t size = strlen(files[i].path);
        if (size > best_size && strncmp(message, files[i].path, size) == 0) {
            best = files[i].key;
            best_size = size;
        }
    }
    return best;
}

static enum status load_tls(struct generation *generation, struct tls_ticket_keys *ticket_keys,
                            struct config_errors *errors)
{
    const struct config *config = generation->config;
    struct tls_options options = {
        .certificate_path = config->tls.certificate,
        .private_key_path = config->tls.private_key,
        .client_ca_path = config->tls.client_ca,
        .client_crl_path = config->tls.client_crl,
        .min_version_minor = config->tls.min_version_minor,
        .http2 = true,
        .ticket_keys = ticket_keys,
        .generation = generation->number,
    };
    char error[512] = "";
    enum status status = tls_context_new(&options, &generation->tls, error, sizeof error);
    if (status != STATUS_OK) {
        config_complain(config, tls_key(config, error), errors, "%s", error);
    }
    return status;
}

static enum status load_redis_tls(struct generation *generation, struct config_errors *errors)
{
    const struct config *config = generation->config;
    if (!config->replay.redis_url.tls) {
        return STATUS_OK;
    }
    bool own = config->replay.redis_certificate[0] != '\0';
    struct tls_client_options options = {
        .ca_path = config->replay.redis_ca,
        .certificate_path = own ? config->replay.redis_certificate : NULL,
        .private_key_path = own ? config->replay.redis_private_key : NULL,
        .min_version_minor = 2,
    };
    char error[512] = "";
    enum status status = tls_client_context_new(&options, &generation->redis_tls, error,
                                                sizeof error);
    if (status != STATUS_OK) {
        bool ca = strncmp(error, config->replay.redis_ca, strlen(config->replay.redis_ca)) == 0;
        config_complain(config, ca ? "replay.redis_ca" : "replay.redis_certificate", errors, "%s",
                        error);
    }
    return status;
}

static enum status load_jwks_file(const struct generation *generation, size_t index,
                                  struct config_errors *errors)
{
    const struct config_issuer *issuer = &generation->config->issuers[index];
    char key[64];
    snprintf(key, sizeof key, "issuers[%zu].jwks_file", index);
    char *text = NULL;
    size_t size = 0;
    char error[256];
    enum status status = file_read(issuer->jwks_file, JWKS_BYTES_MAX, &text, &size, error,
                                   sizeof error);
    if (status != STATUS_OK) {
        config_complain(generation->config, key, errors, "%s", error);
        return status;
    }
    const char *why = "";
    status = jwks_parse(span_make(text, size), &generation->jwks[index], &why);
    free(text);
    if (status != STATUS_OK) {
        config_complain(generation->config, key, errors, "%s: %s", issuer->jwks_file, why);
    }
    return status;
}

static enum status load_issuers(struct generation *generation, struct config_errors *errors)
{
    const struct config *config = generation->config;
    size_t count = config->issuers_count;
    generation->jwks = calloc(count + 1, sizeof(struct jwks *));
    generation->issuers = calloc(count + 1, sizeof *generation->issuers);
    if (generation->jwks == NULL || generation->issuers == NULL) {
        config_complain(config, "issuers", errors, "out of memory");
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count; i++) {
        const struct config_issuer *issuer = &config->issuers[i];
        if (issuer->jwks_file == NULL) {
            char key[64];
            snprintf(key, sizeof key, "issuers[%zu].jwks_uri", i);
            config_complain(config, key, errors,
                            "fetching a JWKS is not built yet: write jwks_file");
            status = STATUS_UNSUPPORTED;
            continue;
        }
        enum status one = load_jwks_file(generation, i, errors);
        status = one != STATUS_OK ? one : status;
        generation->issuers[i] = (struct auth_issuer){
            .issuer = issuer->issuer,
            .audiences = issuer->audiences,
            .audiences_count = issuer->audiences_count,
            .allow_typ = issuer->allow_typ,
            .allow_typ_count = issuer->allow_typ_count,
            .jwks = generation->jwks[i],
        };
    }
    return status;
}

/* Exactly the bytes: no text, no line end, so that no two replicas read one file as two keys. */
static enum status load_nonce_key(struct generation *generation, struct config_errors *errors)
{
    const struct config *config = generation->config;
    if (!config->dpop.nonce_shared) {
        return STATUS_OK;
    }
    char *text = NULL;
    size_t size = 0;
    char error[256];
    enum status status = file_read(config->dpop.nonce_key_file, sizeof generation->nonce_key, &text,
                                   &size, error, sizeof error);
    if (status != STATUS_OK) {
        config_complain(config, "dpop.nonce_key_file", errors, "%s", error);
        return status;
    }
    if (size == sizeof generation->nonce_key) {
        memcpy(generation->nonce_key, text, size);
    } else {
        config_complain(config, "dpop.nonce_key_file", errors,
                        "%s: has %zu bytes, a key has exactly %zu (head -c 32 /dev/urandom)",
                        config->dpop.nonce_key_file, size, sizeof generation->nonce_key);
        status = STATUS_MALFORMED;
    }
    explicit_bzero(text, size);
    free(text);
    return status;
}

static enum status load_origins(struct generation *generation, struct config_errors *errors)
{
    const struct config *config = generation->config;
    if (config->public_origins_count > 0) {
        generation->auth.public_origins = config->public_origins;
        generation->auth.public_origins_count = config->public_origins_count;
        return STATUS_OK;
    }
    size_t count = 0;
    char error[256];
    enum status status = public_origins_from_certificate(
        generation->tls, config, &generation->origins, &count, &generation->origins_text, error,
        sizeof error);
    if (status != STATUS_OK) {
        config_complain(config, "public_origins", errors, "%s", error);
    }
    generation->auth.public_origins = generation->origins;
    generation->auth.public_origins_count = count;
    return status;
}

static void fill_auth(struct generation *generation)
{
    const struct config *config = generation->config;
    struct auth_settings *auth = &generation->auth;
    auth->generation = generation->number;
    auth->mode = config->dpop.mode;
    auth->accept_dpop = config->accept_dpop;
    auth->accept_mtls = config->accept_mtls;
    auth->algorithms = config->dpop.algorithms;
    auth->max_age_s = config->dpop.max_age_s;
    auth->clock_skew_s = config->dpop.clock_skew_s;
    auth->proof_bytes_max = config->limits.proof_bytes;
    auth->token_bytes_max = config->limits.token_bytes;
    auth->jti_bytes_max = config->limits.jti_bytes;
    auth->issuers = generation->issuers;
    auth->issuers_count = config->issuers_count;
    auth->nonce_required = config->dpop.nonce_required;
    auth->policy = config->policy;
    auth->policy_count = config->policy_count;
}

static void fill_proxy(struct generation *generation)
{
    const struct config *config = generation->config;
    generation->proxy = (struct proxy_settings){
        .generation = generation->number,
        .auth = &generation->auth,
        .upstream = config->upstream.address,
        .upstream_size = config->upstream.address_size,
        .upstream_h2 = config->upstream_protocol == CONFIG_H2C,
        .own_uri = tls_context_own_uri(generation->tls),
        .limits = {.head_bytes_max = config->limits.head_bytes,
                   .headers_max = config->limits.headers,
                   .header_bytes_max = config->limits.header_bytes,
                   .body_bytes_max = config->limits.body_bytes},
        .connections_max = config->limits.connections,
        .pipeline_max = config->limits.pipeline,
        .streams_max = config->limits.streams,
        .requests_max = config->limits.requests_per_connection,
        .buffers_bytes_max = config->limits.buffers,
        .descriptors_max = config->limits.connections, /* process_start knows better */
        .timeouts = {.handshake_ms = config->timeouts.handshake_ms,
                     .head_ms = config->timeouts.head_ms,
                     .body_progress_ms = config->timeouts.body_progress_ms,
                     .upstream_connect_ms = config->timeouts.upstream_connect_ms,
                     .upstream_head_ms = config->timeouts.upstream_head_ms,
                     .idle_ms = config->timeouts.idle_ms,
                     .upstream_idle_ms = config->timeouts.upstream_idle_ms,
                     .stream_idle_ms = config->timeouts.stream_idle_ms,
                     .total_ms = config->timeouts.total_ms,
                     .drain_ms = config->timeouts.drain_ms},
        .identity_bytes_max = config->limits.token_bytes,
        .proxy_protocol_trusted = config->proxy_protocol_trusted,
        .proxy_protocol_trusted_count = config->proxy_protocol_trusted_count,
        .forward_credentials = config->forward_credentials,
        .log_access = config->log_access,
    };
}

/* Before they are read: what changes meanwhile must be seen as a change. */
static enum status watch_files(struct generation *generation, struct config_errors *errors)
{
    const struct config *config = generation->config;
    const char **paths = calloc(config->issuers_count + 8, sizeof *paths);
    size_t count = 0;
    if (paths != NULL) {
        paths[count++] = config->tls.certificate;
        paths[count++] = config->tls.private_key;
        paths[count++] = config->tls.client_ca;
        if (config->tls.client_crl[0] != '\0') {
            paths[count++] = config->tls.client_crl;
        }
        if (config->dpop.nonce_shared) {
            paths[count++] = config->dpop.nonce_key_file;
        }
        const char *redis[] = {config->replay.redis_ca, config->replay.redis_certificate,
                               config->replay.redis_private_key};
        for (size_t i = 0; i < sizeof redis / sizeof redis[0]; i++) {
            if (redis[i][0] != '\0') {
                paths[count++] = redis[i];
            }
        }
        for (size_t i = 0; i < config->issuers_count; i++) {
            if (config->issuers[i].jwks_file != NULL) {
                paths[count++] = config->issuers[i].jwks_file;
            }
        }
        generation->files = file_watch_new(paths, count);
        free(paths);
    }
    if (generation->files == NULL) {
        config_complain(config, "tls", errors, "out of memory");
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

/* Takes the generation, whose configuration is there. */
static enum status load_all(struct generation *generation, struct tls_ticket_keys *ticket_keys,
                            struct generation **out, struct config_errors *errors)
{
    enum status status = watch_files(generation, errors);
    /* Each file is looked at, so that one run names everything that is wrong. */
    enum status tls = load_tls(generation, ticket_keys, errors);
    enum status redis = load_redis_tls(generation, errors);
    enum status issuers = load_issuers(generation, errors);
    enum status nonces = load_nonce_key(generation, errors);
    enum status origins = tls == STATUS_OK ? load_origins(generation, errors) : tls;
    if (status != STATUS_OK || issuers != STATUS_OK || origins != STATUS_OK ||
        nonces != STATUS_OK || redis != STATUS_OK) {
        generation_free(generation);
        return STATUS_FAILED;
    }
    fill_auth(generation);
    fill_proxy(generation);
    *out = generation;
    return STATUS_OK;
}

enum status generation_load(const char *config_path, uint64_t number,
                            struct tls_ticket_keys *ticket_keys, struct generation **out,
                            struct config_errors *errors)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        return STATUS_NO_MEMORY;
    }
    generation->number = number;
    enum status status = config_load(config_path, &generation->config, errors);
    if (status != STATUS_OK) {
        generation_free(generation);
        return status;
    }
    return load_all(generation, ticket_keys, out, errors);
}

enum status generation_load_files(const struct generation *before, uint64_t number,
                                  struct tls_ticket_keys *ticket_keys, struct generation **out,
                                  struct config_errors *errors)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        return STATUS_NO_MEMORY;
    }
    generation->number = number;
    enum status status = config_load_again(before->config, &generation->config, errors);
    if (status != STATUS_OK) {
        generation_free(generation);
        return status;
    }
    return load_all(generation, ticket_keys, out, errors);
}

/* The demo authority's keys are made to be tried out, and lie about in a directory. */
static bool demo_is_exposed(const struct generation *generation, struct config_errors *errors)
{
    const struct config *config = generation->config;
    if (!tls_context_is_demo(generation->tls)) {
        return false;
    }
    for (size_t i = 0; i < config->listen_count; i++) {
        if (!config_address_is_loopback(&config->listen[i])) {
            char key[32];
            (void)snprintf(key, sizeof key, "listen[%zu]", i);
            config_complain(config, key, errors,
                            "%s is not loopback, and tls.client_ca is the demo authority's, whose "
                            "keys are for trying out; use your own CA, or --allow-demo",
                            config->listen[i].text);
            return true;
        }
    }
    return false;
}

static bool user_is_missing(const struct config *config, struct config_errors *errors)
{
    if (config->user[0] == '\0') {
        return false;
    }
    char memory[8192];
    struct passwd entry, *found = NULL;
    if (getpwnam_r(config->user, &entry, memory, sizeof memory, &found) == 0 && found != NULL) {
        return false;
    }
    config_complain(config, "user", errors, "this machine has no user %s", config->user);
    return true;
}

enum status generation_check_start(const struct generation *generation, bool allow_demo,
                                   struct config_errors *errors)
{
    bool demo = !allow_demo && demo_is_exposed(generation, errors);
    bool user = user_is_missing(generation->config, errors);
    return demo || user ? STATUS_DENIED : STATUS_OK;
}

void generation_free(struct generation *generation)
{
    if (generation == NULL) {
        return;
    }
    if (generation->tls != NULL) {
        tls_context_release(generation->tls);
    }
    tls_context_release(generation->redis_tls);
    if (generation->jwks != NULL) {
        for (size_t i = 0; i < generation->config->issuers_count; i++) {
            jwks_free(generation->jwks[i]);
        }
    }
    free(generation->jwks);
    free(generation->issuers);
    free(generation->origins);
    free(generation->origins_text);
    file_watch_free(generation->files);
    config_free(generation->config);
    free(generation);
}
