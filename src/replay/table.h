/* The slots and the protocol on them. Nothing here knows where the memory comes from. */
#ifndef POPGATE_REPLAY_TABLE_H
#define POPGATE_REPLAY_TABLE_H

#include "replay/slot.h"

/* Two cache lines: the pair that the hardware fetches together. */
#define TABLE_BUCKET_SLOTS 8
#define TABLE_BUCKET_BYTES (TABLE_BUCKET_SLOTS * sizeof(struct slot))
#define TABLE_BUCKETS_MAX  (UINT64_C(1) << 32)

/* Lost races for a free slot after which an insert answers STATUS_FULL rather than go on. */
#define TABLE_ATTEMPTS_MAX 64

struct table {
    struct slot *slots; /* aligned to TABLE_BUCKET_BYTES */
    uint64_t buckets;   /* at least 2 */
};

/* Buckets for `capacity` proofs: two thirds full at capacity, so 24 bytes a proof, at least 16
 * buckets. At that load a proof that finds both of its buckets full is rarer than one in 10^9. */
uint64_t table_buckets_for(uint64_t capacity);

void table_prefetch(const struct table *table, struct replay_key key);

/* STATUS_OK, STATUS_EXISTS, STATUS_FULL; STATUS_EXPIRED if its place was found expired, and taken,
 * while this thread was stopped. The caller has checked the times and, on STATUS_OK, checks the
 * clock again. */
MUST_CHECK enum status table_insert(const struct table *table, struct replay_key key,
                                    uint64_t now_boot_s, uint64_t expires_boot_s);

/* Live slots; above `buckets_max` buckets an estimate from that many, evenly spaced. */
uint64_t table_count_live(const struct table *table, uint64_t now_boot_s, uint64_t buckets_max);

#endif
