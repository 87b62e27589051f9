/* Who fills the cache: how many proofs of each client it holds, by a count-min sketch over the last
 * window, and how full it is. All of it estimates; they decide who is asked to come back later,
 * never whether a proof is new. */
#ifndef POPGATE_REPLAY_SHARE_H
#define POPGATE_REPLAY_SHARE_H

#include "base/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHARE_ROWS    2
#define SHARE_COLUMNS 4096

/* Above three quarters full a client is admitted while it holds at most SHARE_FACTOR times what is
 * free (the dynamic threshold of Choudhury and Hahne): one greedy client stops at three quarters, N
 * of them share 3N / (3N + 1) equally, and a newcomer always finds room. */
#define SHARE_FACTOR 3
/* But this part of the capacity is everyone's, for the table has room beyond its capacity. */
#define SHARE_LEAST_PART 256

struct share {
    uint64_t capacity;
    _Atomic uint64_t sampled_boot_s; /* when `live` was counted */
    _Atomic uint64_t live;
    _Atomic uint64_t epoch;                                             /* windows since boot */
    _Alignas(64) _Atomic uint64_t since;                                /* remembered after that */
    _Alignas(64) _Atomic uint32_t counts[2][SHARE_ROWS][SHARE_COLUMNS]; /* by epoch */
};

void share_init(struct share *share, uint64_t capacity);

/* true to one caller a second, who then counts and calls share_sampled. */
bool share_sample_is_due(struct share *share, uint64_t now_boot_s);
void share_sampled(struct share *share, uint64_t live);

/* STATUS_OK, or STATUS_DENIED: `client` (a uniform hash) is over its share. */
MUST_CHECK enum status share_admit(const struct share *share, uint64_t client, uint64_t now_boot_s,
                                   uint64_t window_s);

/* One more proof of it is remembered. */
void share_account(struct share *share, uint64_t client, uint64_t now_boot_s, uint64_t window_s);

#endif
