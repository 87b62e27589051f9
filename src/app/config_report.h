/* Errors with positions, collected while a configuration is read and put into file order at the
 * end. */
#ifndef POPGATE_APP_CONFIG_REPORT_H
#define POPGATE_APP_CONFIG_REPORT_H

#include "app/config.h"

struct config_report {
    const char *name; /* of the file */
    struct config_errors *errors;
    struct config_position positions[CONFIG_ERRORS_MAX];
    bool overflow;
};

/* Empties `errors`. */
void config_report_init(struct config_report *report, const char *name,
                        struct config_errors *errors);

/* Adds "name:line:column: ..."; beyond CONFIG_ERRORS_MAX only the fact is kept. */
__attribute__((format(printf, 3, 4))) void config_report_add(struct config_report *report,
                                                             struct config_position position,
                                                             const char *format, ...);

/* No more errors would be kept: reading may stop. */
bool config_report_is_full(const struct config_report *report);

/* Puts the errors into file order. */
void config_report_finish(struct config_report *report);

/* A value as it is shown in a message: in double quotes, cut, control characters as '?'. */
struct config_quote {
    char text[80];
};
struct config_quote config_quote(struct span value);

/* How far apart two names are, in letters inserted, left out, changed or swapped with their
 * neighbour; case, and '-' for '_', count for nothing. Names over 32 bytes are as far apart as can
 * be. */
size_t config_name_distance(struct span a, struct span b);
/* True if `distance` is near enough for `wanted` to be what was meant. */
bool config_name_is_close(struct span wanted, size_t distance);

#endif
