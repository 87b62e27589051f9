#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_labels[] = {
#define X(name, label) [STORE_##name] = label,
    STORE_STATE_LIST(X)
#undef X
};

const char *store_state_label(enum store_state state)
{
    return state_labels[state];
}

struct store *store_new(const struct store_options *options)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL || pthread_mutex_init(&store->lock, NULL) != 0) {
        free(store);
        return NULL;
    }
    store->options = *options;
    store->url = *options->url;
    store->options.url = &store->url;
    store_set_window(store, options->reach_s, options->slack_s);
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    pthread_mutex_destroy(&store->lock);
    explicit_bzero(&store->url, sizeof store->url);
    free(store);
}

void store_set_address(struct store *store, const struct sockaddr *address, socklen_t size)
{
    pthread_mutex_lock(&store->lock);
    memcpy(&store->address, address, size);
    store->address_size = size;
    pthread_mutex_unlock(&store->lock);
}

void store_address(struct store *store, struct sockaddr_storage *address, socklen_t *size)
{
    pthread_mutex_lock(&store->lock);
    *address = store->address;
    *size = store->address_size;
    pthread_mutex_unlock(&store->lock);
}

bool store_wants_address(struct store *store)
{
    return atomic_exchange_explicit(&store->address_wanted, false, memory_order_relaxed);
}

/* Relaxed: each is a number by itself. Who reads an old one inserts as before the reload, which the
 * epoch it does not know yet makes void. */
void store_set_window(struct store *store, uint64_t reach_s, uint64_t slack_s)
{
    uint64_t before_s = atomic_load_explicit(&store->reach_s, memory_order_relaxed);
    while (before_s < reach_s &&
           !atomic_compare_exchange_weak_explicit(&store->reach_s, &before_s, reach_s,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    atomic_store_explicit(&store->slack_s, slack_s, memory_order_relaxed);
}

void store_read_counters(struct store *store, struct store_counters *out)
{
    for (size_t i = 0; i < STORE_STATES; i++) {
        out->failures[i] = atomic_load_explicit(&store->failures[i], memory_order_relaxed);
    }
    out->memory_losses = atomic_load_explicit(&store->memory_losses, memory_order_relaxed);
    out->inserts = atomic_load_explicit(&store->inserts, memory_order_relaxed);
    out->batches = atomic_load_explicit(&store->batches, memory_order_relaxed);
    pthread_mutex_lock(&store->lock);
    out->state = store->state;
    out->local = store->local;
    pthread_mutex_unlock(&store->lock);
}

/* ---- what the clients find out ---- */

void store_adopt(struct store *store, const struct command_epoch *epoch, uint64_t age_s)
{
    const struct store_options *options = &store->options;
    pthread_mutex_lock(&store->lock);
    if (!command_epoch_equal(epoch, &store->epoch)) {
        bool first = store->epoch.size == 0;
        /* Who has seen another memory has accepted proofs by it, up to this moment. Who has seen
         * none trusts this one as far back as it goes. */
        uint64_t lost_s = first ? age_s : 0;
        if (!(first && options->first_epoch_is_good)) {
            if (options->memory_lost != NULL) {
                options->memory_lost(options->context, lost_s);
            }
            if (!first) {
                atomic_fetch_add_explicit(&store->memory_losses, 1, memory_order_relaxed);
                log_message(options->log, LOG_WARN, "redis",
                            "%s:%u has begun a new memory: older proofs are challenged with "
                            "use_dpop_nonce",
                            store->url.host, store->url.port);
            }
        }
        if (options->reach_grew != NULL &&
            epoch->reach_s > atomic_load_explicit(&store->reach_s, memory_order_relaxed)) {
            options->reach_grew(options->context, epoch->reach_s);
        }
        /* After the floor: a client that finds its epoch here need not raise it. */
        store->epoch = *epoch;
    }
    pthread_mutex_unlock(&store->lock);
}

bool store_greeted(struct store *store, struct store_standing *standing)
{
    const struct store_options *options = &store->options;
    pthread_mutex_lock(&store->lock);
    standing->greeted = true;
    store->greeted++;
    bool renew = store->local && store->greeted == options->clients;
    if (renew) {
        store->local = false;
        if (options->local != NULL) {
            options->local(options->context, false);
        }
    }
    pthread_mutex_unlock(&store->lock);
    return renew;
}

void store_ready(struct store *store, struct store_standing *standing, uint64_t age_s)
{
    pthread_mutex_lock(&store->lock);
    standing->ready = true;
    store->ready++;
    if (store->ready == store->options.clients) {
        store->state = STORE_READY;
        if (store->said != STORE_READY) {
            store->said = STORE_READY;
            log_message(store->options.log, LOG_INFO, "redis",
                        "%s:%u is ready; its memory began %llu s ago", store->url.host,
                        store->url.port, (unsigned long long)age_s);
        }
    }
    pthread_mutex_unlock(&store->lock);
}

/* The log says once that it is away, however often and in whatever way it is tried in vain; what
 * takes an operator is said by itself. */
static enum store_state said_as(enum store_state why)
{
    return why == STORE_TIMEOUT || why == STORE_LOADING ? STORE_UNREACHABLE : why;
}

void store_failed(struct store *store, struct store_standing *standing, enum store_state why,
                  const char *text)
{
    const struct store_options *options = &store->options;
    atomic_fetch_add_explicit(&store->failures[why], 1, memory_order_relaxed);
    if (why == STORE_UNREACHABLE || why == STORE_TIMEOUT || why == STORE_REPLICA) {
        atomic_store_explicit(&store->address_wanted, true, memory_order_relaxed);
    }
    pthread_mutex_lock(&store->lock);
    store->greeted -= standing->greeted ? 1 : 0;
    store->ready -= standing->ready ? 1 : 0;
    *standing = (struct store_standing){0};
    store->state = why;
    if (options->failure_local && !store->local) {
        store->local = true;
        if (options->local != NULL) {
            options->local(options->context, true);
        }
    }
    if (store->said != said_as(why)) {
        store->said = said_as(why);
        log_message(options->log, LOG_WARN, "redis", "%s:%u cannot be used: %s; %s",
                    store->url.host, store->url.port, text,
                    options->failure_local
                        ? "proofs are remembered here alone, and need a nonce of this replica"
                        : "requests with proofs are answered 503");
    }
    pthread_mutex_unlock(&store->lock);
}
