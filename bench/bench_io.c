/* Echo round trips over loopback TCP, both ends on one loop, on each backend: round trips a second,
 * and system calls and turns for each. `bench_io [CONNECTIONS [BYTES [SECONDS]]]`; 1, 16 and 64
 * connections of 512 bytes without arguments. */
#include "io/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, MESSAGE_MAX = 16384 };

struct bench;

struct end {
    struct io_socket socket;
    struct bench *bench;
    bool client;
    bool closed;
    size_t received;
};

struct bench {
    struct io *io;
    struct io_listener listener;
    struct end *clients, *servers;
    unsigned connections, accepted, connected, closed;
    bool listener_closed, stopping;
    size_t message_bytes;
    uint64_t round_trips;
};

static uint8_t message[MESSAGE_MAX];

static void send_message(struct end *end)
{
    struct span span = span_make(message, end->bench->message_bytes);
    io_send(&end->socket, &span, 1);
}

static void received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct end *end = (struct end *)socket;
    if (status != STATUS_OK) {
        return;
    }
    end->received += buffer.size;
    io_buffer_return(socket, buffer);
    if (end->received < end->bench->message_bytes) {
        return;
    }
    end->received = 0;
    if (end->client) {
        end->bench->round_trips++;
    }
    if (!end->bench->stopping) {
        send_message(end);
    }
}

static void sent(struct io_socket *socket, enum status status)
{
    (void)socket;
    (void)status;
}

static void connected(struct io_socket *socket, enum status status)
{
    struct end *end = (struct end *)socket;
    if (status != STATUS_OK) {
        errno = socket->error;
        perror("bench_io: connect");
        exit(1);
    }
    end->bench->connected++;
}

static void closed(struct io_socket *socket)
{
    ((struct end *)socket)->bench->closed++;
}

static const struct io_socket_events events = {received, sent, connected, closed};

static void accepted(struct io_listener *listener, struct io_accepted accepted)
{
    struct bench *bench = (struct bench *)((char *)listener - offsetof(struct bench, listener));
    struct end *end = &bench->servers[bench->accepted++];
    end->bench = bench;
    if (io_socket_open(bench->io, &end->socket, &events, accepted.descriptor) != STATUS_OK) {
        exit(1);
    }
    io_receive(&end->socket);
}

static void listener_closed(struct io_listener *listener)
{
    struct bench *bench = (struct bench *)((char *)listener - offsetof(struct bench, listener));
    bench->listener_closed = true;
}

static void turn(struct bench *bench)
{
    if (io_turn(bench->io, 1000) != STATUS_OK) {
        perror("bench_io: io_turn");
        exit(1);
    }
}

static void open_all(struct bench *bench)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("bench_io: listen");
        exit(1);
    }
    bench->listener.accepted = accepted;
    bench->listener.closed = listener_closed;
    if (io_listen(bench->io, &bench->listener, listener) != STATUS_OK) {
        exit(1);
    }
    for (unsigned i = 0; i < bench->connections; i++) {
        struct end *end = &bench->clients[i];
        end->bench = bench;
        end->client = true;
        if (io_connect(bench->io, &end->socket, &events, (struct sockaddr *)&address, size) !=
            STATUS_OK) {
            exit(1);
        }
        io_receive(&end->socket);
        while (bench->connected <= i || bench->accepted <= i) {
            turn(bench);
        }
    }
}

static void close_all(struct bench *bench)
{
    bench->stopping = true;
    for (unsigned i = 0; i < bench->connections; i++) {
        io_close(&bench->clients[i].socket);
        io_close(&bench->servers[i].socket);
    }
    io_listener_close(&bench->listener);
    while (bench->closed < 2 * bench->connections || !bench->listener_closed) {
        turn(bench);
    }
}

static void run_until(struct bench *bench, uint64_t end_ns)
{
    do {
        turn(bench);
    } while (io_now(bench->io)->boot_ns < end_ns);
}

static void measure(enum io_backend backend, unsigned connections, size_t bytes, double seconds)
{
    struct io_options options = {.backend = backend};
    struct bench bench = {.connections = connections, .message_bytes = bytes};
    if (io_new(&options, &bench.io) != STATUS_OK) {
        printf("%-9s not to be had: %m\n", io_backend_name(backend));
        return;
    }
    bench.clients = calloc(connections, sizeof *bench.clients);
    bench.servers = calloc(connections, sizeof *bench.servers);
    open_all(&bench);
    for (unsigned i = 0; i < connections; i++) {
        send_message(&bench.clients[i]);
    }
    run_until(&bench, clock_read().boot_ns + 200000000u); /* warm */
    struct io_counters before, after;
    io_read_counters(bench.io, &before);
    uint64_t trips = bench.round_trips, start = clock_read().boot_ns;
    run_until(&bench, start + (uint64_t)(seconds * 1e9));
    double elapsed = (double)(clock_read().boot_ns - start) / 1e9;
    io_read_counters(bench.io, &after);
    double count = (double)(bench.round_trips - trips);
    printf("%-9s %5u connections %6zu bytes: %9.0f round trips/s, %5.2f us each; for each: "
           "%.2f system calls, %.2f turns\n",
           io_backend_name(backend), connections, bytes, count / elapsed, elapsed / count * 1e6,
           (double)(after.system_calls - before.system_calls) / count,
           (double)(after.turns - before.turns) / count);
    close_all(&bench);
    if (io_notes(bench.io)[0] != 0) {
        printf("%-9s %s\n", "", io_notes(bench.io));
    }
    io_free(bench.io);
    free(bench.clients);
    free(bench.servers);
}

static unsigned long number(const char *text, unsigned long low, unsigned long high)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != 0 || value < low || value > high) {
        fprintf(stderr, "bench_io: %s: a number from %lu to %lu\n", text, low, high);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    unsigned connections[] = {1, 16, 64};
    size_t count = 3, bytes = 512;
    double seconds = 1;
    if (argc > 1) {
        connections[0] = (unsigned)number(argv[1], 1, CONNECTIONS_MAX);
        count = 1;
    }
    if (argc > 2) {
        bytes = number(argv[2], 1, MESSAGE_MAX);
    }
    if (argc > 3) {
        seconds = (double)number(argv[3], 1, 3600);
    }
    for (size_t i = 0; i < count; i++) {
        measure(IO_EPOLL, connections[i], bytes, seconds);
        measure(IO_URING, connections[i], bytes, seconds);
    }
    return 0;
}
