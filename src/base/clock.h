/* Two clocks, never mixed: wall time is what tokens and proofs are written in; boot time is what
 * memory and timeouts are measured in, for it neither steps nor stops while the machine sleeps. */
#ifndef POPGATE_BASE_CLOCK_H
#define POPGATE_BASE_CLOCK_H

#include <stdint.h>

struct clock_now {
    int64_t wall_s;   /* seconds since 1970, as in iat, exp, nbf */
    uint64_t wall_ns; /* nanoseconds since 1970, for logs and metrics */
    uint64_t boot_ns; /* CLOCK_BOOTTIME, nanoseconds */
};

/* Reads both clocks (vDSO, no system call on the usual machines). Called once a loop turn. */
struct clock_now clock_read(void);

#endif
