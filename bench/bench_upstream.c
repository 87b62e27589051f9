/* The service behind every proxy that is compared: answers GET /bytes/N with N bytes and everything
 * else with "ok\n", reads bodies of a Content-Length and drops them. HTTP/1.1 with keep-alive, or
 * HTTP/2 with prior knowledge. One thread, nothing parsed that need not be: what it costs must not
 * hide what a proxy costs. `bench_upstream PORT|PATH...`: loopback, or a Unix socket. */
#include "upstream_h2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD_MAX = 32768, DESCRIPTORS_MAX = 65536, BODY_MAX = 1 << 20, EVENTS = 256 };

struct client {
    struct upstream_h2 *h2; /* NULL: HTTP/1.1, or nothing came yet */
    size_t used;
    size_t body_left;          /* of the request under way */
    size_t answer_size;        /* of its answer's body */
    size_t out_head, out_body; /* bytes of the answer still to send */
    size_t out_head_size;
    char out[160];
    char head[HEAD_MAX];
};

static struct client *clients[DESCRIPTORS_MAX];
static bool is_listener[DESCRIPTORS_MAX];
static uint8_t body[BODY_MAX];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static size_t number_after(const char *text, size_t max)
{
    size_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (size_t)(*text - '0');
        if (value > max) {
            return max;
        }
    }
    return value;
}

static void drop(int descriptor)
{
    upstream_h2_free(clients[descriptor]->h2);
    free(clients[descriptor]);
    clients[descriptor] = NULL;
    close(descriptor);
}

static size_t size_for(const char *path)
{
    return strncmp(path, "/bytes/", 7) == 0 ? number_after(path + 7, BODY_MAX) : 3;
}

/* True: all of it went out. */
static bool push(int descriptor, struct client *client)
{
    while (client->out_head > 0 || client->out_body > 0) {
        struct iovec parts[2] = {
            {client->out + (client->out_head_size - client->out_head), client->out_head},
            {body, client->out_body}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent = sendmsg(descriptor, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            return false;
        }
        size_t of_head = (size_t)sent < client->out_head ? (size_t)sent : client->out_head;
        client->out_head -= of_head;
        client->out_body -= (size_t)sent - of_head;
    }
    return true;
}

static void begin_answer(struct client *client)
{
    int size = snprintf(
        client->out, sizeof client->out,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
        client->answer_size);
    client->out_head = client->out_head_size = (size_t)size;
    client->out_body = client->answer_size;
}

/* Reads one head at the start of client->head, if it is whole. */
static bool take_head(struct client *client)
{
    client->head[client->used] = '\0';
    char *end = strstr(client->head, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    char *path = strchr(client->head, ' ');
    client->answer_size = size_for(path != NULL ? path + 1 : "");
    *end = '\0';
    client->body_left = 0;
    for (char *line = strchr(client->head, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, "content-length:", 15) == 0) {
            client->body_left = number_after(line + 16 + strspn(line + 16, " "), SIZE_MAX / 20);
        }
    }
    size_t rest = client->used - (size_t)(end + 4 - client->head);
    size_t of_body = rest < client->body_left ? rest : client->body_left;
    client->body_left -= of_body;
    client->used = rest - of_body;
    memmove(client->head, end + 4 + of_body, client->used);
    return true;
}

/* No request of HTTP/1.1 begins so. */
static bool begins_h2(const struct client *client)
{
    size_t size = sizeof UPSTREAM_H2_PREFACE - 1;
    return client->used >= size && memcmp(client->head, UPSTREAM_H2_PREFACE, size) == 0;
}

static void serve_h2(int descriptor)
{
    static uint8_t bytes[262144];
    struct upstream_h2 *h2 = clients[descriptor]->h2;
    ssize_t got;
    do {
        got = recv(descriptor, bytes, sizeof bytes, 0);
    } while (got > 0 && upstream_h2_receive(h2, bytes, (size_t)got));
    if (got >= 0 || errno != EAGAIN || !upstream_h2_send(h2, descriptor)) {
        drop(descriptor);
    }
}

static void begin_h2(int descriptor)
{
    struct client *client = clients[descriptor];
    client->h2 = upstream_h2_new(size_for, body);
    if (client->h2 == NULL ||
        !upstream_h2_receive(client->h2, (const uint8_t *)client->head, client->used)) {
        drop(descriptor);
        return;
    }
    serve_h2(descriptor);
}

static void readable(int descriptor)
{
    struct client *client = clients[descriptor];
    if (client->h2 != NULL) {
        serve_h2(descriptor);
        return;
    }
    for (;;) {
        bool answering = client->out_head > 0 || client->out_body > 0;
        if (answering && !push(descriptor, client)) {
            return;
        }
        if (client->body_left > 0) {
            static uint8_t sink[65536];
            size_t wanted = client->body_left < sizeof sink ? client->body_left : sizeof sink;
            ssize_t got = recv(descriptor, sink, wanted, 0);
            if (got > 0) {
                client->body_left -= (size_t)got;
                if (client->body_left == 0) {
                    begin_answer(client);
                }
                continue;
            }
            if (got == 0 || errno != EAGAIN) {
                drop(descriptor);
            }
            return;
        }
        if (client->used > 0 && take_head(client)) {
            if (client->body_left == 0) {
                begin_answer(client);
            }
            continue;
        }
        ssize_t got = recv(descriptor, client->head + client->used, HEAD_MAX - 1 - client->used, 0);
        if (got <= 0) {
            if (got == 0 || errno != EAGAIN) {
                drop(descriptor);
            }
            return;
        }
        client->used += (size_t)got;
        if (begins_h2(client)) {
            begin_h2(descriptor);
            return;
        }
        if (!take_head(client)) {
            continue;
        }
        if (client->body_left == 0) {
            begin_answer(client);
        }
    }
}

static void take_client(int poll, int listener)
{
    int one = 1, descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        return;
    }
    if (descriptor >= DESCRIPTORS_MAX ||
        (clients[descriptor] = calloc(1, sizeof(struct client))) == NULL) {
        close(descriptor);
        return;
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = descriptor};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        drop(descriptor);
    }
}

static int listen_on(const char *where)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = (struct sockaddr *)&loopback;
    socklen_t size = sizeof loopback;
    if (where[0] == '/') {
        address = (struct sockaddr *)&path;
        size = sizeof path;
        if (strlen(where) >= sizeof path.sun_path) {
            errno = ENAMETOOLONG;
            fail(where);
        }
        memcpy(path.sun_path, where, strlen(where));
        unlink(where);
    } else {
        size_t port = number_after(where, 65536);
        if (port == 0 || port == 65536) {
            fprintf(stderr, "usage: bench_upstream PORT|PATH...\n");
            exit(2);
        }
        loopback.sin_port = htons((uint16_t)port);
    }
    int one = 1,
        listener = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, address, size) != 0 || listen(listener, 4096) != 0) {
        fail(where);
    }
    return listener;
}

int main(int argc, char **argv)
{
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (argc < 2 || poll < 0) {
        fprintf(stderr, "usage: bench_upstream PORT|PATH...\n");
        return 2;
    }
    memset(body, 'x', sizeof body);
    memcpy(body, "ok\n", 3);
    for (int i = 1; i < argc; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_on(argv[i])};
        is_listener[event.data.fd] = true;
        if (epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event) != 0) {
            fail("bench_upstream: epoll");
        }
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int descriptor = events[i].data.fd;
            if (is_listener[descriptor]) {
                take_client(poll, descriptor);
            } else if (clients[descriptor] != NULL) {
                readable(descriptor);
            }
        }
    }
}
