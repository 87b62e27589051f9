/* What gRPC over HTTP/2 asks of a proxy: refusals it understands, and its deadlines. */
#ifndef POPGATE_PROXY_GRPC_H
#define POPGATE_PROXY_GRPC_H

#include "http/message.h"

/* True if the content-type is application/grpc, with or without "+format" and parameters. */
bool grpc_is_request(const struct http_head *head);

/* The grpc-status for an answer of ours: UNAUTHENTICATED 16, PERMISSION_DENIED 7,
 * RESOURCE_EXHAUSTED 8 and UNAVAILABLE 14; INTERNAL 13 for what is malformed. */
unsigned grpc_status_of(uint16_t status);

/* grpc-timeout: up to eight digits and a unit. False if there is none, or it is malformed; rounded
 * up to milliseconds, at least 1. */
bool grpc_timeout(const struct http_head *head, uint64_t *timeout_ms);

#endif
