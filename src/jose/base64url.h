/* base64url without padding (RFC 7515 section 2, RFC 4648 section 5), canonical or refused: one
 * text for one value. */
#ifndef POPGATE_JOSE_BASE64URL_H
#define POPGATE_JOSE_BASE64URL_H

#include "base/span.h"
#include "base/status.h"

/* Bytes that `text_size` characters decode to at most. */
#define BASE64URL_DECODED_MAX(text_size) ((text_size) / 4 * 3 + 2)
#define BASE64URL_ENCODED_SIZE(size)     (((size)*4 + 2) / 3)

/* STATUS_MALFORMED for padding, white space, any byte outside the alphabet, a length of 1 mod 4,
 * and trailing bits that are not zero; STATUS_TOO_LARGE when `out` is too small. Sets *decoded to a
 * part of `out`. */
MUST_CHECK enum status base64url_decode(struct span text, struct span_mut out,
                                        struct span *decoded);

/* `out` has room for BASE64URL_ENCODED_SIZE(bytes.size) characters; no NUL. Returns that size. */
size_t base64url_encode(struct span bytes, char *out);

#endif
