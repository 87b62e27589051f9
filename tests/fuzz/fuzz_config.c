/* A configuration is accepted or explained, never both and never neither: what is accepted lies
 * within the ranges of the table and could be run; what is refused has its errors in file order,
 * each on a line that is there. */
#include "app/config_schema.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static uint64_t read_integer(const struct config *config, const struct config_key *key)
{
    const uint8_t *at = (const uint8_t *)config + key->offset;
    uint32_t narrow = 0;
    uint64_t wide = 0;
    if (key->width == 4) {
        memcpy(&narrow, at, 4);
        return narrow;
    }
    memcpy(&wide, at, 8);
    return wide;
}

static void check_ranges(const struct config *config)
{
    for (size_t i = 0; i < config_keys_count; i++) {
        const struct config_key *key = &config_keys[i];
        uint64_t number = 0;
        switch (key->type) {
        case CONFIG_INTEGER:
        case CONFIG_SIZE:
        case CONFIG_TIME_MS:
        case CONFIG_TIME_S:
            number = read_integer(config, key) * (key->type == CONFIG_TIME_S ? 1000 : 1);
            check(number >= key->minimum && number <= key->maximum);
            break;
        default:
            break;
        }
    }
}

static void check_accepted(const struct config *config)
{
    check_ranges(config);
    check(config->workers >= 1 && config->workers <= 256);
    check(config->listen_count >= 1 && config->listen_count <= CONFIG_LISTENERS_MAX);
    check(config_address_is_loopback(&config->upstream));
    check(config->accept_dpop || config->accept_mtls);
    check(config->dpop.algorithms != 0 && (config->dpop.algorithms & 1) == 0);
    check(config->issuers_count > 0 || config->dpop.mode == AUTH_OFF);
    for (size_t i = 0; i < config->issuers_count; i++) {
        const struct config_issuer *issuer = &config->issuers[i];
        check(issuer->issuer.size > 0 && issuer->audiences_count > 0);
        check((issuer->jwks_file != NULL) != (issuer->jwks_uri != NULL));
    }
    for (size_t i = 0; i < config->public_origins_count; i++) {
        check(span_starts_with(config->public_origins[i], SPAN_LITERAL("https://")));
        check(span_find(config->public_origins[i], '*') == config->public_origins[i].size);
    }
    for (size_t i = 0; i < config->policy_count; i++) {
        const struct auth_policy_rule *rule = &config->policy[i];
        check(rule->path.size == 0 || rule->path.data[0] == '/');
        check(!(rule->open && (rule->deny || rule->scopes_count > 0)));
    }
    struct config_position position = config_position(config, "issuers[0].jwks_file");
    check(position.line >= 1 && position.column >= 1);
}

static size_t count_lines(const uint8_t *data, size_t size)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        /* also what only libyaml takes for a line's end: NEL, LS and PS end in these bytes */
        lines += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 ||
                 data[i] == 0xa9;
    }
    return lines;
}

static void check_refused(const struct config_errors *errors, size_t lines)
{
    check(errors->count >= 1 && errors->count <= CONFIG_ERRORS_MAX);
    unsigned long line_before = 1, column_before = 0;
    for (size_t i = 0; i < errors->count; i++) {
        const char *text = errors->list[i].text;
        check(strncmp(text, "f:", 2) == 0);
        char *end = NULL;
        unsigned long line = strtoul(text + 2, &end, 10);
        check(*end == ':' && line >= 1 && line <= lines + 1);
        unsigned long column = strtoul(end + 1, &end, 10);
        check(*end == ':' && end[1] == ' ' && column >= 1);
        check(line > line_before || (line == line_before && column >= column_before));
        line_before = line;
        column_before = column;
        for (const char *at = text; *at != '\0'; at++) {
            check((uint8_t)*at >= 0x20 && *at != 0x7f);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_errors errors;
    struct config *config = NULL;
    enum status status = config_parse(span_make(data, size), "f", &config, &errors);
    check((status == STATUS_OK) == (config != NULL));
    if (status == STATUS_OK) {
        check(errors.count == 0);
        check_accepted(config);
    } else {
        check_refused(&errors, count_lines(data, size));
    }
    config_free(config);
    return 0;
}
