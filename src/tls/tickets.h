/* Sealing and opening session tickets with keys of our own that rotate and outlive every context.
 * Internal to src/tls. */
#ifndef POPGATE_TLS_TICKETS_H
#define POPGATE_TLS_TICKETS_H

#include "base/span.h"
#include "tls/context.h"

#define TICKET_OVERHEAD_BYTES (16 + 12 + 16) /* key name, nonce, tag */

/* Seals `plain` into `out` (room for plain.size + TICKET_OVERHEAD_BYTES): AES-256-GCM with a random
 * nonce under the newest key. *size is what was written. Any thread. */
MUST_CHECK enum status ticket_seal(struct tls_ticket_keys *keys, struct span plain,
                                   struct span_mut out, size_t *size);

/* STATUS_OK; STATUS_NOT_FOUND when no key has that name (rotated away, another process);
 * STATUS_MALFORMED when it is cut or does not authenticate. Any thread. */
MUST_CHECK enum status ticket_open(struct tls_ticket_keys *keys, struct span ticket,
                                   struct span_mut out, size_t *size);

#endif
