#include "auth/deny.h"

#include <stdarg.h>
#include <stdio.h>

enum status auth_deny(struct auth_check *check, enum auth_denial denial, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    /* A detail that does not fit is cut: it is for people. */
    (void)vsnprintf(check->detail, sizeof(check->detail), format, arguments);
    va_end(arguments);
    check->denial = denial;
    return STATUS_DENIED;
}
