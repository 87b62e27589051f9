#include "crypto/table_memory.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(table_memory, zeroed_aligned_and_refused_where_it_makes_no_sense)
{
    uint8_t *memory = table_memory_new(3000000);
    cr_assert_not_null(memory);
    cr_assert_eq((uintptr_t)memory % 4096, 0);
    for (size_t i = 0; i < 3000000; i++) {
        cr_assert_eq(memory[i], 0);
    }
    table_memory_free(memory, 3000000);
    table_memory_free(NULL, 5);
    cr_assert_null(table_memory_new(0));
    cr_assert_null(table_memory_new(SIZE_MAX));
    cr_assert_null(table_pool_new(0, 4));
    table_pool_free(NULL);
}

#define UNIT 64

Test(table_pool, first_fit_and_gaps_joined)
{
    struct table_pool *pool = table_pool_new(8 * UNIT, 8);
    uint8_t *piece[8];
    for (size_t i = 0; i < 8; i++) {
        piece[i] = table_pool_take(pool, UNIT);
        cr_assert_eq((uintptr_t)piece[i] % UNIT, 0);
        cr_assert_eq(piece[i], piece[0] + i * UNIT);
    }
    cr_assert_null(table_pool_take(pool, UNIT), "full");
    table_pool_give(pool, piece[1], UNIT);
    table_pool_give(pool, piece[5], UNIT);
    table_pool_give(pool, piece[3], UNIT);
    cr_assert_null(table_pool_take(pool, 2 * UNIT), "three gaps of one");
    table_pool_give(pool, piece[2], UNIT); /* joins both sides */
    cr_assert_eq(table_pool_take(pool, 3 * UNIT), piece[1]);
    table_pool_give(pool, piece[4], UNIT); /* joins the one after */
    table_pool_give(pool, piece[6], UNIT); /* joins the one before */
    cr_assert_eq(table_pool_take(pool, 2 * UNIT), piece[4]);
    cr_assert_eq(table_pool_take(pool, UNIT), piece[6]);
    cr_assert_null(table_pool_take(pool, UNIT));
    table_pool_free(pool);
}

/* Against a map of who owns what: nothing is given twice, everything comes back in one piece. */
Test(table_pool, a_long_random_life)
{
    enum { UNITS = 96, PIECES = 40 };
    struct table_pool *pool = table_pool_new(UNITS * UNIT, PIECES);
    uint8_t *base = table_pool_take(pool, UNIT);
    table_pool_give(pool, base, UNIT);
    struct {
        uint8_t *at;
        size_t units;
    } held[PIECES] = {{NULL, 0}};
    bool owned[UNITS] = {false};
    uint32_t seed = 1;
    for (unsigned turn = 0; turn < 200000; turn++) {
        seed = seed * 1664525 + 1013904223;
        const size_t slot = (seed >> 8) % PIECES, units = (seed >> 20) % 7 + 1;
        if (held[slot].at != NULL) {
            const size_t from = (size_t)(held[slot].at - base) / UNIT;
            for (size_t i = 0; i < held[slot].units; i++) {
                cr_assert(owned[from + i]);
                cr_assert_eq(held[slot].at[i * UNIT], (uint8_t)slot);
                owned[from + i] = false;
            }
            table_pool_give(pool, held[slot].at, held[slot].units * UNIT);
            held[slot].at = NULL;
            continue;
        }
        held[slot].at = table_pool_take(pool, units * UNIT);
        held[slot].units = units;
        /* NULL exactly when no run of so many is free. */
        size_t run = 0, longest = 0;
        for (size_t i = 0; i < UNITS; i++) {
            run = owned[i] ? 0 : run + 1;
            longest = run > longest ? run : longest;
        }
        cr_assert_eq(held[slot].at != NULL, longest >= units);
        if (held[slot].at != NULL) {
            const size_t from = (size_t)(held[slot].at - base) / UNIT;
            cr_assert_leq(from + units, UNITS);
            memset(held[slot].at, (int)slot, units * UNIT);
            for (size_t i = 0; i < units; i++) {
                cr_assert_not(owned[from + i]);
                owned[from + i] = true;
            }
        }
    }
    for (size_t i = 0; i < PIECES; i++) {
        if (held[i].at != NULL) {
            table_pool_give(pool, held[i].at, held[i].units * UNIT);
        }
    }
    cr_assert_eq(table_pool_take(pool, UNITS * UNIT), base, "whole again");
    table_pool_free(pool);
}
