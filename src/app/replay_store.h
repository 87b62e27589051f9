/* replay.redis in the process: the store and what it means for the floor, its server's address, and
 * a look at it before the start. */
#ifndef POPGATE_APP_REPLAY_STORE_H
#define POPGATE_APP_REPLAY_STORE_H

#include "app/generation.h"
#include "store/store.h"

struct replay_store;

/* STATUS_OK sets *out (owned). Refused, with a sentence in `error`, if the server is there and will
 * never do: its maxmemory-policy, our password, its certificate. One that is away may come. */
MUST_CHECK enum status replay_store_new(const struct generation *generation, uint32_t workers,
                                        struct log *log, struct auth_shared *shared,
                                        struct replay_store **out, char *error, size_t error_size);
/* After the workers have ended. NULL is allowed, here and below. */
void replay_store_free(struct replay_store *store);
/* NULL for NULL. */
struct store *replay_store_of(const struct replay_store *store);

/* Now and then, by the main thread: looks its name up again if it cannot be reached. */
void replay_store_look(struct replay_store *store);
/* A reload, before its workers switch. */
void replay_store_configure(struct replay_store *store, const struct generation *next);

#endif
