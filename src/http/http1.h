/* HTTP/1.1 (RFC 9112), strict: what two parsers could read differently is refused. Bytes in, events
 * out; no descriptor, no clock. Heads are parsed in place, no header value is copied. */
#ifndef POPGATE_HTTP_HTTP1_H
#define POPGATE_HTTP_HTTP1_H

#include "http/message.h"

/* ---- heads ---- */

/* Where an unfinished head's scan stands, so that a head that comes byte by byte costs linear time.
 * Zero it for each new head. */
struct http1_scan {
    uint32_t scanned;    /* bytes known to hold no control character */
    uint32_t line_start; /* of the line that is not whole yet */
    uint32_t lines;      /* whole lines so far */
    bool blank_skipped;
};

/* Parses one request head at the start of `bytes`, which must be contiguous and start where the
 * head starts. STATUS_OK: *head is filled, *head_size bytes were the head. STATUS_AGAIN: not whole
 * yet, call with more bytes of the same head. STATUS_MALFORMED / STATUS_TOO_LARGE /
 * STATUS_UNSUPPORTED: *refusal says what to answer; the connection must close. `target_out` takes
 * the normalised target and authority and must have head_bytes_max + 8 bytes. Exactly one empty
 * line (CRLF) before the request line is skipped, as RFC 9112 section 2.2 allows. */
MUST_CHECK enum status http1_parse_request(struct http1_scan *scan, struct span bytes,
                                           const struct http_limits *limits,
                                           struct span_mut target_out, struct http_head *head,
                                           size_t *head_size, struct http_refusal *refusal);

/* The same for a response to a request with `method`; interim responses (1xx) come as heads of
 * their own. A 101 is illegal unless `upgrade_requested` (the request went out with
 * upgrade_websocket), and then sets head->upgrade_websocket. Any error means the upstream is
 * illegal: 502; *reason is static words for the log. */
MUST_CHECK enum status http1_parse_response(struct http1_scan *scan, struct span bytes,
                                            const struct http_limits *limits, struct span method,
                                            bool upgrade_requested, struct http_head *head,
                                            size_t *head_size, const char **reason);

/* ---- bodies ---- */

#define HTTP1_EXTENSION_BYTES_MAX 4096 /* of all chunk extensions of one message */
#define HTTP1_TRAILER_BYTES_MAX   8192
#define HTTP1_TRAILERS_MAX        64

struct http1_body {
    enum http_body_kind kind;
    uint64_t left;      /* of the length, or of the chunk */
    uint64_t total;     /* payload bytes seen */
    uint64_t total_max; /* 0: none; over it: STATUS_TOO_LARGE */
    uint8_t state;
    uint8_t size_digits;
    uint32_t line_bytes; /* of chunk extensions or trailers so far */
    uint32_t trailer_count;
    bool done;
    /* What the last call to http1_body_feed took of the trailer section, its empty line included: a
     * part of its `bytes`. Kept together by who wants the fields (http1_read_trailers). */
    struct span trailer_part;
};

void http1_body_init(struct http1_body *body, const struct http_head *head, uint64_t total_max);

/* Consumes from `bytes`: sets *consumed and *payload (a part of `bytes`, may be empty). STATUS_OK:
 * call again with the rest if any is left and body->done is false. STATUS_MALFORMED: the framing is
 * broken. STATUS_TOO_LARGE: over total_max or over the limits on extensions and trailers. Trailer
 * fields are checked like header fields. Chunk extensions are checked and dropped. */
MUST_CHECK enum status http1_body_feed(struct http1_body *body, struct span bytes, size_t *consumed,
                                       struct span *payload);

/* The fields of a whole trailer section, `text`: every trailer_part in order. They point into it.
 * STATUS_MALFORMED: it is none, which http1_body_feed would have said. */
MUST_CHECK enum status http1_read_trailers(struct span text, struct http_head *trailers);

/* ---- writing ---- */

/* A fixed buffer that remembers if anything did not fit: checked once at the end. */
struct http1_writer {
    char *data;
    size_t size, capacity;
    bool overflow;
};
void http1_writer_init(struct http1_writer *writer, char *data, size_t capacity);
void http1_write(struct http1_writer *writer, struct span text);
void http1_write_string(struct http1_writer *writer, const char *text);
void http1_write_number(struct http1_writer *writer, uint64_t number);
/* A value with a control character other than a tab is not written and counts as overflow: no value
 * can forge a line. */
void http1_write_header(struct http1_writer *writer, const char *name, struct span value);

/* The head to send upstream: request line from the normalised uri (GET for extended CONNECT: RFC
 * 6455 section 4.1), Host, every header not dropped, the framing we chose (length or chunked), and
 * no final CRLF, so that the caller can add its own headers and then "\r\n". */
void http1_write_request_head(struct http1_writer *writer, const struct http_head *head);

/* The head to send downstream, likewise without the final CRLF: status line, every header not
 * dropped, framing for a client of `client_minor_version`; "Connection: close" if !keep_alive. */
void http1_write_response_head(struct http1_writer *writer, const struct http_head *head,
                               uint8_t client_minor_version, bool keep_alive);

/* The lines of the trailers that are not dropped, without the empty line behind them. */
void http1_write_trailers(struct http1_writer *writer, const struct http_head *trailers);

/* How a body goes to a client of `client_minor_version`: what http1_write_response_head announces
 * and the caller must then write. LENGTH stays; CHUNKED and UNTIL_CLOSE become CHUNKED, for
 * HTTP/1.0 UNTIL_CLOSE (close after it). */
enum http_body_kind http1_response_framing(const struct http_head *head,
                                           uint8_t client_minor_version);

/* A whole answer of the gate's own: status line, `fields` (each ending in CRLF, may be empty),
 * Content-Length, Content-Type (NULL: none), "Connection: close" if !keep_alive, the empty line,
 * and `body` unless `head_only` (HEAD). */
void http1_write_answer(struct http1_writer *writer, uint16_t status, struct span fields,
                        const char *content_type, struct span body, bool keep_alive,
                        bool head_only);

/* The usual reason phrase; "" for a status we never send. */
const char *http_status_reason(uint16_t status);

/* "1a2b\r\n"; returns its size. `out` has room for 18 bytes. */
size_t http1_chunk_prefix(uint64_t size, char *out);

/* Marks what must not be forwarded (RFC 9110 section 7.6.1): hop-by-hop fields, those that
 * Connection names, HTTP_FIELD_OURS (after Connection has been honoured), and Authorization and
 * DPoP unless `forward_credentials`. */
void http_mark_dropped(struct http_head *head, bool forward_credentials);

/* The same for trailers: what must not be merged (http_trailer_is_dropped), and what the Connection
 * fields of `head`, whose trailers they are, name; NULL: there are none. */
void http_mark_trailers_dropped(const struct http_head *head, struct http_head *trailers);

/* True if Connection names anything but close, keep-alive, TE and upgrade. */
bool http_connection_names_fields(const struct http_head *head);

/* True if `name` is one of the headers the gate sets, under any spelling. */
bool http_field_is_ours(struct span name);

#endif
