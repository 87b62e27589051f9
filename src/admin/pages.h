/* What the admin listener answers: pure, a request head in, an answer out. */
#ifndef POPGATE_ADMIN_PAGES_H
#define POPGATE_ADMIN_PAGES_H

#include "admin/admin.h"
#include "http/http1.h"

struct admin_pages {
    enum admin_state state;
    void (*collect)(void *context, struct metrics_text *page);
    void *context;
    char *page; /* ADMIN_PAGE_BYTES_MAX bytes to write a page into */
    /* On a private listener; else NULL. */
    uint16_t (*private_page)(void *context, const struct admin_private *asked,
                             struct http1_writer *out, const char **content_type);
};

/* Writes the whole answer. `*keep_alive` says on entry what the client and we would like, on return
 * what was written. */
void admin_answer(const struct admin_pages *pages, const struct http_head *head,
                  struct http1_writer *writer, bool *keep_alive);

/* The answer to bytes that are no request. The connection closes after it. */
void admin_refuse(const struct http_refusal *refusal, struct http1_writer *writer);

#endif
