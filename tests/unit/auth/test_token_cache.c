#include "auth/token_cache.h"

#include <criterion/criterion.h>

static struct token_cache cache;

static void make_digest(uint64_t i, uint8_t digest[SHA256_BYTES])
{
    memset(digest, 0, SHA256_BYTES);
    memcpy(digest + 8, &i,
           sizeof(i)); /* the same hash for all: only the comparison tells them apart */
}

static struct auth_token *make(uint64_t i, const struct token_claims *claims)
{
    uint8_t digest[SHA256_BYTES];
    make_digest(i, digest);
    return token_cache_make(&cache, digest, claims);
}

static struct auth_token *find(uint64_t i)
{
    uint8_t digest[SHA256_BYTES];
    make_digest(i, digest);
    return token_cache_acquire(&cache, digest);
}

Test(token_cache, keeps_copies_of_all_claims)
{
    cr_assert_eq(token_cache_init(&cache), STATUS_OK);
    char issuer[] = "https://as", subject[] = "alice", client[] = "shop", scope[] = "a b";
    struct token_claims claims = {
        .issuer = span_from_string(issuer),
        .subject = span_from_string(subject),
        .client_id = span_from_string(client),
        .scope = span_from_string(scope),
        .expires_s = 12,
        .not_before_s = 3,
        .has_jkt = true,
        .jkt = {1},
        .x5t = {2},
    };
    struct auth_token *token = make(1, &claims);
    cr_expect_null(find(1), "not before its signature has verified");
    token_cache_insert(&cache, token);
    token_cache_release(&cache, token);
    issuer[0] = subject[0] = client[0] = scope[0] = 'X';
    token = find(1);
    cr_assert_not_null(token);
    cr_expect(span_equal_string(token->issuer, "https://as"));
    cr_expect(span_equal_string(token->subject, "alice"));
    cr_expect(span_equal_string(token->client_id, "shop"));
    cr_expect(span_equal_string(token->scope, "a b"));
    cr_expect(token->expires_s == 12 && token->not_before_s == 3);
    cr_expect(token->has_jkt && !token->has_x5t && token->jkt[0] == 1 && token->x5t[0] == 2);
    cr_expect_null(find(2));
    token_cache_release(&cache, token);
    token_cache_cleanup(&cache);
}

/* At the border between the two sizes, and at the end of the larger one. */
Test(token_cache, claims_of_every_size_fit)
{
    static uint8_t text[TOKEN_CLAIMS_BYTES_MAX];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)('a' + i % 26);
    }
    static const size_t sizes[] = {0,
                                   1,
                                   TOKEN_SMALL_CLAIMS_BYTES - 1,
                                   TOKEN_SMALL_CLAIMS_BYTES,
                                   TOKEN_SMALL_CLAIMS_BYTES + 1,
                                   TOKEN_CLAIMS_BYTES_MAX};
    cr_assert_eq(token_cache_init(&cache), STATUS_OK);
    for (uint64_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct token_claims claims = {.issuer = span_make(text, sizes[i] / 2),
                                      .scope = span_make(text, sizes[i] - sizes[i] / 2)};
        struct auth_token *token = make(i, &claims);
        cr_expect_eq(token->large, sizes[i] > TOKEN_SMALL_CLAIMS_BYTES);
        token_cache_insert(&cache, token);
        token_cache_release(&cache, token);
        token = find(i);
        cr_assert_not_null(token);
        cr_expect(span_equal(token->issuer, claims.issuer) &&
                  span_equal(token->scope, claims.scope));
        token_cache_release(&cache, token);
    }
    token_cache_clear(&cache);
    for (uint64_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        cr_expect_null(find(i));
    }
    token_cache_cleanup(&cache);
}

Test(token_cache, large_tokens_have_a_bound_of_their_own)
{
    static uint8_t text[TOKEN_SMALL_CLAIMS_BYTES + 1];
    memset(text, 'x', sizeof(text));
    cr_assert_eq(token_cache_init(&cache), STATUS_OK);
    struct token_claims large = {.scope = span_make(text, sizeof(text))},
                        small = {.scope = SPAN_LITERAL("s")};
    struct auth_token *token = make(0, &small);
    token_cache_insert(&cache, token);
    token_cache_release(&cache, token);
    for (uint64_t i = 1; i < 2000; i++) {
        token = make(i, &large);
        token_cache_insert(&cache, token);
        token_cache_release(&cache, token);
        cr_assert_leq(cache.large.slab.live, TOKEN_LARGE_ENTRIES);
    }
    token = find(0);
    cr_expect_not_null(token, "small ones are not evicted for them");
    token_cache_release(&cache, token);
    cr_expect_eq(token_cache_evictions(&cache), 2000 - 1 - TOKEN_LARGE_ENTRIES);
    token_cache_cleanup(&cache);
}
