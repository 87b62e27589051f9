/* A context's inside, for connection.c. Internal to src/tls. */
#ifndef POPGATE_TLS_CONTEXT_INTERNAL_H
#define POPGATE_TLS_CONTEXT_INTERNAL_H

#include "tls/chain.h"
#include "tls/context.h"

#include <openssl/ssl.h>

#include <stdatomic.h>

struct tls_context {
    _Atomic uint32_t references;
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio_method; /* of connection.c */
    struct trust *trust;    /* whom the other side's certificate must come from */
    struct tls_ticket_keys *ticket_keys;
    uint64_t generation;
    bool is_client, http2, is_demo;
    int64_t certificate_expiry_s, ca_expiry_s;
    struct span *dns_names; /* exact ones of our leaf, lower case; text follows the array */
    size_t dns_names_count;
    char *own_uri; /* the first URI SAN of our leaf; NULL: none */
    size_t own_uri_size;
    bool has_wildcard;
};

/* What connection.c hangs into the SSL_CTX. */
BIO_METHOD *connection_bio_method_new(void);
enum ssl_verify_result_t connection_verify(SSL *ssl, uint8_t *alert);
int connection_keep_session(SSL *ssl, SSL_SESSION *session);
extern const SSL_TICKET_AEAD_METHOD connection_ticket_method;

#endif
