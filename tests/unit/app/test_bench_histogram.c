#include "app/bench_histogram.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static struct bench_histogram *empty(void)
{
    struct bench_histogram *histogram = calloc(1, sizeof *histogram);
    cr_assert_not_null(histogram);
    return histogram;
}

Test(bench_histogram, nothing_has_no_quantile)
{
    struct bench_histogram *histogram = empty();
    cr_assert_eq(bench_histogram_quantile(histogram, 0.5), 0);
    free(histogram);
}

Test(bench_histogram, one_value_is_every_quantile)
{
    struct bench_histogram *histogram = empty();
    bench_histogram_add(histogram, 123456789);
    for (int i = 0; i <= 4; i++) {
        cr_assert_eq(bench_histogram_quantile(histogram, i / 4.0), 123456789);
    }
    cr_assert_eq(histogram->lowest, 123456789);
    cr_assert_eq(histogram->highest, 123456789);
    free(histogram);
}

Test(bench_histogram, small_values_are_exact)
{
    struct bench_histogram *histogram = empty();
    for (uint64_t value = 1; value <= 50; value++) {
        bench_histogram_add(histogram, value);
    }
    cr_assert_eq(bench_histogram_quantile(histogram, 0.5), 25);
    cr_assert_eq(bench_histogram_quantile(histogram, 0.9), 45);
    cr_assert_eq(bench_histogram_quantile(histogram, 1), 50);
    cr_assert_eq(histogram->sum, 1275);
    free(histogram);
}

/* Against sorted values, over ten powers of two. */
Test(bench_histogram, quantiles_are_within_a_sixty_fourth)
{
    struct bench_histogram *histogram = empty();
    uint64_t value = 1;
    enum { COUNT = 4000 };
    static uint64_t values[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        value += 1 + value / 200;
        values[i] = value;
        bench_histogram_add(histogram, value);
        if (value > ((uint64_t)1 << 40)) {
            value = 1000;
        }
    }
    for (size_t i = 1; i < COUNT; i++) { /* insertion sort: nearly sorted */
        uint64_t moved = values[i];
        size_t at = i;
        for (; at > 0 && values[at - 1] > moved; at--) {
            values[at] = values[at - 1];
        }
        values[at] = moved;
    }
    const double quantiles[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        size_t rank = (size_t)(quantiles[i] * COUNT);
        rank += (double)rank < quantiles[i] * COUNT;
        uint64_t exact = values[rank - 1];
        uint64_t got = bench_histogram_quantile(histogram, quantiles[i]);
        cr_assert_geq(got, exact, "p%g", quantiles[i] * 100);
        cr_assert_leq(got, exact + exact / 64 + 1, "p%g: %llu for %llu", quantiles[i] * 100,
                      (unsigned long long)got, (unsigned long long)exact);
    }
    free(histogram);
}

Test(bench_histogram, edges_rise_and_meet)
{
    for (size_t i = 0; i + 1 < BENCH_HISTOGRAM_BUCKETS; i++) {
        cr_assert_lt(bench_histogram_edge(i), bench_histogram_edge(i + 1), "bucket %zu", i);
        struct bench_histogram *histogram = empty();
        bench_histogram_add(histogram, bench_histogram_edge(i));
        bench_histogram_add(histogram, bench_histogram_edge(i + 1) - 1);
        cr_assert_eq(histogram->buckets[i], 2, "bucket %zu", i);
        free(histogram);
    }
    cr_assert_eq(bench_histogram_edge(BENCH_HISTOGRAM_BUCKETS),
                 (uint64_t)1 << BENCH_HISTOGRAM_VALUE_BITS);
}

Test(bench_histogram, what_is_too_large_counts_in_the_last_bucket)
{
    struct bench_histogram *histogram = empty();
    bench_histogram_add(histogram, UINT64_MAX / 2);
    cr_assert_eq(histogram->buckets[BENCH_HISTOGRAM_BUCKETS - 1], 1);
    cr_assert_eq(bench_histogram_quantile(histogram, 0.5), UINT64_MAX / 2);
    free(histogram);
}
