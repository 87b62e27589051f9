/* One host name into one address, by c-ares: /etc/hosts and the name servers of /etc/resolv.conf,
 * read anew for each lookup. No thread: what has arrived is taken when somebody asks. Of several
 * addresses the first of IPv4: "localhost" is ::1 and 127.0.0.1, and servers mostly listen on the
 * latter. One thread at a time. */
#ifndef POPGATE_APP_NAME_LOOKUP_H
#define POPGATE_APP_NAME_LOOKUP_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* A name server is asked again after a second, and once more after two: names that nobody answers
 * for are given up after some seconds, times the servers there are. */
#define NAME_LOOKUP_FIRST_ANSWER_MS 1000
#define NAME_LOOKUP_TRIES           3

struct name_address {
    struct sockaddr_storage address;
    socklen_t size;
};

struct name_lookup;

/* Whether `host` is an address as inet_pton reads it, which nobody needs to be asked for. */
bool name_is_address(const char *host);

/* Begins. `host`: a name, or an address; copied. `servers`: name servers as
 * "address:port, ..." instead of the system's, or NULL. NULL when memory or descriptors fail. */
struct name_lookup *name_lookup_new(const char *host, uint16_t port, const char *servers);
/* Ends it, wherever it is. NULL is allowed. */
void name_lookup_free(struct name_lookup *lookup);

/* What there is by now: STATUS_AGAIN, STATUS_NOT_FOUND (or nobody answered), or STATUS_OK, which
 * writes *out. */
MUST_CHECK enum status name_lookup_poll(struct name_lookup *lookup, struct name_address *out);
/* The same when it has come to its end: waits, for a start. Never STATUS_AGAIN. */
MUST_CHECK enum status name_lookup_wait(struct name_lookup *lookup, struct name_address *out);

#endif
