/* What reading one request's proof and token costs before any signature is checked: nanoseconds for
 * each step. usage: bench_jose [CASE [ROUNDS]]; with both, only that, for `valgrind
 * --tool=callgrind`. */
#include "base/clock.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jws.h"

#include <stdio.h>
#include <stdlib.h>

#define PROOF_HEADER                                                                               \
    "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\","                             \
    "\"x\":\"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs\","                                       \
    "\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA\",\"crv\":\"P-256\"}}"
#define PROOF_PAYLOAD                                                                              \
    "{\"jti\":\"e1j3V_bKic8-LAEB\",\"htm\":\"GET\","                                               \
    "\"htu\":\"https://resource.example.org/protectedresource\",\"iat\":1562262618,"               \
    "\"ath\":\"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo\"}"
#define TOKEN_PAYLOAD                                                                              \
    "{\"iss\":\"https://as.example.com\",\"sub\":\"someone@example.com\","                         \
    "\"aud\":[\"https://orders.example.com\"],\"client_id\":\"s6BhdRkqt3\",\"iat\":1562262600,"    \
    "\"nbf\":1562262600,\"exp\":1562266216,\"jti\":\"8f0c2f43-4a7f-4a3e-9d44-7f7a5b3b6f0e\","      \
    "\"scope\":\"orders:read orders:write\","                                                      \
    "\"cnf\":{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}"

struct bench {
    struct json_parser *parser;
    struct json_document document;
    struct public_key key;
    struct span proof; /* compact */
    char proof_text[1024];
    char token_text[1067]; /* base64url of 800 bytes */
    uint8_t scratch[2048];
};

static void must(enum status status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_jose: %s\n", status_name(status));
        exit(1);
    }
}

static void parse(struct bench *bench, const char *text)
{
    must(json_parse(bench->parser, span_from_string(text), &bench->document));
}

static void proof_header(struct bench *bench)
{
    parse(bench, PROOF_HEADER);
}

static void proof_payload(struct bench *bench)
{
    parse(bench, PROOF_PAYLOAD);
}

static void token_payload(struct bench *bench)
{
    parse(bench, TOKEN_PAYLOAD);
}

static void decode_800(struct bench *bench)
{
    struct span decoded;
    must(base64url_decode(span_make(bench->token_text, sizeof bench->token_text),
                          (struct span_mut){bench->scratch, sizeof bench->scratch}, &decoded));
}

static void split(struct bench *bench)
{
    struct jws jws;
    must(jws_split(bench->proof, (struct span_mut){bench->scratch, sizeof bench->scratch}, &jws));
}

static void read_key(struct bench *bench)
{
    must(jwk_read(&bench->document, 3, &bench->key));
}

static void thumbprint(struct bench *bench)
{
    uint8_t digest[JWK_THUMBPRINT_BYTES];
    jwk_thumbprint(&bench->key, digest);
}

/* Everything a proof passes through here. */
static void whole_proof(struct bench *bench)
{
    struct jws jws;
    must(jws_split(bench->proof, (struct span_mut){bench->scratch, sizeof bench->scratch}, &jws));
    must(json_parse(bench->parser, jws.header, &bench->document));
    must(jwk_read(&bench->document, 3, &bench->key));
    thumbprint(bench);
    must(json_parse(bench->parser, jws.payload, &bench->document));
}

static const struct {
    const char *name;
    void (*run)(struct bench *bench);
} cases[] = {
    {"token_payload", token_payload},
    {"proof_payload", proof_payload},
    {"proof_header", proof_header},
    {"read_key", read_key}, /* of proof_header */
    {"thumbprint", thumbprint},
    {"decode_800", decode_800},
    {"split", split},
    {"whole_proof", whole_proof},
};

static void prepare(struct bench *bench)
{
    static const uint8_t bytes[800];
    bench->parser = json_parser_new(16384);
    if (bench->parser == NULL) {
        must(STATUS_NO_MEMORY);
    }
    char *end = bench->proof_text;
    end += base64url_encode(SPAN_LITERAL(PROOF_HEADER), end);
    *end++ = '.';
    end += base64url_encode(SPAN_LITERAL(PROOF_PAYLOAD), end);
    *end++ = '.';
    end += base64url_encode(span_make(bytes, 64), end);
    bench->proof = span_make(bench->proof_text, (size_t)(end - bench->proof_text));
    must(base64url_encode(span_make(bytes, 800), bench->token_text) == sizeof bench->token_text
             ? STATUS_OK
             : STATUS_FAILED);
    proof_header(bench);
    read_key(bench);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    prepare(&bench);
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 300000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0) {
            continue;
        }
        uint64_t start = clock_read().boot_ns;
        for (unsigned long round = 0; round < rounds; round++) {
            cases[i].run(&bench);
        }
        uint64_t spent = clock_read().boot_ns - start;
        printf("%-14s %7.1f ns\n", cases[i].name, (double)spent / (double)rounds);
    }
    json_parser_free(bench.parser);
    return 0;
}
