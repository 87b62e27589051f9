/* What a Redis answers (RESP 2), read by hiredis' reader and made flat: none of our commands is
 * answered by an array, so one that comes is a fault. Bounded: an answer that is longer than
 * RESP_ANSWER_BYTES_MAX is a fault too. One thread. */
#ifndef POPGATE_STORE_RESP_H
#define POPGATE_STORE_RESP_H

#include "base/span.h"
#include "base/status.h"

#define RESP_ANSWER_BYTES_MAX 65536
/* Of a text, what is kept: the parts of INFO that we ask for are well below it, and of an error the
 * beginning is enough. */
#define RESP_TEXT_BYTES_MAX 8192

enum resp_kind { RESP_NONE = 0, RESP_STRING, RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_NIL };

struct resp_answer {
    enum resp_kind kind;
    int64_t integer;
    size_t size; /* of the text */
    char text[RESP_TEXT_BYTES_MAX];
};

struct resp_reader;

/* Returns owned, NULL when memory fails. */
struct resp_reader *resp_reader_new(void);
void resp_reader_free(struct resp_reader *reader);

/* Takes all of `bytes`. STATUS_OK; STATUS_NO_MEMORY. */
MUST_CHECK enum status resp_feed(struct resp_reader *reader, struct span bytes);
/* STATUS_OK: *answer is the next one, valid until the next call. STATUS_AGAIN: more bytes are
 * needed. STATUS_MALFORMED: not RESP, an array, or too long; so is everything after it. */
MUST_CHECK enum status resp_next(struct resp_reader *reader, const struct resp_answer **answer);

static inline struct span resp_text(const struct resp_answer *answer)
{
    return span_make(answer->text, answer->size);
}

#endif
