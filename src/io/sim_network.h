/* The simulated network under the sim backend: ends, what is under way between them, and who
 * listens where. */
#ifndef POPGATE_IO_SIM_NETWORK_H
#define POPGATE_IO_SIM_NETWORK_H

#include "io/internal.h"
#include "io/sim.h"

/* Bytes, or an end of stream, under way to an end. */
struct sim_segment {
    struct sim_segment *next;
    uint64_t due_ns;
    size_t start, end;
    bool fin;
    uint8_t bytes[];
};

struct sim_end {
    struct sim_end *peer;         /* NULL: none yet, or gone */
    struct sim_end *next_waiting; /* in a listener's queue */
    int descriptor;
    uint64_t inode; /* of the descriptor: another's under the same number is not ours */
    bool listening;
    bool connected;
    bool was_connected; /* the peer is gone, not missing */
    bool sent_fin;
    bool reset;
    uint64_t due_ns; /* of the connection, while it waits to be accepted */
    struct sim_segment *first, *last;
    size_t inbound;
    uint64_t last_due_ns;
    /* of a listener */
    struct sockaddr_storage address;
    socklen_t address_size;
    struct sim_end *waiting_first, *waiting_last;
};

struct sim {
    struct io io;
    uint64_t now_ns;
    int64_t wall_offset_ns;
    uint64_t random;
    uint64_t fingerprint;
    struct io_sim_faults faults;
    uint32_t pipe_bytes;
    struct sim_end **ends; /* by descriptor */
    uint32_t ends_max;
    uint32_t live;
    struct io_endpoint **order; /* what is polled, in this turn's order */
    uint32_t order_max;
    atomic_bool woken;
};

uint64_t sim_random(struct sim *sim, uint64_t limit);
bool sim_chance(struct sim *sim, uint32_t in_a_million);

/* NULL: out of descriptors or memory; errno says. */
struct sim_end *sim_end_new(struct sim *sim);
struct sim_end *sim_end_of(struct sim *sim, int descriptor);
void sim_end_join(struct sim_end *a, struct sim_end *b);
/* Closes the descriptor; the peer sees an end, or a reset when not all was read. */
void sim_end_close(struct sim *sim, struct sim_end *end);
void sim_end_reset(struct sim *sim, struct sim_end *end);
/* The same for one whose descriptor somebody closed behind our back. */
void sim_sweep(struct sim *sim);

struct sim_end *sim_listener_at(struct sim *sim, const struct sockaddr *address, socklen_t size);
void sim_listener_enqueue(struct sim *sim, struct sim_end *listener, struct sim_end *end);

/* Bytes on their way to `to`; also the end of stream. */
bool sim_deliver(struct sim *sim, struct sim_end *to, const struct iovec *spans, size_t count,
                 size_t size);
bool sim_deliver_fin(struct sim *sim, struct sim_end *to);
/* What has arrived. */
size_t sim_arrived(const struct sim *sim, const struct sim_end *end);
bool sim_fin_arrived(const struct sim *sim, const struct sim_end *end);
void sim_take(struct sim_end *end, uint8_t *out, size_t size);

#endif
