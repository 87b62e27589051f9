#include "auth/checks.h"

#include <criterion/criterion.h>
#include <string.h>

/* Labels are metric labels and log words; descriptions go between quotes in a header. */
Test(checks, every_denial_has_its_own_label_and_a_description_fit_for_quotes)
{
    for (int i = 0; i < AUTH_DENIALS; i++) {
        const char *label = auth_denial_label((enum auth_denial)i);
        cr_assert(strlen(label) > 0 &&
                  strspn(label, "abcdefghijklmnopqrstuvwxyz_") == strlen(label));
        for (int j = 0; j < i; j++) {
            cr_assert_neq(strcmp(label, auth_denial_label((enum auth_denial)j)), 0, "%s", label);
        }
        const char *description = auth_denial_description((enum auth_denial)i);
        for (const char *at = description; *at != '\0'; at++) {
            cr_assert(*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\', "%s", description);
        }
    }
}

Test(checks, only_none_has_no_answer)
{
    for (int i = 0; i < AUTH_DENIALS; i++) {
        cr_expect_eq(auth_denial_answer((enum auth_denial)i) == AUTH_ANSWER_NONE,
                     i == AUTH_DENIAL_NONE);
    }
    cr_expect_eq(auth_denial_answer(AUTH_DENIAL_PROOF_REPLAY), AUTH_ANSWER_INVALID_PROOF);
    cr_expect_eq(auth_denial_answer(AUTH_DENIAL_TOKEN_BOUND_AS_BEARER), AUTH_ANSWER_INVALID_TOKEN);
    cr_expect_eq(auth_denial_answer(AUTH_DENIAL_REPLAY_FULL), AUTH_ANSWER_UNAVAILABLE);
}

Test(checks, a_number_that_is_no_denial_reads_as_a_failure_inside)
{
    cr_expect_str_eq(auth_denial_label(AUTH_DENIALS), "internal");
    cr_expect_eq(auth_denial_answer((enum auth_denial)1000), AUTH_ANSWER_UNAVAILABLE);
    cr_expect_str_eq(auth_denial_description((enum auth_denial)1000), "");
}

Test(checks, the_error_names_are_those_of_the_specifications)
{
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_INVALID_PROOF), "invalid_dpop_proof");
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_INVALID_TOKEN), "invalid_token");
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_BAD_REQUEST), "invalid_request");
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_USE_NONCE), "use_dpop_nonce");
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_SCOPE), "insufficient_scope");
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_OVER_SHARE), "slow_down");
    cr_assert_str_eq(auth_answer_error(AUTH_ANSWER_UNAVAILABLE), "temporarily_unavailable");
    cr_assert_null(auth_answer_error(AUTH_ANSWER_CHALLENGE));
    cr_assert_null(auth_answer_error(AUTH_ANSWER_FORBIDDEN));
    cr_assert_null(auth_answer_error(AUTH_ANSWER_NONE));
}
