/* Nonces from the network. Nothing but what was minted is good: not these bytes, not a minted one
 * with some of its characters replaced by them. */
#include "auth/nonce.h"

#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1800000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A key of this run: libFuzzer learns minted nonces from the comparison below. */
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_SHARED);
    if (issuer == NULL) {
        return 0;
    }
    int64_t age_s = 0;
    if (nonce_check(issuer, span_make(data, size), NOW, NONCE_ORDINARY, &age_s) == STATUS_OK) {
        abort();
    }
    char minted[NONCE_TEXT_BYTES], changed[NONCE_TEXT_BYTES];
    if (nonce_mint(issuer, NOW, minted, sizeof minted) != NONCE_TEXT_BYTES) {
        abort();
    }
    memcpy(changed, minted, sizeof changed);
    /* Pairs: a place, and what comes there. */
    for (size_t i = 0; i + 1 < size; i += 2) {
        changed[data[i] % NONCE_TEXT_BYTES] = (char)data[i + 1];
    }
    bool same = memcmp(changed, minted, sizeof changed) == 0;
    enum status status = nonce_check(issuer, span_make(changed, sizeof changed), NOW,
                                     NONCE_ORDINARY, &age_s);
    if ((status == STATUS_OK) != same) {
        abort();
    }
    nonce_issuer_free(issuer);
    return 0;
}
