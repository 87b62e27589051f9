/* Answers the gate makes itself: a status, header fields, and a small JSON body that says why. */
#ifndef POPGATE_PROXY_ANSWER_H
#define POPGATE_PROXY_ANSWER_H

#include "base/span.h"
#include "http/http1.h"

struct answer {
    uint16_t status;
    struct span headers;     /* whole lines, each with CRLF; may be empty */
    const char *error;       /* a member of the body; NULL: none */
    const char *description; /* fixed words, without quotes and backslashes */
    bool close;              /* the connection must not go on */
    uint8_t grpc_status;     /* 0: the one that `status` maps to */
};

/* The JSON body: {"error":"...","error_description":"..."}. */
void answer_write_body(struct http1_writer *writer, const struct answer *answer);

/* The whole HTTP/1.1 answer. `head_request`: without the body, its length named all the same. */
void answer_write_http1(struct http1_writer *writer, const struct answer *answer, bool keep_alive,
                        bool head_request);

#endif
