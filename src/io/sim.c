#include "io/internal.h"
#include <errno.h>

enum status io_sim_new_default(const struct io_options *options, struct io **io)
{
    (void)options;
    (void)io;
    errno = ENOSYS;
    return STATUS_UNSUPPORTED;
}
