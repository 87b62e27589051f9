/* What the process may do: the user it runs as, and how many descriptors it may have. */
#ifndef POPGATE_APP_PRIVILEGES_H
#define POPGATE_APP_PRIVILEGES_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Becomes `user`, with its groups, for good; "" stays. Also makes sure that no exec regains
 * privileges. */
MUST_CHECK enum status privileges_drop(const char *user, char *error, size_t error_size);

/* Raises the soft limit on descriptors as far as `wanted` and the hard limit allow; returns what it
 * then is. */
uint64_t privileges_raise_descriptors(uint64_t wanted);

#endif
