#include "base/status.h"

const char *status_name(enum status status)
{
    static const char *const names[] = {
        [STATUS_FAILED] = "failed",
        [STATUS_OK] = "ok",
        [STATUS_AGAIN] = "again",
        [STATUS_CLOSED] = "closed",
        [STATUS_EXISTS] = "exists",
        [STATUS_FULL] = "full",
        [STATUS_NOT_FOUND] = "not found",
        [STATUS_MALFORMED] = "malformed",
        [STATUS_UNSUPPORTED] = "unsupported",
        [STATUS_TOO_LARGE] = "too large",
        [STATUS_EXPIRED] = "expired",
        [STATUS_DENIED] = "denied",
        [STATUS_NO_MEMORY] = "no memory",
        [STATUS_SYSTEM] = "system error",
    };
    if ((unsigned)status >= sizeof names / sizeof names[0]) {
        return "unknown";
    }
    return names[status];
}
