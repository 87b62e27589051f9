/* The opening handshake of WebSocket (RFC 6455 section 4), as far as a proxy has to know it: a 101
 * opens a tunnel only if it answers the very key that the client sent. Else a service that can be
 * made to say "101" would be left with a connection on which anybody's bytes pass unchecked. */
#ifndef POPGATE_PROXY_WEBSOCKET_H
#define POPGATE_PROXY_WEBSOCKET_H

#include "http/message.h"

#define WEBSOCKET_KEY_BYTES    24
#define WEBSOCKET_ACCEPT_BYTES 28

/* The accept value that the request's key calls for. False: there is not exactly one
 * Sec-WebSocket-Key, or it is not sixteen bytes in base64. */
MUST_CHECK bool websocket_expect(const struct http_head *request,
                                 char accept[WEBSOCKET_ACCEPT_BYTES]);

/* A key of our own for a service that speaks HTTP/1.1, where the client used extended CONNECT, and
 * the accept value that it calls for. False: the system gives no random bytes. */
MUST_CHECK bool websocket_begin(char key[WEBSOCKET_KEY_BYTES], char accept[WEBSOCKET_ACCEPT_BYTES]);

/* True if the answer has exactly one Sec-WebSocket-Accept, and that is `accept`. */
MUST_CHECK bool websocket_accepted(const struct http_head *response,
                                   const char accept[WEBSOCKET_ACCEPT_BYTES]);

/* Takes out every field of that name: what belongs to the handshake of HTTP/1.1 alone. RFC 8441
 * section 5: "Implementations using this extended CONNECT to bootstrap WebSockets do not do the
 * processing of the Sec-WebSocket-Key and Sec-WebSocket-Accept header fields". */
void websocket_remove(struct http_head *head, struct span name);

#endif
