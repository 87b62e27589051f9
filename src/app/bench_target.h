/* Where the load generator's requests go: a URL taken apart, its address looked up. */
#ifndef POPGATE_APP_BENCH_TARGET_H
#define POPGATE_APP_BENCH_TARGET_H

#include "base/status.h"

#include <sys/socket.h>

#define BENCH_URL_BYTES_MAX 2048

struct bench_target {
    char host[256];                 /* without brackets: what the certificate must carry */
    char authority[264];            /* for Host */
    char path[BENCH_URL_BYTES_MAX]; /* with its query: the request target */
    char url[BENCH_URL_BYTES_MAX];  /* htu: normalised, without the query */
    char origin[280];
    struct sockaddr_storage address;
    socklen_t address_size;
};

/* `connect` ("ADDRESS:PORT") says where to connect instead; NULL: to the URL's host and port.
 * Otherwise `error` gets a sentence. */
MUST_CHECK enum status bench_target_read(const char *url, const char *connect,
                                         struct bench_target *target, char *error,
                                         size_t error_size);

#endif
