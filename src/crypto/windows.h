/* How a table of multiples divides a scalar into windows. They cover it exactly: `count` of them,
 * of two widths a bit apart, so that a table can be had for about any size of memory, and a bit
 * that no window needs costs nothing. */
#ifndef POPGATE_CRYPTO_WINDOWS_H
#define POPGATE_CRYPTO_WINDOWS_H

#include <assert.h>
#include <stddef.h>

#define WINDOW_BITS_MAX 13

/* The lowest `wide` windows have bits + 1 bits, the others `bits`. */
struct windows {
    unsigned count, bits, wide;
};

static inline struct windows windows_of(unsigned scalar_bits, unsigned count)
{
    const unsigned bits = scalar_bits / count;
    assert(bits < WINDOW_BITS_MAX || (bits == WINDOW_BITS_MAX && scalar_bits % count == 0));
    return (struct windows){count, bits, scalar_bits - bits * count};
}

static inline unsigned window_bits(const struct windows *windows, unsigned i)
{
    return windows->bits + (i < windows->wide);
}

/* The lowest bit of window i. */
static inline unsigned window_position(const struct windows *windows, unsigned i)
{
    return windows->bits * i + (i < windows->wide ? i : windows->wide);
}

/* Its first entry in the table: a window has 2^(its bits - 1), as its digits have a sign. */
static inline size_t window_entry(const struct windows *windows, unsigned i)
{
    return (size_t)(i + (i < windows->wide ? i : windows->wide)) << (windows->bits - 1);
}

/* All entries: where a window after the last would begin. */
static inline size_t windows_entries(struct windows windows)
{
    return window_entry(&windows, windows.count);
}

#endif
