/* A throw-away certificate authority: what `popgate demo-authority` and the load generator stand
 * on. Not for production, and its CA says so (tls_context_is_demo). */
#ifndef POPGATE_TLS_AUTHORITY_H
#define POPGATE_TLS_AUTHORITY_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

struct authority;

/* A CA with a fresh P-256 key, valid from an hour ago for `days`. Returns owned; NULL when
 * BoringSSL fails. */
struct authority *authority_new(const char *common_name, int days);
void authority_free(struct authority *authority);

/* Its certificate as PEM, NUL-terminated, owned by the caller (free it); NULL when memory fails. */
char *authority_certificate(const struct authority *authority);

#define AUTHORITY_NAMES_MAX 32

struct authority_request {
    const char *common_name;
    const char *const *dns_names;
    size_t dns_names_count; /* at most AUTHORITY_NAMES_MAX */
    bool loopback;          /* adds the addresses 127.0.0.1 and ::1 */
    const char *uri;        /* the SPIFFE ID; NULL: none */
    bool server, client;    /* extended key usage */
    int days;
};

/* A leaf with a fresh P-256 key. STATUS_OK sets both texts: PEM, NUL-terminated, owned by the
 * caller (free the certificate; authority_key_free the key). STATUS_MALFORMED: a name is not one.
 */
MUST_CHECK enum status authority_issue(const struct authority *authority,
                                       const struct authority_request *request, char **certificate,
                                       char **key);
/* Wipes and frees. NULL is allowed. */
void authority_key_free(char *key);

/* SHA-256 over the DER of the first certificate of a PEM text: x5t#S256. STATUS_MALFORMED when
 * there is none. */
MUST_CHECK enum status certificate_digest(struct span pem, uint8_t digest[32]);

#endif
