#include "harness.h"
#include "io/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

struct door {
    struct io_listener listener;
    int accepted[1024];
    unsigned count, closed;
    void (*on_accepted)(struct door *door);
};

static void accepted(struct io_listener *listener, struct io_accepted accepted)
{
    struct door *door = (struct door *)listener;
    cr_assert_eq(door->closed, 0);
    cr_assert_lt(door->count, 1024);
    door->accepted[door->count++] = accepted.descriptor;
    if (door->on_accepted != NULL) {
        door->on_accepted(door);
    }
}

static void closed(struct io_listener *listener)
{
    ((struct door *)listener)->closed++;
}

static void door_open(struct door *door, struct io *io, int descriptor)
{
    *door = (struct door){.listener = {.accepted = accepted, .closed = closed}};
    cr_assert_eq(io_listen(io, &door->listener, descriptor), STATUS_OK);
}

static void door_finish(struct door *door, struct io *io)
{
    io_listener_close(&door->listener);
    io_listener_close(&door->listener); /* twice is once */
    cr_assert(turn_until(io, &door->closed, 1));
    turn_for(io, 2);
    cr_assert_eq(door->closed, 1);
    for (unsigned i = 0; i < door->count; i++) {
        close(door->accepted[i]);
    }
}

static void accepts_many(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    uint16_t port;
    struct door door;
    door_open(&door, io, tcp_listener(&port));
    int clients[300];
    for (int i = 0; i < 300; i++) {
        clients[i] = tcp_connect_blocking(port);
        if (i % 50 == 0) {
            cr_assert_eq(io_turn(io, 0), STATUS_OK);
        }
    }
    cr_assert(turn_until(io, &door.count, 300));
    cr_assert_eq(door.listener.accept_failures, 0);
    int on = 0;
    socklen_t size = sizeof on;
    getsockopt(door.accepted[0], IPPROTO_TCP, TCP_NODELAY, &on, &size);
    cr_assert_neq(on, 0, "TCP_NODELAY is inherited");
    for (int i = 0; i < 300; i++) {
        close(clients[i]);
    }
    door_finish(&door, io);
    io_free(io);
}
ON_BOTH(io_listener, accepts_many)

static void accepts_on_unix_sockets(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(listener, 8), 0);
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    struct door door;
    door_open(&door, io, listener);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&address, size), 0);
    cr_assert(turn_until(io, &door.count, 1));
    close(client);
    door_finish(&door, io);
    io_free(io);
}
ON_BOTH(io_listener, accepts_on_unix_sockets)

static void pause_stops_and_resume_goes_on(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    uint16_t port;
    struct door door;
    door_open(&door, io, tcp_listener(&port));
    int first = tcp_connect_blocking(port);
    cr_assert(turn_until(io, &door.count, 1));
    io_listener_pause(&door.listener);
    io_listener_pause(&door.listener);
    turn_for(io, 5);
    int clients[10];
    for (int i = 0; i < 10; i++) {
        clients[i] = tcp_connect_blocking(port);
    }
    turn_for(io, 20);
    cr_assert_eq(door.count, 1);
    io_listener_resume(&door.listener);
    cr_assert(turn_until(io, &door.count, 11));
    /* Within one turn it comes to nothing. */
    io_listener_pause(&door.listener);
    io_listener_resume(&door.listener);
    int last = tcp_connect_blocking(port);
    cr_assert(turn_until(io, &door.count, 12));
    for (int i = 0; i < 10; i++) {
        close(clients[i]);
    }
    close(first);
    close(last);
    door_finish(&door, io);
    io_free(io);
}
ON_BOTH(io_listener, pause_stops_and_resume_goes_on)

static void close_on_accepted(struct door *door)
{
    io_listener_close(&door->listener);
    io_listener_resume(&door->listener); /* too late to mean anything */
}

/* More were accepted than the first callback lets through: their descriptors must not leak. */
static void closing_within_accepted_drops_the_rest(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    size_t before = descriptors_open();
    uint16_t port;
    struct door door;
    door_open(&door, io, tcp_listener(&port));
    door.on_accepted = close_on_accepted;
    int clients[20];
    for (int i = 0; i < 20; i++) {
        clients[i] = tcp_connect_blocking(port);
    }
    cr_assert(turn_until(io, &door.closed, 1));
    cr_assert_eq(door.count, 1);
    for (int i = 0; i < 20; i++) {
        close(clients[i]);
    }
    door_finish(&door, io);
    turn_for(io, 5);
    cr_assert_eq(descriptors_open(), before);
    io_free(io);
}
ON_BOTH(io_listener, closing_within_accepted_drops_the_rest)

static void closing_while_nothing_happens(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    size_t before = descriptors_open();
    for (unsigned turns = 0; turns < 3; turns++) {
        uint16_t port;
        struct door door;
        door_open(&door, io, tcp_listener(&port));
        for (unsigned i = 0; i < turns; i++) {
            cr_assert_eq(io_turn(io, 1), STATUS_OK);
        }
        if (turns == 2) {
            io_listener_pause(&door.listener);
        }
        door_finish(&door, io);
    }
    cr_assert_eq(descriptors_open(), before);
    io_free(io);
}
ON_BOTH(io_listener, closing_while_nothing_happens)

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void out_of_descriptors_it_backs_off_and_recovers(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    uint16_t port;
    struct door door;
    door_open(&door, io, tcp_listener(&port));
    int clients[30];
    for (int i = 0; i < 30; i++) {
        clients[i] = tcp_connect_blocking(port);
    }
    struct rlimit limit, low;
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = (rlim_t)clients[29] + 1; /* not one more */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    turn_for(io, 5);
    uint64_t cpu = cpu_us(), start = boot_ms();
    while (boot_ms() < start + 600) {
        cr_assert_eq(io_turn(io, 1000), STATUS_OK);
    }
    uint64_t elapsed = boot_ms() - start;
    cpu = cpu_us() - cpu;
    struct io_counters counters;
    io_read_counters(io, &counters);
    cr_assert_eq(door.count, 0);
    cr_assert_gt(counters.accept_backoffs, 1);
    cr_assert_eq(counters.accept_backoffs, door.listener.accept_failures);
    cr_assert_leq(door.listener.accept_failures, 12, "it tries again too often: %lu",
                  (unsigned long)door.listener.accept_failures);
    cr_assert_lt(cpu, elapsed * 1000 / 20, "%lu us of CPU in %lu ms", (unsigned long)cpu,
                 (unsigned long)elapsed);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start = boot_ms();
    cr_assert(turn_until(io, &door.count, 30));
    cr_assert_leq(boot_ms() - start, 2 * IO_BACKOFF_MS_MAX);
    /* Back to the shortest back-off after a success; closing in the middle of one is no trouble. */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    turn_for(io, 30);
    door_finish(&door, io);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 30; i++) {
        close(clients[i]);
    }
    io_free(io);
}
ON_BOTH(io_listener, out_of_descriptors_it_backs_off_and_recovers)
