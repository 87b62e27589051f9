#include "app/bench_load.h"

#include "app/bench_process.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS 1000000000u
/* So many handshakes at once while the connections are set up: below every listen backlog. */
#define OPENING_MAX 64
/* One that fails so often without a single answer in between is not there. */
#define FAILURES_IN_A_ROW_MAX 200
/* A chunk of a send queue holds a whole encrypted record. */
#define RECORD_BYTES 16384
#define CHUNK_BYTES  (20480 - 64)
#define HEAD_BYTES   2048 /* of a request, about */
/* A larger body is encrypted as it goes out. */
#define CHUNKS_OF_ONE_MAX 16
#define PROGRESS_NS       (SECOND_NS / 4)
#define TURN_MS_MAX       20
/* After the end, answers under way are waited for so long. */
#define GRACE_NS (5ull * SECOND_NS)

enum phase { PHASE_OPENING, PHASE_WARMUP, PHASE_MEASURED, PHASE_HOLD, PHASE_CLOSING };

struct load {
    struct bench_client client; /* first but for its owner's copy: callbacks find us by it */
    struct bench_credentials *credentials;
    const struct bench_load_options *options;
    struct bench_result *result;
    struct bench_connection *connections;
    struct bench_connection *idle, **idle_end; /* with room for a request, the longest first */
    unsigned opened;                           /* slots ever opened */
    unsigned opening, closed, busy;
    unsigned failures_in_a_row;
    enum phase phase;
    uint64_t started_ns, issued, answered; /* of this phase */
    uint64_t own_cpu_ns, watched_cpu_ns, steal_ns, progress_ns, progress_answered;
    bool stop;     /* no more requests at all */
    bool draining; /* this phase is over, its last answers are waited for */
    char request[BENCH_REQUEST_BYTES_MAX];
};

static struct load *load_of(struct bench_connection *connection)
{
    return (struct load *)connection->client;
}

static bool closed_loop(const struct load *load)
{
    return load->options->rate <= 0 || load->phase == PHASE_WARMUP;
}

static void put_idle(struct load *load, struct bench_connection *connection)
{
    connection->next = NULL;
    connection->listed = true;
    *load->idle_end = connection;
    load->idle_end = &connection->next;
}

static struct bench_connection *take_idle(struct load *load)
{
    struct bench_connection *connection = load->idle;
    load->idle = connection->next;
    connection->listed = false;
    if (load->idle == NULL) {
        load->idle_end = &load->idle;
    }
    return connection;
}

static uint64_t due_at(const struct load *load, uint64_t index)
{
    return load->started_ns + (uint64_t)((double)index * SECOND_NS / load->options->rate);
}

/* ---- sending ---- */

static struct span build_request(struct load *load, struct span token, struct span proof)
{
    const struct bench_load_options *options = load->options;
    struct http1_writer writer;
    http1_writer_init(&writer, load->request, sizeof load->request);
    http1_write(&writer, load->client.method);
    http1_write_string(&writer, " ");
    http1_write_string(&writer, options->path);
    http1_write_string(&writer, " HTTP/1.1\r\nHost: ");
    http1_write_string(&writer, options->authority);
    http1_write_string(&writer, "\r\nUser-Agent: popgate-bench\r\n");
    if (proof.size > 0) {
        http1_write_string(&writer, "Authorization: DPoP ");
        http1_write(&writer, token);
        http1_write_string(&writer, "\r\nDPoP: ");
        http1_write(&writer, proof);
        http1_write_string(&writer, "\r\n");
    }
    if (load->client.body_bytes > 0) {
        http1_write_string(&writer, "Content-Length: ");
        http1_write_number(&writer, load->client.body_bytes);
        http1_write_string(&writer, "\r\n");
    }
    http1_write_string(&writer, "\r\n");
    return writer.overflow ? (struct span){NULL, 0} : span_make(writer.data, writer.size);
}

static bool may_issue(struct load *load)
{
    uint64_t bound = load->phase == PHASE_WARMUP ? load->options->warmup : load->options->requests;
    if (load->stop || load->draining ||
        (load->phase != PHASE_WARMUP && load->phase != PHASE_MEASURED)) {
        return false;
    }
    return bound == 0 || load->issued < bound;
}

/* On a connection that has room and is in no list. */
static void issue(struct load *load, struct bench_connection *connection, uint64_t due_ns)
{
    struct span token = {NULL, 0}, proof = {NULL, 0};
    if (load->credentials != NULL && !bench_credentials_next(load->credentials, &token, &proof)) {
        load->result->out_of_proofs = true;
        load->stop = true;
        put_idle(load, connection);
        return;
    }
    struct span head = build_request(load, token, proof);
    if (head.size == 0) {
        load->result->failure = "the request's head is too large";
        load->stop = true;
        put_idle(load, connection);
        return;
    }
    load->issued++;
    load->busy++;
    bench_connection_send(connection, head, due_ns != 0 ? due_ns : clock_read().boot_ns);
    if (bench_connection_has_room(connection)) {
        put_idle(load, connection);
    }
}

/* Everything that is due and has a connection to go on. */
static void dispatch(struct load *load)
{
    uint64_t now_ns = clock_read().boot_ns;
    while (load->idle != NULL && may_issue(load)) {
        uint64_t due_ns = 0;
        if (!closed_loop(load)) {
            due_ns = due_at(load, load->issued);
            if (due_ns > now_ns) {
                return;
            }
        }
        issue(load, take_idle(load), due_ns);
    }
}

/* ---- what the connections tell ---- */

static void open_slot(struct load *load, struct bench_connection *connection)
{
    if (bench_connection_open(connection) == STATUS_OK) {
        load->opening++;
        return;
    }
    load->closed++;
    load->stop = true;
    load->result->failures++;
    if (load->result->failure == NULL) {
        load->result->failure = "no more sockets (see ulimit -n), or no memory";
    }
}

static void on_ready(struct bench_connection *connection)
{
    struct load *load = load_of(connection);
    load->opening--;
    load->failures_in_a_row = 0;
    if (load->phase == PHASE_MEASURED) {
        load->result->handshakes++;
        load->result->resumptions += connection->resumed;
        bench_histogram_add(&load->result->handshake_ns,
                            connection->open_ns - connection->opened_ns);
    }
    put_idle(load, connection);
}

static void count_answer(struct load *load, const struct bench_connection *connection,
                         struct bench_answer answer)
{
    struct bench_result *result = load->result;
    /* A connection of its own is part of what its request costs. */
    uint64_t from_ns = load->options->handshakes != BENCH_KEEP && load->options->rate <= 0
                           ? connection->opened_ns
                           : answer.due_ns;
    result->requests++;
    result->bytes += answer.bytes;
    result->statuses[answer.status < 600 ? answer.status : 0]++;
    bench_histogram_add(&result->latency_ns, clock_read().boot_ns - from_ns);
}

static void on_answered(struct bench_connection *connection, struct bench_answer answer,
                        bool reusable)
{
    struct load *load = load_of(connection);
    load->busy--;
    load->answered++;
    load->failures_in_a_row = 0;
    if (load->phase == PHASE_MEASURED) {
        count_answer(load, connection, answer);
    }
    if (!reusable || load->options->handshakes != BENCH_KEEP) {
        bench_connection_close(connection);
        return;
    }
    if (connection->listed) {
        return;
    }
    if (closed_loop(load) && load->idle == NULL && may_issue(load)) {
        issue(load, connection, 0);
        return;
    }
    put_idle(load, connection);
}

static void forget_idle(struct load *load, struct bench_connection *connection)
{
    if (!connection->listed) {
        return;
    }
    connection->listed = false;
    for (struct bench_connection **link = &load->idle; *link != NULL; link = &(*link)->next) {
        if (*link == connection) {
            *link = connection->next;
            load->idle_end = *link == NULL ? link : load->idle_end;
            return;
        }
    }
}

static void on_ended(struct bench_connection *connection)
{
    struct load *load = load_of(connection);
    if (connection->failure != NULL) {
        /* Each request that was under way failed; without one, the connection itself did. */
        load->result->failures += connection->under_way > 0 ? connection->under_way : 1;
        load->failures_in_a_row++;
        if (load->result->failure == NULL) {
            load->result->failure = connection->failure;
        }
        load->stop = load->stop || load->failures_in_a_row > FAILURES_IN_A_ROW_MAX;
    }
    load->opening -= connection->open_ns < connection->opened_ns;
    load->busy -= connection->under_way;
    connection->under_way = 0;
    forget_idle(load, connection);
    if (load->stop || load->phase >= PHASE_HOLD ||
        (load->draining && load->phase == PHASE_MEASURED)) {
        load->closed++;
    } else {
        open_slot(load, connection);
    }
}

static const struct bench_events load_events = {on_ready, on_answered, on_ended};

/* ---- turning ---- */

static void show_progress(struct load *load)
{
    uint64_t now_ns = clock_read().boot_ns;
    if (!load->options->progress || now_ns - load->progress_ns < PROGRESS_NS) {
        return;
    }
    double seconds = (double)(now_ns - load->started_ns) / SECOND_NS;
    double rate = (double)(load->answered - load->progress_answered) * SECOND_NS /
                  (double)(now_ns - load->progress_ns);
    fprintf(stderr, "\r%s %6.1f s  %10llu requests  %8.0f/s  p99 %7.3f ms  %llu failures\033[K",
            load->phase == PHASE_WARMUP ? "warm-up" : "measure", seconds,
            (unsigned long long)load->answered, rate,
            (double)bench_histogram_quantile(&load->result->latency_ns, 0.99) / 1e6,
            (unsigned long long)load->result->failures);
    load->progress_ns = now_ns;
    load->progress_answered = load->answered;
}

/* In the open loop a request may be due within microseconds: the loop does not sleep then, but lets
 * whoever shares its core go first. */
static enum status turn(struct load *load)
{
    uint32_t wait_ms = TURN_MS_MAX;
    if (load->phase == PHASE_MEASURED && !closed_loop(load) && may_issue(load)) {
        uint64_t due_ns = due_at(load, load->issued), now_ns = clock_read().boot_ns;
        uint64_t left_ms = due_ns > now_ns ? (due_ns - now_ns) / 1000000 : 0;
        wait_ms = load->idle == NULL ? 1 : left_ms < TURN_MS_MAX ? (uint32_t)left_ms : TURN_MS_MAX;
    }
    enum status status = io_turn(load->client.io, wait_ms);
    if (wait_ms == 0) {
        sched_yield();
    }
    dispatch(load);
    show_progress(load);
    return status;
}

static enum status open_all(struct load *load)
{
    const struct bench_load_options *options = load->options;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !load->stop &&
           (load->opened < options->connections || load->opening > 0)) {
        while (load->opened < options->connections && load->opening < OPENING_MAX && !load->stop) {
            open_slot(load, &load->connections[load->opened++]);
        }
        status = io_turn(load->client.io, TURN_MS_MAX);
    }
    return status;
}

static void begin(struct load *load, enum phase phase)
{
    const struct bench_load_options *options = load->options;
    load->phase = phase;
    load->draining = false;
    load->issued = 0;
    load->answered = 0;
    load->progress_answered = 0;
    load->own_cpu_ns = bench_own_cpu_ns();
    load->steal_ns = bench_machine_steal_ns();
    load->watched_cpu_ns = bench_process_cpu_ns(options->watched, options->watched_count);
    load->started_ns = clock_read().boot_ns;
    load->progress_ns = load->started_ns;
}

static bool phase_done(const struct load *load)
{
    uint64_t now_ns = clock_read().boot_ns;
    const struct bench_load_options *options = load->options;
    uint64_t bound = load->phase == PHASE_WARMUP ? options->warmup : options->requests;
    if (load->stop || (bound != 0 && load->answered + load->result->failures >= bound)) {
        return true;
    }
    return load->phase == PHASE_MEASURED && options->duration_ns != 0 &&
           now_ns - load->started_ns >= options->duration_ns;
}

static enum status run_phase(struct load *load, enum phase phase)
{
    enum status status = STATUS_OK;
    begin(load, phase);
    dispatch(load);
    while (status == STATUS_OK && !phase_done(load)) {
        status = turn(load);
    }
    /* What is under way still counts: leaving it out would leave out the slowest. */
    load->draining = true;
    uint64_t end_ns = clock_read().boot_ns + GRACE_NS;
    while (status == STATUS_OK && load->busy > 0 && clock_read().boot_ns < end_ns) {
        status = io_turn(load->client.io, TURN_MS_MAX);
    }
    if (phase == PHASE_MEASURED) {
        const struct bench_load_options *options = load->options;
        struct bench_result *result = load->result;
        result->elapsed_ns = clock_read().boot_ns - load->started_ns;
        result->own_cpu_ns = bench_own_cpu_ns() - load->own_cpu_ns;
        result->machine_steal_ns = bench_machine_steal_ns() - load->steal_ns;
        result->watched_cpu_ns = bench_process_cpu_ns(options->watched, options->watched_count) -
                                 load->watched_cpu_ns;
    }
    return status;
}

static enum status hold(struct load *load)
{
    const struct bench_load_options *options = load->options;
    enum status status = STATUS_OK;
    load->phase = PHASE_HOLD;
    uint64_t end_ns = clock_read().boot_ns + options->hold_ns;
    while (status == STATUS_OK && clock_read().boot_ns < end_ns) {
        status = io_turn(load->client.io, TURN_MS_MAX);
    }
    load->result->watched_memory_bytes = bench_process_memory(options->watched,
                                                              options->watched_count);
    for (unsigned i = 0; i < load->opened; i++) {
        load->result->connections_open += load->connections[i].state == BENCH_IDLE ||
                                          load->connections[i].state == BENCH_BUSY;
    }
    return status;
}

static enum status close_all(struct load *load)
{
    enum status status = STATUS_OK;
    load->phase = PHASE_CLOSING;
    uint64_t end_ns = clock_read().boot_ns + GRACE_NS;
    for (unsigned i = 0; i < load->opened; i++) {
        bench_connection_close(&load->connections[i]);
    }
    while (status == STATUS_OK && load->closed < load->opened && clock_read().boot_ns < end_ns) {
        status = io_turn(load->client.io, TURN_MS_MAX);
    }
    return load->closed == load->opened ? status : STATUS_FAILED;
}

static enum status run(struct load *load)
{
    enum status status = open_all(load);
    if (status == STATUS_OK && !load->stop && load->options->warmup > 0) {
        status = run_phase(load, PHASE_WARMUP);
    }
    if (status == STATUS_OK && !load->stop) {
        status = run_phase(load, PHASE_MEASURED);
    }
    if (load->options->progress) {
        fprintf(stderr, "\r\033[K");
    }
    if (status == STATUS_OK) {
        status = hold(load);
    }
    enum status closing = close_all(load);
    return status == STATUS_OK ? closing : status;
}

enum status bench_load_run(struct bench_client *client, struct bench_credentials *credentials,
                           const struct bench_load_options *options, struct bench_result *result)
{
    memset(result, 0, sizeof *result);
    struct load *load = calloc(1, sizeof *load);
    struct bench_connection *connections = calloc(options->connections, sizeof *connections);
    if (load == NULL || connections == NULL) {
        free(load);
        free(connections);
        return STATUS_NO_MEMORY;
    }
    load->client = *client;
    load->client.events = &load_events;
    load->client.resume = options->handshakes == BENCH_RESUMED;
    load->credentials = credentials;
    load->options = options;
    load->result = result;
    load->connections = connections;
    load->idle_end = &load->idle;
    /* A send queue holds what the requests of one moment encrypt to, and what says goodbye. */
    size_t chunks = 3 + (client->streams_max * (client->body_bytes + HEAD_BYTES)) / RECORD_BYTES;
    chunks = chunks < CHUNKS_OF_ONE_MAX ? chunks : CHUNKS_OF_ONE_MAX;
    chunk_pool_init(&load->client.chunks, CHUNK_BYTES, chunks * options->connections + 64);
    for (unsigned i = 0; i < options->connections; i++) {
        connections[i].client = &load->client;
    }
    enum status status = run(load);
    if (load->closed < load->opened) {
        result->sockets_left = true;
        return status; /* sockets are still open: their memory has to stay */
    }
    for (unsigned i = 0; i < load->opened; i++) {
        bench_connection_cleanup(&connections[i]);
    }
    chunk_pool_cleanup(&load->client.chunks);
    free(connections);
    free(load);
    if (status == STATUS_OK && result->requests == 0) {
        status = STATUS_FAILED;
    }
    return status;
}
