/* Message heads of HTTP/2 (RFC 9113 section 8): decoded fields in, a checked http_head out. No
 * nghttp2 here: what HPACK gave is judged field by field, and the same words are refused whoever
 * decoded them. */
#ifndef POPGATE_HTTP_H2_HEAD_H
#define POPGATE_HTTP_H2_HEAD_H

#include "http/message.h"

/* One head while its fields come. The text of every field is copied into `text` as "name:
 * value\r\n" so that what reads a head of HTTP/1.1 reads it too. */
struct h2_head {
    struct http_head *head;
    uint8_t *text; /* text_capacity bytes for fields, then text_capacity + 8 for the normalised
                      target: the owner's */
    uint32_t text_size, text_capacity;
    uint32_t list_bytes; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts: name, value and 32 each */
    uint32_t fields;     /* all that came, pseudo-header fields too */
    uint8_t pseudo_seen;
    bool regular_seen;
    bool te_trailers;
    uint8_t hosts, lengths, expects; /* how often, up to 2 */
    uint8_t cookies;                 /* up to 2 */
    struct span method, scheme, path, authority, protocol, status;
    struct span host, length, expect;
    struct http_refusal refusal; /* status 0: nothing is wrong so far */
};

/* What one field costs at most in `text`. */
#define H2_FIELD_TEXT_BYTES 4

void h2_head_begin(struct h2_head *builder, struct http_head *head, uint8_t *text,
                   uint32_t text_capacity);

/* Bytes of `text` that this field will need. */
static inline size_t h2_field_text_size(struct span name, struct span value)
{
    return name.size + value.size + H2_FIELD_TEXT_BYTES;
}
static inline bool h2_head_has_room(const struct h2_head *builder, struct span name,
                                    struct span value)
{
    return h2_field_text_size(name, value) <= builder->text_capacity - builder->text_size;
}

/* Moves everything to a larger text; the old one is the owner's to free afterwards. */
void h2_head_move(struct h2_head *builder, uint8_t *text, uint32_t text_capacity);

/* Takes one field of a request; there is room (h2_head_has_room), or the limits already refuse it.
 * What is wrong is kept in builder->refusal, and then the rest of the fields is only counted. */
void h2_head_request_field(struct h2_head *builder, const struct http_limits *limits,
                           struct span name, struct span value);

/* All fields are there. STATUS_OK: *builder->head is a request as http1_parse_request gives one,
 * body LENGTH where a length was announced, else CHUNKED unless `end_stream`; extended CONNECT
 * (RFC 8441) to "websocket" sets upgrade_websocket and extended_connect, and has no body: what
 * follows is the tunnel's. Else builder->refusal says what is wrong: 400 is RFC 9113's "malformed",
 * 501 another protocol. */
MUST_CHECK enum status h2_head_request_finish(struct h2_head *builder,
                                              const struct http_limits *limits, bool end_stream);

/* The same for a response to a request with `method`; 1xx are heads of their own. A 2xx to CONNECT
 * opens a tunnel: body UNTIL_CLOSE. */
void h2_head_response_field(struct h2_head *builder, const struct http_limits *limits,
                            struct span name, struct span value);
MUST_CHECK enum status h2_head_response_finish(struct h2_head *builder, struct span method,
                                               bool end_stream);

/* Trailers: fields without pseudo-header fields (RFC 9113 section 8.1: "Trailers MUST NOT include
 * pseudo-header fields"). What frames, routes or authenticates a message is dropped, since it must
 * not be merged (RFC 9110 section 6.5.1), and so is every name the gate sets. */
void h2_head_trailer_field(struct h2_head *builder, const struct http_limits *limits,
                           struct span name, struct span value);

/* True if this is a name (lower case, a token) and a value that HTTP/2 allows; *reason says why
 * not. */
bool h2_field_is_sound(struct span name, struct span value, const char **reason);

#endif
