#include "io/timer_wheel.h"

#include <assert.h>

#define SLOT_BITS 6
#define SLOT_MASK (TIMER_WHEEL_SLOTS - 1)
#define TOP_SHIFT (SLOT_BITS * (TIMER_WHEEL_LEVELS - 1))
/* The farthest a timer may be placed, so that its slot at the top level is never the present one.
 */
#define PLACE_MS_MAX (((uint64_t)TIMER_WHEEL_SLOTS - 1) << TOP_SHIFT)

static void list_init(struct io_timer *head)
{
    head->next = head;
    head->previous = head;
}

static void list_append(struct io_timer *head, struct io_timer *timer)
{
    timer->next = head;
    timer->previous = head->previous;
    head->previous->next = timer;
    head->previous = timer;
}

/* Moves everything from one list to the end of another. */
static void list_move(struct io_timer *to, struct io_timer *from)
{
    if (from->next == from) {
        return;
    }
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

static void list_remove(struct io_timer *timer)
{
    timer->next->previous = timer->previous;
    timer->previous->next = timer->next;
    timer->next = NULL;
    timer->previous = NULL;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    wheel->elapsed_ms = now_ms;
    for (size_t level = 0; level < TIMER_WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (size_t slot = 0; slot < TIMER_WHEEL_SLOTS; slot++) {
            list_init(&wheel->slots[level][slot]);
        }
    }
    list_init(&wheel->due);
}

static void place(struct timer_wheel *wheel, struct io_timer *timer)
{
    uint64_t at = timer->due_ms;
    timer->placed_ms = at;
    if (at <= wheel->elapsed_ms) {
        list_append(&wheel->due, timer);
        return;
    }
    if (at - wheel->elapsed_ms > PLACE_MS_MAX) {
        /* Too far to tell: it is looked at again when the top level comes round. */
        at = wheel->elapsed_ms + PLACE_MS_MAX;
    }
    unsigned level = (63 - (unsigned)__builtin_clzll((at ^ wheel->elapsed_ms) | SLOT_MASK)) /
                     SLOT_BITS;
    if (level >= TIMER_WHEEL_LEVELS) {
        level = TIMER_WHEEL_LEVELS - 1; /* the top level wraps */
    }
    unsigned slot = (unsigned)(at >> (level * SLOT_BITS)) & SLOT_MASK;
    list_append(&wheel->slots[level][slot], timer);
    wheel->occupied[level] |= (uint64_t)1 << slot;
}

void timer_wheel_set(struct timer_wheel *wheel, struct io_timer *timer, uint64_t due_ms)
{
    if (timer->next != NULL && due_ms >= timer->placed_ms && due_ms > wheel->elapsed_ms) {
        timer->due_ms = due_ms; /* seen when the wheel comes by where it is */
        return;
    }
    timer_wheel_cancel(wheel, timer);
    timer->due_ms = due_ms;
    place(wheel, timer);
}

void timer_wheel_rest(struct io_timer *timer)
{
    timer->due_ms = IO_TIMER_RESTS;
}

void timer_wheel_cancel(struct timer_wheel *wheel, struct io_timer *timer)
{
    if (timer->next == NULL) {
        return;
    }
    struct io_timer *neighbour = timer->next;
    list_remove(timer);
    if (neighbour->next != neighbour) {
        return;
    }
    /* Only a head is its own neighbour: the slot is empty now. The head of what is due is in no
     * level. */
    struct io_timer *first = &wheel->slots[0][0];
    if (neighbour >= first && neighbour < first + TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS) {
        size_t index = (size_t)(neighbour - first);
        wheel->occupied[index / TIMER_WHEEL_SLOTS] &= ~((uint64_t)1 << (index % TIMER_WHEEL_SLOTS));
    }
}

struct next_slot {
    unsigned level, slot;
    uint64_t at_ms; /* when the slot begins */
};

static bool find_next(const struct timer_wheel *wheel, struct next_slot *next)
{
    for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
        uint64_t occupied = wheel->occupied[level];
        if (occupied == 0) {
            continue;
        }
        unsigned shift = level * SLOT_BITS;
        unsigned present = (unsigned)(wheel->elapsed_ms >> shift) & SLOT_MASK;
        uint64_t later = occupied & ~(((uint64_t)1 << present) | (((uint64_t)1 << present) - 1));
        uint64_t turn_begin = wheel->elapsed_ms >> shift >> SLOT_BITS << SLOT_BITS << shift;
        if (later == 0) {
            /* Only the top level wraps: below it, all timers share the bits above their level with
             * the wheel. */
            assert(level == TIMER_WHEEL_LEVELS - 1);
            later = occupied;
            turn_begin += (uint64_t)TIMER_WHEEL_SLOTS << shift;
        }
        next->level = level;
        next->slot = (unsigned)__builtin_ctzll(later);
        next->at_ms = turn_begin + ((uint64_t)next->slot << shift);
        return true;
    }
    return false;
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel)
{
    if (wheel->due.next != &wheel->due) {
        return wheel->elapsed_ms;
    }
    struct next_slot next;
    return find_next(wheel, &next) ? next.at_ms : TIMER_WHEEL_NEVER;
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
    struct next_slot next;
    while (find_next(wheel, &next) && next.at_ms <= now_ms) {
        struct io_timer moved;
        list_init(&moved);
        list_move(&moved, &wheel->slots[next.level][next.slot]);
        wheel->occupied[next.level] &= ~((uint64_t)1 << next.slot);
        wheel->elapsed_ms = next.at_ms;
        while (moved.next != &moved) {
            struct io_timer *timer = moved.next;
            list_remove(timer);
            if (timer->due_ms != IO_TIMER_RESTS) {
                place(wheel, timer);
            }
        }
    }
    if (now_ms > wheel->elapsed_ms) {
        wheel->elapsed_ms = now_ms;
    }
}

void timer_wheel_fire(struct timer_wheel *wheel)
{
    struct io_timer firing; /* what is set for now meanwhile waits for the next time */
    list_init(&firing);
    list_move(&firing, &wheel->due);
    while (firing.next != &firing) {
        struct io_timer *timer = firing.next;
        list_remove(timer);
        if (timer->due_ms <= wheel->elapsed_ms) {
            timer->fired(timer);
        } else if (timer->due_ms != IO_TIMER_RESTS) {
            place(wheel, timer); /* it was set to later meanwhile */
        }
    }
}
