/* The running gate: what all workers share, the workers, and the process's life (start, reload,
 * drain). The admin thread reads the atomics and what shown_lock guards. */
#ifndef POPGATE_APP_GATE_PROCESS_H
#define POPGATE_APP_GATE_PROCESS_H

#include "app/generation.h"
#include "app/replay_store.h"
#include "app/worker.h"
#include "auth/nonce.h"

#define GATE_WORKERS_MAX 256

struct gate_options {
    const char *config_path;
    bool allow_demo; /* the demo CA on other than loopback */
};

struct gate_process {
    const struct gate_options *options;
    struct log *log;
    struct tls_ticket_keys *ticket_keys;
    struct generation *generation; /* the one in force; the main thread's */
    struct auth_shared auth_shared;
    struct replay_store *replay_store; /* NULL: no replay.redis */
    uint64_t descriptors;              /* the limit in force */

    struct worker workers[GATE_WORKERS_MAX];
    uint32_t workers_count;   /* with listeners and a lock */
    uint32_t workers_started; /* with a thread */

    struct admin *admin;                /* NULL: admin.listen and admin.socket are "" */
    int admin_listener;                 /* bound, until admin takes it; else -1 */
    bool admin_socket_made;             /* the file is ours to remove */
    pthread_mutex_t shown_lock;         /* of the two below: app/admin_pages.h */
    char *shown_config, *shown_secret;  /* owned, or NULL */
    _Atomic uint64_t config_generation; /* what metrics show */
    _Atomic int64_t certificate_expiry_s, client_ca_expiry_s;
    _Atomic uint64_t reloads_ok, reloads_failed;
};

/* Loads everything and starts the workers. On failure says why on stderr (file:line:column: message
 * where it is the configuration) and returns anything but STATUS_OK. Signals must be blocked
 * already. */
MUST_CHECK enum status gate_process_start(struct gate_process *gate,
                                          const struct gate_options *options);

/* Serves until SIGTERM or SIGINT, reloading on SIGHUP; then drains. Returns the process's exit
 * code. */
int gate_process_serve(struct gate_process *gate);

/* Frees what gate_process_start made, also after it failed. */
void gate_process_free(struct gate_process *gate);

/* The block every thread starts under: the signals that gate_process_serve waits for. */
void gate_process_block_signals(void);

#endif
