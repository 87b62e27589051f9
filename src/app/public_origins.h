/* The public origins of a gate whose configuration names none: those of its own certificate. */
#ifndef POPGATE_APP_PUBLIC_ORIGINS_H
#define POPGATE_APP_PUBLIC_ORIGINS_H

#include "app/config.h"
#include "tls/context.h"

/* https://NAME for every exact DNS name, and https://NAME:PORT for every port we listen on but 443:
 * both name this listener. STATUS_OK sets *origins, *count and *text (owned, free(3)); a wildcard,
 * or no name at all, is STATUS_UNSUPPORTED, for then what htu may name would be anyone's guess. */
MUST_CHECK enum status public_origins_from_certificate(const struct tls_context *context,
                                                       const struct config *config,
                                                       struct span **origins, size_t *count,
                                                       char **text, char *error, size_t error_size);

#endif
