#include "auth/gate.h"
#include "proxy/answer.h"
#include "proxy/limits.h"

#include <criterion/criterion.h>

static char text[PROXY_ANSWER_BYTES_MAX + 1];

static const char *written(const struct answer *answer, bool keep_alive, bool head_request)
{
    struct http1_writer writer;
    http1_writer_init(&writer, text, PROXY_ANSWER_BYTES_MAX);
    answer_write_http1(&writer, answer, keep_alive, head_request);
    cr_assert_not(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

Test(answer, a_denial_carries_its_challenge_and_says_why)
{
    struct answer answer = {
        .status = 401,
        .headers = SPAN_LITERAL("WWW-Authenticate: DPoP\r\n"),
        .error = "invalid_token",
        .description = "the token has expired",
    };
    cr_assert_str_eq(
        written(&answer, true, false),
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: DPoP\r\nContent-Type: application/json\r\n"
        "Content-Length: 70\r\n\r\n"
        "{\"error\":\"invalid_token\",\"error_description\":\"the token has expired\"}\n");
}

Test(answer, without_an_error_there_is_no_error_member)
{
    struct answer answer = {.status = 403, .description = ""};
    const char *whole = written(&answer, false, false);
    cr_assert(strstr(whole, "Connection: close\r\n") != NULL);
    cr_assert(strstr(whole, "{\"error_description\":\"Forbidden\"}\n") != NULL);
}

Test(answer, to_head_there_is_no_body_but_its_length)
{
    struct answer answer = {.status = 503, .error = "temporarily_unavailable"};
    const char *whole = written(&answer, true, true);
    cr_assert_str_eq(strstr(whole, "\r\n\r\n"), "\r\n\r\n");
    cr_assert(strstr(whole, "Content-Length: 0\r\n") == NULL);
}

Test(answer, every_denial_fits)
{
    for (int i = AUTH_DENIAL_NONE + 1; i < AUTH_DENIALS; i++) {
        char challenge[AUTH_CHALLENGE_BYTES_MAX];
        memset(challenge, 'x', sizeof challenge);
        struct answer answer = {
            .status = 401,
            .headers = span_make(challenge, sizeof challenge),
            .error = auth_answer_error(auth_denial_answer((enum auth_denial)i)),
            .description = auth_denial_description((enum auth_denial)i),
        };
        cr_assert(strpbrk(answer.description, "\"\\") == NULL, "%s", answer.description);
        written(&answer, false, false);
    }
}
