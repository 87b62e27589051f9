/* A certificate's DER as a peer might send it, to the leaf's rules; and the bytes as a URI to the
 * SPIFFE rules. What passes is printable ASCII within its bounds. */
#include "tls/leaf.h"
#include "tls/spiffe.h"

#include <openssl/err.h>
#include <openssl/pool.h>

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size, size_t size_max, uint8_t lowest)
{
    assert(size <= size_max);
    for (size_t i = 0; i < size; i++) {
        assert((uint8_t)text[i] >= lowest && (uint8_t)text[i] <= 0x7e);
    }
    (void)text;
    (void)lowest;
}

static void check_spiffe(struct span uri)
{
    if (!spiffe_id_is_valid(uri)) {
        return;
    }
    assert(spiffe_claims_scheme(uri) && uri.size > 10 && uri.size <= TLS_SPIFFE_ID_MAX);
    for (size_t i = 0; i < uri.size; i++) {
        uint8_t byte = uri.data[i];
        assert(byte > 0x20 && byte < 0x7f && byte != '?' && byte != '#' && byte != '%' &&
               byte != '@' && byte != '"' && byte != ',' && byte != ';' && byte != '\\');
        (void)byte;
    }
    assert(uri.data[uri.size - 1] != '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_spiffe(span_make(data, size));
    CRYPTO_BUFFER *der = CRYPTO_BUFFER_new(data, size, NULL);
    X509 *leaf = der != NULL ? X509_parse_from_buffer(der) : NULL;
    if (leaf != NULL) {
        static struct leaf_identity identity;
        const char *failure = NULL;
        enum status status = leaf_read(leaf, &identity, &failure);
        assert(status == STATUS_OK || failure != NULL);
        if (status == STATUS_OK) {
            check_text(identity.subject, identity.subject_size, TLS_SUBJECT_MAX, 0x20);
            check_text(identity.uri, identity.uri_size, TLS_SPIFFE_ID_MAX, 0x21);
            assert(identity.dns_count <= LEAF_DNS_SANS_MAX);
            for (uint32_t i = 0; i < identity.dns_count; i++) {
                check_text(identity.dns[i], identity.dns_sizes[i], LEAF_DNS_NAME_MAX, 0x21);
            }
            struct span uri = span_make(identity.uri, identity.uri_size);
            assert(!spiffe_claims_scheme(uri) || spiffe_id_is_valid(uri));
            assert(identity.is_spiffe == spiffe_claims_scheme(uri));
        }
    }
    X509_free(leaf);
    CRYPTO_BUFFER_free(der);
    ERR_clear_error();
    return 0;
}
