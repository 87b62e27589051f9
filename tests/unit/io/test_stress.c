/* Seeded stress: many sockets that send, pause, hold, half-close, reset and close at random, on
 * both sides, each checking that the bytes of every stream come in order and that nothing comes
 * after the end. */
#include "harness.h"
#include "io/internal.h"
#include "io/sim.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 48, SEND_MAX = 40000 };

struct peer {
    struct io_socket socket;
    struct crowd *crowd;
    size_t received, sent;
    bool open, ended, shut, receiving;
    struct io_buffer held[IO_BUFFERS_PER_SOCKET_MAX];
    unsigned held_count;
    uint8_t out[SEND_MAX];
};

struct crowd {
    struct io *io;
    struct peer peers[PEERS]; /* 2 i and 2 i + 1 are connected to each other */
    unsigned state;           /* of the generator */
    size_t bytes, closes;
};

static unsigned roll(struct crowd *crowd, unsigned sides)
{
    crowd->state = crowd->state * 1664525u + 1013904223u;
    return (crowd->state >> 8) % sides;
}

static void give_back(struct peer *peer)
{
    while (peer->held_count > 0) {
        io_buffer_return(&peer->socket, peer->held[--peer->held_count]);
    }
}

static void random_act(struct crowd *crowd);

static void received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct peer *peer = (struct peer *)socket;
    cr_assert(peer->open && !socket->closing && !peer->ended && peer->receiving);
    if (status != STATUS_OK) {
        peer->ended = true;
        return;
    }
    for (uint32_t i = 0; i < buffer.size; i++) {
        cr_assert_eq(buffer.data[i], pattern(peer->received + i));
    }
    peer->received += buffer.size;
    peer->crowd->bytes += buffer.size;
    cr_assert_lt(peer->held_count, peer->crowd->io->options.buffers_per_socket_max);
    peer->held[peer->held_count++] = buffer;
    if (roll(peer->crowd, 4) != 0) {
        give_back(peer);
    }
    if (roll(peer->crowd, 8) == 0) {
        random_act(peer->crowd); /* perhaps on another one, which is ready too */
    }
}

static void sent(struct io_socket *socket, enum status status)
{
    struct peer *peer = (struct peer *)socket;
    cr_assert(peer->open && !socket->closing);
    if (status != STATUS_OK) {
        peer->shut = true;
    }
    if (roll(peer->crowd, 8) == 0) {
        random_act(peer->crowd);
    }
}

static void closed(struct io_socket *socket)
{
    struct peer *peer = (struct peer *)socket;
    cr_assert(peer->open);
    peer->open = false;
    peer->crowd->closes++;
    give_back(peer);
    memset(&peer->socket, 0xa5, sizeof peer->socket);
}

static const struct io_socket_events events = {
    .received = received, .sent = sent, .closed = closed};

static void send_some(struct peer *peer)
{
    struct crowd *crowd = peer->crowd;
    size_t size = roll(crowd, 3) ? 1 + roll(crowd, 600) : 1 + roll(crowd, SEND_MAX - 1);
    for (size_t i = 0; i < size; i++) {
        peer->out[i] = pattern(peer->sent + i);
    }
    peer->sent += size;
    size_t first = roll(crowd, (unsigned)size + 1);
    struct span spans[2] = {span_make(peer->out, first),
                            span_make(peer->out + first, size - first)};
    io_send(&peer->socket, spans, 2);
}

static void random_act(struct crowd *crowd)
{
    struct peer *peer = &crowd->peers[roll(crowd, PEERS)];
    if (!peer->open || peer->socket.closing) {
        return;
    }
    switch (roll(crowd, 16)) {
    case 0:
        if (roll(crowd, 4) == 0) {
            struct linger hard = {.l_onoff = 1};
            setsockopt(peer->socket.descriptor, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        io_close(&peer->socket);
        break;
    case 1:
        if (roll(crowd, 3) == 0 && !peer->socket.sending) {
            io_shutdown(&peer->socket);
            peer->shut = true;
        }
        break;
    case 2:
    case 3:
        peer->receiving = false;
        io_receive_pause(&peer->socket);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        peer->receiving = true;
        io_receive(&peer->socket);
        break;
    case 8:
        give_back(peer);
        break;
    default:
        if (!peer->socket.sending && !peer->shut) {
            send_some(peer);
        }
    }
}

static void open_pair(struct crowd *crowd, unsigned first)
{
    int pair[2];
    if (io_backend_of(crowd->io) == IO_SIM) {
        cr_assert_eq(io_sim_pair(crowd->io, pair), STATUS_OK);
    } else if (roll(crowd, 2)) {
        tcp_pair(&pair[0], &pair[1]);
    } else {
        unix_pair(&pair[0], &pair[1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct peer *peer = &crowd->peers[first + i];
        peer->crowd = crowd;
        peer->received = peer->sent = 0;
        peer->ended = peer->shut = false;
        peer->open = peer->receiving = true;
        cr_assert_eq(io_socket_open(crowd->io, &peer->socket, &events, pair[i]), STATUS_OK);
        io_receive(&peer->socket);
    }
}

/* Turns for 0.8 s, or so many times. */
static void stress(struct io *io, unsigned seed, unsigned turns_max)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    crowd->io = io;
    crowd->state = seed;
    size_t before = descriptors_open();
    uint64_t end = boot_ms() + 800;
    for (unsigned turn = 0; turns_max != 0 ? turn < turns_max : boot_ms() < end; turn++) {
        for (unsigned i = 0; i < PEERS; i += 2) {
            if (!crowd->peers[i].open && !crowd->peers[i + 1].open) {
                open_pair(crowd, i);
            }
        }
        for (unsigned i = roll(crowd, 24); i > 0; i--) {
            random_act(crowd);
        }
        cr_assert_eq(io_turn(io, roll(crowd, 2)), STATUS_OK);
    }
    cr_assert_gt(crowd->bytes, 100000);
    cr_assert_gt(crowd->closes, 20);
    for (unsigned i = 0; i < PEERS; i++) {
        if (crowd->peers[i].open) {
            io_close(&crowd->peers[i].socket);
        }
    }
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(io_turn(io, 1), STATUS_OK);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        cr_assert_not(crowd->peers[i].open, "a socket that never closed");
    }
    cr_assert_eq(io->buffers.out, 0);
    cr_assert_eq(io->buffers.free, io->buffers.count);
    cr_assert_eq(io->endpoints.live, 0);
    cr_assert_eq(descriptors_open(), before);
    cr_assert_eq(io->stale, 0, "closed was told before the last completion");
    free(crowd);
}

static void crowds_of_sockets(enum io_backend backend)
{
    /* Too few buffers for all, so that they run out all the time. */
    struct io *io = harness_io_with((struct io_options){
        .backend = backend, .operations_max = 16, .buffers = 16, .buffer_bytes = 1500});
    for (unsigned seed = 1; seed <= 3; seed++) {
        stress(io, seed, 0);
    }
    struct io_counters counters;
    io_read_counters(io, &counters);
    cr_assert_gt(counters.out_of_buffers, 0);
    io_free(io);
}
ON_BOTH(io_stress, crowds_of_sockets)

Test(io_stress, crowds_of_sockets_on_an_old_kernel_uring)
{
    io_free(harness_io(IO_URING));
    static const unsigned denied[] = {URING_MULTISHOT_CAP, URING_DEFER_TASKRUN | URING_SEND_WHOLE,
                                      ~0u};
    for (unsigned i = 0; i < 3; i++) {
        struct io_options options = {
            .operations_max = 16, .buffers = 16, .buffer_bytes = 1500, .buffers_per_socket_max = 4};
        struct io *io;
        cr_assert_eq(io_uring_new_without(&options, denied[i], &io), STATUS_OK);
        stress(io, 100 + i, 0);
        io_free(io);
    }
}

/* Every fault at once, many seeds; a seed that fails fails again. */
Test(io_stress, crowds_of_sockets_sim)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct io_options options = {
            .backend = IO_SIM, .operations_max = 16, .buffers = 16, .buffer_bytes = 1500};
        struct io_sim_options sim = {
            .seed = seed,
            .faults = {.short_receives = 300000,
                       .short_sends = 300000,
                       .resets = 500,
                       .no_buffers = 50000,
                       .delays = 200000,
                       .latency_ms_max = seed % 3,
                       .reorder = true},
            .pipe_bytes = seed % 2 ? 5000 : 0,
        };
        struct io *io;
        cr_assert_eq(io_sim_new(&options, &sim, &io), STATUS_OK);
        stress(io, seed, 6000);
        cr_assert_eq(io_sim_ends(io), 0, "seed %u", seed);
        io_free(io);
    }
}
