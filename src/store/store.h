/* The replay store that replicas share: a Redis or Valkey, spoken to over our own loop.
 *
 * `struct store` is the process's part: what is known of the server's memory, and what is said of
 * it. `struct store_client` is one worker's connection. An insert is SET key 1 NX PX ttl; all that
 * one loop turn brought go in one send, and behind them one GET of the epoch (store/command.h). No
 * insert's answer counts before that GET has said that the memory is still the one it was. How the
 * guarantee follows: store/README.md. */
#ifndef POPGATE_STORE_STORE_H
#define POPGATE_STORE_STORE_H

#include "base/log.h"
#include "io/io.h"
#include "store/url.h"
#include "tls/context.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* X(enum suffix, metric label) */
#define STORE_STATE_LIST(X)                                                                        \
    X(CONNECTING, "connecting")                                                                    \
    X(READY, "ready")                                                                              \
    X(UNREACHABLE, "unreachable") /* refused, closed, no address */                                \
    X(TIMEOUT, "timeout")         /* timeouts.redis */                                             \
    X(TLS, "tls")                 /* its certificate, or the handshake */                          \
    X(AUTH, "auth")               /* NOAUTH, WRONGPASS, NOPERM */                                  \
    X(POLICY, "policy")           /* maxmemory-policy is not noeviction */                         \
    X(REPLICA, "replica")         /* READONLY: not the master */                                   \
    X(OOM, "oom")                                                                                  \
    X(LOADING, "loading")                                                                          \
    X(REFUSED, "refused")   /* any other error it answered */                                      \
    X(PROTOCOL, "protocol") /* an answer that is none to what was asked */

enum store_state {
#define X(name, label) STORE_##name,
    STORE_STATE_LIST(X)
#undef X
        STORE_STATES
};

const char *store_state_label(enum store_state state);

/* Inserts of one worker that wait for an answer; beyond, they are refused. */
#define STORE_IN_FLIGHT_MAX 4096

struct store_options {
    const struct store_url *url; /* copied */
    uint32_t timeout_ms;         /* of a connect, and of an answer */
    uint32_t clients;            /* store_client_new is called so often */
    bool failure_local;          /* without it: while it is away nothing can be inserted */
    bool first_epoch_is_good;    /* proofs from before the memory was begun may replay once */
    uint64_t reach_s;            /* how long after its iat a proof may be accepted here */
    uint64_t slack_s; /* a key outlives its proof by so much: what replicas' clocks may differ */
    struct log *log;  /* NULL: silent */

    /* What the store finds out. Called by a worker's thread, under the store's lock. NULL: nobody
     * asks. */
    void *context;
    /* What was inserted longer than `age_s` ago may be lost: the floor rises. */
    void (*memory_lost)(void *context, uint64_t age_s);
    /* failure_local: from now on inserts are made in local memory alone, or not any more. The floor
     * rises at both. */
    void (*local)(void *context, bool begins);
    /* Another replica remembers for longer. */
    void (*reach_grew)(void *context, uint64_t reach_s);
};

struct store;

/* Returns owned; NULL when memory fails. Every client must be freed first. */
struct store *store_new(const struct store_options *options);
void store_free(struct store *store);

/* Where the server is, in place of what was known before. Any thread. */
void store_set_address(struct store *store, const struct sockaddr *address, socklen_t size);
/* True once after a client could not reach it, or had no address: the name should be looked up
 * again. Any thread. */
bool store_wants_address(struct store *store);

/* A reload that accepts proofs for longer: the replicas are told before this one inserts again. Any
 * thread. */
void store_set_window(struct store *store, uint64_t reach_s, uint64_t slack_s);

struct store_counters {
    enum store_state state; /* READY when every client is */
    bool local;
    uint64_t failures[STORE_STATES]; /* by what they were; READY and CONNECTING stay 0 */
    uint64_t memory_losses;
    uint64_t inserts, batches; /* sent */
};
/* Any thread. */
void store_read_counters(struct store *store, struct store_counters *out);

/* ---- one worker's ---- */

/* Embedded by its owner, who keeps it until `done` has run or store_cancel. */
struct store_request {
    uint8_t key[32];         /* SHA-256 of the proof's fields */
    uint64_t expires_boot_s; /* as in replay_insert */
    /* Never from within store_insert. STATUS_OK: absent until now. STATUS_EXISTS: a replay.
     * STATUS_EXPIRED: its time had passed when the answer came. STATUS_DENIED: memory was lost
     * meanwhile, and the floor has been raised: nobody can say. STATUS_SYSTEM: the server cannot be
     * asked. */
    void (*done)(struct store_request *request, enum status status);
    uint32_t slot; /* the client's */
    bool waiting;
};

struct store_client;

/* Begins to connect. `tls` is acquired; NULL: without. Returns owned, NULL when memory fails. */
struct store_client *store_client_new(struct store *store, struct io *io, struct tls_context *tls);
/* For connections from now on. */
void store_client_use_tls(struct store_client *client, struct tls_context *tls);

/* STATUS_OK: `done` will follow. STATUS_SYSTEM: the server cannot be asked now. STATUS_FULL. */
MUST_CHECK enum status store_insert(struct store_client *client, struct store_request *request);
/* `done` will not run. */
void store_cancel(struct store_client *client, struct store_request *request);
/* The turn's end: hands over what was inserted since the last one. */
void store_flush(struct store_client *client);

/* CONNECTING: no attempt has come to an end yet. */
enum store_state store_client_state(const struct store_client *client);
/* How the last failure is said; "" before there was one. Until the next turn. */
const char *store_client_failure(const struct store_client *client);

/* Ends: what waits is told STATUS_SYSTEM; a later io_turn finishes. */
void store_client_close(struct store_client *client);
bool store_client_is_closed(const struct store_client *client);
/* NULL is allowed. Must be closed. */
void store_client_free(struct store_client *client);

#endif
