#include "app/listeners.h"

#include "unit/tls/certificates.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char *folder;

static void set_up(void)
{
    folder = test_folder_make();
}

static void tear_down(void)
{
    test_folder_remove(folder);
}

TestSuite(listeners, .init = set_up, .fini = tear_down);

static struct config_address loopback(uint16_t port)
{
    struct config_address address = {.address_size = sizeof(struct sockaddr_in)};
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&address.address;
    *ipv4 = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)snprintf(address.text, sizeof address.text, "127.0.0.1:%u", port);
    return address;
}

static struct config_address ipv6_any(uint16_t port)
{
    struct config_address address = {.address_size = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&address.address;
    *ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    (void)snprintf(address.text, sizeof address.text, "[::]:%u", port);
    return address;
}

static uint16_t port_of(int descriptor)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int connect_to(const struct sockaddr *address, socklen_t size)
{
    int descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(descriptor, 0);
    int result = connect(descriptor, address, size);
    close(descriptor);
    return result;
}

Test(listeners, every_worker_has_a_socket_of_its_own_at_one_address)
{
    char error[256] = "";
    struct config_address address = loopback(0);
    int first = listener_open(&address, error, sizeof error);
    cr_assert_geq(first, 0, "%s", error);
    address = loopback(port_of(first));
    int second = listener_open(&address, error, sizeof error);
    cr_assert_geq(second, 0, "%s", error);
    cr_expect_eq(port_of(second), port_of(first));
    cr_expect(fcntl(first, F_GETFL) & O_NONBLOCK);
    cr_expect(fcntl(first, F_GETFD) & FD_CLOEXEC);
    cr_expect_eq(connect_to((struct sockaddr *)&address.address, address.address_size), 0);
    close(first);
    close(second);
}

Test(listeners, an_address_of_somebody_else_is_named)
{
    char error[256] = "";
    struct config_address address = loopback(0);
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(other, (struct sockaddr *)&address.address, address.address_size), 0);
    cr_assert_eq(listen(other, 1), 0);
    address = loopback(port_of(other));
    cr_expect_eq(listener_open(&address, error, sizeof error), -1);
    cr_expect(strstr(error, address.text) != NULL && strstr(error, "in use") != NULL, "%s", error);
    close(other);
}

Test(listeners, ipv6_is_ipv6_alone)
{
    char error[256] = "";
    struct config_address address = ipv6_any(0);
    int descriptor = listener_open(&address, error, sizeof error);
    if (descriptor < 0 && strstr(error, "Address family not supported") != NULL) {
        return; /* a kernel without IPv6 */
    }
    cr_assert_geq(descriptor, 0, "%s", error);
    struct config_address ipv4 = loopback(port_of(descriptor));
    cr_expect_neq(connect_to((struct sockaddr *)&ipv4.address, ipv4.address_size), 0);
    close(descriptor);
}

/* Valid until the next call. */
static const char *socket_path(const char *name)
{
    static char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert(size > 0 && (size_t)size < sizeof path);
    return path;
}

static int connect_to_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect_to((struct sockaddr *)&address, sizeof address);
}

Test(listeners, a_unix_socket_is_ours_alone_whatever_the_umask)
{
    char error[256] = "";
    const char *path = socket_path("admin");
    mode_t before = umask(0);
    int descriptor = listener_open_unix(path, error, sizeof error);
    cr_expect_eq(umask(before), 0, "the umask is as it was");
    cr_assert_geq(descriptor, 0, "%s", error);
    struct stat about;
    cr_assert_eq(lstat(path, &about), 0);
    cr_expect(S_ISSOCK(about.st_mode) && (about.st_mode & 0777) == 0600, "%o", about.st_mode);
    cr_expect_eq(connect_to_path(path), 0);
    close(descriptor);
}

Test(listeners, only_what_nobody_listens_on_is_replaced)
{
    char error[256] = "";
    const char *path = socket_path("admin");
    int first = listener_open_unix(path, error, sizeof error);
    cr_assert_geq(first, 0, "%s", error);
    cr_expect_eq(listener_open_unix(path, error, sizeof error), -1);
    cr_expect(strstr(error, path) != NULL && strstr(error, "in use") != NULL, "%s", error);
    cr_expect_eq(connect_to_path(path), 0, "the first still listens");
    close(first);
    int second = listener_open_unix(path, error, sizeof error);
    cr_assert_geq(second, 0, "left behind: %s", error);
    cr_expect_eq(connect_to_path(path), 0);
    close(second);
}

Test(listeners, a_file_is_never_replaced)
{
    char error[256] = "";
    char *path = test_write_text(folder, "admin", "precious");
    cr_expect_eq(listener_open_unix(path, error, sizeof error), -1);
    struct stat about;
    cr_expect(lstat(path, &about) == 0 && S_ISREG(about.st_mode) && about.st_size == 8);
    free(path);
    cr_expect_eq(listener_open_unix("/nonexistent/admin", error, sizeof error), -1);
    cr_expect(strstr(error, "No such file") != NULL, "%s", error);
}

Test(listeners, a_path_that_no_address_holds_is_refused_not_cut)
{
    char error[256] = "", path[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    cr_expect_eq(listener_open_unix(path, error, sizeof error), -1);
    cr_expect(strstr(error, "too long") != NULL, "%s", error);
}
