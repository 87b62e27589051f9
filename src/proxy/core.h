/* The state of one proxy, for the files of src/proxy alone. */
#ifndef POPGATE_PROXY_CORE_H
#define POPGATE_PROXY_CORE_H

#include "base/buffer.h"
#include "base/container_of.h"
#include "http/message.h"
#include "proxy/identities.h"
#include "proxy/limits.h"
#include "proxy/peer_headers.h"
#include "proxy/proxy.h"

struct downstream;
struct exchange;
struct store_client;
struct upstream;
struct upstream_h2;

struct proxy_listener {
    struct io_listener listener;
    struct proxy *proxy;
    bool open;
};

/* Idle upstream connections, the last one used first. */
struct upstream_pool {
    struct upstream *newest, *oldest;
    size_t count;
};

struct proxy {
    struct io *io;
    struct log *log;
    const struct proxy_settings *settings;
    struct tls_context *tls;
    struct auth_worker *auth;
    struct store_client *store;    /* borrowed; NULL: the replay memory is this process's own */
    struct identities *identities; /* NULL: nobody asks */

    struct chunk_pool chunks;
    struct slab downstreams, exchanges, upstreams, inputs, h2s, h2_requests, h2_upstreams,
        h2_upstream_streams;

    struct downstream *connections; /* all open ones, doubly linked */
    size_t connections_count;
    struct upstream *upstreams_open; /* all open ones, doubly linked */
    size_t upstreams_count;
    struct upstream_h2 *h2_upstreams_open, *dirty_h2_upstreams;
    uint32_t h2_upstream_streams_max; /* as the service said last; 0: not yet */
    struct upstream_pool pool;
    uint64_t upstream_epoch;                  /* counts changes of the service's address */
    uint64_t turn;                            /* counts them */
    struct downstream *this_turn, *next_turn; /* whose pipeline goes on: now, in the next turn */
    struct downstream *h2_flush;              /* HTTP/2 sessions with something to send */
    struct downstream *dirty_downstreams;     /* have bytes to send */
    struct upstream *dirty_upstreams;
    struct exchange *waiting_first, *waiting_last; /* for a connection to the service */
    struct exchange *finished;                     /* freed at the end of the turn */

    /* Plaintext on its way into one TLS record of `record_owner`. */
    struct downstream *record_owner;
    size_t record_size;
    uint8_t record[PROXY_RECORD_BYTES];
    uint8_t plain[PROXY_RECORD_BYTES]; /* what tls_read gives, consumed before the next read */

    char *head_text; /* a head under construction */
    size_t head_text_bytes;
    struct http_head response; /* the answer's head while it is being handled */
    uint64_t random_state;     /* for trace ids */
    struct peer_headers peer_headers;

    struct proxy_listener listeners[PROXY_LISTENERS_MAX];
    size_t listeners_count, listeners_open;
    bool accepting_paused;
    bool draining;
    struct io_timer drain_timer;

    struct proxy_metrics metrics;
};

static inline void proxy_count_limit(struct proxy *proxy, enum proxy_limit limit)
{
    counter_add(&proxy->metrics.limits_hit[limit], 1);
}

/* How long nothing may pass through a tunnel, and which limit says so. */
static inline uint32_t proxy_tunnel_idle_ms(const struct proxy *proxy)
{
    const struct proxy_timeouts *timeouts = &proxy->settings->timeouts;
    return timeouts->stream_idle_ms > 0 ? timeouts->stream_idle_ms : timeouts->idle_ms;
}
static inline enum proxy_limit proxy_tunnel_idle_limit(const struct proxy *proxy)
{
    return proxy->settings->timeouts.stream_idle_ms > 0 ? PROXY_LIMIT_STREAM_IDLE
                                                        : PROXY_LIMIT_IDLE;
}

/* A connection is gone: accepting may go on. */
void proxy_connection_freed(struct proxy *proxy);

#endif
