#include "app/config_custom.h"

#include "app/config_workers.h"
#include "auth/policy_match.h"
#include "base/bytes.h"
#include "base/uri.h"

#include <string.h>

static bool has_prefix(struct span text, const char *prefix)
{
    return span_starts_with(text, span_from_string(prefix));
}

static bool listed(const struct span *list, size_t count, struct span item)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(list[i], item)) {
            return true;
        }
    }
    return false;
}

CONFIG_READER(workers)
{
    struct config *config = into;
    uint64_t number = 0;
    struct span unit;
    if (!config_expect_scalar(reader, node, key->want)) {
        return;
    }
    if (span_equal_string(node->text, "auto")) {
        config->workers = 0; /* config.c asks the cgroup once all is read */
    } else if (node->quoted ||
               config_read_number(node->text, CONFIG_UNIT_NONE, &number, &unit) !=
                   CONFIG_NUMBER_GOOD ||
               number < 1 || number > CONFIG_WORKERS_MAX) {
        config_wrong(reader, node, "%s is not a number of workers; write %s",
                     config_quote(node->text).text, key->want);
    } else {
        config->workers = (uint32_t)number;
    }
}

/* ---- what is accepted ---- */

/* "https://authority" normalised, or NULL with an error. */
static bool read_origin(struct config_reader *reader, const struct config_node *node,
                        struct span *origin)
{
    static const char scheme[] = "https://";
    struct span text = node->text;
    if (!config_expect_scalar(reader, node, "an origin such as https://orders.example.com")) {
        return false;
    }
    if (!has_prefix(text, scheme)) {
        config_wrong(reader, node,
                     "%s is not an https origin; write it such as "
                     "https://orders.example.com",
                     config_quote(text).text);
        return false;
    }
    struct span authority = span_after(text, sizeof scheme - 1), normalised;
    if (span_find(authority, '/') < authority.size || span_find(authority, '?') < authority.size ||
        span_find(authority, '#') < authority.size) {
        config_wrong(reader, node,
                     "%s is more than an origin; write the scheme, the host and "
                     "perhaps a port, and no slash at the end",
                     config_quote(text).text);
        return false;
    }
    if (span_find(authority, '*') < authority.size) {
        config_wrong(reader, node, "%s is a wildcard; list every name by itself",
                     config_quote(text).text);
        return false;
    }
    uint8_t *out = config_take(reader, sizeof scheme + authority.size);
    if (out == NULL) {
        return false;
    }
    memcpy(out, scheme, sizeof scheme - 1);
    struct span_mut room = {out + sizeof scheme - 1, authority.size};
    if (uri_normalise_authority(authority, SPAN_LITERAL("https"), room, &normalised) != STATUS_OK) {
        config_wrong(reader, node,
                     "%s does not name a host; write it such as "
                     "https://orders.example.com",
                     config_quote(text).text);
        return false;
    }
    memmove(room.data, normalised.data, normalised.size);
    *origin = span_make(out, sizeof scheme - 1 + normalised.size);
    return true;
}

CONFIG_READER(public_origins)
{
    struct config *config = into;
    const struct config_node *item = NULL;
    size_t count = 0, good = 0;
    if (!config_expect_list(reader, node, true, key->want, &item, &count)) {
        return;
    }
    struct span *origins = config_take(reader, count * sizeof *origins);
    for (size_t i = 0; i < count && origins != NULL && !config_report_is_full(reader->report);
         i++, item = item->next) {
        size_t mark = config_enter_item(reader, item, i);
        struct span origin;
        if (!item->broken && read_origin(reader, item, &origin)) {
            if (listed(origins, good, origin)) {
                config_wrong(reader, item, "%s is in the list already; remove it",
                             config_quote(origin).text);
            }
            origins[good++] = origin;
        }
        config_leave_item(reader, mark);
    }
    config->public_origins = origins;
    config->public_origins_count = good;
}

/* A list of choices as bits 1 << value. False if there was an error. */
static bool read_flags(struct config_reader *reader, const struct config_key *key,
                       const struct config_node *node, const struct config_choice *choices,
                       uint32_t *flags)
{
    const struct config_node *item = NULL;
    size_t count = 0;
    bool good = true;
    if (!config_expect_list(reader, node, true, key->want, &item, &count)) {
        return false;
    }
    if (count == 0) {
        config_wrong(reader, node, "is empty: nothing would be accepted; write %s", key->want);
        return false;
    }
    *flags = 0;
    for (size_t i = 0; i < count && !config_report_is_full(reader->report);
         i++, item = item->next) {
        size_t mark = config_enter_item(reader, item, i);
        int value = 0;
        if (item->broken || !config_read_choice(reader, item, choices, &value)) {
            good = false;
        } else if ((*flags >> value & 1) != 0) {
            config_wrong(reader, item, "%s is in the list already; remove it",
                         config_quote(item->text).text);
            good = false;
        } else {
            *flags |= 1u << value;
        }
        config_leave_item(reader, mark);
    }
    return good;
}

CONFIG_READER(accept)
{
    enum { DPOP, MTLS };
    static const struct config_choice schemes[] = {{"dpop", DPOP}, {"mtls", MTLS}, {0}};
    struct config *config = into;
    uint32_t flags = 0;
    if (read_flags(reader, key, node, schemes, &flags)) {
        config->accept_dpop = (flags >> DPOP & 1) != 0;
        config->accept_mtls = (flags >> MTLS & 1) != 0;
    }
}

CONFIG_READER(algorithms)
{
    static const struct config_choice algorithms[] = {
        {"ES256", SIGNATURE_ES256},   {"EdDSA", SIGNATURE_EDDSA},
        {"PS256", SIGNATURE_PS256},   {"RS256", SIGNATURE_RS256},
        {"ES384", SIGNATURE_ES384},   {"ES512", SIGNATURE_ES512},
        {"Ed25519", SIGNATURE_EDDSA}, {0}};
    struct config *config = into;
    uint32_t flags = 0;
    if (read_flags(reader, key, node, algorithms, &flags)) {
        config->dpop.algorithms = flags;
    }
}

/* ---- issuers ---- */

const char *config_check_word(struct span item)
{
    for (size_t i = 0; i < item.size; i++) {
        if (item.data[i] <= ' ' || item.data[i] > 0x7e) {
            return "has a space or a character beyond ASCII in it; write it as the token does";
        }
    }
    return NULL;
}

static void check_issuer(struct config_reader *reader, const struct config_node *node)
{
    /* What was named but wrong has its error already. */
    bool has_issuer = false, has_audience = false, has_keys = false, has_both = false;
    for (const struct config_node *member = node->first; member != NULL; member = member->next) {
        has_issuer |= span_equal_string(member->name, "issuer");
        has_audience |= span_equal_string(member->name, "audience");
        bool keys = span_equal_string(member->name, "jwks_file") ||
                    span_equal_string(member->name, "jwks_uri");
        has_both |= keys && has_keys;
        has_keys |= keys;
    }
    if (!has_issuer) {
        config_wrong(reader, node, "has no issuer; write issuer: https://as.example.com");
    }
    if (!has_audience) {
        config_wrong(reader, node, "has no audience; write audience: https://orders.example.com");
    }
    if (!has_keys) {
        config_wrong(reader, node, "has no keys; write jwks_file: /etc/popgate/jwks.json");
    }
    if (has_both) {
        config_wrong(reader, node, "has jwks_file and jwks_uri; write one of them");
    }
}

CONFIG_READER(issuers)
{
    struct config *config = into;
    const struct config_node *item = NULL;
    size_t count = 0;
    if (!config_expect_list(reader, node, false, key->want, &item, &count)) {
        return;
    }
    struct config_issuer *issuers = config_take(reader, count * sizeof *issuers);
    for (size_t i = 0; i < count && issuers != NULL && !config_report_is_full(reader->report);
         i++, item = item->next) {
        size_t mark = config_enter_item(reader, item, i);
        if (item->broken) {
        } else if (item->kind != CONFIG_MAPPING) {
            config_wrong(reader, item,
                         "an issuer is a mapping; write its keys issuer, audience "
                         "and jwks_file");
        } else {
            config_read_record(reader, item, "issuers[].", &issuers[i]);
            check_issuer(reader, item);
        }
        for (size_t j = 0; j < i && issuers[i].issuer.size > 0; j++) {
            if (span_equal(issuers[j].issuer, issuers[i].issuer)) {
                config_wrong(reader, item, "%s is in the list already; put its audiences together",
                             config_quote(issuers[i].issuer).text);
                break;
            }
        }
        config_leave_item(reader, mark);
    }
    config->issuers = issuers;
    config->issuers_count = issuers != NULL ? count : 0;
}

/* ---- policy ---- */

const char *config_check_method(struct span item)
{
    for (size_t i = 0; i < item.size; i++) {
        uint8_t byte = item.data[i];
        if (byte >= 'a' && byte <= 'z') {
            return "is not a method: they are in upper case; write it such as GET";
        }
        if (!byte_is(byte, BYTE_TOKEN)) {
            return "is not a method; write it such as GET";
        }
    }
    return NULL;
}

/* RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) */
const char *config_check_scope(struct span item)
{
    for (size_t i = 0; i < item.size; i++) {
        uint8_t byte = item.data[i];
        if (byte <= ' ' || byte > 0x7e || byte == '"' || byte == '\\') {
            return "is not one scope; write each by itself, such as [orders.read, orders.write]";
        }
    }
    return NULL;
}

/* SPIFFE-ID section 2: spiffe://trust-domain/path, the trust domain in lower case, no empty or dot
 * segments. */
const char *config_check_spiffe(struct span item)
{
    static const char fault[] =
        "is not a SPIFFE ID; write it such as spiffe://example.org/shop/orders";
    if (!has_prefix(item, "spiffe://")) {
        return fault;
    }
    struct span rest = span_after(item, strlen("spiffe://"));
    size_t slash = span_find(rest, '/');
    if (slash == 0 || slash > 255 || slash + 1 >= rest.size) {
        return fault;
    }
    for (size_t i = 0; i < rest.size; i++) {
        uint8_t byte = rest.data[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
                      byte == '_' || byte == '.';
        bool upper = byte >= 'A' && byte <= 'Z';
        if (!letter && !(i >= slash && (upper || byte == '/'))) {
            return fault;
        }
    }
    for (size_t at = slash; at < rest.size;) {
        struct span segment = span_after(rest, at + 1);
        segment.size = span_find(segment, '/');
        if (segment.size == 0 || span_equal_string(segment, ".") ||
            span_equal_string(segment, "..")) {
            return fault;
        }
        at += 1 + segment.size;
    }
    return NULL;
}

#define POLICY_PATH_BYTES_MAX 2048

/* Requests are compared after normalisation, so a rule that is not normalised would never match. */
CONFIG_READER(policy_path)
{
    struct span text = node->text;
    if (!config_expect_scalar(reader, node, key->want)) {
        return;
    }
    uint8_t out[POLICY_PATH_BYTES_MAX + 1];
    struct uri uri = {0};
    if (text.size == 0 || text.size > POLICY_PATH_BYTES_MAX || text.data[0] != '/' ||
        uri_normalise_target(text, (struct span_mut){out, sizeof out}, &uri) != STATUS_OK ||
        uri.has_query) {
        config_wrong(reader, node, "%s is not a path; write it such as /orders/, without a query",
                     config_quote(text).text);
        return;
    }
    if (!span_equal(uri.path, text)) {
        config_wrong(reader, node, "%s would never match, for requests are normalised; write %s",
                     config_quote(text).text, config_quote(uri.path).text);
        return;
    }
    if (!policy_path_is_plain(text)) {
        config_wrong(reader, node,
                     "services differ in how they read %s; write it without \"//\", without \";\" "
                     "and without escapes of what needs none",
                     config_quote(text).text);
        return;
    }
    memcpy((uint8_t *)into + key->offset, &text, sizeof text);
}

static void check_rule(struct config_reader *reader, const struct config_node *node,
                       const struct auth_policy_rule *rule)
{
    if (rule->open && rule->deny) {
        config_wrong(reader, node, "is open and deny at once; write one of them");
    }
    if (rule->open && rule->scopes_count > 0) {
        config_wrong(reader, node,
                     "is open, so there is no token to have a scope; remove open or "
                     "scope");
    }
    if (rule->deny && (rule->scopes_count > 0 || rule->spiffe_ids_count > 0)) {
        config_wrong(reader, node,
                     "denies everybody, whatever the scope and the certificate; "
                     "remove scope and spiffe, or deny");
    }
}

CONFIG_READER(policy)
{
    struct config *config = into;
    const struct config_node *item = NULL;
    size_t count = 0;
    if (!config_expect_list(reader, node, false, key->want, &item, &count)) {
        return;
    }
    struct auth_policy_rule *rules = config_take(reader, count * sizeof *rules);
    for (size_t i = 0; i < count && rules != NULL && !config_report_is_full(reader->report);
         i++, item = item->next) {
        size_t mark = config_enter_item(reader, item, i);
        if (item->broken) {
        } else if (item->kind != CONFIG_MAPPING) {
            config_wrong(reader, item,
                         "a rule is a mapping; write its keys, such as path and "
                         "scope");
        } else {
            config_read_record(reader, item, "policy[].", &rules[i]);
            check_rule(reader, item, &rules[i]);
        }
        config_leave_item(reader, mark);
    }
    config->policy = rules;
    config->policy_count = rules != NULL ? count : 0;
}
