#include "harness.h"
#include "io/timer_wheel.h"

#include <stdlib.h>

struct entry {
    struct io_timer timer;
    struct timer_wheel *wheel;
    uint64_t wanted_ms, fired_ms;
    unsigned fired;
    struct entry *other; /* cancelled, moved or set when this one fires */
    int action;
};

static void fired(struct io_timer *timer)
{
    struct entry *entry = (struct entry *)timer;
    entry->fired++;
    entry->fired_ms = entry->wheel->elapsed_ms;
    cr_assert_not(io_timer_is_set(timer));
    cr_assert_geq(entry->fired_ms, entry->wanted_ms, "early");
    if (entry->action == 'c') {
        timer_wheel_cancel(entry->wheel, &entry->other->timer);
    } else if (entry->action == 'r') {
        timer_wheel_rest(&entry->other->timer);
    } else if (entry->action == 's') {
        timer_wheel_set(entry->wheel, &entry->other->timer, entry->wheel->elapsed_ms);
    } else if (entry->action == 'm') {
        timer_wheel_set(entry->wheel, &entry->other->timer, entry->wheel->elapsed_ms + 10);
    }
}

static void arm(struct timer_wheel *wheel, struct entry *entry, uint64_t due_ms)
{
    entry->wheel = wheel;
    entry->timer.fired = fired;
    entry->wanted_ms = due_ms;
    timer_wheel_set(wheel, &entry->timer, due_ms);
}

static void go(struct timer_wheel *wheel, uint64_t now_ms)
{
    timer_wheel_advance(wheel, now_ms);
    timer_wheel_fire(wheel);
}

Test(timer_wheel, fires_exactly_at_every_distance)
{
    static const uint64_t starts[] = {
        0,          1,           63, 64, 4095, 123456789, (1ull << 36) - 5, (1ull << 30) - 1,
        1ull << 36, 987654321987};
    for (size_t s = 0; s < sizeof starts / sizeof starts[0]; s++) {
        for (unsigned bit = 0; bit < 40; bit++) {
            for (int delta = -1; delta <= 1; delta++) {
                struct timer_wheel wheel;
                timer_wheel_init(&wheel, starts[s]);
                struct entry entry = {0};
                uint64_t due = starts[s] + (1ull << bit) + (uint64_t)delta;
                if (due <= starts[s]) {
                    continue;
                }
                arm(&wheel, &entry, due);
                uint64_t last = starts[s];
                while (entry.fired == 0) {
                    uint64_t next = timer_wheel_next_ms(&wheel);
                    cr_assert_neq(next, TIMER_WHEEL_NEVER);
                    cr_assert_leq(next, due, "a wait past the timer");
                    cr_assert_geq(next, last);
                    last = next;
                    go(&wheel, next);
                }
                cr_assert_eq(entry.fired_ms, due);
                cr_assert_eq(timer_wheel_next_ms(&wheel), TIMER_WHEEL_NEVER);
            }
        }
    }
}

Test(timer_wheel, one_leap_fires_all_in_order)
{
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 1000);
    struct entry entries[6] = {0};
    static const uint64_t due[] = {70000, 1001, 1100, 900000, 5000, 1002};
    for (size_t i = 0; i < 6; i++) {
        arm(&wheel, &entries[i], due[i]);
    }
    timer_wheel_advance(&wheel, 1000000);
    uint64_t last = 0;
    unsigned count = 0;
    for (struct io_timer *t = wheel.due.next; t != &wheel.due; t = t->next, count++) {
        cr_assert_geq(t->due_ms, last);
        last = t->due_ms;
    }
    cr_assert_eq(count, 6);
    timer_wheel_fire(&wheel);
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(entries[i].fired, 1);
    }
}

Test(timer_wheel, time_that_stands_still_or_goes_back_fires_nothing_twice)
{
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 1000);
    struct entry entry = {0};
    arm(&wheel, &entry, 1005);
    go(&wheel, 1004);
    go(&wheel, 1004);
    go(&wheel, 900);
    cr_assert_eq(entry.fired, 0);
    cr_assert_eq(wheel.elapsed_ms, 1004);
    go(&wheel, 1005);
    go(&wheel, 1005);
    cr_assert_eq(entry.fired, 1);
}

Test(timer_wheel, cancelling_empties_slots_and_what_is_due)
{
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct entry a = {0}, b = {0};
    timer_wheel_cancel(&wheel, &a.timer); /* never set: nothing happens */
    arm(&wheel, &a, 5000);
    arm(&wheel, &b, 5000);
    timer_wheel_cancel(&wheel, &a.timer);
    cr_assert_not(io_timer_is_set(&a.timer));
    cr_assert_neq(timer_wheel_next_ms(&wheel), TIMER_WHEEL_NEVER);
    timer_wheel_cancel(&wheel, &b.timer);
    cr_assert_eq(timer_wheel_next_ms(&wheel), TIMER_WHEEL_NEVER);
    arm(&wheel, &a, 3);
    timer_wheel_advance(&wheel, 10);
    cr_assert_eq(timer_wheel_next_ms(&wheel), wheel.elapsed_ms); /* due now */
    timer_wheel_cancel(&wheel, &a.timer);
    cr_assert_eq(timer_wheel_next_ms(&wheel), TIMER_WHEEL_NEVER);
    timer_wheel_fire(&wheel);
    cr_assert_eq(a.fired, 0);
}

/* What was set to later, however often, fires once and then; what was set to earlier, before. */
Test(timer_wheel, a_timer_that_is_put_off_fires_at_its_last_time)
{
    static const uint64_t distances[] = {2, 63, 64, 5000, 60000, 1ull << 25};
    for (size_t d = 0; d < sizeof distances / sizeof distances[0]; d++) {
        struct timer_wheel wheel;
        timer_wheel_init(&wheel, 1000);
        struct entry a = {0};
        for (uint64_t step = 0; step < 100; step++) {
            go(&wheel, 1000 + step * distances[d] / 2);
            cr_assert_eq(a.fired, 0);
            arm(&wheel, &a, wheel.elapsed_ms + distances[d]);
        }
        uint64_t due = a.wanted_ms;
        go(&wheel, due - 1);
        cr_assert_eq(a.fired, 0);
        go(&wheel, due);
        cr_assert_eq(a.fired, 1);
        cr_assert_eq(timer_wheel_next_ms(&wheel), TIMER_WHEEL_NEVER);
        arm(&wheel, &a, due + 2 * distances[d] + 1);
        arm(&wheel, &a, due + 1);
        go(&wheel, due + 1);
        cr_assert_eq(a.fired, 2);
    }
}

Test(timer_wheel, one_that_rests_is_not_set_and_is_let_go_when_the_wheel_comes_by)
{
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct entry a = {0}, b = {0};
    timer_wheel_rest(&a.timer); /* never set */
    cr_assert_not(io_timer_is_set(&a.timer));
    arm(&wheel, &a, 5000);
    arm(&wheel, &b, 5000);
    timer_wheel_rest(&a.timer);
    cr_assert_not(io_timer_is_set(&a.timer));
    go(&wheel, 5000);
    cr_assert_eq(a.fired, 0);
    cr_assert_eq(b.fired, 1);
    cr_assert_null(a.timer.next);
    cr_assert_eq(timer_wheel_next_ms(&wheel), TIMER_WHEEL_NEVER);
    /* Set again while it rests, to earlier and to later. */
    for (uint64_t wait = 1000; wait <= 9000; wait += 8000) {
        uint64_t now = wheel.elapsed_ms;
        unsigned before = a.fired;
        arm(&wheel, &a, now + 5000);
        timer_wheel_rest(&a.timer);
        arm(&wheel, &a, now + wait);
        cr_assert(io_timer_is_set(&a.timer));
        go(&wheel, now + wait - 1);
        cr_assert_eq(a.fired, before);
        go(&wheel, now + wait);
        cr_assert_eq(a.fired, before + 1);
    }
    /* Due already, and one that fires before lets it rest. */
    uint64_t now = wheel.elapsed_ms;
    b.action = 'r', b.other = &a;
    arm(&wheel, &b, now + 5);
    arm(&wheel, &a, now + 5);
    unsigned before = a.fired;
    go(&wheel, now + 5);
    cr_assert_eq(a.fired, before);
    cr_assert_null(a.timer.next);
}

Test(timer_wheel, a_callback_cancels_moves_and_sets_others)
{
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct entry a = {0}, b = {0}, c = {0}, d = {0}, e = {0}, f = {0};
    a.action = 'c', a.other = &b; /* due in the same slot, later in the list */
    c.action = 'm', c.other = &d;
    e.action = 's', e.other = &f;
    f.wheel = &wheel;
    f.timer.fired = fired;
    arm(&wheel, &a, 5);
    arm(&wheel, &b, 5);
    arm(&wheel, &c, 5);
    arm(&wheel, &d, 5);
    arm(&wheel, &e, 5);
    go(&wheel, 5);
    cr_assert_eq(a.fired, 1);
    cr_assert_eq(b.fired, 0);
    cr_assert_eq(c.fired, 1);
    cr_assert_eq(d.fired, 0);
    cr_assert_eq(f.fired, 0,
                 "set for now within a callback: the next time, or it could go on for ever");
    go(&wheel, 5);
    cr_assert_eq(f.fired, 1);
    d.wanted_ms = 15;
    go(&wheel, 14);
    cr_assert_eq(d.fired, 0);
    go(&wheel, 15);
    cr_assert_eq(d.fired, 1);
    cr_assert_eq(b.fired, 0);
}

Test(timer_wheel, a_timer_that_sets_itself_for_now_fires_once_a_turn)
{
    struct timer_wheel wheel;
    timer_wheel_init(&wheel, 0);
    struct entry a = {.action = 's'};
    a.other = &a;
    arm(&wheel, &a, 1);
    for (unsigned i = 1; i <= 5; i++) {
        go(&wheel, 1);
        cr_assert_eq(a.fired, i);
    }
}

/* Against a model that knows every time: thousands of sets, moves, cancels, rests and leaps. */
Test(timer_wheel, agrees_with_a_plain_list)
{
    enum { COUNT = 500, STEPS = 20000 };
    static struct entry entries[COUNT];
    static bool model_set[COUNT];
    struct timer_wheel wheel;
    srandom(7);
    uint64_t now = 1ull << 35;
    timer_wheel_init(&wheel, now);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)random() % COUNT;
        unsigned what = (unsigned)random() % 8;
        if (what < 4) {
            uint64_t delay = (uint64_t)random() % ((uint64_t)1 << (random() % 20 + 1)) + 1;
            arm(&wheel, &entries[i], now + delay);
            entries[i].fired = 0;
            model_set[i] = true;
        } else if (what < 5) {
            timer_wheel_rest(&entries[i].timer);
            model_set[i] = false;
        } else if (what < 6) {
            timer_wheel_cancel(&wheel, &entries[i].timer);
            model_set[i] = false;
        } else {
            now += (uint64_t)random() % ((uint64_t)1 << (random() % 14));
            go(&wheel, now);
        }
        if (what >= 6 || step % 97 == 0) {
            uint64_t earliest = TIMER_WHEEL_NEVER;
            for (unsigned k = 0; k < COUNT; k++) {
                if (model_set[k] && entries[k].wanted_ms <= now && what >= 6) {
                    cr_assert_eq(entries[k].fired, 1, "late");
                    model_set[k] = false;
                }
                cr_assert_eq(io_timer_is_set(&entries[k].timer), model_set[k]);
                if (model_set[k] && entries[k].wanted_ms < earliest) {
                    earliest = entries[k].wanted_ms;
                }
            }
            uint64_t next = timer_wheel_next_ms(&wheel);
            cr_assert(next <= earliest);
            cr_assert(next != TIMER_WHEEL_NEVER || earliest == TIMER_WHEEL_NEVER);
        }
    }
}
