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

static void check_replay(const struct config *config, struct config_report *report)
{
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
