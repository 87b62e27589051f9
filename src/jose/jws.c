#include "jose/jws.h"

#include "jose/base64url.h"

/* The first byte behind the part that begins at `from`: its '.', or the end of the text. */
static size_t part_end(struct span text, size_t from)
{
    return from + span_find(span_after(text, from), '.');
}

/* Decodes one part to the front of *scratch and moves *scratch behind it. */
static enum status decode_part(struct span text, struct span_mut *scratch, struct span *part)
{
    enum status status = base64url_decode(text, *scratch, part);
    if (status != STATUS_OK) {
        return status;
    }
    scratch->data += part->size;
    scratch->size -= part->size;
    return STATUS_OK;
}

enum status jws_split(struct span text, struct span_mut scratch, struct jws *jws)
{
    *jws = (struct jws){{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    /* RFC 7515 section 7.1: "BASE64URL(UTF8(JWS Protected Header)) || '.' || BASE64URL(JWS Payload)
     * || '.' || BASE64URL(JWS Signature)". A fourth part ends the search: nothing of 64 KiB of dots
     * is decoded or kept. */
    size_t first = part_end(text, 0);
    if (first == 0 || first == text.size) {
        return STATUS_MALFORMED;
    }
    size_t second = part_end(text, first + 1);
    if (second == first + 1 || second == text.size || second + 1 == text.size ||
        part_end(text, second + 1) != text.size) {
        return STATUS_MALFORMED;
    }
    if (scratch.size < text.size) {
        return STATUS_TOO_LARGE;
    }
    struct jws parts = {.signing_input = span_first(text, second)};
    enum status status = decode_part(span_first(text, first), &scratch, &parts.header);
    if (status == STATUS_OK) {
        struct span payload = span_make(text.data + first + 1, second - first - 1);
        status = decode_part(payload, &scratch, &parts.payload);
    }
    if (status == STATUS_OK) {
        status = decode_part(span_after(text, second + 1), &scratch, &parts.signature);
    }
    if (status == STATUS_OK) {
        *jws = parts;
    }
    return status;
}
