#include "app/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* An absolute path, or '@' for the abstract name space. */
static bool address_of(const char *path, struct sockaddr_un *address, socklen_t *size)
{
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length < 2 || length >= sizeof address->sun_path) {
        return false;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
    }
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

enum status notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t size;
    if (path == NULL || path[0] == '\0') {
        return STATUS_OK;
    }
    if (!address_of(path, &address, &size)) {
        return STATUS_MALFORMED;
    }
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        return STATUS_SYSTEM;
    }
    ssize_t sent = sendto(descriptor, state, strlen(state), MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, size);
    close(descriptor);
    return sent == (ssize_t)strlen(state) ? STATUS_OK : STATUS_SYSTEM;
}

enum status notify_reloading(void)
{
    struct timespec now;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
    return notify_send(text);
}
