/* No allocation per request after warm-up, and memory that fails denies instead of passing. This
 * program's own malloc counts, and fails when told to; the sanitizers bring theirs, so nothing is
 * tested under them. */
#include "auth/worker.h"
#include "support/gate.h"
#include "support/own_malloc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#if OWN_MALLOC
static unsigned long allocations;
static unsigned long failing;      /* the allocation that fails, counted as above; 0: none */
static unsigned long failing_from; /* and all from this one on; 0: none */

static int refuse(void)
{
    unsigned long number = __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return number == failing || (failing_from != 0 && number >= failing_from);
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
void *malloc(size_t size)
{
    return refuse() ? NULL : __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __libc_calloc(count, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    void *memory = NULL;
    return refuse() || posix_memalign(&memory, alignment, size) != 0 ? NULL : memory;
}

/* The kernel's randomness, counted down to a failure as well. */
static int random_calls_left = -1;
ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
    if (random_calls_left == 0) {
        return -1;
    }
    random_calls_left -= random_calls_left > 0 ? 1 : 0;
    return syscall(SYS_getrandom, buffer, size, flags);
}

/* What a request costs beside its signatures, which are crypto's. Proofs are minted ahead. */
static unsigned long count_submit(struct gate *gate, const char *authorization, char **proofs,
                                  size_t count, enum auth_outcome wanted)
{
    static struct auth_check checks[64];
    struct auth_request request = gate->request;
    request.authorization = span_from_string(authorization);
    request.authorization_count = 1;
    request.dpop_count = 1;
    unsigned long before = allocations;
    for (size_t i = 0; i < count; i++) {
        request.dpop = span_from_string(proofs[i]);
        auth_submit(gate->worker, &request, &gate->now, &checks[i]);
    }
    unsigned long made = allocations - before;
    auth_run(gate->worker, &gate->now);
    before = allocations;
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(checks[i].outcome, wanted, "%s", checks[i].detail);
        auth_release(gate->worker, &checks[i]);
    }
    return made + allocations - before;
}

Test(auth_allocations, none_per_request_after_warm_up)
{
    enum { COUNT = 64 };
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.nonce_required = true;
    gate_reconfigure(&gate);
    char nonce[NONCE_TEXT_BYTES + 3] = "\"";
    nonce_mint(gate.shared.nonces, GATE_NOW_S, nonce + 1, NONCE_TEXT_BYTES);
    nonce[NONCE_TEXT_BYTES + 1] = '"';
    char *proofs[3][COUNT];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            proofs[round][i] = gate_proof(&gate, &(struct proof_spec){.nonce = nonce});
        }
    }
    char authorization[MINT_TEXT_MAX];
    snprintf(authorization, sizeof(authorization), "DPoP %s", gate.token);
    cr_expect_gt(count_submit(&gate, authorization, proofs[0], COUNT, AUTH_ALLOWED), 0,
                 "the warm-up");
    cr_expect_eq(count_submit(&gate, authorization, proofs[1], COUNT, AUTH_ALLOWED), 0);
    /* denied ones too: at the end (replays), and at the beginning */
    cr_expect_eq(count_submit(&gate, authorization, proofs[1], COUNT, AUTH_DENIED), 0);
    cr_expect_eq(count_submit(&gate, "DPoP x", proofs[2], COUNT, AUTH_DENIED), 0);
    cr_expect_eq(count_submit(&gate, "DPoP a b", proofs[2], COUNT, AUTH_DENIED), 0);
    cr_expect_eq(count_submit(&gate, authorization, proofs[2], COUNT, AUTH_ALLOWED), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            free(proofs[round][i]);
        }
    }
    gate_close(&gate);
}

/* A cache full of tokens and a new one each time: the evicted one's memory serves the next. */
Test(auth_allocations, none_for_new_tokens_in_a_full_cache)
{
    struct token_cache cache;
    cr_assert_eq(token_cache_init(&cache), STATUS_OK);
    struct token_claims claims = {.subject = SPAN_LITERAL("alice"),
                                  .issuer = SPAN_LITERAL(GATE_ISSUER)};
    unsigned long before = 0;
    for (uint64_t i = 0; i < TOKEN_SMALL_ENTRIES * 3; i++) {
        if (i == TOKEN_SMALL_ENTRIES * 2) {
            before = allocations;
        }
        uint8_t digest[SHA256_BYTES] = {0};
        uint64_t mixed = i * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(digest, &mixed, sizeof(mixed));
        struct auth_token *token = token_cache_make(&cache, digest, &claims);
        token_cache_insert(&cache, token);
        token_cache_release(&cache, token);
    }
    cr_expect_eq(allocations, before);
    cr_expect_gt(token_cache_evictions(&cache), TOKEN_SMALL_ENTRIES);
    token_cache_cleanup(&cache);
}

Test(auth_allocations, a_worker_is_whole_or_not_made)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    unsigned failures = 0;
    struct auth_worker *worker = NULL;
    while (worker == NULL) {
        failing = allocations + 1 + failures++;
        worker = auth_worker_new(&gate.shared, &gate.settings);
        failing = 0;
        cr_assert_lt(failures, 100);
    }
    cr_expect_gt(failures, 8, "each of ours failed, one after the other");
    auth_worker_free(worker);
    auth_worker_free(NULL);
    failures = 0;
    struct nonce_issuer *issuer = NULL;
    while (issuer == NULL) {
        failing = allocations + 1 + failures++;
        issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
        failing = 0;
        cr_assert_lt(failures, 3);
    }
    nonce_issuer_free(issuer);
    gate_close(&gate);
}

Test(auth_allocations, without_randomness_nothing_is_made)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    static const uint8_t key[NONCE_KEY_BYTES] = {1};
    random_calls_left = 0;
    cr_expect_null(nonce_issuer_new(NULL, NONCE_INSTANCE));
    cr_expect_null(nonce_issuer_new(key, NONCE_SHARED));
    cr_expect_null(auth_worker_new(&gate.shared, &gate.settings));
    random_calls_left = 1;
    cr_expect_null(nonce_issuer_new(NULL, NONCE_INSTANCE));
    random_calls_left = 1;
    cr_expect_null(nonce_issuer_new(key, NONCE_SHARED), "nor the key before the first");
    random_calls_left = 2;
    struct nonce_issuer *issuer = nonce_issuer_new(key, NONCE_SHARED);
    cr_expect_not_null(issuer);
    nonce_issuer_free(issuer);
    random_calls_left = -1;
    gate_close(&gate);
}

/* A key that cannot be replaced goes on: what it mints is as good as before. */
Test(auth_allocations, without_randomness_the_old_nonce_key_stays)
{
    int64_t now_s = GATE_NOW_S;
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES];
    int64_t age_s;
    cr_assert_eq(nonce_mint(issuer, now_s, text, sizeof text), NONCE_TEXT_BYTES);
    random_calls_left = 0;
    now_s += 10 * 86400;
    cr_assert_eq(nonce_mint(issuer, now_s, text, sizeof text), NONCE_TEXT_BYTES);
    random_calls_left = -1;
    cr_expect_eq(nonce_check(issuer, span_make(text, sizeof text), now_s, NONCE_ORDINARY, &age_s),
                 STATUS_OK);
    cr_expect_eq(age_s, 0);
    nonce_issuer_free(issuer);
}

/* Without memory for larger texts the old limit stands, whatever the settings say. */
Test(auth_allocations, larger_limits_without_memory_change_nothing)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.proof_bytes_max = gate.settings.token_bytes_max = 100000;
    failing_from = allocations + 1;
    gate_reconfigure(&gate);
    failing_from = 0;
    char *large = malloc(16386);
    memset(large, 'a', 16385);
    large[16385] = '\0';
    char *proof = gate_proof(&gate, &(struct proof_spec){0});
    cr_expect_eq(gate_try(&gate, "DPoP", large, proof), AUTH_DENIAL_TOKEN_TOO_LARGE);
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, large), AUTH_DENIAL_PROOF_TOO_LARGE);
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_NONE);
    gate_reconfigure(&gate);
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, large), AUTH_DENIAL_PROOF_SYNTAX,
                 "now there is memory");
    free(proof);
    free(large);
    gate_close(&gate);
}

/* The first request of a worker, with each allocation of its submission failing: denied for a
 * reason inside, 503, and the same proof passes when there is memory. */
Test(auth_allocations, a_request_without_memory_is_denied_and_not_burnt)
{
    unsigned denied = 0;
    for (unsigned fail = 1; fail < 20; fail++) {
        struct gate gate;
        gate_open(&gate, SIGNATURE_ES256);
        char *proof = gate_proof(&gate, &(struct proof_spec){0});
        char authorization[MINT_TEXT_MAX];
        snprintf(authorization, sizeof(authorization), "DPoP %s", gate.token);
        struct auth_request request = gate.request;
        request.authorization = span_from_string(authorization);
        request.authorization_count = 1;
        request.dpop = span_from_string(proof);
        request.dpop_count = 1;
        struct auth_check check = {0};
        failing = allocations + fail;
        auth_submit(gate.worker, &request, &gate.now, &check);
        failing = 0;
        if (check.outcome != AUTH_PENDING) {
            denied++;
            cr_expect_eq(check.outcome, AUTH_DENIED);
            cr_expect_eq(check.denial, AUTH_DENIAL_INTERNAL, "%s", auth_denial_label(check.denial));
            cr_expect_eq(check.http_status, 503);
            cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_NONE);
        } else {
            auth_cancel(gate.worker, &check);
        }
        free(proof);
        gate_close(&gate);
    }
    cr_expect_eq(denied, 3, "work, key and token, not %u", denied);
}
#endif
