#include "auth/checks.h"

#include <stddef.h>

struct denial_entry {
    const char *label;
    const char *description;
    enum auth_answer answer;
};

static const struct denial_entry denials[AUTH_DENIALS] = {
#define X(name, label, answer, description)                                                        \
    [AUTH_DENIAL_##name] = {label, description, AUTH_ANSWER_##answer},
    AUTH_DENIAL_LIST(X)
#undef X
};

/* A number that is no denial is a bug somewhere: it reads as the failure inside that it is. */
static const struct denial_entry *entry_of(enum auth_denial denial)
{
    return &denials[(size_t)denial < AUTH_DENIALS ? denial : AUTH_DENIAL_INTERNAL];
}

const char *auth_denial_label(enum auth_denial denial)
{
    return entry_of(denial)->label;
}

const char *auth_denial_description(enum auth_denial denial)
{
    return entry_of(denial)->description;
}

enum auth_answer auth_denial_answer(enum auth_denial denial)
{
    return entry_of(denial)->answer;
}

const char *auth_answer_error(enum auth_answer answer)
{
    static const char *const errors[AUTH_ANSWERS] = {
        [AUTH_ANSWER_INVALID_PROOF] = "invalid_dpop_proof",
        [AUTH_ANSWER_INVALID_TOKEN] = "invalid_token",
        [AUTH_ANSWER_BAD_REQUEST] = "invalid_request",
        [AUTH_ANSWER_USE_NONCE] = "use_dpop_nonce",
        [AUTH_ANSWER_SCOPE] = "insufficient_scope",
        [AUTH_ANSWER_OVER_SHARE] = "slow_down",
        [AUTH_ANSWER_UNAVAILABLE] = "temporarily_unavailable",
    };
    return errors[answer];
}
