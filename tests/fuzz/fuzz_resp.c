/* What a Redis, or whoever answers in its place, may send: the reader, cut at every place the input
 * says, must find the same answers as in one piece; and the parts that we read of them. */
#include "store/command.h"
#include "store/resp.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWERS_MAX 64

struct digest {
    size_t count;
    enum status end;
    struct {
        enum resp_kind kind;
        int64_t integer;
        size_t size;
        uint64_t sum;
    } answers[ANSWERS_MAX];
};

static void look(const struct resp_answer *answer)
{
    struct span text = resp_text(answer);
    struct command_epoch epoch;
    if (command_epoch_read(text, &epoch) == STATUS_OK) {
        if (!span_equal(span_make(epoch.text, epoch.size), text) ||
            !command_epoch_is_of(&epoch, span_first(text, COMMAND_RUN_ID_SIZE))) {
            abort();
        }
    }
    struct span value = command_info_field(text, "run_id");
    if (value.size > 0 &&
        (value.data < text.data || value.data + value.size > text.data + text.size)) {
        abort();
    }
}

static void drain(struct resp_reader *reader, struct digest *digest)
{
    const struct resp_answer *answer = NULL;
    enum status status;
    while ((status = resp_next(reader, &answer)) == STATUS_OK) {
        look(answer);
        if (digest->count < ANSWERS_MAX) {
            uint64_t sum = 0;
            for (size_t i = 0; i < answer->size; i++) {
                sum = sum * 31 + (uint8_t)answer->text[i];
            }
            digest->answers[digest->count].kind = answer->kind;
            digest->answers[digest->count].integer = answer->integer;
            digest->answers[digest->count].size = answer->size;
            digest->answers[digest->count].sum = sum;
        }
        digest->count++;
    }
    digest->end = status;
}

static void read_in_pieces(struct span bytes, size_t piece, struct digest *digest)
{
    memset(digest, 0, sizeof *digest);
    digest->end = STATUS_AGAIN;
    struct resp_reader *reader = resp_reader_new();
    if (reader == NULL) {
        abort();
    }
    while (bytes.size > 0) {
        size_t size = piece < bytes.size ? piece : bytes.size;
        if (resp_feed(reader, span_first(bytes, size)) != STATUS_OK) {
            abort();
        }
        drain(reader, digest);
        bytes = span_after(bytes, size);
    }
    resp_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    static struct digest whole, cut;
    struct span bytes = span_make(data + 1, size - 1);
    read_in_pieces(bytes, bytes.size + 1, &whole);
    read_in_pieces(bytes, (size_t)data[0] % 16 + 1, &cut);
    /* What is too long is found a little earlier or later, by how it comes. */
    if (bytes.size <= RESP_ANSWER_BYTES_MAX &&
        (whole.count != cut.count || whole.end != cut.end ||
         memcmp(whole.answers, cut.answers, sizeof whole.answers) != 0)) {
        abort();
    }
    return 0;
}
