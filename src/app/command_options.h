/* A command line as a table: --name VALUE, --name=VALUE, -n VALUE, flags, and what stands alone. No
 * globals. */
#ifndef POPGATE_APP_COMMAND_OPTIONS_H
#define POPGATE_APP_COMMAND_OPTIONS_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>
#include <stdio.h>

struct command_option {
    const char *name;       /* without the dashes, one letter has one; NULL ends the table */
    const char *value_name; /* as the help shows it; NULL: a flag */
    const char *help;
    const char **values; /* where to put the values; NULL for a flag */
    size_t values_max;   /* how often it may come */
    size_t *count;       /* how often it came; may be NULL when values_max is 1 */
    bool *flag;
};

struct command_line {
    const char *command;  /* "proof" */
    const char *synopsis; /* what follows the command in the usage line */
    const char *purpose;  /* one or more lines */
    const char *examples; /* lines; may be NULL */
    const struct command_option *options;
    const char **positional; /* NULL: none is allowed */
    size_t positional_max;
};

#define COMMAND_ALLOW_DEMO_HELP "accept the demo authority's CA on addresses other than loopback"

enum command_parse { COMMAND_PARSE_BAD = 0, COMMAND_PARSE_GO, COMMAND_PARSE_HELP };

/* COMMAND_PARSE_BAD has told standard error what is wrong (exit 2); COMMAND_PARSE_HELP has printed
 * the help (exit 0). */
MUST_CHECK enum command_parse command_parse(const struct command_line *line, int argc, char **argv);

/* "popgate COMMAND: ..." on standard error. */
__attribute__((format(printf, 2, 3))) void command_error(const struct command_line *line,
                                                         const char *format, ...);

/* "90s", "5m", "-1h", "2d" in seconds; a bare number other than 0 has no unit and is refused. */
MUST_CHECK enum status command_seconds(const char *text, int64_t *seconds);

#endif
