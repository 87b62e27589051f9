#include "proxy/upstream_wait.h"

#include "proxy/core.h"
#include "proxy/exchange.h"

#define NS_PER_MS 1000000u

void upstream_wait_add(struct exchange *exchange)
{
    struct proxy *proxy = exchange->proxy;
    exchange->waiting = true;
    exchange->waiting_next = NULL;
    if (proxy->waiting_last != NULL) {
        proxy->waiting_last->waiting_next = exchange;
    } else {
        proxy->waiting_first = exchange;
    }
    proxy->waiting_last = exchange;
}

/* The list is walked: only clients that leave while they wait come here, and few can be waiting. */
void upstream_wait_remove(struct exchange *exchange)
{
    struct proxy *proxy = exchange->proxy;
    if (!exchange->waiting) {
        return;
    }
    exchange->waiting = false;
    struct exchange *before = NULL;
    for (struct exchange *one = proxy->waiting_first; one != exchange; one = one->waiting_next) {
        before = one;
    }
    if (before != NULL) {
        before->waiting_next = exchange->waiting_next;
    } else {
        proxy->waiting_first = exchange->waiting_next;
    }
    if (proxy->waiting_last == exchange) {
        proxy->waiting_last = before;
    }
}

void upstream_wait_serve(struct proxy *proxy)
{
    uint64_t now_ns = io_now(proxy->io)->boot_ns;
    uint64_t patience_ns = (uint64_t)proxy->settings->timeouts.upstream_connect_ms * NS_PER_MS;
    struct exchange *last = proxy->waiting_last;
    bool more = proxy->waiting_first != NULL;
    while (more) {
        struct exchange *exchange = proxy->waiting_first;
        more = exchange != last;
        upstream_wait_remove(exchange);
        exchange_forward_again(exchange, now_ns - exchange->forwarded_ns > patience_ns);
        if (exchange->waiting) {
            return; /* nothing came free: nor is there anything for those behind it */
        }
    }
}
