#include "auth/nonce.h"
#include "auth/policy.h"
#include "auth/worker.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define RETRY_AFTER_UNAVAILABLE_S 1
#define RETRY_AFTER_OVER_SHARE_S  5
/* The scope member names what a rule wants only if it is no longer than this. */
#define SCOPE_BYTES_MAX 512

void challenge_write_algs(uint32_t algorithms, char *out, size_t size)
{
    /* Both names of Ed25519: clients of before and after RFC 9864 look for their own. */
    static const struct {
        enum signature_algorithm algorithm;
        const char *names;
    } order[] = {
        {SIGNATURE_ES256, "ES256"}, {SIGNATURE_EDDSA, "EdDSA Ed25519"}, {SIGNATURE_PS256, "PS256"},
        {SIGNATURE_RS256, "RS256"}, {SIGNATURE_ES384, "ES384"},         {SIGNATURE_ES512, "ES512"},
    };
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
        if ((algorithms & UINT32_C(1) << order[i].algorithm) != 0) {
            int written = snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "",
                                   order[i].names);
            used += (size_t)written;
        }
    }
}

/* Field lines being written: each whole, or not at all. */
struct lines {
    char *out;
    size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void add_line(struct lines *lines, const char *format,
                                                           ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    /* What goes in is bounded: SCOPE_BYTES_MAX, literals, a nonce. */
    assert(size > 0 && (size_t)size < sizeof(line));
    if ((size_t)size <= lines->size - lines->used) {
        memcpy(lines->out + lines->used, line, (size_t)size);
        lines->used += (size_t)size;
    }
}

/* RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). What is not, is not put
 * between quotes. */
static bool is_scope_token(struct span scope)
{
    for (size_t i = 0; i < scope.size; i++) {
        uint8_t byte = scope.data[i];
        if (byte <= 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
            return false;
        }
    }
    return scope.size > 0;
}

/* RFC 6750 section 3: scope values "indicating the required scope of the access token". */
static void write_scope(const struct auth_policy_rule *rule, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < rule->scopes_count; i++) {
        int written = is_scope_token(rule->scopes[i])
                          ? snprintf(out + used, size - used, "%s%.*s",
                                     used > 0 ? " " : ", scope=\"", SPAN_ARG(rule->scopes[i]))
                          : -1;
        if (written < 0 || used + (size_t)written + 2 > size) {
            out[0] = '\0';
            return;
        }
        used += (size_t)written;
    }
    memcpy(out + used, "\"", 2);
}

/* RFC 9110 section 11.6.1. One line a scheme, so that no client has to find out where the second
 * challenge begins. The descriptions are literals without quotes or backslashes. */
static void add_challenges(struct lines *lines, const struct auth_worker *worker,
                           const struct auth_check *check, const char *error)
{
    bool dpop = worker->settings->accept_dpop;
    bool bearer = worker->settings->accept_mtls;
    char members[SCOPE_BYTES_MAX + 192] = "";
    if (error != NULL) {
        const char *description = auth_denial_description(check->denial);
        int used = snprintf(members, sizeof(members), "error=\"%s\", error_description=\"%s\"",
                            error, description);
        if (check->denial == AUTH_DENIAL_POLICY_SCOPE) {
            write_scope(check->rule, members + used, sizeof(members) - (size_t)used);
        }
    }
    /* The error is on the scheme used; on the other if that one is not accepted here. */
    bool on_bearer = bearer && (!dpop || check->scheme == AUTH_SCHEME_BEARER);
    if (dpop) {
        const char *shown = on_bearer ? "" : members;
        add_line(lines, "WWW-Authenticate: DPoP algs=\"%s\"%s%s\r\n", worker->algs,
                 shown[0] != '\0' ? ", " : "", shown);
    }
    if (bearer) {
        const char *shown = on_bearer ? members : "";
        add_line(lines, "WWW-Authenticate: Bearer%s%s\r\n", shown[0] != '\0' ? " " : "", shown);
    }
}

/* RFC 9449 section 8.2: "responses that include the DPoP-Nonce HTTP header should be uncacheable".
 */
static void add_nonce(struct lines *lines, const struct auth_worker *worker,
                      const struct clock_now *now)
{
    char nonce[NONCE_TEXT_BYTES];
    size_t size = nonce_mint(worker->shared->nonces, now->wall_s, nonce, sizeof(nonce));
    add_line(lines, "DPoP-Nonce: %.*s\r\nCache-Control: no-store\r\n", (int)size, nonce);
}

size_t auth_challenge(struct auth_worker *worker, const struct auth_check *check,
                      const struct clock_now *now, char *out, size_t size)
{
    struct lines lines = {.out = out, .size = size};
    enum auth_answer answer = auth_denial_answer(check->denial);
    if (answer == AUTH_ANSWER_UNAVAILABLE || answer == AUTH_ANSWER_OVER_SHARE) {
        add_line(&lines, "Retry-After: %d\r\n",
                 answer == AUTH_ANSWER_OVER_SHARE ? RETRY_AFTER_OVER_SHARE_S
                                                  : RETRY_AFTER_UNAVAILABLE_S);
        return lines.used;
    }
    const char *error = auth_answer_error(answer);
    if (answer == AUTH_ANSWER_CHALLENGE || error != NULL) {
        add_challenges(&lines, worker, check, error);
    }
    if (answer == AUTH_ANSWER_USE_NONCE) {
        add_nonce(&lines, worker, now);
    }
    return lines.used;
}

size_t auth_success_fields(struct auth_worker *worker, const struct auth_check *check,
                           const struct clock_now *now, char *out, size_t size)
{
    struct lines lines = {.out = out, .size = size};
    if (check->outcome == AUTH_ALLOWED && check->nonce_ageing) {
        add_nonce(&lines, worker, now);
    }
    return lines.used;
}
