/* Listening sockets: bound while we may still bind low ports, one of each address for each worker
 * (SO_REUSEPORT), so that workers share no accept queue. */
#ifndef POPGATE_APP_LISTENERS_H
#define POPGATE_APP_LISTENERS_H

#include "app/config.h"

/* Binds and listens; returns the descriptor, or -1 with a sentence in `error`. Non-blocking,
 * close-on-exec. */
int listener_open(const struct config_address *address, char *error, size_t error_size);

/* The same for a Unix socket that only this user may speak to (mode 0600). A file that a process
 * left which is gone is replaced; one that somebody listens on, or that is no socket, is not. */
int listener_open_unix(const char *path, char *error, size_t error_size);

#endif
