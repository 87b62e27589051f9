#include "app/gate_process.h"

#include "app/admin_pages.h"
#include "app/gate_internal.h"
#include "app/notify.h"
#include "crypto/verify.h"
#include "replay/replay_cache.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* How often certificates, keys and the like are looked at, and how long they must rest before they
 * are read: who writes a key a moment after its certificate gets them switched as a pair. */
#define FILES_LOOK_NS 250000000

void gate_notified(struct gate_process *gate, enum status status)
{
    if (status != STATUS_OK) {
        log_message(gate->log, LOG_WARN, "notify", "NOTIFY_SOCKET cannot be told how we are");
    }
}

void gate_set_descriptors_max(const struct gate_process *gate, struct generation *generation)
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

void gate_set_readiness(struct gate_process *gate, enum admin_state state)
{
    if (gate->admin != NULL) {
        admin_set_state(gate->admin, state);
    }
}

void gate_show_generation(struct gate_process *gate)
{
    const struct tls_context *tls = gate->generation->tls;
    atomic_store(&gate->certificate_expiry_s, tls_context_certificate_expiry(tls));
    atomic_store(&gate->client_ca_expiry_s, tls_context_client_ca_expiry(tls));
    atomic_store(&gate->config_generation, gate->generation->number);
    admin_pages_show(gate);
}

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
    gate_set_readiness(gate, ADMIN_DRAINING);
    gate_notified(gate, notify_send("STOPPING=1"));
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
                gate_reload(gate, true);
            }
        } else if (signal_number == SIGHUP && !draining) {
            gate_notified(gate, notify_reloading());
            gate_reload(gate, false);
            gate_notified(gate, notify_send("READY=1"));
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
