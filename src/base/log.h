/* Log lines, JSON or text, one line each. A worker never blocks on the log: lines go into a bounded
 * ring that one writer thread empties; what does not fit is dropped, counted, and said when there
 * is room again. Control and non-ASCII bytes in values are escaped, so that no value can forge a
 * line or a field. */
#ifndef POPGATE_BASE_LOG_H
#define POPGATE_BASE_LOG_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

struct log;

/* Starts the writer thread on `descriptor` (not owned). Returns owned, NULL when memory or the
 * thread fails. */
struct log *log_new(int descriptor, enum log_format format, enum log_level level,
                    size_t ring_bytes);

/* Writes out everything accepted so far, stops the thread and frees. */
void log_free(struct log *log);

/* May be changed at any time, by any thread. */
void log_set_level(struct log *log, enum log_level level);
bool log_enabled(const struct log *log, enum log_level level);
uint64_t log_dropped(const struct log *log);

/* A line under construction, on the stack of whoever logs. */
struct log_line {
    struct log *log;
    enum log_format format;
    size_t size;
    bool cut;
    char text[3072];
};

/* Begins a line: time, level, and "event". Any thread; `log` may be NULL (nothing is written then).
 */
void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event);
/* Names are literals of [a-z_]; values are escaped and cut at 512 bytes (a cut is marked with
 * "..."). */
void log_span(struct log_line *line, const char *name, struct span value);
void log_string(struct log_line *line, const char *name, const char *value);
void log_number(struct log_line *line, const char *name, int64_t value);
/* Ends the line and hands it over. */
void log_end(struct log_line *line);

/* log_begin, one "message" from a format, log_end: for start, stop and faults, not for requests. */
__attribute__((format(printf, 4, 5))) void log_message(struct log *log, enum log_level level,
                                                       const char *event, const char *format, ...);

#endif
