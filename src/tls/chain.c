#include "tls/chain.h"

#include "tls/leaf.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>

/* The memory of verified chains: sets of four, found by the chain's hash, each set under one of a
 * few locks that a handshake holds for a few loads. Nothing on a connection's hot path comes here.
 */
#define WAYS  4
#define SETS  (TLS_VERIFIED_CHAINS_MAX / WAYS)
#define LOCKS 16

struct trust {
    X509_STORE *store;
    int purpose;
    bool has_crls;
    int64_t crls_from_s, crls_until_s; /* when all of them are current */
    _Atomic uint64_t hits, misses;
    pthread_mutex_t locks[LOCKS];
    struct verified_chain *chains[SETS][WAYS];
    uint8_t next_way[SETS]; /* the way to evict next */
};

void verified_chain_acquire(struct verified_chain *chain)
{
    /* Relaxed: whoever acquires already holds, or looks under the set's lock. */
    atomic_fetch_add_explicit(&chain->references, 1, memory_order_relaxed);
}

void verified_chain_release(struct verified_chain *chain)
{
    /* Acquire-release: the last one to leave must see everything the others did before it frees. */
    if (chain == NULL ||
        atomic_fetch_sub_explicit(&chain->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < chain->count; i++) {
        CRYPTO_BUFFER_free(chain->certificates[i]);
    }
    free(chain);
}

/* ---- building ---- */

static enum status add_crls(struct trust *trust, const STACK_OF(X509_CRL) * crls)
{
    trust->crls_from_s = INT64_MIN;
    trust->crls_until_s = INT64_MAX;
    for (size_t i = 0; crls != NULL && i < sk_X509_CRL_num(crls); i++) {
        X509_CRL *crl = sk_X509_CRL_value(crls, i);
        int64_t from_s = 0, until_s = INT64_MAX;
        if (!X509_STORE_add_crl(trust->store, crl) ||
            leaf_time(X509_CRL_get0_lastUpdate(crl), &from_s) != STATUS_OK ||
            (X509_CRL_get0_nextUpdate(crl) != NULL &&
             leaf_time(X509_CRL_get0_nextUpdate(crl), &until_s) != STATUS_OK)) {
            return STATUS_FAILED;
        }
        trust->has_crls = true;
        trust->crls_from_s = from_s > trust->crls_from_s ? from_s : trust->crls_from_s;
        trust->crls_until_s = until_s < trust->crls_until_s ? until_s : trust->crls_until_s;
    }
    return STATUS_OK;
}

struct trust *trust_new(const struct trust_options *options)
{
    struct trust *trust = calloc(1, sizeof *trust);
    if (trust == NULL) {
        return NULL;
    }
    trust->purpose = options->purpose;
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&trust->locks[i], NULL);
    }
    trust->store = X509_STORE_new();
    bool ok = trust->store != NULL && add_crls(trust, options->crls) == STATUS_OK;
    for (size_t i = 0; ok && i < sk_X509_num(options->cas); i++) {
        ok = X509_STORE_add_cert(trust->store, sk_X509_value(options->cas, i));
    }
    if (!ok) {
        trust_free(trust);
        return NULL;
    }
    return trust;
}

void trust_free(struct trust *trust)
{
    if (trust == NULL) {
        return;
    }
    for (size_t set = 0; set < SETS; set++) {
        for (size_t way = 0; way < WAYS; way++) {
            verified_chain_release(trust->chains[set][way]);
        }
    }
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_destroy(&trust->locks[i]);
    }
    X509_STORE_free(trust->store);
    free(trust);
}

void trust_counters(struct trust *trust, uint64_t *hits, uint64_t *misses)
{
    *hits = atomic_load_explicit(&trust->hits, memory_order_relaxed);
    *misses = atomic_load_explicit(&trust->misses, memory_order_relaxed);
}

/* ---- the memory ---- */

static void chain_key(const STACK_OF(CRYPTO_BUFFER) * certificates, uint8_t key[32])
{
    SHA256_CTX hash;
    SHA256_Init(&hash);
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(certificates); i++) {
        const CRYPTO_BUFFER *der = sk_CRYPTO_BUFFER_value(certificates, i);
        uint64_t size = CRYPTO_BUFFER_len(der); /* so that no two chains are one string of bytes */
        SHA256_Update(&hash, &size, sizeof size);
        SHA256_Update(&hash, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
    }
    SHA256_Final(key, &hash);
}

static size_t set_of(const uint8_t key[32])
{
    return (size_t)(key[0] | key[1] << 8) % SETS;
}

static struct verified_chain *recall(struct trust *trust, const uint8_t key[32], int64_t now_s)
{
    size_t set = set_of(key);
    struct verified_chain *found = NULL;
    pthread_mutex_lock(&trust->locks[set % LOCKS]);
    for (size_t way = 0; way < WAYS; way++) {
        struct verified_chain *chain = trust->chains[set][way];
        if (chain != NULL && memcmp(chain->key, key, 32) == 0 && now_s >= chain->valid_from_s &&
            now_s <= chain->valid_until_s) {
            verified_chain_acquire(chain);
            found = chain;
            break;
        }
    }
    pthread_mutex_unlock(&trust->locks[set % LOCKS]);
    atomic_fetch_add_explicit(found != NULL ? &trust->hits : &trust->misses, 1,
                              memory_order_relaxed);
    return found;
}

static void remember(struct trust *trust, struct verified_chain *chain)
{
    size_t set = set_of(chain->key);
    verified_chain_acquire(chain);
    pthread_mutex_lock(&trust->locks[set % LOCKS]);
    size_t way = 0;
    while (way < WAYS && trust->chains[set][way] != NULL &&
           memcmp(trust->chains[set][way]->key, chain->key, 32) != 0) {
        way++;
    }
    if (way == WAYS) {
        way = trust->next_way[set];
        trust->next_way[set] = (uint8_t)((way + 1) % WAYS);
    }
    struct verified_chain *old = trust->chains[set][way];
    trust->chains[set][way] = chain;
    pthread_mutex_unlock(&trust->locks[set % LOCKS]);
    verified_chain_release(old);
}

/* ---- verifying ---- */

static const char *words_of(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "a certificate of the chain has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "a certificate of the chain is not valid yet";
    case X509_V_ERR_CERT_REVOKED:
        return "a certificate of the chain has been revoked";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "no CRL covers a certificate of the chain";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "the CRL has expired";
    case X509_V_ERR_INVALID_PURPOSE:
        return "the certificate is not for this use (extended key usage)";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "the certificate is from no trusted CA";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
        return "the certificate is outside its CA's name constraints";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "the certificate is for another name";
    default:
        return X509_verify_cert_error_string(error);
    }
}

static enum status set_up(struct trust *trust, X509_STORE_CTX *verification, X509 *leaf,
                          STACK_OF(X509) * others, const char *host, int64_t now_s)
{
    if (!X509_STORE_CTX_init(verification, trust->store, leaf, others)) {
        return STATUS_NO_MEMORY;
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(verification);
    /* A CA the operator lists is an anchor, self-signed or not. As nginx and HAProxy do, a CRL that
     * is given must cover every certificate of the chain. */
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    if (trust->has_crls) {
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    }
    X509_VERIFY_PARAM_set_flags(param, flags);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_depth(param, TLS_CHAIN_DEPTH_MAX);
    if (!X509_VERIFY_PARAM_set_purpose(param, trust->purpose)) {
        return STATUS_FAILED;
    }
    if (host != NULL) {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        struct in6_addr address;
        bool is_address = inet_pton(AF_INET, host, &address) == 1 ||
                          inet_pton(AF_INET6, host, &address) == 1;
        if (is_address ? !X509_VERIFY_PARAM_set1_ip_asc(param, host)
                       : !X509_VERIFY_PARAM_set1_host(param, host, strlen(host))) {
            return STATUS_FAILED;
        }
    }
    return STATUS_OK;
}

/* The time in which everything the verification looked at stays valid; and the certificates alone,
 * for a CRL may be replaced under an open connection. */
struct window {
    int64_t from_s, until_s, certificates_until_s;
};

static enum status narrow(struct window *window, const STACK_OF(X509) * verified)
{
    for (size_t i = 0; i < sk_X509_num(verified); i++) {
        const X509 *certificate = sk_X509_value(verified, i);
        int64_t from_s = 0, until_s = 0;
        if (leaf_time(X509_get0_notBefore(certificate), &from_s) != STATUS_OK ||
            leaf_time(X509_get0_notAfter(certificate), &until_s) != STATUS_OK) {
            return STATUS_MALFORMED;
        }
        window->from_s = from_s > window->from_s ? from_s : window->from_s;
        window->certificates_until_s = until_s < window->certificates_until_s
                                           ? until_s
                                           : window->certificates_until_s;
    }
    if (window->certificates_until_s < window->until_s) {
        window->until_s = window->certificates_until_s;
    }
    return STATUS_OK;
}

static enum status verify_parsed(struct trust *trust, X509 *leaf, STACK_OF(X509) * others,
                                 const char *host, int64_t now_s, struct window *window,
                                 const char **failure, uint8_t *alert)
{
    *alert = SSL_AD_INTERNAL_ERROR;
    *failure = "the certificate could not be verified: out of memory";
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    enum status status = STATUS_DENIED;
    if (verification != NULL &&
        set_up(trust, verification, leaf, others, host, now_s) == STATUS_OK) {
        if (X509_verify_cert(verification) == 1 &&
            X509_STORE_CTX_get_error(verification) == X509_V_OK) {
            *window = (struct window){trust->crls_from_s, trust->crls_until_s, INT64_MAX};
            status = narrow(window, X509_STORE_CTX_get0_chain(verification)) == STATUS_OK
                         ? STATUS_OK
                         : STATUS_DENIED;
        } else {
            int error = X509_STORE_CTX_get_error(verification);
            *failure = words_of(error);
            *alert = (uint8_t)SSL_alert_from_verify_result(error);
        }
    }
    X509_STORE_CTX_free(verification);
    ERR_clear_error();
    return status;
}

/* ---- one chain ---- */

static struct span copy_text(uint8_t **cursor, const char *text, size_t size)
{
    struct span span = span_make(*cursor, size);
    if (size > 0) {
        memcpy(*cursor, text, size);
    }
    *cursor += size;
    return span;
}

static struct verified_chain *make_chain(const STACK_OF(CRYPTO_BUFFER) * certificates,
                                         const struct leaf_identity *identity,
                                         const struct window *window, const uint8_t key[32])
{
    size_t text_size = identity->subject_size + identity->uri_size;
    for (uint32_t i = 0; i < identity->dns_count; i++) {
        text_size += identity->dns_sizes[i];
    }
    struct verified_chain *chain = malloc(sizeof *chain + text_size);
    if (chain == NULL) {
        return NULL;
    }
    memset(chain, 0, sizeof *chain);
    atomic_init(&chain->references, 1);
    memcpy(chain->key, key, 32);
    chain->valid_from_s = window->from_s;
    chain->valid_until_s = window->until_s;
    chain->count = (uint32_t)sk_CRYPTO_BUFFER_num(certificates);
    for (uint32_t i = 0; i < chain->count; i++) {
        chain->certificates[i] = sk_CRYPTO_BUFFER_value(certificates, i);
        CRYPTO_BUFFER_up_ref(chain->certificates[i]);
    }
    struct tls_peer *peer = &chain->peer;
    SHA256(CRYPTO_BUFFER_data(chain->certificates[0]), CRYPTO_BUFFER_len(chain->certificates[0]),
           peer->certificate_sha256);
    peer->not_before_s = identity->not_before_s;
    peer->not_after_s = window->certificates_until_s;
    uint8_t *cursor = chain->text;
    peer->subject = copy_text(&cursor, identity->subject, identity->subject_size);
    peer->uri_san = copy_text(&cursor, identity->uri, identity->uri_size);
    peer->spiffe_id = identity->is_spiffe ? peer->uri_san : (struct span){NULL, 0};
    peer->dns_sans_count = identity->dns_count;
    for (uint32_t i = 0; i < identity->dns_count; i++) {
        peer->dns_sans[i] = copy_text(&cursor, identity->dns[i], identity->dns_sizes[i]);
    }
    return chain;
}

static void free_certificates(X509 *leaf, STACK_OF(X509) * others)
{
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
}

static enum status parse(const STACK_OF(CRYPTO_BUFFER) * certificates, X509 **leaf,
                         STACK_OF(X509) * *others)
{
    *leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(certificates, 0));
    *others = sk_X509_new_null();
    bool ok = *leaf != NULL && *others != NULL;
    for (size_t i = 1; ok && i < sk_CRYPTO_BUFFER_num(certificates); i++) {
        X509 *other = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(certificates, i));
        ok = other != NULL && sk_X509_push(*others, other) != 0;
        if (!ok) {
            X509_free(other);
        }
    }
    if (!ok) {
        free_certificates(*leaf, *others);
        ERR_clear_error();
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static enum status verify_new(struct trust *trust, const STACK_OF(CRYPTO_BUFFER) * certificates,
                              const char *host, int64_t now_s, const uint8_t key[32],
                              struct verified_chain **chain, const char **failure, uint8_t *alert)
{
    X509 *leaf = NULL;
    STACK_OF(X509) *others = NULL;
    if (parse(certificates, &leaf, &others) != STATUS_OK) {
        *failure = "a certificate of the chain is malformed";
        *alert = SSL_AD_BAD_CERTIFICATE;
        return STATUS_DENIED;
    }
    struct window window;
    enum status status = verify_parsed(trust, leaf, others, host, now_s, &window, failure, alert);
    if (status == STATUS_OK) {
        struct leaf_identity identity = {0};
        if (host == NULL) {
            *alert = SSL_AD_BAD_CERTIFICATE;
            status = leaf_read(leaf, &identity, failure);
        }
        if (status == STATUS_OK) {
            *chain = make_chain(certificates, &identity, &window, key);
            if (*chain == NULL) {
                *failure = "the certificate could not be kept: out of memory";
                *alert = SSL_AD_INTERNAL_ERROR;
                status = STATUS_DENIED;
            }
        }
    }
    free_certificates(leaf, others);
    return status;
}

enum status trust_verify(struct trust *trust, const STACK_OF(CRYPTO_BUFFER) * certificates,
                         const char *host, int64_t now_s, struct verified_chain **chain,
                         const char **failure, uint8_t *alert)
{
    *chain = NULL;
    size_t count = certificates != NULL ? sk_CRYPTO_BUFFER_num(certificates) : 0;
    if (count == 0 || count > TLS_CHAIN_CERTIFICATES_MAX) {
        *failure = count == 0 ? "the peer sent no certificate" : "the chain is too long";
        *alert = count == 0 ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_BAD_CERTIFICATE;
        return STATUS_DENIED;
    }
    uint8_t key[32];
    chain_key(certificates, key);
    if (host == NULL) {
        *chain = recall(trust, key, now_s);
        if (*chain != NULL) {
            return STATUS_OK;
        }
    }
    enum status status = verify_new(trust, certificates, host, now_s, key, chain, failure, alert);
    if (status == STATUS_OK && host == NULL) {
        remember(trust, *chain);
    }
    return status;
}

enum status trust_reverify(struct trust *trust, const struct verified_chain *old, int64_t now_s,
                           const char **failure)
{
    STACK_OF(CRYPTO_BUFFER) *certificates = sk_CRYPTO_BUFFER_new_null();
    bool ok = certificates != NULL;
    for (uint32_t i = 0; ok && i < old->count; i++) {
        ok = sk_CRYPTO_BUFFER_push(certificates, old->certificates[i]) != 0;
    }
    enum status status = STATUS_DENIED;
    *failure = "the certificate could not be verified: out of memory";
    if (ok) {
        struct verified_chain *chain = NULL;
        uint8_t alert = 0;
        status = trust_verify(trust, certificates, NULL, now_s, &chain, failure, &alert);
        verified_chain_release(chain);
    }
    sk_CRYPTO_BUFFER_free(certificates); /* the stack, not what it refers to */
    return status;
}
