#include "app/replay_store.h"

#include "app/name_lookup.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay_store {
    struct store *store;
    struct auth_shared *shared;
    _Atomic int64_t clock_skew_s;
    struct store_url url;
    struct name_lookup *lookup; /* under way, or NULL */
    bool numeric;               /* the host is an address: it is never looked up again */
};

/* ---- what the store finds out ---- */

/* Above every proof that any replica, whose clock may differ from ours by clock_skew, can have
 * accepted `age_s` ago. */
static int64_t floor_for(const struct replay_store *store, uint64_t age_s)
{
    return clock_read().wall_s - (int64_t)age_s + (int64_t)replay_ahead_s(store->shared->replay) +
           atomic_load_explicit(&store->clock_skew_s, memory_order_relaxed) + 1;
}

static void memory_lost(void *context, uint64_t age_s)
{
    struct replay_store *store = context;
    auth_raise_floor(store->shared, floor_for(store, age_s));
}

static void local(void *context, bool begins)
{
    struct replay_store *store = context;
    auth_set_local(store->shared, begins, floor_for(store, 0));
}

static void reach_grew(void *context, uint64_t reach_s)
{
    struct replay_store *store = context;
    struct replay_cache *replay = store->shared->replay;
    (void)replay_widen(replay, reach_s + replay_ahead_s(replay), reach_s);
}

/* ---- where it is ---- */

static void set_address(struct store *store, const struct name_address *found)
{
    store_set_address(store, (const struct sockaddr *)&found->address, found->size);
}

/* At the start: waits for the answer. */
static bool look_up(const struct store_url *url, struct name_address *found)
{
    struct name_lookup *lookup = name_lookup_new(url->host, url->port, NULL);
    bool is_known = lookup != NULL && name_lookup_wait(lookup, found) == STATUS_OK;
    name_lookup_free(lookup);
    return is_known;
}

void replay_store_look(struct replay_store *store)
{
    if (store == NULL || store->numeric) {
        return;
    }
    if (store->lookup == NULL && store_wants_address(store->store)) {
        store->lookup = name_lookup_new(store->url.host, store->url.port, NULL);
    }
    if (store->lookup == NULL) {
        return;
    }
    struct name_address found;
    enum status status = name_lookup_poll(store->lookup, &found);
    if (status == STATUS_OK) {
        set_address(store->store, &found);
    }
    if (status != STATUS_AGAIN) {
        name_lookup_free(store->lookup);
        store->lookup = NULL;
    }
}

/* ---- a look before the start ---- */

/* Whether it makes sense to start. */
static bool is_hopeless(enum store_state state)
{
    return state == STORE_AUTH || state == STORE_POLICY || state == STORE_TLS;
}

static enum status turn_until_known(struct io *io, const struct store_client *client)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && store_client_state(client) == STORE_CONNECTING) {
        status = io_turn(io, 1000);
    }
    return status;
}

static enum status probe(const struct store_options *options, const struct generation *generation,
                         const struct name_address *address, char *error, size_t error_size)
{
    struct io *io = NULL;
    const struct io_options io_options = {.backend = IO_EPOLL};
    if (io_new(&io_options, &io) != STATUS_OK) {
        snprintf(error, error_size, "replay.redis: no loop to look at it: %m");
        return STATUS_SYSTEM;
    }
    struct store *probed = store_new(options);
    struct store_client *client = NULL;
    if (probed != NULL) {
        set_address(probed, address);
        client = store_client_new(probed, io, generation->redis_tls);
    }
    enum status status = STATUS_OK;
    if (client != NULL && turn_until_known(io, client) == STATUS_OK) {
        enum store_state state = store_client_state(client);
        if (is_hopeless(state)) {
            snprintf(error, error_size, "replay.redis: %s:%u cannot be used: %s",
                     options->url->host, options->url->port, store_client_failure(client));
            status = STATUS_DENIED;
        }
        store_client_close(client);
        while (!store_client_is_closed(client) && io_turn(io, 1000) == STATUS_OK) {
        }
        store_client_free(client);
    }
    store_free(probed);
    io_free(io);
    return status;
}

/* ---- life ---- */

static struct store_options options_of(const struct generation *generation)
{
    const struct config *config = generation->config;
    return (struct store_options){
        .url = &config->replay.redis_url,
        .timeout_ms = config->timeouts.redis_ms,
        .clients = 1,
        .reach_s = auth_replay_reach_s(&generation->auth),
        .slack_s = (uint64_t)config->dpop.clock_skew_s + 1,
    };
}

enum status replay_store_new(const struct generation *generation, uint32_t workers, struct log *log,
                             struct auth_shared *shared, struct replay_store **out, char *error,
                             size_t error_size)
{
    const struct config *config = generation->config;
    struct replay_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(error, error_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    store->shared = shared;
    store->url = config->replay.redis_url;
    store->numeric = name_is_address(store->url.host);
    atomic_init(&store->clock_skew_s, config->dpop.clock_skew_s);
    struct store_options options = options_of(generation);
    struct name_address address;
    const bool is_known = look_up(&store->url, &address);
    enum status status = is_known ? probe(&options, generation, &address, error, error_size)
                                  : STATUS_OK;
    if (status != STATUS_OK) {
        replay_store_free(store);
        return status;
    }
    options.clients = workers;
    options.failure_local = config->replay.redis_failure_local;
    options.first_epoch_is_good = config->replay.cold_start_accept;
    options.log = log;
    options.context = store;
    options.memory_lost = memory_lost;
    options.local = local;
    options.reach_grew = reach_grew;
    store->store = store_new(&options);
    if (store->store == NULL) {
        replay_store_free(store);
        snprintf(error, error_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    if (is_known) { /* else it is looked up again later */
        set_address(store->store, &address);
    }
    *out = store;
    return STATUS_OK;
}

void replay_store_free(struct replay_store *store)
{
    if (store == NULL) {
        return;
    }
    name_lookup_free(store->lookup);
    store_free(store->store);
    explicit_bzero(&store->url, sizeof store->url);
    free(store);
}

struct store *replay_store_of(const struct replay_store *store)
{
    return store != NULL ? store->store : NULL;
}

void replay_store_configure(struct replay_store *store, const struct generation *next)
{
    if (store == NULL) {
        return;
    }
    int64_t skew_s = next->config->dpop.clock_skew_s;
    atomic_store_explicit(&store->clock_skew_s, skew_s, memory_order_relaxed);
    store_set_window(store->store, auth_replay_reach_s(&next->auth), (uint64_t)skew_s + 1);
}
