#include "proxy/metrics.h"

/* Edges of request durations in nanoseconds: 50 us to 30 s. */
static const uint64_t duration_bounds_ns[] = {
    50000,     100000,     250000,     500000,     1000000,     2500000,
    5000000,   10000000,   25000000,   50000000,   100000000,   250000000,
    500000000, 1000000000, 2500000000, 5000000000, 10000000000, 30000000000,
};

void proxy_metrics_init(struct proxy_metrics *metrics)
{
    *metrics = (struct proxy_metrics){0};
    metrics->request_duration.bounds = duration_bounds_ns;
    metrics->request_duration.bounds_count = sizeof duration_bounds_ns /
                                             sizeof duration_bounds_ns[0];
}

const char *proxy_outcome_label(enum proxy_outcome outcome)
{
    static const char *const labels[] = {
#define X(name, label) [PROXY_OUTCOME_##name] = label,
        PROXY_OUTCOME_LIST(X)
#undef X
    };
    return labels[outcome];
}

const char *proxy_handshake_label(enum proxy_handshake result)
{
    static const char *const labels[] = {
#define X(name, label) [PROXY_HANDSHAKE_##name] = label,
        PROXY_HANDSHAKE_LIST(X)
#undef X
    };
    return labels[result];
}

const char *proxy_upstream_error_label(enum proxy_upstream_error kind)
{
    static const char *const labels[] = {
#define X(name, label) [PROXY_UPSTREAM_ERROR_##name] = label,
        PROXY_UPSTREAM_ERROR_LIST(X)
#undef X
    };
    return labels[kind];
}

const char *proxy_limit_label(enum proxy_limit limit)
{
    static const char *const labels[] = {
#define X(name, label) [PROXY_LIMIT_##name] = label,
        PROXY_LIMIT_LIST(X)
#undef X
    };
    return labels[limit];
}
