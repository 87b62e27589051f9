/* A compact JWS that splits is, encoded again and joined by dots, the text it came from. */
#include "jose/base64url.h"
#include "jose/jws.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t room = size > 0 ? size : 1;
    uint8_t *scratch = malloc(room);
    struct span text = span_make(data, size);
    struct jws jws;
    enum status status = jws_split(text, (struct span_mut){scratch, size}, &jws);
    if (status == STATUS_OK) {
        char *again = malloc(room + 4);
        size_t used = base64url_encode(jws.header, again);
        again[used++] = '.';
        used += base64url_encode(jws.payload, again + used);
        check(span_equal(jws.signing_input, span_make(again, used)));
        check(jws.signing_input.data == data);
        again[used++] = '.';
        used += base64url_encode(jws.signature, again + used);
        check(span_equal(text, span_make(again, used)));
        check(jws.header.size > 0 && jws.payload.size > 0 && jws.signature.size > 0);
        free(again);
        check(jws_split(text, (struct span_mut){scratch, size - 1}, &jws) == STATUS_TOO_LARGE);
    } else {
        check(status == STATUS_MALFORMED);
    }
    check(status == STATUS_OK ||
          jws.header.size + jws.payload.size + jws.signature.size + jws.signing_input.size == 0);
    free(scratch);
    return 0;
}
