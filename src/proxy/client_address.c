#include "proxy/client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct client_address client_address_from(const uint8_t *bytes, size_t size, uint16_t port)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct client_address address = {.port = port, .family = size == 4 ? 4 : 6};
    if (size == 16 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        address.family = 4;
        memcpy(address.bytes, bytes + sizeof mapped, 4);
    } else {
        memcpy(address.bytes, bytes, size);
    }
    return address;
}

struct client_address client_address_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return client_address_from((const uint8_t *)&in->sin_addr, 4, ntohs(in->sin_port));
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        return client_address_from(in6->sin6_addr.s6_addr, 16, ntohs(in6->sin6_port));
    }
    return (struct client_address){0};
}

static bool network_has(const struct client_network *network, const struct client_address *address)
{
    if (network->family != address->family) {
        return false;
    }
    size_t whole = network->prefix_bits / 8;
    unsigned rest = network->prefix_bits % 8;
    if (memcmp(network->bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (network->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

bool client_network_has(const struct client_network *networks, size_t count,
                        const struct client_address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (network_has(&networks[i], address)) {
            return true;
        }
    }
    return false;
}

/* By hand: it goes into every request, and inet_ntop is a printf. */
static struct span ipv4_text(const uint8_t bytes[4], char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned byte = bytes[i];
        if (byte >= 100) {
            out[size++] = (char)('0' + byte / 100);
        }
        if (byte >= 10) {
            out[size++] = (char)('0' + byte / 10 % 10);
        }
        out[size++] = (char)('0' + byte % 10);
        out[size++] = i < 3 ? '.' : '\0';
    }
    return span_make(out, size - 1);
}

struct span client_address_text(const struct client_address *address, char *out)
{
    if (address->family == 4) {
        return ipv4_text(address->bytes, out);
    }
    if (address->family == 0 ||
        inet_ntop(AF_INET6, address->bytes, out, CLIENT_ADDRESS_TEXT_BYTES) == NULL) {
        return (struct span){0};
    }
    return span_from_string(out);
}

struct span client_address_port_text(const struct client_address *address, char *out)
{
    char text[CLIENT_ADDRESS_TEXT_BYTES];
    struct span alone = client_address_text(address, text);
    if (alone.size == 0) {
        return alone;
    }
    bool is_6 = address->family == 6;
    int size = snprintf(out, CLIENT_ADDRESS_TEXT_BYTES, "%s%s%s:%u", is_6 ? "[" : "", text,
                        is_6 ? "]" : "", address->port);
    return size > 0 && size < CLIENT_ADDRESS_TEXT_BYTES ? span_make(out, (size_t)size)
                                                        : (struct span){0};
}
