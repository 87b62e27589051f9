#include "app/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 4096

static int bind_and_listen(int descriptor, const struct config_address *address)
{
    int on = 1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        return -1;
    }
    /* [::] means IPv6 alone: 0.0.0.0 is written beside it where both are meant. */
    if (address->address.ss_family == AF_INET6 &&
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
        return -1;
    }
    if (bind(descriptor, (const struct sockaddr *)&address->address, address->address_size) != 0) {
        return -1;
    }
    return listen(descriptor, BACKLOG);
}

int listener_open(const struct config_address *address, char *error, size_t error_size)
{
    int descriptor = socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                            0);
    if (descriptor >= 0 && bind_and_listen(descriptor, address) == 0) {
        return descriptor;
    }
    snprintf(error, error_size, "cannot listen on %s: %m", address->text);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return -1;
}
