/* DPoP proofs (RFC 9449 section 4.3): everything but the signature and the replay. */
#ifndef POPGATE_AUTH_PROOF_H
#define POPGATE_AUTH_PROOF_H

#include "auth/worker.h"

/* Checks request->dpop for a token with this SHA-256. STATUS_OK: `work` has key (held), message,
 * signature and replay key. STATUS_DENIED: the denial is in `check`; work->key may be held all the
 * same. */
MUST_CHECK enum status proof_check(struct auth_worker *worker, const struct auth_request *request,
                                   const uint8_t token_digest[SHA256_BYTES],
                                   const struct clock_now *now, struct auth_check *check,
                                   struct auth_work *work);

#endif
