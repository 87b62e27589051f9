#include "tls/demo.h"

#include <openssl/asn1.h>
#include <openssl/obj.h>

#include <stdint.h>

/* 2.25.36607561255529417002966341491711337377, of the arc where a UUID needs no registration (ITU-T
 * X.667): 1b8a5c1e-8f3d-4e57-9d0a-6c2f7b94e3a1. As DER, for newer BoringSSLs read no arc of more
 * than 64 bits from text. */
static const uint8_t demo_oid[] = {0x06, 0x13, 0x69, 0xb7, 0x8a, 0xae, 0x87, 0xd1, 0xf3, 0xea, 0xb9,
                                   0xaf, 0x9d, 0x85, 0x9b, 0x85, 0xf7, 0xdc, 0xd3, 0xc7, 0x21};

static ASN1_OBJECT *make_oid(void)
{
    const uint8_t *cursor = demo_oid;
    return d2i_ASN1_OBJECT(NULL, &cursor, sizeof demo_oid);
}

bool demo_is_marked(const X509 *ca)
{
    ASN1_OBJECT *oid = make_oid();
    bool marked = oid != NULL && X509_get_ext_by_OBJ(ca, oid, -1) >= 0;
    ASN1_OBJECT_free(oid);
    return marked;
}

enum status demo_mark(X509 *ca)
{
    static const uint8_t der_null[] = {0x05, 0x00};
    ASN1_OBJECT *oid = make_oid();
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    enum status status = STATUS_FAILED;
    if (oid != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der_null, sizeof der_null)) {
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    }
    if (extension != NULL && X509_add_ext(ca, extension, -1)) {
        status = STATUS_OK;
    }
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return status;
}
