/* Compact JWS (RFC 7515 section 7.1), taken apart without trusting anything in it. */
#ifndef POPGATE_JOSE_JWS_H
#define POPGATE_JOSE_JWS_H

#include "base/span.h"
#include "base/status.h"

/* The three parts. header and payload are decoded into the caller's memory; the others point into
 * the input. */
struct jws {
    struct span signing_input; /* header.payload, as it came */
    struct span header;        /* JSON text */
    struct span payload;       /* JSON text */
    struct span signature;     /* raw */
};

/* Splits and decodes. `scratch` must have at least text.size bytes. Exactly two dots, no empty
 * header, payload or signature, canonical base64url in each. Constant memory, one pass to count the
 * dots before any decoding. STATUS_OK, STATUS_MALFORMED, STATUS_TOO_LARGE (scratch). */
MUST_CHECK enum status jws_split(struct span text, struct span_mut scratch, struct jws *jws);

#endif
