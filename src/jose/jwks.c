#include "jose/jwks.h"

#include <stdlib.h>

struct entry {
    struct public_key key;
    enum signature_algorithm algorithm; /* what its `alg` says; SIGNATURE_NONE without one */
    bool has_kid;
    struct span kid; /* in the set's own memory */
};

/* RFC 7517 section 5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key
 * type) values that are not understood by them, that are missing required members, or for which
 * values are out of the supported ranges." We ignore the first and the last; a key that is damaged
 * is told, because nobody meant to publish it. */

/* One allocation: the set, its entries, the bytes of their kids. */
struct jwks {
    size_t count;
    struct entry entries[];
};

/* What of one JWK is kept; the kid still points into the document. STATUS_UNSUPPORTED: to be
 * skipped. */
static enum status read_entry(const struct json_document *document, uint32_t index,
                              struct entry *entry, const char **error)
{
    *entry = (struct entry){.algorithm = SIGNATURE_NONE};
    if (document->values[index].type != JSON_OBJECT) {
        *error = "an element of \"keys\" is not an object: each must be a JWK";
        return STATUS_MALFORMED;
    }
    enum status status = jwk_read(document, index, &entry->key);
    if (status == STATUS_UNSUPPORTED) {
        return status;
    }
    if (status != STATUS_OK) {
        *error =
            "a key is damaged, symmetric or private: write only the public members of each key "
            "(kty, crv, x, y or n, e), coordinates in full length, base64url without padding";
        return status;
    }
    if (public_key_validate(&entry->key) != STATUS_OK) {
        *error =
            "a key is not valid: its point is not on its curve or its modulus is out of bounds; "
            "export it again from the issuer";
        return STATUS_MALFORMED;
    }
    const struct json_value *kid = json_member(document, index, "kid");
    if (kid != NULL && kid->type != JSON_STRING) {
        *error = "a kid is not a string: write it in quotes";
        return STATUS_MALFORMED;
    }
    if (kid != NULL) {
        entry->has_kid = true;
        entry->kid = kid->text;
    }
    const struct json_value *alg = json_member(document, index, "alg");
    if (alg != NULL) {
        entry->algorithm = jwa_from_name(alg->text); /* jwk_read has checked it */
    }
    return STATUS_OK;
}

/* Copies `count` entries and the kids they borrow. */
static struct jwks *copy_entries(const struct entry *entries, size_t count)
{
    size_t kid_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        kid_bytes += entries[i].kid.size;
    }
    struct jwks *jwks = malloc(sizeof *jwks + count * sizeof entries[0] + kid_bytes);
    if (jwks == NULL) {
        return NULL;
    }
    jwks->count = count;
    memcpy(jwks->entries, entries, count * sizeof entries[0]);
    uint8_t *kids = (uint8_t *)&jwks->entries[count];
    for (size_t i = 0; i < count; i++) {
        struct span *kid = &jwks->entries[i].kid;
        if (kid->size > 0) {
            memcpy(kids, kid->data, kid->size);
        }
        kid->data = kids;
        kids += kid->size;
    }
    return jwks;
}

static enum status read_keys(const struct json_document *document, struct entry *entries,
                             size_t *count, const char **error)
{
    const struct json_value *keys = json_member(document, 0, "keys");
    if (keys == NULL || keys->type != JSON_ARRAY) {
        *error = "there is no array \"keys\": write {\"keys\":[...]}";
        return STATUS_MALFORMED;
    }
    uint32_t first = (uint32_t)(keys - document->values) + 1;
    for (uint32_t i = first; i < keys->next; i = document->values[i].next) {
        enum status status = read_entry(document, i, &entries[*count], error);
        if (status == STATUS_UNSUPPORTED) {
            continue;
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (++*count > JWKS_KEYS_MAX) {
            *error = "there are more than 64 usable keys: remove those no longer in use";
            return STATUS_TOO_LARGE;
        }
    }
    if (*count == 0) {
        *error = "there is no key that can verify a signature: an EC key on P-256, P-384 or P-521, "
                 "an OKP key "
                 "on Ed25519 or an RSA key of 2048 to 4096 bits is needed";
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

enum status jwks_parse(struct span text, struct jwks **jwks, const char **error)
{
    *jwks = NULL;
    *error = "out of memory";
    if (text.size > JWKS_BYTES_MAX) {
        *error = "the JWK Set is larger than 256 KiB: leave out certificates (x5c) and old keys";
        return STATUS_TOO_LARGE;
    }
    struct json_parser *parser = json_parser_new(text.size);
    struct entry *entries = malloc((JWKS_KEYS_MAX + 1) * sizeof *entries);
    struct json_document document;
    enum status status = STATUS_NO_MEMORY;
    if (parser != NULL && entries != NULL) {
        status = json_parse(parser, text, &document);
    }
    if (status == STATUS_MALFORMED || status == STATUS_TOO_LARGE) {
        *error = "the JWK Set is not strict JSON: one object in UTF-8, no name twice, at most 8 "
                 "levels deep, "
                 "at most 64 members an object, nothing behind it";
    }
    size_t count = 0;
    if (status == STATUS_OK) {
        status = read_keys(&document, entries, &count, error);
    }
    if (status == STATUS_OK) {
        *jwks = copy_entries(entries, count);
        status = *jwks != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        *error = NULL;
    }
    free(entries);
    json_parser_free(parser);
    return status;
}

void jwks_free(struct jwks *jwks)
{
    free(jwks);
}

size_t jwks_count(const struct jwks *jwks)
{
    return jwks->count;
}

const struct public_key *jwks_find(const struct jwks *jwks, bool has_kid, struct span kid,
                                   enum signature_algorithm algorithm)
{
    const struct public_key *found = NULL;
    if (algorithm == SIGNATURE_NONE) {
        return NULL;
    }
    for (size_t i = 0; i < jwks->count; i++) {
        const struct entry *entry = &jwks->entries[i];
        if (has_kid && !(entry->has_kid && span_equal(entry->kid, kid))) {
            continue;
        }
        /* RFC 8725 section 3.1: "each key MUST be used with exactly one algorithm, and this MUST be
         * checked when the cryptographic operation is performed." */
        if (entry->key.type != signature_key_type(algorithm) ||
            (entry->algorithm != SIGNATURE_NONE && entry->algorithm != algorithm)) {
            continue;
        }
        if (found != NULL) {
            return NULL; /* RFC 7517 section 4.5 lets keys share a kid: which one is meant is then
                            not known */
        }
        found = &entry->key;
    }
    return found;
}
