/* token_read on any text, and on any header and payload well encoded: no crash, and what it accepts
 * is what it promises. Input: an even first byte: the rest is the token; odd: header and payload,
 * split at the first 0x00. */
#include "auth/signature_size.h"
#include "auth/token.h"
#include "jose/jwks.h"
#include "support/gate.h"

#include <stdio.h>
#include <stdlib.h>

static struct gate gate;
static struct token_reader reader;

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_token: %s\n", what);
        abort();
    }
}

static void check_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        must(text.data[i] >= 0x20 && text.data[i] <= 0x7e, "not printable");
    }
    must(text.size == 0 || (text.data[0] != ' ' && text.data[text.size - 1] != ' '),
         "spaces at an end");
}

static void read_token(struct span text)
{
    struct token_claims claims;
    struct auth_check check = {0};
    enum status status = token_read(&reader, text, GATE_NOW_S, &claims, &check);
    must(status == STATUS_OK || status == STATUS_DENIED, "a status of its own");
    must((status == STATUS_OK) == (check.denial == AUTH_DENIAL_NONE), "denial");
    if (status != STATUS_OK) {
        must(auth_denial_answer(check.denial) == AUTH_ANSWER_INVALID_TOKEN, "an answer of its own");
        return;
    }
    must(span_equal_string(claims.issuer, GATE_ISSUER), "issuer");
    must(claims.expires_s > GATE_NOW_S && claims.expires_s <= TOKEN_TIME_MAX, "exp");
    must(claims.not_before_s <= GATE_NOW_S + 5 && claims.not_before_s >= 0, "nbf");
    must(claims.key != NULL && claims.key->type == signature_key_type(claims.algorithm), "key");
    must(signature_size_fits(claims.algorithm, claims.key, claims.signature.size), "signature");
    must(claims.signing_input.data == text.data && claims.signing_input.size < text.size,
         "signing input");
    check_text(claims.subject);
    check_text(claims.client_id);
    check_text(claims.scope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool opened;
    if (!opened) {
        gate_open(&gate, SIGNATURE_ES256);
        static uint8_t scratch[16384];
        reader = (struct token_reader){
            .settings = &gate.settings,
            .header_json = json_parser_new(16384),
            .payload_json = json_parser_new(16384),
            .scratch = {scratch, sizeof(scratch)},
        };
        must(reader.header_json != NULL && reader.payload_json != NULL, "memory");
        opened = true;
    }
    if (size == 0 || size > 8192) {
        return 0;
    }
    struct span input = span_make(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        read_token(input);
        return 0;
    }
    size_t split = span_find(input, 0);
    uint8_t signature[64] = {0};
    char *token = mint_join(span_first(input, split),
                            span_after(input, split < input.size ? split + 1 : split),
                            span_make(signature, sizeof(signature)));
    read_token(span_from_string(token));
    free(token);
    return 0;
}
