/* x-forwarded-client-cert, one element, quoted as Envoy does:
 * By=<our URI>;Hash=<hex sha256>;Subject="<RFC 2253>";URI=<uri>;DNS=<name>... */
#ifndef POPGATE_PROXY_CLIENT_CERT_HEADER_H
#define POPGATE_PROXY_CLIENT_CERT_HEADER_H

#include "http/http1.h"
#include "tls/peer.h"

/* Writes the value (no name, no CRLF). `own_uri` may be empty: then there is no By. */
void client_cert_header_write(struct http1_writer *writer, const struct tls_peer *peer,
                              struct span own_uri);

#endif
