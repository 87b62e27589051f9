/* Counters and histograms of one worker: plain memory written by its own thread with relaxed
 * atomics (no lock, no shared cache line), read by the admin thread, which adds the workers up. */
#ifndef POPGATE_BASE_METRICS_H
#define POPGATE_BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

/* Only the owning worker adds, so a load and a store are enough: no locked instruction. */
static inline void counter_add(counter *value, uint64_t amount)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static inline void counter_set(counter *value, uint64_t amount)
{
    atomic_store_explicit(value, amount, memory_order_relaxed);
}

static inline uint64_t counter_read(const counter *value)
{
    return atomic_load_explicit((counter *)value, memory_order_relaxed);
}

#define HISTOGRAM_BUCKETS_MAX 24

/* Bounds are the shared, constant upper edges (inclusive) in the unit of the values; the last
 * bucket is +Inf. */
struct histogram {
    const uint64_t *bounds;
    size_t bounds_count; /* at most HISTOGRAM_BUCKETS_MAX - 1 */
    counter buckets[HISTOGRAM_BUCKETS_MAX];
    counter sum;
};

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
    size_t index = 0;
    while (index < histogram->bounds_count && value > histogram->bounds[index]) {
        index++;
    }
    counter_add(&histogram->buckets[index], 1);
    counter_add(&histogram->sum, value);
}

#endif
