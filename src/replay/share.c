#include "replay/share.h"

/* Relaxed throughout: these are counts, nothing is published with them. */
static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit((_Atomic uint64_t *)value, memory_order_relaxed);
}

static void set(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

void share_init(struct share *share, uint64_t capacity)
{
    share->capacity = capacity;
}

bool share_sample_is_due(struct share *share, uint64_t now_boot_s)
{
    uint64_t last = get(&share->sampled_boot_s);
    return now_boot_s > last &&
           atomic_compare_exchange_strong_explicit(&share->sampled_boot_s, &last, now_boot_s,
                                                   memory_order_relaxed, memory_order_relaxed);
}

void share_sampled(struct share *share, uint64_t live)
{
    set(&share->live, live);
    set(&share->since, 0);
}

static unsigned column_of(uint64_t client, unsigned row)
{
    return (unsigned)(client >> 16 * row) % SHARE_COLUMNS;
}

/* Proofs in the last window_s: all of this epoch's, and of the one before as much as still lies in
 * it. */
static uint64_t held_by(const struct share *share, uint64_t client, uint64_t now_boot_s,
                        uint64_t window_s)
{
    uint64_t epoch = now_boot_s / window_s, last = get(&share->epoch);
    uint64_t left = window_s - now_boot_s % window_s;
    uint64_t least = UINT64_MAX;
    for (unsigned row = 0; row < SHARE_ROWS; row++) {
        unsigned column = column_of(client, row);
        /* Where nobody has counted yet in this epoch, what is there is of an older one. */
        uint64_t here = last == epoch
                            ? atomic_load_explicit(
                                  (_Atomic uint32_t *)&share->counts[epoch % 2][row][column],
                                  memory_order_relaxed)
                            : 0;
        uint64_t before = last == epoch || last + 1 == epoch
                              ? atomic_load_explicit((_Atomic uint32_t *)&share
                                                         ->counts[(epoch + 1) % 2][row][column],
                                                     memory_order_relaxed)
                              : 0;
        uint64_t held = here + before * left / window_s;
        least = held < least ? held : least;
    }
    return least;
}

enum status share_admit(const struct share *share, uint64_t client, uint64_t now_boot_s,
                        uint64_t window_s)
{
    uint64_t live = get(&share->live) + get(&share->since);
    if (live < share->capacity - share->capacity / 4) {
        return STATUS_OK;
    }
    uint64_t limit = live < share->capacity ? SHARE_FACTOR * (share->capacity - live) : 0;
    uint64_t least = share->capacity / SHARE_LEAST_PART + 1;
    limit = limit > least ? limit : least;
    return held_by(share, client, now_boot_s, window_s) < limit ? STATUS_OK : STATUS_DENIED;
}

/* The first of a new epoch clears what was counted two epochs ago; a count of another thread that
 * falls between is lost, which an estimate may. */
static void begin_epoch(struct share *share, uint64_t epoch)
{
    uint64_t last = get(&share->epoch);
    if (last >= epoch ||
        !atomic_compare_exchange_strong_explicit(&share->epoch, &last, epoch, memory_order_relaxed,
                                                 memory_order_relaxed)) {
        return;
    }
    for (unsigned half = 0; half < 2; half++) {
        if (half != epoch % 2 && last + 1 == epoch) {
            continue;
        }
        for (unsigned row = 0; row < SHARE_ROWS; row++) {
            for (unsigned column = 0; column < SHARE_COLUMNS; column++) {
                atomic_store_explicit(&share->counts[half][row][column], 0, memory_order_relaxed);
            }
        }
    }
}

void share_account(struct share *share, uint64_t client, uint64_t now_boot_s, uint64_t window_s)
{
    uint64_t epoch = now_boot_s / window_s;
    begin_epoch(share, epoch);
    atomic_fetch_add_explicit(&share->since, 1, memory_order_relaxed);
    for (unsigned row = 0; row < SHARE_ROWS; row++) {
        atomic_fetch_add_explicit(&share->counts[epoch % 2][row][column_of(client, row)], 1,
                                  memory_order_relaxed);
    }
}
