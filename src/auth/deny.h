/* Saying no: the check that failed, and for the log what was found. */
#ifndef POPGATE_AUTH_DENY_H
#define POPGATE_AUTH_DENY_H

#include "auth/gate.h"

/* Sets denial and detail; returns STATUS_DENIED, so that a check can `return auth_deny(...)`. The
 * detail never holds a token, a proof or a signature; the log escapes it. */
__attribute__((format(printf, 3, 4))) enum status
auth_deny(struct auth_check *check, enum auth_denial denial, const char *format, ...);

/* As much of a value as a detail has room for: `%.*s` with SPAN_ARG(auth_excerpt(x)). */
static inline struct span auth_excerpt(struct span value)
{
    const size_t excerpt_max = 56;
    if (value.size == 0) {
        return SPAN_LITERAL("");
    }
    return span_first(value, value.size < excerpt_max ? value.size : excerpt_max);
}

#endif
