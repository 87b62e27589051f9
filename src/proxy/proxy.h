/* One worker's proxy: connections in, checks, exchanges with the service, answers out. Everything
 * here runs on the worker's thread; nothing blocks.
 *
 *   downstream   one client connection: descriptor, TLS, records, closing
 *   h1           HTTP/1.1 on a downstream: heads, bodies, the queue of pipelined requests
 *   exchange     one request and its answer, whatever the version: check, forwarding, outcome, log
 * line upstream     one connection to the service and the pool of idle ones
 *
 * A turn: io_turn runs the callbacks, which feed these; then proxy_turn_end verifies what the turn
 * brought, forwards what passed, and queues the sends, which the next io_turn hands to the kernel
 * together with its wait. */
#ifndef POPGATE_PROXY_PROXY_H
#define POPGATE_PROXY_PROXY_H

#include "base/log.h"
#include "io/io.h"
#include "proxy/metrics.h"
#include "proxy/settings.h"
#include "tls/context.h"

struct identities;
struct store_client;
struct proxy;

struct proxy_options {
    struct io *io;
    struct log *log;
    struct auth_shared *auth_shared;
    const struct proxy_settings *settings;
    struct tls_context *tls;    /* acquired */
    struct store_client *store; /* borrowed, outlives the proxy; NULL: none */
    bool keep_identities;       /* proxy_identities */
};

/* Returns owned, NULL when memory fails. */
struct proxy *proxy_new(const struct proxy_options *options);
/* After proxy_finished. */
void proxy_free(struct proxy *proxy);

/* Accepts from a bound, listening descriptor (taken). */
MUST_CHECK enum status proxy_listen(struct proxy *proxy, int descriptor);

/* After every io_turn, on a thread registered with base/rcu and online. */
void proxy_turn_end(struct proxy *proxy);
/* There is work that no completion will bring: the next io_turn must not wait. */
bool proxy_wants_turn(const struct proxy *proxy);

/* Another generation, from the next proxy_turn_end's end on: open connections are verified again
 * under `tls` and closed if they fail. The old settings are not touched after that. Call between
 * proxy_turn_end and io_turn. */
void proxy_configure(struct proxy *proxy, const struct proxy_settings *settings,
                     struct tls_context *tls);

/* Stops accepting, answers with Connection: close, closes idle connections after a short grace, and
 * everything that is left after the drain timeout. */
void proxy_drain(struct proxy *proxy);
/* True once a drained proxy has no connection, listener or timer left. */
bool proxy_finished(const struct proxy *proxy);

/* For the admin thread; valid as long as the proxy. */
const struct proxy_metrics *proxy_metrics_of(const struct proxy *proxy);
const struct auth_worker *proxy_auth_worker(const struct proxy *proxy);
/* NULL unless options.keep_identities. */
struct identities *proxy_identities(const struct proxy *proxy);

#endif
