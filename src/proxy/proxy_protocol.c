#include "proxy/proxy_protocol.h"

#include <string.h>

/* "The receiver may check that the first 12 bytes match": no TLS record begins so. */
static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { TLV_CRC32C = 0x03 };

static enum status malformed(const char **out, const char *reason)
{
    *out = reason;
    return STATUS_MALFORMED;
}

static uint16_t read_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* RFC 4960 appendix B, bit by bit: a header is short, and there is one a connection. `hole` counts
 * as four zeros. */
static uint32_t crc32c(struct span bytes, size_t hole)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0u : bytes.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
        }
    }
    return ~crc;
}

/* "In all cases, the receiver [...] if the TLV vector is not well formed": type, length in two
 * bytes, value, until the header's end. "If the checksum [...] does not match, the receiver MUST
 * abort the connection" in meaning: a header that was damaged names anybody. */
static enum status check_tlvs(struct span header, size_t at, const char **reason)
{
    while (at < header.size) {
        if (header.size - at < 3) {
            return malformed(reason, "a PROXY TLV is cut short");
        }
        uint8_t type = header.data[at];
        size_t length = read_u16(header.data + at + 1);
        at += 3;
        if (length > header.size - at) {
            return malformed(reason, "a PROXY TLV is longer than the header");
        }
        if (type == TLV_CRC32C) {
            if (length != 4) {
                return malformed(reason, "the PROXY checksum is not four bytes");
            }
            uint32_t sum = (uint32_t)read_u16(header.data + at) << 16 |
                           read_u16(header.data + at + 2);
            if (crc32c(header, at) != sum) {
                return malformed(reason, "the PROXY checksum is wrong");
            }
        }
        at += length;
    }
    return STATUS_OK;
}

/* The address block by family and transport; *size is how much of the header it takes. */
static enum status read_addresses(uint8_t family, struct span block, struct proxy_protocol *out,
                                  size_t *size, const char **reason)
{
    size_t each = 0;
    switch (family) {
    case 0x00: /* UNSPEC: "the receiver should ignore address information" */
        *size = block.size;
        return STATUS_OK;
    case 0x11: /* TCP over IPv4 */
        each = 4;
        break;
    case 0x21: /* TCP over IPv6 */
        each = 16;
        break;
    case 0x31: /* a Unix socket: two paths of 108 bytes, of no use to us */
        *size = 216;
        return block.size >= *size ? STATUS_OK
                                   : malformed(reason, "the PROXY addresses are cut short");
    default:
        return malformed(reason, "the PROXY address family or transport is not TCP's");
    }
    *size = 2 * each + 4;
    if (block.size < *size) {
        return malformed(reason, "the PROXY addresses are cut short");
    }
    out->has_client = true;
    out->client = client_address_from(block.data, each, read_u16(block.data + 2 * each));
    return STATUS_OK;
}

enum status proxy_protocol_parse(struct span bytes, struct proxy_protocol *out, size_t *size,
                                 const char **reason)
{
    *out = (struct proxy_protocol){0};
    *size = PROXY_PROTOCOL_FIXED_BYTES;
    size_t seen = bytes.size < sizeof signature ? bytes.size : sizeof signature;
    if (seen > 0 && memcmp(bytes.data, signature, seen) != 0) {
        return malformed(reason, "no PROXY header");
    }
    if (bytes.size < PROXY_PROTOCOL_FIXED_BYTES) {
        return STATUS_AGAIN;
    }
    uint8_t version = bytes.data[12] >> 4, command = bytes.data[12] & 15;
    if (version != 2 || command > COMMAND_PROXY) {
        return malformed(reason, "the PROXY version or command is none of 2's");
    }
    size_t whole = PROXY_PROTOCOL_FIXED_BYTES + read_u16(bytes.data + 14);
    if (whole > PROXY_PROTOCOL_BYTES_MAX) {
        *reason = "the PROXY header is too long";
        return STATUS_TOO_LARGE;
    }
    *size = whole;
    if (bytes.size < whole) {
        return STATUS_AGAIN;
    }
    struct span header = span_first(bytes, whole);
    if (command == COMMAND_LOCAL) {
        /* "the receiver must accept this connection as valid and must use the real connection
         * endpoints and discard the protocol block including the family which is ignored". */
        return STATUS_OK;
    }
    size_t addresses = 0;
    enum status status = read_addresses(
        bytes.data[13], span_after(header, PROXY_PROTOCOL_FIXED_BYTES), out, &addresses, reason);
    return status == STATUS_OK ? check_tlvs(header, PROXY_PROTOCOL_FIXED_BYTES + addresses, reason)
                               : status;
}
