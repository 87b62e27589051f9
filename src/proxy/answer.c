#include "proxy/answer.h"

#include <stddef.h>

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
