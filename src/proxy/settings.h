/* What the proxy does, as plain values: made by app from the configuration, immutable, one a
 * generation, shared by all workers, and outliving every worker that uses it. */
#ifndef POPGATE_PROXY_SETTINGS_H
#define POPGATE_PROXY_SETTINGS_H

#include "auth/gate.h"
#include "http/message.h"
#include "proxy/client_address.h"

#include <sys/socket.h>

struct proxy_timeouts {
    uint32_t handshake_ms, head_ms, body_progress_ms, upstream_connect_ms, upstream_head_ms,
        idle_ms, upstream_idle_ms, drain_ms;
    uint32_t stream_idle_ms; /* 0: tunnels as idle_ms, streams not at all */
    uint32_t total_ms;       /* 0: none */
};

struct proxy_settings {
    uint64_t generation;
    const struct auth_settings *auth; /* mode, public origins */
    struct sockaddr_storage upstream;
    socklen_t upstream_size;
    bool upstream_h2;    /* HTTP/2 in clear, with prior knowledge */
    struct span own_uri; /* the URI SAN of our own certificate, for "By="; may be empty */
    struct http_limits limits;
    uint32_t connections_max;   /* of one worker */
    uint32_t streams_max;       /* of one HTTP/2 connection */
    uint32_t requests_max;      /* of one connection; 0: none */
    uint64_t buffers_bytes_max; /* of one worker's chunks */
    uint32_t pipeline_max;      /* requests of one connection begun in one turn; the rest waits */
    /* Connections that one worker has descriptors for; accepting pauses there. */
    uint32_t descriptors_max;
    struct proxy_timeouts timeouts;
    size_t identity_bytes_max; /* limits.token_bytes: the claims in our headers are no longer */
    /* Whose connections must begin with a PROXY header (proxy/proxy_protocol.h). */
    const struct client_network *proxy_protocol_trusted;
    size_t proxy_protocol_trusted_count;
    bool forward_credentials;
    bool log_access;
};

#endif
