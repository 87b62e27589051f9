#include "app/config_custom.h"

#include "app/config_workers.h"
#include "auth/policy_match.h"
#include "base/bytes.h"
#include "base/uri.h"

#include <arpa/inet.h>
#include <stdio.h>
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

/* ---- where we are and where the service is ---- */

static bool read_listener(struct config_reader *reader, const struct config_key *key,
                          const struct config_node *node, struct config_address *address)
{
    const char *reason = NULL;
    if (!config_expect_scalar(reader, node, key->want)) {
        return false;
    }
    if (config_read_address(node->text, address, true, &reason) != STATUS_OK) {
        config_wrong(reader, node, "%s: %s", config_quote(node->text).text, reason);
        return false;
    }
    return true;
}

CONFIG_READER(listen)
{
    struct config *config = into;
    const struct config_node *item = NULL;
    size_t count = 0;
    if (!config_expect_list(reader, node, true, key->want, &item, &count)) {
        return;
    }
    if (count == 0 || count > CONFIG_LISTENERS_MAX) {
        config_wrong(reader, node, "%zu addresses; write 1 to %d of them", count,
                     CONFIG_LISTENERS_MAX);
        return;
    }
    config->listen_count = 0;
    for (size_t i = 0; i < count; i++, item = item->next) {
        size_t mark = config_enter_item(reader, item, i);
        struct config_address address;
        if (!item->broken && read_listener(reader, key, item, &address)) {
            for (size_t j = 0; j < config->listen_count; j++) {
                if (config_address_overlaps(&address, &config->listen[j])) {
                    config_wrong(reader, item, "%s and %s are the same port; remove one",
                                 address.text, config->listen[j].text);
                }
            }
            config->listen[config->listen_count++] = address;
        }
        config_leave_item(reader, mark);
    }
}

CONFIG_READER(admin_listen)
{
    struct config *config = into;
    struct config_address address = {0};
    if (node->kind == CONFIG_SCALAR && node->quoted && node->text.size == 0) {
        config->admin_listen = address;
    } else if (read_listener(reader, key, node, &address)) {
        config->admin_listen = address;
    }
}

/* Never quoted in a message: there is a password in it. */
CONFIG_READER(redis)
{
    struct config *config = into;
    if (!config_expect_scalar(reader, node, key->want)) {
        return;
    }
    config->replay.redis_url = (struct store_url){0};
    const char *reason = NULL;
    if (node->text.size > 0 &&
        store_url_parse(node->text, &config->replay.redis_url, &reason) != STATUS_OK) {
        config_wrong(reader, node, "%s; write %s", reason, key->want);
        return;
    }
    config->replay.redis = (const char *)node->text.data;
}

struct upstream_scheme {
    const char *prefix;
    bool is_unix;
    enum config_protocol protocol;
};

static const struct upstream_scheme upstream_schemes[] = {
    {"http://", false, CONFIG_HTTP1},
    {"http+unix://", true, CONFIG_HTTP1},
    {"h2c://", false, CONFIG_H2C},
    {"h2c+unix://", true, CONFIG_H2C},
};

/* host[:port] with an address of this machine's loopback, or its name. */
static bool read_upstream_host(struct config_reader *reader, const struct config_node *node,
                               struct span host, struct config_address *address)
{
    if (host.size > 0 && host.data[host.size - 1] == '/') {
        host.size--;
    }
    char text[sizeof address->text];
    size_t bracket = span_find(host, ']');
    size_t colon = span_find(host, ':');
    bool has_port = bracket < host.size ? bracket + 1 < host.size : colon < host.size;
    struct span name = SPAN_LITERAL("localhost");
    bool named = span_equal_ignore_case(span_first(host, colon), name);
    int size = snprintf(text, sizeof text, "%s%.*s%s", named ? "127.0.0.1" : "",
                        SPAN_ARG(named ? span_after(host, colon) : host), has_port ? "" : ":80");
    const char *reason = "the address is too long";
    if (size < 0 || (size_t)size >= sizeof text ||
        config_read_address(span_make(text, (size_t)size), address, false, &reason) != STATUS_OK) {
        config_wrong(reader, node,
                     "%s: the service is named by an address of the loopback; write "
                     "http://127.0.0.1:8080, without a path",
                     config_quote(node->text).text);
        return false;
    }
    if (!config_address_is_loopback(address)) {
        config_wrong(
            reader, node,
            "%s is not on the loopback, and what goes there is in clear and trusted; write "
            "http://127.0.0.1:8080, h2c://127.0.0.1:50051 or http+unix:///run/app.sock",
            config_quote(node->text).text);
        return false;
    }
    return true;
}

CONFIG_READER(upstream)
{
    struct config *config = into;
    if (!config_expect_scalar(reader, node, key->want)) {
        return;
    }
    const struct upstream_scheme *scheme = NULL;
    for (size_t i = 0; i < sizeof upstream_schemes / sizeof upstream_schemes[0]; i++) {
        if (has_prefix(node->text, upstream_schemes[i].prefix)) {
            scheme = &upstream_schemes[i];
        }
    }
    if (scheme == NULL) {
        config_wrong(reader, node, "%s is not an upstream; write %s", config_quote(node->text).text,
                     key->want);
        return;
    }
    struct span rest = span_after(node->text, strlen(scheme->prefix));
    struct config_address address = {0};
    const char *reason = NULL;
    if (!scheme->is_unix) {
        if (!read_upstream_host(reader, node, rest, &address)) {
            return;
        }
    } else if (config_read_unix(rest, &address, &reason) != STATUS_OK) {
        config_wrong(reader, node, "%s: %s", config_quote(node->text).text, reason);
        return;
    }
    config->upstream = address;
    config->upstream_protocol = scheme->protocol;
    (void)snprintf(config->upstream_host, sizeof config->upstream_host, "%s",
                   scheme->is_unix ? "localhost" : address.text);
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

static bool read_prefix(struct span text, uint64_t bits_max, uint64_t *bits)
{
    struct span unit;
    return config_read_number(text, CONFIG_UNIT_NONE, bits, &unit) == CONFIG_NUMBER_GOOD &&
           *bits <= bits_max;
}

/* 10.0.0.0/8, 2001:db8::/32, or an address alone. */
static const char *parse_network(struct span text, struct client_network *network)
{
    char address[INET6_ADDRSTRLEN];
    size_t slash = span_find(text, '/');
    if (slash >= sizeof address) {
        return "is no address";
    }
    memcpy(address, text.data, slash);
    address[slash] = '\0';
    bool is_4 = inet_pton(AF_INET, address, network->bytes) == 1;
    if (!is_4 && inet_pton(AF_INET6, address, network->bytes) != 1) {
        return "is neither an IPv4 nor an IPv6 address";
    }
    uint64_t bits_max = is_4 ? 32 : 128, bits = bits_max;
    if (slash < text.size && !read_prefix(span_after(text, slash + 1), bits_max, &bits)) {
        return is_4 ? "needs 0 to 32 bits behind the slash"
                    : "needs 0 to 128 bits behind the slash";
    }
    if (!is_4 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)network->bytes)) {
        return "is an IPv4 address in IPv6; write it as IPv4";
    }
    network->family = is_4 ? 4 : 6;
    network->prefix_bits = (uint8_t)bits;
    for (uint64_t bit = bits; bit < bits_max; bit++) {
        if (network->bytes[bit / 8] >> (7 - bit % 8) & 1) {
            return "has bits set behind the network's; clear them, or write the address alone";
        }
    }
    return NULL;
}

CONFIG_READER(trusted)
{
    struct config *config = into;
    const struct config_node *item = NULL;
    size_t count = 0;
    if (!config_expect_list(reader, node, false, key->want, &item, &count) || count == 0) {
        return;
    }
    struct client_network *networks = config_take(reader, count * sizeof *networks);
    for (size_t i = 0; networks != NULL && i < count; i++, item = item->next) {
        size_t mark = config_enter_item(reader, item, i);
        networks[i] = (struct client_network){0};
        if (!item->broken && config_expect_scalar(reader, item, key->want)) {
            const char *reason = parse_network(item->text, &networks[i]);
            if (reason != NULL) {
                config_wrong(reader, item, "%s %s", config_quote(item->text).text, reason);
            }
        }
        config_leave_item(reader, mark);
    }
    config->proxy_protocol_trusted = networks;
    config->proxy_protocol_trusted_count = networks != NULL ? count : 0;
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
