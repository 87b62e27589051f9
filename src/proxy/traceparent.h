/* traceparent (W3C Trace Context, section 3.2): passed if valid, else begun. */
#ifndef POPGATE_PROXY_TRACEPARENT_H
#define POPGATE_PROXY_TRACEPARENT_H

#include "base/span.h"

#define TRACEPARENT_BYTES 55

bool traceparent_valid(struct span value);

/* Writes a new one, not sampled, from the generator in *state (seeded once; ids need not be
 * secret). */
void traceparent_begin(uint64_t *state, char out[TRACEPARENT_BYTES]);

#endif
