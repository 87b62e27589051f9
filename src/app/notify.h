/* sd_notify(3) without libsystemd: one datagram to the socket that the environment names, and
 * nothing where it names none. */
#ifndef POPGATE_APP_NOTIFY_H
#define POPGATE_APP_NOTIFY_H

#include "base/status.h"

#include <stdbool.h>

/* `state` is lines such as "READY=1\nSTATUS=...". STATUS_OK also when nobody wants to know. */
MUST_CHECK enum status notify_send(const char *state);

/* "RELOADING=1" with the time that systemd 253 wants beside it. */
MUST_CHECK enum status notify_reloading(void);

#endif
