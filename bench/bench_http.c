/* What one head costs: nanoseconds, and instructions where the kernel lets us count them. Each line
 * is the best of several runs, so that two runs of this program can be compared with each other.
 * Bytes are warm in the cache, as they are behind TLS. */
#include "http/http1.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 15, HEADS = 100000 };

static const struct http_limits limits = {.head_bytes_max = 32768, .headers_max = 128};

static const char request_small[] = "GET /v1/orders/42 HTTP/1.1\r\n"
                                    "Host: orders.example.com\r\n"
                                    "User-Agent: curl/8.5.0\r\n"
                                    "Accept: */*\r\n\r\n";

static char
    request_usual[8192]; /* a service's call with a token and a proof, of the sizes they have */

static const char response_usual[] = "HTTP/1.1 200 OK\r\n"
                                     "Content-Type: application/json\r\n"
                                     "Content-Length: 512\r\n"
                                     "Date: Tue, 24 Nov 2026 20:50:16 GMT\r\n"
                                     "Cache-Control: no-store\r\n"
                                     "ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n"
                                     "X-Request-Id: 3f0e8a52-7a6c-4d0a-9d58-6d2b9bd3a2f1\r\n"
                                     "Server: orders\r\n\r\n";

static void make_usual(void)
{
    char token[900], proof[520];
    memset(token, 'a', sizeof token - 1);
    memset(proof, 'b', sizeof proof - 1);
    token[sizeof token - 1] = proof[sizeof proof - 1] = '\0';
    snprintf(
        request_usual, sizeof request_usual,
        "POST /v1/orders/42/lines?expand=customer&limit=50 HTTP/1.1\r\n"
        "Host: orders.example.com\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
        "Accept: application/json\r\n"
        "Accept-Encoding: gzip, deflate, br\r\n"
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 512\r\n"
        "Authorization: DPoP %s\r\n"
        "DPoP: %s\r\n"
        "Cache-Control: no-cache\r\n"
        "X-Request-Id: 3f0e8a52-7a6c-4d0a-9d58-6d2b9bd3a2f1\r\n"
        "X-Forwarded-For: 10.1.2.3\r\n"
        "X-Forwarded-Proto: https\r\n"
        "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n",
        token, proof);
}

static struct http_head head;
static uint8_t target[32768 + 8];
static char written[8192];

static void parse_request(struct span bytes)
{
    struct http1_scan scan = {0};
    struct http_refusal refusal;
    size_t size;
    if (http1_parse_request(&scan, bytes, &limits, (struct span_mut){target, sizeof target}, &head,
                            &size, &refusal) != STATUS_OK) {
        abort();
    }
}

static void forward_request(struct span bytes)
{
    struct http1_writer writer;
    parse_request(bytes);
    http_mark_dropped(&head, false);
    http1_writer_init(&writer, written, sizeof written);
    http1_write_request_head(&writer, &head);
    if (writer.overflow) {
        abort();
    }
}

static void parse_response(struct span bytes)
{
    struct http1_scan scan = {0};
    const char *reason;
    size_t size;
    if (http1_parse_response(&scan, bytes, &limits, SPAN_LITERAL("GET"), false, &head, &size,
                             &reason) != STATUS_OK) {
        abort();
    }
}

static void forward_response(struct span bytes)
{
    struct http1_writer writer;
    parse_response(bytes);
    http_mark_dropped(&head, false);
    http1_writer_init(&writer, written, sizeof written);
    http1_write_response_head(&writer, &head, 1, true);
    if (writer.overflow) {
        abort();
    }
}

static void normalise_target(struct span bytes)
{
    struct uri uri;
    if (uri_normalise_target(bytes, (struct span_mut){target, sizeof target}, &uri) != STATUS_OK) {
        abort();
    }
}

/* ---- measuring ---- */

/* A counter of this thread's user-space instructions, or -1. */
static int open_counter(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_HARDWARE,
                                         .size = sizeof attributes,
                                         .config = PERF_COUNT_HW_INSTRUCTIONS,
                                         .exclude_kernel = 1,
                                         .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static uint64_t read_counter(int counter)
{
    uint64_t value = 0;
    return counter >= 0 && read(counter, &value, sizeof value) == sizeof value ? value : 0;
}

static void measure(int counter, const char *name, void (*work)(struct span), struct span bytes)
{
    double best = 1e18;
    uint64_t instructions = 0;
    for (int run = 0; run < RUNS; run++) {
        uint64_t before = read_counter(counter);
        double start = now_ns();
        for (int i = 0; i < HEADS; i++) {
            work(bytes);
        }
        double took = (now_ns() - start) / HEADS;
        instructions = (read_counter(counter) - before) / HEADS;
        best = took < best ? took : best;
    }
    printf("%-28s %6zu bytes %8.1f ns", name, bytes.size, best);
    if (instructions > 0) {
        printf(" %8llu instructions", (unsigned long long)instructions);
    }
    printf(" %6.2f GB/s\n", (double)bytes.size / best);
}

int main(void)
{
    make_usual();
    int counter = open_counter();
    struct span small = span_from_string(request_small);
    struct span usual = span_from_string(request_usual);
    struct span response = span_from_string(response_usual);
    measure(counter, "request, small: parse", parse_request, small);
    measure(counter, "request, small: forward", forward_request, small);
    measure(counter, "request, usual: parse", parse_request, usual);
    measure(counter, "request, usual: forward", forward_request, usual);
    measure(counter, "response: parse", parse_response, response);
    measure(counter, "response: forward", forward_response, response);
    measure(counter, "target, plain", normalise_target,
            SPAN_LITERAL("/v1/orders/42/lines?expand=customer&limit=50"));
    measure(counter, "target, escapes and dots", normalise_target,
            SPAN_LITERAL("/v1/./orders/../orders/%34%32/lines%2fx?expand=customer"));
    if (counter >= 0) {
        close(counter);
    } else {
        printf("(no instruction counter here)\n");
    }
    return 0;
}
