/* The admin listener: /livez, /readyz and /metrics over plain HTTP/1.1, GET and HEAD only, on a
 * thread and a loop of its own, so that it answers while the workers are busy, and never takes
 * their time. */
#ifndef POPGATE_ADMIN_ADMIN_H
#define POPGATE_ADMIN_ADMIN_H

#include "admin/metrics_text.h"
#include "base/log.h"
#include "base/span.h"
#include "base/status.h"
#include "http/http1.h"

#define ADMIN_LISTENERS_MAX  4
#define ADMIN_CLIENTS_MAX    64
#define ADMIN_HEAD_BYTES_MAX 8192
#define ADMIN_HEADERS_MAX    64
#define ADMIN_PAGE_BYTES_MAX (512 * 1024)

enum admin_state {
    ADMIN_STARTING, /* /readyz: 503 */
    ADMIN_READY,    /* /readyz: 200 */
    ADMIN_DRAINING, /* /readyz: 503 */
};

/* A request on a private listener for none of the pages that all listeners have. */
struct admin_private {
    struct span path, query;
    bool changes; /* PUT or POST; else GET or HEAD */
};

struct admin_options {
    int listeners[ADMIN_LISTENERS_MAX]; /* bound, listening, non-blocking (taken) */
    size_t listeners_count;
    struct log *log;
    /* Fills the page of metrics: the families and their samples, not metrics_text_finish. Runs on
     * the admin thread. */
    void (*collect)(void *context, struct metrics_text *page);
    void *context;
    /* Listeners from this one on are private: they have these pages too. Writes the body, and
     * returns the status; 0: no such page; 405: this page is only for reading. Runs on the admin
     * thread. */
    size_t private_from; /* 0 and private_page NULL: none is */
    uint16_t (*private_page)(void *context, const struct admin_private *asked,
                             struct http1_writer *out, const char **content_type);
    /* 0: the defaults of admin.c */
    uint32_t head_ms, idle_ms, send_ms;
};

struct admin;

/* Starts the thread. STATUS_OK sets *admin (owned). Otherwise a sentence is in `error`; the
 * listeners are closed in both cases once admin is freed. */
MUST_CHECK enum status admin_new(const struct admin_options *options, struct admin **admin,
                                 char *error, size_t error_size);

/* Closes everything and joins the thread. */
void admin_free(struct admin *admin);

/* Any thread. */
void admin_set_state(struct admin *admin, enum admin_state state);

struct admin_counters {
    uint64_t requests, refused; /* answered; malformed or too large */
    uint64_t timeouts, evicted; /* connections closed for slowness; for a newer one's sake */
};
/* Any thread. */
void admin_read_counters(const struct admin *admin, struct admin_counters *out);

#endif
