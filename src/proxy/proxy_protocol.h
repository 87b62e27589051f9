/* The PROXY protocol, version 2 (HAProxy's proxy-protocol.txt of 2020/03/05, section 2.2): what a
 * load balancer says in front of a connection about the client it stands for. Version 1 is not
 * read. Bytes in, a value out. */
#ifndef POPGATE_PROXY_PROXY_PROTOCOL_H
#define POPGATE_PROXY_PROXY_PROTOCOL_H

#include "base/status.h"
#include "proxy/client_address.h"

#define PROXY_PROTOCOL_FIXED_BYTES 16
/* The header with all its TLVs. The protocol allows 64 KiB; what is in use is a tenth of this. */
#define PROXY_PROTOCOL_BYTES_MAX 4096

struct proxy_protocol {
    bool has_client; /* false: LOCAL, or an address family of no use: it is the sender's own */
    struct client_address client;
};

/* Parses a header at the start of `bytes`. STATUS_OK: *size bytes were the header. STATUS_AGAIN:
 * not whole yet, and nothing speaks against it; *size says how many bytes there must be before
 * another call can say more. STATUS_MALFORMED, STATUS_TOO_LARGE: *reason is static words for the
 * log. */
MUST_CHECK enum status proxy_protocol_parse(struct span bytes, struct proxy_protocol *out,
                                            size_t *size, const char **reason);

#endif
