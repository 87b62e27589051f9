#include "app/metrics_page.h"

#include "admin/admin.h"
#include "app/commands.h"
#include "app/gate_process.h"
#include "base/rcu.h"
#include "unit/app/command_runner.h"
#include "unit/tls/driver.h"

#include <fcntl.h>

/* A gate of two workers that have loops and proxies, and no thread that runs them. */
static struct gate_process *gate;
static char *folder;
static char demo[600];
static char page[ADMIN_PAGE_BYTES_MAX];

static void add_worker(struct worker *worker)
{
    struct io_options io_options = {.backend = IO_EPOLL};
    cr_assert_eq(io_new(&io_options, &worker->io), STATUS_OK);
    struct proxy_options options = {
        .io = worker->io,
        .log = gate->log,
        .auth_shared = &gate->auth_shared,
        .settings = &gate->generation->proxy,
        .tls = gate->generation->tls,
    };
    worker->proxy = proxy_new(&options);
    cr_assert_not_null(worker->proxy);
    atomic_store(&worker->state, WORKER_RUNNING);
}

static void set_up(void)
{
    static struct command_result result;
    folder = test_folder_make();
    snprintf(demo, sizeof demo, "%s/demo", folder);
    RUN(command_demo_authority, &result, "demo-authority", demo);
    cr_assert(result.exit_code == 0, "%s", result.error);
    rcu_register();
    gate = calloc(1, sizeof *gate);
    static struct config_errors errors;
    char path[700], error[256];
    int survived = 0;
    snprintf(path, sizeof path, "%s/popgate.yaml", demo);
    gate->ticket_keys = tls_ticket_keys_new();
    cr_assert_eq(generation_load(path, 1, gate->ticket_keys, &gate->generation, &errors),
                 STATUS_OK);
    gate->log = log_new(open("/dev/null", O_WRONLY), LOG_TEXT, LOG_ERROR, 0);
    struct verifier_options verifier = {.key_memory_bytes = 1 << 20};
    struct replay_options replay = {.capacity = 1000, .window_s_max = 100};
    gate->auth_shared.verifier = verifier_new(&verifier);
    cr_assert_eq(
        replay_cache_new(&replay, &gate->auth_shared.replay, &survived, error, sizeof error),
        STATUS_OK);
    gate->auth_shared.nonces = nonce_issuer_new(NULL, NONCE_INSTANCE);
    gate->workers_count = 3;
    add_worker(&gate->workers[0]);
    add_worker(&gate->workers[1]); /* the third one is still starting */
}

static void tear_down(void)
{
    for (int i = 0; i < 2; i++) {
        struct worker *worker = &gate->workers[i];
        proxy_drain(worker->proxy);
        while (!proxy_finished(worker->proxy)) {
            cr_assert_eq(io_turn(worker->io, 10), STATUS_OK);
            proxy_turn_end(worker->proxy);
        }
        proxy_free(worker->proxy);
        io_free(worker->io);
    }
    generation_free(gate->generation);
    verifier_free(gate->auth_shared.verifier);
    replay_cache_free(gate->auth_shared.replay);
    nonce_issuer_free(gate->auth_shared.nonces);
    tls_ticket_keys_free(gate->ticket_keys);
    log_free(gate->log);
    free(gate);
    rcu_unregister();
    test_folder_remove(strdup(demo));
    test_folder_remove(folder);
}

TestSuite(metrics_page, .init = set_up, .fini = tear_down);

static void collect(enum metrics_format format)
{
    struct metrics_text text;
    metrics_text_init(&text, format, page, sizeof page - 1);
    metrics_page_collect(gate, &text);
    metrics_text_finish(&text);
    cr_assert_not(text.overflow);
    page[text.size] = '\0';
}

static void has(const char *line)
{
    char whole[300];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    cr_assert_not_null(strstr(page, whole), "no line %s", line);
}

static struct proxy_metrics *metrics(int worker)
{
    return (struct proxy_metrics *)(uintptr_t)proxy_metrics_of(gate->workers[worker].proxy);
}

/* Every name of the design's list, with its type. */
Test(metrics_page, every_metric_of_the_design)
{
    static const char *const types[] = {
        "popgate_build_info gauge",
        "popgate_requests_total counter",
        "popgate_denials_total counter",
        "popgate_request_duration_seconds histogram",
        "popgate_verify_duration_seconds histogram",
        "popgate_verify_batch_size histogram",
        "popgate_signatures_total counter",
        "popgate_key_contexts gauge",
        "popgate_key_context_events_total counter",
        "popgate_token_cache_events_total counter",
        "popgate_replay_entries gauge",
        "popgate_replay_capacity gauge",
        "popgate_replay_inserts_total counter",
        "popgate_handshakes_total counter",
        "popgate_connections gauge",
        "popgate_upstream_errors_total counter",
        "popgate_limits_hit_total counter",
        "popgate_certificate_expiry_timestamp_seconds gauge",
        "popgate_config_generation gauge",
        "popgate_config_reloads_total counter",
    };
    collect(METRICS_PROMETHEUS);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char line[120];
        snprintf(line, sizeof line, "# TYPE %s", types[i]);
        has(line);
    }
    /* And every family only once. */
    size_t families = 0, names = 0;
    for (const char *at = page; (at = strstr(at, "# TYPE ")) != NULL; at++) {
        families++;
        char name[120];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "\n"), at);
        size_t count = 0;
        for (const char *same = page; (same = strstr(same, name)) != NULL; same++) {
            count++;
        }
        cr_assert_eq(count, 1, "%s", name);
        names++;
    }
    cr_assert_eq(families, sizeof types / sizeof types[0] + 1); /* log lines dropped */
    cr_assert_eq(names, families);
}

Test(metrics_page, workers_are_added_up)
{
    counter_add(&metrics(0)->requests[PROXY_OUTCOME_ALLOWED], 5);
    counter_add(&metrics(1)->requests[PROXY_OUTCOME_ALLOWED], 7);
    counter_add(&metrics(1)->requests[PROXY_OUTCOME_OVERLOADED], 1);
    counter_add(&metrics(0)->handshakes[PROXY_HANDSHAKE_OK][1], 3);
    counter_add(&metrics(1)->handshakes[PROXY_HANDSHAKE_OK][0], 4);
    counter_add(&metrics(1)->handshakes[PROXY_HANDSHAKE_CLOSED][1], 6);
    counter_add(&metrics(0)->upstream_errors[PROXY_UPSTREAM_ERROR_CUT], 2);
    counter_add(&metrics(1)->upstream_errors[PROXY_UPSTREAM_ERROR_CUT], 2);
    counter_add(&metrics(0)->limits_hit[PROXY_LIMIT_DRAIN], 9);
    counter_set(&metrics(0)->connections_downstream, 11);
    counter_set(&metrics(1)->connections_downstream, 22);
    counter_set(&metrics(1)->connections_upstream, 44);
    histogram_record(&metrics(0)->request_duration, 1);
    histogram_record(&metrics(1)->request_duration, 1500000000);
    histogram_record(&metrics(1)->request_duration, UINT64_C(100000000000));
    collect(METRICS_PROMETHEUS);
    has("popgate_requests_total{outcome=\"allowed\"} 12");
    has("popgate_requests_total{outcome=\"overloaded\"} 1");
    has("popgate_requests_total{outcome=\"denied\"} 0");
    has("popgate_handshakes_total{result=\"ok\",resumed=\"yes\"} 3");
    has("popgate_handshakes_total{result=\"ok\",resumed=\"no\"} 4");
    has("popgate_handshakes_total{result=\"closed\",resumed=\"yes\"} 6");
    has("popgate_upstream_errors_total{kind=\"cut\"} 4");
    has("popgate_limits_hit_total{limit=\"drain\"} 9");
    has("popgate_connections{side=\"downstream\"} 33");
    has("popgate_connections{side=\"upstream\"} 44");
    has("popgate_request_duration_seconds_bucket{le=\"1\"} 1");
    has("popgate_request_duration_seconds_bucket{le=\"2.5\"} 2");
    has("popgate_request_duration_seconds_bucket{le=\"+Inf\"} 3");
    has("popgate_request_duration_seconds_sum 101.500000001");
    has("popgate_request_duration_seconds_count 3");
}

Test(metrics_page, what_is_shared)
{
    struct replay_key key = {1, 2};
    uint64_t now_s = clock_read().boot_ns / 1000000000u;
    cr_assert_eq(replay_insert(gate->auth_shared.replay, key, now_s, now_s + 60), STATUS_OK);
    atomic_store(&gate->certificate_expiry_s, 1900000000);
    atomic_store(&gate->client_ca_expiry_s, -1);
    atomic_store(&gate->config_generation, 4);
    atomic_store(&gate->reloads_ok, 3);
    atomic_store(&gate->reloads_failed, 2);
    collect(METRICS_OPENMETRICS);
    has("popgate_replay_entries 1");
    has("popgate_replay_capacity 1000");
    has("popgate_certificate_expiry_timestamp_seconds{which=\"server\"} 1900000000");
    has("popgate_certificate_expiry_timestamp_seconds{which=\"client_ca\"} -1");
    has("popgate_config_generation 4");
    has("popgate_config_reloads_total{result=\"ok\"} 3");
    has("popgate_config_reloads_total{result=\"failed\"} 2");
    has("popgate_signatures_total{alg=\"EdDSA\",engine=\"reference\"} 0");
    char line[300];
    snprintf(
        line, sizeof line,
        "popgate_build_info{version=\"%s\",boringssl=\"%s\",io_backend=\"epoll\",crypto=\"%s\"} 1",
        POPGATE_VERSION, tls_library_version(),
        verifier_implementation(gate->auth_shared.verifier));
    has(line);
    cr_assert_str_eq(page + strlen(page) - 6, "# EOF\n");
}

/* Before any worker runs there is a page all the same. */
Test(metrics_page, without_a_running_worker)
{
    atomic_store(&gate->workers[0].state, WORKER_STARTING);
    atomic_store(&gate->workers[1].state, WORKER_FAILED);
    counter_add(&metrics(0)->requests[PROXY_OUTCOME_ALLOWED], 5);
    collect(METRICS_PROMETHEUS);
    cr_assert_not_null(strstr(page, "io_backend=\"none\""));
    has("popgate_requests_total{outcome=\"allowed\"} 0");
    cr_assert_null(strstr(page, "popgate_request_duration_seconds"));
}
