/* Connections to a service that speaks HTTP/2 in clear with prior knowledge (RFC 9113 section 3.3):
 * one carries many exchanges, each a stream that stands behind a `struct upstream`. PINGs tell a
 * connection that is silent from one that is dead. */
#ifndef POPGATE_PROXY_UPSTREAM_H2_H
#define POPGATE_PROXY_UPSTREAM_H2_H

#include "proxy/upstream.h"

struct upstream_h2; /* one connection */

/* A stream for `exchange`, on a connection that has room for one, else on a new one. NULL: *kind
 * says why. */
struct upstream *upstream_h2_acquire(struct proxy *proxy, struct exchange *exchange,
                                     enum proxy_upstream_error *kind);

/* What upstream.h's functions of the same names do, for streams. */
MUST_CHECK enum status upstream_h2_head(struct upstream *upstream, struct span head_text,
                                        bool has_body);
MUST_CHECK enum status upstream_h2_write(struct upstream *upstream, struct span bytes);
void upstream_h2_request_end(struct upstream *upstream);
/* Lines of "name: value", to be sent behind the body: before upstream_h2_request_end. */
MUST_CHECK enum status upstream_h2_trailers(struct upstream *upstream, struct span lines);
size_t upstream_h2_waiting(const struct upstream *upstream);
void upstream_h2_pause(struct upstream *upstream);
void upstream_h2_resume(struct upstream *upstream);
void upstream_h2_release(struct upstream *upstream);
void upstream_h2_abandon(struct upstream *upstream);

void upstream_h2_flush_all(struct proxy *proxy);
/* No new streams on the connections there are; those without any are closed. */
void upstream_h2_close_idle(struct proxy *proxy);
/* Of the objects, for their slabs. */
size_t upstream_h2_size(void);
size_t upstream_h2_stream_size(void);

#endif
