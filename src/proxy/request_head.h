/* The head that goes to the service: what the client sent, less what must not pass, plus what the
 * gate vouches for. */
#ifndef POPGATE_PROXY_REQUEST_HEAD_H
#define POPGATE_PROXY_REQUEST_HEAD_H

#include "auth/gate.h"
#include "http/http1.h"
#include "proxy/client_address.h"
#include "proxy/peer_headers.h"
#include "tls/peer.h"

struct request_facts {
    const struct tls_peer *peer;
    struct peer_headers *peer_headers;    /* NULL: nothing is remembered */
    const struct auth_identity *identity; /* NULL: nothing from a token */
    const char *shadow_check;             /* NULL, or the check that would have denied */
    struct span own_uri;                  /* for By= */
    const struct client_address *client;  /* NULL, or for x-forwarded-for */
    struct span websocket_key;            /* empty, or of our own (proxy/websocket.h) */
    bool forward_credentials;
    uint64_t *random_state;
};

/* Marks what is dropped in `head`, then writes the whole head, final CRLF included. STATUS_OK;
 * STATUS_TOO_LARGE: it does not fit; STATUS_FAILED: a value has bytes that could not go into a
 * header, which the checks before should have refused: the request must not be forwarded. */
MUST_CHECK enum status request_head_write(struct http1_writer *writer, struct http_head *head,
                                          const struct request_facts *facts);

#endif
