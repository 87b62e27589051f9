#include "app/bench_credentials.h"

#include "app/demo_keys.h"
#include "base/clock.h"
#include "crypto/sha256.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jws_sign.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define TOKEN_BYTES_MAX   2048
#define TOKEN_SECONDS     3600
#define KEY_PEM_BYTES_MAX 512 /* of an EC or Ed25519 key: half of that */
#define THREADS_MAX       64
/* What a proof takes beside its htu: header with an EC key, claims, signature, in base64url. */
#define PROOF_FIXED_BYTES 640
#define CLAIMS_BYTES_MAX  4096

struct client_key {
    struct signing_key *key;
    char header[512];
    struct span header_json;
    char token[TOKEN_BYTES_MAX];
    struct span token_text;
    char ath[BASE64URL_ENCODED_SIZE(SHA256_BYTES)];
};

struct bench_credentials {
    struct bench_credentials_options options;
    struct client_key *keys;
    uint8_t *proofs; /* `stride` bytes each */
    uint32_t *proof_sizes;
    size_t stride, next;
    int64_t signed_from_s;
};

static enum status random_name(char out[BASE64URL_ENCODED_SIZE(16)])
{
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return STATUS_SYSTEM;
    }
    base64url_encode(span_make(bytes, sizeof bytes), out);
    return STATUS_OK;
}

/* ---- tokens ---- */

static enum status write_token_header(const struct signing_key *issuer, char *out, size_t size,
                                      struct span *header)
{
    struct public_key public_key;
    char kid[JWK_THUMBPRINT_TEXT_BYTES];
    signing_key_public(issuer, &public_key);
    jwk_thumbprint_text(&public_key, kid);
    struct json_writer writer;
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    json_write_string_member(&writer, "typ", SPAN_LITERAL("at+jwt"));
    json_write_string_member(&writer, "alg",
                             span_from_string(jwa_name(signing_key_algorithm(issuer))));
    json_write_string_member(&writer, "kid", span_make(kid, sizeof kid));
    json_write_object_end(&writer);
    return json_write_end(&writer, header);
}

static enum status write_token_claims(const struct bench_credentials *credentials,
                                      const struct client_key *key, char *out, size_t size,
                                      struct span *claims)
{
    struct public_key public_key;
    char jkt[JWK_THUMBPRINT_TEXT_BYTES], jti[BASE64URL_ENCODED_SIZE(16)];
    signing_key_public(key->key, &public_key);
    jwk_thumbprint_text(&public_key, jkt);
    enum status status = random_name(jti);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t now_s = clock_read().wall_s;
    struct json_writer writer;
    json_write_begin(&writer, out, size);
    json_write_object(&writer);
    json_write_string_member(&writer, "iss", SPAN_LITERAL(DEMO_ISSUER));
    json_write_string_member(&writer, "sub", SPAN_LITERAL(DEMO_CLIENT));
    json_write_string_member(&writer, "aud", span_from_string(credentials->options.audience));
    json_write_string_member(&writer, "client_id", SPAN_LITERAL(DEMO_CLIENT));
    json_write_name_string(&writer, "iat");
    json_write_integer(&writer, now_s);
    json_write_name_string(&writer, "exp");
    json_write_integer(&writer, now_s + TOKEN_SECONDS);
    json_write_string_member(&writer, "jti", span_make(jti, sizeof jti));
    json_write_string_member(&writer, "scope", SPAN_LITERAL(DEMO_SCOPE));
    json_write_name_string(&writer, "cnf");
    json_write_object(&writer);
    json_write_string_member(&writer, "jkt", span_make(jkt, sizeof jkt));
    json_write_object_end(&writer);
    json_write_object_end(&writer);
    return json_write_end(&writer, claims);
}

static enum status mint_token(const struct bench_credentials *credentials,
                              const struct signing_key *issuer, struct client_key *key)
{
    char header[512], claims[1024];
    struct span header_json, claims_json;
    uint8_t digest[SHA256_BYTES];
    enum status status = write_token_header(issuer, header, sizeof header, &header_json);
    if (status == STATUS_OK) {
        status = write_token_claims(credentials, key, claims, sizeof claims, &claims_json);
    }
    if (status == STATUS_OK) {
        status = jws_sign(issuer, signing_key_algorithm(issuer), header_json, claims_json,
                          (struct span_mut){(uint8_t *)key->token, sizeof key->token},
                          &key->token_text);
    }
    if (status == STATUS_OK) {
        sha256(key->token_text, digest);
        base64url_encode(span_make(digest, sizeof digest), key->ath);
    }
    return status;
}

static enum status dress_key(struct bench_credentials *credentials,
                             const struct signing_key *issuer, struct client_key *key)
{
    struct public_key public_key;
    enum signature_algorithm algorithm = credentials->options.algorithm;
    signing_key_public(key->key, &public_key);
    struct json_writer writer;
    json_write_begin(&writer, key->header, sizeof key->header);
    json_write_object(&writer);
    json_write_string_member(&writer, "typ", SPAN_LITERAL("dpop+jwt"));
    json_write_string_member(&writer, "alg", span_from_string(jwa_name(algorithm)));
    json_write_name_string(&writer, "jwk");
    jwk_write(&writer, &public_key, SIGNATURE_NONE, (struct span){NULL, 0});
    json_write_object_end(&writer);
    enum status status = json_write_end(&writer, &key->header_json);
    return status == STATUS_OK ? mint_token(credentials, issuer, key) : status;
}

/* ---- client keys ---- */

static enum status generate_keys(struct bench_credentials *credentials)
{
    for (size_t i = 0; i < credentials->options.keys; i++) {
        credentials->keys[i].key = signing_key_generate(credentials->options.algorithm);
        if (credentials->keys[i].key == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

static enum status write_keys(const struct bench_credentials *credentials)
{
    size_t size = credentials->options.keys * KEY_PEM_BYTES_MAX, used = 0;
    char *text = calloc(1, size + 1);
    for (size_t i = 0; text != NULL && i < credentials->options.keys; i++) {
        char *pem = signing_key_write(credentials->keys[i].key);
        size_t pem_size = pem != NULL ? strlen(pem) : 0;
        if (pem_size > 0 && pem_size <= size - used) {
            memcpy(text + used, pem, pem_size); /* NOLINT: a span follows, not a string */
            used += pem_size;
        }
        signing_text_free(pem);
    }
    char error[256];
    enum status status = text == NULL
                             ? STATUS_NO_MEMORY
                             : demo_write_file(credentials->options.keys_file,
                                               span_make(text, used), 0600, error, sizeof error);
    signing_text_free(text);
    return status;
}

static enum status read_keys(struct bench_credentials *credentials, char *text)
{
    static const char mark[] = "-----BEGIN";
    char *cursor = strstr(text, mark);
    for (size_t i = 0; i < credentials->options.keys; i++) {
        if (cursor == NULL) {
            return STATUS_NOT_FOUND; /* fewer keys than are asked for */
        }
        char *next = strstr(cursor + 1, mark);
        size_t size = next != NULL ? (size_t)(next - cursor) : strlen(cursor);
        enum status status = signing_key_read(span_make(cursor, size), &credentials->keys[i].key);
        if (status != STATUS_OK) {
            return status;
        }
        if (signing_key_algorithm(credentials->keys[i].key) != credentials->options.algorithm) {
            return STATUS_UNSUPPORTED;
        }
        cursor = next;
    }
    return STATUS_OK;
}

static enum status get_keys(struct bench_credentials *credentials, char *error, size_t error_size)
{
    const char *path = credentials->options.keys_file;
    if (path == NULL || access(path, F_OK) != 0) {
        enum status status = generate_keys(credentials);
        if (status == STATUS_OK && path != NULL) {
            status = write_keys(credentials);
        }
        if (status != STATUS_OK) {
            snprintf(error, error_size, "the client keys cannot be made or kept: %s",
                     status_name(status));
        }
        return status;
    }
    char *text = NULL;
    enum status status = demo_read_file(path, &text, error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    status = read_keys(credentials, text);
    signing_text_free(text);
    if (status != STATUS_OK) {
        snprintf(error, error_size, "%s: not %zu keys for %s", path, credentials->options.keys,
                 jwa_name(credentials->options.algorithm));
    }
    return status;
}

/* ---- proofs ---- */

static enum status sign_proof(struct bench_credentials *credentials, size_t index)
{
    const struct client_key *key = &credentials->keys[index % credentials->options.keys];
    char jti[BASE64URL_ENCODED_SIZE(16)], claims[CLAIMS_BYTES_MAX];
    uint8_t text[2 * CLAIMS_BYTES_MAX + 2048];
    struct span claims_json, proof = {NULL, 0};
    enum status status = random_name(jti);
    if (status != STATUS_OK) {
        return status;
    }
    struct json_writer writer;
    json_write_begin(&writer, claims, sizeof claims);
    json_write_object(&writer);
    json_write_string_member(&writer, "jti", span_make(jti, sizeof jti));
    json_write_string_member(&writer, "htm", span_from_string(credentials->options.method));
    json_write_string_member(&writer, "htu", span_from_string(credentials->options.url));
    json_write_name_string(&writer, "iat");
    json_write_integer(&writer, clock_read().wall_s);
    json_write_string_member(&writer, "ath", span_make(key->ath, sizeof key->ath));
    json_write_object_end(&writer);
    status = json_write_end(&writer, &claims_json);
    if (status == STATUS_OK) {
        status = jws_sign(key->key, credentials->options.algorithm, key->header_json, claims_json,
                          (struct span_mut){text, sizeof text}, &proof);
    }
    if (status != STATUS_OK || proof.size > credentials->stride) {
        return status != STATUS_OK ? status : STATUS_TOO_LARGE;
    }
    memcpy(credentials->proofs + index * credentials->stride, proof.data, proof.size);
    credentials->proof_sizes[index] = (uint32_t)proof.size;
    return STATUS_OK;
}

struct share {
    pthread_t thread;
    struct bench_credentials *credentials;
    size_t first, step;
    enum status status;
};

static void *sign_share(void *argument)
{
    struct share *share = argument;
    share->status = STATUS_OK;
    for (size_t i = share->first;
         share->status == STATUS_OK && i < share->credentials->options.proofs; i += share->step) {
        share->status = sign_proof(share->credentials, i);
    }
    return NULL;
}

static enum status sign_all(struct bench_credentials *credentials)
{
    struct share shares[THREADS_MAX];
    cpu_set_t cpus;
    size_t count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (size_t)CPU_COUNT(&cpus) : 1;
    count = count > THREADS_MAX ? THREADS_MAX : count;
    enum status status = STATUS_OK;
    size_t started = 0;
    for (; started < count; started++) {
        struct share *share = &shares[started];
        *share = (struct share){.credentials = credentials, .first = started, .step = count};
        if (pthread_create(&share->thread, NULL, sign_share, share) != 0) {
            status = STATUS_SYSTEM;
            break;
        }
    }
    for (size_t i = 0; i < started; i++) {
        pthread_join(shares[i].thread, NULL);
        status = shares[i].status != STATUS_OK ? shares[i].status : status;
    }
    return status;
}

/* ---- all of it ---- */

static enum status allocate(struct bench_credentials *credentials)
{
    const struct bench_credentials_options *options = &credentials->options;
    credentials->stride = PROOF_FIXED_BYTES + 2 * strlen(options->url);
    credentials->keys = calloc(options->keys, sizeof *credentials->keys);
    credentials->proofs = calloc(options->proofs, credentials->stride);
    credentials->proof_sizes = calloc(options->proofs, sizeof *credentials->proof_sizes);
    return credentials->keys != NULL && credentials->proofs != NULL &&
                   credentials->proof_sizes != NULL
               ? STATUS_OK
               : STATUS_NO_MEMORY;
}

static enum status fill(struct bench_credentials *credentials, char *error, size_t error_size)
{
    char path[DEMO_PATH_MAX];
    struct signing_key *issuer = NULL;
    enum status status = demo_path(credentials->options.folder, DEMO_ISSUER_KEY, path);
    if (status != STATUS_OK) {
        snprintf(error, error_size, "the folder's path is too long");
        return status;
    }
    status = demo_read_key(path, &issuer, error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    status = get_keys(credentials, error, error_size);
    if (status != STATUS_OK) {
        signing_key_free(issuer);
        return status;
    }
    for (size_t i = 0; status == STATUS_OK && i < credentials->options.keys; i++) {
        status = dress_key(credentials, issuer, &credentials->keys[i]);
    }
    signing_key_free(issuer);
    credentials->signed_from_s = clock_read().wall_s;
    if (status == STATUS_OK) {
        status = sign_all(credentials);
    }
    if (status != STATUS_OK) {
        snprintf(error, error_size, "tokens and proofs cannot be made: %s", status_name(status));
    }
    return status;
}

enum status bench_credentials_new(const struct bench_credentials_options *options,
                                  struct bench_credentials **made, char *error, size_t error_size)
{
    *made = NULL;
    struct bench_credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) {
        snprintf(error, error_size, "out of memory");
        return STATUS_NO_MEMORY;
    }
    credentials->options = *options;
    enum status status = allocate(credentials);
    if (status != STATUS_OK) {
        snprintf(error, error_size, "out of memory for %zu proofs", options->proofs);
    } else {
        status = fill(credentials, error, error_size);
    }
    if (status != STATUS_OK) {
        bench_credentials_free(credentials);
        return status;
    }
    *made = credentials;
    return STATUS_OK;
}

void bench_credentials_free(struct bench_credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    for (size_t i = 0; credentials->keys != NULL && i < credentials->options.keys; i++) {
        signing_key_free(credentials->keys[i].key);
    }
    free(credentials->keys);
    free(credentials->proofs);
    free(credentials->proof_sizes);
    free(credentials);
}

bool bench_credentials_next(struct bench_credentials *credentials, struct span *token,
                            struct span *proof)
{
    if (credentials->next == credentials->options.proofs) {
        if (!credentials->options.repeat) {
            return false;
        }
        credentials->next = 0;
    }
    size_t index = credentials->next++;
    *token = credentials->keys[index % credentials->options.keys].token_text;
    *proof = span_make(credentials->proofs + index * credentials->stride,
                       credentials->proof_sizes[index]);
    return true;
}

int64_t bench_credentials_signed_from(const struct bench_credentials *credentials)
{
    return credentials->signed_from_s;
}
