/* The bounded ring between whoever logs and the one thread that writes: many producers, one
 * consumer, no lock. A record goes in whole or not at all.
 *
 * A byte of the ring is in one of three states, and positions (bytes since start, never wrapped)
 * say which:
 *
 *        tail                       head                    tail + capacity
 *    ----|---- reserved, then whole --|-------- free, all zero -----|
 *
 *   free -> reserved   a producer moves head past its record (compare-and-swap)
 *   reserved -> whole  it stores the record's size into the record's first word, which was zero
 *   whole -> free      the consumer zeroes the record and moves tail past it
 *
 * A producer that is stopped between reserving and storing delays those behind it, and can fill the
 * ring, but no producer ever waits for another: what finds no room is dropped by its caller. */
#ifndef POPGATE_BASE_LOG_RING_H
#define POPGATE_BASE_LOG_RING_H

#include "base/span.h"
#include "base/status.h"

#include <stdatomic.h>
#include <stdint.h>

#define LOG_RING_BYTES_MIN 8192u
#define LOG_RING_BYTES_MAX (1u << 30)

struct log_ring {
    uint8_t *bytes;
    uint64_t capacity; /* a power of two */
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
};

/* Room for at least `bytes`, within the bounds above. STATUS_NO_MEMORY when allocation fails. */
MUST_CHECK enum status log_ring_init(struct log_ring *ring, size_t bytes);
void log_ring_cleanup(struct log_ring *ring);

/* Any thread. STATUS_FULL: no room now. STATUS_TOO_LARGE: more than a quarter of the ring, or
 * empty. */
MUST_CHECK enum status log_ring_push(struct log_ring *ring, struct span record);

/* The consumer alone: moves as many whole records as fit, in order, one behind the other, into
 * `out`. Returns the bytes moved, 0 when the next record is not there yet (or does not fit), and
 * sets *records. */
size_t log_ring_pop(struct log_ring *ring, struct span_mut out, size_t *records);

/* The consumer alone: true if log_ring_pop would find a record. Sequentially consistent with
 * log_ring_push. */
bool log_ring_has_record(struct log_ring *ring);

#endif
