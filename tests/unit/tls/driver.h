/* One of our server connections and a plain BoringSSL client, joined in memory. */
#ifndef POPGATE_TESTS_TLS_DRIVER_H
#define POPGATE_TESTS_TLS_DRIVER_H

#include "tls/connection.h"
#include "unit/tls/certificates.h"

#include <openssl/ssl.h>

/* What a test changes about the usual world: one CA, a server for localhost, client-a. */
struct world {
    char *folder;
    struct test_certificate ca, server, client;
    char *ca_path, *server_path, *server_key_path, *crl_path;
    struct tls_ticket_keys *tickets;
    struct tls_context *context;
    SSL_CTX *client_ctx;
    SSL_SESSION *session; /* the last ticket a client got */
    struct clock_now now;
    uint64_t generation;
    bool anonymous; /* the client shows no certificate */
};

struct pair {
    struct world *world;
    struct chunk_pool pool;
    struct buffer out;
    struct tls_connection *server;
    SSL *client;
    BIO *to_client, *from_client; /* borrowed from `client` */
    size_t step;                  /* bytes handed over at once; 0: all */
    enum status server_status;    /* of the last tls_handshake */
    int client_error;             /* SSL_get_error of the last failed call of the client */
    int client_alert;             /* the fatal alert the client received, or -1 */
    bool handshake_done;
};

/* A world with a context for TLS 1.3. */
void world_open(struct world *world);
/* Builds another context from the files as they are now: a reload. The old one is released. */
void world_reload(struct world *world, const struct tls_options *changes);
/* The options that world_open uses. */
struct tls_options world_options(struct world *world);
/* The client presents `certificate` (and `chain`) from now on; NULL: none. */
void world_client(struct world *world, const struct test_certificate *certificate, X509 *chain);
void world_close(struct world *world);

void pair_open(struct pair *pair, struct world *world, size_t chunk_bytes, size_t chunks_max,
               size_t out_bytes_max);
void pair_close(struct pair *pair);

/* Runs both handshakes until neither moves. Returns the server's status. */
enum status pair_handshake(struct pair *pair);
/* Moves what the server has to send to the client; returns the bytes. */
size_t pair_deliver(struct pair *pair);
/* Offers the server what the client has sent, at most `pair->step` bytes a call if set; returns the
 * bytes offered. */
size_t pair_offer(struct pair *pair);
/* What the server reads until it needs more: at most `size` bytes into `into`; *status is that of
 * the last tls_read. */
size_t pair_read(struct pair *pair, void *into, size_t size, enum status *status);
/* The client reads what there is. */
size_t pair_client_read(struct pair *pair, void *into, size_t size);

#endif
