/* Writes a page of metrics: Prometheus text 0.0.4, or OpenMetrics 1.0. Pure: numbers in, text out.
 * Who fills the page names a family once and then its samples; the writer knows how each format
 * spells them. */
#ifndef POPGATE_ADMIN_METRICS_TEXT_H
#define POPGATE_ADMIN_METRICS_TEXT_H

#include "base/span.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

#define METRICS_LABELS_MAX 6

struct metrics_label {
    const char *name;  /* a literal of [a-z_] */
    const char *value; /* escaped when written; NULL reads as "" */
};

struct metrics_text {
    enum metrics_format format;
    char *data;
    size_t size, capacity;
    bool overflow;    /* something did not fit: the page is no good */
    const char *name; /* of the family begun last */
    enum metrics_type type;
};

void metrics_text_init(struct metrics_text *text, enum metrics_format format, char *data,
                       size_t capacity);

/* Begins a family. `name` and `help` are literals and live as long as the family is written; a
 * counter's name is without "_total", which its samples get. A name that ends in "_seconds" has
 * that unit. */
void metrics_family(struct metrics_text *text, enum metrics_type type, const char *name,
                    const char *help);

/* One sample of a counter or gauge. */
void metrics_sample(struct metrics_text *text, const struct metrics_label *labels,
                    size_t labels_count, uint64_t value);
/* The same with a sign: for gauges that are times. */
void metrics_sample_signed(struct metrics_text *text, const struct metrics_label *labels,
                           size_t labels_count, int64_t value);

/* One histogram: `buckets` holds bounds_count + 1 counts, not cumulative, the last one beyond every
 * bound. Bounds and sum are in units of 1 / per_unit: 1000000000 for nanoseconds shown as seconds,
 * 1 for plain numbers. */
void metrics_histogram(struct metrics_text *text, const struct metrics_label *labels,
                       size_t labels_count, const uint64_t *bounds, size_t bounds_count,
                       const uint64_t *buckets, uint64_t sum, uint64_t per_unit);

/* OpenMetrics' last line. */
void metrics_text_finish(struct metrics_text *text);

/* What to write, from the values of a request's Accept fields, one call each, on a struct that
 * began as zeros. OpenMetrics if it is accepted (RFC 9110 section 12.5.1) and not less welcome than
 * plain text. */
struct metrics_accept {
    unsigned openmetrics, text; /* weights, 0 to 1000 */
};
void metrics_accept_add(struct metrics_accept *accept, struct span value);
enum metrics_format metrics_accept_choose(const struct metrics_accept *accept);
const char *metrics_content_type(enum metrics_format format);

#endif
