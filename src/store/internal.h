/* Between the process's part (store.c) and the workers' (client.c). */
#ifndef POPGATE_STORE_INTERNAL_H
#define POPGATE_STORE_INTERNAL_H

#include "store/command.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct store {
    struct store_options options; /* url points to the copy below */
    struct store_url url;
    _Atomic uint64_t reach_s, slack_s;
    _Atomic bool address_wanted;
    _Atomic uint64_t failures[STORE_STATES], memory_losses, inserts, batches;

    pthread_mutex_t lock; /* of all below; nothing waits while it is held */
    struct sockaddr_storage address;
    socklen_t address_size;       /* 0: not known yet */
    struct command_epoch epoch;   /* of the memory that the floor stands for; size 0: none yet */
    uint32_t greeted, ready;      /* clients */
    bool local;                   /* failure_local, and somebody is not greeted */
    enum store_state state, said; /* `said`: what the log said last */
};

/* What a client has reached; it gives back in store_failed what it had. */
struct store_standing {
    bool greeted, ready;
};

void store_address(struct store *store, struct sockaddr_storage *address, socklen_t *size);

/* The server's memory is `epoch`'s, begun `age_s` ago. Raises the floor if it is another one than
 * before. */
void store_adopt(struct store *store, const struct command_epoch *epoch, uint64_t age_s);

/* This client knows the memory. True: it is the last of all, and inserts were local meanwhile; now
 * they are not, and this client makes a new epoch before it is ready, for the other replicas know
 * nothing of what was accepted here. */
MUST_CHECK bool store_greeted(struct store *store, struct store_standing *standing);
void store_ready(struct store *store, struct store_standing *standing, uint64_t age_s);
void store_failed(struct store *store, struct store_standing *standing, enum store_state why,
                  const char *text);

#endif
