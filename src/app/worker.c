#include "app/worker.h"

#include "base/rcu.h"
#include "crypto/boringssl_memory.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Nothing needs the loop to come round by itself; this only bounds what a lost wake-up could cost.
 */
#define WAIT_MS_MAX 1000

static void set_state(struct worker *worker, enum worker_state state)
{
    atomic_store_explicit(&worker->state, state, memory_order_release);
    pthread_kill(worker->watcher, SIGUSR1);
}

/* The mailbox is read once a turn anyhow: being woken is all there is to it. */
static void woken(void *context)
{
    (void)context;
}

static void read_mailbox(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    const struct generation *next = worker->next_generation;
    bool drain = worker->drain_asked;
    worker->next_generation = NULL;
    worker->drain_asked = false;
    pthread_mutex_unlock(&worker->lock);
    if (next != NULL) {
        proxy_configure(worker->proxy, &next->proxy, next->tls);
        if (worker->store_client != NULL) {
            store_client_use_tls(worker->store_client, next->redis_tls);
        }
        atomic_store_explicit(&worker->generation_in_use, next->number, memory_order_release);
        pthread_kill(worker->watcher, SIGUSR1);
    }
    if (drain) {
        proxy_drain(worker->proxy);
    }
}

static bool start_failed(struct worker *worker, const char *what)
{
    snprintf(worker->error, sizeof worker->error, "%s", what);
    return false;
}

static bool start_io(struct worker *worker)
{
    struct io_options options = {.backend = worker->io_backend};
    enum status status = io_new(&options, &worker->io);
    if (status == STATUS_OK) {
        return true;
    }
    const char *name = io_backend_name(worker->io_backend);
    if (status == STATUS_DENIED) {
        snprintf(worker->error, sizeof worker->error,
                 "io_backend: %s: the kernel, or its seccomp profile, does not allow it", name);
    } else {
        snprintf(worker->error, sizeof worker->error, "io_backend: %s: %m", name);
    }
    return false;
}

/* Turns until the first attempt to connect has come to an end, which takes timeouts.redis at most:
 * the first requests should find the store there. */
static bool start_store(struct worker *worker, const struct generation *generation)
{
    if (worker->store == NULL) {
        return true;
    }
    worker->store_client = store_client_new(worker->store, worker->io, generation->redis_tls);
    if (worker->store_client == NULL) {
        return start_failed(worker, "out of memory");
    }
    enum status status = STATUS_OK;
    rcu_offline();
    while (status == STATUS_OK && store_client_state(worker->store_client) == STORE_CONNECTING) {
        status = io_turn(worker->io, WAIT_MS_MAX);
    }
    rcu_online();
    return status == STATUS_OK || start_failed(worker, "the loop failed");
}

static bool start(struct worker *worker, const struct generation *generation)
{
    if (!start_io(worker)) {
        return false;
    }
    io_set_wake(worker->io, woken, worker);
    if (!start_store(worker, generation)) {
        return false;
    }
    struct proxy_options options = {
        .io = worker->io,
        .log = worker->log,
        .auth_shared = worker->auth_shared,
        .store = worker->store_client,
        .settings = &generation->proxy,
        .tls = generation->tls,
        .keep_identities = worker->keep_identities,
    };
    worker->proxy = proxy_new(&options);
    if (worker->proxy == NULL) {
        return start_failed(worker, "out of memory");
    }
    for (size_t i = 0; i < worker->listeners_count; i++) {
        int descriptor = worker->listeners[i];
        worker->listeners[i] = -1;
        if (proxy_listen(worker->proxy, descriptor) != STATUS_OK) {
            return start_failed(worker, "cannot accept on a listener");
        }
    }
    return true;
}

/* One turn: offline while it may block, online while it reads what RCU protects. */
static bool turn(struct worker *worker)
{
    rcu_offline();
    enum status status = io_turn(worker->io, proxy_wants_turn(worker->proxy) ? 0 : WAIT_MS_MAX);
    rcu_online();
    if (status != STATUS_OK) {
        log_message(worker->log, LOG_ERROR, "io", "worker %u: the loop failed: %m", worker->index);
        return false;
    }
    proxy_turn_end(worker->proxy);
    read_mailbox(worker);
    proxy_turn_end(worker->proxy); /* what the mailbox closed */
    return true;
}

/* After the proxy, whose exchanges it serves. */
static void end_store(struct worker *worker)
{
    if (worker->store_client == NULL || !proxy_finished(worker->proxy)) {
        return;
    }
    store_client_close(worker->store_client);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !store_client_is_closed(worker->store_client)) {
        status = io_turn(worker->io, WAIT_MS_MAX);
    }
}

static void serve(struct worker *worker, const struct generation *generation)
{
    if (!start(worker, generation)) {
        set_state(worker, WORKER_FAILED);
        return;
    }
    atomic_store_explicit(&worker->generation_in_use, generation->number, memory_order_release);
    set_state(worker, WORKER_RUNNING);
    while (!proxy_finished(worker->proxy) && turn(worker)) {
    }
    end_store(worker);
    set_state(worker, WORKER_DONE);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    /* Set by worker_start, before the thread was there. */
    const struct generation *generation = worker->next_generation;
    worker->next_generation = NULL;
    boringssl_memory_thread_begin();
    rcu_register();
    serve(worker, generation);
    rcu_unregister();
    boringssl_memory_thread_end();
    return NULL;
}

enum status worker_start(struct worker *worker, const struct generation *generation)
{
    worker->next_generation = generation;
    atomic_init(&worker->state, WORKER_STARTING);
    atomic_init(&worker->generation_in_use, 0);
    if (pthread_mutex_init(&worker->lock, NULL) != 0) {
        return STATUS_SYSTEM;
    }
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        pthread_mutex_destroy(&worker->lock);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

void worker_configure(struct worker *worker, const struct generation *generation)
{
    pthread_mutex_lock(&worker->lock);
    worker->next_generation = generation;
    pthread_mutex_unlock(&worker->lock);
    io_wake(worker->io);
}

void worker_drain(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->drain_asked = true;
    pthread_mutex_unlock(&worker->lock);
    io_wake(worker->io);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    /* A loop that failed, or never began, leaves its sockets to the process's end. */
    if (worker->proxy != NULL && proxy_finished(worker->proxy)) {
        proxy_free(worker->proxy);
        store_client_free(worker->store_client);
        io_free(worker->io);
    }
    for (size_t i = 0; i < worker->listeners_count; i++) {
        if (worker->listeners[i] >= 0) {
            close(worker->listeners[i]);
        }
    }
    pthread_mutex_destroy(&worker->lock);
}
