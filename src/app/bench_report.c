#include "app/bench_report.h"

#include "jose/json_write.h"

#define REPORT_BYTES_MAX 16384

struct quantile {
    const char *name;
    double rank;
};

static const struct quantile quantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};
#define QUANTILES (sizeof quantiles / sizeof quantiles[0])

static const char *handshakes_name(enum bench_handshakes handshakes)
{
    return handshakes == BENCH_FULL ? "full" : handshakes == BENCH_RESUMED ? "resumed" : "keep";
}

static double per(uint64_t amount, uint64_t count)
{
    return count > 0 ? (double)amount / (double)count : 0;
}

/* ---- for people ---- */

static void print_latency(const char *title, const struct bench_histogram *histogram, FILE *out)
{
    if (histogram->count == 0) {
        return;
    }
    fprintf(out, "%-12s", title);
    for (size_t i = 0; i < QUANTILES; i++) {
        fprintf(out, "%s %.3f  ", quantiles[i].name,
                (double)bench_histogram_quantile(histogram, quantiles[i].rank) / 1e6);
    }
    fprintf(out, "max %.3f  mean %.3f ms\n", (double)histogram->highest / 1e6,
            per(histogram->sum, histogram->count) / 1e6);
}

static void print_answers(const struct bench_result *result, FILE *out)
{
    fprintf(out, "answers    ");
    for (size_t status = 0; status < 600; status++) {
        if (result->statuses[status] > 0) {
            fprintf(out, " %zu: %llu ", status, (unsigned long long)result->statuses[status]);
        }
    }
    fprintf(out, "\n");
    if (result->failures > 0) {
        fprintf(out, "failures    %llu; the first: %s\n", (unsigned long long)result->failures,
                result->failure != NULL ? result->failure : "");
    }
}

void bench_report_print(const struct bench_report *report, FILE *out)
{
    const struct bench_result *result = report->result;
    const struct bench_load_options *options = report->options;
    double seconds = (double)result->elapsed_ns / 1e9;
    fprintf(out, "%s\n%u connections (%s", report->url, options->connections, report->io_backend);
    if (report->http2) {
        fprintf(out, ", HTTP/2, %u streams at most", report->streams_max);
    }
    fprintf(out, "), ");
    if (options->rate > 0) {
        fprintf(out, "open loop at %.0f/s: latency counts from when a request was due\n",
                options->rate);
    } else {
        fprintf(out, "closed loop: latency counts from when a request was sent\n");
    }
    if (report->proofs > 0) {
        fprintf(out, "%zu proofs (%s) of %zu keys, signed before in %.1f s\n", report->proofs,
                report->algorithm, report->keys, report->signing_seconds);
    }
    fprintf(out, "requests    %llu in %.2f s: %.0f/s, %.1f MB/s of answers\n",
            (unsigned long long)result->requests, seconds, (double)result->requests / seconds,
            (double)result->bytes / seconds / 1e6);
    print_answers(result, out);
    print_latency("latency", &result->latency_ns, out);
    if (result->handshakes > 0) {
        fprintf(out, "handshakes  %llu, %llu of them resumed: %.0f/s\n",
                (unsigned long long)result->handshakes, (unsigned long long)result->resumptions,
                (double)result->handshakes / seconds);
        print_latency("handshake", &result->handshake_ns, out);
    }
    if (options->watched_count > 0) {
        fprintf(out, "watched     %.2f us of CPU a request; %.1f MiB of memory at %u connections\n",
                per(result->watched_cpu_ns, result->requests) / 1e3,
                (double)result->watched_memory_bytes / 1048576, result->connections_open);
    }
    fprintf(out, "generator   %.2f us of CPU a request\n",
            per(result->own_cpu_ns, result->requests) / 1e3);
    if (result->machine_steal_ns > 0) {
        fprintf(out, "steal       %.0f ms of this machine's CPUs were taken by its host\n",
                (double)result->machine_steal_ns / 1e6);
    }
    if (result->out_of_proofs) {
        fprintf(out, "ended when all proofs were used (--proofs N makes more)\n");
    }
}

/* ---- for machines ---- */

static void write_number(struct json_writer *writer, const char *name, double value)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%.3f", value);
    json_write_name_string(writer, name);
    json_write_json(writer, span_make(text, (size_t)size));
}

static void write_count(struct json_writer *writer, const char *name, uint64_t value)
{
    json_write_name_string(writer, name);
    json_write_integer(writer, (int64_t)value);
}

static void write_histogram(struct json_writer *writer, const char *name,
                            const struct bench_histogram *histogram)
{
    json_write_name_string(writer, name);
    json_write_object(writer);
    write_count(writer, "count", histogram->count);
    write_number(writer, "min", (double)histogram->lowest / 1e3);
    write_number(writer, "mean", per(histogram->sum, histogram->count) / 1e3);
    for (size_t i = 0; i < QUANTILES; i++) {
        write_number(writer, quantiles[i].name,
                     (double)bench_histogram_quantile(histogram, quantiles[i].rank) / 1e3);
    }
    write_number(writer, "max", (double)histogram->highest / 1e3);
    json_write_object_end(writer);
}

/* Microseconds at 1/2, 3/4, 7/8 and so on, as far as the count tells them apart: a plot's points.
 */
static void write_distribution(struct json_writer *writer, const struct bench_histogram *histogram)
{
    json_write_name_string(writer, "latency_distribution");
    json_write_array(writer);
    for (double rest = 0.5; rest * (double)histogram->count >= 1; rest /= 2) {
        char text[96];
        int size = snprintf(text, sizeof text, "[%.9f,%.3f]", 1 - rest,
                            (double)bench_histogram_quantile(histogram, 1 - rest) / 1e3);
        json_write_json(writer, span_make(text, (size_t)size));
    }
    json_write_array_end(writer);
}

static void write_statuses(struct json_writer *writer, const struct bench_result *result)
{
    json_write_name_string(writer, "statuses");
    json_write_object(writer);
    for (size_t status = 0; status < 600; status++) {
        if (result->statuses[status] > 0) {
            char name[8];
            snprintf(name, sizeof name, "%zu", status);
            write_count(writer, name, result->statuses[status]);
        }
    }
    json_write_object_end(writer);
}

enum status bench_report_print_json(const struct bench_report *report, FILE *out)
{
    const struct bench_result *result = report->result;
    const struct bench_load_options *options = report->options;
    char text[REPORT_BYTES_MAX];
    struct json_writer writer;
    struct span json;
    double seconds = (double)result->elapsed_ns / 1e9;
    json_write_begin(&writer, text, sizeof text);
    json_write_object(&writer);
    json_write_string_member(&writer, "url", span_from_string(report->url));
    json_write_string_member(&writer, "io_backend", span_from_string(report->io_backend));
    json_write_string_member(&writer, "protocol",
                             report->http2 ? SPAN_LITERAL("h2") : SPAN_LITERAL("http/1.1"));
    write_count(&writer, "connections", options->connections);
    write_count(&writer, "max_concurrent_streams", report->streams_max);
    json_write_string_member(&writer, "handshake_mode",
                             span_from_string(handshakes_name(options->handshakes)));
    write_number(&writer, "rate_asked", options->rate);
    write_count(&writer, "proofs", report->proofs);
    write_count(&writer, "keys", report->keys);
    write_number(&writer, "signing_seconds", report->signing_seconds);
    write_count(&writer, "requests", result->requests);
    write_count(&writer, "failures", result->failures);
    json_write_string_member(&writer, "failure", span_from_string(result->failure));
    write_statuses(&writer, result);
    write_number(&writer, "seconds", seconds);
    write_number(&writer, "requests_per_second", (double)result->requests / seconds);
    write_count(&writer, "answer_bytes", result->bytes);
    write_count(&writer, "handshakes", result->handshakes);
    write_count(&writer, "resumptions", result->resumptions);
    write_histogram(&writer, "latency_us", &result->latency_ns);
    write_distribution(&writer, &result->latency_ns);
    write_histogram(&writer, "handshake_us", &result->handshake_ns);
    write_number(&writer, "generator_cpu_us", (double)result->own_cpu_ns / 1e3);
    write_number(&writer, "machine_steal_us", (double)result->machine_steal_ns / 1e3);
    write_number(&writer, "watched_cpu_us", (double)result->watched_cpu_ns / 1e3);
    write_count(&writer, "watched_memory_bytes", result->watched_memory_bytes);
    write_count(&writer, "connections_open", result->connections_open);
    json_write_name_string(&writer, "out_of_proofs");
    json_write_boolean(&writer, result->out_of_proofs);
    json_write_object_end(&writer);
    enum status status = json_write_end(&writer, &json);
    if (status == STATUS_OK) {
        fprintf(out, "%.*s\n", SPAN_ARG(json));
    }
    return status;
}
