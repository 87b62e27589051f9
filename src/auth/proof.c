#include "auth/proof.h"

#include "auth/deny.h"
#include "auth/nonce.h"
#include "auth/signature_size.h"
#include "base/uri.h"
#include "jose/base64url.h"
#include "jose/jws.h"

#include <assert.h>
#include <stdatomic.h>

#define SECOND_NS UINT64_C(1000000000)

/* A required member that is a string; NULL when it is missing or something else. */
static const struct json_value *string_member(const struct json_document *payload, const char *name)
{
    const struct json_value *value = json_member(payload, 0, name);
    return value != NULL && value->type == JSON_STRING ? value : NULL;
}

/* RFC 9449 section 4.3: "The htm claim matches the HTTP method of the current request." Methods are
 * case-sensitive (RFC 9110 section 9.1). */
static enum status check_method(const struct json_document *payload, struct span method,
                                struct auth_check *check)
{
    const struct json_value *htm = string_member(payload, "htm");
    if (htm == NULL || !span_equal(htm->text, method)) {
        return auth_deny(check, AUTH_DENIAL_PROOF_HTM, "htm is \"%.*s\", the method is %.*s",
                         SPAN_ARG(auth_excerpt(htm != NULL ? htm->text : SPAN_LITERAL(""))),
                         SPAN_ARG(auth_excerpt(method)));
    }
    return STATUS_OK;
}

static enum status check_jti(const struct json_document *payload, size_t jti_bytes_max,
                             struct span *jti, struct auth_check *check)
{
    const struct json_value *value = string_member(payload, "jti");
    if (value == NULL || value->text.size == 0 || value->text.size > jti_bytes_max) {
        return auth_deny(check, AUTH_DENIAL_PROOF_JTI, "jti of %zu bytes, 1 to %zu are accepted",
                         value != NULL ? value->text.size : 0, jti_bytes_max);
    }
    *jti = value->text;
    return STATUS_OK;
}

/* RFC 9449 section 4.3: "If presented to a protected resource in conjunction with an access token:
 * ensure that the value of the ath claim equals the hash of that access token". Compared as text:
 * the encoding is canonical. */
static enum status check_token_hash(const struct json_document *payload,
                                    const uint8_t token_digest[SHA256_BYTES],
                                    struct auth_check *check)
{
    char expected[BASE64URL_ENCODED_SIZE(SHA256_BYTES)];
    const struct json_value *ath = string_member(payload, "ath");
    base64url_encode(span_make(token_digest, SHA256_BYTES), expected);
    if (ath == NULL || !span_equal(ath->text, span_make(expected, sizeof(expected)))) {
        return auth_deny(check, AUTH_DENIAL_PROOF_ATH, "ath is %s",
                         ath == NULL ? "missing or not a string" : "another token's hash");
    }
    return STATUS_OK;
}

/* RFC 9449 section 4.3: "If the server provided a nonce value to the client, the nonce claim
 * matches the server-provided nonce value." We are stateless: any nonce of ours that is young
 * enough. */
static enum status check_nonce(struct auth_worker *worker, const struct json_document *payload,
                               const struct clock_now *now, bool below_floor, bool local,
                               struct auth_check *check)
{
    enum auth_denial denial = below_floor ? AUTH_DENIAL_PROOF_FLOOR : AUTH_DENIAL_PROOF_NONCE;
    const char *why = !below_floor ? ""
                      : local      ? "the replay store is away, "
                                   : "iat is below the floor, ";
    struct nonce_issuer *nonces = worker->shared->nonces;
    if (nonces == NULL) {
        return auth_deny(check, AUTH_DENIAL_INTERNAL, "a nonce is needed and nobody issues any");
    }
    const struct json_value *nonce = string_member(payload, "nonce");
    if (nonce == NULL) {
        return auth_deny(check, denial, "%sno nonce", why);
    }
    int64_t age_s = 0;
    enum status status = nonce_check(nonces, nonce->text, now->wall_s,
                                     below_floor ? NONCE_BELOW_FLOOR : NONCE_ORDINARY, &age_s);
    if (status != STATUS_OK) {
        return auth_deny(check, denial, "%sthe nonce is %s", why, status_name(status));
    }
    check->nonce_ageing = worker->settings->nonce_required && age_s > NONCE_AGEING_S;
    return STATUS_OK;
}

/* max(floor, now - max_age - clock_skew) <= iat <= now + clock_skew (DESIGN.md, Time), both edges
 * included. nbf and exp mean nothing in a proof. */
static enum status check_time(struct auth_worker *worker, const struct json_document *payload,
                              const struct clock_now *now, int64_t *iat_s, bool *below_floor,
                              struct auth_check *check, struct auth_work *work)
{
    struct auth_shared *shared = worker->shared;
    const struct auth_settings *settings = worker->settings;
    const struct json_value *iat = json_member(payload, 0, "iat");
    if (iat == NULL || iat->type != JSON_INTEGER) {
        return auth_deny(check, AUTH_DENIAL_PROOF_IAT, "iat is missing or not an integer");
    }
    int64_t oldest = now->wall_s - settings->max_age_s - settings->clock_skew_s;
    int64_t newest = now->wall_s + settings->clock_skew_s;
    if (iat->integer < oldest || iat->integer > newest) {
        return auth_deny(check, AUTH_DENIAL_PROOF_IAT, "iat is %lld, %lld to %lld are accepted now",
                         (long long)iat->integer, (long long)oldest, (long long)newest);
    }
    *iat_s = iat->integer;
    /* First, and acquire: who finds a later count afterwards may have looked at the floor of
     * before. */
    work->floor_raises = atomic_load_explicit(&shared->floor_raises, memory_order_acquire);
    work->local = atomic_load_explicit(&shared->local, memory_order_acquire);
    /* Acquire: with the floor comes the salt that was drawn before it was raised
     * (auth_raise_floor). */
    *below_floor = work->local ||
                   iat->integer < atomic_load_explicit(&shared->floor_s, memory_order_acquire);
    return STATUS_OK;
}

static const struct span https = SPAN_LITERAL("https://");

/* The usual htu: the URI of the request as we normalised it. What is normal stays as it is when it
 * is normalised again. */
static bool is_the_request(struct span htu, const struct auth_request *request)
{
    struct span authority = request->authority, path = request->path;
    return htu.size == https.size + authority.size + path.size && path.size > 0 &&
           path.data[0] == '/' && span_starts_with(htu, https) &&
           span_starts_with(span_after(htu, https.size), authority) &&
           span_equal(span_after(htu, https.size + authority.size), path);
}

/* Writes "https://authority/path" to the worker's scratch if that is what `htu` means. */
static bool means_the_request(struct auth_worker *worker, struct span htu,
                              const struct auth_request *request, struct span *canonical)
{
    struct uri uri = {0};
    size_t half = worker->uri_scratch.size / 2;
    struct span_mut normalised = {worker->uri_scratch.data, half};
    if (uri_normalise(htu, normalised, &uri) != STATUS_OK ||
        !span_equal_string(uri.scheme, "https") || !span_equal(uri.authority, request->authority) ||
        !span_equal(uri.path, request->path)) {
        return false;
    }
    uint8_t *out = worker->uri_scratch.data + half;
    size_t size = https.size;
    assert(size + uri.authority.size + uri.path.size <= half);
    memcpy(out, https.data, size);
    memcpy(out + size, uri.authority.data, uri.authority.size);
    size += uri.authority.size;
    memcpy(out + size, uri.path.data, uri.path.size);
    *canonical = span_make(out, size + uri.path.size);
    return true;
}

/* RFC 9449 section 4.3: "The htu claim matches the HTTP URI value for the HTTP request in which the
 * JWT was received, ignoring any query and fragment parts", after the normalisation of RFC 3986
 * sections 6.2.2 and 6.2.3. *canonical is the replay key's spelling, until the next check. */
static enum status check_uri(struct auth_worker *worker, const struct json_document *payload,
                             const struct auth_request *request, struct span *canonical,
                             struct auth_check *check)
{
    const struct json_value *htu = string_member(payload, "htu");
    if (htu != NULL && is_the_request(htu->text, request)) {
        *canonical = htu->text;
        return STATUS_OK;
    }
    if (htu == NULL || !means_the_request(worker, htu->text, request, canonical)) {
        return auth_deny(
            check, AUTH_DENIAL_PROOF_HTU, "htu is \"%.*s\", the URI is https://%.*s%.*s",
            SPAN_ARG(auth_excerpt(htu != NULL ? htu->text : SPAN_LITERAL(""))),
            SPAN_ARG(auth_excerpt(request->authority)), SPAN_ARG(auth_excerpt(request->path)));
    }
    return STATUS_OK;
}

/* The boot second from which the proof can be forgotten. It is good to the end of the wall second
 * iat + max_age + skew; the wall clock may fall behind the boot clock by AUTH_CLOCK_STEP_NS before
 * anyone acts on it. */
static uint64_t replay_expiry(const struct auth_worker *worker, int64_t iat_s,
                              const struct clock_now *now)
{
    /* Whoever shares the memory, another process or another generation of the settings, may accept
     * the proof for longer. */
    int64_t reach_s = (int64_t)replay_reach_s(worker->shared->replay);
    int64_t own_s = worker->settings->max_age_s + worker->settings->clock_skew_s;
    int64_t seconds = iat_s + (reach_s > own_s ? reach_s : own_s) + 1 - now->wall_s;
    uint64_t left_ns = (uint64_t)seconds * SECOND_NS - now->wall_ns % SECOND_NS;
    return (now->boot_ns + left_ns + AUTH_CLOCK_STEP_NS + SECOND_NS - 1) / SECOND_NS;
}

/* The key in a store that replicas share: theirs must be ours, so no secret goes into it, and each
 * length is four bytes, the highest first. */
static void write_store_key(struct auth_worker *worker, struct auth_work *work, struct span htu,
                            struct span htm, struct span jti)
{
    const struct span fields[] = {span_make(work->key->thumbprint, sizeof work->key->thumbprint),
                                  htu, htm, jti};
    uint8_t *out = worker->key_scratch.data;
    size_t size = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct span field = fields[i];
        assert(field.size + 4 <= worker->key_scratch.size - size);
        for (int shift = 24; shift >= 0; shift -= 8) {
            out[size++] = (uint8_t)(field.size >> shift);
        }
        memcpy(out + size, field.data, field.size);
        size += field.size;
    }
    sha256(span_make(out, size), work->store_key);
}

static enum status check_payload(struct auth_worker *worker, const struct auth_request *request,
                                 struct span text, const uint8_t token_digest[SHA256_BYTES],
                                 const struct clock_now *now, struct auth_check *check,
                                 struct auth_work *work)
{
    struct json_document payload;
    enum status status = json_parse(worker->payload_json, text, &payload);
    if (status != STATUS_OK || payload.values[0].type != JSON_OBJECT) {
        return auth_deny(check, AUTH_DENIAL_PROOF_JSON, "the proof's payload is %s",
                         status == STATUS_OK ? "not an object" : status_name(status));
    }
    int64_t iat_s = 0;
    bool below_floor = false;
    struct span jti, canonical;
    status = check_method(&payload, request->method, check);
    if (status == STATUS_OK) {
        status = check_time(worker, &payload, now, &iat_s, &below_floor, check, work);
    }
    if (status == STATUS_OK) {
        status = check_jti(&payload, worker->settings->jti_bytes_max, &jti, check);
    }
    if (status == STATUS_OK) {
        status = check_token_hash(&payload, token_digest, check);
    }
    if (status == STATUS_OK) {
        status = check_uri(worker, &payload, request, &canonical, check);
    }
    /* Last, and its HMAC is the dearest: a proof wrong in another way is told that, not to come
     * back with a nonce. */
    if (status == STATUS_OK && (below_floor || worker->settings->nonce_required)) {
        status = check_nonce(worker, &payload, now, below_floor, work->local, check);
    }
    if (status != STATUS_OK) {
        return status;
    }
    work->replay_key = replay_key_hash(worker->shared->replay, work->key->thumbprint, &canonical,
                                       &request->method, &jti);
    replay_prefetch(worker->shared->replay, work->replay_key);
    work->replay_expires_boot_s = replay_expiry(worker, iat_s, now);
    if (worker->shared->store) {
        write_store_key(worker, work, canonical, request->method, jti);
    }
    return STATUS_OK;
}

enum status proof_check(struct auth_worker *worker, const struct auth_request *request,
                        const uint8_t token_digest[SHA256_BYTES], const struct clock_now *now,
                        struct auth_check *check, struct auth_work *work)
{
    if (request->dpop.size > worker->settings->proof_bytes_max ||
        request->dpop.size > worker->text_bytes_max) {
        return auth_deny(check, AUTH_DENIAL_PROOF_TOO_LARGE, "a proof of %zu bytes",
                         request->dpop.size);
    }
    struct jws jws;
    enum status status = jws_split(request->dpop, worker->scratch, &jws);
    if (status != STATUS_OK) {
        return auth_deny(check, AUTH_DENIAL_PROOF_SYNTAX, "the proof is %s", status_name(status));
    }
    struct span encoded_header = span_first(request->dpop, span_find(request->dpop, '.'));
    work->key = proof_key_acquire(&worker->keys, encoded_header);
    if (work->key == NULL) {
        status = proof_key_read(&worker->keys, worker->settings->algorithms, worker->header_json,
                                encoded_header, jws.header, &work->key, check);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!signature_size_fits(work->key->algorithm, &work->key->key, jws.signature.size)) {
        return auth_deny(check, AUTH_DENIAL_PROOF_SIGNATURE, "a signature of %zu bytes for %s",
                         jws.signature.size, jwa_name(work->key->algorithm));
    }
    work->proof_message = jws.signing_input;
    work->proof_signature_size = jws.signature.size;
    memcpy(work->proof_signature, jws.signature.data, jws.signature.size);
    return check_payload(worker, request, jws.payload, token_digest, now, check, work);
}
