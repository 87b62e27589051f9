/* What the tests of io share: a socket that writes down what it was told, loops that turn until
 * something holds, and plain blocking descriptors for the other side. */
#ifndef POPGATE_TESTS_IO_HARNESS_H
#define POPGATE_TESTS_IO_HARNESS_H

#include "io/io.h"

#include <criterion/criterion.h>

#define HELD_MAX 64

/* An io_socket and everything that happened to it. */
struct probe {
    struct io_socket socket;
    struct io *io;
    uint8_t *bytes; /* received, in order */
    size_t size, capacity;
    unsigned received, sent, connected, closed; /* callbacks */
    unsigned after_closed;                      /* callbacks that must not have come */
    enum status end;                            /* of receiving; STATUS_AGAIN: not yet */
    enum status sent_status, connected_status;
    bool hold; /* keep the buffers */
    struct io_buffer held[HELD_MAX];
    unsigned held_count, held_high;
    void (*on_received)(struct probe *probe);
    void (*on_sent)(struct probe *probe);
    void (*on_connected)(struct probe *probe);
    void *context;
};

/* Skips the test where the kernel does not let us have it. */
struct io *harness_io(enum io_backend backend);
struct io *harness_io_with(struct io_options options);

void probe_init(struct probe *probe, struct io *io);
void probe_open(struct probe *probe, struct io *io, int descriptor);
void probe_return_all(struct probe *probe);
/* Closes, turns until it is closed, frees. */
void probe_finish(struct probe *probe);
extern const struct io_socket_events probe_events;

/* Turns until *value >= wanted, at most 5 s; false then. */
bool turn_until(struct io *io, const unsigned *value, unsigned wanted);
bool turn_until_size(struct io *io, const size_t *value, size_t wanted);
/* Turns for so long. */
void turn_for(struct io *io, unsigned ms);
uint64_t boot_ms(void);

/* A connected pair: ours (non-blocking) and the other side's (blocking). TCP over loopback, or a
 * Unix pair. */
void tcp_pair(int *ours, int *theirs);
void unix_pair(int *ours, int *theirs);
/* A listening, non-blocking TCP socket on loopback and its port. */
int tcp_listener(uint16_t *port);
int tcp_connect_blocking(uint16_t port);
void write_all(int descriptor, const void *bytes, size_t size);
/* Byte i of a stream that tells when it is out of order. */
uint8_t pattern(size_t i);
size_t descriptors_open(void);

/* The same test on each backend that drives kernel sockets. */
#define ON_BOTH(suite, name)                                                                       \
    Test(suite, name##_epoll, .timeout = 60)                                                       \
    {                                                                                              \
        name(IO_EPOLL);                                                                            \
    }                                                                                              \
    Test(suite, name##_uring, .timeout = 60)                                                       \
    {                                                                                              \
        name(IO_URING);                                                                            \
    }

#endif
