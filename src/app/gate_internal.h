/* What the start, the reload and the end of the gate's life (app/gate_process.h) share. All of it
 * is the main thread's. */
#ifndef POPGATE_APP_GATE_INTERNAL_H
#define POPGATE_APP_GATE_INTERNAL_H

#include "admin/admin.h"
#include "app/gate_process.h"

/* Descriptors that are not connections: the log, the listeners, rings, wake-ups, files of a reload.
 */
#define DESCRIPTORS_RESERVED   16
#define DESCRIPTORS_PER_WORKER 8
/* Each client connection may need one to the service. */
#define DESCRIPTORS_PER_CONNECTION 2

/* How many connections of a generation the descriptors we have allow each worker. */
void gate_set_descriptors_max(const struct gate_process *gate, struct generation *generation);

/* What metrics and pages show of the generation in force: the admin thread does not touch the
 * generation itself. */
void gate_show_generation(struct gate_process *gate);

void gate_set_readiness(struct gate_process *gate, enum admin_state state);

/* systemd not hearing us is worth a line, and no more. */
void gate_notified(struct gate_process *gate, enum status status);

/* gate_reload.c. `files_only`: what the configuration in force names has changed on disk; its own
 * file is not looked at, since a person may be in the middle of editing it. */
void gate_reload(struct gate_process *gate, bool files_only);

#endif
