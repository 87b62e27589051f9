/* Listening sockets: bound while we may still bind low ports, one of each address for each worker
 * (SO_REUSEPORT), so that workers share no accept queue. */
#ifndef POPGATE_APP_LISTENERS_H
#define POPGATE_APP_LISTENERS_H

#include "app/config.h"

/* Binds and listens; returns the descriptor, or -1 with a sentence in `error`. Non-blocking,
 * close-on-exec. */
int listener_open(const struct config_address *address, char *error, size_t error_size);

#endif
