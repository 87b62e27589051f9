/* Field lists of HTTP/2 as the proxy builds them, and as lines of text where they must be kept. */
#ifndef POPGATE_PROXY_H2_FIELDS_H
#define POPGATE_PROXY_H2_FIELDS_H

#include "base/buffer.h"
#include "http/h2_session.h"

struct h2_fields {
    size_t count;
    struct h2_field list[H2_FIELDS_MAX];
};

/* What does not fit is left out: callers come with at most HTTP_HEADERS_MAX and a few of their own.
 */
void h2_fields_add(struct h2_fields *fields, struct span name, struct span value);

/* "name: value" lines, each with CRLF. The text stays the caller's. */
void h2_fields_add_lines(struct h2_fields *fields, struct span lines);

/* Keeps what is not dropped of `trailers` in `buffer`, which is empty, as lines in one chunk.
 * STATUS_TOO_LARGE: they do not fit one. STATUS_FULL: there is no chunk. */
MUST_CHECK enum status h2_fields_keep(struct buffer *buffer, const struct http_head *trailers);
/* The lines again. */
struct span h2_fields_kept(const struct buffer *buffer);

#endif
