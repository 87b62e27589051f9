/* A file mapping whose file is cut short raises SIGBUS where it is touched. Under a guard the range
 * becomes zero pages and a flag says that its memory is lost: the process goes on and can say no.
 *
 * A signal handler has no argument of its own, so this file keeps the one table of the process that
 * is not passed around. */
#ifndef POPGATE_REPLAY_GUARD_H
#define POPGATE_REPLAY_GUARD_H

#include "base/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define GUARD_RANGES_MAX 8

/* From now until guard_remove a SIGBUS in [memory, memory + bytes) sets *lost, and only then makes
 * the range readable: who finds *lost unset after having touched the range has touched the file.
 * Another SIGBUS ends the process as if there were no handler. STATUS_OK, STATUS_FULL
 * (GUARD_RANGES_MAX), STATUS_SYSTEM. Any thread. */
MUST_CHECK enum status guard_add(void *memory, size_t bytes, atomic_bool *lost);
void guard_remove(void *memory);

#endif
