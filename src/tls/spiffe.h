/* SPIFFE IDs: the text rules of the SPIFFE-ID specification, sections 2 and 2.3. */
#ifndef POPGATE_TLS_SPIFFE_H
#define POPGATE_TLS_SPIFFE_H

#include "base/span.h"

#define SPIFFE_TRUST_DOMAIN_MAX 255

/* True if `uri` claims the spiffe scheme, in any case: then it must also be a valid ID. */
bool spiffe_claims_scheme(struct span uri);

/* True if `uri` is a workload's SPIFFE ID: "spiffe://", a trust domain of [a-z0-9.-_], a path that
 * is not empty, no empty,
 * "." or ".." segment, [a-zA-Z0-9.-_] only, no query, fragment, port or user, at most
 * TLS_SPIFFE_ID_MAX bytes. */
bool spiffe_id_is_valid(struct span uri);

#endif
