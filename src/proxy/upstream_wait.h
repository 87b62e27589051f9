/* Exchanges that wait for a connection to the service because no descriptor is left for another
 * one: first come, first served, as connections come back to the pool or close. */
#ifndef POPGATE_PROXY_UPSTREAM_WAIT_H
#define POPGATE_PROXY_UPSTREAM_WAIT_H

struct proxy;
struct exchange;

void upstream_wait_add(struct exchange *exchange);
/* If it waits; else nothing. */
void upstream_wait_remove(struct exchange *exchange);
/* At the end of the turn: those that can go on do, those that waited for timeouts.upstream_connect
 * are refused. */
void upstream_wait_serve(struct proxy *proxy);

#endif
