/* The insides of struct store_client, for client.c (connection, sending, time) and conversation.c
 * (what is asked, and what is made of the answers). */
#ifndef POPGATE_STORE_CLIENT_H
#define POPGATE_STORE_CLIENT_H

#include "base/buffer.h"
#include "store/internal.h"
#include "store/resp.h"
#include "tls/connection.h"

/* Answers that are awaited: inserts, a seal for each batch of them, and a few words more. A power
 * of two. */
#define CLIENT_SLOTS (4 * STORE_IN_FLIGHT_MAX)

/* What was asked, in order. */
enum client_step {
    CLIENT_NOTHING = 0,
    CLIENT_INSERT,
    CLIENT_SEAL, /* GET epoch behind a batch */
    CLIENT_AUTH,
    CLIENT_INFO_SERVER,
    CLIENT_INFO_MEMORY,
    CLIENT_INFO_REPLICATION,
    CLIENT_CLAIM, /* SET epoch, with or without NX */
    CLIENT_EPOCH, /* GET epoch */
    CLIENT_AGE,   /* PTTL epoch */
};

struct client_slot {
    struct store_request *request; /* NULL: cancelled, or no insert */
    uint32_t asked_ms;             /* boot clock, wraps */
    uint8_t step;
    uint8_t result; /* enum status of an insert that was answered */
};

enum client_phase {
    CLIENT_WAITING, /* for the next attempt */
    CLIENT_CONNECTING,
    CLIENT_SHAKING, /* TLS */
    CLIENT_GREETING,
    CLIENT_READY,
    CLIENT_CLOSING,
    CLIENT_ENDED,
};

struct store_client {
    struct io_socket socket; /* first: its callbacks get back to us by it */
    struct store *store;
    struct io *io;
    struct tls_context *tls_context;
    struct tls_connection *tls;
    struct resp_reader *reader;
    struct chunk_pool chunks;
    struct buffer plain;  /* commands */
    struct buffer sealed; /* with TLS: ciphertext */
    size_t sending;       /* bytes handed to io */
    struct io_timer retry, deadline, look;
    enum client_phase phase;
    enum store_state state;
    struct store_standing standing;
    bool leaving;
    uint32_t attempts;
    uint64_t random_state;

    /* Slots: [head, next) are answered and not settled, [next, tail) not answered. */
    uint32_t head, next, tail;
    uint32_t in_flight; /* inserts in [head, tail) */
    bool unsealed;      /* inserts have been asked and no seal yet */

    char run_id[COMMAND_RUN_ID_SIZE + 1];
    struct command_epoch epoch; /* what seals must say */
    struct command_epoch found; /* what the last CLIENT_EPOCH said */
    bool found_good;
    uint64_t age_s; /* of the epoch, when it was found */
    bool resealing; /* the memory has changed: nothing is settled until the new epoch is known */
    uint32_t claims;

    char failure[256];
    struct client_slot slots[CLIENT_SLOTS];
    uint8_t scratch[16384];
};

/* ---- client.c ---- */
/* Closes, tells everyone who waits, and tries again later. */
__attribute__((format(printf, 3, 4))) void
client_fail(struct store_client *client, enum store_state why, const char *format, ...);
/* Hands over what waits to be sent. */
void client_send(struct store_client *client);
/* The next slot, for a command that has just been appended. */
struct client_slot *client_push(struct store_client *client, enum client_step step);
/* Settles slots up to `end`: inserts are told what they were answered, or `all` if that is not
 * STATUS_OK. */
void client_settle(struct store_client *client, uint32_t end, enum status all);

/* ---- conversation.c ---- */
/* The connection stands. */
void conversation_begin(struct store_client *client);
/* Once in a while, when ready: is it still what it was? */
void conversation_look(struct store_client *client);
/* Behind a batch. */
void conversation_seal(struct store_client *client);
/* `answer` is to slot `next - 1`. */
void conversation_answer(struct store_client *client, struct client_slot *slot,
                         const struct resp_answer *answer);

#endif
