/* The load generator's command line. */
#include "app/bench_load.h"
#include "app/bench_report.h"
#include "app/bench_target.h"
#include "app/command_options.h"
#include "app/commands.h"
#include "app/demo_keys.h"
#include "jose/jwk.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROOFS_MAX 20000000
/* Of a connection: what nghttp2 may allocate for one (H2_SESSION_BYTES_MAX) holds so many. */
#define STREAMS_MAX 256

struct arguments {
    const char *folder, *url, *connect, *ca, *certificate, *key, *audience, *method;
    const char *connections, *keys, *proofs, *requests, *duration, *warmup, *rate, *body_bytes;
    const char *streams, *handshakes, *algorithm, *hold, *cpu, *backend, *keys_file;
    const char *pids[BENCH_WATCHED_MAX];
    size_t pids_count;
    bool json, repeat, no_credentials, http2;
};

struct numbers {
    uint64_t connections, streams, keys, proofs, requests, warmup, rate, body_bytes, cpu;
    int64_t duration_s, hold_s;
};

static bool number(const struct command_line *line, const char *name, const char *text,
                   uint64_t low, uint64_t high, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long read = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (end == NULL || *end != '\0' || errno != 0 || read < low || read > high) {
        command_error(line, "--%s: '%s' is not a number from %llu to %llu", name, text,
                      (unsigned long long)low, (unsigned long long)high);
        return false;
    }
    *value = read;
    return true;
}

static bool seconds(const struct command_line *line, const char *name, const char *text,
                    int64_t *value)
{
    if (command_seconds(text, value) != STATUS_OK || *value < 0) {
        command_error(line, "--%s: '%s' is not a time such as 10s or 2m", name, text);
        return false;
    }
    return true;
}

static bool read_numbers(const struct command_line *line, const struct arguments *arguments,
                         struct numbers *numbers)
{
    return number(line, "connections", arguments->connections, 1, BENCH_CONNECTIONS_MAX,
                  &numbers->connections) &&
           number(line, "max-concurrent-streams", arguments->streams, 1, STREAMS_MAX,
                  &numbers->streams) &&
           number(line, "keys", arguments->keys, 1, BENCH_KEYS_MAX, &numbers->keys) &&
           number(line, "proofs", arguments->proofs, 1, PROOFS_MAX, &numbers->proofs) &&
           number(line, "requests", arguments->requests, 0, UINT32_MAX, &numbers->requests) &&
           number(line, "warmup", arguments->warmup, 0, UINT32_MAX, &numbers->warmup) &&
           number(line, "rate", arguments->rate, 0, 10000000, &numbers->rate) &&
           number(line, "body-bytes", arguments->body_bytes, 0, UINT32_MAX, &numbers->body_bytes) &&
           (arguments->cpu == NULL ||
            number(line, "cpu", arguments->cpu, 0, CPU_SETSIZE - 1, &numbers->cpu)) &&
           seconds(line, "duration", arguments->duration, &numbers->duration_s) &&
           seconds(line, "hold", arguments->hold, &numbers->hold_s);
}

static bool read_handshakes(const struct command_line *line, const char *text,
                            enum bench_handshakes *handshakes)
{
    if (text == NULL) {
        *handshakes = BENCH_KEEP;
    } else if (strcmp(text, "full") == 0) {
        *handshakes = BENCH_FULL;
    } else if (strcmp(text, "resumed") == 0) {
        *handshakes = BENCH_RESUMED;
    } else {
        command_error(line, "--handshakes: '%s' is neither full nor resumed", text);
        return false;
    }
    return true;
}

static bool read_backend(const struct command_line *line, const char *text,
                         enum io_backend *backend)
{
    static const enum io_backend known[] = {IO_AUTO, IO_URING, IO_EPOLL};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(text, i == 0 ? "auto" : io_backend_name(known[i])) == 0) {
            *backend = known[i];
            return true;
        }
    }
    command_error(line, "--io-backend: '%s' is none of auto, io_uring, epoll", text);
    return false;
}

/* ---- a run ---- */

struct bench {
    const struct command_line *line;
    const struct arguments *arguments;
    struct numbers numbers;
    struct bench_target target;
    struct bench_credentials *credentials;
    struct bench_client *client;
    struct bench_result *result;
    struct bench_load_options load;
    pid_t watched[BENCH_WATCHED_MAX];
    double signing_seconds;
    const char *algorithm;
    char error[DEMO_PATH_MAX + 256];
};

static enum status make_credentials(struct bench *bench)
{
    const struct arguments *arguments = bench->arguments;
    enum signature_algorithm algorithm = jwa_from_name(span_from_string(arguments->algorithm));
    if (algorithm != SIGNATURE_ES256 && algorithm != SIGNATURE_EDDSA) {
        snprintf(bench->error, sizeof bench->error, "--alg: '%s' is neither ES256 nor EdDSA",
                 arguments->algorithm);
        return STATUS_UNSUPPORTED;
    }
    bench->algorithm = jwa_name(algorithm);
    struct bench_credentials_options options = {
        .folder = arguments->folder,
        .algorithm = algorithm,
        .keys = bench->numbers.keys,
        .proofs = bench->numbers.proofs,
        .method = (const char *)bench->client->method.data,
        .url = bench->target.url,
        .audience = arguments->audience != NULL ? arguments->audience : bench->target.origin,
        .keys_file = arguments->keys_file,
        .repeat = arguments->repeat,
    };
    uint64_t start_ns = clock_read().boot_ns;
    enum status status = bench_credentials_new(&options, &bench->credentials, bench->error,
                                               sizeof bench->error);
    bench->signing_seconds = (double)(clock_read().boot_ns - start_ns) / 1e9;
    return status;
}

static enum status make_tls(struct bench *bench)
{
    const struct arguments *arguments = bench->arguments;
    char ca[DEMO_PATH_MAX], certificate[DEMO_PATH_MAX], key[DEMO_PATH_MAX];
    if (demo_path(arguments->folder, "ca.crt", ca) != STATUS_OK ||
        demo_path(arguments->folder, DEMO_CLIENT ".crt", certificate) != STATUS_OK ||
        demo_path(arguments->folder, DEMO_CLIENT ".key", key) != STATUS_OK) {
        snprintf(bench->error, sizeof bench->error, "--dir: the path is too long");
        return STATUS_TOO_LARGE;
    }
    struct tls_client_options options = {
        .ca_path = arguments->ca != NULL ? arguments->ca : ca,
        .certificate_path = arguments->certificate != NULL ? arguments->certificate : certificate,
        .private_key_path = arguments->key != NULL ? arguments->key : key,
        .min_version_minor = 2,
        .offer_http1 = !arguments->http2,
        .offer_http2 = arguments->http2,
        .keep_sessions = bench->load.handshakes == BENCH_RESUMED,
    };
    return tls_client_context_new(&options, &bench->client->tls, bench->error, sizeof bench->error);
}

/* After the signing, which uses every CPU there is. */
static enum status pin(struct bench *bench)
{
    cpu_set_t cpus;
    if (bench->arguments->cpu == NULL) {
        return STATUS_OK;
    }
    CPU_ZERO(&cpus);
    CPU_SET(bench->numbers.cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
        snprintf(bench->error, sizeof bench->error, "--cpu %s: %m", bench->arguments->cpu);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

static enum status make_io(struct bench *bench)
{
    struct io_options options = {0};
    struct rlimit files;
    if (!read_backend(bench->line, bench->arguments->backend, &options.backend)) {
        snprintf(bench->error, sizeof bench->error, "no such io backend");
        return STATUS_UNSUPPORTED;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    enum status status = io_new(&options, &bench->client->io);
    if (status != STATUS_OK) {
        snprintf(bench->error, sizeof bench->error, "no event loop: %m");
    }
    return status;
}

static enum status prepare(struct bench *bench)
{
    struct bench_client *client = bench->client;
    enum status status = bench_target_read(bench->arguments->url, bench->arguments->connect,
                                           &bench->target, bench->error, sizeof bench->error);
    client->server_name = bench->target.host;
    client->address = bench->target.address;
    client->address_size = bench->target.address_size;
    client->body_bytes = bench->numbers.body_bytes;
    client->method = span_from_string(bench->arguments->method);
    client->http2 = bench->arguments->http2;
    client->streams_max = (unsigned)bench->numbers.streams;
    if (status == STATUS_OK) {
        status = make_tls(bench);
    }
    if (status == STATUS_OK && !bench->arguments->no_credentials) {
        status = make_credentials(bench);
    }
    if (status == STATUS_OK) {
        status = pin(bench);
    }
    return status == STATUS_OK ? make_io(bench) : status;
}

static enum status report(struct bench *bench)
{
    struct bench_report report = {
        .url = bench->arguments->url,
        .io_backend = io_backend_name(io_backend_of(bench->client->io)),
        .http2 = bench->client->http2,
        .streams_max = bench->client->streams_max,
        .options = &bench->load,
        .result = bench->result,
        .signing_seconds = bench->signing_seconds,
        .proofs = bench->credentials != NULL ? bench->numbers.proofs : 0,
        .keys = bench->credentials != NULL ? bench->numbers.keys : 0,
        .algorithm = bench->algorithm,
    };
    if (bench->arguments->json) {
        return bench_report_print_json(&report, stdout);
    }
    bench_report_print(&report, stdout);
    return STATUS_OK;
}

static enum status run_load(struct bench *bench)
{
    bench->load.path = bench->target.path;
    bench->load.authority = bench->target.authority;
    bench->load.progress = isatty(STDERR_FILENO) == 1;
    enum status status = bench_load_run(bench->client, bench->credentials, &bench->load,
                                        bench->result);
    if (status != STATUS_OK) {
        snprintf(bench->error, sizeof bench->error, "%s: %s", bench->arguments->url,
                 bench->result->failure != NULL ? bench->result->failure : status_name(status));
        return status;
    }
    return report(bench);
}

static int run(struct bench *bench)
{
    bench->client = calloc(1, sizeof *bench->client);
    bench->result = calloc(1, sizeof *bench->result);
    enum status status = STATUS_NO_MEMORY;
    snprintf(bench->error, sizeof bench->error, "out of memory");
    if (bench->client != NULL && bench->result != NULL) {
        status = prepare(bench);
        status = status == STATUS_OK ? run_load(bench) : status;
    }
    if (status != STATUS_OK) {
        command_error(bench->line, "%s", bench->error);
    }
    /* With sockets that would not close, the loop goes with the process. */
    if (bench->client != NULL && bench->client->io != NULL && !bench->result->sockets_left) {
        io_free(bench->client->io);
    }
    bench_credentials_free(bench->credentials);
    if (bench->client != NULL) {
        tls_context_release(bench->client->tls);
    }
    free(bench->client);
    free(bench->result);
    return status == STATUS_OK ? 0 : 1;
}

static int check(const struct command_line *line, const struct arguments *arguments)
{
    struct bench bench = {.line = line, .arguments = arguments};
    if (arguments->folder == NULL || arguments->url == NULL) {
        command_error(line, "--dir DIR of a demo authority and --url https://... are needed");
        return 2;
    }
    if (!read_numbers(line, arguments, &bench.numbers) ||
        !read_handshakes(line, arguments->handshakes, &bench.load.handshakes)) {
        return 2;
    }
    if (bench.numbers.streams > 1 && (!arguments->http2 || bench.load.handshakes != BENCH_KEEP)) {
        command_error(line, "--max-concurrent-streams needs --http2 and no --handshakes");
        return 2;
    }
    for (size_t i = 0; i < arguments->pids_count; i++) {
        uint64_t process;
        if (!number(line, "pid", arguments->pids[i], 1, INT32_MAX, &process)) {
            return 2;
        }
        bench.watched[i] = (pid_t)process;
    }
    bench.load.watched = bench.watched;
    bench.load.watched_count = arguments->pids_count;
    bench.load.connections = (unsigned)bench.numbers.connections;
    bench.load.requests = bench.numbers.requests;
    bench.load.duration_ns = (uint64_t)bench.numbers.duration_s * 1000000000u;
    bench.load.warmup = bench.numbers.warmup;
    bench.load.rate = (double)bench.numbers.rate;
    bench.load.hold_ns = (uint64_t)bench.numbers.hold_s * 1000000000u;
    return run(&bench);
}

static int bench_http(int argc, char **argv)
{
    struct arguments arguments = {.connections = "64",
                                  .streams = "1",
                                  .keys = "200",
                                  .proofs = "20000",
                                  .requests = "0",
                                  .duration = "10s",
                                  .warmup = "0",
                                  .rate = "0",
                                  .body_bytes = "0",
                                  .hold = "0",
                                  .algorithm = "ES256",
                                  .backend = "auto",
                                  .method = "GET"};
    const struct command_option options[] = {
        {"dir", "DIR", "of demo-authority: CA, client certificate, issuer key", &arguments.folder,
         1, NULL, NULL},
        {"url", "URL", "what to ask for (https only)", &arguments.url, 1, NULL, NULL},
        {"connect", "HOST:PORT", "connect there instead", &arguments.connect, 1, NULL, NULL},
        {"connections", "N", "open at once (64)", &arguments.connections, 1, NULL, NULL},
        {"duration", "TIME", "measure so long at most (10s; 0: no bound)", &arguments.duration, 1,
         NULL, NULL},
        {"requests", "N", "measure so many at most (0: no bound)", &arguments.requests, 1, NULL,
         NULL},
        {"warmup", "N", "requests before those that count (0)", &arguments.warmup, 1, NULL, NULL},
        {"rate", "N", "open loop: so many a second, whatever the server does", &arguments.rate, 1,
         NULL, NULL},
        {"handshakes", "full|resumed", "a connection for every request", &arguments.handshakes, 1,
         NULL, NULL},
        {"body-bytes", "N", "of every request (0)", &arguments.body_bytes, 1, NULL, NULL},
        {"http2", NULL, "HTTP/2", NULL, 0, NULL, &arguments.http2},
        {"max-concurrent-streams", "N", "requests at once on a connection of HTTP/2 (1)",
         &arguments.streams, 1, NULL, NULL},
        {"method", "METHOD", "GET", &arguments.method, 1, NULL, NULL},
        {"keys", "N", "client keys that sign proofs (200)", &arguments.keys, 1, NULL, NULL},
        {"keys-file", "FILE", "keep them there, for the next run", &arguments.keys_file, 1, NULL,
         NULL},
        {"proofs", "N", "signed before the start (20000)", &arguments.proofs, 1, NULL, NULL},
        {"alg", "ALG", "of the proofs: ES256 (default), EdDSA", &arguments.algorithm, 1, NULL,
         NULL},
        {"repeat", NULL, "use the proofs again: for servers that remember none", NULL, 0, NULL,
         &arguments.repeat},
        {"no-credentials", NULL, "no token, no proof", NULL, 0, NULL, &arguments.no_credentials},
        {"audience", "URL", "of the tokens (the URL's origin)", &arguments.audience, 1, NULL, NULL},
        {"ca", "FILE", "whom the server's certificate is from (DIR/ca.crt)", &arguments.ca, 1, NULL,
         NULL},
        {"cert", "FILE", "our certificate (DIR/client-a.crt)", &arguments.certificate, 1, NULL,
         NULL},
        {"key", "FILE", "its key (DIR/client-a.key)", &arguments.key, 1, NULL, NULL},
        {"pid", "PID", "of the server, repeatable: report its CPU and memory", arguments.pids,
         BENCH_WATCHED_MAX, &arguments.pids_count, NULL},
        {"hold", "TIME", "keep the connections open, idle, at the end", &arguments.hold, 1, NULL,
         NULL},
        {"cpu", "N", "stay on this CPU once the proofs are signed", &arguments.cpu, 1, NULL, NULL},
        {"io-backend", "NAME", "auto, io_uring, epoll", &arguments.backend, 1, NULL, NULL},
        {"json", NULL, "one JSON object instead of text", NULL, 0, NULL, &arguments.json},
        {0},
    };
    const struct command_line line = {
        .command = "bench http",
        .synopsis = "--dir DIR --url URL [OPTIONS]",
        .purpose = "Loads a server over mutual TLS with fresh proofs, and tells what it did.\n"
                   "It ends at --duration, at --requests, or when all proofs are used.\n",
        .options = options,
        .examples = "  popgate bench http --dir demo --url " DEMO_ORIGIN "/ --connections 64\n"
                    "  popgate bench http --dir demo --url " DEMO_ORIGIN
                    "/ --rate 5000 --proofs 50000 --json\n"
                    "  popgate bench http --dir demo --url " DEMO_ORIGIN
                    "/ --http2 --connections 8 --max-concurrent-streams 32\n"
                    "  popgate bench http --dir demo --url " DEMO_ORIGIN "/ --handshakes resumed\n",
    };
    enum command_parse parsed = command_parse(&line, argc, argv);
    if (parsed != COMMAND_PARSE_GO) {
        return parsed == COMMAND_PARSE_HELP ? 0 : 2;
    }
    return check(&line, &arguments);
}

static void print_usage(FILE *out)
{
    fprintf(out,
            "usage: popgate bench http --dir DIR --url URL [OPTIONS]\n\n"
            "  http   loads a server over mutual TLS with fresh proofs\n\n"
            "popgate bench http --help says more. The single parts have programs of their own: "
            "make bench.\n");
}

int command_bench(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "http") == 0) {
        return bench_http(argc - 1, argv + 1);
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    if (argc >= 2) {
        fprintf(stderr, "popgate bench: there is no benchmark '%s'\n", argv[1]);
    }
    print_usage(stderr);
    return 2;
}
