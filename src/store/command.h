/* The commands we send, as RESP arrays of bulk strings, and what we look for in their answers.
 *
 * A key is COMMAND_KEY_PREFIX and the 32 bytes of the proof's SHA-256; its value is "1". The epoch
 * lives under COMMAND_EPOCH_KEY: run_id '/' 32 hex digits at random '/' seconds of reach. While it
 * stands unchanged, every key that was set since it was made is still there; and each key of this
 * version's was set to live for that reach after the proof's iat. */
#ifndef POPGATE_STORE_COMMAND_H
#define POPGATE_STORE_COMMAND_H

#include "base/buffer.h"
#include "base/span.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_KEY_PREFIX  "pg1:"
#define COMMAND_KEY_BYTES   32
#define COMMAND_EPOCH_KEY   "pg1:epoch"
#define COMMAND_RUN_ID_SIZE 40
/* The epoch does not end by itself before the pods do: ten years. Its age is what is missing. */
#define COMMAND_EPOCH_LIFE_MS INT64_C(315360000000)

struct command_epoch {
    char text[96]; /* no NUL within `size` */
    size_t size;
    uint64_t reach_s;
};

/* Each appends one command: STATUS_OK, or STATUS_FULL and nothing was appended. */
MUST_CHECK enum status command_auth(struct buffer *out, const char *user, const char *password);
MUST_CHECK enum status command_info(struct buffer *out, const char *section);
/* SET key 1 NX PX ttl_ms */
MUST_CHECK enum status command_insert(struct buffer *out, const uint8_t key[COMMAND_KEY_BYTES],
                                      uint64_t ttl_ms);
MUST_CHECK enum status command_set_epoch(struct buffer *out, const struct command_epoch *epoch,
                                         bool only_if_absent);
MUST_CHECK enum status command_get_epoch(struct buffer *out);
MUST_CHECK enum status command_epoch_ttl(struct buffer *out);

/* A new one, for a server. STATUS_SYSTEM: no randomness. */
MUST_CHECK enum status command_epoch_make(struct span run_id, uint64_t reach_s,
                                          struct command_epoch *epoch);
/* STATUS_OK, or STATUS_MALFORMED: somebody else's. */
MUST_CHECK enum status command_epoch_read(struct span text, struct command_epoch *epoch);
/* Whether the server with this run_id made it. */
bool command_epoch_is_of(const struct command_epoch *epoch, struct span run_id);
static inline bool command_epoch_equal(const struct command_epoch *a, const struct command_epoch *b)
{
    return span_equal(span_make(a->text, a->size), span_make(b->text, b->size));
}

/* The value of "name:value\r\n" in a part of INFO; empty if there is none. */
struct span command_info_field(struct span info, const char *name);

#endif
