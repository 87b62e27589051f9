/* redis://[[user]:password@]host[:port] and rediss://, for TLS. */
#ifndef POPGATE_STORE_URL_H
#define POPGATE_STORE_URL_H

#include "base/span.h"
#include "base/status.h"

#define STORE_HOST_BYTES_MAX   255
#define STORE_SECRET_BYTES_MAX 512
#define STORE_PORT_DEFAULT     6379

struct store_url {
    bool tls;
    char host[STORE_HOST_BYTES_MAX + 1]; /* a name or an address, without brackets */
    uint16_t port;
    char user[STORE_SECRET_BYTES_MAX + 1];     /* "": the default user */
    char password[STORE_SECRET_BYTES_MAX + 1]; /* "": no AUTH; percent-escapes are decoded */
};

/* STATUS_OK, or STATUS_MALFORMED and *reason is a static phrase: what is wrong. It never quotes
 * what it read: there is a password in it. */
MUST_CHECK enum status store_url_parse(struct span text, struct store_url *url,
                                       const char **reason);

#endif
