/* What log.c and log_line.c say to each other; everyone else includes base/log.h. */
#ifndef POPGATE_BASE_LOG_LINE_H
#define POPGATE_BASE_LOG_LINE_H

#include "base/log.h"

/* A value's escaped form is at most so long. */
#define LOG_VALUE_BYTES_MAX   512
#define LOG_MESSAGE_BYTES_MAX 2048

/* Begins a line whatever the level and whichever the log: for the writer thread's own lines. */
void log_line_start(struct log_line *line, enum log_format format, enum log_level level,
                    const char *event, uint64_t wall_ns);
/* Adds the closing bytes and the newline; line->text[0 .. line->size) is then the whole line. */
void log_line_finish(struct log_line *line);

enum log_format log_format_of(const struct log *log);
/* Hands a finished line over, or counts it as dropped. */
void log_submit(struct log *log, struct span line);

#endif
