/* The custom readers of where we are, where the service is, and who stands before us. */
#include "app/config_custom.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

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
        if (span_starts_with(node->text, span_from_string(upstream_schemes[i].prefix))) {
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
