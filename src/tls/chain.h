/* Verifying a client's chain against the CAs and CRLs of one configuration, and remembering the
 * ones that verified, so that a resumption or the next connection of the same client costs a hash
 * instead of signatures. Internal to src/tls. Any thread. */
#ifndef POPGATE_TLS_CHAIN_H
#define POPGATE_TLS_CHAIN_H

#include "tls/peer.h"

#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdatomic.h>

#define TLS_CHAIN_CERTIFICATES_MAX 8    /* sent by a client, the leaf included */
#define TLS_CHAIN_DEPTH_MAX        6    /* CA certificates between leaf and trust anchor */
#define TLS_VERIFIED_CHAINS_MAX    1024 /* remembered by one context */

/* A chain that verified: immutable, shared by all connections of the same client. */
struct verified_chain {
    _Atomic uint32_t references;
    uint32_t count;
    CRYPTO_BUFFER *certificates[TLS_CHAIN_CERTIFICATES_MAX]; /* as sent, the leaf first */
    uint8_t key[32];                                         /* of the chain as sent */
    int64_t valid_from_s, valid_until_s; /* when every certificate up to the anchor and every CRL is
                                            within its time */
    struct tls_peer peer;
    uint8_t text[]; /* what the peer's spans point into */
};

void verified_chain_acquire(struct verified_chain *chain);
/* NULL is allowed. */
void verified_chain_release(struct verified_chain *chain);

struct trust;

struct trust_options {
    const STACK_OF(X509) * cas;      /* the trust anchors, self-signed or not */
    const STACK_OF(X509_CRL) * crls; /* NULL or empty: no revocation */
    int purpose;                     /* X509_PURPOSE_SSL_CLIENT or X509_PURPOSE_SSL_SERVER */
};

/* Copies references. NULL when memory fails. */
struct trust *trust_new(const struct trust_options *options);
void trust_free(struct trust *trust);

/* Verifies `certificates` (leaf first) at `now_s`. STATUS_OK sets *chain (owned). STATUS_DENIED
 * sets *failure (static words) and *alert. `host`: for a server's certificate, the name it must
 * carry; NULL for clients, whose leaf rules apply instead. */
MUST_CHECK enum status trust_verify(struct trust *trust,
                                    const STACK_OF(CRYPTO_BUFFER) * certificates, const char *host,
                                    int64_t now_s, struct verified_chain **chain,
                                    const char **failure, uint8_t *alert);

/* The same for a chain that verified elsewhere (a changed CA or CRL). */
MUST_CHECK enum status trust_reverify(struct trust *trust, const struct verified_chain *old,
                                      int64_t now_s, const char **failure);

/* Hits and misses of the memory since trust_new, for tests and metrics. */
void trust_counters(struct trust *trust, uint64_t *hits, uint64_t *misses);

#endif
