#include "proxy/websocket.h"

#include "crypto/sha1.h"

#include <string.h>
#include <sys/random.h>

enum { KEY_BYTES = WEBSOCKET_KEY_BYTES, NONCE_BYTES = 16 };

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

/* With padding: four digits for each three bytes begun. */
static void encode_base64(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0u) |
                         (left > 2 ? bytes[i + 2] : 0u);
        for (size_t j = 0; j < 4; j++) {
            *out++ = j <= left ? base64_digits[group >> (18 - 6 * j) & 63] : '=';
        }
    }
}

/* RFC 6455 section 4.2.2: "concatenating this value with the string
 * "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of this concatenated value to
 * obtain a 20-byte value and base64-encoding (see Section 4 of [RFC4648]) this 20-byte hash." */
static void accept_of(const void *key, char accept[WEBSOCKET_ACCEPT_BYTES])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_BYTES + sizeof suffix - 1];
    memcpy(text, key, KEY_BYTES);
    memcpy(text + KEY_BYTES, suffix, sizeof suffix - 1);
    uint8_t digest[SHA1_BYTES];
    sha1(span_make(text, sizeof text), digest);
    encode_base64(digest, sizeof digest, accept);
}

bool websocket_expect(const struct http_head *request, char accept[WEBSOCKET_ACCEPT_BYTES])
{
    struct span key = only_value(request, SPAN_LITERAL("Sec-WebSocket-Key"));
    if (!is_key(key)) {
        return false;
    }
    accept_of(key.data, accept);
    return true;
}

bool websocket_begin(char key[WEBSOCKET_KEY_BYTES], char accept[WEBSOCKET_ACCEPT_BYTES])
{
    uint8_t nonce[NONCE_BYTES];
    if (getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce) {
        return false;
    }
    encode_base64(nonce, sizeof nonce, key);
    accept_of(key, accept);
    return true;
}

void websocket_remove(struct http_head *head, struct span name)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (!span_equal_ignore_case(head->headers[i].name, name)) {
            head->headers[kept++] = head->headers[i];
        }
    }
    head->headers_count = kept;
}

bool websocket_accepted(const struct http_head *response, const char accept[WEBSOCKET_ACCEPT_BYTES])
{
    return span_equal(only_value(response, SPAN_LITERAL("Sec-WebSocket-Accept")),
                      span_make(accept, WEBSOCKET_ACCEPT_BYTES));
}
