/* JSON text into the caller's memory: for what we sign, answer and print. Strings are escaped as
 * RFC 8259 section 7 asks and checked to be UTF-8, so that what is written is what json.h accepts;
 * depth and names are the caller's affair. A writer remembers its first failure and json_write_end
 * tells it, so calls need no checks in between. */
#ifndef POPGATE_JOSE_JSON_WRITE_H
#define POPGATE_JOSE_JSON_WRITE_H

#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

struct json_writer {
    char *out;
    size_t size;
    size_t used;
    enum status status; /* STATUS_OK until something did not fit (STATUS_TOO_LARGE) or was not UTF-8
                           (MALFORMED) */
    bool comma;         /* a value stands before the next one in the same container */
};

/* Writes to `out` of `size` bytes, borrowed until json_write_end. */
void json_write_begin(struct json_writer *writer, char *out, size_t size);

/* Sets *text to what was written, a part of `out`, without a NUL; empty unless STATUS_OK. */
MUST_CHECK enum status json_write_end(struct json_writer *writer, struct span *text);

void json_write_object(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);

/* Inside an object, before each value. */
void json_write_name(struct json_writer *writer, struct span name);

void json_write_string(struct json_writer *writer, struct span value);
void json_write_integer(struct json_writer *writer, int64_t value);
void json_write_boolean(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);

/* A value that is JSON already, such as a number's text or a JWK. */
void json_write_json(struct json_writer *writer, struct span json);

/* A name that is a C string, and a string value in one. */
static inline void json_write_name_string(struct json_writer *writer, const char *name)
{
    json_write_name(writer, span_from_string(name));
}
static inline void json_write_string_member(struct json_writer *writer, const char *name,
                                            struct span value)
{
    json_write_name_string(writer, name);
    json_write_string(writer, value);
}

#endif
