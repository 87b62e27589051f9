#include "app/gate_internal.h"

#include "app/admin_pages.h"
#include "app/listeners.h"
#include "app/metrics_page.h"
#include "app/notify.h"
#include "app/privileges.h"
#include "base/clock.h"
#include "crypto/verify.h"
#include "replay/replay_cache.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_RING_BYTES (1024 * 1024)
/* Requests a second that a worker may well be asked for: start warns about less room than that. */
#define REPLAY_RATE_PER_WORKER 500

static enum status say(const char *text)
{
    fprintf(stderr, "popgate: %s\n", text);
    return STATUS_FAILED;
}

static void print_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        fprintf(stderr, "%s\n", errors->list[i].text);
    }
}

/* ---- what all workers share ---- */

static enum status load_first_generation(struct gate_process *gate)
{
    struct config_errors *errors = calloc(1, sizeof *errors);
    gate->ticket_keys = tls_ticket_keys_new();
    if (errors == NULL || gate->ticket_keys == NULL) {
        free(errors);
        return say("out of memory");
    }
    enum status status = generation_load(gate->options->config_path, 1, gate->ticket_keys,
                                         &gate->generation, errors);
    print_errors(errors);
    free(errors);
    return status;
}

static enum status check_start(const struct gate_process *gate)
{
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (errors == NULL) {
        return say("out of memory");
    }
    enum status status = generation_check_start(gate->generation, gate->options->allow_demo,
                                                errors);
    print_errors(errors);
    free(errors);
    return status;
}

static const char *memory_text(const struct config *config, int survived)
{
    switch ((enum replay_memory)survived) {
    case REPLAY_SURVIVED:
        return "earlier proofs are remembered";
    case REPLAY_SHORTER:
        return "earlier proofs were remembered for a shorter time: older ones are challenged with "
               "use_dpop_nonce";
    case REPLAY_FRESH:
        break;
    }
    return config->replay.cold_start_accept
               ? "no earlier memory, and cold_start is accept: proofs from before the start may "
                 "replay once"
               : "no earlier memory: older proofs are challenged with use_dpop_nonce";
}

/* What the memory holds, in numbers a person can compare with what is expected of it. */
static void log_replay(const struct gate_process *gate, const char *memory)
{
    struct replay_counters counters;
    struct replay_cache *replay = gate->auth_shared.replay;
    replay_read_counters(replay, clock_read().boot_ns / 1000000000u, &counters);
    uint64_t window_s = replay_reach_s(replay) + replay_ahead_s(replay);
    uint64_t rate = counters.capacity / window_s;
    log_message(gate->log, LOG_INFO, "start",
                "replay cache: %llu proofs in %llu bytes, for %llu s, sustain %llu a second; %s",
                (unsigned long long)counters.capacity, (unsigned long long)counters.bytes,
                (unsigned long long)window_s, (unsigned long long)rate, memory);
    uint64_t configured = gate->generation->config->replay.capacity;
    if (counters.capacity != configured) {
        log_message(gate->log, LOG_WARN, "start",
                    "replay.capacity is %llu, but another process uses the file, made for %llu: "
                    "that stands until both have ended",
                    (unsigned long long)configured, (unsigned long long)counters.capacity);
    }
    uint64_t expected = (uint64_t)REPLAY_RATE_PER_WORKER * gate->workers_count;
    if (rate < expected) {
        log_message(gate->log, LOG_WARN, "start",
                    "replay.capacity %llu sustains %llu requests a second for %llu s; %u worker%s "
                    "can be asked for %llu, which takes %llu: beyond it requests get 429 and 503",
                    (unsigned long long)counters.capacity, (unsigned long long)rate,
                    (unsigned long long)window_s, gate->workers_count,
                    gate->workers_count == 1 ? "" : "s", (unsigned long long)expected,
                    (unsigned long long)expected * window_s);
    }
}

static enum status make_replay_cache(struct gate_process *gate)
{
    const struct config *config = gate->generation->config;
    const struct auth_settings *auth = &gate->generation->auth;
    struct replay_options options = {
        .capacity = config->replay.capacity,
        .window_s_max = auth_replay_window_s(auth),
        .reach_s = auth_replay_reach_s(auth),
        .path = config->replay.path[0] != '\0' ? config->replay.path : NULL,
    };
    int survived = 0;
    char text[512] = "";
    if (replay_cache_new(&options, &gate->auth_shared.replay, &survived, text, sizeof text) !=
        STATUS_OK) {
        fprintf(stderr, "popgate: replay: %s\n", text);
        return STATUS_FAILED;
    }
    auth_take_over(&gate->auth_shared);
    /* The memory that counts may be elsewhere, and says by itself how far back it goes. With local
     * inserts while it is away, it has not seen all. */
    bool elsewhere = gate->auth_shared.store && !config->replay.redis_failure_local;
    if (!elsewhere && (survived == REPLAY_SHORTER ||
                       (survived == REPLAY_FRESH && !config->replay.cold_start_accept))) {
        auth_raise_floor_to_now(&gate->auth_shared, clock_read().wall_s);
    }
    if (text[0] != '\0') {
        log_message(gate->log, survived == REPLAY_FRESH ? LOG_WARN : LOG_INFO, "start",
                    "replay.path: %s", text);
    }
    log_replay(gate, elsewhere ? "earlier proofs are asked for at replay.redis"
                               : memory_text(config, survived));
    return STATUS_OK;
}

static enum status make_shared(struct gate_process *gate)
{
    const struct config *config = gate->generation->config;
    bool shared = config->dpop.nonce_shared;
    gate->auth_shared.nonces = nonce_issuer_new(shared ? gate->generation->nonce_key : NULL,
                                                shared ? NONCE_SHARED : NONCE_INSTANCE);
    struct verifier_options options = {.key_memory_bytes = config->key_memory_bytes};
    gate->auth_shared.verifier = verifier_new(&options);
    if (gate->auth_shared.verifier == NULL) {
        return say("crypto: no such implementation for this CPU, or out of memory");
    }
    if (gate->auth_shared.nonces == NULL) {
        return say("out of memory");
    }
    gate->auth_shared.store = config->replay.redis[0] != '\0';
    enum status status = make_replay_cache(gate);
    if (status == STATUS_OK && gate->auth_shared.store) {
        char error[512] = "";
        status = replay_store_new(gate->generation, gate->workers_count, gate->log,
                                  &gate->auth_shared, &gate->replay_store, error, sizeof error);
        if (status != STATUS_OK) {
            return say(error);
        }
    }
    return status;
}

/* ---- workers ---- */

static enum status bind_listeners(struct gate_process *gate)
{
    const struct config *config = gate->generation->config;
    char error[256];
    if (config->admin_listen.address_size > 0) {
        gate->admin_listener = listener_open(&config->admin_listen, error, sizeof error);
        if (gate->admin_listener < 0) {
            return say(error);
        }
    }
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        struct worker *worker = &gate->workers[i];
        for (size_t j = 0; j < config->listen_count; j++) {
            int descriptor = listener_open(&config->listen[j], error, sizeof error);
            if (descriptor < 0) {
                return say(error);
            }
            worker->listeners[worker->listeners_count++] = descriptor;
        }
    }
    return STATUS_OK;
}

/* Before the workers, so that /livez answers and /readyz says no while they start. */
static enum status start_admin(struct gate_process *gate)
{
    struct admin_options options = {
        .log = gate->log,
        .collect = metrics_page_collect,
        .context = gate,
        .private_page = admin_pages_answer,
    };
    char error[256];
    if (gate->admin_listener >= 0) {
        options.listeners[options.listeners_count++] = gate->admin_listener;
    }
    options.private_from = options.listeners_count;
    const char *path = gate->generation->config->admin_socket;
    if (path[0] != '\0') {
        /* As the user that the process is by now, who is the one that may use it. */
        int descriptor = listener_open_unix(path, error, sizeof error);
        if (descriptor < 0) {
            return say(error);
        }
        gate->admin_socket_made = true;
        options.listeners[options.listeners_count++] = descriptor;
    }
    if (options.listeners_count == 0) {
        return STATUS_OK;
    }
    gate->admin_listener = -1;
    return admin_new(&options, &gate->admin, error, sizeof error) == STATUS_OK ? STATUS_OK
                                                                               : say(error);
}

static enum status wait_for_start(struct gate_process *gate)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    for (uint32_t i = 0; i < gate->workers_started; i++) {
        int state;
        while ((state = atomic_load_explicit(&gate->workers[i].state, memory_order_acquire)) ==
               WORKER_STARTING) {
            sigwaitinfo(&set, NULL);
        }
        if (state != WORKER_RUNNING) {
            return say(gate->workers[i].error);
        }
    }
    return STATUS_OK;
}

static enum status start_workers(struct gate_process *gate)
{
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        struct worker *worker = &gate->workers[i];
        worker->index = i;
        worker->io_backend = gate->generation->config->io_backend;
        worker->log = gate->log;
        worker->keep_identities = gate->generation->config->admin_socket[0] != '\0';
        worker->auth_shared = &gate->auth_shared;
        worker->store = replay_store_of(gate->replay_store);
        worker->watcher = pthread_self();
        if (worker_start(worker, gate->generation) != STATUS_OK) {
            return say("cannot start a thread");
        }
        gate->workers_started++;
    }
    return wait_for_start(gate);
}

static void log_start(const struct gate_process *gate)
{
    const struct config *config = gate->generation->config;
    const struct io *io = gate->workers[0].io;
    const char *notes = io_notes(io);
    log_message(gate->log, LOG_INFO, "start", "popgate %s: %u worker%s, io %s%s%s, crypto %s, %s",
                POPGATE_VERSION, gate->workers_count, gate->workers_count == 1 ? "" : "s",
                io_backend_name(io_backend_of(io)), notes[0] != '\0' ? "; " : "", notes,
                verifier_implementation(gate->auth_shared.verifier), tls_library_version());
    for (size_t i = 0; i < config->listen_count; i++) {
        log_message(gate->log, LOG_INFO, "start", "listening on %s, forwarding to %s",
                    config->listen[i].text, config->upstream.text);
    }
    const struct auth_settings *auth = &gate->generation->auth;
    for (size_t i = 0; i < auth->public_origins_count; i++) {
        log_message(gate->log, LOG_INFO, "start", "public origin %.*s",
                    SPAN_ARG(auth->public_origins[i]));
    }
    if (gate->generation->proxy.descriptors_max != UINT32_MAX) {
        log_message(gate->log, LOG_WARN, "start",
                    "limits.connections is %u, but %llu descriptors allow %u a worker: raise "
                    "LimitNOFILE or ulimit -n",
                    config->limits.connections, (unsigned long long)gate->descriptors,
                    gate->generation->proxy.descriptors_max);
    }
}

enum status gate_process_start(struct gate_process *gate, const struct gate_options *options)
{
    memset(gate, 0, sizeof *gate);
    pthread_mutex_init(&gate->shown_lock, NULL);
    gate->options = options;
    gate->admin_listener = -1;
    if (load_first_generation(gate) != STATUS_OK || check_start(gate) != STATUS_OK) {
        return STATUS_FAILED;
    }
    const struct config *config = gate->generation->config;
    gate->log = log_new(STDOUT_FILENO, config->log_format, config->log_level, LOG_RING_BYTES);
    if (gate->log == NULL) {
        return say("out of memory");
    }
    gate->workers_count = config->workers < GATE_WORKERS_MAX ? config->workers : GATE_WORKERS_MAX;
    uint64_t wanted = (uint64_t)config->limits.connections * DESCRIPTORS_PER_CONNECTION *
                          gate->workers_count +
                      DESCRIPTORS_RESERVED + (uint64_t)DESCRIPTORS_PER_WORKER * gate->workers_count;
    gate->descriptors = privileges_raise_descriptors(wanted);
    gate_set_descriptors_max(gate, gate->generation);
    char error[256];
    if (bind_listeners(gate) != STATUS_OK) {
        return STATUS_FAILED;
    }
    if (privileges_drop(config->user, error, sizeof error) != STATUS_OK) {
        return say(error);
    }
    /* The replay file is made as the user that will own it. */
    gate_show_generation(gate);
    if (make_shared(gate) != STATUS_OK || start_admin(gate) != STATUS_OK ||
        start_workers(gate) != STATUS_OK) {
        return STATUS_FAILED;
    }
    gate_set_readiness(gate, ADMIN_READY);
    log_start(gate);
    gate_notified(gate, notify_send("READY=1"));
    return STATUS_OK;
}
