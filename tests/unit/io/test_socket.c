#include "harness.h"
#include "io/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static struct io_counters counters(struct io *io)
{
    struct io_counters out;
    io_read_counters(io, &out);
    return out;
}

static void send_bytes(struct probe *probe, const void *bytes, size_t size)
{
    struct span span = span_make(bytes, size);
    io_send(&probe->socket, &span, 1);
}

static void check_pattern(const struct probe *probe, size_t size)
{
    cr_assert_eq(probe->size, size);
    for (size_t i = 0; i < size; i++) {
        cr_assert_eq(probe->bytes[i], pattern(i), "byte %zu is out of order", i);
    }
}

static uint8_t *make_pattern(size_t size)
{
    uint8_t *bytes = malloc(size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = pattern(i);
    }
    return bytes;
}

/* ---- one connection: the set-up of most tests ---- */

/* Our end is a probe; the other one is a blocking descriptor that the test closes. */
typedef void connection_test(struct io *io, struct probe *probe, int theirs);

static void on_a_pair(enum io_backend backend, void (*pair)(int *ours, int *theirs),
                      connection_test *test)
{
    struct io *io = harness_io(backend);
    int ours, theirs;
    pair(&ours, &theirs);
    struct probe probe;
    probe_open(&probe, io, ours);
    test(io, &probe, theirs);
    probe_finish(&probe);
    io_free(io);
}

#define ON_PAIR(name, pair)                                                                        \
    Test(io_socket, name##_epoll, .timeout = 60)                                                   \
    {                                                                                              \
        on_a_pair(IO_EPOLL, pair, name);                                                           \
    }                                                                                              \
    Test(io_socket, name##_uring, .timeout = 60)                                                   \
    {                                                                                              \
        on_a_pair(IO_URING, pair, name);                                                           \
    }
#define ON_A_CONNECTION(name) ON_PAIR(name, tcp_pair)
#define ON_A_UNIX_PAIR(name)  ON_PAIR(name, unix_pair)

/* ---- round trips ---- */

static void echo_received(struct probe *probe)
{
    if (probe->end == STATUS_AGAIN && !probe->socket.sending) {
        send_bytes(probe, probe->bytes, probe->size);
    }
}

static void echoes(struct io *io, struct probe *probe, int theirs)
{
    probe->on_received = echo_received;
    io_receive(&probe->socket);
    char answer[6] = {0};
    for (unsigned round = 1; round <= 200; round++) {
        probe->size = 0;
        write_all(theirs, "hello", 5);
        cr_assert(turn_until(io, &probe->sent, round));
        cr_assert_eq(probe->sent_status, STATUS_OK);
        cr_assert_eq(recv(theirs, answer, 5, MSG_WAITALL), 5);
        cr_assert_str_eq(answer, "hello");
    }
    close(theirs);
    cr_assert(turn_until(io, &probe->received, 201));
    cr_assert_eq(probe->end, STATUS_CLOSED);
}
ON_A_CONNECTION(echoes)

/* What io_uring is for: hand over and wait in one system call. */
Test(io_socket, one_system_call_a_turn_uring)
{
    struct io *io = harness_io(IO_URING);
    int ours, theirs;
    tcp_pair(&ours, &theirs);
    struct probe probe;
    probe_open(&probe, io, ours);
    probe.on_received = echo_received;
    io_receive(&probe.socket);
    turn_for(io, 5);
    struct io_counters before = counters(io);
    for (unsigned round = 1; round <= 100; round++) {
        probe.size = 0;
        write_all(theirs, "hello", 5);
        cr_assert(turn_until(io, &probe.sent, round));
    }
    struct io_counters after = counters(io);
    cr_assert_leq(after.system_calls - before.system_calls, after.turns - before.turns);
    cr_assert_leq(after.turns - before.turns, 2 * 100 + 2);
    close(theirs);
    probe_finish(&probe);
    io_free(io);
}

/* ---- sending ---- */

/* Reads what is there from a blocking descriptor without blocking. */
static void drain_into(int descriptor, uint8_t *bytes, size_t *size, size_t limit)
{
    ssize_t got = recv(descriptor, bytes + *size, limit - *size, MSG_DONTWAIT);
    *size += got > 0 ? (size_t)got : 0;
}

static void long_send(struct io *io, bool unix_socket, bool expect_short)
{
    enum { SIZE = 3000000 };
    int ours, theirs;
    if (unix_socket) {
        unix_pair(&ours, &theirs);
    } else {
        tcp_pair(&ours, &theirs);
    }
    int buffer =
        65536; /* far less than is sent, far more than makes TCP wait for late acknowledgements */
    cr_assert_eq(setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
    struct probe probe;
    probe_open(&probe, io, ours);
    uint8_t *bytes = make_pattern(SIZE), *got = calloc(1, SIZE);
    /* Sixteen uneven spans, some of them empty. */
    struct span spans[IO_SEND_SPANS_MAX];
    size_t at = 0;
    for (size_t i = 0; i < IO_SEND_SPANS_MAX; i++) {
        size_t part = i % 5 == 2 ? 0 : i == IO_SEND_SPANS_MAX - 1 ? SIZE - at : 1 + i * 20000;
        spans[i] = span_make(bytes + at, part);
        at += part;
    }
    io_send(&probe.socket, spans, IO_SEND_SPANS_MAX);
    memset(spans, 0, sizeof spans); /* the array was copied */
    size_t size = 0;
    uint64_t end = boot_ms() + 20000;
    for (unsigned i = 0; size < SIZE && boot_ms() < end; i++) {
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        if (i % 3 == 0) {
            drain_into(theirs, got, &size, SIZE);
        }
        if (size < SIZE / 2) {
            cr_assert_eq(probe.sent, 0, "sent before it was");
        }
    }
    cr_assert_eq(size, SIZE);
    cr_assert(turn_until(io, &probe.sent, 1));
    cr_assert_eq(probe.sent, 1);
    cr_assert_eq(probe.sent_status, STATUS_OK);
    cr_assert_eq(memcmp(bytes, got, SIZE), 0);
    if (expect_short) {
        cr_assert_gt(counters(io).short_sends, 0);
    }
    close(theirs);
    probe_finish(&probe);
    free(bytes);
    free(got);
}

static void short_sends_are_continued(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    long_send(io, false, backend == IO_EPOLL);
    long_send(io, true, backend == IO_EPOLL);
    io_free(io);
}
ON_BOTH(io_socket, short_sends_are_continued)

/* As on a kernel that leaves the rest to us. */
Test(io_socket, short_sends_are_continued_by_us_uring)
{
    io_free(harness_io(IO_URING)); /* skips where there is none */
    struct io_options options = {
        .operations_max = 64, .buffers = 16, .buffer_bytes = 4096, .buffers_per_socket_max = 4};
    struct io *io;
    cr_assert_eq(io_uring_new_without(&options, URING_SEND_WHOLE, &io), STATUS_OK);
    long_send(io, false, true);
    io_free(io);
}

static void empty_spans_are_sent_at_once(struct io *io, struct probe *probe, int theirs)
{
    struct span spans[2] = {0};
    io_send(&probe->socket, spans, 2);
    cr_assert_eq(probe->sent, 0, "a callback within a call");
    cr_assert_eq(io_turn(io, 1000), STATUS_OK);
    cr_assert_eq(probe->sent, 1);
    cr_assert_eq(probe->sent_status, STATUS_OK);
    close(theirs);
}
ON_A_CONNECTION(empty_spans_are_sent_at_once)

static void sending_to_nobody_fails_without_a_signal(struct io *io, struct probe *probe, int theirs)
{
    close(theirs);
    send_bytes(probe, "x", 1);
    cr_assert(turn_until(io, &probe->sent, 1));
    cr_assert_eq(probe->sent_status, STATUS_SYSTEM);
    cr_assert_eq(probe->socket.error, EPIPE);
}
ON_A_UNIX_PAIR(sending_to_nobody_fails_without_a_signal)

static void again_on_sent(struct probe *probe)
{
    unsigned *left = probe->context;
    if (*left > 0) {
        (*left)--;
        send_bytes(probe, "abc", 3);
    }
}

static void a_callback_sends_again(struct io *io, struct probe *probe, int theirs)
{
    unsigned left = 9;
    probe->context = &left;
    probe->on_sent = again_on_sent;
    send_bytes(probe, "abc", 3);
    cr_assert(turn_until(io, &probe->sent, 10));
    char got[31] = {0};
    cr_assert_eq(recv(theirs, got, 30, MSG_WAITALL), 30);
    cr_assert_str_eq(got, "abcabcabcabcabcabcabcabcabcabc");
    close(theirs);
}
ON_A_CONNECTION(a_callback_sends_again)

/* ---- ends ---- */

static void a_reset_is_told_with_its_errno(struct io *io, struct probe *probe, int theirs)
{
    io_receive(&probe->socket);
    turn_for(io, 2);
    struct linger hard = {.l_onoff = 1};
    setsockopt(theirs, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(theirs);
    cr_assert(turn_until(io, &probe->received, 1));
    cr_assert_eq(probe->end, STATUS_SYSTEM);
    cr_assert_eq(probe->socket.error, ECONNRESET);
    turn_for(io, 10);
    cr_assert_eq(probe->received, 1);
}
ON_A_CONNECTION(a_reset_is_told_with_its_errno)

static void a_reset_ends_a_send(struct io *io, struct probe *probe, int theirs)
{
    uint8_t *bytes = make_pattern(20000000);
    send_bytes(probe, bytes, 20000000);
    turn_for(io, 5);
    cr_assert_eq(probe->sent, 0);
    struct linger hard = {.l_onoff = 1};
    setsockopt(theirs, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(theirs);
    cr_assert(turn_until(io, &probe->sent, 1));
    cr_assert_eq(probe->sent_status, STATUS_SYSTEM);
    cr_assert(probe->socket.error == ECONNRESET || probe->socket.error == EPIPE);
    free(bytes);
}
ON_A_CONNECTION(a_reset_ends_a_send)

static void data_and_end_that_come_together_come_in_order(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    for (int unix_socket = 0; unix_socket < 2; unix_socket++) {
        int ours, theirs;
        if (unix_socket) {
            unix_pair(&ours, &theirs);
        } else {
            tcp_pair(&ours, &theirs);
        }
        write_all(theirs, "last words", 10);
        close(theirs);
        struct probe probe;
        probe_open(&probe, io, ours);
        io_receive(&probe.socket);
        cr_assert(turn_until(io, &probe.received, 2));
        cr_assert_eq(probe.size, 10);
        cr_assert_eq(probe.end, STATUS_CLOSED);
        probe_finish(&probe);
    }
    io_free(io);
}
ON_BOTH(io_socket, data_and_end_that_come_together_come_in_order)

static void half_close_towards_the_peer(struct io *io, struct probe *probe, int theirs)
{
    io_receive(&probe->socket);
    uint8_t *bytes = make_pattern(2000000), *got = calloc(1, 2000001);
    send_bytes(probe, bytes, 2000000);
    io_shutdown(&probe->socket); /* after what is being sent */
    size_t size = 0;
    for (unsigned i = 0; size < 2000000 && i < 1000000; i++) {
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        drain_into(theirs, got, &size, 2000001);
    }
    cr_assert_eq(size, 2000000);
    cr_assert_eq(memcmp(bytes, got, size), 0);
    turn_for(io, 10);
    cr_assert_eq(probe->sent, 1);
    cr_assert_eq(recv(theirs, got, 1, 0), 0); /* the end, and not more */
    write_all(theirs, "still here", 10);
    cr_assert(turn_until_size(io, &probe->size, 10));
    cr_assert_eq(probe->end, STATUS_AGAIN);
    shutdown(theirs, SHUT_WR);
    cr_assert(turn_until(io, &probe->received, 2));
    cr_assert_eq(probe->end, STATUS_CLOSED);
    close(theirs);
    free(bytes);
    free(got);
}
ON_A_CONNECTION(half_close_towards_the_peer)

static void after_the_peers_half_close_we_still_send(struct io *io, struct probe *probe, int theirs)
{
    io_receive(&probe->socket);
    shutdown(theirs, SHUT_WR);
    cr_assert(turn_until(io, &probe->received, 1));
    cr_assert_eq(probe->end, STATUS_CLOSED);
    send_bytes(probe, "answer", 6);
    cr_assert(turn_until(io, &probe->sent, 1));
    char got[6];
    cr_assert_eq(recv(theirs, got, 6, MSG_WAITALL), 6);
    /* Asking again after the end asks for nothing. */
    io_receive_pause(&probe->socket);
    io_receive(&probe->socket);
    turn_for(io, 10);
    cr_assert_eq(probe->received, 1);
    close(theirs);
}
ON_A_CONNECTION(after_the_peers_half_close_we_still_send)

/* ---- pause and resume ---- */

static void nothing_comes_while_paused(struct io *io, struct probe *probe, int theirs)
{
    write_all(theirs, "a", 1);
    turn_for(io, 10);
    cr_assert_eq(probe->received, 0);  /* not asked for yet */
    for (unsigned i = 0; i < 3; i++) { /* every time anew, not only the first */
        io_receive(&probe->socket);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        cr_assert(turn_until_size(io, &probe->size, 1));
        io_receive_pause(&probe->socket);
        turn_for(io, 5);
        cr_assert_not(probe->socket.receiving, "still receiving in the background");
    }
    io_receive(&probe->socket);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    io_receive_pause(&probe->socket);
    write_all(theirs, "b", 1); /* arrives before the pause is handed over */
    turn_for(io, 10);
    write_all(theirs, "c", 1);
    turn_for(io, 10);
    cr_assert_eq(probe->size, 1);
    close(theirs); /* the end waits too */
    turn_for(io, 10);
    cr_assert_eq(probe->end, STATUS_AGAIN);
    io_receive(&probe->socket);
    cr_assert(turn_until_size(io, &probe->size, 3));
    for (int i = 0; i < 10 && probe->end == STATUS_AGAIN; i++) {
        cr_assert_eq(io_turn(io, 100), STATUS_OK);
    }
    cr_assert_eq(probe->end, STATUS_CLOSED);
    cr_assert_eq(memcmp(probe->bytes, "abc", 3), 0);
}
ON_A_CONNECTION(nothing_comes_while_paused)

static void pause_on_received(struct probe *probe)
{
    io_receive_pause(&probe->socket);
}

/* Much has been received by the time the first callback pauses. */
static void what_was_on_its_way_waits(enum io_backend backend)
{
    struct io *io = harness_io_with((struct io_options){.backend = backend, .buffer_bytes = 1000});
    int ours, theirs;
    unix_pair(&ours, &theirs);
    uint8_t *bytes = make_pattern(100000);
    write_all(theirs, bytes, 100000);
    shutdown(theirs, SHUT_WR);
    struct probe probe;
    probe_open(&probe, io, ours);
    probe.on_received = pause_on_received;
    unsigned rounds = 0;
    while (probe.end == STATUS_AGAIN && rounds++ < 1000) {
        io_receive(&probe.socket);
        unsigned before = probe.received;
        cr_assert(turn_until(io, &probe.received, before + 1));
        turn_for(io, 1);
        cr_assert_eq(probe.received, before + 1, "received while paused");
    }
    check_pattern(&probe, 100000);
    cr_assert_eq(probe.end, STATUS_CLOSED);
    close(theirs);
    probe_finish(&probe);
    free(bytes);
    io_free(io);
}
ON_BOTH(io_socket, what_was_on_its_way_waits)

static void pausing_and_resuming_at_random_keeps_the_order(enum io_backend backend)
{
    enum { SIZE = 2000000 };
    struct io *io = harness_io_with(
        (struct io_options){.backend = backend, .buffer_bytes = 700, .buffers = 8});
    int ours, theirs;
    tcp_pair(&ours, &theirs);
    uint8_t *bytes = make_pattern(SIZE);
    struct probe probe;
    probe_open(&probe, io, ours);
    size_t written = 0;
    srandom(11);
    while (probe.size < SIZE) {
        if (written < SIZE) {
            size_t part = (size_t)random() % 5000 + 1;
            part = part > SIZE - written ? SIZE - written : part;
            ssize_t done = send(theirs, bytes + written, part, MSG_DONTWAIT);
            written += done > 0 ? (size_t)done : 0;
        }
        bool wanted = true;
        for (long i = random() % 4; i >= 0; i--) {
            wanted = random() % 2;
            (wanted ? io_receive : io_receive_pause)(&probe.socket);
        }
        size_t before = probe.size;
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        cr_assert(wanted || probe.size == before, "received while paused");
    }
    check_pattern(&probe, SIZE);
    close(theirs);
    probe_finish(&probe);
    free(bytes);
    io_free(io);
}
ON_BOTH(io_socket, pausing_and_resuming_at_random_keeps_the_order)

/* ---- buffers ---- */

static void one_socket_holds_no_more_than_its_share(enum io_backend backend)
{
    struct io *io = harness_io_with((struct io_options){
        .backend = backend, .buffer_bytes = 512, .buffers = 16, .buffers_per_socket_max = 3});
    int ours, theirs, ours_too, theirs_too;
    unix_pair(&ours, &theirs);
    unix_pair(&ours_too, &theirs_too);
    uint8_t *bytes = make_pattern(100000);
    struct probe greedy, modest;
    probe_open(&greedy, io, ours);
    probe_open(&modest, io, ours_too);
    greedy.hold = true;
    write_all(theirs, bytes, 100000);
    io_receive(&greedy.socket);
    io_receive(&modest.socket);
    turn_for(io, 10);
    cr_assert_eq(greedy.held_count, 3);
    cr_assert_eq(greedy.socket.buffers_held, 3);
    cr_assert_leq(io->buffers.count - io->buffers.free, 3, "it sits on shared buffers");
    for (unsigned i = 1; i <= 20; i++) {
        write_all(theirs_too, "hello", 5);
        cr_assert(turn_until_size(io, &modest.size, i * 5));
    }
    while (greedy.size < 100000) {
        probe_return_all(&greedy);
        cr_assert_eq(io_turn(io, 1000), STATUS_OK);
        cr_assert_leq(greedy.held_count, 3);
    }
    check_pattern(&greedy, 100000);
    cr_assert_eq(greedy.held_high, 3);
    close(theirs);
    close(theirs_too);
    probe_finish(&greedy);
    probe_finish(&modest);
    free(bytes);
    io_free(io);
}
ON_BOTH(io_socket, one_socket_holds_no_more_than_its_share)

/* Small pieces, each in a buffer of its own: a share counted in bytes would not do. */
static void a_share_is_counted_in_buffers(enum io_backend backend)
{
    struct io *io = harness_io_with(
        (struct io_options){.backend = backend, .buffers = 16, .buffers_per_socket_max = 2});
    int ours, theirs;
    tcp_pair(&ours, &theirs);
    int on = 1;
    setsockopt(theirs, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct probe probe;
    probe_open(&probe, io, ours);
    probe.hold = true;
    io_receive(&probe.socket);
    for (unsigned i = 0; i < 50; i++) {
        uint8_t byte = pattern(i);
        write_all(theirs, &byte, 1);
        cr_assert_eq(io_turn(io, i < 2 ? 1000 : 1), STATUS_OK);
        cr_assert_leq(probe.held_count, 2);
    }
    cr_assert_eq(probe.held_count, 2);
    while (probe.size < 50) {
        probe_return_all(&probe);
        cr_assert_eq(io_turn(io, 1000), STATUS_OK);
    }
    check_pattern(&probe, 50);
    close(theirs);
    probe_finish(&probe);
    io_free(io);
}
ON_BOTH(io_socket, a_share_is_counted_in_buffers)

static void an_empty_ring_of_buffers_is_survived(enum io_backend backend)
{
    enum { SOCKETS = 8 };
    struct io *io = harness_io_with(
        (struct io_options){.backend = backend, .buffers = 4, .buffers_per_socket_max = 2});
    struct probe probes[SOCKETS];
    int theirs[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        int ours;
        unix_pair(&ours, &theirs[i]);
        probe_open(&probes[i], io, ours);
        probes[i].hold = true;
        write_all(theirs[i], "hello", 5);
        io_receive(&probes[i].socket);
    }
    turn_for(io, 10);
    unsigned served = 0;
    for (int i = 0; i < SOCKETS; i++) {
        served += probes[i].size == 5;
    }
    cr_assert_eq(served, 4);
    cr_assert_gt(counters(io).out_of_buffers, 0);
    /* Nothing to do: it waits, it does not spin. */
    struct io_counters before = counters(io);
    uint64_t end = boot_ms() + 100;
    while (boot_ms() < end) {
        cr_assert_eq(io_turn(io, 50), STATUS_OK);
    }
    cr_assert_leq(counters(io).turns - before.turns, 6);
    /* Returned one at a time: each lets one more socket be served. */
    for (unsigned more = 5; more <= SOCKETS; more++) {
        for (int i = 0; i < SOCKETS; i++) {
            if (probes[i].held_count > 0) {
                probe_return_all(&probes[i]);
                break;
            }
        }
        turn_for(io, 10);
        served = 0;
        for (int i = 0; i < SOCKETS; i++) {
            served += probes[i].size == 5;
        }
        cr_assert_eq(served, more);
    }
    /* And closing a starved one is no trouble. */
    for (int i = 0; i < SOCKETS; i++) {
        write_all(theirs[i], "x", 1);
    }
    turn_for(io, 10);
    for (int i = 0; i < SOCKETS; i++) {
        close(theirs[i]);
        probe_finish(&probes[i]);
    }
    cr_assert_eq(io->starved_count, 0);
    cr_assert_eq(io->buffers.free, 4);
    io_free(io);
}
ON_BOTH(io_socket, an_empty_ring_of_buffers_is_survived)

/* Starved sockets that have nothing to receive must not keep the one that has from trying. */
static void a_returned_buffer_reaches_the_one_with_data(enum io_backend backend)
{
    enum { IDLE = 10 };
    struct io *io = harness_io_with(
        (struct io_options){.backend = backend, .buffers = 4, .buffers_per_socket_max = 2});
    struct probe holders[2], waiting[IDLE];
    int theirs[2], others[IDLE], ours;
    for (int i = 0; i < 2; i++) {
        unix_pair(&ours, &theirs[i]);
        probe_open(&holders[i], io, ours);
        holders[i].hold = true;
        io_receive(&holders[i].socket);
        for (unsigned k = 1; k <= 2; k++) {
            write_all(theirs[i], "x", 1);
            cr_assert(turn_until(io, &holders[i].received, k));
        }
    }
    cr_assert_eq(io->buffers.free, 0);
    for (int i = 0; i < IDLE; i++) {
        unix_pair(&ours, &others[i]);
        probe_open(&waiting[i], io, ours);
        io_receive(&waiting[i].socket);
    }
    turn_for(io, 10);
    write_all(others[IDLE - 1], "data", 4);
    turn_for(io, 10);
    cr_assert_eq(waiting[IDLE - 1].size, 0);
    io_buffer_return(&holders[0].socket, holders[0].held[--holders[0].held_count]);
    io_receive_pause(&holders[0].socket);
    uint64_t start = boot_ms();
    for (int i = 0; i < 100 && waiting[IDLE - 1].size == 0; i++) {
        cr_assert_eq(io_turn(io, 3000), STATUS_OK);
    }
    cr_assert_eq(waiting[IDLE - 1].size, 4);
    cr_assert_lt(boot_ms() - start, 2500, "it waited although a buffer was free");
    for (int i = 0; i < 2; i++) {
        close(theirs[i]);
        probe_finish(&holders[i]);
    }
    for (int i = 0; i < IDLE; i++) {
        close(others[i]);
        probe_finish(&waiting[i]);
    }
    io_free(io);
}
ON_BOTH(io_socket, a_returned_buffer_reaches_the_one_with_data)

static void a_paused_socket_keeps_no_shared_buffer(enum io_backend backend)
{
    enum { SOCKETS = 40 };
    struct io *io = harness_io_with(
        (struct io_options){.backend = backend, .buffers = 8, .buffer_bytes = 1024});
    struct probe probes[SOCKETS];
    int theirs[SOCKETS];
    uint8_t *bytes = make_pattern(6000);
    for (int i = 0; i < SOCKETS; i++) {
        int ours;
        unix_pair(&ours, &theirs[i]);
        probe_open(&probes[i], io, ours);
        probes[i].on_received = pause_on_received;
        write_all(theirs[i], bytes, 6000);
        io_receive(&probes[i].socket);
    }
    turn_for(io, 20);
    for (int i = 0; i < SOCKETS; i++) {
        cr_assert_eq(probes[i].received, 1, "others that paused kept it from receiving");
    }
    cr_assert_eq(io->buffers.free, 8);
    for (int i = 0; i < SOCKETS; i++) {
        probes[i].on_received = NULL;
        io_receive(&probes[i].socket);
        cr_assert(turn_until_size(io, &probes[i].size, 6000));
        check_pattern(&probes[i], 6000);
        close(theirs[i]);
        probe_finish(&probes[i]);
    }
    free(bytes);
    io_free(io);
}
ON_BOTH(io_socket, a_paused_socket_keeps_no_shared_buffer)

/* ---- connecting ---- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
}

static void connects_and_keeps_what_was_asked_before(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    uint16_t port;
    int listener = tcp_listener(&port);
    struct sockaddr_in address = loopback(port);
    struct probe probe;
    probe_init(&probe, io);
    cr_assert_eq(
        io_connect(io, &probe.socket, &probe_events, (struct sockaddr *)&address, sizeof address),
        STATUS_OK);
    memset(&address, 0xff, sizeof address); /* it was copied */
    io_receive(&probe.socket);
    send_bytes(&probe, "early", 5);
    cr_assert_eq(probe.connected, 0, "a callback within a call");
    cr_assert(turn_until(io, &probe.sent, 1));
    cr_assert_eq(probe.connected, 1);
    cr_assert_eq(probe.connected_status, STATUS_OK);
    int on = 0;
    socklen_t size = sizeof on;
    getsockopt(probe.socket.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, &size);
    cr_assert_neq(on, 0);
    fcntl(listener, F_SETFL, 0);
    int theirs = accept(listener, NULL, NULL);
    char got[5];
    cr_assert_eq(recv(theirs, got, 5, MSG_WAITALL), 5);
    write_all(theirs, "hi", 2);
    cr_assert(turn_until_size(io, &probe.size, 2));
    close(theirs);
    close(listener);
    probe_finish(&probe);
    io_free(io);
}
ON_BOTH(io_socket, connects_and_keeps_what_was_asked_before)

static void a_refused_connection_is_told(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    size_t before = descriptors_open();
    uint16_t port;
    close(tcp_listener(&port));
    struct sockaddr_in address = loopback(port);
    struct probe probe;
    probe_init(&probe, io);
    cr_assert_eq(
        io_connect(io, &probe.socket, &probe_events, (struct sockaddr *)&address, sizeof address),
        STATUS_OK);
    io_receive(&probe.socket);
    cr_assert(turn_until(io, &probe.connected, 1));
    cr_assert_eq(probe.connected_status, STATUS_SYSTEM);
    cr_assert_eq(probe.socket.error, ECONNREFUSED);
    turn_for(io, 10);
    cr_assert_eq(probe.received, 0);
    probe_finish(&probe);
    cr_assert_eq(descriptors_open(), before);
    io_free(io);
}
ON_BOTH(io_socket, a_refused_connection_is_told)

static void unix_sockets_connect_and_fail(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(listener, 8), 0);
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    struct probe probe;
    probe_init(&probe, io);
    cr_assert_eq(io_connect(io, &probe.socket, &probe_events, (struct sockaddr *)&address, size),
                 STATUS_OK);
    io_receive(&probe.socket);
    cr_assert(turn_until(io, &probe.connected, 1));
    cr_assert_eq(probe.connected_status, STATUS_OK);
    int theirs = accept(listener, NULL, NULL);
    write_all(theirs, "hi", 2);
    cr_assert(turn_until_size(io, &probe.size, 2));
    close(theirs);
    probe_finish(&probe);
    close(listener);

    snprintf(address.sun_path, sizeof address.sun_path, "/nonexistent/socket");
    probe_init(&probe, io);
    cr_assert_eq(
        io_connect(io, &probe.socket, &probe_events, (struct sockaddr *)&address, sizeof address),
        STATUS_OK);
    cr_assert(turn_until(io, &probe.connected, 1));
    cr_assert_eq(probe.connected_status, STATUS_SYSTEM);
    cr_assert_eq(probe.socket.error, ENOENT);
    probe_finish(&probe);
    io_free(io);
}
ON_BOTH(io_socket, unix_sockets_connect_and_fail)

/* Nobody accepts and the queue is full: it waits or says EAGAIN, as the kernel has it, and can be
 * closed. */
static void a_unix_listener_whose_queue_is_full(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(listener, 0), 0);
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    struct probe probes[4];
    size_t before = descriptors_open();
    for (int i = 0; i < 4; i++) {
        probe_init(&probes[i], io);
        cr_assert_eq(
            io_connect(io, &probes[i].socket, &probe_events, (struct sockaddr *)&address, size),
            STATUS_OK);
    }
    cr_assert(turn_until(io, &probes[0].connected, 1));
    cr_assert_eq(probes[0].connected_status, STATUS_OK);
    turn_for(io, 20);
    if (probes[3].connected > 0) {
        cr_assert_eq(probes[3].connected_status, STATUS_SYSTEM);
        cr_assert_eq(probes[3].socket.error, EAGAIN);
    }
    for (int i = 0; i < 4; i++) {
        probe_finish(&probes[i]);
    }
    cr_assert_eq(descriptors_open(), before);
    close(listener);
    io_free(io);
}
ON_BOTH(io_socket, a_unix_listener_whose_queue_is_full)

static void an_address_that_is_none_leaves_nothing_behind(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    struct sockaddr_storage address = {.ss_family = 250};
    struct probe probe;
    probe_init(&probe, io);
    const struct sockaddr *any = (const struct sockaddr *)&address;
    cr_assert_eq(io_connect(io, &probe.socket, &probe_events, any, sizeof address + 1),
                 STATUS_MALFORMED);
    cr_assert_eq(io_connect(io, &probe.socket, &probe_events, any, 1), STATUS_MALFORMED);
    cr_assert_eq(io_connect(io, &probe.socket, &probe_events, any, sizeof address), STATUS_SYSTEM);
    cr_assert_eq(probe.socket.error, EAFNOSUPPORT);
    io_free(io); /* asserts that nothing is left */
}
ON_BOTH(io_socket, an_address_that_is_none_leaves_nothing_behind)

static void closing_while_connecting(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    /* A listener whose queue is full answers no SYN: the connection stays half open. */
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 0), 0);
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    struct probe probes[6];
    size_t before = descriptors_open();
    for (int i = 0; i < 6; i++) {
        probe_init(&probes[i], io);
        cr_assert_eq(
            io_connect(io, &probes[i].socket, &probe_events, (struct sockaddr *)&address, size),
            STATUS_OK);
    }
    turn_for(io, 10);
    cr_assert_eq(probes[5].connected, 0);
    for (int i = 0; i < 6; i++) {
        unsigned connected = probes[i].connected;
        send_bytes(&probes[i], "x", 1); /* one more thing that must not outlive it */
        probe_finish(&probes[i]);
        cr_assert_eq(probes[i].connected, connected);
    }
    cr_assert_eq(descriptors_open(), before);
    close(listener);
    io_free(io);
}
ON_BOTH(io_socket, closing_while_connecting)

/* ---- closing ---- */

struct heap_probe {
    struct probe probe;
    unsigned *freed;
};

static void free_on_closed(struct io_socket *socket)
{
    struct heap_probe *heap = (struct heap_probe *)socket;
    (*heap->freed)++;
    free(heap->probe.bytes);
    memset(heap, 0xa5, sizeof *heap);
    free(heap);
}

static void count_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    ((struct probe *)socket)->received++;
    if (status == STATUS_OK) {
        io_buffer_return(socket, buffer);
    }
}

static void count_sent(struct io_socket *socket, enum status status)
{
    (void)status;
    ((struct probe *)socket)->sent++;
}

static const struct io_socket_events heap_events = {
    .received = count_received,
    .sent = count_sent,
    .closed = free_on_closed,
};

/* Under the address sanitizer: any touch after `closed` is found. */
static void memory_is_free_after_the_last_completion(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    size_t before = descriptors_open();
    uint8_t *bytes = make_pattern(10000000);
    unsigned freed = 0;
    for (unsigned round = 0; round < 60; round++) {
        int ours, theirs;
        tcp_pair(&ours, &theirs);
        struct heap_probe *heap = calloc(1, sizeof *heap);
        heap->freed = &freed;
        struct io_socket *socket = &heap->probe.socket;
        cr_assert_eq(io_socket_open(io, socket, &heap_events, ours), STATUS_OK);
        io_receive(socket);
        struct span span = span_make(bytes, 10000000);
        if (round % 2) {
            io_send(socket, &span, 1); /* does not fit: stays in flight */
        }
        for (unsigned turns = 0; turns < round % 4; turns++) {
            cr_assert_eq(io_turn(io, 1), STATUS_OK);
        }
        if (round % 3 == 0) {
            write_all(theirs, "data", 4); /* completes while it is being closed */
        }
        io_close(socket);
        io_close(socket); /* twice is once */
        if (round % 5 == 0) {
            close(theirs);
        }
        cr_assert(turn_until(io, &freed, round + 1));
        cr_assert_eq(freed, round + 1);
        if (round % 5 != 0) {
            close(theirs);
        }
    }
    turn_for(io, 5);
    cr_assert_eq(descriptors_open(), before);
    free(bytes);
    io_free(io);
}
ON_BOTH(io_socket, memory_is_free_after_the_last_completion)

static void a_closed_socket_takes_no_more_orders(struct io *io, struct probe *probe, int theirs)
{
    io_close(&probe->socket);
    io_receive(&probe->socket);
    io_receive_pause(&probe->socket);
    io_shutdown(&probe->socket);
    send_bytes(probe, "x", 1);
    cr_assert_eq(probe->closed, 0, "a callback within a call");
    cr_assert(turn_until(io, &probe->closed, 1));
    char byte;
    cr_assert_eq(recv(theirs, &byte, 1, 0), 0);
    io_close(&probe->socket); /* even now */
    turn_for(io, 2);
    close(theirs);
}
ON_A_CONNECTION(a_closed_socket_takes_no_more_orders)

static void close_other(struct probe *probe)
{
    struct probe *other = probe->context;
    io_close(&other->socket);
    probe_return_all(probe);
}

/* Both completions are on the ready list when the first callback closes the other socket. */
static void a_callback_closes_a_socket_that_is_ready_too(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    for (unsigned round = 0; round < 20; round++) {
        int ours, theirs, ours_too, theirs_too;
        tcp_pair(&ours, &theirs);
        tcp_pair(&ours_too, &theirs_too);
        struct probe a, b;
        probe_open(&a, io, ours);
        probe_open(&b, io, ours_too);
        a.context = &b;
        b.context = &a;
        a.on_received = b.on_received = close_other;
        write_all(theirs, "a", 1);
        write_all(theirs_too, "b", 1);
        io_receive(&a.socket);
        io_receive(&b.socket);
        for (int i = 0; i < 50 && a.closed + b.closed == 0; i++) {
            cr_assert_eq(io_turn(io, 100), STATUS_OK);
        }
        cr_assert_eq(a.received + b.received, 1);
        cr_assert_eq(a.closed + b.closed, 1);
        close(theirs);
        close(theirs_too);
        probe_finish(&a);
        probe_finish(&b);
    }
    io_free(io);
}
ON_BOTH(io_socket, a_callback_closes_a_socket_that_is_ready_too)

static void close_self(struct probe *probe)
{
    io_close(&probe->socket);
}

static void a_callback_closes_its_own_socket(enum io_backend backend)
{
    struct io *io = harness_io_with((struct io_options){.backend = backend, .buffer_bytes = 100});
    uint8_t *bytes = make_pattern(5000);
    int ours, theirs;
    for (int what = 0; what < 3; what++) {
        unix_pair(&ours, &theirs);
        struct probe probe;
        probe_open(&probe, io, ours);
        probe.hold = what == 1; /* buffers returned from within closed */
        if (what == 2) {
            probe.on_sent = close_self;
            send_bytes(&probe, "x", 1);
        } else {
            probe.on_received = close_self;
            write_all(theirs, bytes, 5000); /* more is on the ready list */
            io_receive(&probe.socket);
        }
        cr_assert(turn_until(io, &probe.closed, 1));
        cr_assert_eq(probe.received + probe.sent, 1);
        close(theirs);
        probe_finish(&probe);
        cr_assert_eq(io->buffers.out, 0);
    }
    free(bytes);
    io_free(io);
}
ON_BOTH(io_socket, a_callback_closes_its_own_socket)

/* ---- generations ---- */

static void a_completion_of_an_earlier_generation_is_ignored(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    int ours, theirs;
    tcp_pair(&ours, &theirs);
    struct probe first, second;
    probe_open(&first, io, ours);
    struct io_endpoint *slot = first.socket.backend_data;
    uint64_t stale_receive = io_tag(slot, OP_RECEIVE);
    uint64_t stale_close = io_tag(slot, OP_CLOSE);
    uint64_t stale_accept = io_tag(slot, OP_ACCEPT);
    probe_finish(&first);
    close(theirs);
    tcp_pair(&ours, &theirs);
    probe_open(&second, io, ours);
    cr_assert_eq(second.socket.backend_data, slot, "the slot is used again");
    cr_assert_neq(second.socket.generation, first.socket.generation);
    io_dispatch(io, (struct io_completion){stale_receive, 0, 0});
    io_dispatch(io, (struct io_completion){stale_receive, -ECONNRESET, 0});
    io_dispatch(io, (struct io_completion){stale_close, 0, 0});
    io_dispatch(io, (struct io_completion){stale_receive | 0xffffffff, 0, 0}); /* no such slot */
    cr_assert_eq(second.received + second.closed, 0);
    /* What it brought is given back. */
    size_t open = descriptors_open();
    io_dispatch(io, (struct io_completion){stale_accept, dup(theirs), 0});
    cr_assert_eq(descriptors_open(), open);
    if (backend == IO_EPOLL) {
        uint32_t id = io_buffers_take(&io->buffers);
        io_buffers_received(&io->buffers, id, 5);
        io_dispatch(io, (struct io_completion){stale_receive, 5,
                                               COMPLETION_BUFFER | id << COMPLETION_BUFFER_SHIFT});
    }
    cr_assert_eq(io->buffers.out, 0);
    io_receive(&second.socket);
    write_all(theirs, "ok", 2);
    cr_assert(turn_until_size(io, &second.size, 2));
    close(theirs);
    probe_finish(&second);
    io_free(io);
}
ON_BOTH(io_socket, a_completion_of_an_earlier_generation_is_ignored)

static void thousands_of_sockets_open_and_close(enum io_backend backend)
{
    enum { COUNT = 1500 };
    struct io *io = harness_io(backend);
    struct probe *probes = calloc(COUNT, sizeof *probes);
    int *theirs = calloc(COUNT, sizeof *theirs);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            int ours;
            unix_pair(&ours, &theirs[i]);
            probe_open(&probes[i], io, ours);
            io_receive(&probes[i].socket);
        }
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        for (int i = 0; i < COUNT; i++) {
            write_all(theirs[i], "hello", 5);
        }
        for (int i = 0; i < COUNT; i++) {
            cr_assert(turn_until_size(io, &probes[i].size, 5));
        }
        for (int i = 0; i < COUNT; i++) {
            io_close(&probes[i].socket);
            close(theirs[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            probe_finish(&probes[i]);
        }
    }
    cr_assert_leq(io->endpoints.chunk_count, COUNT / ENDPOINTS_PER_CHUNK + 1);
    free(probes);
    free(theirs);
    io_free(io);
}
ON_BOTH(io_socket, thousands_of_sockets_open_and_close)
