#include "http/http1.h"
#include "http/scan.h"

/* RFC 9112 section 7.1:
 *   chunked-body = *chunk last-chunk trailer-section CRLF
 *   chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 *   chunk-ext    = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
 * without the "bad white space", which is what request smuggling with chunk extensions is made of.
 */
enum state {
    SIZE = 0, /* hexadecimal digits */
    EXT_NAME, /* behind ";" */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED, /* behind a backslash in quotes */
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* of a line, or the CR of the empty one */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
};

enum { SIZE_DIGITS_MAX = 16 };

void http1_body_init(struct http1_body *body, const struct http_head *head, uint64_t total_max)
{
    *body = (struct http1_body){.kind = head->body, .total_max = total_max, .state = SIZE};
    if (head->body == HTTP_BODY_LENGTH) {
        body->left = head->content_length;
    }
    body->done = head->body == HTTP_BODY_NONE ||
                 (head->body == HTTP_BODY_LENGTH && body->left == 0);
}

static bool over_total(const struct http1_body *body, uint64_t more)
{
    return body->total_max > 0 && more > body->total_max - body->total;
}

/* ---- the lines between the data ---- */

static int hex_value(uint8_t byte)
{
    uint8_t letter = (uint8_t)(byte | 0x20);
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static enum status size_byte(struct http1_body *body, uint8_t byte)
{
    int value = hex_value(byte);
    if (value >= 0) {
        if (body->size_digits == SIZE_DIGITS_MAX) {
            return STATUS_MALFORMED;
        }
        body->size_digits++;
        body->left = body->left << 4 | (uint64_t)value;
        return STATUS_OK;
    }
    if (body->size_digits == 0 || (byte != '\r' && byte != ';')) {
        return STATUS_MALFORMED;
    }
    body->state = byte == ';' ? EXT_NAME : SIZE_LF;
    body->size_digits = 0; /* of the extension's name or value from here on: has it one byte yet? */
    return body->left <= INT64_MAX ? STATUS_OK : STATUS_MALFORMED;
}

/* A name, or a value that is not in quotes, goes on; or ends at ";", CR and, a name, at "=". */
static enum status extension_token_byte(struct http1_body *body, uint8_t byte)
{
    if (byte_is(byte, BYTE_TOKEN)) {
        body->size_digits = 1;
        return STATUS_OK;
    }
    bool empty = body->size_digits == 0;
    body->size_digits = 0;
    if (body->state == EXT_VALUE && empty && byte == '"') {
        body->state = EXT_QUOTED;
    } else if (empty) {
        return STATUS_MALFORMED;
    } else if (body->state == EXT_NAME && byte == '=') {
        body->state = EXT_VALUE;
    } else if (byte == ';') {
        body->state = EXT_NAME;
    } else if (byte == '\r') {
        body->state = SIZE_LF;
    } else {
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static enum status extension_byte(struct http1_body *body, uint8_t byte)
{
    if (++body->line_bytes > HTTP1_EXTENSION_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    switch ((enum state)body->state) {
    case EXT_QUOTED:
        body->state = byte == '"' ? EXT_QUOTED_END : byte == '\\' ? EXT_ESCAPED : EXT_QUOTED;
        return scan_is_control(byte) ? STATUS_MALFORMED : STATUS_OK;
    case EXT_ESCAPED:
        body->state = EXT_QUOTED;
        return scan_is_control(byte) ? STATUS_MALFORMED : STATUS_OK;
    case EXT_QUOTED_END:
        body->state = byte == ';' ? EXT_NAME : SIZE_LF;
        return byte == ';' || byte == '\r' ? STATUS_OK : STATUS_MALFORMED;
    default:
        return extension_token_byte(body, byte);
    }
}

/* Trailers are read as strictly as header lines. */
static enum status trailer_byte(struct http1_body *body, uint8_t byte)
{
    if (++body->line_bytes > HTTP1_TRAILER_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    switch ((enum state)body->state) {
    case TRAILER_START:
        if (byte == '\r') {
            body->state = END_LF;
            return STATUS_OK;
        }
        if (++body->trailer_count > HTTP1_TRAILERS_MAX) {
            return STATUS_TOO_LARGE;
        }
        body->state = TRAILER_NAME;
        return byte_is(byte, BYTE_TOKEN) ? STATUS_OK : STATUS_MALFORMED;
    case TRAILER_NAME:
        body->state = byte == ':' ? TRAILER_VALUE : TRAILER_NAME;
        return byte == ':' || byte_is(byte, BYTE_TOKEN) ? STATUS_OK : STATUS_MALFORMED;
    default:
        body->state = byte == '\r' ? TRAILER_LF : TRAILER_VALUE;
        return byte == '\r' || !scan_is_control(byte) ? STATUS_OK : STATUS_MALFORMED;
    }
}

/* A byte that can only be `wanted`. */
static enum status exact_byte(struct http1_body *body, uint8_t byte, uint8_t wanted,
                              enum state next)
{
    body->state = (uint8_t)next;
    return byte == wanted ? STATUS_OK : STATUS_MALFORMED;
}

static enum status size_line_end(struct http1_body *body, uint8_t byte)
{
    if (body->left == 0) {
        body->line_bytes = 0; /* of trailers from here on */
        return exact_byte(body, byte, '\n', TRAILER_START);
    }
    if (over_total(body, body->left)) {
        return STATUS_TOO_LARGE;
    }
    return exact_byte(body, byte, '\n', DATA);
}

static enum status framing_byte(struct http1_body *body, uint8_t byte)
{
    switch ((enum state)body->state) {
    case SIZE:
        return size_byte(body, byte);
    case SIZE_LF:
        return size_line_end(body, byte);
    case DATA_CR:
        return exact_byte(body, byte, '\r', DATA_LF);
    case DATA_LF:
        return exact_byte(body, byte, '\n', SIZE);
    case TRAILER_LF:
        return exact_byte(body, byte, '\n', TRAILER_START);
    case END_LF:
        body->done = byte == '\n';
        return body->done ? STATUS_OK : STATUS_MALFORMED;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return trailer_byte(body, byte);
    default:
        return extension_byte(body, byte);
    }
}

/* ---- feeding ---- */

static struct span take_data(struct http1_body *body, struct span bytes)
{
    uint64_t size = bytes.size < body->left ? bytes.size : body->left;
    body->left -= size;
    body->total += size;
    return span_first(bytes, (size_t)size);
}

static enum status feed_chunked(struct http1_body *body, struct span bytes, size_t *consumed,
                                struct span *payload)
{
    size_t at = 0, trailers = SIZE_MAX;
    while (at < bytes.size && !body->done) {
        if (body->state >= TRAILER_START && trailers == SIZE_MAX) {
            trailers = at;
        }
        if (body->state == DATA) {
            *payload = take_data(body, span_after(bytes, at));
            body->state = body->left == 0 ? DATA_CR : DATA;
            at += payload->size;
            break;
        }
        enum status status = framing_byte(body, bytes.data[at]);
        if (status != STATUS_OK) {
            return status;
        }
        at++;
    }
    *consumed = at;
    if (trailers != SIZE_MAX) {
        body->trailer_part = span_make(bytes.data + trailers, at - trailers);
    }
    return STATUS_OK;
}

enum status http1_body_feed(struct http1_body *body, struct span bytes, size_t *consumed,
                            struct span *payload)
{
    *consumed = 0;
    *payload = span_make(bytes.data, 0);
    body->trailer_part = *payload;
    switch (body->kind) {
    case HTTP_BODY_CHUNKED:
        return feed_chunked(body, bytes, consumed, payload);
    case HTTP_BODY_LENGTH:
        if (over_total(body, body->left)) {
            return STATUS_TOO_LARGE;
        }
        *payload = take_data(body, bytes);
        body->done = body->left == 0;
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        if (over_total(body, bytes.size)) {
            return STATUS_TOO_LARGE;
        }
        body->left = bytes.size;
        *payload = take_data(body, bytes);
        break;
    default:
        break;
    }
    *consumed = payload->size;
    return STATUS_OK;
}
