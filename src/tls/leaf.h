/* The leaf certificate's own rules, beyond the chain: SPIFFE X509-SVID sections 2 to 4, and text
 * that is safe to forward and to log. Internal to src/tls. */
#ifndef POPGATE_TLS_LEAF_H
#define POPGATE_TLS_LEAF_H

#include "tls/peer.h"

#include <openssl/x509.h>

#define LEAF_DNS_SANS_MAX 4   /* kept for forwarding; more may be there */
#define LEAF_DNS_NAME_MAX 255 /* bytes of one of them; a longer name is refused */

/* What a leaf says about its holder, as text; all of it printable ASCII. */
struct leaf_identity {
    int64_t not_before_s, not_after_s;
    size_t subject_size, uri_size;
    bool is_spiffe;
    uint32_t dns_count;
    size_t dns_sizes[LEAF_DNS_SANS_MAX];
    char subject[TLS_SUBJECT_MAX];
    char uri[TLS_SPIFFE_ID_MAX];
    char dns[LEAF_DNS_SANS_MAX][LEAF_DNS_NAME_MAX];
};

/* STATUS_OK fills *identity. STATUS_DENIED sets *failure (static words). Says nothing about the
 * chain. */
MUST_CHECK enum status leaf_read(X509 *leaf, struct leaf_identity *identity, const char **failure);

/* Seconds since 1970. STATUS_MALFORMED when `time` is not a date. */
MUST_CHECK enum status leaf_time(const ASN1_TIME *time, int64_t *seconds);

#endif
