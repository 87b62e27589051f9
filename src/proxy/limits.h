/* The proxy's own bounds: what is not in the configuration because no one should have to think
 * about it.
 *
 * What one downstream connection can hold, phase by phase (besides its TLS state and the io buffers
 * it may borrow): idle                 struct downstream, nothing else: no head buffer, no
 * exchange, no chunk head coming in       one input (PROXY_INPUT_BYTES twice, or twice
 * limits.head_bytes once the head outgrows it) request in progress  the input, one exchange, the
 * backlog (what io hands over after a pause: at most buffers_per_socket_max receive buffers) body
 * upwards         PROXY_UPSTREAM_MARK plus that same overshoot, in the upstream's queue answer
 * downwards     PROXY_OUT_MARK plus the upstream socket's overshoot; never over PROXY_OUT_MAX
 *   closing              nothing: what still comes is dropped, at most PROXY_LINGER_BYTES_MAX of it
 */
#ifndef POPGATE_PROXY_LIMITS_H
#define POPGATE_PROXY_LIMITS_H

#define PROXY_LISTENERS_MAX 16

/* The plaintext of one TLS record (RFC 8446 section 5.1). */
#define PROXY_RECORD_BYTES 16384

/* A chunk of a send queue holds one whole encrypted record: 16384 + 5 + 256 at most. */
#define PROXY_CHUNK_BYTES (20480 - 64)
/* Reading from the service pauses above the mark, and goes on below half of it. */
#define PROXY_OUT_MARK 65536
/* What tls_write may leave waiting: mark, overshoot of paused receiving, and slack for heads. */
#define PROXY_OUT_MAX 262144
/* Reading the client's body pauses above it. */
#define PROXY_UPSTREAM_MARK 65536
/* One send hands over so many bytes at most, so that "no progress" can be told from "slow". */
#define PROXY_SEND_SPANS 4

/* A request head that fits here never allocates. */
#define PROXY_INPUT_BYTES 8192

/* The rest of a refused request's body is read and dropped if it is known to be this small; else
 * the connection closes after the answer. */
#define PROXY_DISCARD_BYTES_MAX 65536
/* After our half-close: how much, and how long, we listen so that the answer is not lost to a
 * reset. */
#define PROXY_LINGER_BYTES_MAX 1048576
#define PROXY_LINGER_MS        2000

/* A connection of HTTP/2 that is idle for so long gives back what it needs no more. */
#define PROXY_REST_MS 1000

/* While draining an idle connection may still bring a request that was on its way. */
#define PROXY_DRAIN_GRACE_MS 1000

#define PROXY_UPSTREAM_IDLE_MAX 1024 /* pooled connections of one worker */
#define PROXY_INFORMATIONAL_MAX 16   /* 1xx answers before the final one */

#define PROXY_ANSWER_BYTES_MAX 4096 /* an answer of our own, head and body */

#endif
