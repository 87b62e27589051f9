#include "tls/leaf.h"

#include "tls/spiffe.h"

#include <openssl/bio.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

enum status leaf_time(const ASN1_TIME *time, int64_t *seconds)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, rest = 0;
    bool ok = epoch != NULL && time != NULL && ASN1_TIME_diff(&days, &rest, epoch, time);
    ASN1_TIME_free(epoch);
    if (!ok) {
        return STATUS_MALFORMED;
    }
    *seconds = (int64_t)days * 86400 + rest;
    return STATUS_OK;
}

/* DESIGN.md, Answers: "A claim or certificate value with control or non-ASCII characters is
 * refused, never cut." */
static bool is_printable(const uint8_t *bytes, size_t size, uint8_t lowest)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] < lowest || bytes[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static bool name_is_printable(const X509_NAME *name)
{
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        unsigned char *text = NULL;
        int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
        bool ok = size >= 0 && is_printable(text, (size_t)size, 0x20);
        OPENSSL_free(text);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static enum status read_subject(X509 *leaf, struct leaf_identity *identity, const char **failure)
{
    const X509_NAME *name = X509_get_subject_name(leaf);
    if (name == NULL || !name_is_printable(name)) {
        *failure = "the certificate's subject has control or non-ASCII characters";
        return STATUS_DENIED;
    }
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *text = NULL;
    size_t size = 0;
    enum status status = STATUS_DENIED;
    if (bio == NULL || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0 ||
        !BIO_mem_contents(bio, &text, &size)) {
        *failure = "the certificate's subject is malformed";
    } else if (size > sizeof identity->subject) {
        *failure = "the certificate's subject is too long";
    } else if (!is_printable(text, size, 0x20)) {
        *failure = "the certificate's subject has control or non-ASCII characters";
    } else {
        if (size > 0) {
            memcpy(identity->subject, text, size);
        }
        identity->subject_size = size;
        status = STATUS_OK;
    }
    BIO_free(bio);
    return status;
}

static enum status read_uri(struct span uri, struct leaf_identity *identity, const char **failure)
{
    /* X509-SVID section 2: "An X.509 SVID MUST contain exactly one URI SAN". */
    if (identity->uri_size != 0) {
        *failure = "the certificate has more than one URI SAN";
        return STATUS_DENIED;
    }
    if (uri.size == 0 || uri.size > sizeof identity->uri) {
        *failure = "the certificate's URI SAN is empty or too long";
        return STATUS_DENIED;
    }
    if (spiffe_claims_scheme(uri)) {
        if (!spiffe_id_is_valid(uri)) {
            *failure = "the certificate's URI SAN is not a valid SPIFFE ID";
            return STATUS_DENIED;
        }
        identity->is_spiffe = true;
    }
    memcpy(identity->uri, uri.data, uri.size);
    identity->uri_size = uri.size;
    return STATUS_OK;
}

static enum status read_dns(struct span name, struct leaf_identity *identity, const char **failure)
{
    if (name.size == 0 || name.size > LEAF_DNS_NAME_MAX) {
        *failure = "the certificate has an empty or overlong DNS SAN";
        return STATUS_DENIED;
    }
    if (identity->dns_count < LEAF_DNS_SANS_MAX) {
        memcpy(identity->dns[identity->dns_count], name.data, name.size);
        identity->dns_sizes[identity->dns_count] = name.size;
        identity->dns_count++;
    }
    return STATUS_OK;
}

static enum status read_san(const GENERAL_NAME *san, struct leaf_identity *identity,
                            const char **failure)
{
    if (san->type == GEN_DIRNAME) {
        if (!name_is_printable(san->d.directoryName)) {
            *failure = "the certificate has a SAN with control or non-ASCII characters";
            return STATUS_DENIED;
        }
        return STATUS_OK;
    }
    if (san->type != GEN_URI && san->type != GEN_DNS && san->type != GEN_EMAIL) {
        return STATUS_OK; /* neither forwarded nor logged */
    }
    const ASN1_STRING *value = san->d.ia5;
    struct span text = span_make(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    if (!is_printable(text.data, text.size, 0x21)) {
        *failure = "the certificate has a SAN with control or non-ASCII characters";
        return STATUS_DENIED;
    }
    if (san->type == GEN_URI) {
        return read_uri(text, identity, failure);
    }
    return san->type == GEN_DNS ? read_dns(text, identity, failure) : STATUS_OK;
}

static enum status read_sans(X509 *leaf, struct leaf_identity *identity, const char **failure)
{
    int critical = 0;
    GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
    if (sans == NULL) {
        if (critical == -1) {
            return STATUS_OK; /* no such extension */
        }
        *failure = "the certificate's SAN extension is malformed";
        return STATUS_DENIED;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sk_GENERAL_NAME_num(sans) && status == STATUS_OK; i++) {
        status = read_san(sk_GENERAL_NAME_value(sans, i), identity, failure);
    }
    GENERAL_NAMES_free(sans);
    return status;
}

enum status leaf_read(X509 *leaf, struct leaf_identity *identity, const char **failure)
{
    *identity = (struct leaf_identity){0};
    uint32_t flags = X509_get_extension_flags(leaf);
    if (flags & EXFLAG_INVALID) {
        *failure = "the certificate's extensions are malformed";
        return STATUS_DENIED;
    }
    /* X509-SVID section 4.1: "leaf certificates MUST set the cA field to false"; 4.3: "MUST NOT set
     * keyCertSign or cRLSign". A key usage that is absent reads as all ones. */
    uint32_t usage = X509_get_key_usage(leaf);
    if ((flags & EXFLAG_CA) ||
        (usage != UINT32_MAX && (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)))) {
        *failure = "the certificate may sign others: a CA is no client";
        return STATUS_DENIED;
    }
    if (leaf_time(X509_get0_notBefore(leaf), &identity->not_before_s) != STATUS_OK ||
        leaf_time(X509_get0_notAfter(leaf), &identity->not_after_s) != STATUS_OK) {
        *failure = "the certificate's dates are malformed";
        return STATUS_DENIED;
    }
    enum status status = read_subject(leaf, identity, failure);
    return status == STATUS_OK ? read_sans(leaf, identity, failure) : status;
}
