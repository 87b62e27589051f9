#include "base/buffer.h"

#include <criterion/criterion.h>

static void fill(struct buffer *buffer, size_t size, uint8_t *next)
{
    uint8_t bytes[512];
    cr_assert_leq(size, sizeof bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (*next)++;
    }
    cr_assert_eq(buffer_append(buffer, span_make(bytes, size)), STATUS_OK);
}

/* Takes `size` bytes off the front and checks that they are the next of the sequence. */
static void drain(struct buffer *buffer, size_t size, uint8_t *next)
{
    while (size > 0) {
        struct span front;
        cr_assert_eq(buffer_peek(buffer, &front, 1), 1);
        size_t part = front.size < size ? front.size : size;
        for (size_t i = 0; i < part; i++) {
            cr_assert_eq(front.data[i], (uint8_t)(*next)++);
        }
        buffer_consume(buffer, part);
        size -= part;
    }
}

Test(buffer, keeps_order_over_chunks)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 32, 0);
    struct buffer buffer;
    buffer_init(&buffer, &pool);
    uint8_t in = 0, out = 0;
    for (size_t round = 1; round < 200; round++) {
        fill(&buffer, round % 97, &in);
        drain(&buffer, buffer.size / 2, &out);
    }
    drain(&buffer, buffer.size, &out);
    cr_assert_eq(buffer.size, 0);
    cr_assert_eq(pool.slab.live, 0, "an empty queue holds no chunk");
    chunk_pool_cleanup(&pool);
}

Test(buffer, append_is_all_or_nothing)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 16, 3);
    struct buffer buffer;
    buffer_init(&buffer, &pool);
    uint8_t in = 0, out = 0, bytes[64] = {0};
    cr_assert_eq(buffer_append(&buffer, span_make(bytes, 49)), STATUS_FULL);
    cr_assert_eq(pool.slab.live, 0);
    fill(&buffer, 20, &in);
    cr_assert_eq(buffer_append(&buffer, span_make(bytes, 29)), STATUS_FULL);
    cr_assert_eq(buffer.size, 20);
    fill(&buffer, 28, &in);
    drain(&buffer, 48, &out);
    fill(&buffer, 16, &in);
    cr_assert_eq(buffer_append(&buffer, span_make(bytes, 33)), STATUS_FULL);
    drain(&buffer, 16, &out);
    chunk_pool_cleanup(&pool);
}

Test(buffer, reserve_and_commit_grow_the_end)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 8, 1);
    struct buffer buffer;
    buffer_init(&buffer, &pool);
    struct span_mut room = buffer_reserve(&buffer);
    cr_assert_eq(room.size, 8);
    memcpy(room.data, "12345678", 8);
    buffer_commit(&buffer, 5);
    room = buffer_reserve(&buffer);
    cr_assert_eq(room.size, 3);
    memcpy(room.data, "678", 3);
    buffer_commit(&buffer, 3);
    cr_assert_eq(buffer_reserve(&buffer).size, 0, "the pool is full");
    struct span front;
    cr_assert_eq(buffer_peek(&buffer, &front, 1), 1);
    cr_assert(span_equal_string(front, "12345678"));
    buffer_clear(&buffer);
    chunk_pool_cleanup(&pool);
}

Test(buffer, move_joins_two_queues)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 16, 0);
    struct buffer a, b;
    buffer_init(&a, &pool);
    buffer_init(&b, &pool);
    uint8_t in = 0, out = 0;
    buffer_move(&a, &b);
    fill(&b, 40, &in);
    buffer_move(&a, &b);
    cr_assert_eq(a.size, 40);
    cr_assert_eq(b.size, 0);
    fill(&b, 7, &in);
    buffer_move(&a, &b);
    fill(&a, 3, &in);
    drain(&a, 50, &out);
    chunk_pool_cleanup(&pool);
}

Test(buffer, peek_leaves_out_empty_chunks)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 4, 0);
    struct buffer buffer;
    buffer_init(&buffer, &pool);
    cr_assert_eq(buffer_append(&buffer, SPAN_LITERAL("abcdefgh")), STATUS_OK);
    (void)buffer_reserve(&buffer); /* a chunk with nothing in it yet */
    struct span spans[4];
    cr_assert_eq(buffer_peek(&buffer, spans, 4), 2);
    cr_assert_eq(buffer_peek(&buffer, spans, 1), 1);
    buffer_clear(&buffer);
    chunk_pool_cleanup(&pool);
}
