/* The simulated backend: a clock and a network inside one process, both driven by one seed, so that
 * a run that fails fails again. Both sides of every connection are sockets of the same struct io: a
 * simulation of the whole proxy makes its listener with io_sim_listener, its service with another,
 * and its clients with io_connect, all against io/io.h.
 *
 * Time stands still while callbacks run and leaps to the next thing that happens when a turn waits.
 * A descriptor is a real number (of an unconnected Unix socket), so that close(2) of one that was
 * accepted and not adopted does what it should: its peer sees a reset. One thread, io_wake
 * excepted. */
#ifndef POPGATE_IO_SIM_H
#define POPGATE_IO_SIM_H

#include "io/io.h"

/* Chances are in a million, each time the operation could complete. All zero: a network without
 * fault. */
struct io_sim_faults {
    uint32_t short_receives; /* only part of what is there */
    uint32_t short_sends;    /* only part of what there is room for */
    uint32_t
        resets; /* the connection breaks: both ends see ECONNRESET, what was under way is lost */
    uint32_t no_buffers;      /* ENOBUFS, although there are buffers */
    uint32_t delays;          /* what could complete does not in this turn */
    uint32_t accept_failures; /* EMFILE */
    uint32_t refused_connects;
    uint32_t latency_ms_max; /* data, ends and connections are under way for 0 to so many ms, never
                                overtaking */
    bool reorder;            /* completions of different operations come in any order */
};
#define IO_SIM_ALWAYS 1000000u

struct io_sim_options {
    uint64_t seed;
    struct io_sim_faults faults;
    int64_t wall_start_s; /* 0: 2027-01-15 */
    uint32_t pipe_bytes;  /* what one direction of a connection holds; 0: 64 KiB */
};

/* As io_new; options->backend is not looked at. io_new with IO_SIM is seed 0 without faults. */
MUST_CHECK enum status io_sim_new(const struct io_options *options,
                                  const struct io_sim_options *sim, struct io **io);

void io_sim_set_faults(struct io *io, const struct io_sim_faults *faults);

/* A listening descriptor, for io_listen; io_connect to exactly this address (copied) reaches it
 * once it is listened on. STATUS_EXISTS when the address is taken. */
MUST_CHECK enum status io_sim_listener(struct io *io, const struct sockaddr *address,
                                       socklen_t address_size, int *descriptor);

/* Two connected descriptors, for io_socket_open. */
MUST_CHECK enum status io_sim_pair(struct io *io, int descriptors[2]);

/* Breaks the connection of a descriptor, as the fault does. */
void io_sim_reset(struct io *io, int descriptor);

/* Sets the wall clock forward or back; the boot clock does not notice. */
void io_sim_step_wall(struct io *io, int64_t seconds);

/* From the same seed, for what else a simulation leaves to chance: 0 to limit - 1. */
uint64_t io_sim_random(struct io *io, uint64_t limit);

/* Over everything that completed and when: equal for equal runs. */
uint64_t io_sim_fingerprint(const struct io *io);

/* Ends of connections that exist, adopted or not: 0 when nothing leaks. */
uint32_t io_sim_ends(const struct io *io);

#endif
