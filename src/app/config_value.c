#include "app/config_value.h"

#include "app/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

/* ---- numbers ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: config_write_number takes the first that divides. */
static const struct unit byte_units[] = {
    {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}};
static const struct unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define UNITS (sizeof byte_units / sizeof byte_units[0])

static const struct unit *units_of(enum config_unit unit)
{
    return unit == CONFIG_UNIT_BYTES ? byte_units : time_units;
}

const char *config_unit_names(enum config_unit unit)
{
    return unit == CONFIG_UNIT_BYTES ? "B, KiB, MiB or GiB" : "ms, s, m or h";
}

enum config_number_fault config_read_number(struct span text, enum config_unit unit,
                                            uint64_t *number, struct span *unit_text)
{
    uint64_t value = 0;
    size_t at = 0;
    bool overflow = false;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
        uint64_t digit = text.data[at] - '0';
        overflow |= value > (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    if (at == 0 || (at > 1 && text.data[0] == '0')) {
        return CONFIG_NUMBER_NOT_ONE; /* "010" is 8 to some and 10 to others */
    }
    *unit_text = span_after(text, at);
    if (unit == CONFIG_UNIT_NONE) {
        if (unit_text->size > 0) {
            return CONFIG_NUMBER_NOT_ONE;
        }
        *number = value;
        return overflow ? CONFIG_NUMBER_TOO_LARGE : CONFIG_NUMBER_GOOD;
    }
    if (unit_text->size == 0) {
        return CONFIG_NUMBER_NO_UNIT;
    }
    if (unit_text->data[0] == '.' || unit_text->data[0] == ',') {
        return CONFIG_NUMBER_NOT_ONE;
    }
    for (size_t i = 0; i < UNITS; i++) {
        const struct unit *candidate = &units_of(unit)[i];
        if (span_equal_string(*unit_text, candidate->name)) {
            *number = value * candidate->factor;
            return overflow || value > UINT64_MAX / candidate->factor ? CONFIG_NUMBER_TOO_LARGE
                                                                      : CONFIG_NUMBER_GOOD;
        }
    }
    return CONFIG_NUMBER_UNKNOWN_UNIT;
}

struct config_number_text config_write_number(uint64_t number, enum config_unit unit)
{
    struct config_number_text out;
    const char *name = "";
    if (unit != CONFIG_UNIT_NONE) {
        const struct unit *units = units_of(unit);
        size_t i = unit == CONFIG_UNIT_BYTES ? UNITS - 1 : UNITS - 2; /* of nothing: 0B, 0s */
        for (size_t j = UNITS; number != 0 && j > 0; j--) {
            i = number % units[j - 1].factor == 0 ? j - 1 : i;
        }
        number /= units[i].factor;
        name = units[i].name;
    }
    (void)snprintf(out.text, sizeof out.text, "%llu%s", (unsigned long long)number, name);
    return out;
}

/* ---- addresses ---- */

static const char want_address[] =
    "an IP address and a port are needed; write 0.0.0.0:8443 or [::]:8443";

static bool read_port(struct span text, uint16_t *port)
{
    uint64_t value = 0;
    struct span rest;
    if (config_read_number(text, CONFIG_UNIT_NONE, &value, &rest) != CONFIG_NUMBER_GOOD ||
        value > 65535) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

static bool copy_text(struct span text, char *out, size_t size)
{
    if (text.size >= size) {
        return false;
    }
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

enum status config_read_address(struct span text, struct config_address *address, bool port_zero,
                                const char **reason)
{
    struct config_address out = {0};
    *reason = want_address;
    bool bracketed = text.size > 0 && text.data[0] == '[';
    size_t host_end = bracketed ? span_find(text, ']') : span_find(text, ':');
    size_t colon = bracketed ? host_end + 1 : host_end;
    if (colon >= text.size || text.data[colon] != ':' ||
        !copy_text(text, out.text, sizeof out.text)) {
        return STATUS_MALFORMED;
    }
    uint16_t port = 0;
    if (!bracketed && span_find(span_after(text, colon + 1), ':') < text.size - colon - 1) {
        *reason = "an IPv6 address stands in brackets; write [2001:db8::1]:8443";
        return STATUS_MALFORMED;
    }
    if (!read_port(span_after(text, colon + 1), &port) || (port == 0 && !port_zero)) {
        *reason = "the port is not a number from 1 to 65535";
        return STATUS_MALFORMED;
    }
    char host[64];
    struct span host_text = bracketed ? span_make(text.data + 1, host_end - 1)
                                      : span_first(text, host_end);
    if (!copy_text(host_text, host, sizeof host)) {
        return STATUS_MALFORMED;
    }
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)&out.address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&out.address;
    if (bracketed && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        out.address_size = sizeof *in6;
    } else if (!bracketed && inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(port);
        out.address_size = sizeof *in4;
    } else {
        return STATUS_MALFORMED;
    }
    *address = out;
    return STATUS_OK;
}

enum status config_read_unix(struct span path, struct config_address *address, const char **reason)
{
    struct config_address out = {0};
    struct sockaddr_un *unix_address = (struct sockaddr_un *)(void *)&out.address;
    if (path.size < 2 || path.data[0] != '/') {
        *reason = "a Unix socket is named by an absolute path, such as /run/app.sock";
        return STATUS_MALFORMED;
    }
    if (!copy_text(path, unix_address->sun_path, sizeof unix_address->sun_path) ||
        !copy_text(path, out.text, sizeof out.text)) {
        *reason = "the path of a Unix socket has at most 107 bytes; use a shorter one";
        return STATUS_TOO_LARGE;
    }
    unix_address->sun_family = AF_UNIX;
    out.address_size = sizeof *unix_address;
    *address = out;
    return STATUS_OK;
}

bool config_address_is_loopback(const struct config_address *address)
{
    if (address->address.ss_family == AF_UNIX) {
        return true;
    }
    if (address->address.ss_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)&address->address)->sin6_addr);
    }
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)&address->address;
    return address->address.ss_family == AF_INET && ntohl(in4->sin_addr.s_addr) >> 24 == 127;
}

uint16_t config_address_port(const struct config_address *address)
{
    if (address->address.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address->address)->sin6_port);
    }
    if (address->address.ss_family == AF_INET) {
        return ntohs(((const struct sockaddr_in *)(const void *)&address->address)->sin_port);
    }
    return 0;
}

static bool is_any(const struct config_address *address)
{
    if (address->address.ss_family == AF_INET6) {
        return IN6_IS_ADDR_UNSPECIFIED(
            &((const struct sockaddr_in6 *)(const void *)&address->address)->sin6_addr);
    }
    return ((const struct sockaddr_in *)(const void *)&address->address)->sin_addr.s_addr == 0;
}

bool config_address_overlaps(const struct config_address *a, const struct config_address *b)
{
    uint16_t port = config_address_port(a);
    if (port == 0 || port != config_address_port(b)) {
        return false;
    }
    if (a->address.ss_family != b->address.ss_family) {
        return false; /* IPv6 listeners are bound IPV6_V6ONLY */
    }
    return is_any(a) || is_any(b) || memcmp(&a->address, &b->address, a->address_size) == 0;
}
