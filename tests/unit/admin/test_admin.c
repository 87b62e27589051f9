#include "admin/admin.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct admin *admin;
static uint16_t port;
static atomic_int collected;
static _Atomic size_t samples = 1;

static void collect(void *context, struct metrics_text *page)
{
    cr_assert_eq(context, &collected);
    atomic_fetch_add(&collected, 1);
    metrics_family(page, METRICS_COUNTER, "popgate_things", "Things.");
    for (size_t i = 0; i < samples; i++) {
        metrics_sample(page, NULL, 0, 3);
    }
}

static int listen_on(struct sockaddr *address, socklen_t size)
{
    int descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(bind(descriptor, address, size), 0);
    cr_assert_eq(listen(descriptor, 128), 0);
    return descriptor;
}

static int listen_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int descriptor = listen_on((struct sockaddr *)&address, size);
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
    return descriptor;
}

static void start_with(struct admin_options options)
{
    char error[200] = "";
    options.listeners[options.listeners_count++] = listen_tcp();
    options.collect = collect;
    options.context = &collected;
    cr_assert_eq(admin_new(&options, &admin, error, sizeof error), STATUS_OK, "%s", error);
    admin_set_state(admin, ADMIN_READY);
}

static void start(void)
{
    start_with((struct admin_options){0});
}

static void stop(void)
{
    admin_free(admin);
}

TestSuite(admin, .timeout = 60);

static int dial(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

static void say(int descriptor, const char *text)
{
    cr_assert_eq(send(descriptor, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static char answer[1 << 20];

/* Everything until the other side closes. */
static const char *hear_all(int descriptor)
{
    size_t size = 0;
    ssize_t got = 0;
    while ((got = recv(descriptor, answer + size, sizeof answer - 1 - size, 0)) > 0) {
        size += (size_t)got;
    }
    cr_assert_eq(got, 0, "%s", strerrorname_np(errno));
    answer[size] = '\0';
    close(descriptor);
    return answer;
}

/* Until `end` has come. */
static const char *hear_until(int descriptor, const char *end)
{
    size_t size = 0;
    do {
        ssize_t got = recv(descriptor, answer + size, sizeof answer - 1 - size, 0);
        cr_assert_gt(got, 0, "closed before %s: %s", end, answer);
        size += (size_t)got;
        answer[size] = '\0';
    } while (strstr(answer, end) == NULL);
    return answer;
}

static const char *ask(const char *request)
{
    int descriptor = dial();
    say(descriptor, request);
    return hear_all(descriptor);
}

#define CLOSING "Host: x\r\nConnection: close\r\n\r\n"

static void begins(const char *text, const char *start_text)
{
    cr_assert_eq(strncmp(text, start_text, strlen(start_text)), 0, "%s", text);
}

static void contains(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "%s", text);
}

Test(admin, livez, .init = start, .fini = stop)
{
    begins(ask("GET /livez HTTP/1.1\r\n" CLOSING), "HTTP/1.1 200 OK\r\n");
    contains(answer, "\r\nContent-Length: 3\r\n");
    contains(answer, "\r\nCache-Control: no-store\r\n");
    contains(answer, "\r\n\r\nok\n");
    admin_set_state(admin, ADMIN_DRAINING);
    begins(ask("GET /livez HTTP/1.1\r\n" CLOSING), "HTTP/1.1 200 OK\r\n");
}

Test(admin, readyz_follows_the_state, .fini = stop)
{
    start();
    admin_set_state(admin, ADMIN_STARTING);
    begins(ask("GET /readyz HTTP/1.1\r\n" CLOSING), "HTTP/1.1 503 Service Unavailable\r\n");
    contains(answer, "\r\n\r\nstarting\n");
    admin_set_state(admin, ADMIN_READY);
    begins(ask("GET /readyz HTTP/1.1\r\n" CLOSING), "HTTP/1.1 200 OK\r\n");
    admin_set_state(admin, ADMIN_DRAINING);
    begins(ask("GET /readyz HTTP/1.1\r\n" CLOSING), "HTTP/1.1 503 Service Unavailable\r\n");
    contains(answer, "\r\n\r\ndraining\n");
}

Test(admin, a_new_one_is_not_ready)
{
    char error[200];
    struct admin_options options = {.listeners = {listen_tcp()},
                                    .listeners_count = 1,
                                    .collect = collect,
                                    .context = &collected};
    cr_assert_eq(admin_new(&options, &admin, error, sizeof error), STATUS_OK);
    contains(ask("GET /readyz HTTP/1.1\r\n" CLOSING), "starting");
    stop();
}

Test(admin, metrics_in_both_formats, .init = start, .fini = stop)
{
    begins(ask("GET /metrics HTTP/1.1\r\n" CLOSING), "HTTP/1.1 200 OK\r\n");
    contains(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    contains(answer, "\r\n\r\n# HELP popgate_things_total Things.\n"
                     "# TYPE popgate_things_total counter\npopgate_things_total 3\n");
    cr_assert_null(strstr(answer, "EOF"));
    ask("GET /metrics?x=y HTTP/1.1\r\nAccept: application/openmetrics-text\r\n" CLOSING);
    contains(answer,
             "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n");
    contains(answer, "# TYPE popgate_things counter\npopgate_things_total 3\n# EOF\n");
    cr_assert_eq(collected, 2);
}

Test(admin, a_large_page_comes_whole_and_one_too_large_is_said, .init = start, .fini = stop)
{
    samples = 20000;
    ask("GET /metrics HTTP/1.1\r\n" CLOSING);
    size_t lines = 0;
    for (const char *at = answer; (at = strstr(at, "\npopgate_things_total 3")) != NULL; at++) {
        lines++;
    }
    cr_assert_eq(lines, 20000);
    samples = 100000;
    begins(ask("GET /metrics HTTP/1.1\r\n" CLOSING), "HTTP/1.1 500 ");
    samples = 1;
    begins(ask("GET /metrics HTTP/1.1\r\n" CLOSING), "HTTP/1.1 200 OK\r\n");
}

Test(admin, head_has_no_body, .init = start, .fini = stop)
{
    ask("HEAD /livez HTTP/1.1\r\n" CLOSING);
    begins(answer, "HTTP/1.1 200 OK\r\n");
    contains(answer, "Content-Length: 3\r\n");
    cr_assert_str_eq(answer + strlen(answer) - 4, "\r\n\r\n");
}

Test(admin, what_is_not_here, .init = start, .fini = stop)
{
    begins(ask("GET / HTTP/1.1\r\n" CLOSING), "HTTP/1.1 404 Not Found\r\n");
    begins(ask("GET /livez/ HTTP/1.1\r\n" CLOSING), "HTTP/1.1 404 Not Found\r\n");
    begins(ask("GET /identities HTTP/1.1\r\n" CLOSING), "HTTP/1.1 404 Not Found\r\n");
    begins(ask("POST /livez HTTP/1.1\r\n" CLOSING), "HTTP/1.1 405 Method Not Allowed\r\n");
    contains(answer, "\r\nAllow: GET, HEAD\r\n");
    begins(ask("GET /x/../livez HTTP/1.1\r\n" CLOSING), "HTTP/1.1 200 OK\r\n");
}

Test(admin, bodies_are_refused_and_the_connection_closes, .init = start, .fini = stop)
{
    begins(ask("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
           "HTTP/1.1 413 ");
    contains(answer, "\r\nConnection: close\r\n");
    begins(ask("GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           "HTTP/1.1 413 ");
}

Test(admin, not_http, .init = start, .fini = stop)
{
    begins(ask("nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n");
    contains(answer, "\r\nConnection: close\r\n");
    begins(ask("GET /livez HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ");
    begins(ask("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
               "chunked\r\n\r\n"),
           "HTTP/1.1 400 ");
    begins(ask("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS here\r\n\r\n"), "HTTP/1.1 400 ");
    struct admin_counters counters;
    admin_read_counters(admin, &counters);
    cr_assert_eq(counters.refused, 4);
    cr_assert_eq(counters.requests, 0);
}

Test(admin, keep_alive_and_pipelining, .init = start, .fini = stop)
{
    int descriptor = dial();
    for (int i = 0; i < 50; i++) {
        say(descriptor, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        begins(hear_until(descriptor, "ok\n"), "HTTP/1.1 200 OK\r\n");
    }
    say(descriptor, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nHEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
                    "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const char *text = hear_all(descriptor);
    const char *second = strstr(text, "ok\nHTTP/1.1 200 OK\r\n");
    cr_assert_not_null(second);
    cr_assert_not_null(strstr(second, "\r\n\r\nHTTP/1.1 404 "));
}

Test(admin, http_1_0_closes, .init = start, .fini = stop)
{
    contains(ask("GET /livez HTTP/1.0\r\nHost: x\r\n\r\n"), "ok\n");
}

Test(admin, byte_by_byte, .init = start, .fini = stop)
{
    const char *request = "GET /livez HTTP/1.1\r\n" CLOSING;
    int descriptor = dial();
    for (size_t i = 0; request[i] != '\0'; i++) {
        cr_assert_eq(send(descriptor, request + i, 1, MSG_NOSIGNAL), 1);
        poll(NULL, 0, 1);
    }
    contains(hear_all(descriptor), "ok\n");
}

Test(admin, a_client_that_half_closes_gets_its_answer, .init = start, .fini = stop)
{
    int descriptor = dial();
    say(descriptor, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(descriptor, SHUT_WR);
    contains(hear_all(descriptor), "ok\n");
    descriptor = dial();
    say(descriptor, "GET /liv");
    shutdown(descriptor, SHUT_WR);
    cr_assert_str_eq(hear_all(descriptor), "");
}

static void say_padding(int descriptor, size_t size)
{
    for (size_t i = 0; i < size; i += 100) {
        char line[101];
        memset(line, 'a', 100);
        memcpy(line, "X-", 2);
        line[50] = ':';
        memcpy(line + 98, "\r\n", 3);
        (void)send(descriptor, line, 100, MSG_NOSIGNAL);
    }
}

Test(admin, large_heads_are_refused, .init = start, .fini = stop)
{
    int descriptor = dial();
    say(descriptor, "GET /livez HTTP/1.1\r\n");
    say_padding(descriptor, 5000);
    say(descriptor, CLOSING);
    begins(hear_all(descriptor), "HTTP/1.1 200 ");
    descriptor = dial();
    say(descriptor, "GET /livez HTTP/1.1\r\n");
    say_padding(descriptor, 6500); /* 65 fields and Host */
    say(descriptor, CLOSING);
    begins(hear_all(descriptor), "HTTP/1.1 431 ");
    descriptor = dial();
    say(descriptor, "GET /");
    static char path[20000];
    memset(path, 'a', sizeof path - 1);
    (void)send(descriptor, path, sizeof path - 1, MSG_NOSIGNAL);
    begins(hear_all(descriptor), "HTTP/1.1 4");
}

Test(admin, slow_heads_are_cut_off, .fini = stop)
{
    start_with((struct admin_options){.head_ms = 100, .idle_ms = 100});
    begins(ask("GET /livez HTTP/1.1\r\nHost"), "HTTP/1.1 408 ");
    int descriptor = dial();
    cr_assert_str_eq(hear_all(descriptor), ""); /* nothing said */
    descriptor = dial();
    say(descriptor, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *text = hear_all(descriptor); /* idle afterwards */
    contains(text, "ok\n");
    cr_assert_null(strstr(text, "408"));
    struct admin_counters counters;
    admin_read_counters(admin, &counters);
    cr_assert_eq(counters.timeouts, 3);
    cr_assert_eq(counters.requests, 1);
}

Test(admin, slow_readers_are_cut_off, .fini = stop)
{
    start_with((struct admin_options){.send_ms = 200});
    samples = 20000;
    int descriptors[8];
    for (int i = 0; i < 8; i++) {
        descriptors[i] = dial();
        int small = 2048;
        (void)setsockopt(descriptors[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        for (int j = 0; j < 12; j++) {
            say(descriptors[i], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        }
    }
    struct admin_counters counters = {0};
    while (counters.timeouts < 8) {
        poll(NULL, 0, 10);
        admin_read_counters(admin, &counters);
    }
    samples = 1;
    contains(ask("GET /livez HTTP/1.1\r\n" CLOSING), "ok\n");
    for (int i = 0; i < 8; i++) {
        close(descriptors[i]);
    }
}

/* Whoever holds every connection open does not keep the kubelet out. */
Test(admin, a_crowd_of_idle_clients_gives_way, .init = start, .fini = stop)
{
    int descriptors[3 * ADMIN_CLIENTS_MAX];
    for (int i = 0; i < 3 * ADMIN_CLIENTS_MAX; i++) {
        descriptors[i] = dial();
        if (i % 10 == 0) {
            contains(ask("GET /livez HTTP/1.1\r\n" CLOSING), "ok\n");
        }
    }
    contains(ask("GET /livez HTTP/1.1\r\n" CLOSING), "ok\n");
    struct admin_counters counters;
    admin_read_counters(admin, &counters);
    cr_assert_geq(counters.evicted, 100);
    for (int i = 0; i < 3 * ADMIN_CLIENTS_MAX; i++) {
        close(descriptors[i]);
    }
}

Test(admin, clients_that_vanish, .init = start, .fini = stop)
{
    samples = 5000;
    for (int i = 0; i < 300; i++) {
        int descriptor = dial();
        if (i % 3 != 0) {
            say(descriptor, i % 3 == 1 ? "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /me");
        }
        struct linger reset = {.l_onoff = 1};
        if (i % 2 == 0) {
            (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        close(descriptor);
    }
    samples = 1;
    contains(ask("GET /livez HTTP/1.1\r\n" CLOSING), "ok\n");
}

Test(admin, stopping_with_clients_connected)
{
    start();
    int idle = dial(), half = dial();
    say(half, "GET /li");
    contains(ask("GET /livez HTTP/1.1\r\n" CLOSING), "ok\n");
    stop();
    char byte;
    cr_assert_leq(recv(idle, &byte, 1, 0), 0);
    cr_assert_leq(recv(half, &byte, 1, 0), 0);
    close(idle);
    close(half);
    /* The port is free again. */
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&address, sizeof address), -1);
    cr_assert_eq(errno, ECONNREFUSED);
    close(descriptor);
    admin_free(NULL);
}

Test(admin, a_unix_socket_and_a_port_at_once, .fini = stop)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/popgate-admin-%d",
                   (int)getpid());
    int listener = listen_on((struct sockaddr *)&address, sizeof address);
    start_with((struct admin_options){.listeners = {listener}, .listeners_count = 1});
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    say(descriptor, "GET /livez HTTP/1.1\r\n" CLOSING);
    contains(hear_all(descriptor), "ok\n");
    contains(ask("GET /livez HTTP/1.1\r\n" CLOSING), "ok\n");
    unlink(address.sun_path);
}

/* ---- private listeners ---- */

static uint16_t private_page(void *context, const struct admin_private *asked,
                             struct http1_writer *out, const char **content_type)
{
    cr_assert_eq(context, &collected);
    if (span_equal_string(asked->path, "/read-only")) {
        *content_type = "application/json";
        http1_write_string(out, "{}");
        return asked->changes ? 405 : 200;
    }
    if (span_equal_string(asked->path, "/huge")) {
        for (size_t i = 0; i <= ADMIN_PAGE_BYTES_MAX; i++) {
            http1_write_string(out, "x");
        }
        return 200;
    }
    if (!span_equal_string(asked->path, "/set")) {
        return 0;
    }
    http1_write_string(out, asked->changes ? "set to " : "is ");
    http1_write(out, asked->query);
    return 200;
}

static const char *ask_private(const char *request_line)
{
    char text[200];
    int descriptor = dial();
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             request_line);
    say(descriptor, text);
    return hear_all(descriptor);
}

Test(admin, a_private_listener_has_pages_that_the_others_have_not)
{
    struct admin_options options = {.private_page = private_page, .private_from = 1};
    options.listeners[options.listeners_count++] = listen_tcp();
    uint16_t open_port = port;
    start_with(options); /* its own is the second */
    cr_expect_not_null(strstr(ask_private("GET /livez"), " 200 "));
    cr_expect_not_null(strstr(ask_private("GET /metrics"), "popgate_things"));
    cr_expect_not_null(strstr(ask_private("GET /set?now"), "\r\n\r\nis now"));
    cr_expect_not_null(strstr(ask_private("PUT /set?now"), "\r\n\r\nset to now"));
    cr_expect_not_null(strstr(ask_private("POST /set"), "\r\n\r\nset to "));
    cr_expect_not_null(strstr(ask_private("DELETE /set"), " 405 "));
    cr_expect_not_null(strstr(ask_private("GET /read-only"), "application/json"));
    cr_expect_not_null(strstr(ask_private("PUT /read-only"), " 405 "));
    cr_expect_not_null(strstr(ask_private("PUT /livez"), " 405 "));
    cr_expect_not_null(strstr(ask_private("GET /huge"), " 500 "));
    cr_expect_not_null(strstr(ask_private("GET /other"), " 404 "));
    port = open_port;
    cr_expect_not_null(strstr(ask_private("GET /livez"), " 200 "));
    cr_expect_not_null(strstr(ask_private("GET /set"), " 404 "));
    cr_expect_not_null(strstr(ask_private("PUT /set"), " 405 "));
    cr_expect_not_null(strstr(ask_private("GET /read-only"), " 404 "));
    stop();
}
