/* One worker: a thread, its loop, its proxy. Others speak to it through its mailbox alone. */
#ifndef POPGATE_APP_WORKER_H
#define POPGATE_APP_WORKER_H

#include "app/generation.h"
#include "base/log.h"
#include "io/io.h"
#include "proxy/proxy.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum worker_state {
    WORKER_STARTING,
    WORKER_RUNNING,
    WORKER_FAILED, /* could not start: `error` says why */
    WORKER_DONE,   /* drained */
};

struct worker {
    /* set before worker_start */
    uint32_t index;
    enum io_backend io_backend;
    struct log *log;
    bool keep_identities;
    struct auth_shared *auth_shared;
    struct store *store;                 /* NULL: none */
    int listeners[CONFIG_LISTENERS_MAX]; /* taken by the worker */
    size_t listeners_count;
    pthread_t watcher; /* gets SIGUSR1 when the state, or the generation in use, changes */

    pthread_t thread;
    _Atomic int state; /* enum worker_state */
    _Atomic uint64_t generation_in_use;
    char error[256];
    /* Valid while the state is RUNNING; the admin thread reads their counters. */
    struct io *io;
    struct proxy *proxy;
    struct store_client *store_client; /* NULL: none */

    /* The mailbox. */
    pthread_mutex_t lock;
    const struct generation *next_generation;
    bool drain_asked;
};

/* Starts the thread with its first generation. STATUS_OK: it will become RUNNING or FAILED. */
MUST_CHECK enum status worker_start(struct worker *worker, const struct generation *generation);

/* Any thread. The generation stays valid until generation_in_use says a later one, or the worker is
 * done. */
void worker_configure(struct worker *worker, const struct generation *generation);
void worker_drain(struct worker *worker);

/* Waits for the thread's end and frees what it made. */
void worker_join(struct worker *worker);

#endif
