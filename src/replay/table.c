/* The protocol. A key has 16 places, the slots of its two buckets, in one order that all threads
 * share. An insert
 *   1. looks at all of them: the key, live, in whatever state, is a replay;
 *   2. places itself, tentative, in a free one;
 *   3. looks at all of them again for a twin, which another thread may have placed between its own
 *      steps 1 and 2, and settles who stays:
 *        a committed twin stays, and so does a tentative one at an earlier place: this one goes;
 *        a tentative one at a later place is marked beaten, so that its owner's commit fails;
 *        a beaten one has lost already;
 *   4. commits. That fails only if a twin at an earlier place has marked it beaten.
 * Until its expiry a slot is freed by its own insert alone: a beaten one stays where it is. Were it
 * freed by the one that beat it, a third insert of the same key could place the same bits there,
 * and the beaten one would commit those.
 * At most one: two that both commit would each have looked after placing, so the later of the two
 * to place saw the other. At least one: whoever goes leaves behind one that is committed or stands
 * earlier, and an order of 16 places has a first. README.md has the long form, and
 * tests/models/slot.pml the check of every interleaving. */
#include "replay/table.h"

#define PLACES (2 * TABLE_BUCKET_SLOTS)

static const struct slot_value empty = {0, 0};

uint64_t table_buckets_for(uint64_t capacity)
{
    uint64_t slots = capacity + capacity / 2;
    uint64_t buckets = (slots + TABLE_BUCKET_SLOTS - 1) / TABLE_BUCKET_SLOTS;
    return buckets < 16 ? 16 : buckets;
}

/* The two buckets of a key, never the same. */
struct places {
    struct slot *bucket[2];
};

static struct places places_of(const struct table *table, struct replay_key key)
{
    /* Multiply and shift: an even spread over any number of buckets without a division. */
    uint64_t first = (key.low & UINT32_MAX) * table->buckets >> 32;
    uint64_t second = (key.high >> 32) * table->buckets >> 32;
    if (second == first) {
        second = first + 1 < table->buckets ? first + 1 : 0;
    }
    return (struct places){
        {table->slots + first * TABLE_BUCKET_SLOTS, table->slots + second * TABLE_BUCKET_SLOTS}};
}

static struct slot *place_at(const struct places *places, unsigned index)
{
    return places->bucket[index / TABLE_BUCKET_SLOTS] + index % TABLE_BUCKET_SLOTS;
}

void table_prefetch(const struct table *table, struct replay_key key)
{
    struct places places = places_of(table, key);
    for (int i = 0; i < 2; i++) {
        __builtin_prefetch(places.bucket[i], 1);
        __builtin_prefetch(places.bucket[i] + TABLE_BUCKET_SLOTS / 2, 1);
    }
}

/* What one look at a bucket found. */
struct view {
    bool held;       /* the key is there, live */
    unsigned free;   /* slots that are */
    unsigned choice; /* one of them */
};

/* Without branches but the loop's: what a slot holds is no more to be foretold than the key. */
static struct view look(const struct slot *bucket, struct replay_key key, uint64_t now_boot_s)
{
    struct view view = {0};
    for (unsigned i = 0; i < TABLE_BUCKET_SLOTS; i++) {
        struct slot_value value = slot_load(&bucket[i]);
        bool live = slot_is_live(value, now_boot_s);
        view.held = view.held | (live & slot_holds(value, key));
        view.free += !live;
        view.choice = live ? view.choice : i;
    }
    return view;
}

/* Gives the place back. It is tentative or, if a twin was here meanwhile, beaten; if neither, its
 * time is over and it was taken by another key: nothing to give back. */
static enum status leave(struct slot *own, struct slot_value mine)
{
    if (!slot_replace(own, mine, empty)) {
        (void)slot_replace(own, slot_with_state(mine, SLOT_BEATEN), empty);
    }
    return STATUS_EXISTS;
}

/* Step 3 and 4 for the entry that stands, as `mine`, at place `index`. */
static enum status settle(const struct places *places, struct replay_key key, uint64_t now_boot_s,
                          unsigned index, struct slot_value mine)
{
    struct slot *own = place_at(places, index);
    for (unsigned other = 0; other < PLACES; other++) {
        if (other == index) {
            continue;
        }
        struct slot *slot = place_at(places, other);
        if (!slot_may_hold(slot, key)) {
            continue;
        }
        struct slot_value value = slot_load(slot);
        /* The loop ends: each failed exchange means that slot changed, and a twin is placed there
         * anew only by a thread that had looked before this one placed. */
        while (slot_holds(value, key) && slot_is_live(value, now_boot_s) &&
               slot_state(value) != SLOT_BEATEN) {
            if (slot_state(value) == SLOT_COMMITTED || other < index) {
                return leave(own, mine);
            }
            if (slot_replace(slot, value, slot_with_state(value, SLOT_BEATEN))) {
                break;
            }
            value = slot_load(slot);
        }
    }
    return slot_replace(own, mine, slot_with_state(mine, SLOT_COMMITTED)) ? STATUS_OK
                                                                          : leave(own, mine);
}

enum status table_insert(const struct table *table, struct replay_key key, uint64_t now_boot_s,
                         uint64_t expires_boot_s)
{
    struct places places = places_of(table, key);
    struct slot_value mine = slot_make(key, expires_boot_s, SLOT_TENTATIVE);
    for (int attempt = 0; attempt < TABLE_ATTEMPTS_MAX; attempt++) {
        struct view views[2] = {look(places.bucket[0], key, now_boot_s),
                                look(places.bucket[1], key, now_boot_s)};
        if (views[0].held || views[1].held) {
            return STATUS_EXISTS;
        }
        /* The emptier bucket: two choices keep the fullest bucket near the average. */
        unsigned bucket = views[1].free > views[0].free;
        if (views[bucket].free == 0) {
            return STATUS_FULL;
        }
        unsigned index = bucket * TABLE_BUCKET_SLOTS + views[bucket].choice;
        struct slot *own = place_at(&places, index);
        struct slot_value was = slot_load(own);
        if (!slot_is_live(was, now_boot_s) && slot_replace(own, was, mine)) {
            return settle(&places, key, now_boot_s, index, mine);
        }
    }
    return STATUS_FULL;
}

uint64_t table_count_live(const struct table *table, uint64_t now_boot_s, uint64_t buckets_max)
{
    uint64_t step = table->buckets / buckets_max + (table->buckets % buckets_max != 0);
    uint64_t live = 0, seen = 0;
    for (uint64_t bucket = 0; bucket < table->buckets; bucket += step) {
        const struct slot *slots = table->slots + bucket * TABLE_BUCKET_SLOTS;
        for (unsigned i = 0; i < TABLE_BUCKET_SLOTS; i++) {
            live += slot_is_live(slot_load(&slots[i]), now_boot_s);
        }
        seen++;
    }
    return step == 1 || seen == 0 ? live : live * table->buckets / seen;
}
