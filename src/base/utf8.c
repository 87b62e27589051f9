#include "base/utf8.h"

#include <stdbool.h>

size_t utf8_read(struct span bytes, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = bytes.data[0];
    if (lead < 0x80) {
        *character = lead;
        return 1;
    }
    size_t size = (lead & 0xe0) == 0xc0   ? 2
                  : (lead & 0xf0) == 0xe0 ? 3
                  : (lead & 0xf8) == 0xf0 ? 4
                                          : 0;
    if (size == 0 || size > bytes.size) {
        return 0;
    }
    uint32_t value = lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (bytes.data[i] & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < smallest[size] || value > 0x10ffff || surrogate) {
        return 0;
    }
    *character = value;
    return size;
}
