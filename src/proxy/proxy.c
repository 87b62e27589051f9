#include "proxy/proxy.h"

#include "proxy/core.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/h1.h"
#include "proxy/h2_internal.h"
#include "proxy/upstream.h"
#include "proxy/upstream_h2.h"
#include "proxy/upstream_wait.h"
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- making ---- */

/* Any head within head_bytes, rewritten, with our headers: the claims together are no longer than
 * the token, and each certificate value may double by quoting. */
static size_t head_text_bytes_for(const struct proxy_settings *settings)
{
    size_t certificate = 2 * (TLS_SUBJECT_MAX + (size_t)3 * TLS_SPIFFE_ID_MAX + 4 * 256);
    return 2 * (size_t)settings->limits.head_bytes_max + settings->identity_bytes_max +
           certificate + 4096;
}

static bool size_head_text(struct proxy *proxy, const struct proxy_settings *settings)
{
    size_t bytes = head_text_bytes_for(settings);
    if (bytes <= proxy->head_text_bytes) {
        return true;
    }
    char *text = realloc(proxy->head_text, bytes);
    if (text == NULL) {
        return false;
    }
    proxy->head_text = text;
    proxy->head_text_bytes = bytes;
    return true;
}

static void drain_timer_fired(struct io_timer *timer)
{
    struct proxy *proxy = CONTAINER_OF(timer, struct proxy, drain_timer);
    downstream_cut_all(proxy);
}

/* 0: any number. */
static size_t chunks_max(const struct proxy_settings *settings)
{
    return (size_t)(settings->buffers_bytes_max / PROXY_CHUNK_BYTES);
}

static void init_memory(struct proxy *proxy)
{
    chunk_pool_init(&proxy->chunks, PROXY_CHUNK_BYTES, chunks_max(proxy->settings));
    slab_init(&proxy->downstreams, sizeof(struct downstream), 0, 1024);
    slab_init(&proxy->exchanges, sizeof(struct exchange), 0, 256);
    slab_init(&proxy->upstreams, sizeof(struct upstream), 0, 256);
    slab_init(&proxy->h2s, sizeof(struct h2), 0, 256);
    slab_init(&proxy->h2_requests, sizeof(struct h2_request), 0, 256);
    slab_init(&proxy->h2_upstreams, upstream_h2_size(), 0, 16);
    slab_init(&proxy->h2_upstream_streams, upstream_h2_stream_size(), 0, 256);
    slab_init(&proxy->inputs, 2 * (size_t)PROXY_INPUT_BYTES + 8, 0, 256);
}

struct proxy *proxy_new(const struct proxy_options *options)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return NULL;
    }
    proxy->io = options->io;
    proxy->log = options->log;
    proxy->settings = options->settings;
    proxy->store = options->store;
    proxy->drain_timer.fired = drain_timer_fired;
    proxy_metrics_init(&proxy->metrics);
    init_memory(proxy);
    if (getrandom(&proxy->random_state, sizeof proxy->random_state, 0) !=
        (ssize_t)sizeof proxy->random_state) {
        proxy->random_state = (uint64_t)(uintptr_t)
            proxy; /* trace ids need to differ, not to be secret */
    }
    proxy->auth = auth_worker_new(options->auth_shared, options->settings->auth);
    bool kept = true;
    if (options->keep_identities) {
        proxy->identities = identities_new();
        kept = proxy->identities != NULL;
    }
    if (proxy->auth == NULL || !kept || !size_head_text(proxy, options->settings)) {
        identities_free(proxy->identities);
        auth_worker_free(proxy->auth);
        free(proxy->head_text);
        free(proxy);
        return NULL;
    }
    proxy->tls = options->tls;
    tls_context_acquire(proxy->tls);
    return proxy;
}

void proxy_free(struct proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    assert(proxy->connections == NULL && proxy->upstreams_open == NULL &&
           proxy->h2_upstreams_open == NULL);
    auth_worker_free(proxy->auth);
    identities_free(proxy->identities);
    tls_context_release(proxy->tls);
    slab_cleanup(&proxy->downstreams);
    slab_cleanup(&proxy->exchanges);
    slab_cleanup(&proxy->upstreams);
    slab_cleanup(&proxy->h2s);
    slab_cleanup(&proxy->h2_requests);
    slab_cleanup(&proxy->h2_upstreams);
    slab_cleanup(&proxy->h2_upstream_streams);
    slab_cleanup(&proxy->inputs);
    chunk_pool_cleanup(&proxy->chunks);
    free(proxy->head_text);
    free(proxy);
}

const struct proxy_metrics *proxy_metrics_of(const struct proxy *proxy)
{
    return &proxy->metrics;
}

struct identities *proxy_identities(const struct proxy *proxy)
{
    return proxy->identities;
}

const struct auth_worker *proxy_auth_worker(const struct proxy *proxy)
{
    return proxy->auth;
}

/* ---- accepting ---- */

static void pause_accepting(struct proxy *proxy)
{
    if (proxy->accepting_paused) {
        return;
    }
    proxy->accepting_paused = true;
    proxy_count_limit(proxy, PROXY_LIMIT_DESCRIPTORS);
    for (size_t i = 0; i < proxy->listeners_count; i++) {
        if (proxy->listeners[i].open) {
            io_listener_pause(&proxy->listeners[i].listener);
        }
    }
}

void proxy_connection_freed(struct proxy *proxy)
{
    if (!proxy->accepting_paused || proxy->draining ||
        proxy->connections_count >= proxy->settings->descriptors_max) {
        return;
    }
    proxy->accepting_paused = false;
    for (size_t i = 0; i < proxy->listeners_count; i++) {
        if (proxy->listeners[i].open) {
            io_listener_resume(&proxy->listeners[i].listener);
        }
    }
}

static void on_accepted(struct io_listener *listener, struct io_accepted accepted)
{
    struct proxy *proxy = ((struct proxy_listener *)listener)->proxy;
    downstream_accept(proxy, accepted.descriptor);
    if (proxy->connections_count >= proxy->settings->descriptors_max) {
        pause_accepting(proxy);
    }
}

static void on_listener_closed(struct io_listener *listener)
{
    struct proxy_listener *one = (struct proxy_listener *)listener;
    one->proxy->listeners_open--;
}

enum status proxy_listen(struct proxy *proxy, int descriptor)
{
    if (proxy->listeners_count == PROXY_LISTENERS_MAX) {
        return STATUS_FULL;
    }
    struct proxy_listener *one = &proxy->listeners[proxy->listeners_count];
    *one = (struct proxy_listener){.proxy = proxy};
    one->listener.accepted = on_accepted;
    one->listener.closed = on_listener_closed;
    enum status status = io_listen(proxy->io, &one->listener, descriptor);
    if (status != STATUS_OK) {
        close(descriptor);
        return status;
    }
    one->open = true;
    proxy->listeners_count++;
    proxy->listeners_open++;
    return STATUS_OK;
}

/* ---- the turn ---- */

/* A denial may bring the next request of a pipeline, which submits again: until nothing is queued.
 */
static void decide(struct proxy *proxy)
{
    struct auth_check *check;
    while ((check = auth_run(proxy->auth, io_now(proxy->io))) != NULL) {
        while (check != NULL) {
            struct auth_check *next = check->next;
            exchange_decided(check->user);
            check = next;
        }
    }
}

void proxy_turn_end(struct proxy *proxy)
{
    proxy->turn++;
    h1_next_turn(proxy);
    decide(proxy);
    if (proxy->store != NULL) {
        store_flush(proxy->store);
    }
    upstream_wait_serve(proxy);
    h2_flush_all(proxy);
    downstream_flush_all(proxy);
    upstream_flush_all(proxy);
    upstream_h2_flush_all(proxy);
    exchange_free_finished(proxy);
}

bool proxy_wants_turn(const struct proxy *proxy)
{
    return proxy->next_turn != NULL;
}

/* ---- reload and drain ---- */

static bool same_upstream(const struct proxy_settings *a, const struct proxy_settings *b)
{
    return a->upstream_size == b->upstream_size && a->upstream_h2 == b->upstream_h2 &&
           memcmp(&a->upstream, &b->upstream, a->upstream_size) == 0;
}

void proxy_configure(struct proxy *proxy, const struct proxy_settings *settings,
                     struct tls_context *tls)
{
    if (!size_head_text(proxy, settings)) {
        /* Heads that need the new size are refused by their writer; nothing is cut. */
        log_message(proxy->log, LOG_ERROR, "reload", "no memory for longer heads");
    }
    if (!same_upstream(proxy->settings, settings)) {
        proxy->upstream_epoch++;
        upstream_close_idle(proxy);
        upstream_h2_close_idle(proxy);
    }
    auth_worker_configure(proxy->auth, settings->auth);
    peer_headers_clear(&proxy->peer_headers); /* they name us */
    proxy->settings = settings;
    proxy->chunks.slab.live_max = chunks_max(settings);
    tls_context_acquire(tls);
    tls_context_release(proxy->tls);
    proxy->tls = tls;
    downstream_reverify_all(proxy);
}

void proxy_drain(struct proxy *proxy)
{
    if (proxy->draining) {
        return;
    }
    proxy->draining = true;
    for (size_t i = 0; i < proxy->listeners_count; i++) {
        if (proxy->listeners[i].open) {
            proxy->listeners[i].open = false;
            io_listener_close(&proxy->listeners[i].listener);
        }
    }
    upstream_close_idle(proxy);
    upstream_h2_close_idle(proxy);
    downstream_drain_all(proxy);
    io_timer_set(proxy->io, &proxy->drain_timer, proxy->settings->timeouts.drain_ms);
}

bool proxy_finished(const struct proxy *proxy)
{
    return proxy->draining && proxy->listeners_open == 0 && proxy->connections == NULL &&
           proxy->upstreams_open == NULL && proxy->h2_upstreams_open == NULL;
}
