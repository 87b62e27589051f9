/* The admin thread answers while its state changes and counters move under it, and is freed while
 * clients are connected: for TSan. */
#include "admin/admin.h"
#include "base/metrics.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS  3
#define REQUESTS 100

struct shared {
    counter things;
    _Atomic int stop;
    struct admin *admin;
    uint16_t port;
};

static void collect(void *context, struct metrics_text *page)
{
    struct shared *shared = context;
    metrics_family(page, METRICS_COUNTER, "things", "Things.");
    metrics_sample(page, NULL, 0, counter_read(&shared->things));
}

static void *work(void *context)
{
    struct shared *shared = context;
    for (int i = 0; atomic_load(&shared->stop) == 0; i++) {
        counter_add(&shared->things, 1);
        if (i % 1000 == 0) {
            struct admin_counters counters;
            admin_set_state(shared->admin, i % 2000 == 0 ? ADMIN_READY : ADMIN_DRAINING);
            admin_read_counters(shared->admin, &counters);
        }
    }
    return NULL;
}

static int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static bool ask(uint16_t port, const char *path, const char *want)
{
    char text[4096];
    int descriptor = dial(port);
    if (descriptor < 0) {
        return false;
    }
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    bool good = send(descriptor, text, (size_t)size, MSG_NOSIGNAL) == size;
    size_t got = 0;
    for (ssize_t n = 1; good && n > 0;) {
        n = recv(descriptor, text + got, sizeof text - 1 - got, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    text[got] = '\0';
    close(descriptor);
    return good && strstr(text, want) != NULL;
}

static void *call(void *context)
{
    struct shared *shared = context;
    uintptr_t failed = 0;
    for (int i = 0; i < REQUESTS; i++) {
        failed += !ask(shared->port, "/metrics", "\nthings_total ");
        failed += !ask(shared->port, "/livez", "200 OK");
        failed += !ask(shared->port, "/readyz", "HTTP/1.1 ");
    }
    return (void *)failed;
}

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, size) != 0 ||
        listen(descriptor, 64) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&address, &size) != 0) {
        abort();
    }
    *port = ntohs(address.sin_port);
    return descriptor;
}

static bool round_trip(void)
{
    static struct shared shared;
    atomic_store(&shared.stop, 0);
    struct admin_options options = {.listeners = {listen_somewhere(&shared.port)},
                                    .listeners_count = 1,
                                    .collect = collect,
                                    .context = &shared};
    char error[200];
    if (admin_new(&options, &shared.admin, error, sizeof error) != STATUS_OK) {
        return false;
    }
    pthread_t worker, clients[CLIENTS];
    pthread_create(&worker, NULL, work, &shared);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_create(&clients[i], NULL, call, &shared);
    }
    uintptr_t failed = 0;
    for (int i = 0; i < CLIENTS; i++) {
        void *result = NULL;
        pthread_join(clients[i], &result);
        failed += (uintptr_t)result;
    }
    int open = dial(shared.port);
    atomic_store(&shared.stop, 1);
    pthread_join(worker, NULL);
    struct admin_counters counters;
    admin_read_counters(shared.admin, &counters);
    admin_free(shared.admin);
    close(open);
    printf("%lu failed of %d, %lu answered\n", (unsigned long)failed, CLIENTS * REQUESTS * 3,
           (unsigned long)counters.requests);
    return failed == 0 && counters.requests == (uint64_t)CLIENTS * REQUESTS * 3;
}

int main(void)
{
    int passed = 0, failed = 0;
    for (int i = 0; i < 3; i++) {
        *(round_trip() ? &passed : &failed) += 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
