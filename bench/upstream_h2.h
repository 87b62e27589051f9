/* The HTTP/2 side of bench_upstream: one connection with prior knowledge (h2c), the same answers as
 * over HTTP/1.1. One thread. */
#ifndef POPGATE_BENCH_UPSTREAM_H2_H
#define POPGATE_BENCH_UPSTREAM_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct upstream_h2;

/* What a client with prior knowledge begins with (RFC 9113 section 3.4), as far as it tells it from
 * HTTP/1.1. */
#define UPSTREAM_H2_PREFACE "PRI * HTTP/2.0\r\n"

/* The size of the body that a path asks for; the bodies are the first bytes of `body`. */
typedef size_t upstream_body_size(const char *path);

/* Returns owned; NULL when memory fails. `body` outlives it. */
struct upstream_h2 *upstream_h2_new(upstream_body_size *size_of, const uint8_t *body);
void upstream_h2_free(struct upstream_h2 *h2);

/* False: the connection is over. */
bool upstream_h2_receive(struct upstream_h2 *h2, const uint8_t *bytes, size_t size);
/* Sends what there is, as much as the socket takes. False: the connection is over. */
bool upstream_h2_send(struct upstream_h2 *h2, int descriptor);

#endif
