/* Lower-case hexadecimal, eight digits a step. */
#ifndef POPGATE_BASE_HEX_H
#define POPGATE_BASE_HEX_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The eight digits of four bytes, the first byte's first. */
static inline void hex_write4(const uint8_t bytes[4], char out[8])
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint32_t four;
    memcpy(&four, bytes, sizeof four);
    /* Each byte alone at the bottom of two, then its high digit below its low one. */
    uint64_t word = le32toh(four);
    word = (word | word << 16) & UINT64_C(0x0000ffff0000ffff);
    word = (word | word << 8) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word >> 4 | word << 8) & ones * 0x0f;
    /* A digit of 10 to 15 carries into bit 4 when 6 is added, and is 'a' - '0' - 10 further on. */
    uint64_t letters = (word + ones * 6) >> 4 & ones;
    word = htole64(word + ones * '0' + letters * ('a' - '0' - 10));
    memcpy(out, &word, sizeof word);
}

/* `size`, a multiple of four, bytes: 2 * size digits, no NUL. */
static inline void hex_write(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i += 4) {
        hex_write4(bytes + i, out + 2 * i);
    }
}

#endif
