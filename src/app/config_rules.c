/* What is right key by key and cannot work together. */
#include "app/config_schema.h"

#define COMPLAIN(key, ...)                                                                         \
    config_report_add(report, config_position(config, key), key ": " __VA_ARGS__)

static void check_issuers(const struct config *config, struct config_report *report)
{
    /* Where issuers are named and wrong, that is said already. */
    bool said = report->errors->count > 0 && config_is_named(config, "issuers");
    if (config->dpop.mode != AUTH_OFF && config->issuers_count == 0 && !said) {
        COMPLAIN("issuers", "no issuer is trusted, so no token could pass; list one, or write "
                            "dpop.mode: off for mutual TLS alone");
    }
    if (config->dpop.mode == AUTH_OFF && config->policy_count > 0) {
        COMPLAIN("policy", "rules are not applied with dpop.mode: off; remove them or change the "
                           "mode");
    }
}

static void check_redis(const struct config *config, struct config_report *report)
{
    bool certificate = config->replay.redis_certificate[0] != '\0';
    bool key = config->replay.redis_private_key[0] != '\0';
    if (config->replay.redis_url.tls && config->replay.redis_ca[0] == '\0') {
        COMPLAIN("replay.redis", "rediss:// needs the CA that the server's certificate is from; "
                                 "write replay.redis_ca");
    }
    if (!config->replay.redis_url.tls && config->replay.redis_ca[0] != '\0') {
        COMPLAIN("replay.redis_ca", "means nothing without a rediss:// server; remove it");
    }
    if (!config->replay.redis_url.tls && (certificate || key)) {
        COMPLAIN("replay.redis_certificate", "means nothing without a rediss:// server; remove it");
    } else if (certificate != key) {
        COMPLAIN("replay.redis_certificate", "needs replay.redis_private_key, and that it; write "
                                             "both, or neither");
    }
}

static void check_replay(const struct config *config, struct config_report *report)
{
    check_redis(config, report);
    if (config->replay.redis_failure_local && config->replay.redis[0] == '\0') {
        COMPLAIN("replay.redis_failure", "means nothing without replay.redis; remove it");
    }
    if (config->dpop.nonce_shared && config->dpop.nonce_key_file[0] == '\0') {
        COMPLAIN("dpop.nonce_scope", "shared needs the key that the replicas share; write "
                                     "dpop.nonce_key_file");
    }
    if (!config->dpop.nonce_shared && config->dpop.nonce_key_file[0] != '\0') {
        COMPLAIN("dpop.nonce_key_file", "is not used by nonce_scope: instance; write shared, or "
                                        "remove it");
    }
}

static void check_addresses(const struct config *config, struct config_report *report)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_address *listen = &config->listen[i];
        if (config->upstream.address_size > 0 &&
            config_address_overlaps(listen, &config->upstream)) {
            COMPLAIN("upstream", "%s is our own listener %s; write the service's port",
                     config->upstream.text, listen->text);
            break;
        }
    }
    if (config->admin_listen.address_size == 0) {
        return;
    }
    for (size_t i = 0; i < config->listen_count; i++) {
        if (config_address_overlaps(&config->listen[i], &config->admin_listen)) {
            COMPLAIN("admin.listen", "%s is the port of listen; write another one",
                     config->admin_listen.text);
            break;
        }
    }
    if (config->upstream.address_size > 0 &&
        config_address_overlaps(&config->admin_listen, &config->upstream)) {
        COMPLAIN("admin.listen", "%s is the service's port; write another one",
                 config->admin_listen.text);
    }
}

void config_check_rules(const struct config *config, struct config_report *report)
{
    check_issuers(config, report);
    if (report->errors->count > 0) {
        return; /* what follows would be about values that are not what was meant */
    }
    check_replay(config, report);
    check_addresses(config, report);
}

/* As written: a listener on port 0 stays the one it is. */
static bool same_address(const struct config_address *a, const struct config_address *b)
{
    return strcmp(a->text, b->text) == 0;
}

static bool same_listeners(const struct config *a, const struct config *b)
{
    bool same = a->listen_count == b->listen_count;
    for (size_t i = 0; same && i < a->listen_count; i++) {
        same = same_address(&a->listen[i], &b->listen[i]);
    }
    return same;
}

void config_check_reload(const struct config *now, const struct config *next,
                         struct config_errors *errors)
{
    /* What was made of these once, at the start: threads, sockets, rings, tables, the log. */
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"listen", same_listeners(now, next)},
        /* A quota that changed meanwhile keeps nobody from changing a certificate. */
        {"workers", now->workers_auto ? next->workers_auto : now->workers == next->workers},
        {"io_backend", now->io_backend == next->io_backend},
        {"user", strcmp(now->user, next->user) == 0},
        {"dpop.nonce_scope", now->dpop.nonce_shared == next->dpop.nonce_shared},
        {"replay.capacity", now->replay.capacity == next->replay.capacity},
        {"replay.path", strcmp(now->replay.path, next->replay.path) == 0},
        {"replay.redis", strcmp(now->replay.redis, next->replay.redis) == 0},
        {"replay.redis_failure",
         now->replay.redis_failure_local == next->replay.redis_failure_local},
        {"timeouts.redis", now->timeouts.redis_ms == next->timeouts.redis_ms},
        {"crypto.key_memory", now->key_memory_bytes == next->key_memory_bytes},
        {"admin.listen", same_address(&now->admin_listen, &next->admin_listen)},
        {"admin.socket", strcmp(now->admin_socket, next->admin_socket) == 0},
        {"log.format", now->log_format == next->log_format},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!keys[i].same) {
            config_complain(next, keys[i].key, errors, "takes a restart to change");
        }
    }
}
