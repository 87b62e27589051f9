/* What the name of a field says, for the files of this folder. */
#ifndef POPGATE_HTTP_FIELDS_H
#define POPGATE_HTTP_FIELDS_H

#include "http/message.h"

/* Classifies a name that is a token; `plain` if it is made of letters, digits and '-' alone. */
enum http_field http_field_classify(struct span name, bool plain);

/* True for a trailer field that must not go on: RFC 9110 section 6.5.1 has them limited to those
 * that may be merged, "when (and only when)" their definition permits it; what frames, routes,
 * authenticates or modifies a message, controls caching or says how to read the content never does;
 * nor does what the gate itself sets. */
bool http_trailer_is_dropped(const struct http_header *trailer);

/* True for what a client must not take away by naming it in Connection: what frames the message,
 * says whom it is for, or what the decision rests on. */
bool http_field_is_protected(enum http_field field);

static inline bool http_field_in(uint32_t set, enum http_field field)
{
    return (set >> field & 1) != 0;
}

static inline void http_head_append(struct http_head *head, struct span name, struct span value,
                                    enum http_field field)
{
    struct http_header *header = &head->headers[head->headers_count++];
    header->name = name;
    header->value = value;
    header->field = field;
    header->dropped = false;
    head->fields_seen |= 1u << field;
}

/* Keeps the first value and the count of what the decision reads. */
static inline void http_head_note(struct http_head *head, enum http_field field, struct span value)
{
    if (field == HTTP_FIELD_AUTHORIZATION && head->authorization_count++ == 0) {
        head->authorization = value;
    } else if (field == HTTP_FIELD_DPOP && head->dpop_count++ == 0) {
        head->dpop = value;
    }
}

#endif
