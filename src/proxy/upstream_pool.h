/* Idle connections to the service, the most recently used first: the oldest ones may then time out.
 */
#ifndef POPGATE_PROXY_UPSTREAM_POOL_H
#define POPGATE_PROXY_UPSTREAM_POOL_H

#include "proxy/core.h"
#include "proxy/upstream.h"

void upstream_pool_add(struct upstream_pool *pool, struct upstream *upstream);
/* The newest, taken out; NULL if there is none. */
struct upstream *upstream_pool_take(struct upstream_pool *pool);
/* Takes it out if it is in; else does nothing. */
void upstream_pool_remove(struct upstream *upstream);

#endif
