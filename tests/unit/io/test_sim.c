#include "harness.h"
#include "io/internal.h"
#include "io/sim.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct io *sim_with(uint64_t seed, struct io_sim_faults faults)
{
    struct io_options options = {.buffer_bytes = 1000, .buffers = 32};
    struct io_sim_options sim = {.seed = seed, .faults = faults};
    struct io *io;
    cr_assert_eq(io_sim_new(&options, &sim, &io), STATUS_OK);
    cr_assert_eq(io_backend_of(io), IO_SIM);
    return io;
}

/* A simulated turn may wait as long as it likes. */
static bool sim_until(struct io *io, const unsigned *value, unsigned wanted)
{
    for (int i = 0; i < 100000 && *value < wanted; i++) {
        cr_assert_eq(io_turn(io, 1000), STATUS_OK);
    }
    return *value >= wanted;
}

static const struct sockaddr_in service = {.sin_family = AF_INET, .sin_port = 8080};
static const struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = 8081};

struct door {
    struct io_listener listener;
    struct probe probes[16];
    unsigned accepted, closed;
    bool refuse; /* close(2) what is accepted */
};

static void accepted(struct io_listener *listener, struct io_accepted accepted)
{
    struct door *door = (struct door *)listener;
    struct probe *probe = &door->probes[door->accepted++];
    if (door->refuse) {
        close(accepted.descriptor);
        return;
    }
    probe_open(probe, listener->io, accepted.descriptor);
    io_receive(&probe->socket);
}

static void door_closed(struct io_listener *listener)
{
    ((struct door *)listener)->closed++;
}

static void door_open(struct door *door, struct io *io)
{
    int descriptor;
    *door = (struct door){.listener = {.accepted = accepted, .closed = door_closed}};
    cr_assert_eq(
        io_sim_listener(io, (const struct sockaddr *)&service, sizeof service, &descriptor),
        STATUS_OK);
    cr_assert_eq(io_listen(io, &door->listener, descriptor), STATUS_OK);
}

static void connect_to(struct probe *probe, struct io *io, const struct sockaddr_in *address)
{
    probe_init(probe, io);
    cr_assert_eq(io_connect(io, &probe->socket, &probe_events, (const struct sockaddr *)address,
                            sizeof *address),
                 STATUS_OK);
    io_receive(&probe->socket);
}

static void finish(struct probe *probe)
{
    io_close(&probe->socket);
    cr_assert(sim_until(probe->io, &probe->closed, 1));
    probe_finish(probe);
}

static void send_text(struct probe *probe, const char *text)
{
    struct span span = span_from_string(text);
    io_send(&probe->socket, &span, 1);
}

Test(io_sim, connects_sends_and_ends)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    struct door door;
    door_open(&door, io);
    int taken;
    cr_assert_eq(io_sim_listener(io, (const struct sockaddr *)&service, sizeof service, &taken),
                 STATUS_EXISTS);
    struct probe client;
    connect_to(&client, io, &service);
    send_text(&client, "question");
    cr_assert(sim_until(io, &door.accepted, 1));
    struct probe *server = &door.probes[0];
    cr_assert(sim_until(io, &server->received, 1));
    cr_assert_eq(server->size, 8);
    send_text(server, "answer");
    io_shutdown(&server->socket);
    cr_assert(sim_until(io, &client.received, 2));
    cr_assert_eq(memcmp(client.bytes, "answer", 6), 0);
    cr_assert_eq(client.end, STATUS_CLOSED);
    send_text(&client, "still");
    cr_assert(sim_until(io, &server->received, 2));
    finish(&client);
    cr_assert(sim_until(io, &server->received, 3));
    cr_assert_eq(server->end, STATUS_CLOSED);
    finish(server);
    io_listener_close(&door.listener);
    cr_assert(sim_until(io, &door.closed, 1));
    cr_assert_eq(io_sim_ends(io), 0);
    io_free(io);
}

Test(io_sim, refuses_where_nobody_listens)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    struct probe client;
    connect_to(&client, io, &nowhere);
    cr_assert(sim_until(io, &client.connected, 1));
    cr_assert_eq(client.connected_status, STATUS_SYSTEM);
    cr_assert_eq(client.socket.error, ECONNREFUSED);
    finish(&client);
    cr_assert_eq(io_sim_ends(io), 0);
    io_free(io);
}

Test(io_sim, a_connection_closed_without_being_adopted_is_cut)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    struct door door;
    door_open(&door, io);
    door.refuse = true;
    struct probe client;
    connect_to(&client, io, &service);
    send_text(&client, "lost");
    cr_assert(sim_until(io, &client.received, 1));
    cr_assert_neq(client.end, STATUS_AGAIN);
    finish(&client);
    io_listener_close(&door.listener);
    cr_assert(sim_until(io, &door.closed, 1));
    cr_assert_eq(io_sim_ends(io), 0);
    io_free(io);
}

Test(io_sim, closing_a_listener_cuts_who_waits)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    struct door door;
    door_open(&door, io);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    io_listener_pause(&door.listener);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    struct probe client;
    connect_to(&client, io, &service);
    cr_assert(sim_until(io, &client.connected, 1));
    cr_assert_eq(door.accepted, 0);
    io_listener_close(&door.listener);
    cr_assert(sim_until(io, &client.received, 1));
    cr_assert_eq(client.end, STATUS_SYSTEM);
    cr_assert_eq(client.socket.error, ECONNRESET);
    finish(&client);
    cr_assert_eq(io_sim_ends(io), 0);
    io_free(io);
}

Test(io_sim, a_reset_reaches_both_ends)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    int pair[2];
    cr_assert_eq(io_sim_pair(io, pair), STATUS_OK);
    struct probe a, b;
    probe_open(&a, io, pair[0]);
    probe_open(&b, io, pair[1]);
    io_receive(&a.socket);
    io_receive(&b.socket);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    io_sim_reset(io, pair[0]);
    io_sim_reset(io, 9999); /* nobody's */
    cr_assert(sim_until(io, &a.received, 1));
    cr_assert(sim_until(io, &b.received, 1));
    cr_assert_eq(a.end, STATUS_SYSTEM);
    cr_assert_eq(b.socket.error, ECONNRESET);
    finish(&a);
    finish(&b);
    io_free(io);
}

Test(io_sim, a_send_to_one_that_closed_is_answered_by_a_reset)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    int pair[2];
    cr_assert_eq(io_sim_pair(io, pair), STATUS_OK);
    close(pair[1]);
    struct probe a;
    probe_open(&a, io, pair[0]);
    send_text(&a, "first");
    cr_assert(sim_until(io, &a.sent, 1));
    cr_assert_eq(a.sent_status, STATUS_OK);
    send_text(&a, "second");
    cr_assert(sim_until(io, &a.sent, 2));
    cr_assert_eq(a.sent_status, STATUS_SYSTEM);
    finish(&a);
    io_free(io);
}

Test(io_sim, a_full_pipe_holds_the_sender)
{
    struct io_options options = {0};
    struct io_sim_options sim = {.pipe_bytes = 100};
    struct io *io;
    cr_assert_eq(io_sim_new(&options, &sim, &io), STATUS_OK);
    int pair[2];
    cr_assert_eq(io_sim_pair(io, pair), STATUS_OK);
    struct probe a, b;
    probe_open(&a, io, pair[0]);
    probe_open(&b, io, pair[1]);
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = 0;
    send_text(&a, text);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(io_turn(io, 10), STATUS_OK);
    }
    cr_assert_eq(a.sent, 0);
    io_receive(&b.socket);
    cr_assert(sim_until(io, &a.sent, 1));
    cr_assert(sim_until(io, &b.received, 10));
    cr_assert_eq(b.size, 1000);
    struct io_counters counters;
    io_read_counters(io, &counters);
    cr_assert_geq(counters.short_sends, 9);
    finish(&a);
    finish(&b);
    io_free(io);
}

/* ---- time ---- */

static void fired(struct io_timer *timer)
{
    timer->due_ms = UINT64_MAX; /* a mark */
}

Test(io_sim, time_leaps_and_the_wall_steps)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    struct io_timer timer = {.fired = fired};
    uint64_t started = boot_ms();
    struct clock_now before = *io_now(io);
    io_timer_set(io, &timer, 3600000);
    for (int i = 0; i < 100 && timer.due_ms != UINT64_MAX; i++) {
        cr_assert_eq(io_turn(io, UINT32_MAX), STATUS_OK);
    }
    cr_assert_eq(timer.due_ms, UINT64_MAX);
    cr_assert_geq(io_now(io)->boot_ns - before.boot_ns, 3600000000000u);
    cr_assert_leq(io_now(io)->boot_ns - before.boot_ns, 3600100000000u);
    cr_assert_eq(io_now(io)->wall_s - before.wall_s, 3600);
    cr_assert_lt(boot_ms() - started, 2000, "an hour took its time");
    io_sim_step_wall(io, -7200);
    uint64_t boot = io_now(io)->boot_ns;
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(io_now(io)->wall_s - before.wall_s, -3600);
    cr_assert_geq(io_now(io)->boot_ns, boot);
    io_free(io);
}

static void woken(void *context)
{
    (*(unsigned *)context)++;
}

Test(io_sim, wakes)
{
    struct io *io = sim_with(1, (struct io_sim_faults){0});
    unsigned count = 0;
    io_set_wake(io, woken, &count);
    io_wake(io);
    cr_assert_eq(io_turn(io, 10), STATUS_OK);
    cr_assert_eq(count, 1);
    io_free(io);
}

/* ---- faults ---- */

/* Moves SIZE bytes; returns how many callbacks that took. */
static unsigned transfer(struct io *io)
{
    enum { SIZE = 50000 };
    int pair[2];
    cr_assert_eq(io_sim_pair(io, pair), STATUS_OK);
    struct probe a, b;
    probe_open(&a, io, pair[0]);
    probe_open(&b, io, pair[1]);
    uint8_t *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = pattern(i);
    }
    struct span span = span_make(bytes, SIZE);
    io_send(&a.socket, &span, 1);
    io_receive(&b.socket);
    for (int i = 0; i < 1000000 && b.size < SIZE && b.end == STATUS_AGAIN; i++) {
        cr_assert_eq(io_turn(io, 1000), STATUS_OK);
    }
    cr_assert(b.size == 0 || memcmp(b.bytes, bytes, b.size) == 0);
    if (b.end == STATUS_AGAIN) {
        cr_assert_eq(b.size, SIZE);
        cr_assert(sim_until(io, &a.sent, 1));
    }
    unsigned received = b.received;
    finish(&a);
    finish(&b);
    free(bytes);
    return received;
}

Test(io_sim, faults_do_what_they_say, .timeout = 60)
{
    struct io_counters counters;
    struct io *io = sim_with(3, (struct io_sim_faults){0});
    unsigned plain = transfer(io);
    uint64_t boot = io_now(io)->boot_ns;
    cr_assert_eq(plain, 50);

    io_sim_set_faults(io, &(struct io_sim_faults){.short_receives = IO_SIM_ALWAYS});
    cr_assert_gt(transfer(io), plain);

    io_sim_set_faults(io, &(struct io_sim_faults){.short_sends = IO_SIM_ALWAYS});
    (void)transfer(io);
    io_read_counters(io, &counters);
    cr_assert_gt(counters.short_sends, 0);

    io_sim_set_faults(io, &(struct io_sim_faults){.no_buffers = 500000});
    (void)transfer(io);
    io_read_counters(io, &counters);
    cr_assert_gt(counters.out_of_buffers, 0);

    cr_assert_lt(io_now(io)->boot_ns - boot, 1000000000);
    boot = io_now(io)->boot_ns;
    io_sim_set_faults(io, &(struct io_sim_faults){.latency_ms_max = 10000});
    (void)transfer(io);
    cr_assert_gt(io_now(io)->boot_ns - boot, 10000000);

    boot = io_now(io)->boot_ns;
    io_sim_set_faults(io, &(struct io_sim_faults){.delays = 900000});
    (void)transfer(io);
    cr_assert_gt(io_now(io)->boot_ns - boot, 5000000);

    io_sim_set_faults(io, &(struct io_sim_faults){.resets = IO_SIM_ALWAYS});
    cr_assert_leq(transfer(io), 1);

    io_sim_set_faults(io, &(struct io_sim_faults){.refused_connects = IO_SIM_ALWAYS});
    struct door door;
    door_open(&door, io);
    struct probe client;
    connect_to(&client, io, &service);
    cr_assert(sim_until(io, &client.connected, 1));
    cr_assert_eq(client.socket.error, ECONNREFUSED);
    finish(&client);

    io_sim_set_faults(io, &(struct io_sim_faults){.accept_failures = IO_SIM_ALWAYS});
    connect_to(&client, io, &service);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(io_turn(io, 100), STATUS_OK);
    }
    cr_assert_eq(door.accepted, 0);
    cr_assert_gt(door.listener.accept_failures, 1);
    io_sim_set_faults(io, &(struct io_sim_faults){0});
    cr_assert(sim_until(io, &door.accepted, 1));
    finish(&client);
    finish(&door.probes[0]);
    io_listener_close(&door.listener);
    cr_assert(sim_until(io, &door.closed, 1));
    cr_assert_eq(io_sim_ends(io), 0);
    io_free(io);
}

static uint64_t run(uint64_t seed)
{
    struct io *io = sim_with(seed, (struct io_sim_faults){.short_receives = 300000,
                                                          .short_sends = 300000,
                                                          .resets = 1000,
                                                          .no_buffers = 100000,
                                                          .delays = 100000,
                                                          .latency_ms_max = 5,
                                                          .reorder = true});
    for (int i = 0; i < 3; i++) {
        (void)transfer(io);
    }
    uint64_t fingerprint = io_sim_fingerprint(io) ^ io_sim_random(io, UINT64_MAX);
    io_free(io);
    return fingerprint;
}

Test(io_sim, the_same_seed_is_the_same_run, .timeout = 60)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        uint64_t first = run(seed);
        cr_assert_eq(run(seed), first);
        cr_assert_neq(run(seed + 1000), first);
    }
}

Test(io_sim, random_numbers_stay_below_their_limit)
{
    struct io *io = sim_with(5, (struct io_sim_faults){0});
    bool seen[10] = {false};
    for (int i = 0; i < 1000; i++) {
        uint64_t value = io_sim_random(io, 10);
        cr_assert_lt(value, 10);
        seen[value] = true;
    }
    for (int i = 0; i < 10; i++) {
        cr_assert(seen[i]);
    }
    cr_assert_eq(io_sim_random(io, 0), 0);
    io_free(io);
}

Test(io_sim, io_new_gives_a_plain_one)
{
    struct io_options options = {.backend = IO_SIM};
    struct io *io;
    cr_assert_eq(io_new(&options, &io), STATUS_OK);
    cr_assert_eq(io_backend_of(io), IO_SIM);
    cr_assert_eq(transfer(io), 3); /* default buffers */
    io_free(io);
}
