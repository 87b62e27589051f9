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

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BUCKET_MASK ((1u << TABLE_BUCKET_SLOTS) - 1)

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

/* What one look at a bucket found, a bit a slot. */
struct view {
    unsigned live;
    unsigned alike; /* the key's fingerprint: nearly always nobody, or the key itself */
};

/* Each slot's low word is read once and whole, which is what slot_load promises of it too. */
#if defined(__SSE2__) && !defined(POPGATE_TSAN)
static inline struct view look(const struct slot *bucket, uint32_t wanted, uint64_t now_boot_s)
{
    /* Neither the compiler nor an x86 moves these loads before earlier ones. */
    __asm__ volatile("" ::: "memory");
    const __m128i *slots = (const __m128i *)(const void *)bucket;
    const __m128i sign = _mm_set1_epi32(INT32_MIN); /* SSE2 compares signed numbers only */
    const __m128i fingerprint = _mm_set1_epi32((int)wanted);
    const __m128i now = _mm_xor_si128(_mm_set1_epi32((int)(now_boot_s << 4 | 15)), sign);
    struct view view = {0, 0};
    for (unsigned half = 0; half < 2; half++, slots += 4) {
        __m128i first = _mm_unpacklo_epi32(_mm_load_si128(slots), _mm_load_si128(slots + 1));
        __m128i second = _mm_unpacklo_epi32(_mm_load_si128(slots + 2), _mm_load_si128(slots + 3));
        __m128i expiries = _mm_unpacklo_epi64(first, second);
        __m128i fingerprints = _mm_unpackhi_epi64(first, second);
        __m128i live = _mm_cmpgt_epi32(_mm_xor_si128(expiries, sign), now);
        __m128i alike = _mm_cmpeq_epi32(fingerprints, fingerprint);
        view.live |= (unsigned)_mm_movemask_ps(_mm_castsi128_ps(live)) << 4 * half;
        view.alike |= (unsigned)_mm_movemask_ps(_mm_castsi128_ps(alike)) << 4 * half;
    }
    __asm__ volatile("" ::: "memory");
    return view;
}
#else
static inline struct view look(const struct slot *bucket, uint32_t wanted, uint64_t now_boot_s)
{
    struct view view = {0, 0};
    for (unsigned i = 0; i < TABLE_BUCKET_SLOTS; i++) {
        struct slot_value value = slot_load(&bucket[i]);
        view.live |= (unsigned)slot_is_live(value, now_boot_s) << i;
        view.alike |= (unsigned)(value.low >> 32 == wanted) << i;
    }
    return view;
}
#endif

static unsigned count_bits(unsigned bits)
{
    /* Without an instruction for it the compiler would call a function. */
    bits -= bits >> 1 & 0x55;
    bits = (bits & 0x33) + (bits >> 2 & 0x33);
    return (bits + (bits >> 4)) & 15;
}

static bool is_held(const struct slot *bucket, struct view view, struct replay_key key,
                    uint64_t now_boot_s)
{
    for (unsigned left = view.live & view.alike; left != 0; left &= left - 1) {
        struct slot_value value = slot_load(&bucket[__builtin_ctz(left)]);
        if (slot_holds(value, key) && slot_is_live(value, now_boot_s)) {
            return true;
        }
    }
    return false;
}

/* Gives the place back. It is tentative or, if a twin was here meanwhile, beaten; if neither, its
 * time is over and it was taken by another key: nothing to give back, and no twin to speak of. */
static enum status leave(struct slot *own, struct slot_value mine)
{
    bool was_mine = slot_replace(own, mine, empty) ||
                    slot_replace(own, slot_with_state(mine, SLOT_BEATEN), empty);
    return was_mine ? STATUS_EXISTS : STATUS_EXPIRED;
}

/* Step 3 for one other place. Whether this one may stay. */
static bool beats(struct slot *slot, struct replay_key key, uint64_t now_boot_s, bool is_earlier)
{
    struct slot_value value = slot_load(slot);
    /* The loop ends: each failed exchange means that slot changed, and a twin is placed there anew
     * only by a thread that had looked before this one placed. */
    while (slot_holds(value, key) && slot_is_live(value, now_boot_s) &&
           slot_state(value) != SLOT_BEATEN) {
        if (slot_state(value) == SLOT_COMMITTED || is_earlier) {
            return false;
        }
        if (slot_replace(slot, value, slot_with_state(value, SLOT_BEATEN))) {
            return true;
        }
        value = slot_load(slot);
    }
    return true;
}

/* Step 3 and 4 for the entry that stands, as `mine`, at place `index`. */
static enum status settle(const struct places *places, struct replay_key key, uint64_t now_boot_s,
                          unsigned index, struct slot_value mine)
{
    struct slot *own = place_at(places, index);
    uint32_t fingerprint = (uint32_t)(key.low >> 32);
    unsigned alike = look(places->bucket[0], fingerprint, now_boot_s).alike |
                     look(places->bucket[1], fingerprint, now_boot_s).alike << TABLE_BUCKET_SLOTS;
    for (alike &= ~(1u << index); alike != 0; alike &= alike - 1) {
        unsigned other = (unsigned)__builtin_ctz(alike);
        if (!beats(place_at(places, other), key, now_boot_s, other < index)) {
            return leave(own, mine);
        }
    }
    return slot_commit(own, mine) ? STATUS_OK : leave(own, mine);
}

enum status table_insert(const struct table *table, struct replay_key key, uint64_t now_boot_s,
                         uint64_t expires_boot_s)
{
    struct places places = places_of(table, key);
    struct slot_value mine = slot_make(key, expires_boot_s, SLOT_TENTATIVE);
    uint32_t fingerprint = (uint32_t)(key.low >> 32);
    for (int attempt = 0; attempt < TABLE_ATTEMPTS_MAX; attempt++) {
        struct view first = look(places.bucket[0], fingerprint, now_boot_s);
        struct view second = look(places.bucket[1], fingerprint, now_boot_s);
        if (is_held(places.bucket[0], first, key, now_boot_s) ||
            is_held(places.bucket[1], second, key, now_boot_s)) {
            return STATUS_EXISTS;
        }
        unsigned free[2] = {~first.live & BUCKET_MASK, ~second.live & BUCKET_MASK};
        /* The emptier bucket: two choices keep the fullest bucket near the average. */
        unsigned bucket = count_bits(free[1]) > count_bits(free[0]);
        if (free[bucket] == 0) {
            return STATUS_FULL;
        }
        unsigned index = bucket * TABLE_BUCKET_SLOTS + (unsigned)__builtin_ctz(free[bucket]);
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
