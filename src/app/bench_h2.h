/* HTTP/2 on one connection of the load generator: plaintext in, plaintext out. One thread. */
#ifndef POPGATE_APP_BENCH_H2_H
#define POPGATE_APP_BENCH_H2_H

#include "base/span.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct bench_h2;

/* Both run within bench_h2_receive, and may ask for the next request. */
struct bench_h2_events {
    void (*answered)(void *owner, uint16_t status, uint64_t due_ns); /* due_ns: as asked with */
    void (*failed)(void *owner, const char *failure);                /* of a stream: static words */
};

/* Returns owned, NULL when memory fails. The preface waits to be sent already. */
struct bench_h2 *bench_h2_new(const struct bench_h2_events *events, void *owner,
                              unsigned streams_max);
void bench_h2_free(struct bench_h2 *h2);

/* Whether one more request may be under way: below streams_max and what the server allows; only one
 * until it has said how many those are. */
bool bench_h2_has_room(const struct bench_h2 *h2, unsigned under_way);

/* `head` as HTTP/1.1 writes it, Host first; `body_bytes` zeroes follow. Only when there is room.
 * STATUS_FULL: this connection takes no more. */
MUST_CHECK enum status bench_h2_request(struct bench_h2 *h2, struct span head, size_t body_bytes,
                                        uint64_t due_ns);

/* STATUS_FAILED: the connection is over, bench_h2_failure says why. */
MUST_CHECK enum status bench_h2_receive(struct bench_h2 *h2, struct span plain, uint64_t now_ms);
/* The next bytes to send, valid until the next call; empty when there are none. */
MUST_CHECK enum status bench_h2_send(struct bench_h2 *h2, struct span *plain);
const char *bench_h2_failure(const struct bench_h2 *h2);

#endif
