/* What only the io_uring backend can do wrong: kernels that lack features, and a completion queue
 * that overflows. */
#include "harness.h"
#include "io/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct io *without(unsigned denied, uint32_t operations, uint32_t buffers,
                          uint32_t buffer_bytes)
{
    io_free(harness_io(IO_URING)); /* skips where there is none */
    struct io_options options = {.operations_max = operations,
                                 .buffers = buffers,
                                 .buffer_bytes = buffer_bytes,
                                 .buffers_per_socket_max = 3};
    struct io *io = NULL;
    cr_assert_eq(io_uring_new_without(&options, denied, &io), STATUS_OK);
    return io;
}

struct door {
    struct io_listener listener;
    struct probe probe;
    unsigned accepted, closed;
};

static void accepted(struct io_listener *listener, struct io_accepted accepted)
{
    struct door *door = (struct door *)listener;
    if (door->accepted++ > 0) {
        close(accepted.descriptor);
        return;
    }
    probe_open(&door->probe, listener->io, accepted.descriptor);
    io_receive(&door->probe.socket);
}

static void closed(struct io_listener *listener)
{
    ((struct door *)listener)->closed++;
}

/* Accepts twice, receives a stream longer than the buffers, answers. */
static void works(struct io *io)
{
    enum { SIZE = 300000 };
    uint16_t port;
    struct door door = {.listener = {.accepted = accepted, .closed = closed}};
    cr_assert_eq(io_listen(io, &door.listener, tcp_listener(&port)), STATUS_OK);
    int client = tcp_connect_blocking(port), second = tcp_connect_blocking(port);
    cr_assert(turn_until(io, &door.accepted, 2));
    uint8_t bytes[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = pattern(i);
    }
    size_t written = 0;
    while (door.probe.size < SIZE) {
        ssize_t done = send(client, bytes + written, SIZE - written, MSG_DONTWAIT);
        written += done > 0 ? (size_t)done : 0;
        cr_assert_eq(io_turn(io, 1), STATUS_OK);
    }
    cr_assert_eq(memcmp(door.probe.bytes, bytes, SIZE), 0);
    struct span answer = SPAN_LITERAL("answer");
    io_send(&door.probe.socket, &answer, 1);
    cr_assert(turn_until(io, &door.probe.sent, 1));
    char got[6];
    cr_assert_eq(recv(client, got, 6, MSG_WAITALL), 6);
    close(client);
    close(second);
    probe_finish(&door.probe);
    io_listener_close(&door.listener);
    cr_assert(turn_until(io, &door.closed, 1));
}

Test(io_uring, works_without_each_feature, .timeout = 60)
{
    static const struct {
        unsigned denied;
        const char *note; /* NULL: not worth one */
    } cases[] = {
        {0, NULL},
        {URING_DEFER_TASKRUN, "no DEFER_TASKRUN"},
        {URING_DEFER_TASKRUN | URING_COOP_TASKRUN, "no COOP_TASKRUN"},
        {URING_MULTISHOT_ACCEPT, "no multishot accept"},
        {URING_MULTISHOT_CAP, "multishot receive without a cap"},
        {URING_MULTISHOT_CAP | URING_MULTISHOT_RECEIVE, "no multishot receive"},
        {URING_SEND_WHOLE, NULL},
        {URING_RING_DESCRIPTOR, NULL},
        {~0u, "no multishot accept"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct io *io = without(cases[i].denied, 64, 16, 2000);
        if (cases[i].note != NULL) {
            cr_assert_not_null(strstr(io_notes(io), cases[i].note), "%s", io_notes(io));
        }
        works(io);
        io_free(io);
    }
}

/* A burst of far more than the socket's share, in one go of the kernel. */
static void burst(unsigned denied)
{
    struct io *io = without(denied, 64, 32, 512);
    int ours, theirs, ours_too, theirs_too;
    unix_pair(&ours, &theirs);
    unix_pair(&ours_too, &theirs_too);
    uint8_t bytes[60000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = pattern(i);
    }
    struct probe greedy, modest;
    probe_open(&greedy, io, ours);
    probe_open(&modest, io, ours_too);
    greedy.hold = true;
    io_receive(&greedy.socket);
    io_receive(&modest.socket);
    turn_for(io, 2);
    write_all(theirs, bytes, sizeof bytes);
    turn_for(io, 10);
    cr_assert_eq(greedy.held_count, 3);
    cr_assert_geq(io->buffers.free, 32 - 3, "what it cannot take waits elsewhere");
    if (strstr(io_notes(io), "multishot receive without a cap") == NULL) {
        cr_assert_eq(io->buffers.spilled, 0, "the kernel took more than it may");
    } else {
        cr_assert_gt(io->buffers.spilled, 0);
    }
    write_all(theirs_too, "hello", 5);
    cr_assert(turn_until_size(io, &modest.size, 5));
    while (greedy.size < sizeof bytes) {
        probe_return_all(&greedy);
        cr_assert_eq(io_turn(io, 1000), STATUS_OK);
        cr_assert_leq(greedy.held_count, 3);
    }
    cr_assert_eq(memcmp(greedy.bytes, bytes, sizeof bytes), 0);
    close(theirs);
    close(theirs_too);
    probe_finish(&greedy);
    probe_finish(&modest);
    io_free(io);
}

Test(io_uring, a_burst_stays_within_its_share, .timeout = 60)
{
    burst(0);
    burst(URING_MULTISHOT_CAP);
    burst(URING_MULTISHOT_CAP | URING_MULTISHOT_RECEIVE);
}

static uint64_t overflow(unsigned denied)
{
    enum { SOCKETS = 600 };
    struct io *io = without(denied, 8, 1024, 64);
    struct probe *probes = calloc(SOCKETS, sizeof *probes);
    int *theirs = calloc(SOCKETS, sizeof *theirs);
    for (int i = 0; i < SOCKETS; i++) {
        int ours;
        unix_pair(&ours, &theirs[i]);
        probe_open(&probes[i], io, ours);
        io_receive(&probes[i].socket);
    }
    turn_for(io, 10); /* all armed */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SOCKETS; i++) {
            write_all(theirs[i], &(uint8_t){pattern((size_t)round)}, 1);
        }
        for (int i = 0; i < SOCKETS; i++) {
            cr_assert(turn_until_size(io, &probes[i].size, (size_t)round + 1));
        }
    }
    struct io_counters counters;
    io_read_counters(io, &counters);
    for (int i = 0; i < SOCKETS; i++) {
        cr_assert_eq(probes[i].size, 3);
        cr_assert_eq(probes[i].bytes[2], pattern(2));
        io_close(&probes[i].socket); /* all at once, through a queue of eight */
        close(theirs[i]);
    }
    for (int i = 0; i < SOCKETS; i++) {
        probe_finish(&probes[i]);
    }
    free(probes);
    free(theirs);
    io_free(io);
    return counters.overflows;
}

Test(io_uring, a_completion_queue_that_overflows_loses_nothing, .timeout = 60)
{
    (void)overflow(0);
    /* Where the kernel completes all it can and not only as much as was waited for, it does
     * overflow. */
    cr_assert_gt(overflow(URING_DEFER_TASKRUN), 0);
    cr_assert_gt(overflow(URING_DEFER_TASKRUN | URING_COOP_TASKRUN), 0);
}
