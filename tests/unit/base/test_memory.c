#include "base/memory.h"

#include <criterion/criterion.h>
#include <string.h>

Test(slab, gives_back_what_was_given)
{
    struct slab slab;
    slab_init(&slab, 40, 0, 8);
    void *first = slab_take(&slab);
    cr_assert_not_null(first);
    slab_give(&slab, first);
    cr_assert_eq(slab_take(&slab), first, "the free list is last in, first out");
    slab_give(&slab, first);
    slab_cleanup(&slab);
}

Test(slab, holds_its_bound)
{
    struct slab slab;
    slab_init(&slab, 1, 2, 8);
    void *a = slab_take(&slab), *b = slab_take(&slab);
    cr_assert_not_null(a);
    cr_assert_not_null(b);
    cr_assert_null(slab_take(&slab));
    slab_give(&slab, a);
    cr_assert_not_null(a = slab_take(&slab));
    slab_give(&slab, a);
    slab_give(&slab, b);
    slab_give(&slab, NULL);
    cr_assert_eq(slab.live, 0);
    slab_cleanup(&slab);
}

Test(slab, keeps_at_most_cached_max)
{
    struct slab slab;
    slab_init(&slab, 64, 0, 2);
    void *objects[5];
    for (int i = 0; i < 5; i++) {
        objects[i] = slab_take(&slab);
    }
    for (int i = 0; i < 5; i++) {
        slab_give(&slab, objects[i]);
    }
    cr_assert_eq(slab.cached, 2);
    slab_cleanup(&slab);
    cr_assert_eq(slab.cached, 0);
}

Test(arena, aligns_and_does_not_overlap)
{
    struct arena arena;
    arena_init(&arena, 256, 4096);
    uint8_t *previous = NULL;
    for (size_t size = 1; size <= 40; size++) {
        uint8_t *memory = arena_take(&arena, size);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % 16, 0);
        memset(memory, (int)size, size);
        if (previous != NULL) {
            cr_assert_eq(previous[0], (uint8_t)(size - 1));
        }
        previous = memory;
    }
    arena_cleanup(&arena);
}

Test(arena, refuses_beyond_its_bound)
{
    struct arena arena;
    arena_init(&arena, 128, 1024);
    cr_assert_null(arena_take(&arena, 1025));
    cr_assert_null(arena_take(&arena, SIZE_MAX));
    cr_assert_not_null(arena_take(&arena, 1024));
    cr_assert_null(arena_take(&arena, 1));
    arena_reset(&arena);
    cr_assert_not_null(arena_take(&arena, 1000), "the first block is kept");
    arena_cleanup(&arena);
}

Test(arena, reset_frees_all_but_the_first_block)
{
    struct arena arena;
    arena_init(&arena, 64, 4096);
    arena_reset(&arena);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            cr_assert_not_null(arena_take(&arena, 60));
        }
        arena_reset(&arena);
        cr_assert_eq(arena.total, 64);
    }
    arena_cleanup(&arena);
    cr_assert_eq(arena.total, 0);
}
