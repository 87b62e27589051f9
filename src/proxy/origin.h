/* Which requests are meant for this gate (RFC 9110 section 15.5.20): Host must be one of the public
 * origins, and the name the client asked for in TLS. */
#ifndef POPGATE_PROXY_ORIGIN_H
#define POPGATE_PROXY_ORIGIN_H

#include "auth/gate.h"

/* `authority` is normalised, host[:port]; origins are "https://authority". */
bool origin_is_public(const struct auth_settings *settings, struct span authority);

/* True if the authority's host is `server_name`, or no name was sent (a client that connects by
 * address). */
bool origin_matches_server_name(struct span authority, struct span server_name);

#endif
