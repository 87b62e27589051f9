#include "jose/jwk.h"

#include "crypto/sha256.h"
#include "jose/base64url.h"

#include <assert.h>

static const struct {
    const char *name;
    enum signature_algorithm algorithm;
} algorithms[] = {
    {"ES256", SIGNATURE_ES256}, {"EdDSA", SIGNATURE_EDDSA}, {"Ed25519", SIGNATURE_EDDSA},
    {"PS256", SIGNATURE_PS256}, {"RS256", SIGNATURE_RS256}, {"ES384", SIGNATURE_ES384},
    {"ES512", SIGNATURE_ES512},
};

enum signature_algorithm jwa_from_name(struct span name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (span_equal_string(name, algorithms[i].name)) {
            return algorithms[i].algorithm;
        }
    }
    return SIGNATURE_NONE;
}

const char *jwa_name(enum signature_algorithm algorithm)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (algorithms[i].algorithm == algorithm) {
            return algorithms[i].name;
        }
    }
    return "none";
}

/* The curves of RFC 7518 section 6.2.1.1 and RFC 8037 section 2 that we verify with. */
struct curve {
    const char *name;
    const char *kty;
    enum public_key_type type;
    size_t field_bytes;
    bool has_y;
};

static const struct curve curves[] = {
    {"P-256", "EC", KEY_P256, 32, true},
    {"P-384", "EC", KEY_P384, 48, true},
    {"P-521", "EC", KEY_P521, 66, true},
    {"Ed25519", "OKP", KEY_ED25519, 32, false},
};
#define CURVES (sizeof curves / sizeof curves[0])

/* What one walk over a JWK's members finds. Members not named here mean nothing to us (RFC 7517
 * section 4: "Additional members can be present in the JWK; if not understood by implementations
 * encountering them, they MUST be ignored."). */
struct members {
    const struct json_value *kty, *crv, *x, *y, *n, *e, *alg, *use, *key_ops;
    bool secret; /* d, p, q, dp, dq, qi, oth (RFC 7518 section 6.3.2) or k (6.4.1) */
};

static void sort_member(struct members *members, const struct json_value *value)
{
    struct span name = value->name;
    if (name.size == 1) {
        switch (name.data[0]) {
        case 'x':
            members->x = value;
            break;
        case 'y':
            members->y = value;
            break;
        case 'n':
            members->n = value;
            break;
        case 'e':
            members->e = value;
            break;
        case 'd':
        case 'k':
        case 'p':
        case 'q':
            members->secret = true;
            break;
        default:
            break;
        }
    } else if (span_equal_string(name, "kty")) {
        members->kty = value;
    } else if (span_equal_string(name, "crv")) {
        members->crv = value;
    } else if (span_equal_string(name, "alg")) {
        members->alg = value;
    } else if (span_equal_string(name, "use")) {
        members->use = value;
    } else if (span_equal_string(name, "key_ops")) {
        members->key_ops = value;
    } else if (span_equal_string(name, "dp") || span_equal_string(name, "dq") ||
               span_equal_string(name, "qi") || span_equal_string(name, "oth")) {
        members->secret = true;
    }
}

static bool is_string(const struct json_value *value)
{
    return value != NULL && value->type == JSON_STRING;
}

/* RFC 7518 section 6.2.1.2: "The length of this octet string MUST be the full size of a coordinate
 * for the curve". */
static enum status read_coordinate(const struct json_value *value, size_t size, uint8_t *out)
{
    struct span decoded;
    if (!is_string(value) ||
        base64url_decode(value->text, (struct span_mut){out, size}, &decoded) != STATUS_OK ||
        decoded.size != size) {
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static enum status read_curve_key(const struct members *members, const char *kty,
                                  struct public_key *key)
{
    if (!is_string(members->crv)) {
        return STATUS_MALFORMED;
    }
    for (size_t i = 0; i < CURVES; i++) {
        const struct curve *curve = &curves[i];
        if (strcmp(kty, curve->kty) != 0 || !span_equal_string(members->crv->text, curve->name)) {
            continue;
        }
        key->type = curve->type;
        enum status status = read_coordinate(members->x, curve->field_bytes, key->x);
        if (status == STATUS_OK && curve->has_y) {
            status = read_coordinate(members->y, curve->field_bytes, key->y);
        }
        return status;
    }
    return STATUS_UNSUPPORTED;
}

/* A Base64urlUInt of at most `size` bytes. RFC 7518 section 2: "The octet sequence MUST utilize the
 * minimum number of octets needed to represent the value", without which one key would have several
 * thumbprints. */
static enum status read_integer(const struct json_value *value, struct span_mut out,
                                struct span *decoded)
{
    if (!is_string(value)) {
        return STATUS_MALFORMED;
    }
    enum status status = base64url_decode(value->text, out, decoded);
    if (status == STATUS_TOO_LARGE) {
        return STATUS_UNSUPPORTED;
    }
    if (status != STATUS_OK || decoded->size == 0 || decoded->data[0] == 0) {
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static enum status read_rsa_key(const struct members *members, struct public_key *key)
{
    uint8_t exponent[4];
    struct span n, e;
    enum status status = read_integer(members->n,
                                      (struct span_mut){key->modulus, sizeof key->modulus}, &n);
    if (status != STATUS_OK) {
        return status;
    }
    status = read_integer(members->e, (struct span_mut){exponent, sizeof exponent}, &e);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < e.size; i++) {
        key->exponent = key->exponent << 8 | e.data[i];
    }
    key->type = KEY_RSA;
    key->modulus_size = n.size;
    /* RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used with these algorithms."
     */
    bool large_enough = n.size > 256 || (n.size == 256 && n.data[0] >= 0x80);
    return large_enough && key->exponent >= 3 && key->exponent % 2 == 1 ? STATUS_OK
                                                                        : STATUS_UNSUPPORTED;
}

/* RFC 7517 section 4.3: "Duplicate key operation values MUST NOT be present in the array." */
static enum status check_key_ops(const struct json_document *document,
                                 const struct json_value *key_ops)
{
    if (key_ops->type != JSON_ARRAY) {
        return STATUS_MALFORMED;
    }
    bool verifies = false;
    uint32_t first = (uint32_t)(key_ops - document->values) + 1;
    for (uint32_t i = first; i < key_ops->next; i = document->values[i].next) {
        if (document->values[i].type != JSON_STRING) {
            return STATUS_MALFORMED;
        }
        for (uint32_t j = first; j < i; j++) { /* strings only before i: each is one value */
            if (span_equal(document->values[j].text, document->values[i].text)) {
                return STATUS_MALFORMED;
            }
        }
        verifies |= span_equal_string(document->values[i].text, "verify");
    }
    return verifies ? STATUS_OK : STATUS_UNSUPPORTED;
}

/* What the key says of its own use: absent, or fit for verifying a signature with a key of this
 * type. */
static enum status check_use(const struct json_document *document, const struct members *members,
                             enum public_key_type type)
{
    if (members->use != NULL) {
        if (members->use->type != JSON_STRING) {
            return STATUS_MALFORMED;
        }
        if (!span_equal_string(members->use->text, "sig")) {
            return STATUS_UNSUPPORTED;
        }
    }
    if (members->alg != NULL) {
        if (members->alg->type != JSON_STRING) {
            return STATUS_MALFORMED;
        }
        enum signature_algorithm algorithm = jwa_from_name(members->alg->text);
        if (algorithm == SIGNATURE_NONE || signature_key_type(algorithm) != type) {
            return STATUS_UNSUPPORTED;
        }
    }
    return members->key_ops != NULL ? check_key_ops(document, members->key_ops) : STATUS_OK;
}

static enum status read_key(const struct json_document *document, uint32_t object,
                            struct public_key *key)
{
    if (object >= document->count || document->values[object].type != JSON_OBJECT) {
        return STATUS_MALFORMED;
    }
    struct members members = {0};
    uint32_t end = document->values[object].next;
    for (uint32_t i = object + 1; i < end; i = document->values[i].next) {
        sort_member(&members, &document->values[i]);
    }
    if (!is_string(members.kty)) {
        return STATUS_MALFORMED;
    }
    bool is_ec = span_equal_string(members.kty->text, "EC");
    bool is_okp = span_equal_string(members.kty->text, "OKP");
    bool is_rsa = span_equal_string(members.kty->text, "RSA");
    if (span_equal_string(members.kty->text, "oct")) {
        return STATUS_MALFORMED;
    }
    if (!is_ec && !is_okp && !is_rsa) {
        return STATUS_UNSUPPORTED; /* its members may mean anything */
    }
    /* RFC 9449 section 4.3: "The jwk JOSE Header Parameter does not contain a private key." */
    if (members.secret) {
        return STATUS_MALFORMED;
    }
    enum status status = is_rsa ? read_rsa_key(&members, key)
                                : read_curve_key(&members, is_ec ? "EC" : "OKP", key);
    return status == STATUS_OK ? check_use(document, &members, key->type) : status;
}

enum status jwk_read(const struct json_document *document, uint32_t object, struct public_key *key)
{
    memset(key, 0, sizeof *key);
    enum status status = read_key(document, object, key);
    if (status != STATUS_OK) {
        memset(key, 0, sizeof *key);
    }
    return status;
}

/* Text under construction; `text` has room for the largest, an RSA key's. */
struct canonical {
    char text[64 + BASE64URL_ENCODED_SIZE(RSA_MODULUS_BYTES_MAX)];
    size_t size;
};

static void append(struct canonical *canonical, const char *text)
{
    size_t size = strlen(text);
    memcpy(canonical->text + canonical->size, text, size);
    canonical->size += size;
}

static void append_base64url(struct canonical *canonical, const uint8_t *bytes, size_t size)
{
    canonical->size += base64url_encode(span_make(bytes, size), canonical->text + canonical->size);
}

static void append_rsa(struct canonical *canonical, const struct public_key *key)
{
    uint8_t exponent[4] = {(uint8_t)(key->exponent >> 24), (uint8_t)(key->exponent >> 16),
                           (uint8_t)(key->exponent >> 8), (uint8_t)key->exponent};
    size_t zeros = 0;
    while (zeros < 3 && exponent[zeros] == 0) {
        zeros++;
    }
    append(canonical, "{\"e\":\"");
    append_base64url(canonical, exponent + zeros, 4 - zeros);
    append(canonical, "\",\"kty\":\"RSA\",\"n\":\"");
    append_base64url(canonical, key->modulus, key->modulus_size);
    append(canonical, "\"}");
}

static void append_curve(struct canonical *canonical, const struct curve *curve,
                         const struct public_key *key)
{
    append(canonical, "{\"crv\":\"");
    append(canonical, curve->name);
    append(canonical, "\",\"kty\":\"");
    append(canonical, curve->kty);
    append(canonical, "\",\"x\":\"");
    append_base64url(canonical, key->x, curve->field_bytes);
    if (curve->has_y) {
        append(canonical, "\",\"y\":\"");
        append_base64url(canonical, key->y, curve->field_bytes);
    }
    append(canonical, "\"}");
}

void jwk_thumbprint(const struct public_key *key, uint8_t thumbprint[JWK_THUMBPRINT_BYTES])
{
    /* RFC 7638 section 3: "Construct a JSON object containing only the required members of a JWK
     * representing the key and with no whitespace or line breaks before or after any syntactic
     * elements and with the required members ordered lexicographically by the Unicode code points
     * of the member names." */
    struct canonical canonical;
    canonical.size = 0;
    if (key->type == KEY_RSA) {
        append_rsa(&canonical, key);
    } else {
        for (size_t i = 0; i < CURVES; i++) {
            if (curves[i].type == key->type) {
                append_curve(&canonical, &curves[i], key);
            }
        }
    }
    assert(canonical.size > 0); /* a key that jwk_read has not filled has no thumbprint */
    sha256(span_make(canonical.text, canonical.size), thumbprint);
}
