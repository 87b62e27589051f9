#include "crypto/p256_recode.h"

/* K' in 256 bits and a word of zeros above, so that a window may be read across. */
static void prepare(uint64_t bits[5], const uint64_t k[4], uint64_t even)
{
    uint64_t odd[4], borrow = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 d = (unsigned __int128)p256_order[i] - k[i] - borrow;
        borrow = (uint64_t)(d >> 64) & 1;
        odd[i] = (k[i] & ~even) | ((uint64_t)d & even);
    }
    for (int i = 0; i < 3; i++) {
        bits[i] = odd[i] >> 1 | odd[i + 1] << 63;
    }
    bits[3] = odd[3] >> 1 | UINT64_C(1) << 63;
    bits[4] = 0;
}

void p256_recode_vartime(uintptr_t *terms, size_t stride, const uint64_t k[4], unsigned windows,
                         const struct p256_entry *table)
{
    const struct windows shape = p256_windows(windows);
    const uint64_t even = (k[0] & 1) - 1; /* all ones if k is even */
    uint64_t bits[5];
    prepare(bits, k, even);
    uintptr_t base = (uintptr_t)table;
    unsigned position = 0;
    for (unsigned i = 0; i < windows; i++) {
        const unsigned width = window_bits(&shape, i), word = position / 64;
        const unsigned shift = position % 64;
        const uint64_t digit = bits[word] >> shift | bits[word + 1] << 1 << (63 - shift);
        const uint64_t half = UINT64_C(1) << (width - 1);
        /* The digit is 2 K'[i] - (2^w - 1): of positive sign where the window's top bit is set,
         * with index the bits below, otherwise with those bits' complement. */
        const uint64_t negative = (digit & half) == 0;
        const uint64_t index = (digit ^ (0 - negative)) & (half - 1);
        const uintptr_t entry = base + index * sizeof(struct p256_entry);
        __builtin_prefetch((const void *)entry);
        terms[i * stride] = entry + (negative ^ (even & 1));
        base += half * sizeof(struct p256_entry);
        position += width;
    }
}
