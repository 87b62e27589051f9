/* A hierarchical timer wheel: 1 ms grain, set, move and cancel in O(1), never early. Six levels of
 * 64 slots; a timer sits at the level of the highest group of six bits in which its time differs
 * from the wheel's, so that the lowest occupied level always holds the earliest timer, and each
 * timer is moved at most once a level. One thread.
 *
 * A timer that is set to later stays where it is, and so does one that rests: the wheel moves it,
 * or lets it go, when it comes by. What every request sets and calls off again is then a store,
 * where taking it out of its list would touch its neighbours: two other connections' memory. */
#ifndef POPGATE_IO_TIMER_WHEEL_H
#define POPGATE_IO_TIMER_WHEEL_H

#include "io/io.h"

#define TIMER_WHEEL_LEVELS 6
#define TIMER_WHEEL_SLOTS  64
#define TIMER_WHEEL_NEVER  UINT64_MAX

struct timer_wheel {
    uint64_t elapsed_ms;
    uint64_t occupied[TIMER_WHEEL_LEVELS];                        /* one bit a slot */
    struct io_timer slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS]; /* heads of circular lists */
    struct io_timer due; /* head of what is due and has not been taken */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Sets or moves. A time not after the wheel's own makes the timer due at once. */
void timer_wheel_set(struct timer_wheel *wheel, struct io_timer *timer, uint64_t due_ms);

/* It does not run, but may stay on its list: before its memory goes it must be cancelled. */
void timer_wheel_rest(struct io_timer *timer);

/* Also for a timer that is due already; nothing happens to one that is not set. */
void timer_wheel_cancel(struct timer_wheel *wheel, struct io_timer *timer);

/* When timer_wheel_advance has next something to do: never after the earliest timer, at times
 * before it (a level is to be redistributed, or a timer rests or was set to later).
 * TIMER_WHEEL_NEVER: no timer is set. */
uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel);

/* Moves on to now_ms and makes due what is due, in the order of time. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/* Runs what is due. A timer is no longer set when it runs; what a timer sets for now runs the next
 * time. */
void timer_wheel_fire(struct timer_wheel *wheel);

#endif
