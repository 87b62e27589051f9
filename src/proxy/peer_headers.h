/* What the gate tells the service of a client certificate: x-popgate-spiffe-id and
 * x-forwarded-client-cert. Their text depends on the certificate and on our own URI alone, and
 * certificates are few beside requests: it is remembered by the certificate's hash. One worker. */
#ifndef POPGATE_PROXY_PEER_HEADERS_H
#define POPGATE_PROXY_PEER_HEADERS_H

#include "http/http1.h"
#include "tls/peer.h"

#define PEER_HEADERS_ENTRIES    64 /* one place for each: a later certificate takes it */
#define PEER_HEADERS_TEXT_BYTES 988

struct peer_headers {
    struct {
        uint8_t certificate_sha256[32];
        uint32_t size; /* 0: nobody's */
        char text[PEER_HEADERS_TEXT_BYTES];
    } entries[PEER_HEADERS_ENTRIES];
};

/* Forgets all: `own_uri` changes. */
void peer_headers_clear(struct peer_headers *remembered);

/* Writes the header lines. STATUS_FAILED: a value could not go into a header; nothing is written.
 * That they do not fit, the writer knows. `remembered` may be NULL. */
MUST_CHECK enum status peer_headers_write(struct peer_headers *remembered,
                                          struct http1_writer *writer, const struct tls_peer *peer,
                                          struct span own_uri);

#endif
