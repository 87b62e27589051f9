#include "proxy/upstream_pool.h"

#include <criterion/criterion.h>

static struct proxy proxy;
static struct upstream upstreams[3];

static void set_up(void)
{
    memset(&proxy, 0, sizeof proxy);
    memset(upstreams, 0, sizeof upstreams);
    for (size_t i = 0; i < 3; i++) {
        upstreams[i].proxy = &proxy;
        upstream_pool_add(&proxy.pool, &upstreams[i]);
    }
}

Test(upstream_pool, the_last_one_in_is_the_first_one_out, .init = set_up)
{
    cr_assert_eq(proxy.pool.count, 3);
    cr_assert_eq(upstream_pool_take(&proxy.pool), &upstreams[2]);
    cr_assert_eq(upstream_pool_take(&proxy.pool), &upstreams[1]);
    cr_assert_eq(upstream_pool_take(&proxy.pool), &upstreams[0]);
    cr_assert_null(upstream_pool_take(&proxy.pool));
    cr_assert_eq(proxy.pool.count, 0);
    cr_assert_null(proxy.pool.oldest);
}

Test(upstream_pool, any_one_can_be_taken_out_once, .init = set_up)
{
    for (size_t removed = 0; removed < 3; removed++) {
        set_up();
        upstream_pool_remove(&upstreams[removed]);
        upstream_pool_remove(&upstreams[removed]);
        cr_assert_eq(proxy.pool.count, 2);
        struct upstream *first = upstream_pool_take(&proxy.pool);
        struct upstream *second = upstream_pool_take(&proxy.pool);
        cr_assert(first > second && first != &upstreams[removed] && second != &upstreams[removed]);
        cr_assert_null(upstream_pool_take(&proxy.pool));
        cr_assert_null(proxy.pool.newest);
        cr_assert_null(proxy.pool.oldest);
    }
}

Test(upstream_pool, one_that_was_taken_may_come_back, .init = set_up)
{
    struct upstream *one = upstream_pool_take(&proxy.pool);
    upstream_pool_add(&proxy.pool, one);
    cr_assert_eq(upstream_pool_take(&proxy.pool), one);
    cr_assert_eq(proxy.pool.oldest, &upstreams[0]);
}
