/* Whole small files. */
#ifndef POPGATE_APP_FILE_H
#define POPGATE_APP_FILE_H

#include "base/status.h"

#include <stddef.h>

/* Reads `path`, at most `size_max` bytes of a regular file (or what a symbolic link leads to).
 * STATUS_OK sets *text (owned, free(3)) and *size; otherwise `error` gets a sentence that names the
 * file. */
MUST_CHECK enum status file_read(const char *path, size_t size_max, char **text, size_t *size,
                                 char *error, size_t error_size);

#endif
