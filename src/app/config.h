/* The configuration file as a value: everything DESIGN.md lists, with its defaults, checked.
 * Immutable after loading. */
#ifndef POPGATE_APP_CONFIG_H
#define POPGATE_APP_CONFIG_H

#include "auth/gate.h"
#include "auth/policy.h"
#include "base/log.h"
#include "base/status.h"
#include "io/io.h"
#include "proxy/client_address.h"
#include "store/url.h"

#include <netinet/in.h>
#include <sys/un.h>

#define CONFIG_LISTENERS_MAX 16
#define CONFIG_ERRORS_MAX    32

struct config_address {
    struct sockaddr_storage address;
    socklen_t address_size;
    char text[128]; /* as written, for messages */
};

enum config_protocol { CONFIG_HTTP1, CONFIG_H2C };

struct config_issuer {
    struct span issuer;
    const struct span *audiences;
    size_t audiences_count;
    const char *jwks_file, *jwks_uri; /* exactly one is set */
    const struct span *allow_typ;
    size_t allow_typ_count;
};

struct config {
    struct config_address listen[CONFIG_LISTENERS_MAX];
    size_t listen_count;
    struct config_address upstream;
    enum config_protocol upstream_protocol;
    char upstream_host[256]; /* what an upstream without a Host of its own would see; informational
                              */
    uint32_t workers;        /* resolved, at least 1 */
    bool workers_auto;       /* as the cgroup said when it was read */
    enum io_backend io_backend;
    const char *user; /* "": stay */
    struct {
        const char *certificate, *private_key, *client_ca, *client_crl;
        int min_version_minor;
    } tls;
    const struct span *public_origins; /* normalised; none: from the certificate */
    size_t public_origins_count;
    bool accept_dpop, accept_mtls;
    const struct config_issuer *issuers;
    size_t issuers_count;
    struct {
        enum auth_mode mode;
        uint32_t algorithms;
        int64_t max_age_s, clock_skew_s;
        bool nonce_required, nonce_shared;
        const char *nonce_key_file;
    } dpop;
    struct {
        uint64_t capacity;
        const char *path;
        const char *redis; /* as written; "": none */
        struct store_url redis_url;
        const char *redis_ca, *redis_certificate, *redis_private_key; /* "": none */
        bool cold_start_accept, redis_failure_local;
    } replay;
    uint64_t key_memory_bytes;
    struct {
        uint32_t head_bytes, headers, proof_bytes, token_bytes, jti_bytes;
        uint64_t body_bytes;
        uint32_t connections, streams, pipeline, requests_per_connection, header_bytes;
        uint64_t buffers;
    } limits;
    struct {
        uint32_t handshake_ms, head_ms, body_progress_ms, upstream_connect_ms, upstream_head_ms,
            idle_ms, upstream_idle_ms, stream_idle_ms, total_ms, drain_ms, redis_ms;
    } timeouts;
    const struct client_network *proxy_protocol_trusted;
    size_t proxy_protocol_trusted_count;
    bool forward_credentials;
    struct config_address admin_listen; /* address_size 0: none */
    const char *admin_socket;
    enum log_format log_format;
    enum log_level log_level;
    bool log_access;
    const struct auth_policy_rule *policy;
    size_t policy_count;

    struct config_memory *memory; /* what the pointers point into */
    char *source;                 /* config_load: the file's text; else NULL */
    size_t source_size;
};

struct config_error {
    char text[512]; /* file:line:column: what is wrong, what to write instead */
};

struct config_errors {
    struct config_error list[CONFIG_ERRORS_MAX];
    size_t count;
};

struct config_position {
    uint32_t line, column; /* from 1; columns count characters */
};

/* Reads and checks `path` (syntax, keys, types, units, ranges, and the combinations that cannot
 * work). STATUS_OK sets *config (owned); otherwise at least one error is there, in file order.
 * Files it names are not opened here. */
MUST_CHECK enum status config_load(const char *path, struct config **config,
                                   struct config_errors *errors);
/* The same from memory; `name` stands for the file in messages. */
MUST_CHECK enum status config_parse(struct span text, const char *name, struct config **config,
                                    struct config_errors *errors);
/* Another one from the text that `before` was loaded from, whatever the file has become: so that
 * what it names can be loaded anew without it. */
MUST_CHECK enum status config_load_again(const struct config *before, struct config **config,
                                         struct config_errors *errors);
void config_free(struct config *config);

/* Where the value of `key` stands ("tls.certificate", "issuers[0].jwks_file"); where the file does
 * not name the key, the position of the nearest section around it that it does name, else 1:1. */
struct config_position config_position(const struct config *config, const char *key);
/* The file's name as config_load or config_parse got it. */
const char *config_name(const struct config *config);

/* Adds "file:line:column: key: ..." with the key's position: for what only opening the files shows.
 * Any number may be added; beyond CONFIG_ERRORS_MAX they are left out. */
__attribute__((format(printf, 4, 5))) void config_complain(const struct config *config,
                                                           const char *key,
                                                           struct config_errors *errors,
                                                           const char *format, ...);

/* Adds an error for every key whose change takes a restart, with its position in `next`. */
void config_check_reload(const struct config *now, const struct config *next,
                         struct config_errors *errors);

#endif
