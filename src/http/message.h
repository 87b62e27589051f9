/* An HTTP message head, whatever the version it came in. Spans point into the bytes that were
 * parsed, or into the connection's arena. */
#ifndef POPGATE_HTTP_MESSAGE_H
#define POPGATE_HTTP_MESSAGE_H

#include "base/span.h"
#include "base/status.h"
#include "base/uri.h"

#include <stdbool.h>
#include <stdint.h>

/* Field names the gate acts on; everything else is HTTP_FIELD_OTHER and passes through. */
enum http_field {
    HTTP_FIELD_OTHER = 0,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_DPOP,
    HTTP_FIELD_DPOP_NONCE,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_HOST,
    HTTP_FIELD_HOP_BY_HOP, /* keep-alive, proxy-connection, te, proxy-authenticate,
                              proxy-authorization, http2-settings */
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_UPGRADE,
    /* A header the gate itself sets towards the service, under any spelling that case and '_' (or
     * another sign) for '-' allow: stripped from every request and its trailers. */
    HTTP_FIELD_OURS,
    /* One of the others with '_' (or another sign) for '-', such as Content_Length, which CGI and
     * its heirs read as the real one: a request with it is refused. */
    HTTP_FIELD_DISGUISED,
    HTTP_FIELDS
};

struct http_header {
    struct span name;
    struct span value; /* optional white space trimmed */
    enum http_field field;
    bool dropped; /* not to be forwarded: hop by hop, named by Connection, or ours */
};

#define HTTP_HEADERS_MAX 256 /* the array's size; limits.headers is at most this */

enum http_body_kind {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

struct http_head {
    struct span method; /* requests */
    struct span target; /* requests: as it came */
    struct uri uri;     /* requests: path and query normalised (base/uri.h), authority from Host */
    uint16_t status;    /* responses */
    struct span reason; /* responses */
    uint8_t minor_version; /* HTTP/1.x */
    bool keep_alive;       /* by version and Connection */
    bool expect_continue;
    bool te_trailers; /* requests: the client will not throw trailers away (TE: trailers) */
    /* A WebSocket is asked for: Connection: upgrade and Upgrade: websocket, or extended CONNECT. In
     * responses: a 101 that agrees to it. */
    bool upgrade_websocket;
    bool
        extended_connect; /* CONNECT with :protocol (RFC 8441); the uri is as that of any request */
    enum http_body_kind body;
    uint64_t content_length;                  /* HTTP_BODY_LENGTH */
    uint32_t authorization_count, dpop_count; /* how often each came */
    struct span authorization, dpop;          /* the first of each */
    uint32_t fields_seen; /* bit 1 << enum http_field for every field that came */
    uint32_t headers_count;
    struct http_header
        headers[HTTP_HEADERS_MAX]; /* last: only headers_count of them are ever written */
};

/* Empties the head without touching the array. */
void http_head_reset(struct http_head *head);

/* Classifies and appends one field, and keeps the counts and first values of Authorization and
 * DPoP. The caller has checked name (a token) and value, and that headers_count is below
 * HTTP_HEADERS_MAX. Returns the class. */
enum http_field http_head_add(struct http_head *head, struct span name, struct span value);

struct http_limits {
    uint32_t head_bytes_max;
    uint32_t headers_max;
    uint32_t header_bytes_max; /* of one header line of a request, without CRLF; 0: none */
    uint64_t body_bytes_max;   /* 0: none */
};

/* Why a message was refused: the status to answer with and static words for the log. */
struct http_refusal {
    uint16_t status; /* 400, 408, 413, 414, 417, 421, 431, 501, 505 */
    const char *reason;
    /* Of the 431s: limits.headers or limits.header_bytes, not limits.head_bytes. */
    bool too_many_headers, header_too_long;
};

#endif
