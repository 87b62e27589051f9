/* HTTP/2 on a downstream connection: many exchanges at once, each a stream. Nothing is sent from
 * within a callback: what was queued goes out at the end of the turn, when the answers of all
 * streams are there. */
#ifndef POPGATE_PROXY_H2_H
#define POPGATE_PROXY_H2_H

#include "base/span.h"

struct downstream;
struct proxy;
struct h2;

/* The connection can carry requests; false: there is no memory for it. */
bool h2_open(struct downstream *downstream);
/* Takes all of `plain`. */
void h2_received(struct downstream *downstream, struct span plain);
/* The client closed its side: nothing can be answered without its window updates. */
void h2_client_done(struct downstream *downstream);
/* Bytes went out. */
void h2_room(struct downstream *downstream);
/* A timer of h2's kinds (IDLE, HEAD) fired. */
void h2_timeout(struct downstream *downstream, int kind);
void h2_drain(struct downstream *downstream);
/* The connection ends: the exchanges in progress are given up, memory is given back. */
void h2_end(struct downstream *downstream, const char *reason);

/* At the end of the turn, before the records are encrypted. */
void h2_flush_all(struct proxy *proxy);

#endif
