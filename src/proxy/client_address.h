/* Where a client connects from: an IP address and a port, small enough to keep in every connection.
 * An IPv4 address that came mapped into IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address. */
#ifndef POPGATE_PROXY_CLIENT_ADDRESS_H
#define POPGATE_PROXY_CLIENT_ADDRESS_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct client_address {
    uint8_t bytes[16]; /* network order; of IPv4 the first four */
    uint16_t port;     /* host order */
    uint8_t family;    /* 4 or 6; 0: not an IP address, or not known */
};

/* Addresses with the same first `prefix_bits` bits. */
struct client_network {
    uint8_t bytes[16];
    uint8_t prefix_bits; /* of 32 or 128 */
    uint8_t family;
};

#define CLIENT_ADDRESS_TEXT_BYTES 48 /* "[ffff:...:ffff]:65535" and its NUL, with room */

struct client_address client_address_of(const struct sockaddr_storage *address);
/* `size` is 4 or 16. */
struct client_address client_address_from(const uint8_t *bytes, size_t size, uint16_t port);

bool client_network_has(const struct client_network *networks, size_t count,
                        const struct client_address *address);

/* The address alone, without brackets; empty for family 0. `out` has CLIENT_ADDRESS_TEXT_BYTES. */
struct span client_address_text(const struct client_address *address, char *out);
/* 192.0.2.1:80 or [2001:db8::1]:80; empty for family 0. */
struct span client_address_port_text(const struct client_address *address, char *out);

#endif
