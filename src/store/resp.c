#include "store/resp.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include <stdlib.h>

struct resp_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions functions; /* hiredis keeps a pointer to it */
    bool broken;
    struct resp_answer answer;
};

/* hiredis builds its replies through these. Ours is one flat answer that lives in the reader, so
 * nothing is allocated; NULL makes the reader give up. */

static struct resp_answer *begin(const redisReadTask *task, enum resp_kind kind)
{
    struct resp_reader *reader = task->privdata;
    reader->answer.kind = kind;
    reader->answer.integer = 0;
    reader->answer.size = 0;
    return &reader->answer;
}

static void *make_string(const redisReadTask *task, char *text, size_t size)
{
    struct resp_answer *answer = begin(task, task->type == REDIS_REPLY_ERROR    ? RESP_ERROR
                                             : task->type == REDIS_REPLY_STATUS ? RESP_STATUS
                                                                                : RESP_STRING);
    answer->size = size < RESP_TEXT_BYTES_MAX ? size : RESP_TEXT_BYTES_MAX;
    memcpy(answer->text, text, answer->size);
    return answer;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    struct resp_answer *answer = begin(task, RESP_INTEGER);
    answer->integer = value;
    return answer;
}

static void *make_nil(const redisReadTask *task)
{
    return begin(task, RESP_NIL);
}

#if HIREDIS_MAJOR >= 1
static void *refuse_array(const redisReadTask *task, size_t elements)
#else
static void *refuse_array(const redisReadTask *task, int elements)
#endif
{
    (void)task;
    (void)elements;
    return NULL;
}

#if HIREDIS_MAJOR >= 1
/* RESP 3, which nobody asked for. */
static void *refuse_double(const redisReadTask *task, double value, char *text, size_t size)
{
    (void)task;
    (void)value;
    (void)text;
    (void)size;
    return NULL;
}

static void *refuse_bool(const redisReadTask *task, int value)
{
    (void)task;
    (void)value;
    return NULL;
}
#endif

static void keep(void *object)
{
    (void)object; /* the reader's own */
}

static const redisReplyObjectFunctions object_functions = {
    .createString = make_string,
    .createArray = refuse_array,
    .createInteger = make_integer,
#if HIREDIS_MAJOR >= 1
    .createDouble = refuse_double,
    .createBool = refuse_bool,
#endif
    .createNil = make_nil,
    .freeObject = keep,
};

struct resp_reader *resp_reader_new(void)
{
    struct resp_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    reader->functions = object_functions;
    reader->hiredis = redisReaderCreateWithFunctions(&reader->functions);
    if (reader->hiredis == NULL) {
        free(reader);
        return NULL;
    }
    reader->hiredis->privdata = reader;
    reader->hiredis->maxbuf = 0; /* keep the buffer: no allocation once it is large enough */
    return reader;
}

void resp_reader_free(struct resp_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    redisReaderFree(reader->hiredis);
    free(reader);
}

enum status resp_feed(struct resp_reader *reader, struct span bytes)
{
    if (reader->broken) {
        return STATUS_OK; /* resp_next says so */
    }
    return redisReaderFeed(reader->hiredis, (const char *)bytes.data, bytes.size) == REDIS_OK
               ? STATUS_OK
               : STATUS_NO_MEMORY;
}

enum status resp_next(struct resp_reader *reader, const struct resp_answer **answer)
{
    void *reply = NULL;
    if (reader->broken) {
        return STATUS_MALFORMED;
    }
    if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK) {
        reader->broken = true;
        return STATUS_MALFORMED;
    }
    if (reply != NULL) {
        *answer = reply;
        return STATUS_OK;
    }
    /* What waits is one unfinished answer: a server that announces gigabytes is not waited for. */
    if (reader->hiredis->len - reader->hiredis->pos > RESP_ANSWER_BYTES_MAX) {
        reader->broken = true;
        return STATUS_MALFORMED;
    }
    return STATUS_AGAIN;
}
