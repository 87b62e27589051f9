#include "app/gate_process.h"

#include "admin/admin.h"
#include "app/admin_pages.h"
#include "app/listeners.h"
#include "app/metrics_page.h"
#include "app/notify.h"
#include "app/privileges.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "crypto/verify.h"
#include "replay/replay_cache.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_RING_BYTES (1024 * 1024)
/* Descriptors that are not connections: the log, the listeners, rings, wake-ups, files of a reload.
 */
#define DESCRIPTORS_RESERVED   16
#define DESCRIPTORS_PER_WORKER 8
/* Requests a second that a worker may well be asked for: start warns about less room than that. */
#define REPLAY_RATE_PER_WORKER 500
/* How often certificates, keys and the like are looked at, and how long they must rest before they
 * are read: who writes a key a moment after its certificate gets them switched as a pair. */
#define FILES_LOOK_NS 250000000
/* Each client connection may need one to the service. */
#define DESCRIPTORS_PER_CONNECTION 2

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

/* systemd not hearing us is worth a line, and no more. */
static void notified(struct gate_process *gate, enum status status)
{
    if (status != STATUS_OK) {
        log_message(gate->log, LOG_WARN, "notify", "NOTIFY_SOCKET cannot be told how we are");
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

static void set_descriptors_max(const struct gate_process *gate, struct generation *generation)
{
    uint64_t reserved = DESCRIPTORS_RESERVED +
                        (uint64_t)DESCRIPTORS_PER_WORKER * gate->workers_count;
    uint64_t left = gate->descriptors > reserved ? gate->descriptors - reserved : 0;
    uint64_t each = left / DESCRIPTORS_PER_CONNECTION / gate->workers_count;
    if (each == 0) {
        each = 1;
    }
    if (each < generation->proxy.descriptors_max) {
        generation->proxy.descriptors_max = (uint32_t)each;
    } else {
        generation->proxy.descriptors_max = UINT32_MAX; /* limits.connections comes first */
    }
}

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

static void set_readiness(struct gate_process *gate, enum admin_state state)
{
    if (gate->admin != NULL) {
        admin_set_state(gate->admin, state);
    }
}

/* What metrics show of a generation: the admin thread does not touch the generation itself. */
static void show_generation(struct gate_process *gate)
{
    const struct tls_context *tls = gate->generation->tls;
    atomic_store(&gate->certificate_expiry_s, tls_context_certificate_expiry(tls));
    atomic_store(&gate->client_ca_expiry_s, tls_context_client_ca_expiry(tls));
    atomic_store(&gate->config_generation, gate->generation->number);
    admin_pages_show(gate);
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
    set_descriptors_max(gate, gate->generation);
    char error[256];
    if (bind_listeners(gate) != STATUS_OK) {
        return STATUS_FAILED;
    }
    if (privileges_drop(config->user, error, sizeof error) != STATUS_OK) {
        return say(error);
    }
    /* The replay file is made as the user that will own it. */
    show_generation(gate);
    if (make_shared(gate) != STATUS_OK || start_admin(gate) != STATUS_OK ||
        start_workers(gate) != STATUS_OK) {
        return STATUS_FAILED;
    }
    set_readiness(gate, ADMIN_READY);
    log_start(gate);
    notified(gate, notify_send("READY=1"));
    return STATUS_OK;
}

/* ---- reload ---- */

static void log_reload_errors(struct gate_process *gate, const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        log_message(gate->log, LOG_ERROR, "reload", "%s", errors->list[i].text);
    }
    log_message(gate->log, LOG_ERROR, "reload", "the configuration in force stays: generation %llu",
                (unsigned long long)gate->generation->number);
}

/* What cannot change under running workers is an error, not a surprise. */
static bool reloadable(const struct gate_process *gate, const struct generation *next,
                       struct config_errors *errors)
{
    const struct config *new = next->config;
    size_t before = errors->count;
    config_check_reload(gate->generation->config, new, errors);
    return errors->count == before;
}

/* Blocks, bounded, until no worker uses the generation before; a worker's turn is short. */
static bool wait_for_workers(const struct gate_process *gate, uint64_t number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        const struct worker *worker = &gate->workers[i];
        for (int tries = 0;
             atomic_load_explicit(&worker->generation_in_use, memory_order_acquire) < number &&
             atomic_load(&worker->state) == WORKER_RUNNING;
             tries++) {
            if (tries == 100) {
                return false;
            }
            sigtimedwait(&set, NULL, &(struct timespec){.tv_nsec = 100000000});
        }
    }
    return true;
}

static void switch_to(struct gate_process *gate, struct generation *next)
{
    /* Proofs that the shorter window has already forgotten must not come back. Before the workers
     * switch, for the first of them; and after, for what those accepted that switched later. */
    bool longer = replay_widen(gate->auth_shared.replay, auth_replay_window_s(&next->auth),
                               auth_replay_reach_s(&next->auth));
    if (longer) {
        auth_raise_floor_to_now(&gate->auth_shared, clock_read().wall_s);
    }
    replay_store_configure(gate->replay_store, next);
    if (next->config->dpop.nonce_shared) {
        nonce_issuer_use_key(gate->auth_shared.nonces, next->nonce_key, clock_read().wall_s);
    }
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        worker_configure(&gate->workers[i], next);
    }
    struct generation *before = gate->generation;
    enum log_level level_before = before->config->log_level;
    gate->generation = next;
    if (wait_for_workers(gate, next->number)) {
        generation_free(before);
    } else {
        log_message(gate->log, LOG_WARN, "reload",
                    "a worker has not taken generation %llu yet: the one before is kept in memory",
                    (unsigned long long)next->number);
    }
    if (longer) {
        auth_raise_floor_to_now(&gate->auth_shared, clock_read().wall_s);
        log_message(gate->log, LOG_INFO, "reload",
                    "proofs are good for longer than they were remembered: older ones are "
                    "challenged with use_dpop_nonce");
    }
    if (next->config->log_level != level_before) {
        log_set_level(gate->log, next->config->log_level); /* else what admin.socket set stays */
    }
    show_generation(gate);
}

/* `files_only`: what the configuration in force names has changed on disk; its own file is not
 * looked at, since a person may be in the middle of editing it. */
static void reload(struct gate_process *gate, bool files_only)
{
    struct config_errors *errors = calloc(1, sizeof *errors);
    struct generation *next = NULL;
    if (errors == NULL) {
        return;
    }
    uint64_t number = gate->generation->number + 1;
    enum status status = files_only ? generation_load_files(gate->generation, number,
                                                            gate->ticket_keys, &next, errors)
                                    : generation_load(gate->options->config_path, number,
                                                      gate->ticket_keys, &next, errors);
    if (status == STATUS_OK && reloadable(gate, next, errors)) {
        set_descriptors_max(gate, next);
        switch_to(gate, next);
        atomic_fetch_add(&gate->reloads_ok, 1);
        log_message(gate->log, LOG_INFO, "reload", "generation %llu is in force%s",
                    (unsigned long long)next->number, files_only ? ": files changed on disk" : "");
    } else {
        log_reload_errors(gate, errors);
        generation_free(next);
        atomic_fetch_add(&gate->reloads_failed, 1);
    }
    free(errors);
}

/* ---- life ---- */

void gate_process_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static bool all_done(const struct gate_process *gate, bool *failed)
{
    bool done = true;
    for (uint32_t i = 0; i < gate->workers_started; i++) {
        int state = atomic_load_explicit(&gate->workers[i].state, memory_order_acquire);
        done = done && state == WORKER_DONE;
        *failed = *failed || state == WORKER_FAILED;
    }
    return done;
}

static void drain(struct gate_process *gate)
{
    set_readiness(gate, ADMIN_DRAINING);
    notified(gate, notify_send("STOPPING=1"));
    log_message(gate->log, LOG_INFO, "stop", "draining for at most %u ms",
                gate->generation->config->timeouts.drain_ms);
    for (uint32_t i = 0; i < gate->workers_started; i++) {
        worker_drain(&gate->workers[i]);
    }
}

int gate_process_serve(struct gate_process *gate)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    bool draining = false;
    bool failed = false;
    while (!all_done(gate, &failed)) {
        const struct timespec look = {.tv_nsec = FILES_LOOK_NS};
        int signal_number = draining ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &look);
        replay_store_look(gate->replay_store);
        if (signal_number < 0 && !draining) {
            if (file_watch_look(gate->generation->files) == FILE_WATCH_CHANGED) {
                reload(gate, true);
            }
        } else if (signal_number == SIGHUP && !draining) {
            notified(gate, notify_reloading());
            reload(gate, false);
            notified(gate, notify_send("READY=1"));
        } else if ((signal_number == SIGTERM || signal_number == SIGINT) && !draining) {
            draining = true;
            drain(gate);
        }
    }
    if (!draining) {
        log_message(gate->log, LOG_ERROR, "stop", "the workers ended by themselves");
        return 1;
    }
    log_message(gate->log, LOG_INFO, "stop", "drained");
    return failed ? 1 : 0;
}

static void stop_started_workers(struct gate_process *gate)
{
    for (uint32_t i = 0; i < gate->workers_started; i++) {
        struct worker *worker = &gate->workers[i];
        if (atomic_load(&worker->state) == WORKER_RUNNING) {
            worker_drain(worker);
        }
        worker_join(worker);
    }
}

void gate_process_free(struct gate_process *gate)
{
    admin_free(gate->admin); /* it reads what the rest is made of */
    if (gate->admin_socket_made) {
        (void)unlink(gate->generation->config->admin_socket);
    }
    free(gate->shown_config);
    free(gate->shown_secret);
    pthread_mutex_destroy(&gate->shown_lock);
    if (gate->admin_listener >= 0) {
        close(gate->admin_listener);
    }
    stop_started_workers(gate);
    for (uint32_t i = gate->workers_started; i < gate->workers_count; i++) {
        for (size_t j = 0; j < gate->workers[i].listeners_count; j++) {
            close(gate->workers[i].listeners[j]);
        }
    }
    generation_free(gate->generation);
    verifier_free(gate->auth_shared.verifier);
    replay_store_free(gate->replay_store);
    replay_cache_free(gate->auth_shared.replay);
    nonce_issuer_free(gate->auth_shared.nonces);
    tls_ticket_keys_free(gate->ticket_keys);
    log_free(gate->log);
}
