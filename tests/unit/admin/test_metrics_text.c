#include "admin/metrics_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char page[65536];
static struct metrics_text text;

static void begin(enum metrics_format format)
{
    metrics_text_init(&text, format, page, sizeof page - 1);
}

static void is(const char *want)
{
    metrics_text_finish(&text);
    cr_assert_not(text.overflow);
    page[text.size] = '\0';
    cr_assert_str_eq(page, want);
}

Test(metrics_text, counter)
{
    begin(METRICS_PROMETHEUS);
    metrics_family(&text, METRICS_COUNTER, "popgate_requests", "Requests.");
    metrics_sample(&text, &(struct metrics_label){"outcome", "allowed"}, 1, 12345);
    metrics_sample(&text, &(struct metrics_label){"outcome", "denied"}, 1, 0);
    is("# HELP popgate_requests_total Requests.\n"
       "# TYPE popgate_requests_total counter\n"
       "popgate_requests_total{outcome=\"allowed\"} 12345\n"
       "popgate_requests_total{outcome=\"denied\"} 0\n");
    begin(METRICS_OPENMETRICS);
    metrics_family(&text, METRICS_COUNTER, "popgate_requests", "Requests.");
    metrics_sample(&text, NULL, 0, UINT64_MAX);
    is("# HELP popgate_requests Requests.\n"
       "# TYPE popgate_requests counter\n"
       "popgate_requests_total 18446744073709551615\n"
       "# EOF\n");
}

Test(metrics_text, gauge_with_a_unit)
{
    begin(METRICS_OPENMETRICS);
    metrics_family(&text, METRICS_GAUGE, "x_timestamp_seconds", "When.");
    metrics_sample_signed(&text, &(struct metrics_label){"which", "ca"}, 1, -5);
    metrics_sample_signed(&text, NULL, 0, INT64_MIN);
    metrics_sample_signed(&text, NULL, 0, 7);
    is("# HELP x_timestamp_seconds When.\n"
       "# TYPE x_timestamp_seconds gauge\n"
       "# UNIT x_timestamp_seconds seconds\n"
       "x_timestamp_seconds{which=\"ca\"} -5\n"
       "x_timestamp_seconds -9223372036854775808\n"
       "x_timestamp_seconds 7\n"
       "# EOF\n");
    begin(METRICS_PROMETHEUS);
    metrics_family(&text, METRICS_GAUGE, "x_seconds", "When.");
    is("# HELP x_seconds When.\n# TYPE x_seconds gauge\n");
}

Test(metrics_text, values_are_escaped)
{
    const struct metrics_label labels[] = {{"a", "q\"b\\c\nd"}, {"b", NULL}, {"c", "\xc3\xa9"}};
    begin(METRICS_PROMETHEUS);
    metrics_family(&text, METRICS_GAUGE, "x", "a \"b\" \\ c\nd");
    metrics_sample(&text, labels, 3, 1);
    is("# HELP x a \"b\" \\\\ c\\nd\n# TYPE x gauge\n"
       "x{a=\"q\\\"b\\\\c\\nd\",b=\"\",c=\"\xc3\xa9\"} 1\n");
    begin(METRICS_OPENMETRICS);
    metrics_family(&text, METRICS_GAUGE, "x", "a \"b\"");
    is("# HELP x a \\\"b\\\"\n# TYPE x gauge\n# EOF\n");
}

static const uint64_t nanoseconds[] = {50000, 1000000, 2500000, 1000000000, 10000000000};

Test(metrics_text, histogram_in_seconds)
{
    const uint64_t buckets[] = {1, 0, 2, 3, 0, 4};
    begin(METRICS_PROMETHEUS);
    metrics_family(&text, METRICS_HISTOGRAM, "d_seconds", "D.");
    metrics_histogram(&text, NULL, 0, nanoseconds, 5, buckets, 12345678901, 1000000000);
    is("# HELP d_seconds D.\n# TYPE d_seconds histogram\n"
       "d_seconds_bucket{le=\"0.00005\"} 1\n"
       "d_seconds_bucket{le=\"0.001\"} 1\n"
       "d_seconds_bucket{le=\"0.0025\"} 3\n"
       "d_seconds_bucket{le=\"1\"} 6\n"
       "d_seconds_bucket{le=\"10\"} 6\n"
       "d_seconds_bucket{le=\"+Inf\"} 10\n"
       "d_seconds_sum 12.345678901\n"
       "d_seconds_count 10\n");
}

Test(metrics_text, histogram_of_numbers_with_labels)
{
    const uint64_t bounds[] = {1, 2}, buckets[] = {1, 2, 3};
    begin(METRICS_OPENMETRICS);
    metrics_family(&text, METRICS_HISTOGRAM, "s", "S.");
    metrics_histogram(&text, &(struct metrics_label){"k", "v"}, 1, bounds, 2, buckets, 20, 1);
    is("# HELP s S.\n# TYPE s histogram\n"
       "s_bucket{k=\"v\",le=\"1.0\"} 1\n"
       "s_bucket{k=\"v\",le=\"2.0\"} 3\n"
       "s_bucket{k=\"v\",le=\"+Inf\"} 6\n"
       "s_sum{k=\"v\"} 20\n"
       "s_count{k=\"v\"} 6\n# EOF\n");
}

Test(metrics_text, a_page_that_does_not_fit_is_said)
{
    for (size_t room = 0; room < 120; room++) {
        metrics_text_init(&text, METRICS_OPENMETRICS, page, room);
        page[room] = 'x';
        metrics_family(&text, METRICS_COUNTER, "popgate_requests", "Requests.");
        metrics_sample(&text, &(struct metrics_label){"outcome", "allowed"}, 1, 12345);
        metrics_text_finish(&text);
        cr_assert_eq(text.overflow, room < 124, "%zu", room);
        cr_assert_leq(text.size, room);
        cr_assert_eq(page[room], 'x');
    }
}

/* ---- Accept ---- */

static enum metrics_format accepts(const char *value)
{
    struct metrics_accept accept = {0};
    if (value != NULL) {
        metrics_accept_add(&accept, span_from_string(value));
    }
    return metrics_accept_choose(&accept);
}

Test(metrics_text, openmetrics_when_it_is_wanted)
{
    cr_assert_eq(accepts("application/openmetrics-text"), METRICS_OPENMETRICS);
    cr_assert_eq(accepts("Application/OpenMetrics-Text; version=1.0.0"), METRICS_OPENMETRICS);
    /* Prometheus 2.4x and 3 */
    cr_assert_eq(
        accepts("application/openmetrics-text;version=1.0.0;q=0.5,application/"
                "openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"),
        METRICS_OPENMETRICS);
    cr_assert_eq(accepts("text/plain;q=0.5, application/openmetrics-text ; q=0.5"),
                 METRICS_OPENMETRICS);
    cr_assert_eq(accepts("text/plain;q=0.499,application/openmetrics-text;q=.5,"
                         "application/openmetrics-text;q=0.5"),
                 METRICS_OPENMETRICS);
}

Test(metrics_text, text_otherwise)
{
    static const char *const values[] = {
        NULL,
        "",
        ",,;",
        "*/*",
        "text/plain",
        "text/html",
        "text/plain;q=0.9, application/openmetrics-text;q=0.8",
        "text/*, application/openmetrics-text;q=0.8",
        "*/*;q=1.000, application/openmetrics-text;q=0.999",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.000",
        "application/openmetrics-text;q=x",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=1.5",
        "application/openmetrics-text;q=0.0001",
        "application/openmetrics-text;q=1x",
        "application/openmetrics-text;q=0.a",
        "application/openmetrics-textual",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        cr_assert_eq(accepts(values[i]), METRICS_PROMETHEUS, "%s", values[i]);
    }
}

Test(metrics_text, several_accept_fields_are_one)
{
    struct metrics_accept accept = {0};
    metrics_accept_add(&accept, SPAN_LITERAL("application/openmetrics-text;q=0.3"));
    metrics_accept_add(&accept, SPAN_LITERAL("text/plain;q=0.2"));
    cr_assert_eq(metrics_accept_choose(&accept), METRICS_OPENMETRICS);
    metrics_accept_add(&accept, SPAN_LITERAL("text/plain;q=0.9"));
    cr_assert_eq(metrics_accept_choose(&accept), METRICS_PROMETHEUS);
}

Test(metrics_text, content_types)
{
    cr_assert_str_eq(metrics_content_type(METRICS_PROMETHEUS),
                     "text/plain; version=0.0.4; charset=utf-8");
    cr_assert_str_eq(metrics_content_type(METRICS_OPENMETRICS),
                     "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

/* ---- what a real parser reads ---- */

static void fill(enum metrics_format format)
{
    const uint64_t bounds[] = {1, 2, 8}, buckets[] = {1, 2, 3, 4}, times[] = {1, 2, 3, 0, 0, 1};
    begin(format);
    metrics_family(&text, METRICS_COUNTER, "popgate_requests", "Requests, by \"outcome\" \\ kind.");
    metrics_sample(&text, &(struct metrics_label){"outcome", "allowed"}, 1, 7);
    metrics_sample(&text, &(struct metrics_label){"outcome", "a\"b\\c\nd"}, 1, 8);
    metrics_family(&text, METRICS_GAUGE, "popgate_expiry_timestamp_seconds", "When.");
    metrics_sample_signed(&text, &(struct metrics_label){"which", "ca"}, 1, 1790000000);
    metrics_family(&text, METRICS_HISTOGRAM, "popgate_request_duration_seconds", "How long.");
    metrics_histogram(&text, NULL, 0, nanoseconds, 5, times, 12000000345, 1000000000);
    metrics_family(&text, METRICS_HISTOGRAM, "popgate_batch", "How many.");
    metrics_histogram(&text, &(struct metrics_label){"a", "b"}, 1, bounds, 3, buckets, 60, 1);
    metrics_text_finish(&text);
    cr_assert_not(text.overflow);
}

static const char script[] =
    "import sys\n"
    "try:\n"
    "    from prometheus_client.openmetrics.parser import text_string_to_metric_families as om\n"
    "    from prometheus_client.parser import text_string_to_metric_families as pt\n"
    "except ImportError:\n"
    "    sys.exit(77)\n"
    "page = sys.stdin.read()\n"
    "families = {f.name: f for f in (om if sys.argv[1] == 'om' else pt)(page)}\n"
    "assert set(families) == {'popgate_requests', 'popgate_expiry_timestamp_seconds',\n"
    "    'popgate_request_duration_seconds', 'popgate_batch'}, families\n"
    "r = families['popgate_requests']\n"
    "assert r.type == 'counter' and r.documentation == 'Requests, by \"outcome\" \\\\ kind.', r\n"
    "assert [(s.name, s.labels['outcome'], s.value) for s in r.samples] == [\n"
    "    ('popgate_requests_total', 'allowed', 7), ('popgate_requests_total', 'a\"b\\\\c\\nd', "
    "8)], r\n"
    "d = families['popgate_request_duration_seconds']\n"
    "assert d.type == 'histogram'\n"
    "v = {(s.name, float(s.labels.get('le', 'nan').replace('+', ''))): s.value for s in d.samples "
    "if 'le' in s.labels}\n"
    "assert v[('popgate_request_duration_seconds_bucket', 0.0025)] == 6, v\n"
    "assert v[('popgate_request_duration_seconds_bucket', float('inf'))] == 7, v\n"
    "assert [s.value for s in d.samples if s.name.endswith('_sum')] == [12.000000345]\n"
    "assert [s.value for s in families['popgate_batch'].samples if s.name.endswith('_count')] == "
    "[10]\n";

static void parse_with_python(enum metrics_format format, const char *name)
{
    fill(format);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        dup2(ends[0], 0);
        close(ends[0]);
        close(ends[1]);
        execl("/usr/bin/python3", "python3", "-c", script, name, (char *)NULL);
        _exit(77);
    }
    close(ends[0]);
    cr_assert_eq(write(ends[1], page, text.size), (ssize_t)text.size);
    close(ends[1]);
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        cr_skip_test("no prometheus_client for /usr/bin/python3");
    }
    cr_assert_eq(WEXITSTATUS(status), 0, "%s", page);
}

Test(metrics_text, prometheus_own_parser_reads_it)
{
    parse_with_python(METRICS_PROMETHEUS, "pt");
}

Test(metrics_text, openmetrics_own_parser_reads_it)
{
    parse_with_python(METRICS_OPENMETRICS, "om");
}
