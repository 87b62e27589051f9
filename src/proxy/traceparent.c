#include "proxy/traceparent.h"

#include "base/hex.h"

static bool is_lower_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
}

/* `size` lower-case hex digits at `offset`, not all of them zero unless `zero_allowed`. */
static bool hex_field(struct span value, size_t offset, size_t size, bool zero_allowed)
{
    bool zero = true;
    for (size_t i = offset; i < offset + size; i++) {
        if (!is_lower_hex(value.data[i])) {
            return false;
        }
        zero = zero && value.data[i] == '0';
    }
    return zero_allowed || !zero;
}

bool traceparent_valid(struct span value)
{
    if (value.size < TRACEPARENT_BYTES || value.data[2] != '-' || value.data[35] != '-' ||
        value.data[52] != '-') {
        return false;
    }
    if (!hex_field(value, 0, 2, true) || !hex_field(value, 3, 32, false) ||
        !hex_field(value, 36, 16, false) || !hex_field(value, 53, 2, true)) {
        return false;
    }
    /* "Version ff is invalid." */
    if (value.data[0] == 'f' && value.data[1] == 'f') {
        return false;
    }
    /* Version 00 has exactly these fields; a higher one may go on after a dash. */
    bool version_zero = value.data[0] == '0' && value.data[1] == '0';
    if (version_zero || value.size == TRACEPARENT_BYTES) {
        return value.size == TRACEPARENT_BYTES;
    }
    return value.data[TRACEPARENT_BYTES] == '-';
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void write_id(uint64_t id, char out[16])
{
    uint8_t bytes[8];
    memcpy(bytes, &id, sizeof bytes);
    hex_write(bytes, sizeof bytes, out);
}

void traceparent_begin(uint64_t *state, char out[TRACEPARENT_BYTES])
{
    static const char version[] = {'0', '0', '-'};
    static const char flags[] = {'-', '0', '0'};
    uint64_t high = next_random(state);
    uint64_t low = next_random(state) | 1; /* neither id may be all zero */
    uint64_t span_id = next_random(state) | 1;
    memcpy(out, version, sizeof version);
    write_id(high, out + 3);
    write_id(low, out + 19);
    out[35] = '-';
    write_id(span_id, out + 36);
    memcpy(out + 52, flags, sizeof flags);
}
