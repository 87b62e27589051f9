#include "app/name_lookup.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the address says, as "address:port"; of static storage. */
static const char *text_of(const struct name_address *found)
{
    static char text[INET6_ADDRSTRLEN + 8];
    char address[INET6_ADDRSTRLEN];
    uint16_t port;
    if (found->address.ss_family == AF_INET) {
        struct sockaddr_in in;
        cr_assert_eq(found->size, sizeof in);
        memcpy(&in, &found->address, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, address, sizeof address);
        port = ntohs(in.sin_port);
    } else {
        struct sockaddr_in6 in6;
        cr_assert_eq(found->address.ss_family, AF_INET6);
        cr_assert_eq(found->size, sizeof in6);
        memcpy(&in6, &found->address, sizeof in6);
        inet_ntop(AF_INET6, &in6.sin6_addr, address, sizeof address);
        port = ntohs(in6.sin6_port);
    }
    snprintf(text, sizeof text, "%s:%u", address, port);
    return text;
}

/* A UDP socket on loopback that takes questions and never answers. */
static int silent_server(char servers[32])
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert(descriptor >= 0 && bind(descriptor, (struct sockaddr *)&own, size) == 0 &&
              getsockname(descriptor, (struct sockaddr *)&own, &size) == 0);
    snprintf(servers, 32, "127.0.0.1:%u", ntohs(own.sin_port));
    return descriptor;
}

static enum status look_up(const char *host, const char *servers, struct name_address *found)
{
    struct name_lookup *lookup = name_lookup_new(host, 6379, servers);
    cr_assert_not_null(lookup);
    enum status status = name_lookup_wait(lookup, found);
    name_lookup_free(lookup);
    return status;
}

Test(name_lookup, addresses_need_no_server)
{
    struct name_address found;
    char servers[32];
    int silent = silent_server(servers);
    cr_expect_eq(look_up("192.0.2.7", servers, &found), STATUS_OK);
    cr_expect_str_eq(text_of(&found), "192.0.2.7:6379");
    cr_expect_eq(look_up("2001:db8::7", servers, &found), STATUS_OK);
    cr_expect_str_eq(text_of(&found), "2001:db8::7:6379");
    struct name_lookup *lookup = name_lookup_new("127.0.0.1", 65535, servers);
    cr_assert_not_null(lookup);
    cr_expect_eq(name_lookup_poll(lookup, &found), STATUS_OK);
    cr_expect_str_eq(text_of(&found), "127.0.0.1:65535");
    cr_expect_eq(name_lookup_poll(lookup, &found), STATUS_OK, "and again");
    name_lookup_free(lookup);
    char question[512];
    cr_expect_lt(recv(silent, question, sizeof question, MSG_DONTWAIT), 0, "nobody was asked");
    close(silent);
    cr_expect(name_is_address("127.0.0.1") && name_is_address("::1"));
    cr_expect(!name_is_address("localhost") && !name_is_address("127.1") && !name_is_address(""));
}

Test(name_lookup, localhost_is_that_of_ipv4)
{
    struct name_address found;
    cr_assert_eq(look_up("localhost", NULL, &found), STATUS_OK);
    cr_expect_str_eq(text_of(&found), "127.0.0.1:6379");
}

Test(name_lookup, a_server_that_is_silent_holds_nobody_up)
{
    struct name_address found = {0};
    char servers[32];
    int silent = silent_server(servers);
    struct name_lookup *lookup = name_lookup_new("redis.example", 6379, servers);
    cr_assert_not_null(lookup);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(name_lookup_poll(lookup, &found), STATUS_AGAIN);
    }
    char question[512];
    cr_expect(recv(silent, question, sizeof question, MSG_DONTWAIT) > 12, "it was asked");
    cr_expect_eq(found.size, 0);
    name_lookup_free(lookup); /* in the middle of it */
    name_lookup_free(NULL);
    close(silent);
}

Test(name_lookup, a_server_that_is_not_there_is_an_end)
{
    struct name_address found;
    char servers[32];
    close(silent_server(servers));
    cr_expect_eq(look_up("redis.example", servers, &found), STATUS_NOT_FOUND);
}

Test(name_lookup, servers_that_are_none_are_refused)
{
    cr_expect_null(name_lookup_new("redis.example", 6379, "not an address"));
}

/* ---- dnsmasq, on loopback ---- */

static void wait_a_moment(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
}

/* The process, once it answers at `servers`. Another test may take the port that was free a moment
 * ago: then it has ended, and gets another one. */
static pid_t start_dnsmasq(const char *program, char servers[32])
{
    char port[16];
    struct name_address found;
    for (int attempt = 0; attempt < 20; attempt++) {
        close(silent_server(servers));
        snprintf(port, sizeof port, "--port=%s", strchr(servers, ':') + 1);
        pid_t child = fork();
        if (child == 0) {
            execl(program, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                  "--no-resolv", "--no-hosts",
                  "--pid-file=", "--user=", "--listen-address=127.0.0.1", "--bind-interfaces",
                  "--local=/example/", "--host-record=redis.example,127.0.0.9",
                  "--host-record=both.example,2001:db8::9,192.0.2.9",
                  "--host-record=newer.example,2001:db8::8", "--cname=other.example,redis.example",
                  port, (char *)NULL);
            _exit(127);
        }
        cr_assert(child > 0);
        do {
            wait_a_moment();
            if (waitpid(child, NULL, WNOHANG) == child) {
                child = -1;
            }
        } while (child > 0 && look_up("redis.example", servers, &found) != STATUS_OK);
        if (child > 0) {
            return child;
        }
    }
    cr_assert_fail("dnsmasq does not stay");
    return -1;
}

Test(name_lookup, a_name_server_is_asked, .timeout = 60)
{
    const char *program = access("/usr/sbin/dnsmasq", X_OK) == 0 ? "/usr/sbin/dnsmasq"
                                                                 : "/usr/bin/dnsmasq";
    if (access(program, X_OK) != 0) {
        cr_skip("no dnsmasq (Debian: dnsmasq-base)");
    }
    char servers[32];
    pid_t child = start_dnsmasq(program, servers);
    struct name_address found;
    static const char *const expected[][2] = {{"redis.example", "127.0.0.9:6379"},
                                              {"both.example", "192.0.2.9:6379"},
                                              {"newer.example", "2001:db8::8:6379"},
                                              {"other.example", "127.0.0.9:6379"}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_expect_eq(look_up(expected[i][0], servers, &found), STATUS_OK, "%s", expected[i][0]);
        cr_expect_str_eq(text_of(&found), expected[i][1]);
    }
    cr_expect_eq(look_up("nobody.example", servers, &found), STATUS_NOT_FOUND);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
}
