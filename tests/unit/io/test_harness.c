#include "harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct probe *probe_of(struct io_socket *socket)
{
    return (struct probe *)socket;
}

static void received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct probe *probe = probe_of(socket);
    probe->received++;
    probe->after_closed += probe->closed > 0 || socket->closing;
    if (status != STATUS_OK) {
        cr_assert_eq(probe->end, STATUS_AGAIN, "told twice of the end");
        probe->end = status;
    } else {
        cr_assert_eq(probe->end, STATUS_AGAIN, "data after the end");
        cr_assert_gt(buffer.size, 0);
        if (probe->size + buffer.size > probe->capacity) {
            probe->capacity = (probe->size + buffer.size) * 2;
            probe->bytes = realloc(probe->bytes, probe->capacity);
        }
        memcpy(probe->bytes + probe->size, buffer.data, buffer.size);
        probe->size += buffer.size;
        if (probe->hold) {
            cr_assert_lt(probe->held_count, HELD_MAX);
            probe->held[probe->held_count++] = buffer;
            if (probe->held_count > probe->held_high) {
                probe->held_high = probe->held_count;
            }
        } else {
            io_buffer_return(socket, buffer);
        }
    }
    if (probe->on_received != NULL) {
        probe->on_received(probe);
    }
}

static void sent(struct io_socket *socket, enum status status)
{
    struct probe *probe = probe_of(socket);
    probe->sent++;
    probe->sent_status = status;
    probe->after_closed += probe->closed > 0 || socket->closing;
    if (probe->on_sent != NULL) {
        probe->on_sent(probe);
    }
}

static void connected(struct io_socket *socket, enum status status)
{
    struct probe *probe = probe_of(socket);
    probe->connected++;
    probe->connected_status = status;
    probe->after_closed += probe->closed > 0 || socket->closing;
    if (probe->on_connected != NULL) {
        probe->on_connected(probe);
    }
}

static void closed(struct io_socket *socket)
{
    struct probe *probe = probe_of(socket);
    probe->closed++;
    probe_return_all(probe);
}

const struct io_socket_events probe_events = {received, sent, connected, closed};

struct io *harness_io(enum io_backend backend)
{
    return harness_io_with((struct io_options){.backend = backend});
}

struct io *harness_io_with(struct io_options options)
{
    struct io *io = NULL;
    enum status status = io_new(&options, &io);
    if (options.backend == IO_URING && status == STATUS_DENIED) {
        cr_skip_test("io_uring is not to be had here: %m");
    }
    cr_assert_eq(status, STATUS_OK, "%m");
    cr_assert_eq(io_backend_of(io), options.backend);
    return io;
}

void probe_init(struct probe *probe, struct io *io)
{
    *probe = (struct probe){
        .io = io,
        .end = STATUS_AGAIN,
        .sent_status = STATUS_AGAIN,
        .connected_status = STATUS_AGAIN,
    };
}

void probe_open(struct probe *probe, struct io *io, int descriptor)
{
    probe_init(probe, io);
    cr_assert_eq(io_socket_open(io, &probe->socket, &probe_events, descriptor), STATUS_OK);
}

void probe_return_all(struct probe *probe)
{
    while (probe->held_count > 0) {
        io_buffer_return(&probe->socket, probe->held[--probe->held_count]);
    }
}

void probe_finish(struct probe *probe)
{
    if (probe->closed == 0) {
        io_close(&probe->socket);
        cr_assert(turn_until(probe->io, &probe->closed, 1));
    }
    cr_assert_eq(probe->closed, 1);
    cr_assert_eq(probe->after_closed, 0);
    free(probe->bytes);
    probe->bytes = NULL;
}

uint64_t boot_ms(void)
{
    return clock_read().boot_ns / 1000000;
}

bool turn_until(struct io *io, const unsigned *value, unsigned wanted)
{
    uint64_t end = boot_ms() + 5000;
    while (*value < wanted && boot_ms() < end) {
        cr_assert_eq(io_turn(io, 100), STATUS_OK);
    }
    return *value >= wanted;
}

bool turn_until_size(struct io *io, const size_t *value, size_t wanted)
{
    uint64_t end = boot_ms() + 20000;
    while (*value < wanted && boot_ms() < end) {
        cr_assert_eq(io_turn(io, 100), STATUS_OK);
    }
    return *value >= wanted;
}

void turn_for(struct io *io, unsigned ms)
{
    uint64_t end = boot_ms() + ms;
    do {
        cr_assert_eq(io_turn(io, 5), STATUS_OK);
    } while (boot_ms() < end);
}

int tcp_listener(uint16_t *port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 512), 0);
    socklen_t size = sizeof address;
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

int tcp_connect_blocking(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

void tcp_pair(int *ours, int *theirs)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    *theirs = tcp_connect_blocking(port);
    *ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(*ours, 0);
    close(listener);
}

void unix_pair(int *ours, int *theirs)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *ours = pair[0];
    *theirs = pair[1];
}

void write_all(int descriptor, const void *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = send(descriptor, bytes, size, MSG_NOSIGNAL);
        cr_assert_gt(done, 0, "%m");
        bytes = (const uint8_t *)bytes + done;
        size -= (size_t)done;
    }
}

uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

size_t descriptors_open(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}
