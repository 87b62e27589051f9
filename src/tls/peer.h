/* Who is at the other end, from its verified certificate. */
#ifndef POPGATE_TLS_PEER_H
#define POPGATE_TLS_PEER_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

#define TLS_SPIFFE_ID_MAX 2048
#define TLS_SUBJECT_MAX   1024

/* Owned by the connection; immutable after the handshake. Spans point into it. */
struct tls_peer {
    uint8_t
        certificate_sha256[32]; /* of the DER: x5t#S256 (RFC 8705), x-forwarded-client-cert Hash */
    int64_t not_before_s;       /* of the leaf */
    int64_t not_after_s;        /* the first of its whole chain's: checked again on every request */
    struct span spiffe_id;      /* "spiffe://trust-domain/path", or empty */
    struct span subject;        /* RFC 2253 text, escaped; empty for an empty subject */
    struct span uri_san;        /* the one URI SAN, or empty */
    struct span dns_sans[4];    /* the first ones, for x-forwarded-client-cert */
    uint32_t dns_sans_count;
};

#endif
