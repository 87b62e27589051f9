#include "app/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status read_all(int descriptor, const char *path, size_t size_max, char **text,
                            size_t *size, char *error, size_t error_size)
{
    char *bytes = malloc(size_max + 1);
    if (bytes == NULL) {
        snprintf(error, error_size, "%s: out of memory", path);
        return STATUS_NO_MEMORY;
    }
    size_t got = 0;
    while (got <= size_max) {
        ssize_t count = read(descriptor, bytes + got, size_max + 1 - got);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            snprintf(error, error_size, "%s: %m", path);
            free(bytes);
            return STATUS_SYSTEM;
        }
        if (count == 0) {
            *text = bytes;
            *size = got;
            return STATUS_OK;
        }
        got += (size_t)count;
    }
    snprintf(error, error_size, "%s: is larger than %zu bytes", path, size_max);
    free(bytes);
    return STATUS_TOO_LARGE;
}

enum status file_read(const char *path, size_t size_max, char **text, size_t *size, char *error,
                      size_t error_size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        snprintf(error, error_size, "%s: %m", path);
        return STATUS_SYSTEM;
    }
    struct stat about;
    enum status status = STATUS_UNSUPPORTED;
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        snprintf(error, error_size, "%s: is not a regular file", path);
    } else {
        status = read_all(descriptor, path, size_max, text, size, error, error_size);
    }
    close(descriptor);
    return status;
}
