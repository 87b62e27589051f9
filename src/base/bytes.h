/* What each byte may stand for in URIs and header fields: one table for all who read them. */
#ifndef POPGATE_BASE_BYTES_H
#define POPGATE_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

/* '%' is in none of the URI's classes: there it begins an escape, and is looked at as one. */
enum byte_class {
    BYTE_UNRESERVED = 1, /* RFC 3986 section 2.3; what a host name may hold, too */
    BYTE_PATH = 2,       /* pchar (RFC 3986 section 3.3) without the escapes, and "/" */
    BYTE_QUERY = 4,      /* every visible character but "#" and "%" */
    BYTE_TOKEN = 8,      /* tchar (RFC 9110 section 5.6.2) */
    BYTE_TOKEN68 = 16,   /* RFC 9110 section 11.2, without the "=" at the end */
};

extern const uint8_t byte_classes[256];

static inline bool byte_is(uint8_t byte, enum byte_class class)
{
    return (byte_classes[byte] & class) != 0;
}

#endif
