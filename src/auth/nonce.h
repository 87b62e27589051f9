/* DPoP nonces (RFC 9449 sections 8 and 9): stateless, authenticated, time-boxed. No table: a nonce
 * carries the second it was minted in and the salt of the memory it was minted for, under
 * HMAC-SHA-256.
 *
 * The salt is what makes "minted after the floor was raised" exact, whatever the wall clock does:
 * raising the floor draws a new one, so a nonce with the present salt was minted after the raise.
 */
#ifndef POPGATE_AUTH_NONCE_H
#define POPGATE_AUTH_NONCE_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

#define NONCE_KEY_BYTES  32
#define NONCE_TEXT_BYTES 43   /* base64url of salt (8) || minted (8) || MAC (16): all NQCHAR */
#define NONCE_LIFE_S     300  /* a nonce is good for so long */
#define NONCE_AGEING_S   200  /* older than this the next answer brings a fresh one */
#define NONCE_AHEAD_S    5    /* how far ahead a replica's clock may be */
#define NONCE_KEY_LIFE_S 3600 /* a random key is replaced after so long */

enum nonce_scope {
    NONCE_INSTANCE, /* only nonces of this process since the last rotation */
    NONCE_SHARED,   /* those of every replica that has the same key too, except below the floor */
};

enum nonce_purpose {
    NONCE_ORDINARY,    /* dpop.nonce: required */
    NONCE_BELOW_FLOOR, /* must be minted by this process after the floor was raised */
};

struct nonce_issuer;

/* `key`: NONCE_KEY_BYTES bytes common to the replicas, or NULL for a random one. Returns owned;
 * NULL when memory or the kernel's randomness fails. All functions below: any thread. */
struct nonce_issuer *nonce_issuer_new(const uint8_t *key, enum nonce_scope scope);
void nonce_issuer_free(struct nonce_issuer *issuer);

/* A new key for NONCE_SHARED; what was minted under the one before stays good for its life. The
 * same key again changes nothing. One thread at a time. */
void nonce_issuer_use_key(struct nonce_issuer *issuer, const uint8_t key[NONCE_KEY_BYTES],
                          int64_t now_s);

/* From here on this process mints under a new salt, and what it minted before is not its own any
 * more. */
void nonce_issuer_rotate(struct nonce_issuer *issuer);

/* A random key is replaced here once it is NONCE_KEY_LIFE_S old.
 * Writes NONCE_TEXT_BYTES characters, no NUL; returns that, or 0 when `size` is less. */
size_t nonce_mint(struct nonce_issuer *issuer, int64_t now_s, char *out, size_t size);

/* STATUS_OK sets *age_s; STATUS_MALFORMED (not a nonce of ours: forged, cut, foreign),
 * STATUS_EXPIRED, STATUS_DENIED (genuine, but not for this purpose). The MAC is compared in
 * constant time. */
MUST_CHECK enum status nonce_check(struct nonce_issuer *issuer, struct span nonce, int64_t now_s,
                                   enum nonce_purpose purpose, int64_t *age_s);

#endif
