#include "io/internal.h"
#include <errno.h>

enum status io_uring_new(const struct io_options *options, struct io **io)
{
    (void)options;
    (void)io;
    errno = ENOSYS;
    return STATUS_DENIED;
}
