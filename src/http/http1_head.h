/* What requests and responses of HTTP/1.1 have in common: lines, fields, Connection and the framing
 * of the body. Internal to this folder. Every reason is static words. */
#ifndef POPGATE_HTTP_HTTP1_HEAD_H
#define POPGATE_HTTP_HTTP1_HEAD_H

#include "http/http1.h"

#define HTTP1_CONNECTION_OPTIONS_MAX 16

/* Where the fields that the parser acts on stand among the headers: valid for those in
 * head->fields_seen. */
struct http1_fields {
    uint32_t repeated; /* bit 1 << field */
    uint8_t first[HTTP_FIELDS];
};

struct http1_connection {
    bool close, keep_alive, upgrade, te;
};

/* Takes the next whole line, without its CRLF, at scan->line_start. STATUS_AGAIN: not whole yet.
 * STATUS_MALFORMED: a control character, and so a CR or LF that is not a CRLF. */
MUST_CHECK enum status http1_next_line(struct http1_scan *scan, struct span bytes,
                                       struct span *line, const char **reason);

/* Checks "name: value". With `head` the field is appended, which has room; NULL only checks.
 * `readable` bytes at line.data may be read. */
MUST_CHECK enum status http1_read_field(struct span line, size_t readable, struct http_head *head,
                                        struct http1_fields *fields, const char **reason);

/* Reads all Connection fields. With `protect`, options that name a protected field are refused. */
MUST_CHECK enum status http1_read_connection(const struct http_head *head, bool protect,
                                             struct http1_connection *connection,
                                             const char **reason);

/* Decides head->body (NONE, LENGTH or CHUNKED) and head->content_length from the fields.
 * STATUS_UNSUPPORTED for a transfer coding other than chunked. */
MUST_CHECK enum status http1_read_framing(struct http_head *head, const struct http1_fields *fields,
                                          const char **reason);

/* True if the head asks for, or agrees to, a WebSocket. */
bool http1_upgrades_to_websocket(const struct http_head *head, const struct http1_fields *fields,
                                 const struct http1_connection *connection);

static inline struct span http1_first_value(const struct http_head *head,
                                            const struct http1_fields *fields,
                                            enum http_field field)
{
    return head->headers[fields->first[field]].value;
}

#endif
