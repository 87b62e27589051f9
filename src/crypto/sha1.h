/* SHA-1 of one message: for the WebSocket handshake alone (RFC 6455 section 1.3), where nothing
 * rests on its strength. */
#ifndef POPGATE_CRYPTO_SHA1_H
#define POPGATE_CRYPTO_SHA1_H

#include "base/span.h"

#define SHA1_BYTES 20

void sha1(struct span message, uint8_t digest[SHA1_BYTES]);

#endif
