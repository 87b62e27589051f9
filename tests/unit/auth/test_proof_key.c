#include "auth/proof_key.h"
#include "support/mint.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define ALL 0xffffffffu

static struct proof_key_cache cache;
static struct json_parser *json;

static void open_cache(void)
{
    cr_assert_eq(proof_key_cache_init(&cache), STATUS_OK);
    json = json_parser_new(4096);
    cr_assert_not_null(json);
}

static void close_cache(void)
{
    proof_key_cache_cleanup(&cache);
    json_parser_free(json);
}

/* `encoded` stands for the base64url of `header`: the cache does not decode it. */
static struct proof_key *read_key(const char *encoded, const char *header, struct auth_check *check)
{
    struct proof_key *key = NULL;
    enum status status = proof_key_read(&cache, ALL, json, span_from_string(encoded),
                                        span_from_string(header), &key, check);
    cr_assert_eq(status == STATUS_OK, key != NULL);
    cr_assert(status == STATUS_OK || status == STATUS_DENIED);
    return key;
}

static void header_of(const struct mint_key *key, char *text, size_t size)
{
    snprintf(text, size, "{\"typ\":\"dpop+jwt\",\"alg\":\"%s\",\"jwk\":%s}", mint_key_alg(key),
             mint_key_jwk(key));
}

Test(proof_key, reads_key_algorithm_and_thumbprint)
{
    static const enum signature_algorithm algorithms[] = {SIGNATURE_ES256, SIGNATURE_ES384,
                                                          SIGNATURE_ES512, SIGNATURE_EDDSA,
                                                          SIGNATURE_PS256, SIGNATURE_RS256};
    open_cache();
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++) {
        struct mint_key *minted = mint_key_new(algorithms[i]);
        char header[2048];
        header_of(minted, header, sizeof(header));
        struct auth_check check = {0};
        struct proof_key *key = read_key("x", header, &check);
        cr_assert_not_null(key, "%s", check.detail);
        cr_expect_eq(key->algorithm, algorithms[i]);
        cr_expect_eq(key->key.type, signature_key_type(algorithms[i]));
        cr_expect(span_equal_string(span_make(key->thumbprint_text, PROOF_KEY_JKT_TEXT_BYTES),
                                    mint_key_jkt(minted)));
        proof_key_release(&cache, key);
        mint_key_free(minted);
    }
    cr_expect_eq(cache.slab.live, 0);
    close_cache();
}

Test(proof_key, is_found_by_every_byte_of_the_header_and_only_once_inserted)
{
    open_cache();
    struct mint_key *minted = mint_key_new(SIGNATURE_EDDSA);
    char header[2048];
    header_of(minted, header, sizeof(header));
    struct auth_check check = {0};
    struct proof_key *key = read_key("abcdef", header, &check);
    cr_expect_null(proof_key_acquire(&cache, SPAN_LITERAL("abcdef")));
    proof_key_insert(&cache, key);
    proof_key_insert(&cache, key);
    proof_key_release(&cache, key);
    struct proof_key *again = proof_key_acquire(&cache, SPAN_LITERAL("abcdef"));
    cr_expect_eq(again, key);
    proof_key_release(&cache, again);
    cr_expect_null(proof_key_acquire(&cache, SPAN_LITERAL("abcdeg")));
    cr_expect_null(proof_key_acquire(&cache, SPAN_LITERAL("abcde")));
    cr_expect_null(proof_key_acquire(&cache, SPAN_LITERAL("abcdeff")));
    cr_expect_null(proof_key_acquire(&cache, SPAN_LITERAL("")));
    proof_key_clear(&cache);
    cr_expect_null(proof_key_acquire(&cache, SPAN_LITERAL("abcdef")));
    mint_key_free(minted);
    close_cache();
}

Test(proof_key, a_header_too_long_to_keep_is_read_each_time)
{
    open_cache();
    struct mint_key *minted = mint_key_new(SIGNATURE_ES256);
    char header[2048], encoded[PROOF_KEY_HEADER_BYTES_MAX + 2];
    header_of(minted, header, sizeof(header));
    for (size_t size = PROOF_KEY_HEADER_BYTES_MAX; size <= PROOF_KEY_HEADER_BYTES_MAX + 1; size++) {
        memset(encoded, 'a', size);
        encoded[size] = '\0';
        struct auth_check check = {0};
        struct proof_key *key = read_key(encoded, header, &check);
        proof_key_insert(&cache, key);
        proof_key_release(&cache, key);
        key = proof_key_acquire(&cache, span_from_string(encoded));
        cr_expect_eq(key != NULL, size <= PROOF_KEY_HEADER_BYTES_MAX);
        if (key != NULL) {
            proof_key_release(&cache, key);
        }
    }
    cr_expect_eq(cache.slab.live, 1);
    mint_key_free(minted);
    close_cache();
}

Test(proof_key, a_refused_header_holds_nothing)
{
    open_cache();
    static const char *const headers[] = {"",
                                          "{",
                                          "[]",
                                          "\"x\"",
                                          "{}",
                                          "{\"typ\":\"dpop+jwt\"}",
                                          "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\"}",
                                          "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":{}}"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        struct auth_check check = {0};
        cr_expect_null(read_key("x", headers[i], &check));
        cr_expect_neq(check.denial, AUTH_DENIAL_NONE);
        cr_expect_gt(strlen(check.detail), 0);
    }
    cr_expect_eq(cache.slab.live, 0);
    close_cache();
}
