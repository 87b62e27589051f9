#include "base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING 65536

/* A log into a file in memory; finish() gives everything written. */
struct fixture {
    int descriptor;
    struct log *log;
    char *text;
    size_t size;
};

static void start(struct fixture *fixture, enum log_format format, enum log_level level)
{
    *fixture = (struct fixture){.descriptor = memfd_create("log", MFD_CLOEXEC)};
    cr_assert_geq(fixture->descriptor, 0);
    fixture->log = log_new(fixture->descriptor, format, level, RING);
    cr_assert_not_null(fixture->log);
}

static const char *finish(struct fixture *fixture)
{
    log_free(fixture->log);
    off_t size = lseek(fixture->descriptor, 0, SEEK_END);
    cr_assert_geq(size, 0);
    fixture->size = (size_t)size;
    fixture->text = calloc(1, fixture->size + 1);
    cr_assert_eq(pread(fixture->descriptor, fixture->text, fixture->size, 0), size);
    close(fixture->descriptor);
    return fixture->text;
}

static void matches(const char *text, const char *pattern)
{
    regex_t regex;
    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    cr_assert_eq(regexec(&regex, text, 0, NULL, 0), 0, "%s\ndoes not match\n%s", text, pattern);
    regfree(&regex);
}

#define TIME "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6}Z"

/* One value through the log: what stands between the quotes, or after name=. */
static char *logged(enum log_format format, struct span value)
{
    struct fixture fixture;
    start(&fixture, format, LOG_INFO);
    struct log_line line;
    log_begin(&line, fixture.log, LOG_INFO, "e");
    log_span(&line, "v", value);
    log_end(&line);
    const char *text = finish(&fixture);
    const char *mark = format == LOG_JSON ? ",\"v\":" : " v=";
    const char *at = strstr(text, mark);
    cr_assert_not_null(at);
    at += strlen(mark);
    const char *end = text + fixture.size - (format == LOG_JSON ? 2 : 1);
    char *result = strndup(at, (size_t)(end - at));
    /* Whatever the value, it is one line and ASCII. */
    cr_assert_eq(strchr(text, '\n'), text + fixture.size - 1);
    for (size_t i = 0; i + 1 < fixture.size; i++) {
        cr_assert(text[i] >= 0x20 && text[i] < 0x7f, "byte %02x", (unsigned char)text[i]);
    }
    free(fixture.text);
    return result;
}

static void json_is(struct span value, const char *want)
{
    char *got = logged(LOG_JSON, value);
    cr_assert_str_eq(got, want);
    free(got);
}

static void text_is(struct span value, const char *want)
{
    char *got = logged(LOG_TEXT, value);
    cr_assert_str_eq(got, want);
    free(got);
}

Test(log, json_line)
{
    struct fixture fixture;
    start(&fixture, LOG_JSON, LOG_INFO);
    struct log_line line;
    log_begin(&line, fixture.log, LOG_WARN, "request");
    log_string(&line, "method", "GET");
    log_number(&line, "status", 401);
    log_span(&line, "path", SPAN_LITERAL("/a b"));
    log_end(&line);
    matches(finish(&fixture), "^\\{\"time\":\"" TIME "\",\"level\":\"warn\",\"event\":\"request\","
                              "\"method\":\"GET\",\"status\":401,\"path\":\"/a b\"\\}\n$");
    free(fixture.text);
}

Test(log, text_line)
{
    struct fixture fixture;
    start(&fixture, LOG_TEXT, LOG_DEBUG);
    struct log_line line;
    log_begin(&line, fixture.log, LOG_DEBUG, "request");
    log_string(&line, "method", "GET");
    log_number(&line, "status", -1);
    log_span(&line, "path", SPAN_LITERAL("/a b"));
    log_end(&line);
    matches(finish(&fixture),
            "^" TIME " debug event=request method=GET status=-1 path=\"/a b\"\n$");
    free(fixture.text);
}

Test(log, time_is_now)
{
    time_t before = time(NULL);
    struct fixture fixture;
    start(&fixture, LOG_TEXT, LOG_INFO);
    log_message(fixture.log, LOG_ERROR, "e", "x");
    const char *text = finish(&fixture);
    struct tm parts = {0};
    cr_assert_not_null(strptime(text, "%Y-%m-%dT%H:%M:%S.", &parts));
    time_t said = timegm(&parts);
    cr_assert(said >= before && said <= time(NULL));
    free(fixture.text);
}

Test(log, numbers_at_their_ends)
{
    struct fixture fixture;
    start(&fixture, LOG_JSON, LOG_INFO);
    struct log_line line;
    log_begin(&line, fixture.log, LOG_INFO, "e");
    log_number(&line, "a", INT64_MIN);
    log_number(&line, "b", INT64_MAX);
    log_number(&line, "c", 0);
    log_end(&line);
    cr_assert_not_null(
        strstr(finish(&fixture), ",\"a\":-9223372036854775808,\"b\":9223372036854775807,\"c\":0}"));
    free(fixture.text);
}

Test(log, levels_filter_and_change)
{
    struct fixture fixture;
    start(&fixture, LOG_JSON, LOG_WARN);
    cr_assert(log_enabled(fixture.log, LOG_ERROR));
    cr_assert_not(log_enabled(fixture.log, LOG_INFO));
    log_message(fixture.log, LOG_INFO, "quiet", "no");
    log_message(fixture.log, LOG_WARN, "loud", "yes");
    log_set_level(fixture.log, LOG_DEBUG);
    log_message(fixture.log, LOG_DEBUG, "now", "%s %d", "yes", 2);
    log_set_level(fixture.log, LOG_ERROR);
    log_message(fixture.log, LOG_WARN, "not", "no");
    const char *text = finish(&fixture);
    cr_assert_null(strstr(text, "\"quiet\""));
    cr_assert_not_null(strstr(text, "\"event\":\"loud\",\"message\":\"yes\"}"));
    cr_assert_not_null(
        strstr(text, "\"level\":\"debug\",\"event\":\"now\",\"message\":\"yes 2\"}"));
    cr_assert_null(strstr(text, "\"not\""));
    free(fixture.text);
}

Test(log, null_log_writes_nothing)
{
    struct log_line line;
    log_begin(&line, NULL, LOG_ERROR, "e");
    log_string(&line, "a", "b");
    log_number(&line, "c", 1);
    log_end(&line);
    log_message(NULL, LOG_ERROR, "e", "%d", 1);
    cr_assert_not(log_enabled(NULL, LOG_ERROR));
    log_free(NULL);
}

/* ---- values that try to be more than values ---- */

Test(log, json_escapes)
{
    json_is(SPAN_LITERAL(""), "\"\"");
    json_is((struct span){NULL, 0}, "\"\"");
    json_is(SPAN_LITERAL("plain"), "\"plain\"");
    json_is(SPAN_LITERAL("a\"b\\c"), "\"a\\\"b\\\\c\"");
    json_is(SPAN_LITERAL("a\nb\rc\td"), "\"a\\u000ab\\u000dc\\u0009d\"");
    json_is(SPAN_LITERAL("a\0b"), "\"a\\u0000b\"");
    json_is(SPAN_LITERAL("\x1b[31m\x7f"), "\"\\u001b[31m\\u007f\"");
    json_is(SPAN_LITERAL("\xc3\xa9"), "\"\\u00e9\"");
    json_is(SPAN_LITERAL("\xe2\x80\xa8"), "\"\\u2028\"");
    json_is(SPAN_LITERAL("\xf0\x9f\x98\x80"), "\"\\ud83d\\ude00\"");
}

Test(log, bytes_that_are_not_utf8_are_shown_as_bytes)
{
    json_is(SPAN_LITERAL("\xff"), "\"\\\\xff\"");
    json_is(SPAN_LITERAL("\x80z"), "\"\\\\x80z\"");
    json_is(SPAN_LITERAL("\xc3"), "\"\\\\xc3\"");                       /* cut off */
    json_is(SPAN_LITERAL("\xc3z"), "\"\\\\xc3z\"");                     /* no continuation */
    json_is(SPAN_LITERAL("\xc0\xaf"), "\"\\\\xc0\\\\xaf\"");            /* overlong '/' */
    json_is(SPAN_LITERAL("\xe0\x80\x8a"), "\"\\\\xe0\\\\x80\\\\x8a\""); /* overlong newline */
    json_is(SPAN_LITERAL("\xed\xa0\x80"), "\"\\\\xed\\\\xa0\\\\x80\""); /* a surrogate */
    json_is(SPAN_LITERAL("\xf4\x90\x80\x80"), "\"\\\\xf4\\\\x90\\\\x80\\\\x80\""); /* over 10FFFF */
    json_is(SPAN_LITERAL("\xf8\x88\x80\x80\x80"), "\"\\\\xf8\\\\x88\\\\x80\\\\x80\\\\x80\"");
}

Test(log, text_quotes_what_is_not_a_word)
{
    text_is(SPAN_LITERAL("spiffe://td/a-b_c:1,2@3+4;5~6%20.7"),
            "spiffe://td/a-b_c:1,2@3+4;5~6%20.7");
    text_is(SPAN_LITERAL(""), "\"\"");
    text_is(SPAN_LITERAL("a b"), "\"a b\"");
    text_is(SPAN_LITERAL("x outcome=allowed"), "\"x outcome=allowed\"");
    text_is(SPAN_LITERAL("\" outcome=\"allowed"), "\"\\\" outcome=\\\"allowed\"");
    text_is(SPAN_LITERAL("a=b"), "\"a=b\"");
    text_is(SPAN_LITERAL("a\\"), "\"a\\\\\"");
    text_is(SPAN_LITERAL("a\0"), "\"a\\u0000\"");
    text_is(SPAN_LITERAL("a\n2026-01-01T00:00:00.000000Z info event=forged"),
            "\"a\\u000a2026-01-01T00:00:00.000000Z info event=forged\"");
}

Test(log, a_value_cannot_forge_a_field_or_a_line)
{
    json_is(SPAN_LITERAL("x\",\"outcome\":\"allowed"), "\"x\\\",\\\"outcome\\\":\\\"allowed\"");
    json_is(SPAN_LITERAL("x\"}\n{\"event\":\"forged\"}"),
            "\"x\\\"}\\u000a{\\\"event\\\":\\\"forged\\\"}\"");
    /* a backslash at the end must not eat the closing quote */
    json_is(SPAN_LITERAL("x\\"), "\"x\\\\\"");
    /* nor may it join an escape of ours */
    json_is(SPAN_LITERAL("\\\n"), "\"\\\\\\u000a\"");
}

Test(log, every_byte_in_both_formats)
{
    for (int byte = 0; byte < 256; byte++) {
        uint8_t value[3] = {'a', (uint8_t)byte, 'b'};
        free(logged(LOG_JSON, span_make(value, 3)));
        free(logged(LOG_TEXT, span_make(value, 3)));
    }
}

Test(log, long_values_are_cut_between_characters)
{
    char value[2000], want[600];
    memset(value, 'a', sizeof value);
    memset(want, 'a', sizeof want);
    want[0] = '"';
    memcpy(want + 513, "\"", 2);
    json_is(span_make(value, 512), want);
    memcpy(want + 513, "...\"", 5);
    json_is(span_make(value, 513), want);
    json_is(span_make(value, 2000), want);
    /* An escape that does not fit whole is left out whole. */
    value[510] = '\n';
    memcpy(want + 511, "...\"", 5);
    json_is(span_make(value, 2000), want);
    text_is(span_make(value, 2000), want);
}

Test(log, a_full_line_says_it_was_cut)
{
    struct fixture fixture;
    start(&fixture, LOG_JSON, LOG_INFO);
    char value[512];
    memset(value, 1, sizeof value); /* six bytes each */
    struct log_line line;
    log_begin(&line, fixture.log, LOG_INFO, "e");
    for (int i = 0; i < 20; i++) {
        log_span(&line, "v", span_make(value, sizeof value));
    }
    log_string(&line, "small", "x"); /* a field that fits is kept, whatever was cut before */
    log_end(&line);
    const char *text = finish(&fixture);
    cr_assert_leq(fixture.size, sizeof line.text);
    cr_assert_not_null(strstr(text, "...\",\"small\":\"x\",\"cut\":true}\n"));
    free(fixture.text);

    start(&fixture, LOG_TEXT, LOG_INFO);
    log_begin(&line, fixture.log, LOG_INFO, "e");
    for (int i = 0; i < 2000; i++) {
        log_number(&line, "n", i);
    }
    log_end(&line);
    text = finish(&fixture);
    cr_assert_leq(fixture.size, sizeof line.text);
    cr_assert_str_eq(text + fixture.size - 10, " cut=true\n");
    free(fixture.text);
}

/* Every length of line near the end of its room: whole, terminated, never over. */
Test(log, the_end_always_fits)
{
    for (size_t pad = 0; pad < 540; pad++) {
        struct fixture fixture;
        start(&fixture, LOG_JSON, LOG_INFO);
        struct log_line line;
        char value[600];
        memset(value, 'x', sizeof value);
        log_begin(&line, fixture.log, LOG_INFO, "e");
        for (int i = 0; i < 5; i++) {
            log_span(&line, "v", span_make(value, 512));
        }
        log_span(&line, "v", span_make(value, pad));
        log_number(&line, "n", -5);
        log_end(&line);
        const char *text = finish(&fixture);
        bool whole = strcmp(text + fixture.size - 9, "\"n\":-5}\n") == 0 ||
                     strstr(text, "\"n\":-5}\n") != NULL || strstr(text, "\"cut\":true}\n") != NULL;
        cr_assert(whole, "%zu: %s", pad, text + fixture.size - 40);
        cr_assert_leq(fixture.size, sizeof line.text);
        free(fixture.text);
    }
}

Test(log, long_messages)
{
    struct fixture fixture;
    start(&fixture, LOG_JSON, LOG_INFO);
    char message[5000];
    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    log_message(fixture.log, LOG_INFO, "e", "%s", message);
    log_message(fixture.log, LOG_INFO, "e", "line\nbreak %s", "\"quoted\"");
    const char *text = finish(&fixture);
    cr_assert_not_null(strstr(text, "mmm\"}\n"));
    cr_assert_not_null(strstr(text, "\"message\":\"line\\u000abreak \\\"quoted\\\"\"}\n"));
    free(fixture.text);
}

/* ---- the ring and the writer ---- */

static void log_one(struct log *log, int number)
{
    struct log_line line;
    log_begin(&line, log, LOG_INFO, "n");
    log_number(&line, "i", number);
    log_end(&line);
}

/* A pipe nobody reads until told to: the worker goes on, what does not fit is counted, and said
 * afterwards. */
Test(log, a_reader_that_stalls_blocks_nobody_and_drops_are_said)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    (void)fcntl(ends[1], F_SETPIPE_SZ, 4096);
    struct log *log = log_new(ends[1], LOG_JSON, LOG_INFO, 0);
    cr_assert_not_null(log);
    for (int i = 0; i < 20000; i++) {
        log_one(log, i);
    }
    uint64_t dropped = log_dropped(log);
    cr_assert_gt(dropped, 0);
    cr_assert_lt(dropped, 20000);
    /* Now read while it goes on; a reader of its own, for log_free waits for the pipe. */
    pid_t reader = fork();
    cr_assert_geq(reader, 0);
    if (reader == 0) {
        close(ends[1]);
        FILE *in = fdopen(ends[0], "r");
        char text[4096];
        long lines = 0, said = 0, last = -1;
        while (fgets(text, sizeof text, in) != NULL) {
            const char *at = strstr(text, "\"event\":\"log_dropped\",\"lines\":");
            if (at != NULL) {
                said += strtol(at + 30, NULL, 10);
                continue;
            }
            at = strstr(text, "\"i\":");
            if (at == NULL || strtol(at + 4, NULL, 10) <= last || strchr(text, '\n') == NULL) {
                _exit(1);
            }
            last = strtol(at + 4, NULL, 10);
            lines++;
        }
        _exit(lines + said == 20000 && said > 0 ? 0 : 2);
    }
    close(ends[0]);
    log_free(log);
    close(ends[1]);
    int status = 0;
    cr_assert_eq(waitpid(reader, &status, 0), reader);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(log, freeing_does_not_wait_for_ever_for_a_reader)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct log *log = log_new(ends[1], LOG_JSON, LOG_INFO, 1 << 20);
    for (int i = 0; i < 4000; i++) {
        log_one(log, i);
    }
    log_free(log); /* returns: that is the test; Criterion's timeout is the other outcome */
    close(ends[0]);
    close(ends[1]);
}

Test(log, a_closed_pipe_is_survived_and_counted, .timeout = 20)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    struct log *log = log_new(ends[1], LOG_TEXT, LOG_INFO, RING);
    log_one(log, 1); /* no SIGPIPE kills us */
    while (log_dropped(log) == 0) {
        poll(NULL, 0, 1);
    }
    cr_assert_eq(log_dropped(log), 1);
    log_free(log);
    close(ends[1]);
}

Test(log, a_descriptor_that_would_block_is_waited_for)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    int small = 4096;
    (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    struct log *log = log_new(ends[0], LOG_TEXT, LOG_INFO, 1 << 20);
    for (int i = 0; i < 3000; i++) {
        log_one(log, i);
    }
    size_t lines = 0;
    while (lines < 3000) {
        struct pollfd wait = {.fd = ends[1], .events = POLLIN};
        cr_assert_eq(poll(&wait, 1, 10000), 1);
        char text[4096];
        ssize_t got = read(ends[1], text, sizeof text);
        for (ssize_t i = 0; i < got; i++) {
            lines += text[i] == '\n';
        }
    }
    cr_assert_eq(log_dropped(log), 0);
    log_free(log);
    close(ends[0]);
    close(ends[1]);
}

/* A disk that fills up in the middle of a line; RLIMIT_FSIZE stands for it. */
Test(log, half_a_line_is_ended_before_the_next)
{
    struct fixture fixture;
    start(&fixture, LOG_TEXT, LOG_INFO);
    struct rlimit whole, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &whole), 0);
    limit = whole;
    limit.rlim_cur = 10;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log_one(fixture.log, 1);
    while (log_dropped(fixture.log) == 0) {
        poll(NULL, 0, 1);
    }
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &whole), 0);
    log_one(fixture.log, 2);
    const char *text = finish(&fixture);
    matches(text + 10,
            "^\n" TIME " (info event=n i=2|warn event=log_dropped lines=1 lines_total=1)\n" TIME
            " (info event=n i=2|warn event=log_dropped lines=1 lines_total=1)\n$");
    free(fixture.text);
}

Test(log, an_idle_writer_wakes_for_one_line)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct log *log = log_new(ends[1], LOG_TEXT, LOG_INFO, RING);
    for (int i = 0; i < 20; i++) {
        poll(NULL, 0, 15); /* longer than the writer lingers */
        log_one(log, i);
        struct pollfd wait = {.fd = ends[0], .events = POLLIN};
        cr_assert_eq(poll(&wait, 1, 5000), 1, "line %d never came", i);
        char text[256];
        cr_assert_gt(read(ends[0], text, sizeof text), 0);
    }
    log_free(log);
    close(ends[0]);
    close(ends[1]);
}
