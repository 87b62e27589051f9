/* The load: which connection sends what when, and what came of it.
 *
 * Closed loop (rate 0): every connection sends its next request when the answer to the last is
 * there. Latency is from sending, so a server that stalls is asked less: a measure of capacity, not
 * of waiting.
 * Open loop: request i is due at start + i / rate whatever the server does, and its latency counts
 * from then, also while it had to wait for a free connection: what a caller would have seen
 * (corrected for coordinated omission). */
#ifndef POPGATE_APP_BENCH_LOAD_H
#define POPGATE_APP_BENCH_LOAD_H

#include "app/bench_connection.h"
#include "app/bench_credentials.h"
#include "app/bench_histogram.h"

#include <sys/types.h>

#define BENCH_CONNECTIONS_MAX 60000
#define BENCH_WATCHED_MAX     64

enum bench_handshakes { BENCH_KEEP = 0, BENCH_FULL, BENCH_RESUMED };

struct bench_load_options {
    unsigned connections;
    enum bench_handshakes handshakes; /* not BENCH_KEEP: one request a connection */
    uint64_t requests;                /* 0: as many as the time or the proofs allow */
    uint64_t duration_ns;             /* 0: no end of its own */
    uint64_t warmup;                  /* requests before those that count */
    double rate;                      /* requests a second; 0: closed loop */
    uint64_t hold_ns;                 /* afterwards every connection stays open, idle */
    const pid_t *watched;             /* whose CPU time and memory are reported */
    size_t watched_count;
    const char *path, *authority; /* of the request line and Host */
    bool progress;                /* a line on standard error that is rewritten */
};

struct bench_result {
    struct bench_histogram latency_ns;
    struct bench_histogram handshake_ns; /* of connections opened within the measured time */
    uint64_t statuses[600];
    uint64_t requests, failures, handshakes, resumptions, bytes;
    uint64_t elapsed_ns;
    uint64_t own_cpu_ns, watched_cpu_ns;
    uint64_t machine_steal_ns;     /* of the measured time, all CPUs together */
    uint64_t watched_memory_bytes; /* proportional set size, at the end (after the hold) */
    unsigned connections_open;     /* at the end of the hold */
    const char *failure;           /* of the first connection that failed; NULL: none */
    bool out_of_proofs;            /* that ended it */
    bool sockets_left;             /* some would not close: the loop must not be freed */
};

/* Runs it. `credentials` NULL: requests carry none. STATUS_OK: it ran to its end, whatever the
 * answers were. STATUS_FAILED: the target cannot be talked to (result->failure says why);
 * STATUS_NO_MEMORY, STATUS_SYSTEM. */
MUST_CHECK enum status bench_load_run(struct bench_client *client,
                                      struct bench_credentials *credentials,
                                      const struct bench_load_options *options,
                                      struct bench_result *result);

#endif
