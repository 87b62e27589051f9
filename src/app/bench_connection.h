/* One connection of the load generator: mutual TLS, HTTP/1.1 with a request at a time or HTTP/2
 * with several, over our own io. One thread. */
#ifndef POPGATE_APP_BENCH_CONNECTION_H
#define POPGATE_APP_BENCH_CONNECTION_H

#include "base/buffer.h"
#include "http/http1.h"
#include "io/io.h"
#include "tls/connection.h"

#include <netinet/in.h>

#define BENCH_HEAD_BYTES_MAX    8192  /* of an answer */
#define BENCH_REQUEST_BYTES_MAX 16384 /* of a request's head */

struct bench_connection;
struct bench_h2;

struct bench_answer {
    uint16_t status;
    uint64_t bytes;  /* plaintext: head and body; HTTP/2: what came since the last answer */
    uint64_t due_ns; /* as bench_connection_send was given it */
};

struct bench_events {
    /* The handshake is done: a request may be sent. */
    void (*ready)(struct bench_connection *connection);
    /* A whole answer came; the next request may be sent within, unless !reusable: then the
     * connection must be closed. */
    void (*answered)(struct bench_connection *connection, struct bench_answer answer,
                     bool reusable);
    /* It is closed and may be opened again, within; connection->failure says why, NULL: it was
     * asked for. */
    void (*ended)(struct bench_connection *connection);
};

/* What all connections of one generator share; borrowed by each. */
struct bench_client {
    struct io *io;
    struct tls_context *tls;
    const struct bench_events *events;
    struct chunk_pool chunks;
    const char *server_name;
    struct sockaddr_storage address;
    socklen_t address_size;
    struct span method;
    size_t body_bytes; /* of every request; their content is zeroes */
    bool resume;       /* offer the session of the slot's last connection */
    bool http2;
    unsigned streams_max; /* of a connection, with http2 */
    struct http_head head;
    uint8_t scratch[16384];
};

/* BENCH_IDLE: no request is under way. */
enum bench_state { BENCH_CLOSED = 0, BENCH_CONNECTING, BENCH_IDLE, BENCH_BUSY, BENCH_CLOSING };

/* Zeroed, with `client` set, is one that was never opened. */
struct bench_connection {
    struct io_socket socket; /* first: the callbacks get its address */
    struct bench_client *client;
    struct tls_connection *tls;
    struct tls_session *session;
    struct bench_h2 *h2; /* NULL: HTTP/1.1, or no handshake yet */
    struct buffer out;
    size_t sending, body_left;
    const char *failure;
    uint8_t state; /* enum bench_state */
    bool in_body, leaving, resumed, reading;
    uint32_t head_used;
    struct http1_scan scan;
    struct http1_body body;
    struct bench_answer answer;
    bool keep_alive;
    uint64_t opened_ns, open_ns;   /* connect was called; the handshake was done */
    unsigned under_way;            /* requests sent whose answers are not there */
    struct bench_connection *next; /* the owner's, as is: */
    bool listed;                   /* it is in the owner's list */
    uint8_t head_bytes[BENCH_HEAD_BYTES_MAX];
};

/* Connects and shakes hands: `ready` or `ended` follows, but for STATUS_SYSTEM (no socket). */
MUST_CHECK enum status bench_connection_open(struct bench_connection *connection);

/* Whether a request may be sent. */
bool bench_connection_has_room(const struct bench_connection *connection);

/* Sends a request head (copied) and client->body_bytes of body, on one that has room. */
void bench_connection_send(struct bench_connection *connection, struct span head, uint64_t due_ns);

/* Says goodbye and closes: `ended` follows. The session stays for the next time. */
void bench_connection_close(struct bench_connection *connection);

/* Frees what a closed one keeps. */
void bench_connection_cleanup(struct bench_connection *connection);

#endif
