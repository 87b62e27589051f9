#include "app/notify.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert(descriptor >= 0);
    cr_assert_eq(bind(descriptor, (struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
                 0);
    cr_assert_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
    return descriptor;
}

static const char *received(int descriptor)
{
    static char text[256];
    ssize_t size = recv(descriptor, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

Test(notify, nobody_wants_to_know)
{
    unsetenv("NOTIFY_SOCKET");
    cr_assert_eq(notify_send("READY=1"), STATUS_OK);
    setenv("NOTIFY_SOCKET", "", 1);
    cr_assert_eq(notify_send("READY=1"), STATUS_OK);
}

Test(notify, a_path_and_an_abstract_name)
{
    char path[64], name[64];
    (void)snprintf(path, sizeof path, "/tmp/popgate-notify-%ld", (long)getpid());
    (void)snprintf(name, sizeof name, "@popgate-notify-%ld", (long)getpid());
    const char *const both[] = {path, name};
    for (size_t i = 0; i < 2; i++) {
        int descriptor = listen_at(both[i]);
        cr_expect_eq(notify_send("READY=1\nSTATUS=serving"), STATUS_OK);
        cr_expect_str_eq(received(descriptor), "READY=1\nSTATUS=serving");
        cr_expect_eq(notify_reloading(), STATUS_OK);
        const char *text = received(descriptor);
        const char *begin = "RELOADING=1\nMONOTONIC_USEC=";
        cr_expect_eq(strncmp(text, begin, strlen(begin)), 0, "%s", text);
        cr_expect_gt(strtoull(text + strlen(begin), NULL, 10), 0);
        close(descriptor);
    }
    unlink(path);
}

Test(notify, what_is_no_socket_is_said)
{
    setenv("NOTIFY_SOCKET", "relative", 1);
    cr_assert_eq(notify_send("READY=1"), STATUS_MALFORMED);
    setenv("NOTIFY_SOCKET", "/", 1);
    cr_assert_eq(notify_send("READY=1"), STATUS_MALFORMED);
    setenv("NOTIFY_SOCKET", "/nowhere/to/be/found", 1);
    cr_assert_eq(notify_send("READY=1"), STATUS_SYSTEM);
    char path[200];
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    setenv("NOTIFY_SOCKET", path, 1);
    cr_assert_eq(notify_send("READY=1"), STATUS_MALFORMED);
}
