#include "app/bench_histogram.h"

#define LINEAR ((uint64_t)1 << BENCH_HISTOGRAM_LINEAR_BITS)

/* Below LINEAR a bucket is one value; above, each power of two has LINEAR buckets of equal width.
 */
static size_t bucket_of(uint64_t value)
{
    if (value >> BENCH_HISTOGRAM_VALUE_BITS != 0) {
        return BENCH_HISTOGRAM_BUCKETS - 1;
    }
    if (value < LINEAR) {
        return (size_t)value;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
    unsigned shift = exponent - BENCH_HISTOGRAM_LINEAR_BITS;
    return ((size_t)(shift + 1) << BENCH_HISTOGRAM_LINEAR_BITS) +
           (size_t)((value >> shift) - LINEAR);
}

uint64_t bench_histogram_edge(size_t index)
{
    if (index < LINEAR) {
        return index;
    }
    unsigned shift = (unsigned)(index >> BENCH_HISTOGRAM_LINEAR_BITS) - 1;
    return (LINEAR + (index & (LINEAR - 1))) << shift;
}

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value)
{
    histogram->lowest = histogram->count == 0 || value < histogram->lowest ? value
                                                                           : histogram->lowest;
    histogram->highest = value > histogram->highest ? value : histogram->highest;
    histogram->count++;
    histogram->sum += value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double quantile)
{
    if (histogram->count == 0) {
        return 0;
    }
    double wanted = quantile * (double)histogram->count;
    uint64_t rank = (uint64_t)wanted + ((double)(uint64_t)wanted < wanted);
    rank = rank < 1 ? 1 : rank;
    uint64_t seen = 0;
    for (size_t i = 0; i < BENCH_HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t upper = bench_histogram_edge(i + 1) - 1;
            return upper < histogram->highest ? upper : histogram->highest;
        }
    }
    return histogram->highest;
}
