/* One TLS connection, of a server or a client: ciphertext in, plaintext
 * out, and back. No descriptor: bytes come from and go to the caller. One thread. */
#ifndef POPGATE_TLS_CONNECTION_H
#define POPGATE_TLS_CONNECTION_H

#include "base/buffer.h"
#include "base/clock.h"
#include "tls/context.h"
#include "tls/peer.h"

struct tls_connection;

/* Server side. `out` receives the ciphertext to send; it is the caller's and may be emptied (sent)
 * at any time. `out_bytes_max` bounds what one connection may have waiting there: tls_write answers
 * STATUS_AGAIN at it. Acquires `context`. Returns owned, NULL when memory fails. */
struct tls_connection *tls_connection_new(struct tls_context *context, struct buffer *out,
                                          size_t out_bytes_max);

/* Client side, of a context of tls_client_context_new. `server_name` is what the server's
 * certificate must carry: a DNS name, sent as SNI, or an IP address. `session` (may be NULL) is
 * what tls_connection_session gave for an earlier one. */
struct tls_session;
struct tls_connection *tls_connection_new_client(struct tls_context *context, struct buffer *out,
                                                 size_t out_bytes_max, const char *server_name,
                                                 struct tls_session *session);
/* The newest session the server gave a ticket for, owned by the caller (tls_session_free); NULL:
 * none, or not kept. In TLS 1.3 tickets come with the first tls_read. */
struct tls_session *tls_connection_session(struct tls_connection *connection);
void tls_session_free(struct tls_session *session);

void tls_connection_free(struct tls_connection *connection);

/* Offers ciphertext. The bytes are borrowed until tls_input_left says 0: the caller keeps the
 * io_buffer until then. Only when no input is left may the next one be offered. */
void tls_input(struct tls_connection *connection, struct span ciphertext);
size_t tls_input_left(const struct tls_connection *connection);

/* Advances the handshake with the input there is. STATUS_OK: done, verified by our own rules
 * (chain, EKU, validity, CRL, SPIFFE leaf rules), for resumed sessions too, before any application
 * byte was read. STATUS_AGAIN: more input (or room in `out`) is needed. STATUS_FAILED: refused; an
 * alert may be in `out`, send it and close. `now` is the turn's clock: certificate times are judged
 * by it. */
MUST_CHECK enum status tls_handshake(struct tls_connection *connection,
                                     const struct clock_now *now);

/* Decrypts into `into`; *got bytes on STATUS_OK (at least 1). STATUS_AGAIN: no whole record yet.
 * STATUS_CLOSED: close_notify. STATUS_FAILED: a broken or abusive peer (bad record, too many
 * KeyUpdates or empty records, renegotiation): an alert may be in `out`. May also put bytes into
 * `out` (KeyUpdate answers). */
MUST_CHECK enum status tls_read(struct tls_connection *connection, struct span_mut into,
                                size_t *got);

/* Encrypts as much of `plain` as fits under out_bytes_max into `out` (records and a pending ticket
 * may go a few KiB beyond it): STATUS_OK with *taken (maybe less than all), STATUS_AGAIN with
 * nothing taken, STATUS_FAILED. What was not taken must be offered again, at whatever address, with
 * the same or more bytes behind it, once `out` has been emptied. When the chunk pool is exhausted
 * and nothing of this connection waits in `out`, that is STATUS_FAILED: no event would ever make
 * room. */
MUST_CHECK enum status tls_write(struct tls_connection *connection, struct span plain,
                                 size_t *taken);

/* Puts close_notify into `out` (once). */
void tls_shutdown(struct tls_connection *connection);

/* After the handshake. */
const struct tls_peer *tls_connection_peer(const struct tls_connection *connection);
bool tls_connection_is_http2(const struct tls_connection *connection);
bool tls_connection_resumed(const struct tls_connection *connection);
struct span
tls_connection_server_name(const struct tls_connection *connection); /* SNI, lower case, or empty */
const char *
tls_connection_failure(const struct tls_connection *connection); /* static words for the log */
/* Of the context under which the peer was last verified. */
uint64_t tls_connection_generation(const struct tls_connection *connection);

/* Verifies the peer's chain again under another context (a changed CA or CRL): STATUS_OK, or
 * STATUS_FAILED and the connection must be closed. On STATUS_OK the connection remembers
 * `context`'s generation. */
MUST_CHECK enum status tls_connection_reverify(struct tls_connection *connection,
                                               struct tls_context *context,
                                               const struct clock_now *now);

#endif
