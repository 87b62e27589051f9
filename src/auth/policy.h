/* Who may do what, beyond "any verified caller". Rules in order; the first whose path and method
 * match decides. */
#ifndef POPGATE_AUTH_POLICY_H
#define POPGATE_AUTH_POLICY_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

/* In YAML:  - {path: /orders/, methods: [POST], scope: [orders.write], spiffe: [spiffe://td/a],
 * open: false, deny: false} */
struct auth_policy_rule {
    struct span path; /* ends in "/": a prefix; else the exact path; empty: every path */
    /* None: every method. Whatever their case; GET is also a WebSocket's CONNECT (RFC 8441), which
     * is always asked for as a GET in HTTP/1.1. */
    const struct span *methods;
    size_t methods_count;
    const struct span *scopes; /* all of them must be in the token's scope */
    size_t scopes_count;
    const struct span *spiffe_ids; /* one of them must be the peer's; none: any */
    size_t spiffe_ids_count;
    bool open; /* no token needed (mutual TLS still is) */
    bool deny; /* nobody */
};

#endif
