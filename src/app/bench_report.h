/* What the load generator prints: for people, or one JSON object for machines. */
#ifndef POPGATE_APP_BENCH_REPORT_H
#define POPGATE_APP_BENCH_REPORT_H

#include "app/bench_load.h"

#include <stdio.h>

struct bench_report {
    const char *url, *io_backend;
    bool http2;
    unsigned streams_max; /* of a connection, with http2 */
    const struct bench_load_options *options;
    const struct bench_result *result;
    double signing_seconds; /* before the load */
    size_t proofs, keys;    /* 0: the requests carried none */
    const char *algorithm;
};

void bench_report_print(const struct bench_report *report, FILE *out);
/* STATUS_TOO_LARGE cannot be, but would be told. */
MUST_CHECK enum status bench_report_print_json(const struct bench_report *report, FILE *out);

#endif
