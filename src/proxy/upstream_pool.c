#include "proxy/upstream_pool.h"

#include <assert.h>

void upstream_pool_add(struct upstream_pool *pool, struct upstream *upstream)
{
    assert(!upstream->pooled);
    upstream->pooled = true;
    upstream->pool_newer = NULL;
    upstream->pool_older = pool->newest;
    if (pool->newest != NULL) {
        pool->newest->pool_newer = upstream;
    } else {
        pool->oldest = upstream;
    }
    pool->newest = upstream;
    pool->count++;
}

void upstream_pool_remove(struct upstream *upstream)
{
    if (!upstream->pooled) {
        return;
    }
    struct upstream_pool *pool = &upstream->proxy->pool;
    if (upstream->pool_newer != NULL) {
        upstream->pool_newer->pool_older = upstream->pool_older;
    } else {
        pool->newest = upstream->pool_older;
    }
    if (upstream->pool_older != NULL) {
        upstream->pool_older->pool_newer = upstream->pool_newer;
    } else {
        pool->oldest = upstream->pool_newer;
    }
    upstream->pooled = false;
    pool->count--;
}

struct upstream *upstream_pool_take(struct upstream_pool *pool)
{
    struct upstream *upstream = pool->newest;
    if (upstream != NULL) {
        upstream_pool_remove(upstream);
    }
    return upstream;
}
