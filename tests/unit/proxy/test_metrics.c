#include "proxy/metrics.h"

#include <criterion/criterion.h>
#include <string.h>

Test(metrics, every_value_has_a_label_of_its_own)
{
    for (int i = 0; i < PROXY_OUTCOMES; i++) {
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(proxy_outcome_label((enum proxy_outcome)i),
                              proxy_outcome_label((enum proxy_outcome)j));
        }
    }
    for (int i = 0; i < PROXY_LIMITS; i++) {
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(proxy_limit_label((enum proxy_limit)i),
                              proxy_limit_label((enum proxy_limit)j));
        }
    }
    for (int i = 0; i < PROXY_UPSTREAM_ERRORS; i++) {
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(proxy_upstream_error_label((enum proxy_upstream_error)i),
                              proxy_upstream_error_label((enum proxy_upstream_error)j));
        }
    }
    for (int i = 0; i < PROXY_HANDSHAKES; i++) {
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(proxy_handshake_label((enum proxy_handshake)i),
                              proxy_handshake_label((enum proxy_handshake)j));
        }
    }
}

Test(metrics, durations_fall_into_rising_buckets)
{
    struct proxy_metrics metrics;
    proxy_metrics_init(&metrics);
    const struct histogram *histogram = &metrics.request_duration;
    cr_assert_leq(histogram->bounds_count, HISTOGRAM_BUCKETS_MAX - 1);
    for (size_t i = 1; i < histogram->bounds_count; i++) {
        cr_assert_lt(histogram->bounds[i - 1], histogram->bounds[i]);
    }
    histogram_record(&metrics.request_duration, 50000);
    histogram_record(&metrics.request_duration, 50001);
    histogram_record(&metrics.request_duration, UINT64_MAX / 2);
    cr_assert_eq(counter_read(&histogram->buckets[0]), 1);
    cr_assert_eq(counter_read(&histogram->buckets[1]), 1);
    cr_assert_eq(counter_read(&histogram->buckets[histogram->bounds_count]), 1);
}
