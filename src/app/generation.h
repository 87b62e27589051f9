/* Everything one configuration stands for, loaded and checked: certificates, CAs, JWKS files, and
 * the settings that auth and the proxy run by. `run` and `validate` load the same, so that what
 * validates also starts. Immutable once loaded; a reload loads another one, and the old one is
 * freed when no worker uses it any more. */
#ifndef POPGATE_APP_GENERATION_H
#define POPGATE_APP_GENERATION_H

#include "app/config.h"
#include "auth/gate.h"
#include "control/file_watch.h"
#include "proxy/settings.h"
#include "tls/context.h"

struct generation {
    uint64_t number;          /* from 1 */
    struct file_watch *files; /* that were read, as they were before */
    struct config *config;
    struct tls_context *tls;
    struct tls_context *redis_tls; /* NULL: replay.redis is not rediss:// */
    struct auth_settings auth;
    struct proxy_settings proxy;

    struct jwks **jwks; /* one an issuer */
    struct auth_issuer *issuers;
    uint8_t nonce_key[32]; /* with dpop.nonce_scope: shared */
    struct span *origins;  /* when they come from the certificate */
    char *origins_text;
};

/* STATUS_OK sets *generation (owned); otherwise `errors` says what is wrong and where.
 * `ticket_keys` is borrowed and outlives the generation. */
MUST_CHECK enum status generation_load(const char *config_path, uint64_t number,
                                       struct tls_ticket_keys *ticket_keys,
                                       struct generation **generation,
                                       struct config_errors *errors);

/* The same configuration, whatever its file has become; the files that it names are read anew. */
MUST_CHECK enum status generation_load_files(const struct generation *before, uint64_t number,
                                             struct tls_ticket_keys *ticket_keys,
                                             struct generation **generation,
                                             struct config_errors *errors);

/* What would keep a first start from happening though everything loads: the demo authority's CA on
 * an address that is not loopback (unless allowed), a user that is not there. */
MUST_CHECK enum status generation_check_start(const struct generation *generation, bool allow_demo,
                                              struct config_errors *errors);
void generation_free(struct generation *generation);

#endif
