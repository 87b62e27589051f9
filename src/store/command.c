#include "store/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#define COMMAND_BYTES_MAX 2048 /* AUTH with the longest user and password */
#define REACH_S_MAX       UINT64_C(1000000000)

/* One command under construction; `ok` says whether it all fitted. */
struct writer {
    uint8_t bytes[COMMAND_BYTES_MAX];
    size_t size;
    bool ok;
};

static void put(struct writer *writer, struct span bytes)
{
    if (bytes.size > sizeof writer->bytes - writer->size) {
        writer->ok = false;
        return;
    }
    memcpy(writer->bytes + writer->size, bytes.data, bytes.size);
    writer->size += bytes.size;
}

__attribute__((format(printf, 2, 3))) static void put_text(struct writer *writer,
                                                           const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(writer, span_make(text, (size_t)size));
}

static void begin(struct writer *writer, unsigned arguments)
{
    writer->size = 0;
    writer->ok = true;
    put_text(writer, "*%u\r\n", arguments);
}

static void argument(struct writer *writer, struct span bytes)
{
    put_text(writer, "$%zu\r\n", bytes.size);
    put(writer, bytes);
    put(writer, SPAN_LITERAL("\r\n"));
}

static enum status end(const struct writer *writer, struct buffer *out)
{
    return writer->ok ? buffer_append(out, span_make(writer->bytes, writer->size)) : STATUS_FULL;
}

enum status command_auth(struct buffer *out, const char *user, const char *password)
{
    struct writer writer;
    begin(&writer, user[0] != '\0' ? 3 : 2);
    argument(&writer, SPAN_LITERAL("AUTH"));
    if (user[0] != '\0') {
        argument(&writer, span_from_string(user));
    }
    argument(&writer, span_from_string(password));
    enum status status = end(&writer, out);
    explicit_bzero(&writer, sizeof writer);
    return status;
}

enum status command_info(struct buffer *out, const char *section)
{
    struct writer writer;
    begin(&writer, 2);
    argument(&writer, SPAN_LITERAL("INFO"));
    argument(&writer, span_from_string(section));
    return end(&writer, out);
}

/* The one command of every request: written by hand, for printf costs more than all the rest. */
enum status command_insert(struct buffer *out, const uint8_t key[COMMAND_KEY_BYTES],
                           uint64_t ttl_ms)
{
    static const char head[] = "*6\r\n$3\r\nSET\r\n$36\r\n" COMMAND_KEY_PREFIX;
    static const char middle[] = "\r\n$1\r\n1\r\n$2\r\nNX\r\n$2\r\nPX\r\n$";
    _Static_assert(sizeof COMMAND_KEY_PREFIX - 1 + COMMAND_KEY_BYTES == 36, "the length in head");
    uint8_t bytes[sizeof head + COMMAND_KEY_BYTES + sizeof middle + 32];
    uint8_t digits[20];
    size_t digits_count = 0;
    for (uint64_t left = ttl_ms; left > 0 || digits_count == 0; left /= 10) {
        digits[digits_count++] = (uint8_t)('0' + left % 10);
    }
    size_t size = sizeof head - 1;
    memcpy(bytes, head, size);
    memcpy(bytes + size, key, COMMAND_KEY_BYTES);
    size += COMMAND_KEY_BYTES;
    memcpy(bytes + size, middle, sizeof middle - 1);
    size += sizeof middle - 1;
    if (digits_count >= 10) {
        bytes[size++] = (uint8_t)('0' + digits_count / 10);
    }
    bytes[size++] = (uint8_t)('0' + digits_count % 10);
    bytes[size++] = '\r';
    bytes[size++] = '\n';
    while (digits_count > 0) {
        bytes[size++] = digits[--digits_count];
    }
    bytes[size++] = '\r';
    bytes[size++] = '\n';
    return buffer_append(out, span_make(bytes, size));
}

enum status command_set_epoch(struct buffer *out, const struct command_epoch *epoch,
                              bool only_if_absent)
{
    struct writer writer;
    char life[24];
    int life_size = snprintf(life, sizeof life, "%lld", (long long)COMMAND_EPOCH_LIFE_MS);
    begin(&writer, only_if_absent ? 6 : 5);
    argument(&writer, SPAN_LITERAL("SET"));
    argument(&writer, SPAN_LITERAL(COMMAND_EPOCH_KEY));
    argument(&writer, span_make(epoch->text, epoch->size));
    argument(&writer, SPAN_LITERAL("PX"));
    argument(&writer, span_make(life, (size_t)life_size));
    if (only_if_absent) {
        argument(&writer, SPAN_LITERAL("NX"));
    }
    return end(&writer, out);
}

enum status command_get_epoch(struct buffer *out)
{
    return buffer_append(out, SPAN_LITERAL("*2\r\n$3\r\nGET\r\n$9\r\n" COMMAND_EPOCH_KEY "\r\n"));
}

enum status command_epoch_ttl(struct buffer *out)
{
    return buffer_append(out, SPAN_LITERAL("*2\r\n$4\r\nPTTL\r\n$9\r\n" COMMAND_EPOCH_KEY "\r\n"));
}

enum status command_epoch_make(struct span run_id, uint64_t reach_s, struct command_epoch *epoch)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return STATUS_SYSTEM;
    }
    int size = snprintf(epoch->text, sizeof epoch->text, "%.*s/%016llx%016llx/%llu",
                        SPAN_ARG(run_id), (unsigned long long)random[0],
                        (unsigned long long)random[1], (unsigned long long)reach_s);
    if (run_id.size != COMMAND_RUN_ID_SIZE || reach_s > REACH_S_MAX || size < 0 ||
        (size_t)size >= sizeof epoch->text) {
        return STATUS_MALFORMED;
    }
    epoch->size = (size_t)size;
    epoch->reach_s = reach_s;
    return STATUS_OK;
}

enum status command_epoch_read(struct span text, struct command_epoch *epoch)
{
    const size_t fixed = COMMAND_RUN_ID_SIZE + 1 + 32 + 1;
    if (text.size <= fixed || text.size > fixed + 10 || text.data[COMMAND_RUN_ID_SIZE] != '/' ||
        text.data[fixed - 1] != '/') {
        return STATUS_MALFORMED;
    }
    uint64_t reach_s = 0;
    for (size_t i = fixed; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return STATUS_MALFORMED;
        }
        reach_s = reach_s * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (reach_s > REACH_S_MAX) {
        return STATUS_MALFORMED;
    }
    memcpy(epoch->text, text.data, text.size);
    epoch->size = text.size;
    epoch->reach_s = reach_s;
    return STATUS_OK;
}

bool command_epoch_is_of(const struct command_epoch *epoch, struct span run_id)
{
    return run_id.size == COMMAND_RUN_ID_SIZE && epoch->size > run_id.size &&
           span_equal(span_make(epoch->text, run_id.size), run_id) &&
           epoch->text[run_id.size] == '/';
}

struct span command_info_field(struct span info, const char *name)
{
    struct span wanted = span_from_string(name);
    while (info.size > 0) {
        size_t end = span_find(info, '\n');
        struct span line = span_first(info, end);
        info = span_after(info, end < info.size ? end + 1 : end);
        if (line.size > 0 && line.data[line.size - 1] == '\r') {
            line.size--;
        }
        if (span_starts_with(line, wanted) && line.size > wanted.size &&
            line.data[wanted.size] == ':') {
            return span_after(line, wanted.size + 1);
        }
    }
    return (struct span){NULL, 0};
}
