#include "app/name_lookup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct name_lookup {
    ares_channel channel;
    enum status status; /* STATUS_AGAIN until c-ares has called back */
    struct name_address found;
};

static void take(struct name_lookup *lookup, const struct ares_addrinfo_node *nodes)
{
    const struct ares_addrinfo_node *chosen = nodes;
    while (chosen != NULL && chosen->ai_family != AF_INET) {
        chosen = chosen->ai_next;
    }
    if (chosen == NULL) {
        chosen = nodes;
    }
    if (chosen != NULL && chosen->ai_addrlen <= sizeof lookup->found.address) {
        memcpy(&lookup->found.address, chosen->ai_addr, chosen->ai_addrlen);
        lookup->found.size = chosen->ai_addrlen;
        lookup->status = STATUS_OK;
    }
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *answer)
{
    (void)timeouts;
    struct name_lookup *lookup = context;
    lookup->status = STATUS_NOT_FOUND;
    if (status == ARES_SUCCESS) {
        take(lookup, answer->nodes);
    }
    ares_freeaddrinfo(answer);
}

/* c-ares would ask for IPv4's, too. */
static bool read_address(struct name_address *out, const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(&out->address, &in, sizeof in);
        out->size = sizeof in;
    } else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&out->address, &in6, sizeof in6);
        out->size = sizeof in6;
    } else {
        return false;
    }
    return true;
}

bool name_is_address(const char *host)
{
    struct name_address unused;
    return read_address(&unused, host, 0);
}

static void close_channel(struct name_lookup *lookup)
{
    if (lookup->channel != NULL) {
        ares_destroy(lookup->channel);
        lookup->channel = NULL;
    }
}

static enum status ask(struct name_lookup *lookup, const char *host, uint16_t port,
                       const char *servers)
{
    struct ares_options options = {.timeout = NAME_LOOKUP_FIRST_ANSWER_MS,
                                   .tries = NAME_LOOKUP_TRIES};
    if (ares_init_options(&lookup->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) !=
            ARES_SUCCESS ||
        (servers != NULL && ares_set_servers_ports_csv(lookup->channel, servers) != ARES_SUCCESS)) {
        return STATUS_SYSTEM;
    }
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    /* Unsorted: sorting opens a socket to every address. */
    const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NUMERICSERV | ARES_AI_NOSORT,
                                              .ai_family = AF_UNSPEC,
                                              .ai_socktype = SOCK_STREAM};
    lookup->status = STATUS_AGAIN;
    ares_getaddrinfo(lookup->channel, host, service, &hints, on_answer, lookup);
    return STATUS_OK;
}

struct name_lookup *name_lookup_new(const char *host, uint16_t port, const char *servers)
{
    struct name_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return NULL;
    }
    if (read_address(&lookup->found, host, port)) {
        lookup->status = STATUS_OK;
    } else if (ask(lookup, host, port, servers) != STATUS_OK) {
        name_lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

void name_lookup_free(struct name_lookup *lookup)
{
    if (lookup != NULL) {
        close_channel(lookup); /* calls back if it is under way */
        free(lookup);
    }
}

/* Waits for the sockets of c-ares, `wait_ms` at most, and lets it read, send again and give up. */
static void process(struct name_lookup *lookup, int wait_ms)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd polled[ARES_GETSOCK_MAXNUM];
    nfds_t count = 0;
    /* Bit i: to be read; above those: to be written. c-ares' macros for it shift into the sign. */
    const unsigned wanted = (unsigned)ares_getsock(lookup->channel, sockets, ARES_GETSOCK_MAXNUM);
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        const int events = ((wanted >> i & 1) != 0 ? POLLIN : 0) |
                           ((wanted >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0 ? POLLOUT : 0);
        if (events != 0) {
            polled[count++] = (struct pollfd){.fd = sockets[i], .events = (short)events};
        }
    }
    if (poll(polled, count, wait_ms) < 0) {
        count = 0; /* interrupted: nothing is known of them */
    }
    /* With no socket it looks at its timeouts alone. */
    ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (nfds_t i = 0; i < count && lookup->status == STATUS_AGAIN; i++) {
        const bool read = (polled[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
        const bool write = (polled[i].revents & POLLOUT) != 0;
        ares_process_fd(lookup->channel, read ? polled[i].fd : ARES_SOCKET_BAD,
                        write ? polled[i].fd : ARES_SOCKET_BAD);
    }
}

static enum status result(struct name_lookup *lookup, struct name_address *out)
{
    if (lookup->status != STATUS_AGAIN) {
        close_channel(lookup);
    }
    if (lookup->status == STATUS_OK) {
        *out = lookup->found;
    }
    return lookup->status;
}

enum status name_lookup_poll(struct name_lookup *lookup, struct name_address *out)
{
    if (lookup->status == STATUS_AGAIN) {
        process(lookup, 0);
    }
    return result(lookup, out);
}

enum status name_lookup_wait(struct name_lookup *lookup, struct name_address *out)
{
    while (lookup->status == STATUS_AGAIN) {
        struct timeval none, *next = ares_timeout(lookup->channel, NULL, &none);
        /* Rounded up: a wait that ends just before the timeout would be followed by an empty one.
         */
        process(lookup, next != NULL ? (int)(next->tv_sec * 1000 + next->tv_usec / 1000 + 1)
                                     : NAME_LOOKUP_FIRST_ANSWER_MS);
    }
    return result(lookup, out);
}
