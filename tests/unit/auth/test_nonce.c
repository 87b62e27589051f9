#include "auth/nonce.h"

#include <criterion/criterion.h>

#define NOW INT64_C(1800000000)

static struct span mint(struct nonce_issuer *issuer, int64_t now_s, char text[NONCE_TEXT_BYTES])
{
    cr_assert_eq(nonce_mint(issuer, now_s, text, NONCE_TEXT_BYTES), NONCE_TEXT_BYTES);
    return span_make(text, NONCE_TEXT_BYTES);
}

static enum status check(struct nonce_issuer *issuer, struct span nonce, int64_t now_s,
                         enum nonce_purpose purpose)
{
    int64_t age_s = -1;
    enum status status = nonce_check(issuer, nonce, now_s, purpose, &age_s);
    cr_assert_eq(age_s == -1, status != STATUS_OK);
    return status;
}

Test(nonce, is_good_for_its_life_and_tells_its_age)
{
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES];
    struct span nonce = mint(issuer, NOW, text);
    int64_t age_s = 0;
    cr_expect_eq(nonce_check(issuer, nonce, NOW + 7, NONCE_ORDINARY, &age_s), STATUS_OK);
    cr_expect_eq(age_s, 7);
    cr_expect_eq(check(issuer, nonce, NOW, NONCE_BELOW_FLOOR), STATUS_OK);
    cr_expect_eq(nonce_check(issuer, nonce, NOW + NONCE_LIFE_S, NONCE_ORDINARY, &age_s), STATUS_OK);
    cr_expect_eq(check(issuer, nonce, NOW + NONCE_LIFE_S + 1, NONCE_ORDINARY), STATUS_EXPIRED);
    cr_expect_eq(nonce_check(issuer, nonce, NOW - NONCE_AHEAD_S, NONCE_ORDINARY, &age_s),
                 STATUS_OK);
    cr_expect_eq(age_s, -NONCE_AHEAD_S);
    cr_expect_eq(check(issuer, nonce, NOW - NONCE_AHEAD_S - 1, NONCE_ORDINARY), STATUS_EXPIRED);
    nonce_issuer_free(issuer);
}

/* RFC 9449 section 8.1: nonce = 1*NQCHAR, which is %x21 / %x23-5B / %x5D-7E. */
Test(nonce, is_nqchar_and_fits_or_is_not_written)
{
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES];
    for (int64_t i = 0; i < 1000; i++) {
        struct span nonce = mint(issuer, NOW + i, text);
        for (size_t j = 0; j < nonce.size; j++) {
            uint8_t byte = nonce.data[j];
            cr_assert(byte > 0x20 && byte < 0x7f && byte != '"' && byte != '\\');
        }
    }
    cr_expect_eq(nonce_mint(issuer, NOW, text, NONCE_TEXT_BYTES - 1), 0);
    nonce_issuer_free(issuer);
}

Test(nonce, forged_or_cut_is_not_ours)
{
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES + 1] = {0};
    struct span nonce = mint(issuer, NOW, text);
    for (size_t size = 0; size < nonce.size; size++) {
        cr_assert_eq(check(issuer, span_first(nonce, size), NOW, NONCE_ORDINARY), STATUS_MALFORMED);
    }
    cr_expect_eq(check(issuer, span_make(text, NONCE_TEXT_BYTES + 1), NOW, NONCE_ORDINARY),
                 STATUS_MALFORMED);
    /* Any other character anywhere: another value, or not base64url at all. */
    for (size_t i = 0; i < nonce.size; i++) {
        char old = text[i];
        for (int byte = 0; byte < 256; byte++) {
            text[i] = (char)byte;
            cr_assert_eq(check(issuer, nonce, NOW, NONCE_ORDINARY) == STATUS_OK, (char)byte == old);
        }
        text[i] = old;
    }
    nonce_issuer_free(issuer);
}

Test(nonce, a_rotation_ends_what_was_minted_before)
{
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES];
    struct span nonce = mint(issuer, NOW, text);
    nonce_issuer_rotate(issuer);
    cr_expect_eq(check(issuer, nonce, NOW, NONCE_ORDINARY), STATUS_DENIED);
    cr_expect_eq(check(issuer, nonce, NOW, NONCE_BELOW_FLOOR), STATUS_DENIED);
    nonce = mint(issuer, NOW, text);
    cr_expect_eq(check(issuer, nonce, NOW, NONCE_BELOW_FLOOR), STATUS_OK);
    nonce_issuer_free(issuer);
}

Test(nonce, instances_do_not_take_each_others)
{
    static const uint8_t key[NONCE_KEY_BYTES] = {1, 2, 3};
    struct nonce_issuer *a = nonce_issuer_new(NULL, NONCE_INSTANCE);
    struct nonce_issuer *b = nonce_issuer_new(NULL, NONCE_INSTANCE);
    struct nonce_issuer *keyed = nonce_issuer_new(key, NONCE_INSTANCE);
    struct nonce_issuer *same_key = nonce_issuer_new(key, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES];
    cr_expect_eq(check(b, mint(a, NOW, text), NOW, NONCE_ORDINARY), STATUS_MALFORMED);
    cr_expect_eq(check(same_key, mint(keyed, NOW, text), NOW, NONCE_ORDINARY), STATUS_DENIED);
    nonce_issuer_free(a);
    nonce_issuer_free(b);
    nonce_issuer_free(keyed);
    nonce_issuer_free(same_key);
}

Test(nonce, replicas_with_one_key_take_each_others_but_not_below_the_floor)
{
    static const uint8_t key[NONCE_KEY_BYTES] = {1, 2, 3}, other[NONCE_KEY_BYTES] = {1, 2, 4};
    struct nonce_issuer *a = nonce_issuer_new(key, NONCE_SHARED);
    struct nonce_issuer *b = nonce_issuer_new(key, NONCE_SHARED);
    struct nonce_issuer *stranger = nonce_issuer_new(other, NONCE_SHARED);
    char text[NONCE_TEXT_BYTES];
    struct span nonce = mint(a, NOW, text);
    cr_expect_eq(check(b, nonce, NOW, NONCE_ORDINARY), STATUS_OK);
    cr_expect_eq(check(b, nonce, NOW, NONCE_BELOW_FLOOR), STATUS_DENIED);
    cr_expect_eq(check(a, nonce, NOW, NONCE_BELOW_FLOOR), STATUS_OK);
    cr_expect_eq(check(stranger, nonce, NOW, NONCE_ORDINARY), STATUS_MALFORMED);
    nonce_issuer_rotate(a);
    cr_expect_eq(check(a, nonce, NOW, NONCE_ORDINARY), STATUS_OK, "still a replica's");
    cr_expect_eq(check(a, nonce, NOW, NONCE_BELOW_FLOOR), STATUS_DENIED);
    nonce_issuer_free(a);
    nonce_issuer_free(b);
    nonce_issuer_free(stranger);
    nonce_issuer_free(NULL);
}

Test(nonce, a_random_key_is_replaced_and_the_one_before_stays_good_for_its_nonces)
{
    struct nonce_issuer *issuer = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char first[NONCE_TEXT_BYTES], last[NONCE_TEXT_BYTES], next[NONCE_TEXT_BYTES];
    struct span oldest = mint(issuer, NOW, first);
    struct span old = mint(issuer, NOW + NONCE_KEY_LIFE_S - 1, last);
    struct span new = mint(issuer, NOW + NONCE_KEY_LIFE_S, next);
    int64_t now_s = NOW + NONCE_KEY_LIFE_S;
    cr_expect_eq(check(issuer, oldest, now_s, NONCE_ORDINARY), STATUS_EXPIRED, "genuine, but old");
    cr_expect_eq(check(issuer, old, now_s, NONCE_ORDINARY), STATUS_OK);
    cr_expect_eq(check(issuer, new, now_s, NONCE_ORDINARY), STATUS_OK);
    now_s += NONCE_LIFE_S + 1;
    cr_expect_eq(check(issuer, old, now_s, NONCE_ORDINARY), STATUS_MALFORMED,
                 "its key is forgotten with its last nonce");
    /* A clock set back by hours does not keep a key for ever. */
    for (int i = 0; i < 10; i++) {
        now_s -= 10000;
        new = mint(issuer, now_s, next);
        cr_expect_eq(check(issuer, new, now_s, NONCE_ORDINARY), STATUS_OK);
    }
    nonce_issuer_free(issuer);
}

Test(nonce, a_shared_key_can_be_changed_while_its_nonces_are_about)
{
    static const uint8_t keys[6][NONCE_KEY_BYTES] = {{1}, {2}, {3}, {4}, {5}, {6}};
    struct nonce_issuer *a = nonce_issuer_new(keys[0], NONCE_SHARED);
    struct nonce_issuer *b = nonce_issuer_new(keys[0], NONCE_SHARED);
    char text[NONCE_TEXT_BYTES];
    for (int i = 1; i < 6; i++) {
        int64_t now_s = NOW + 10000 * i;
        struct span nonce = mint(b, now_s, text);
        nonce_issuer_use_key(a, keys[i], now_s);
        nonce_issuer_use_key(a, keys[i], now_s + 1);
        cr_expect_eq(check(a, nonce, now_s + 100, NONCE_ORDINARY), STATUS_OK, "of before");
        char fresh[NONCE_TEXT_BYTES];
        struct span newer = mint(a, now_s + 100, fresh);
        cr_expect_eq(check(b, newer, now_s + 100, NONCE_ORDINARY), STATUS_MALFORMED, "not yet");
        nonce_issuer_use_key(b, keys[i], now_s + 100);
        cr_expect_eq(check(b, newer, now_s + 100, NONCE_ORDINARY), STATUS_OK);
        cr_expect_eq(check(a, nonce, now_s + NONCE_LIFE_S + 1, NONCE_ORDINARY), STATUS_MALFORMED);
    }
    nonce_issuer_free(a);
    nonce_issuer_free(b);
}

/* Places for keys that hold none yet are no keys of zeros. */
Test(nonce, nobody_mints_under_a_key_that_was_never_set)
{
    static const uint8_t zeros[NONCE_KEY_BYTES] = {0}, key[NONCE_KEY_BYTES] = {1};
    struct nonce_issuer *forger = nonce_issuer_new(zeros, NONCE_SHARED);
    struct nonce_issuer *random = nonce_issuer_new(NULL, NONCE_SHARED);
    struct nonce_issuer *shared = nonce_issuer_new(key, NONCE_SHARED);
    char text[NONCE_TEXT_BYTES], forged[NONCE_TEXT_BYTES];
    struct span nonce = mint(forger, NOW, forged);
    for (int i = 0; i < 3; i++) {
        mint(random, NOW, text);
        mint(shared, NOW, text);
        cr_expect_eq(check(random, nonce, NOW, NONCE_ORDINARY), STATUS_MALFORMED);
        cr_expect_eq(check(shared, nonce, NOW, NONCE_ORDINARY), STATUS_MALFORMED);
        uint8_t other[NONCE_KEY_BYTES] = {(uint8_t)(2 + i)};
        nonce_issuer_use_key(shared, other, NOW);
    }
    nonce_issuer_free(forger);
    nonce_issuer_free(random);
    nonce_issuer_free(shared);
}
