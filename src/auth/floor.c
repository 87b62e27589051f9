/* The floor below which proofs are challenged: what raises it, and the wall clock that must not go
 * back unseen (DESIGN.md, Time). */
#include "auth/nonce.h"
#include "auth/worker.h"

#include <stdatomic.h>

#define SECOND_NS INT64_C(1000000000)

uint64_t auth_replay_window_s(const struct auth_settings *settings)
{
    return (uint64_t)(settings->max_age_s + 2 * settings->clock_skew_s + 3);
}

uint64_t auth_replay_reach_s(const struct auth_settings *settings)
{
    return (uint64_t)(settings->max_age_s + settings->clock_skew_s);
}

void auth_raise_floor(struct auth_shared *shared, int64_t floor_s)
{
    /* Kept first: a process killed in between leaves it to the next one. */
    if (shared->replay != NULL) {
        replay_keep_floor(shared->replay, floor_s);
    }
    /* Then a new salt, then the floor (release, paired with the acquire in proof.c): who sees the
     * floor sees the salt, and so takes no nonce from before. Also when the floor is higher
     * already: what was minted since the last raise belongs to the memory that has now been lost.
     */
    if (shared->nonces != NULL) {
        nonce_issuer_rotate(shared->nonces);
    }
    int64_t old = atomic_load_explicit(&shared->floor_s, memory_order_relaxed);
    while (old < floor_s &&
           !atomic_compare_exchange_weak_explicit(&shared->floor_s, &old, floor_s,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    /* Last, release: who sees the count sees the floor. */
    atomic_fetch_add_explicit(&shared->floor_raises, 1, memory_order_release);
}

void auth_set_local(struct auth_shared *shared, bool local, int64_t floor_s)
{
    if (!local) {
        /* Before the count, as the floor: a check that began before and ends after is void. */
        atomic_store_explicit(&shared->local, false, memory_order_release);
        auth_raise_floor(shared, floor_s);
        return;
    }
    /* The salt first: who sees `local` takes no nonce of before, with which the proof may have
     * passed at another replica. And counted once more, for who saw the first count alone. */
    auth_raise_floor(shared, floor_s);
    atomic_store_explicit(&shared->local, true, memory_order_release);
    atomic_fetch_add_explicit(&shared->floor_raises, 1, memory_order_release);
}

void auth_raise_floor_to_now(struct auth_shared *shared, int64_t wall_s)
{
    auth_raise_floor(shared, wall_s + (int64_t)replay_ahead_s(shared->replay) + 1);
}

void auth_take_over(struct auth_shared *shared)
{
    atomic_store_explicit(&shared->floor_s, replay_kept_floor_s(shared->replay),
                          memory_order_relaxed);
    atomic_store_explicit(&shared->clock_offset_ns, replay_kept_clock_offset_ns(shared->replay),
                          memory_order_relaxed);
}

/* A wall clock set back would make used proofs acceptable again whose entries have expired on the
 * boot clock: their iat is below the highest time it ever showed, and so far ahead of it as anyone
 * of this memory allowed, so the floor goes there. Wall minus boot moves only by such steps (both
 * are slewed alike); staleness of `now` does not matter to it. Two workers may both raise: that is
 * only a second rotation. Another process of the same memory may have seen the clock higher, or
 * back already; what it has accepted must not pass here. */
void auth_watch_clock(struct auth_shared *shared, const struct clock_now *now)
{
    int64_t kept_floor_s = replay_kept_floor_s(shared->replay);
    if (kept_floor_s > atomic_load_explicit(&shared->floor_s, memory_order_relaxed)) {
        auth_raise_floor(shared, kept_floor_s);
    }
    int64_t offset = (int64_t)(now->wall_ns - now->boot_ns);
    int64_t own = atomic_load_explicit(&shared->clock_offset_ns, memory_order_relaxed);
    int64_t kept = replay_kept_clock_offset_ns(shared->replay);
    int64_t highest = kept > own ? kept : own;
    if (offset == highest && offset == own) {
        return;
    }
    if (highest != 0 && highest - offset > AUTH_CLOCK_STEP_NS) {
        int64_t highest_wall_s = (highest + (int64_t)now->boot_ns) / SECOND_NS;
        auth_raise_floor_to_now(shared, highest_wall_s);
    } else if (highest != 0 && offset < highest) {
        return;
    }
    if (atomic_compare_exchange_strong_explicit(&shared->clock_offset_ns, &own, offset,
                                                memory_order_relaxed, memory_order_relaxed)) {
        replay_keep_clock_offset(shared->replay, offset);
    }
}
