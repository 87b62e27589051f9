/* What a listener's TLS is made of: our certificate, the client CAs, the CRL. Immutable once built
 * and shared by all workers; a reload builds another one. */
#ifndef POPGATE_TLS_CONTEXT_H
#define POPGATE_TLS_CONTEXT_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

struct tls_context;
struct tls_ticket_keys; /* rotating, shared by all contexts of a process so that a reload keeps
                           sessions */

struct tls_options {
    const char *certificate_path;        /* PEM chain */
    const char *private_key_path;        /* PEM */
    const char *client_ca_path;          /* PEM, one or more */
    const char *client_crl_path;         /* PEM; NULL or "": none */
    int min_version_minor;               /* 3: TLS 1.3 only; 2: TLS 1.2 too */
    bool http2;                          /* offer h2 beside http/1.1 */
    struct tls_ticket_keys *ticket_keys; /* borrowed; outlives every context */
    uint64_t
        generation; /* of the configuration: a session made under another one is checked again */
};

/* STATUS_OK sets *context (owned by the caller, reference-counted). Otherwise `error` gets a
 * sentence that names the file and what is wrong with it: unreadable, not PEM, key and certificate
 * do not match, expired, ... */
MUST_CHECK enum status tls_context_new(const struct tls_options *options,
                                       struct tls_context **context, char *error,
                                       size_t error_size);

/* For outgoing connections: a JWKS to fetch, a Redis over TLS, the load generator. */
struct tls_client_options {
    const char *ca_path; /* PEM: whom the server's certificate is from */
    const char *certificate_path, *private_key_path; /* ours; NULL: none */
    int min_version_minor;                           /* 3 or 2, as above */
    bool offer_http1, offer_http2;                   /* ALPN; neither: none is sent */
    bool keep_sessions; /* tls_connection_session gives what the server's tickets make */
};
MUST_CHECK enum status tls_client_context_new(const struct tls_client_options *options,
                                              struct tls_context **context, char *error,
                                              size_t error_size);

void tls_context_acquire(struct tls_context *context);
void tls_context_release(struct tls_context *context);

uint64_t tls_context_generation(const struct tls_context *context);

/* The exact DNS names of our own certificate (no wildcards): the default public origins. Returns
 * how many were written; spans live as long as the context. *wildcard is set when the certificate
 * has a wildcard name. */
size_t tls_context_dns_names(const struct tls_context *context, struct span *names,
                             size_t names_max, bool *wildcard);

/* The first URI SAN of our own certificate (its SPIFFE ID, usually); empty if there is none. Lives
 * as long as the context. */
struct span tls_context_own_uri(const struct tls_context *context);

/* Seconds since 1970 at which the served certificate (leaf) and the earliest client CA expire. */
int64_t tls_context_certificate_expiry(const struct tls_context *context);
int64_t tls_context_client_ca_expiry(const struct tls_context *context);
/* True if the client CA (any of them) was made by `popgate demo-authority`. */
bool tls_context_is_demo(const struct tls_context *context);

struct tls_ticket_keys *tls_ticket_keys_new(void);
void tls_ticket_keys_free(struct tls_ticket_keys *keys);
/* Makes a new sealing key; the previous one still opens. Any thread. */
void tls_ticket_keys_rotate(struct tls_ticket_keys *keys);

/* "BoringSSL (API 17)" or with the version the tree names. Static. */
const char *tls_library_version(void);

#endif
