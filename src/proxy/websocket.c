#include "proxy/websocket.h"

#include "crypto/sha1.h"

#include <string.h>

enum { KEY_BYTES = 24 };

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of the one field of that name; size 0 if there is none, or more than one. */
static struct span only_value(const struct http_head *head, struct span name)
{
    struct span value = {0};
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (span_equal_ignore_case(head->headers[i].name, name)) {
            if (value.data != NULL) {
                return (struct span){0};
            }
            value = head->headers[i].value;
        }
    }
    return value;
}

/* RFC 6455 section 4.1: "The value of this header field MUST be a nonce consisting of a randomly
 * selected 16-byte value that has been base64-encoded". The last digit carries four bits that are
 * nothing, and some encoders do not clear them: only its being a digit is asked for. */
static bool is_key(struct span key)
{
    if (key.size != KEY_BYTES || key.data[22] != '=' || key.data[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (key.data[i] == '\0' || strchr(base64_digits, key.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static void encode_base64(const uint8_t digest[SHA1_BYTES], char out[WEBSOCKET_ACCEPT_BYTES])
{
    for (size_t i = 0; i < WEBSOCKET_ACCEPT_BYTES / 4; i++) {
        uint32_t left = SHA1_BYTES - 3 * (uint32_t)i; /* bytes: 3, in the last group 2 */
        uint32_t group = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 |
                         (left > 2 ? digest[3 * i + 2] : 0u);
        for (size_t j = 0; j < 4; j++) {
            out[4 * i + j] = base64_digits[group >> (18 - 6 * j) & 63];
        }
    }
    out[WEBSOCKET_ACCEPT_BYTES - 1] = '=';
}

/* RFC 6455 section 4.2.2: "concatenating this value with the string
 * "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of this concatenated value to
 * obtain a 20-byte value and base64-encoding (see Section 4 of [RFC4648]) this 20-byte hash." */
bool websocket_expect(const struct http_head *request, char accept[WEBSOCKET_ACCEPT_BYTES])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct span key = only_value(request, SPAN_LITERAL("Sec-WebSocket-Key"));
    if (!is_key(key)) {
        return false;
    }
    char text[KEY_BYTES + sizeof suffix - 1];
    memcpy(text, key.data, KEY_BYTES);
    memcpy(text + KEY_BYTES, suffix, sizeof suffix - 1);
    uint8_t digest[SHA1_BYTES];
    sha1(span_make(text, sizeof text), digest);
    encode_base64(digest, accept);
    return true;
}

bool websocket_accepted(const struct http_head *response, const char accept[WEBSOCKET_ACCEPT_BYTES])
{
    return span_equal(only_value(response, SPAN_LITERAL("Sec-WebSocket-Accept")),
                      span_make(accept, WEBSOCKET_ACCEPT_BYTES));
}
