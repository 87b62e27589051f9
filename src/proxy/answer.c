#include "proxy/answer.h"

#include <stddef.h>

const char *answer_error_of(enum auth_answer answer)
{
    switch (answer) {
    case AUTH_ANSWER_INVALID_PROOF:
        return "invalid_dpop_proof";
    case AUTH_ANSWER_INVALID_TOKEN:
        return "invalid_token";
    case AUTH_ANSWER_BAD_REQUEST:
        return "invalid_request";
    case AUTH_ANSWER_USE_NONCE:
        return "use_dpop_nonce";
    case AUTH_ANSWER_SCOPE:
        return "insufficient_scope";
    case AUTH_ANSWER_OVER_SHARE:
        return "slow_down";
    case AUTH_ANSWER_UNAVAILABLE:
        return "temporarily_unavailable";
    case AUTH_ANSWER_NONE:
    case AUTH_ANSWER_CHALLENGE:
    case AUTH_ANSWER_FORBIDDEN:
        break;
    }
    return NULL;
}

static void write_member(struct http1_writer *writer, const char *name, const char *value)
{
    http1_write_string(writer, "\"");
    http1_write_string(writer, name);
    http1_write_string(writer, "\":\"");
    http1_write_string(writer, value);
    http1_write_string(writer, "\"");
}

void answer_write_body(struct http1_writer *writer, const struct answer *answer)
{
    bool described = answer->description != NULL && answer->description[0] != '\0';
    http1_write_string(writer, "{");
    if (answer->error != NULL) {
        write_member(writer, "error", answer->error);
        http1_write_string(writer, ",");
    }
    write_member(writer, "error_description",
                 described ? answer->description : http_status_reason(answer->status));
    http1_write_string(writer, "}\n");
}

void answer_write_http1(struct http1_writer *writer, const struct answer *answer, bool keep_alive,
                        bool head_request)
{
    char text[512];
    struct http1_writer body;
    http1_writer_init(&body, text, sizeof text);
    answer_write_body(&body, answer);
    http1_write_answer(writer, answer->status, answer->headers, "application/json",
                       span_make(text, body.size), keep_alive, head_request);
    writer->overflow = writer->overflow || body.overflow;
}
