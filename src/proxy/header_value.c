#include "proxy/header_value.h"

/* A high bit for each of eight bytes that is below 0x20, 0x7f or above: below 0x80, a byte borrows
 * from 0x80 + byte - 0x20, or carries into it by + 1, only in those cases; what is above has the
 * bit itself. Each byte minds its own, for no sum or difference leaves it. */
static uint64_t unsafe_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    uint64_t low = word & ~high;
    return (word | (low + ones) | ~((low | high) - 0x20 * ones)) & high;
}

bool header_value_is_safe(struct span value)
{
    uint64_t bad = 0, word;
    size_t i = 0;
    for (; i + sizeof word <= value.size; i += sizeof word) {
        memcpy(&word, value.data + i, sizeof word);
        bad |= unsafe_bytes(word);
    }
    for (; i < value.size; i++) {
        bad |= unsafe_bytes(0x2020202020202000 | value.data[i]);
    }
    return bad == 0;
}
