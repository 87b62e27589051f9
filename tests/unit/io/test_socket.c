#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void echo_received(struct probe *probe)
{
    if (probe->end == STATUS_AGAIN && !probe->socket.sending) {
        struct span all = span_make(probe->bytes, probe->size);
        io_send(&probe->socket, &all, 1);
    }
}

static void echoes(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    int ours, theirs;
    tcp_pair(&ours, &theirs);
    struct probe probe;
    probe_open(&probe, io, ours);
    probe.on_received = echo_received;
    io_receive(&probe.socket);
    char answer[6] = {0};
    for (unsigned round = 1; round <= 200; round++) {
        probe.size = 0;
        write_all(theirs, "hello", 5);
        cr_assert(turn_until(io, &probe.sent, round));
        cr_assert_eq(probe.sent_status, STATUS_OK);
        cr_assert_eq(recv(theirs, answer, 5, MSG_WAITALL), 5);
        cr_assert_str_eq(answer, "hello");
    }
    close(theirs);
    cr_assert(turn_until(io, &probe.received, 201));
    cr_assert_eq(probe.end, STATUS_CLOSED);
    probe_finish(&probe);
    io_free(io);
}
ON_BOTH(io_socket, echoes)
