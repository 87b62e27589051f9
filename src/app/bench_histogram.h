/* Latencies in buckets that are linear within each power of two: a quantile is off by less than
 * 1/64 of itself, whatever its size, and adding one is a shift and an increment. One thread. */
#ifndef POPGATE_APP_BENCH_HISTOGRAM_H
#define POPGATE_APP_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_HISTOGRAM_LINEAR_BITS 6
/* Values from 2^42 (over an hour in nanoseconds) are counted as if they were just below it. */
#define BENCH_HISTOGRAM_VALUE_BITS 42
#define BENCH_HISTOGRAM_BUCKETS                                                                    \
    ((BENCH_HISTOGRAM_VALUE_BITS - BENCH_HISTOGRAM_LINEAR_BITS + 1) << BENCH_HISTOGRAM_LINEAR_BITS)

struct bench_histogram {
    uint64_t count, sum, lowest, highest;
    uint64_t buckets[BENCH_HISTOGRAM_BUCKETS];
};

/* A zeroed histogram is an empty one. */
void bench_histogram_add(struct bench_histogram *histogram, uint64_t value);

/* The upper edge of the bucket that holds the value of rank `quantile` (0 to 1), never over the
 * highest value seen; 0 when empty. */
uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double quantile);

/* The lowest value that counts in bucket `index`; the next bucket's is one past its highest. */
uint64_t bench_histogram_edge(size_t index);

#endif
