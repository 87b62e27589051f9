#include "app/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* Whether the path holds a socket on which nobody listens any more. */
static bool is_left_behind(const struct sockaddr_un *address)
{
    struct stat about;
    if (lstat(address->sun_path, &about) != 0 || !S_ISSOCK(about.st_mode)) {
        return false;
    }
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool left = descriptor >= 0 &&
                connect(descriptor, (const struct sockaddr *)address, sizeof *address) != 0 &&
                errno == ECONNREFUSED;
    if (descriptor >= 0) {
        close(descriptor);
    }
    return left;
}

int listener_open_unix(const char *path, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof address.sun_path) {
        snprintf(error, error_size, "admin.socket: the path is too long");
        return -1;
    }
    memcpy(address.sun_path, path, size + 1);
    if (is_left_behind(&address)) {
        (void)unlink(path);
    }
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The mode is there from the first moment: no other thread makes files now. */
    mode_t before = umask(0177);
    bool bound = descriptor >= 0 &&
                 bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0 &&
                 listen(descriptor, 64) == 0;
    int failure = errno;
    umask(before);
    if (bound) {
        return descriptor;
    }
    errno = failure;
    snprintf(error, error_size, "cannot listen on %s: %m", path);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return -1;
}
