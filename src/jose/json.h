/* Strict JSON behind a C face; json.cc wraps simdjson. A document is refused for duplicate keys
 * (compared unescaped), depth over 8, invalid UTF-8, lone surrogates, trailing bytes, and every
 * syntax error also in members that nobody reads. One parser a worker; a parser is reused without
 * allocation after warm-up. */
#ifndef POPGATE_JOSE_JSON_H
#define POPGATE_JOSE_JSON_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_DEPTH_MAX 8
#define JSON_MEMBERS_MAX                                                                           \
    64 /* of one object, STATUS_TOO_LARGE above; values nested deeper count in their own object */

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
    struct span text; /* JSON_STRING: unescaped bytes (may hold NUL); JSON_NUMBER: raw text. Valid
                         until the next parse */
    int64_t integer; /* JSON_INTEGER: the exact value (no fraction, no exponent); JSON_BOOLEAN: 0 or
                        1 */
};

struct json_document {
    const struct json_value *values; /* [0] is the root */
    uint32_t count;
};

struct json_parser;
struct json_parser *json_parser_new(size_t document_bytes_max);
void json_parser_free(struct json_parser *parser);

/* Parses all of `text`. On STATUS_OK the document is valid until the next call on this parser.
 * STATUS_MALFORMED, STATUS_TOO_LARGE, STATUS_NO_MEMORY otherwise. `text` is copied (simdjson needs
 * padding). */
MUST_CHECK enum status json_parse(struct json_parser *parser, struct span text,
                                  struct json_document *document);

/* The member of object `object` (an index) called `name`, or NULL. */
const struct json_value *json_member(const struct json_document *document, uint32_t object,
                                     const char *name);

#ifdef __cplusplus
}
#endif

#endif
