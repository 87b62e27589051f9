/* Strict JSON (RFC 8259) behind a C face; json.cc wraps simdjson. A document is refused for
 * duplicate names (compared unescaped), depth over 8, invalid UTF-8, lone surrogates, a byte order
 * mark, trailing bytes, numbers out of range, and every syntax error also in members that nobody
 * reads. Its root is an object or an array. One parser a worker; a parser never allocates after
 * json_parser_new. */
#ifndef POPGATE_JOSE_JSON_H
#define POPGATE_JOSE_JSON_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_DEPTH_MAX 8
/* Of one object; values nested deeper count in their own object. */
#define JSON_MEMBERS_MAX 64

enum json_type {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_INTEGER,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* One value of a parsed document, flattened in document order: an array's or object's contents
 * follow it, and `next` is the index just past all of them, so walking siblings is index =
 * values[index].next. */
struct json_value {
    enum json_type type;
    uint32_t next;
    struct span name; /* of an object's member, unescaped; empty otherwise */
    /* JSON_STRING: unescaped bytes (may hold NUL); JSON_NUMBER: raw text. Valid until the next
     * parse. */
    struct span text;
    /* JSON_INTEGER: the exact value. No fraction and no exponent: 1.0 and 1e3 are JSON_NUMBER. -0
     * is 0. JSON_BOOLEAN: 0 or 1. */
    int64_t integer;
};

struct json_document {
    const struct json_value *values; /* [0] is the root */
    uint32_t count;
};

struct json_parser;

/* Returns owned, with all the memory that documents of that size need (about 40 times it, touched
 * only as far as documents fill it), or NULL when memory fails or the size is over 1 GiB. The first
 * call of a process has simdjson choose its implementation, where a failing allocation ends the
 * process: make one at start. */
struct json_parser *json_parser_new(size_t document_bytes_max);
void json_parser_free(struct json_parser *parser);

/* Parses all of `text`. On STATUS_OK the document is valid until the next call on this parser.
 * STATUS_TOO_LARGE for more than document_bytes_max, JSON_DEPTH_MAX or JSON_MEMBERS_MAX, else
 * STATUS_MALFORMED (an integer outside int64 and a number outside double too); the document is then
 * empty. `text` is copied (simdjson needs padding). */
MUST_CHECK enum status json_parse(struct json_parser *parser, struct span text,
                                  struct json_document *document);

/* The member of object `object` (an index) called `name`, or NULL. */
const struct json_value *json_member(const struct json_document *document, uint32_t object,
                                     const char *name);

#ifdef __cplusplus
}
#endif

#endif
