/* A borrowed run of bytes. Spans never own; whoever made the bytes says how long they live. */
#ifndef POPGATE_BASE_SPAN_H
#define POPGATE_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;
};

struct span_mut {
    uint8_t *data;
    size_t size;
};

/* printf("%.*s", SPAN_ARG(s)) */
#define SPAN_ARG(s)        (int)(s).size, (const char *)(s).data
#define SPAN_LITERAL(text) ((struct span){(const uint8_t *)("" text), sizeof(text) - 1})

static inline struct span span_make(const void *data, size_t size)
{
    return (struct span){(const uint8_t *)data, size};
}

/* The bytes of a C string, without its NUL. NULL gives the empty span. */
static inline struct span span_from_string(const char *text)
{
    return (struct span){(const uint8_t *)text, text != NULL ? strlen(text) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_equal_string(struct span a, const char *text)
{
    return span_equal(a, span_from_string(text));
}

/* ASCII case only: the bytes above 0x7f are compared as they are. */
bool span_equal_ignore_case(struct span a, struct span b);

/* Without the bytes before `offset`, which is at most a.size. */
static inline struct span span_after(struct span a, size_t offset)
{
    return (struct span){a.data + offset, a.size - offset};
}

static inline struct span span_first(struct span a, size_t size)
{
    return (struct span){a.data, size};
}

static inline bool span_starts_with(struct span a, struct span prefix)
{
    return a.size >= prefix.size && span_equal(span_first(a, prefix.size), prefix);
}

/* The index of the first `byte`, or a.size. */
static inline size_t span_find(struct span a, uint8_t byte)
{
    const uint8_t *hit = a.size > 0 ? (const uint8_t *)memchr(a.data, byte, a.size) : NULL;
    return hit != NULL ? (size_t)(hit - a.data) : a.size;
}

#endif
