#include "app/metrics_page.h"

#include "app/gate_process.h"
#include "auth/gate.h"
#include "jose/jwk.h"
#include "proxy/proxy.h"

#include <stdlib.h>

#define LABELS(...)                                                                                \
    (const struct metrics_label[]){__VA_ARGS__},                                                   \
        sizeof((const struct metrics_label[]){__VA_ARGS__}) / sizeof(struct metrics_label)

/* All workers added up. */
struct histogram_sum {
    const uint64_t *bounds;
    size_t bounds_count;
    uint64_t buckets[HISTOGRAM_BUCKETS_MAX];
    uint64_t sum;
};

struct totals {
    uint64_t requests[PROXY_OUTCOMES];
    uint64_t handshakes[PROXY_HANDSHAKES][2];
    uint64_t upstream_errors[PROXY_UPSTREAM_ERRORS];
    uint64_t limits_hit[PROXY_LIMITS];
    uint64_t connections_downstream, connections_upstream;
    struct histogram_sum request_duration, verify_duration, batch_size;
    struct auth_counters auth;
};

static void add_counters(uint64_t *sum, const counter *counters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum[i] += counter_read(&counters[i]);
    }
}

static void add_histogram(struct histogram_sum *sum, const struct histogram *histogram)
{
    sum->bounds = histogram->bounds;
    sum->bounds_count = histogram->bounds_count;
    add_counters(sum->buckets, histogram->buckets, histogram->bounds_count + 1);
    sum->sum += counter_read(&histogram->sum);
}

static void add_auth(struct totals *totals, const struct auth_worker *worker)
{
    struct auth_counters counters;
    auth_read_counters(worker, &counters);
    for (size_t i = 0; i < AUTH_DENIALS; i++) {
        totals->auth.denials[i] += counters.denials[i];
    }
    totals->auth.token_hits += counters.token_hits;
    totals->auth.token_misses += counters.token_misses;
    totals->auth.token_evictions += counters.token_evictions;
    totals->auth.replay_inserts += counters.replay_inserts;
    totals->auth.local_inserts += counters.local_inserts;
    add_histogram(&totals->verify_duration, auth_verify_durations(worker));
    add_histogram(&totals->batch_size, auth_batch_sizes(worker));
}

static void add_worker(struct totals *totals, const struct proxy *proxy)
{
    const struct proxy_metrics *metrics = proxy_metrics_of(proxy);
    add_counters(totals->requests, metrics->requests, PROXY_OUTCOMES);
    add_counters(&totals->handshakes[0][0], &metrics->handshakes[0][0],
                 (size_t)2 * PROXY_HANDSHAKES);
    add_counters(totals->upstream_errors, metrics->upstream_errors, PROXY_UPSTREAM_ERRORS);
    add_counters(totals->limits_hit, metrics->limits_hit, PROXY_LIMITS);
    totals->connections_downstream += counter_read(&metrics->connections_downstream);
    totals->connections_upstream += counter_read(&metrics->connections_upstream);
    add_histogram(&totals->request_duration, &metrics->request_duration);
    add_auth(totals, proxy_auth_worker(proxy));
}

/* A worker's proxy is there from RUNNING on, until the gate is freed. */
static const struct worker *first_running(const struct gate_process *gate)
{
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        int state = atomic_load_explicit(&gate->workers[i].state, memory_order_acquire);
        if (state == WORKER_RUNNING || state == WORKER_DONE) {
            return &gate->workers[i];
        }
    }
    return NULL;
}

static void add_workers(struct totals *totals, const struct gate_process *gate)
{
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        int state = atomic_load_explicit(&gate->workers[i].state, memory_order_acquire);
        if (state == WORKER_RUNNING || state == WORKER_DONE) {
            add_worker(totals, gate->workers[i].proxy);
        }
    }
}

/* ---- families ---- */

static void write_histogram(struct metrics_text *page, const char *name, const char *help,
                            const struct histogram_sum *sum, uint64_t per_unit)
{
    if (sum->bounds_count > 0) {
        metrics_family(page, METRICS_HISTOGRAM, name, help);
        metrics_histogram(page, NULL, 0, sum->bounds, sum->bounds_count, sum->buckets, sum->sum,
                          per_unit);
    }
}

static void write_build(struct metrics_text *page, const struct gate_process *gate)
{
    const struct worker *worker = first_running(gate);
    metrics_family(page, METRICS_GAUGE, "popgate_build_info", "What runs here; always 1.");
    metrics_sample(
        page,
        LABELS({"version", POPGATE_VERSION}, {"boringssl", tls_library_version()},
               {"io_backend", worker != NULL ? io_backend_name(io_backend_of(worker->io)) : "none"},
               {"crypto", verifier_implementation(gate->auth_shared.verifier)}),
        1);
}

static void write_requests(struct metrics_text *page, const struct totals *totals)
{
    metrics_family(page, METRICS_COUNTER, "popgate_requests", "Requests, by what became of them.");
    for (size_t i = 0; i < PROXY_OUTCOMES; i++) {
        metrics_sample(page, LABELS({"outcome", proxy_outcome_label((enum proxy_outcome)i)}),
                       totals->requests[i]);
    }
    metrics_family(page, METRICS_COUNTER, "popgate_denials",
                   "Requests that did not pass, by the check that failed.");
    for (size_t i = AUTH_DENIAL_NONE + 1; i < AUTH_DENIALS; i++) {
        metrics_sample(page, LABELS({"check", auth_denial_label((enum auth_denial)i)}),
                       totals->auth.denials[i]);
    }
    write_histogram(page, "popgate_request_duration_seconds",
                    "From a request's whole head to the last byte of its answer.",
                    &totals->request_duration, 1000000000);
}

static void write_signatures(struct metrics_text *page, const struct verifier *verifier)
{
    static const char *const engines[] = {"reference", "portable", "ifma"};
    struct verifier_counters counters;
    verifier_read_counters(verifier, &counters);
    metrics_family(page, METRICS_COUNTER, "popgate_signatures",
                   "Signatures verified, of proofs and tokens.");
    for (size_t alg = SIGNATURE_NONE + 1; alg < SIGNATURE_ALGORITHMS; alg++) {
        for (size_t engine = 0; engine < sizeof engines / sizeof engines[0]; engine++) {
            metrics_sample(page,
                           LABELS({"alg", jwa_name((enum signature_algorithm)alg)},
                                  {"engine", engines[engine]}),
                           counters.signatures[alg][engine]);
        }
    }
    metrics_family(page, METRICS_GAUGE, "popgate_key_contexts", "Keys with tables of their own.");
    metrics_sample(page, NULL, 0, counters.key_contexts);
    metrics_family(page, METRICS_COUNTER, "popgate_key_context_events", "What became of them.");
    metrics_sample(page, LABELS({"event", "hit"}), counters.context_hits);
    metrics_sample(page, LABELS({"event", "miss"}), counters.context_misses);
    metrics_sample(page, LABELS({"event", "build"}), counters.context_builds);
    metrics_sample(page, LABELS({"event", "eviction"}), counters.context_evictions);
    metrics_sample(page, LABELS({"event", "refusal"}), counters.context_refusals);
}

static void write_auth(struct metrics_text *page, const struct totals *totals)
{
    write_histogram(page, "popgate_verify_duration_seconds",
                    "The signatures of one turn, verified together.", &totals->verify_duration,
                    1000000000);
    write_histogram(page, "popgate_verify_batch_size", "How many signatures that were.",
                    &totals->batch_size, 1);
    metrics_family(page, METRICS_COUNTER, "popgate_token_cache_events",
                   "The cache of verified tokens.");
    metrics_sample(page, LABELS({"event", "hit"}), totals->auth.token_hits);
    metrics_sample(page, LABELS({"event", "miss"}), totals->auth.token_misses);
    metrics_sample(page, LABELS({"event", "eviction"}), totals->auth.token_evictions);
}

static void write_replay(struct metrics_text *page, const struct totals *totals,
                         const struct replay_cache *replay)
{
    struct replay_counters counters;
    replay_read_counters(replay, clock_read().boot_ns / 1000000000u, &counters);
    metrics_family(page, METRICS_GAUGE, "popgate_replay_entries", "Proofs remembered.");
    metrics_sample(page, NULL, 0, counters.entries);
    metrics_family(page, METRICS_GAUGE, "popgate_replay_capacity", "Proofs there is room for.");
    metrics_sample(page, NULL, 0, counters.capacity);
    metrics_family(page, METRICS_COUNTER, "popgate_replay_inserts",
                   "Proofs that passed everything else, by what the memory said.");
    metrics_sample(page, LABELS({"result", "new"}),
                   totals->auth.replay_inserts - totals->auth.local_inserts);
    metrics_sample(page, LABELS({"result", "local"}), totals->auth.local_inserts);
    metrics_sample(page, LABELS({"result", "replay"}),
                   totals->auth.denials[AUTH_DENIAL_PROOF_REPLAY]);
    metrics_sample(page, LABELS({"result", "full"}), totals->auth.denials[AUTH_DENIAL_REPLAY_FULL]);
    metrics_sample(page, LABELS({"result", "over_share"}),
                   totals->auth.denials[AUTH_DENIAL_REPLAY_SHARE]);
    metrics_sample(page, LABELS({"result", "unavailable"}),
                   totals->auth.denials[AUTH_DENIAL_REPLAY_UNAVAILABLE]);
}

static void write_store(struct metrics_text *page, struct store *store)
{
    struct store_counters counters;
    store_read_counters(store, &counters);
    metrics_family(page, METRICS_GAUGE, "popgate_replay_store_state",
                   "What replay.redis is; 1 for the one it is.");
    for (size_t i = 0; i < STORE_STATES; i++) {
        metrics_sample(page, LABELS({"state", store_state_label((enum store_state)i)}),
                       counters.state == i);
    }
    metrics_family(page, METRICS_GAUGE, "popgate_replay_store_local",
                   "1 while proofs are remembered here alone.");
    metrics_sample(page, NULL, 0, counters.local);
    metrics_family(page, METRICS_COUNTER, "popgate_replay_store_failures",
                   "Connections to replay.redis that failed, by why.");
    for (size_t i = STORE_UNREACHABLE; i < STORE_STATES; i++) {
        metrics_sample(page, LABELS({"state", store_state_label((enum store_state)i)}),
                       counters.failures[i]);
    }
    metrics_family(page, METRICS_COUNTER, "popgate_replay_store_memory_losses",
                   "How often it was found with a new memory.");
    metrics_sample(page, NULL, 0, counters.memory_losses);
    metrics_family(page, METRICS_COUNTER, "popgate_replay_store_inserts", "Proofs it was asked.");
    metrics_sample(page, NULL, 0, counters.inserts);
    metrics_family(page, METRICS_COUNTER, "popgate_replay_store_batches",
                   "Sends that those were in.");
    metrics_sample(page, NULL, 0, counters.batches);
}

static void write_connections(struct metrics_text *page, const struct totals *totals)
{
    static const char *const resumed[] = {"no", "yes"};
    metrics_family(page, METRICS_COUNTER, "popgate_handshakes", "TLS handshakes.");
    for (size_t i = 0; i < PROXY_HANDSHAKES; i++) {
        for (size_t j = 0; j < 2; j++) {
            metrics_sample(page,
                           LABELS({"result", proxy_handshake_label((enum proxy_handshake)i)},
                                  {"resumed", resumed[j]}),
                           totals->handshakes[i][j]);
        }
    }
    metrics_family(page, METRICS_GAUGE, "popgate_connections", "Open now.");
    metrics_sample(page, LABELS({"side", "downstream"}), totals->connections_downstream);
    metrics_sample(page, LABELS({"side", "upstream"}), totals->connections_upstream);
    metrics_family(page, METRICS_COUNTER, "popgate_upstream_errors",
                   "What the service, or the way to it, did wrong.");
    for (size_t i = 0; i < PROXY_UPSTREAM_ERRORS; i++) {
        metrics_sample(page,
                       LABELS({"kind", proxy_upstream_error_label((enum proxy_upstream_error)i)}),
                       totals->upstream_errors[i]);
    }
    metrics_family(page, METRICS_COUNTER, "popgate_limits_hit",
                   "Limits and timeouts of the configuration that were reached.");
    for (size_t i = 0; i < PROXY_LIMITS; i++) {
        metrics_sample(page, LABELS({"limit", proxy_limit_label((enum proxy_limit)i)}),
                       totals->limits_hit[i]);
    }
}

static void write_process(struct metrics_text *page, const struct gate_process *gate)
{
    metrics_family(page, METRICS_GAUGE, "popgate_certificate_expiry_timestamp_seconds",
                   "When the certificate served, and the first of the client CAs, expires.");
    metrics_sample_signed(page, LABELS({"which", "server"}),
                          atomic_load(&gate->certificate_expiry_s));
    metrics_sample_signed(page, LABELS({"which", "client_ca"}),
                          atomic_load(&gate->client_ca_expiry_s));
    metrics_family(page, METRICS_GAUGE, "popgate_config_generation",
                   "Which configuration is in force; 1 is the first.");
    metrics_sample(page, NULL, 0, atomic_load(&gate->config_generation));
    metrics_family(page, METRICS_COUNTER, "popgate_config_reloads", "Reloads asked for.");
    metrics_sample(page, LABELS({"result", "ok"}), atomic_load(&gate->reloads_ok));
    metrics_sample(page, LABELS({"result", "failed"}), atomic_load(&gate->reloads_failed));
    metrics_family(page, METRICS_COUNTER, "popgate_log_lines_dropped",
                   "Log lines that found no room, for whoever reads them is slow.");
    metrics_sample(page, NULL, 0, log_dropped(gate->log));
}

void metrics_page_collect(void *context, struct metrics_text *page)
{
    const struct gate_process *gate = context;
    struct totals totals = {0};
    add_workers(&totals, gate);
    write_build(page, gate);
    write_requests(page, &totals);
    write_auth(page, &totals);
    write_signatures(page, gate->auth_shared.verifier);
    write_replay(page, &totals, gate->auth_shared.replay);
    if (gate->replay_store != NULL) {
        write_store(page, replay_store_of(gate->replay_store));
    }
    write_connections(page, &totals);
    write_process(page, gate);
}
