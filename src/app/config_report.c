#include "app/config_report.h"

#include <stdarg.h>
#include <stdio.h>

void config_report_init(struct config_report *report, const char *name,
                        struct config_errors *errors)
{
    *report = (struct config_report){.name = name, .errors = errors};
    errors->count = 0;
}

void config_report_add(struct config_report *report, struct config_position position,
                       const char *format, ...)
{
    struct config_errors *errors = report->errors;
    if (errors->count == CONFIG_ERRORS_MAX) {
        report->overflow = true;
        return;
    }
    struct config_error *error = &errors->list[errors->count];
    report->positions[errors->count++] = position;
    int size = snprintf(error->text, sizeof error->text, "%s:%u:%u: ", report->name, position.line,
                        position.column);
    if (size < 0 || (size_t)size >= sizeof error->text) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text + size, sizeof error->text - (size_t)size, format, arguments);
    va_end(arguments);
}

bool config_report_is_full(const struct config_report *report)
{
    return report->errors->count == CONFIG_ERRORS_MAX;
}

static bool is_before(struct config_position a, struct config_position b)
{
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

void config_report_finish(struct config_report *report)
{
    struct config_errors *errors = report->errors;
    /* By insertion: a stable sort of at most CONFIG_ERRORS_MAX that are nearly in order. */
    for (size_t i = 1; i < errors->count; i++) {
        struct config_error error = errors->list[i];
        struct config_position position = report->positions[i];
        size_t at = i;
        for (; at > 0 && is_before(position, report->positions[at - 1]); at--) {
            errors->list[at] = errors->list[at - 1];
            report->positions[at] = report->positions[at - 1];
        }
        errors->list[at] = error;
        report->positions[at] = position;
    }
    if (report->overflow) {
        struct config_position last = report->positions[CONFIG_ERRORS_MAX - 1];
        (void)snprintf(errors->list[CONFIG_ERRORS_MAX - 1].text, sizeof errors->list[0].text,
                       "%s:%u:%u: more errors from here on; mend those above first", report->name,
                       last.line, last.column);
    }
}

#define QUOTE_BYTES_MAX 60

struct config_quote config_quote(struct span value)
{
    struct config_quote quote;
    size_t size = value.size;
    if (size > QUOTE_BYTES_MAX) {
        /* Between two characters of UTF-8. */
        for (size = QUOTE_BYTES_MAX; size > 0 && (value.data[size] & 0xc0) == 0x80; size--) {
        }
    }
    size_t at = 0;
    quote.text[at++] = '"';
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = value.data[i];
        quote.text[at++] = byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
    }
    if (size < value.size) {
        memcpy(quote.text + at, "...", 3);
        at += 3;
    }
    quote.text[at++] = '"';
    quote.text[at] = '\0';
    return quote;
}

#define NAME_BYTES_MAX 32

static uint8_t fold(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z') {
        return (uint8_t)(byte | 0x20);
    }
    return byte == '-' ? '_' : byte;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows of the table at a time. */
size_t config_name_distance(struct span a, struct span b)
{
    if (a.size > NAME_BYTES_MAX || b.size > NAME_BYTES_MAX) {
        return SIZE_MAX;
    }
    size_t rows[3][NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t change = fold(a.data[i - 1]) != fold(b.data[j - 1]);
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + change);
            if (i > 1 && j > 1 && fold(a.data[i - 1]) == fold(b.data[j - 2]) &&
                fold(a.data[i - 2]) == fold(b.data[j - 1])) {
                row[j] = least(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a.size % 3][b.size];
}

bool config_name_is_close(struct span wanted, size_t distance)
{
    return distance <= (wanted.size <= 4 ? 1 : wanted.size <= 8 ? 2 : 3);
}
