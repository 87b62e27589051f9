#include "app/public_origins.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMES_MAX        64
#define ORIGIN_BYTES_MAX 288 /* https:// , a name of 253, a port */

static unsigned port_of(const struct config_address *address)
{
    if (address->address.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)&address->address)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)&address->address)->sin_port);
}

/* Writes one origin into `slot` of ORIGIN_BYTES_MAX bytes; port 0 or 443: none. */
static struct span write_origin(char *slot, struct span name, unsigned port)
{
    int size = port == 0 || port == 443
                   ? snprintf(slot, ORIGIN_BYTES_MAX, "https://%.*s", SPAN_ARG(name))
                   : snprintf(slot, ORIGIN_BYTES_MAX, "https://%.*s:%u", SPAN_ARG(name), port);
    for (int i = 0; i < size; i++) {
        if (slot[i] >= 'A' && slot[i] <= 'Z') {
            slot[i] = (char)(slot[i] + ('a' - 'A'));
        }
    }
    return span_make(slot, (size_t)size);
}

enum status public_origins_from_certificate(const struct tls_context *context,
                                            const struct config *config, struct span **origins,
                                            size_t *count, char **text, char *error,
                                            size_t error_size)
{
    struct span names[NAMES_MAX];
    bool wildcard = false;
    size_t names_count = tls_context_dns_names(context, names, NAMES_MAX, &wildcard);
    if (wildcard || names_count == 0) {
        snprintf(error, error_size,
                 "write the origins that clients use, for our own certificate %s",
                 wildcard ? "has a wildcard name" : "has no DNS name");
        return STATUS_UNSUPPORTED;
    }
    size_t slots = names_count * (1 + config->listen_count);
    *origins = calloc(slots, sizeof **origins);
    *text = malloc(slots * ORIGIN_BYTES_MAX);
    if (*origins == NULL || *text == NULL) {
        snprintf(error, error_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    size_t used = 0;
    for (size_t i = 0; i < names_count; i++) {
        if (names[i].size > 253) {
            continue; /* not a DNS name that anyone can connect to (RFC 1035 section 2.3.4) */
        }
        (*origins)[used] = write_origin(*text + used * ORIGIN_BYTES_MAX, names[i], 0);
        used++;
        for (size_t j = 0; j < config->listen_count; j++) {
            unsigned port = port_of(&config->listen[j]);
            if (port != 443) {
                (*origins)[used] = write_origin(*text + used * ORIGIN_BYTES_MAX, names[i], port);
                used++;
            }
        }
    }
    *count = used;
    return STATUS_OK;
}
