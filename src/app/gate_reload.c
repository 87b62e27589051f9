#include "app/gate_internal.h"

#include "base/clock.h"
#include "replay/replay_cache.h"

#include <signal.h>
#include <stdlib.h>

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
    gate_show_generation(gate);
}

void gate_reload(struct gate_process *gate, bool files_only)
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
        gate_set_descriptors_max(gate, next);
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
