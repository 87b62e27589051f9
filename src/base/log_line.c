/* Building one line: the only place that decides what a byte of a value looks like in the log. */
#include "base/log_line.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* Kept free for the end of the line: ,"cut":true}\n */
#define END_BYTES 16
#define MARK_CUT  "..."

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        break;
    }
    return "error";
}

/* ---- output with a bound: a part goes in whole or not at all ---- */

struct out {
    char *text;
    size_t size, capacity;
};

static bool put(struct out *out, const char *bytes, size_t size)
{
    if (size > out->capacity - out->size) {
        return false;
    }
    memcpy(out->text + out->size, bytes, size);
    out->size += size;
    return true;
}

static bool put_string(struct out *out, const char *text)
{
    return put(out, text, strlen(text));
}

static void put_digits(char *at, unsigned value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        at[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

#define TIME_BYTES 27 /* 2026-01-31T23:59:59.999999Z */

/* RFC 3339 in UTC with microseconds. Days to a date: Howard Hinnant's civil_from_days, for days
 * since 1970. */
static void write_time(char at[TIME_BYTES], uint64_t wall_ns)
{
    uint64_t seconds = wall_ns / 1000000000u;
    unsigned second_of_day = (unsigned)(seconds % 86400);
    uint64_t days = seconds / 86400 + 719468;
    uint64_t era = days / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                            day_of_era / 146096) /
                           365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = year_of_era + (unsigned)(era * 400) + (month <= 2 ? 1 : 0);
    static const char shape[] = "0000-00-00T00:00:00.000000Z";
    for (size_t i = 0; i < TIME_BYTES; i++) {
        at[i] = shape[i];
    }
    put_digits(at, year, 4);
    put_digits(at + 5, month, 2);
    put_digits(at + 8, day, 2);
    put_digits(at + 11, second_of_day / 3600, 2);
    put_digits(at + 14, second_of_day / 60 % 60, 2);
    put_digits(at + 17, second_of_day % 60, 2);
    put_digits(at + 20, (unsigned)(wall_ns % 1000000000u / 1000), 6);
}

/* ---- values ---- */

static size_t write_u(char *at, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";
    at[0] = '\\';
    at[1] = 'u';
    for (int i = 0; i < 4; i++) {
        at[2 + i] = hex[unit >> (12 - 4 * i) & 15];
    }
    return 6;
}

/* Writes one character of `value` as JSON text in ASCII: \uXXXX for control and non-ASCII
 * characters, "\\x9f" (two characters of JSON for the backslash) for a byte that is not UTF-8.
 * Returns the bytes read, sets *wrote (at most 12). */
static size_t escape_one(struct span value, char at[12], size_t *wrote)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t byte = value.data[0];
    if (byte == '"' || byte == '\\') {
        at[0] = '\\';
        at[1] = (char)byte;
        *wrote = 2;
        return 1;
    }
    if (byte < 0x20 || byte == 0x7f) {
        *wrote = write_u(at, byte);
        return 1;
    }
    if (byte < 0x7f) {
        at[0] = (char)byte;
        *wrote = 1;
        return 1;
    }
    uint32_t character = 0;
    size_t size = utf8_read(value, &character);
    if (size == 0) {
        at[0] = at[1] = '\\';
        at[2] = 'x';
        at[3] = hex[byte >> 4];
        at[4] = hex[byte & 15];
        *wrote = 5;
        return 1;
    }
    if (character < 0x10000) {
        *wrote = write_u(at, character);
        return size;
    }
    character -= 0x10000;
    write_u(at, 0xd800 + (character >> 10));
    write_u(at + 6, 0xdc00 + (character & 0x3ff));
    *wrote = 12;
    return size;
}

/* What needs no escape: printable ASCII but '"' and '\'. */
static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* The value in double quotes, its escaped form cut at `value_max`; false if the line has no room
 * for it. */
static bool put_quoted(struct out *out, struct span value, size_t value_max)
{
    size_t before = out->size;
    if (!put(out, "\"", 1)) {
        return false;
    }
    size_t left = value_max;
    while (value.size > 0) {
        size_t plain = 0;
        while (plain < value.size && plain < left && is_plain(value.data[plain])) {
            plain++;
        }
        if (!put(out, (const char *)value.data, plain)) {
            out->size = before;
            return false;
        }
        value = span_after(value, plain);
        left -= plain;
        if (value.size == 0) {
            break;
        }
        char escaped[12];
        size_t wrote = 0;
        size_t read = escape_one(value, escaped, &wrote);
        bool cut = wrote > left;
        if (!(cut ? put_string(out, MARK_CUT) : put(out, escaped, wrote))) {
            out->size = before;
            return false;
        }
        if (cut) {
            break;
        }
        value = span_after(value, read);
        left -= wrote;
    }
    if (!put(out, "\"", 1)) {
        out->size = before;
        return false;
    }
    return true;
}

/* In text, a value of these bytes alone stands without quotes: no space, '=', quote or backslash
 * among them. */
static bool is_word(struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (!letter && !(byte >= '0' && byte <= '9') &&
            (byte == 0 || strchr("._:/@+-,;~%", byte) == NULL)) {
            return false;
        }
    }
    return value.size > 0 && value.size <= LOG_VALUE_BYTES_MAX;
}

/* ---- fields ---- */

static struct out line_out(struct log_line *line)
{
    return (struct out){line->text, line->size, sizeof line->text - END_BYTES};
}

static bool put_name(struct out *out, enum log_format format, const char *name)
{
    if (format == LOG_JSON) {
        return put(out, ",\"", 2) && put_string(out, name) && put(out, "\":", 2);
    }
    return put(out, " ", 1) && put_string(out, name) && put(out, "=", 1);
}

static void add_value(struct log_line *line, const char *name, struct span value, size_t value_max)
{
    struct out out = line_out(line);
    bool fits = put_name(&out, line->format, name);
    if (fits && line->format == LOG_TEXT && is_word(value)) {
        fits = put(&out, (const char *)value.data, value.size);
    } else if (fits) {
        fits = put_quoted(&out, value, value_max);
    }
    if (fits) {
        line->size = out.size;
    } else {
        line->cut = true;
    }
}

void log_line_start(struct log_line *line, enum log_format format, enum log_level level,
                    const char *event, uint64_t wall_ns)
{
    char time[TIME_BYTES];
    write_time(time, wall_ns);
    line->format = format;
    line->size = 0;
    line->cut = false;
    struct out out = line_out(line);
    if (format == LOG_JSON) {
        (void)(put_string(&out, "{\"time\":\"") && put(&out, time, TIME_BYTES) &&
               put_string(&out, "\",\"level\":\"") && put_string(&out, level_name(level)) &&
               put(&out, "\"", 1));
    } else {
        (void)(put(&out, time, TIME_BYTES) && put(&out, " ", 1) &&
               put_string(&out, level_name(level)));
    }
    line->size = out.size;
    add_value(line, "event", span_from_string(event), LOG_VALUE_BYTES_MAX);
}

void log_line_finish(struct log_line *line)
{
    struct out out = {line->text, line->size, sizeof line->text};
    if (line->cut) {
        (void)put_string(&out, line->format == LOG_JSON ? ",\"cut\":true" : " cut=true");
    }
    (void)put_string(&out, line->format == LOG_JSON ? "}\n" : "\n");
    line->size = out.size;
}

/* ---- the public face ---- */

void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event)
{
    line->log = NULL;
    line->size = 0;
    if (log == NULL || !log_enabled(log, level)) {
        return;
    }
    line->log = log;
    log_line_start(line, log_format_of(log), level, event, clock_read().wall_ns);
}

void log_span(struct log_line *line, const char *name, struct span value)
{
    if (line->log != NULL) {
        add_value(line, name, value, LOG_VALUE_BYTES_MAX);
    }
}

void log_string(struct log_line *line, const char *name, const char *value)
{
    log_span(line, name, span_from_string(value));
}

void log_number(struct log_line *line, const char *name, int64_t value)
{
    if (line->log == NULL) {
        return;
    }
    char digits[21];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    struct out out = line_out(line);
    if (put_name(&out, line->format, name) && put(&out, digits + at, sizeof digits - at)) {
        line->size = out.size;
    } else {
        line->cut = true;
    }
}

void log_end(struct log_line *line)
{
    if (line->log == NULL) {
        return;
    }
    log_line_finish(line);
    log_submit(line->log, span_make(line->text, line->size));
    line->log = NULL;
}

void log_message(struct log *log, enum log_level level, const char *event, const char *format, ...)
{
    struct log_line line;
    log_begin(&line, log, level, event);
    if (line.log == NULL) {
        return;
    }
    char message[LOG_MESSAGE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (size < 0) {
        message[0] = '\0';
    }
    add_value(&line, "message", span_from_string(message), LOG_MESSAGE_BYTES_MAX);
    log_end(&line);
}
