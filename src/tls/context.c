#include "tls/context.h"

#include "base/clock.h"
#include "tls/context_internal.h"
#include "tls/demo.h"
#include "tls/leaf.h"
#include "tls/peer.h"
#include "tls/pem.h"

#include <openssl/base.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

/* A ticket is worth as long as a client usually idles; what it stands for is checked again at every
 * use. */
#define SESSION_SECONDS 3600
/* One: a client that opens several connections at once gets one from each. */
#define TICKETS_PER_HANDSHAKE 1
/* Bytes of certificates a peer may send. */
#define PEER_CERTIFICATES_BYTES_MAX (32 * 1024)

/* Only what is good for HTTP/2 too (RFC 9113 section 9.2.2): ephemeral keys and AEADs. */
static const char tls12_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

/* What a peer may sign its handshake with; BoringSSL's own list lacks Ed25519. */
static const uint16_t peer_signatures[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA512,
};

/* ---- ALPN ---- */

static bool offers(struct span list, struct span protocol)
{
    while (list.size > 0) {
        size_t size = list.data[0];
        if (size + 1 > list.size) {
            return false;
        }
        if (span_equal(span_make(list.data + 1, size), protocol)) {
            return true;
        }
        list = span_after(list, size + 1);
    }
    return false;
}

/* RFC 7301 section 3.2: "In the event that the server supports no protocols that the client
 * advertises, then the server SHALL respond with a fatal "no_application_protocol" alert." Not
 * called when the client sends no ALPN. */
static int choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *in,
                           unsigned in_size, void *argument)
{
    (void)ssl;
    const struct tls_context *context = argument;
    struct span list = span_make(in, in_size);
    struct span h2 = SPAN_LITERAL("h2"), http1 = SPAN_LITERAL("http/1.1");
    struct span chosen = {NULL, 0};
    if (context->http2 && offers(list, h2)) {
        chosen = h2;
    } else if (offers(list, http1)) {
        chosen = http1;
    } else {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen.data;
    *out_size = (uint8_t)chosen.size;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- our certificate ---- */

static CRYPTO_BUFFER *encode(X509 *certificate)
{
    uint8_t *der = NULL;
    int size = i2d_X509(certificate, &der);
    CRYPTO_BUFFER *buffer = size > 0 ? CRYPTO_BUFFER_new(der, (size_t)size, NULL) : NULL;
    OPENSSL_free(der);
    return buffer;
}

#define OWN_CHAIN_MAX 16

static enum status use_chain(SSL_CTX *ssl_ctx, const STACK_OF(X509) * chain, EVP_PKEY *key)
{
    size_t count = sk_X509_num(chain);
    CRYPTO_BUFFER *buffers[OWN_CHAIN_MAX] = {0};
    bool ok = count <= OWN_CHAIN_MAX;
    for (size_t i = 0; ok && i < count; i++) {
        buffers[i] = encode(sk_X509_value(chain, i));
        ok = buffers[i] != NULL;
    }
    ok = ok && SSL_CTX_set_chain_and_key(ssl_ctx, buffers, count, key, NULL);
    for (size_t i = 0; i < OWN_CHAIN_MAX; i++) {
        CRYPTO_BUFFER_free(buffers[i]);
    }
    return ok ? STATUS_OK : STATUS_FAILED;
}

static enum status check_dates(const X509 *certificate, const char *path, int64_t *expiry_s,
                               char *error, size_t error_size)
{
    int64_t now_s = clock_read().wall_s, from_s = 0;
    if (leaf_time(X509_get0_notBefore(certificate), &from_s) != STATUS_OK ||
        leaf_time(X509_get0_notAfter(certificate), expiry_s) != STATUS_OK) {
        snprintf(error, error_size, "%s: the certificate's dates are malformed", path);
        return STATUS_MALFORMED;
    }
    if (now_s > *expiry_s) {
        snprintf(error, error_size, "%s: the certificate expired %lld seconds ago", path,
                 (long long)(now_s - *expiry_s));
        return STATUS_EXPIRED;
    }
    if (now_s < from_s) {
        snprintf(error, error_size, "%s: the certificate is not valid for another %lld seconds",
                 path, (long long)(from_s - now_s));
        return STATUS_EXPIRED;
    }
    return STATUS_OK;
}

static size_t copy_dns_name(const GENERAL_NAME *san, uint8_t *out, bool *wildcard)
{
    if (san->type != GEN_DNS) {
        return 0;
    }
    const uint8_t *text = ASN1_STRING_get0_data(san->d.dNSName);
    size_t size = (size_t)ASN1_STRING_length(san->d.dNSName);
    if (memchr(text, '*', size) != NULL) {
        *wildcard = true;
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (uint8_t)(text[i] | 0x20) : text[i];
    }
    return size;
}

/* Keeps the exact DNS names of our leaf: the default public origins. */
static enum status keep_dns_names(struct tls_context *context, X509 *leaf)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t count = sans != NULL ? sk_GENERAL_NAME_num(sans) : 0, text_size = 0;
    for (size_t i = 0; i < count; i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
        text_size += san->type == GEN_DNS ? (size_t)ASN1_STRING_length(san->d.dNSName) : 0;
    }
    context->dns_names = calloc(1, count * sizeof *context->dns_names + text_size + 1);
    if (context->dns_names == NULL) {
        GENERAL_NAMES_free(sans);
        return STATUS_NO_MEMORY;
    }
    uint8_t *cursor = (uint8_t *)(context->dns_names + count);
    for (size_t i = 0; i < count; i++) {
        size_t size = copy_dns_name(sk_GENERAL_NAME_value(sans, i), cursor, &context->has_wildcard);
        if (size > 0) {
            context->dns_names[context->dns_names_count++] = span_make(cursor, size);
            cursor += size;
        }
    }
    GENERAL_NAMES_free(sans);
    return STATUS_OK;
}

/* Keeps the first URI SAN of our leaf, which x-forwarded-client-cert names as "By=". One that is
 * not printable ASCII, or longer than a SPIFFE ID may be, is left out: it could not go into a
 * header. */
static enum status keep_own_uri(struct tls_context *context, X509 *leaf)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t count = sans != NULL ? sk_GENERAL_NAME_num(sans) : 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && context->own_uri == NULL && status == STATUS_OK; i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
        if (san->type != GEN_URI) {
            continue;
        }
        const unsigned char *text = ASN1_STRING_get0_data(san->d.uniformResourceIdentifier);
        size_t size = (size_t)ASN1_STRING_length(san->d.uniformResourceIdentifier);
        bool printable = size > 0 && size <= TLS_SPIFFE_ID_MAX;
        for (size_t j = 0; j < size && printable; j++) {
            printable = text[j] > 0x20 && text[j] < 0x7f;
        }
        if (printable) {
            context->own_uri = malloc(size);
            status = context->own_uri != NULL ? STATUS_OK : STATUS_NO_MEMORY;
        }
        if (context->own_uri != NULL) {
            memcpy(context->own_uri, text, size);
            context->own_uri_size = size;
        }
    }
    GENERAL_NAMES_free(sans);
    return status;
}

static enum status load_own(struct tls_context *context, const char *certificate_path,
                            const char *key_path, char *error, size_t error_size)
{
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    enum status status = pem_read_certificates(certificate_path, &chain, error, error_size);
    if (status == STATUS_OK) {
        status = pem_read_private_key(key_path, &key, error, error_size);
    }
    if (status == STATUS_OK) {
        X509 *leaf = sk_X509_value(chain, 0);
        status = check_dates(leaf, certificate_path, &context->certificate_expiry_s, error,
                             error_size);
        if (status == STATUS_OK && !X509_check_private_key(leaf, key)) {
            snprintf(error, error_size, "%s is not the key of the certificate in %s", key_path,
                     certificate_path);
            status = STATUS_MALFORMED;
        }
        if (status == STATUS_OK && (keep_dns_names(context, leaf) != STATUS_OK ||
                                    keep_own_uri(context, leaf) != STATUS_OK ||
                                    use_chain(context->ssl_ctx, chain, key) != STATUS_OK)) {
            snprintf(error, error_size,
                     "%s: BoringSSL cannot use this certificate (kind of key, or over %d of them)",
                     certificate_path, OWN_CHAIN_MAX);
            status = STATUS_UNSUPPORTED;
        }
    }
    sk_X509_pop_free(chain, X509_free);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return status;
}

/* ---- the other side's CA ---- */

static enum status check_ca(struct tls_context *context, X509 *ca, const char *path, size_t number,
                            char *error, size_t error_size)
{
    int64_t expiry_s = 0;
    if (!X509_check_ca(ca)) {
        snprintf(error, error_size, "%s: certificate number %zu is not a CA's", path, number);
        return STATUS_MALFORMED;
    }
    if (leaf_time(X509_get0_notAfter(ca), &expiry_s) != STATUS_OK) {
        snprintf(error, error_size, "%s: the dates of certificate number %zu are malformed", path,
                 number);
        return STATUS_MALFORMED;
    }
    context->ca_expiry_s = expiry_s < context->ca_expiry_s ? expiry_s : context->ca_expiry_s;
    context->is_demo = context->is_demo || demo_is_marked(ca);
    return STATUS_OK;
}

static enum status check_cas(struct tls_context *context, const STACK_OF(X509) * cas,
                             const char *path, char *error, size_t error_size)
{
    context->ca_expiry_s = INT64_MAX;
    for (size_t i = 0; i < sk_X509_num(cas); i++) {
        enum status status = check_ca(context, sk_X509_value(cas, i), path, i + 1, error,
                                      error_size);
        if (status != STATUS_OK) {
            return status;
        }
    }
    /* An old CA in a bundle does no harm, it verifies nothing; a file of nothing else would refuse
     * everybody. */
    bool any_current = false;
    int64_t expiry_s = 0;
    for (size_t i = 0; i < sk_X509_num(cas) && !any_current; i++) {
        any_current = check_dates(sk_X509_value(cas, i), path, &expiry_s, error, error_size) ==
                      STATUS_OK;
    }
    return any_current ? STATUS_OK : STATUS_EXPIRED;
}

static enum status check_crls(const STACK_OF(X509_CRL) * crls, const char *path, char *error,
                              size_t error_size)
{
    int64_t now_s = clock_read().wall_s;
    for (size_t i = 0; i < sk_X509_CRL_num(crls); i++) {
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, i));
        int64_t until_s = 0;
        if (next != NULL && (leaf_time(next, &until_s) != STATUS_OK || until_s < now_s)) {
            snprintf(error, error_size,
                     "%s: CRL number %zu is past its nextUpdate: every client would be refused; "
                     "fetch the current one",
                     path, i + 1);
            return STATUS_EXPIRED;
        }
    }
    return STATUS_OK;
}

/* RFC 8446 section 4.2.4: the names of the CAs we accept, so that a client with several
 * certificates can choose. */
static enum status announce_cas(SSL_CTX *ssl_ctx, const STACK_OF(X509) * cas)
{
    STACK_OF(CRYPTO_BUFFER) *names = sk_CRYPTO_BUFFER_new_null();
    bool ok = names != NULL;
    for (size_t i = 0; ok && i < sk_X509_num(cas); i++) {
        uint8_t *der = NULL;
        int size = i2d_X509_NAME(X509_get_subject_name(sk_X509_value(cas, i)), &der);
        CRYPTO_BUFFER *name = size > 0 ? CRYPTO_BUFFER_new(der, (size_t)size, NULL) : NULL;
        OPENSSL_free(der);
        ok = name != NULL && sk_CRYPTO_BUFFER_push(names, name) != 0;
        if (!ok) {
            CRYPTO_BUFFER_free(name);
        }
    }
    if (!ok) {
        sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
        return STATUS_NO_MEMORY;
    }
    SSL_CTX_set0_client_CAs(ssl_ctx, names);
    return STATUS_OK;
}

static enum status load_trust(struct tls_context *context, const char *ca_path,
                              const char *crl_path, char *error, size_t error_size)
{
    STACK_OF(X509) *cas = NULL;
    STACK_OF(X509_CRL) *crls = NULL;
    enum status status = pem_read_certificates(ca_path, &cas, error, error_size);
    if (status == STATUS_OK) {
        status = check_cas(context, cas, ca_path, error, error_size);
    }
    if (status == STATUS_OK && crl_path != NULL && crl_path[0] != '\0') {
        status = pem_read_crls(crl_path, &crls, error, error_size);
        if (status == STATUS_OK) {
            status = check_crls(crls, crl_path, error, error_size);
        }
    }
    if (status == STATUS_OK) {
        struct trust_options options = {
            .cas = cas,
            .crls = crls,
            .purpose = context->is_client ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT,
        };
        context->trust = trust_new(&options);
        if (context->trust == NULL ||
            (!context->is_client && announce_cas(context->ssl_ctx, cas) != STATUS_OK)) {
            snprintf(error, error_size, "%s: cannot be used: out of memory, or damaged", ca_path);
            status = STATUS_NO_MEMORY;
        }
    }
    sk_X509_pop_free(cas, X509_free);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    ERR_clear_error();
    return status;
}

/* ---- the context ---- */

static enum status set_protocol(struct tls_context *context, int min_version_minor)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    uint16_t lowest = min_version_minor == 2 ? TLS1_2_VERSION : TLS1_3_VERSION;
    if (!SSL_CTX_set_min_proto_version(ssl_ctx, lowest) ||
        !SSL_CTX_set_max_proto_version(ssl_ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_strict_cipher_list(ssl_ctx, tls12_ciphers) ||
        !SSL_CTX_set_verify_algorithm_prefs(ssl_ctx, peer_signatures,
                                            sizeof peer_signatures / sizeof peer_signatures[0])) {
        return STATUS_FAILED;
    }
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(ssl_ctx, PEER_CERTIFICATES_BYTES_MAX);
    SSL_CTX_set_custom_verify(ssl_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                              connection_verify);
    return STATUS_OK;
}

static enum status set_server(struct tls_context *context, const struct tls_options *options)
{
    static const uint8_t session_context[] = "popgate";
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    SSL_CTX_set_options(ssl_ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ssl_ctx, choose_protocol, context);
    /* No early data (RFC 8446 section 8: it can be replayed): BoringSSL's default, made explicit.
     */
    SSL_CTX_set_early_data_enabled(ssl_ctx, 0);
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
    if (options->ticket_keys != NULL) {
        SSL_CTX_set_timeout(ssl_ctx, SESSION_SECONDS);
        SSL_CTX_set_session_psk_dhe_timeout(ssl_ctx, SESSION_SECONDS);
        SSL_CTX_set_num_tickets(ssl_ctx, TICKETS_PER_HANDSHAKE);
        SSL_CTX_set_ticket_aead_method(ssl_ctx, &connection_ticket_method);
    } else {
        SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_TICKET);
    }
    return SSL_CTX_set_session_id_context(ssl_ctx, session_context, sizeof session_context - 1)
               ? STATUS_OK
               : STATUS_FAILED;
}

static struct tls_context *make(bool is_client, int min_version_minor)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return NULL;
    }
    atomic_init(&context->references, 1);
    context->is_client = is_client;
    context->certificate_expiry_s = INT64_MAX;
    context->ca_expiry_s = INT64_MAX;
    context->ssl_ctx = SSL_CTX_new(TLS_with_buffers_method());
    context->bio_method = connection_bio_method_new();
    if (context->ssl_ctx == NULL || context->bio_method == NULL ||
        set_protocol(context, min_version_minor) != STATUS_OK) {
        tls_context_release(context);
        return NULL;
    }
    return context;
}

enum status tls_context_new(const struct tls_options *options, struct tls_context **context,
                            char *error, size_t error_size)
{
    *context = NULL;
    struct tls_context *made = make(false, options->min_version_minor);
    if (made == NULL) {
        snprintf(error, error_size, "out of memory for a TLS context");
        return STATUS_NO_MEMORY;
    }
    made->http2 = options->http2;
    made->ticket_keys = options->ticket_keys;
    made->generation = options->generation;
    enum status status = set_server(made, options);
    if (status != STATUS_OK) {
        snprintf(error, error_size, "BoringSSL refuses the TLS settings");
    } else {
        status = load_own(made, options->certificate_path, options->private_key_path, error,
                          error_size);
    }
    if (status == STATUS_OK) {
        status = load_trust(made, options->client_ca_path, options->client_crl_path, error,
                            error_size);
    }
    if (status != STATUS_OK) {
        tls_context_release(made);
        return status;
    }
    *context = made;
    return STATUS_OK;
}

static enum status set_client(struct tls_context *context, const struct tls_client_options *options)
{
    static const uint8_t both[] = "\x02h2\x08http/1.1";
    const uint8_t *list = options->offer_http2 ? both : both + 3;
    unsigned size = (options->offer_http2 ? 3 : 0) + (options->offer_http1 ? 9 : 0);
    SSL_CTX_set_session_cache_mode(context->ssl_ctx,
                                   options->keep_sessions
                                       ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                       : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_new_cb(context->ssl_ctx, connection_keep_session);
    /* Zero is success here, alone in all of BoringSSL. */
    return size == 0 || SSL_CTX_set_alpn_protos(context->ssl_ctx, list, size) == 0 ? STATUS_OK
                                                                                   : STATUS_FAILED;
}

enum status tls_client_context_new(const struct tls_client_options *options,
                                   struct tls_context **context, char *error, size_t error_size)
{
    *context = NULL;
    struct tls_context *made = make(true, options->min_version_minor);
    if (made == NULL || set_client(made, options) != STATUS_OK) {
        snprintf(error, error_size, "out of memory for a TLS context");
        tls_context_release(made);
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    if (options->certificate_path != NULL) {
        status = load_own(made, options->certificate_path, options->private_key_path, error,
                          error_size);
    }
    if (status == STATUS_OK) {
        status = load_trust(made, options->ca_path, NULL, error, error_size);
    }
    if (status != STATUS_OK) {
        tls_context_release(made);
        return status;
    }
    *context = made;
    return STATUS_OK;
}

void tls_context_acquire(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void tls_context_release(struct tls_context *context)
{
    /* Acquire-release: the last one to leave must see everything the others did before it frees. */
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    trust_free(context->trust);
    SSL_CTX_free(context->ssl_ctx);
    BIO_meth_free(context->bio_method);
    free(context->dns_names);
    free(context->own_uri);
    free(context);
}

uint64_t tls_context_generation(const struct tls_context *context)
{
    return context->generation;
}

size_t tls_context_dns_names(const struct tls_context *context, struct span *names,
                             size_t names_max, bool *wildcard)
{
    *wildcard = context->has_wildcard;
    size_t count = context->dns_names_count < names_max ? context->dns_names_count : names_max;
    for (size_t i = 0; i < count; i++) {
        names[i] = context->dns_names[i];
    }
    return count;
}

struct span tls_context_own_uri(const struct tls_context *context)
{
    return span_make(context->own_uri, context->own_uri_size);
}

int64_t tls_context_certificate_expiry(const struct tls_context *context)
{
    return context->certificate_expiry_s;
}

int64_t tls_context_client_ca_expiry(const struct tls_context *context)
{
    return context->ca_expiry_s;
}

bool tls_context_is_demo(const struct tls_context *context)
{
    return context->is_demo;
}

#define STRING_OF(number) #number
#define API_TEXT(number)  "BoringSSL (API " STRING_OF(number) ")"

const char *tls_library_version(void)
{
    return API_TEXT(BORINGSSL_API_VERSION);
}
