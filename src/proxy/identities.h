/* Who was seen lately: a bounded table that a worker writes, once a request, and the admin thread
 * copies out of, a few entries at a time, so that neither waits long for the other. When a set is
 * full the one not seen for longest makes room. */
#ifndef POPGATE_PROXY_IDENTITIES_H
#define POPGATE_PROXY_IDENTITIES_H

#include "base/span.h"
#include "proxy/metrics.h"

#include <stdbool.h>
#include <stdint.h>

#define IDENTITIES_SETS        64
#define IDENTITIES_PER_SET     8
#define IDENTITIES_MAX         (IDENTITIES_SETS * IDENTITIES_PER_SET)
#define IDENTITIES_VALUE_BYTES 128 /* of each value; longer ones are shown cut */

struct identity_names {
    struct span spiffe_id, issuer, subject, client_id; /* empty: none */
};

struct identity_entry {
    uint64_t hash; /* 0: not used */
    int64_t first_s, last_s;
    uint64_t requests[PROXY_OUTCOMES];
    uint8_t sizes[4]; /* of spiffe_id, issuer, subject, client_id */
    char values[4][IDENTITIES_VALUE_BYTES];
};

struct identities;

/* Returns owned, NULL when memory fails. */
struct identities *identities_new(void);
void identities_free(struct identities *identities);

/* One request is over. */
void identities_note(struct identities *identities, const struct identity_names *names,
                     enum proxy_outcome outcome, int64_t now_s);

/* Any thread: copies set number `set`, and returns how many entries that were. */
size_t identities_copy(struct identities *identities, size_t set,
                       struct identity_entry out[IDENTITIES_PER_SET]);

#endif
