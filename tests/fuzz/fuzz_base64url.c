/* Every value has exactly one text: what decodes, encodes to the same text; what was encoded,
 * decodes to the same bytes; nothing beyond either's memory is touched. */
#include "jose/base64url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool in_alphabet(int c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span decoded;
    size_t room = size / 4 * 3 + (size % 4 > 1 ? size % 4 - 1 : 0);
    uint8_t *out = malloc(room > 0 ? room : 1);
    char *text = malloc(BASE64URL_ENCODED_SIZE(size) + 1);

    bool all_in_alphabet = true;
    for (size_t i = 0; i < size; i++) {
        all_in_alphabet = all_in_alphabet && in_alphabet(data[i]);
    }
    enum status status = base64url_decode(span_make(data, size), (struct span_mut){out, room},
                                          &decoded);
    if (status == STATUS_OK) {
        check(all_in_alphabet && decoded.size == room);
        check(base64url_encode(decoded, text) == size);
        check(size == 0 || memcmp(text, data, size) == 0);
        if (room > 0) {
            check(base64url_decode(span_make(data, size), (struct span_mut){out, room - 1},
                                   &decoded) == STATUS_TOO_LARGE);
        }
    } else {
        check(status == STATUS_MALFORMED && decoded.size == 0);
        /* Only bad bytes, a bad length or trailing bits are reasons. */
        check(!all_in_alphabet || size % 4 != 0);
    }

    size_t encoded = base64url_encode(span_make(data, size), text);
    check(encoded == BASE64URL_ENCODED_SIZE(size));
    uint8_t *back = malloc(size > 0 ? size : 1);
    check(base64url_decode(span_make(text, encoded), (struct span_mut){back, size}, &decoded) ==
          STATUS_OK);
    check(span_equal(decoded, span_make(data, size)));
    free(back);
    free(out);
    free(text);
    return 0;
}
