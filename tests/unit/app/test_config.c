#include "app/config.h"

#include "crypto/verify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct config_errors errors;

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    enum status status = config_parse(span_from_string(text), "f", &config, &errors);
    cr_assert_eq(status == STATUS_OK, config != NULL);
    cr_assert_eq(status == STATUS_OK, errors.count == 0);
    return config;
}

/* What every accepted file needs. */
#define ISSUER "issuers: [{issuer: a, audience: b, jwks_file: c}]\n"

static struct config *good(const char *text)
{
    char whole[8192];
    cr_assert_lt(snprintf(whole, sizeof whole, "%s%s", ISSUER, text), (int)sizeof whole);
    struct config *config = parse(whole);
    cr_assert_not_null(config, "%s\n%s", text, errors.list[0].text);
    return config;
}

/* `text` gives exactly this one error; its lines count from 2, behind ISSUER. */
static void wrong(const char *text, const char *want)
{
    char whole[8192];
    cr_assert_lt(snprintf(whole, sizeof whole, "%s%s", ISSUER, text), (int)sizeof whole);
    struct config *config = parse(whole);
    cr_assert_null(config, "accepted: %s", text);
    cr_assert_str_eq(errors.list[0].text, want);
    cr_assert_eq(errors.count, 1, "%s\nalso: %s", text, errors.list[1].text);
}

static bool is(const char *text, const char *want)
{
    return strcmp(text, want) == 0;
}

/* ---- defaults ---- */

static void check_defaults(const struct config *config)
{
    cr_assert_eq(config->listen_count, 1);
    cr_assert_str_eq(config->listen[0].text, "0.0.0.0:8443");
    cr_assert_str_eq(config->upstream.text, "127.0.0.1:8080");
    cr_assert_str_eq(config->upstream_host, "127.0.0.1:8080");
    cr_assert_eq(config->upstream_protocol, CONFIG_HTTP1);
    cr_assert_geq(config->workers, 1);
    cr_assert_leq(config->workers, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
    cr_assert_eq(config->io_backend, IO_AUTO);
    cr_assert_str_eq(config->user, "");
    cr_assert_str_eq(config->tls.certificate, "/etc/popgate/tls.crt");
    cr_assert_str_eq(config->tls.private_key, "/etc/popgate/tls.key");
    cr_assert_str_eq(config->tls.client_ca, "/etc/popgate/ca.crt");
    cr_assert_str_eq(config->tls.client_crl, "");
    cr_assert_eq(config->tls.min_version_minor, 3);
    cr_assert(config->accept_dpop);
    cr_assert_not(config->accept_mtls);
    cr_assert_eq(config->dpop.mode, AUTH_ENFORCE);
    cr_assert_eq(config->dpop.algorithms, 1u << SIGNATURE_ES256 | 1u << SIGNATURE_EDDSA);
    cr_assert_eq(config->dpop.max_age_s, 60);
    cr_assert_eq(config->dpop.clock_skew_s, 5);
    cr_assert_not(config->dpop.nonce_required);
    cr_assert_not(config->dpop.nonce_shared);
    cr_assert_str_eq(config->dpop.nonce_key_file, "");
    cr_assert_eq(config->replay.capacity, 1048576);
    cr_assert_str_eq(config->replay.path, "");
    cr_assert_str_eq(config->replay.redis, "");
    cr_assert_not(config->replay.cold_start_accept);
    cr_assert_not(config->replay.redis_failure_local);
    cr_assert_eq(config->key_memory_bytes, 32u << 20);
    cr_assert_eq(config->limits.head_bytes, 32768);
    cr_assert_eq(config->limits.headers, 128);
    cr_assert_eq(config->limits.proof_bytes, 8192);
    cr_assert_eq(config->limits.token_bytes, 16384);
    cr_assert_eq(config->limits.jti_bytes, 256);
    cr_assert_eq(config->limits.body_bytes, 0);
    cr_assert_eq(config->limits.connections, 16384);
    cr_assert_eq(config->limits.streams, 128);
    cr_assert_eq(config->limits.pipeline, 16);
    cr_assert_eq(config->timeouts.handshake_ms, 5000);
    cr_assert_eq(config->timeouts.head_ms, 10000);
    cr_assert_eq(config->timeouts.body_progress_ms, 30000);
    cr_assert_eq(config->timeouts.upstream_connect_ms, 2000);
    cr_assert_eq(config->timeouts.upstream_head_ms, 30000);
    cr_assert_eq(config->timeouts.idle_ms, 60000);
    cr_assert_eq(config->timeouts.upstream_idle_ms, 30000);
    cr_assert_eq(config->timeouts.drain_ms, 30000);
    cr_assert_eq(config->proxy_protocol_trusted_count, 0);
    cr_assert_not(config->forward_credentials);
    cr_assert_str_eq(config->admin_listen.text, "127.0.0.1:9901");
    cr_assert_gt(config->admin_listen.address_size, 0);
    cr_assert_str_eq(config->admin_socket, "");
    cr_assert_eq(config->log_format, LOG_JSON);
    cr_assert_eq(config->log_level, LOG_INFO);
    cr_assert(config->log_access);
    cr_assert_eq(config->policy_count, 0);
}

Test(config, nothing_but_an_issuer_gives_the_defaults)
{
    struct config *config = good("");
    check_defaults(config);
    cr_assert_eq(config->public_origins_count, 0);
    cr_assert_eq(config->issuers_count, 1);
    cr_assert(span_equal_string(config->issuers[0].issuer, "a"));
    cr_assert_eq(config->issuers[0].audiences_count, 1);
    cr_assert(span_equal_string(config->issuers[0].audiences[0], "b"));
    cr_assert_str_eq(config->issuers[0].jwks_file, "c");
    cr_assert_null(config->issuers[0].jwks_uri);
    cr_assert_eq(config->issuers[0].allow_typ_count, 0);
    config_free(config);
}

/* tests/data/design.yaml is the example in the design, to the letter. */
Test(config, the_designs_example_is_the_defaults)
{
    struct config *config = NULL;
    enum status status = config_load(POPGATE_TEST_DATA "/design.yaml", &config, &errors);
    cr_assert_eq(status, STATUS_OK, "%s", errors.list[0].text);
    check_defaults(config);
    cr_assert_eq(config->public_origins_count, 1);
    cr_assert(span_equal_string(config->public_origins[0], "https://orders.example.com"));
    cr_assert_eq(config->issuers_count, 1);
    cr_assert(span_equal_string(config->issuers[0].issuer, "https://as.example.com"));
    cr_assert(span_equal_string(config->issuers[0].audiences[0], "https://orders.example.com"));
    cr_assert_str_eq(config->issuers[0].jwks_file, "/etc/popgate/jwks.json");
    cr_assert_str_eq(config_name(config), POPGATE_TEST_DATA "/design.yaml");
    config_free(config);
}

Test(config, every_key_is_read)
{
    struct config *config = good(
        "listen: ['[::1]:443', 127.0.0.1:0]\n"
        "upstream: http+unix:///run/app.sock\n"
        "workers: 3\n"
        "io_backend: epoll\n"
        "user: nobody\n"
        "tls: {certificate: c, private_key: k, client_ca: a, client_crl: r, min_version: 1.2}\n"
        "public_origins: ['https://A.example:443', 'https://b.example:8443']\n"
        "accept: [mtls, dpop]\n"
        "dpop: {mode: shadow, algorithms: [PS256, RS256, ES384, ES512, Ed25519], max_age: 2m,\n"
        "       clock_skew: 0s, nonce: required}\n"
        "replay: {capacity: 7, cold_start: accept}\n"
        "crypto: {key_memory: 1GiB}\n"
        "limits: {head_bytes: 1KiB, headers: 256, proof_bytes: 300B, token_bytes: 1KiB,\n"
        "         jti_bytes: 1, body_bytes: 5MiB, connections: 1, streams: 128, pipeline: 16}\n"
        "timeouts: {handshake: 1ms, head: 2s, body_progress: 3m, upstream_connect: 1h,\n"
        "           upstream_head: 5ms, idle: 24h, upstream_idle: 7ms, drain: 0}\n"
        "forward_credentials: true\n"
        "admin: {listen: \"\"}\n"
        "log: {format: text, access: false, level: debug}\n"
        "policy: [{path: /a/, methods: [GET, POST], scope: [x, 'y:z'],\n"
        "          spiffe: [spiffe://td/a, spiffe://td/B_b/c.d]}, {open: true}, {deny: true}]\n");
    cr_assert_eq(config->listen_count, 2);
    cr_assert_str_eq(config->listen[0].text, "[::1]:443");
    cr_assert_eq(config->listen[0].address.ss_family, AF_INET6);
    cr_assert_eq(config->listen[1].address.ss_family, AF_INET);
    cr_assert_eq(config->upstream.address.ss_family, AF_UNIX);
    cr_assert_str_eq(((struct sockaddr_un *)(void *)&config->upstream.address)->sun_path,
                     "/run/app.sock");
    cr_assert_str_eq(config->upstream_host, "localhost");
    cr_assert_eq(config->workers, 3);
    cr_assert_eq(config->io_backend, IO_EPOLL);
    cr_assert_str_eq(config->user, "nobody");
    cr_assert(is(config->tls.certificate, "c") && is(config->tls.private_key, "k"));
    cr_assert(is(config->tls.client_ca, "a") && is(config->tls.client_crl, "r"));
    cr_assert_eq(config->tls.min_version_minor, 2);
    cr_assert_eq(config->public_origins_count, 2);
    cr_assert(span_equal_string(config->public_origins[0], "https://a.example"));
    cr_assert(span_equal_string(config->public_origins[1], "https://b.example:8443"));
    cr_assert(config->accept_dpop && config->accept_mtls);
    cr_assert_eq(config->dpop.mode, AUTH_SHADOW);
    cr_assert_eq(config->dpop.algorithms, 1u << SIGNATURE_PS256 | 1u << SIGNATURE_RS256 |
                                              1u << SIGNATURE_ES384 | 1u << SIGNATURE_ES512 |
                                              1u << SIGNATURE_EDDSA);
    cr_assert_eq(config->dpop.max_age_s, 120);
    cr_assert_eq(config->dpop.clock_skew_s, 0);
    cr_assert(config->dpop.nonce_required);
    cr_assert_eq(config->replay.capacity, 7);
    cr_assert(config->replay.cold_start_accept);
    cr_assert_eq(config->key_memory_bytes, 1u << 30);
    cr_assert_eq(config->limits.head_bytes, 1024);
    cr_assert_eq(config->limits.headers, 256);
    cr_assert_eq(config->limits.proof_bytes, 300);
    cr_assert_eq(config->limits.token_bytes, 1024);
    cr_assert_eq(config->limits.jti_bytes, 1);
    cr_assert_eq(config->limits.body_bytes, 5u << 20);
    cr_assert_eq(config->limits.connections, 1);
    cr_assert_eq(config->limits.streams, 128);
    cr_assert_eq(config->limits.pipeline, 16);
    cr_assert_eq(config->timeouts.handshake_ms, 1);
    cr_assert_eq(config->timeouts.head_ms, 2000);
    cr_assert_eq(config->timeouts.body_progress_ms, 180000);
    cr_assert_eq(config->timeouts.upstream_connect_ms, 3600000);
    cr_assert_eq(config->timeouts.upstream_head_ms, 5);
    cr_assert_eq(config->timeouts.idle_ms, 86400000);
    cr_assert_eq(config->timeouts.upstream_idle_ms, 7);
    cr_assert_eq(config->timeouts.drain_ms, 0);
    cr_assert(config->forward_credentials);
    cr_assert_eq(config->admin_listen.address_size, 0);
    cr_assert_eq(config->log_format, LOG_TEXT);
    cr_assert_not(config->log_access);
    cr_assert_eq(config->log_level, LOG_DEBUG);
    cr_assert_eq(config->policy_count, 3);
    const struct auth_policy_rule *rule = &config->policy[0];
    cr_assert(span_equal_string(rule->path, "/a/"));
    cr_assert_eq(rule->methods_count, 2);
    cr_assert(span_equal_string(rule->methods[1], "POST"));
    cr_assert_eq(rule->scopes_count, 2);
    cr_assert(span_equal_string(rule->scopes[1], "y:z"));
    cr_assert_eq(rule->spiffe_ids_count, 2);
    cr_assert(span_equal_string(rule->spiffe_ids[1], "spiffe://td/B_b/c.d"));
    cr_assert_not(rule->open || rule->deny);
    cr_assert(config->policy[1].open && config->policy[1].path.size == 0);
    cr_assert(config->policy[2].deny);
    config_free(config);
}

Test(config, single_values_where_lists_may_stand)
{
    struct config *config = good("listen: '[::]:1'\naccept: mtls\ndpop: {algorithms: RS256}\n"
                                 "public_origins: https://x.example\n");
    cr_assert_eq(config->listen_count, 1);
    cr_assert(config->accept_mtls && !config->accept_dpop);
    cr_assert_eq(config->dpop.algorithms, 1u << SIGNATURE_RS256);
    cr_assert_eq(config->public_origins_count, 1);
    config_free(config);
    config = parse("issuers:\n  - issuer: i\n    audience: [a, b, c]\n    jwks_file: f\n"
                   "    allow_typ: JWT\n");
    cr_assert_not_null(config);
    cr_assert_eq(config->issuers[0].audiences_count, 3);
    cr_assert(span_equal_string(config->issuers[0].audiences[2], "c"));
    cr_assert_eq(config->issuers[0].allow_typ_count, 1);
    config_free(config);
}

/* ---- what is wrong, and where ---- */

Test(config, unknown_keys)
{
    wrong("lisen: 1\n", "f:2:1: unknown key \"lisen\" in the file; did you mean listen?");
    wrong("tls:\n  privat-key: x\n",
          "f:3:3: unknown key \"privat-key\" in tls; did you mean private_key?");
    wrong("dpop: {MaxAge: 1s}\n", "f:2:8: unknown key \"MaxAge\" in dpop; did you mean max_age?");
    wrong("dpop: {clokc_skew: 1s}\n",
          "f:2:8: unknown key \"clokc_skew\" in dpop; did you mean clock_skew?");
    wrong("max_age: 60s\n",
          "f:2:1: unknown key \"max_age\" in the file; did you mean dpop.max_age?");
    wrong("tls: {listen: x}\n", "f:2:7: unknown key \"listen\" in tls; did you mean listen?");
    wrong("zebra: 1\n",
          "f:2:1: unknown key \"zebra\" in the file; remove it, or see popgate validate --example");
    wrong("policy: [{paths: /x}]\n",
          "f:2:11: unknown key \"paths\" in policy[0]; did you mean path?");
    wrong("<<: {listen: x}\n",
          "f:2:1: unknown key \"<<\" in the file; remove it, or see popgate validate --example");
    wrong("'': x\n",
          "f:2:1: unknown key \"\" in the file; remove it, or see popgate validate --example");
    wrong(
        "a_name_that_is_longer_than_any_key_can_be: 1\n",
        "f:2:1: unknown key \"a_name_that_is_longer_than_any_key_can_be\" in the file; remove it, "
        "or see popgate validate --example");
    /* "issuers[]" is how the table spells it, not a key */
    wrong("'issuers[].issuer': 1\n", "f:2:1: unknown key \"issuers[].issuer\" in the file; remove "
                                     "it, or see popgate validate --example");
    wrong("tls.certificate: 1\n",
          "f:2:1: unknown key \"tls.certificate\" in the file; remove it, or "
          "see popgate validate --example");
}

Test(config, duplicate_keys)
{
    wrong("workers: 1\nlog: {level: warn}\nworkers: 2\n",
          "f:4:1: duplicate key \"workers\"; it is on line 2 already, remove one of them");
    wrong("tls:\n  client_crl: x\n  client_crl: y\n",
          "f:4:3: duplicate key \"client_crl\"; it is on line 3 already, remove one of them");
    wrong("\"work\\x65rs\": 1\nworkers: 2\n",
          "f:3:1: duplicate key \"workers\"; it is on line 2 already, remove one of them");
    wrong("policy: [{open: true, open: true}]\n",
          "f:2:23: duplicate key \"open\"; it is on line 2 already, remove one of them");
}

Test(config, units)
{
    wrong("dpop:\n  max_age: 60\n",
          "f:3:12: dpop.max_age: \"60\" has no unit; write ms, s, m or h, such as 60s");
    wrong("limits: {head_bytes: 32768}\n",
          "f:2:22: limits.head_bytes: \"32768\" has no unit; write "
          "B, KiB, MiB or GiB, such as 32KiB");
    wrong("limits: {head_bytes: 32KB}\n",
          "f:2:22: limits.head_bytes: \"32KB\" has the unknown unit "
          "\"KB\"; write B, KiB, MiB or GiB, such as 32KiB");
    wrong("limits: {head_bytes: 32 KiB}\n",
          "f:2:22: limits.head_bytes: \"32 KiB\" has the unknown "
          "unit \" KiB\"; write B, KiB, MiB or GiB, such as 32KiB");
    wrong("timeouts: {idle: 60KiB}\n", "f:2:18: timeouts.idle: \"60KiB\" has the unknown unit "
                                       "\"KiB\"; write ms, s, m or h, such as 60s");
    wrong("timeouts: {idle: 1d}\n",
          "f:2:18: timeouts.idle: \"1d\" has the unknown unit \"d\"; write "
          "ms, s, m or h, such as 60s");
    wrong("timeouts: {idle: 1.5s}\n",
          "f:2:18: timeouts.idle: \"1.5s\" is not a whole number with a "
          "unit (ms, s, m or h); write it such as 60s");
    wrong("timeouts: {idle: -1s}\n", "f:2:18: timeouts.idle: \"-1s\" is not a whole number with a "
                                     "unit (ms, s, m or h); write it such as 60s");
    wrong("timeouts: {idle: s}\n", "f:2:18: timeouts.idle: \"s\" is not a whole number with a unit "
                                   "(ms, s, m or h); write it such as 60s");
    wrong("timeouts: {idle: 010s}\n",
          "f:2:18: timeouts.idle: \"010s\" is not a whole number with a "
          "unit (ms, s, m or h); write it such as 60s");
    wrong("dpop: {max_age: 1500ms}\n", "f:2:17: dpop.max_age: \"1500ms\" is not a number of whole "
                                       "seconds; write it such as 60s");
    wrong("limits: {headers: 5KiB}\n", "f:2:19: limits.headers: \"5KiB\" is not a whole number; "
                                       "write digits alone, such as 128");
    wrong("replay: {capacity: 1e6}\n", "f:2:20: replay.capacity: \"1e6\" is not a whole number; "
                                       "write digits alone, such as 1048576");
    wrong("replay: {capacity: 1_000}\n",
          "f:2:20: replay.capacity: \"1_000\" is not a whole number; "
          "write digits alone, such as 1048576");
    wrong("replay: {capacity: 0x10}\n", "f:2:20: replay.capacity: \"0x10\" is not a whole number; "
                                        "write digits alone, such as 1048576");
    wrong("replay: {capacity: '8'}\n",
          "f:2:20: replay.capacity: \"8\" is text; write the number without quotes");
}

Test(config, ranges)
{
    wrong("dpop: {max_age: 0s}\n", "f:2:17: dpop.max_age: \"0s\" is out of range; write 1s to 1h");
    wrong("dpop: {max_age: 61m}\n",
          "f:2:17: dpop.max_age: \"61m\" is out of range; write 1s to 1h");
    wrong("dpop: {clock_skew: 6m}\n",
          "f:2:20: dpop.clock_skew: \"6m\" is out of range; write 0s to 5m");
    wrong("limits: {head_bytes: 1B}\n",
          "f:2:22: limits.head_bytes: \"1B\" is out of range; write 1KiB to 1MiB");
    wrong("limits: {headers: 257}\n",
          "f:2:19: limits.headers: \"257\" is out of range; write 1 to 256");
    wrong("limits: {headers: 0}\n",
          "f:2:19: limits.headers: \"0\" is out of range; write 1 to 256");
    wrong("limits: {headers: 18446744073709551617}\n",
          "f:2:19: limits.headers: \"18446744073709551617\" is out of range; write 1 to 256");
    wrong("limits: {body_bytes: 18014398509481984KiB}\n",
          "f:2:22: limits.body_bytes: \"18014398509481984KiB\" is out of range; write 0B to "
          "1048576GiB");
    wrong("timeouts: {idle: 25h}\n",
          "f:2:18: timeouts.idle: \"25h\" is out of range; write 1ms to 24h");
    wrong("timeouts: {handshake: 0}\n",
          "f:2:23: timeouts.handshake: \"0\" is out of range; write 1ms to 1h");
    wrong("workers: 0\n",
          "f:2:10: workers: \"0\" is not a number of workers; write auto, or 1 to 256");
    wrong("workers: 257\n",
          "f:2:10: workers: \"257\" is not a number of workers; write auto, or 1 to 256");
    wrong("workers: many\n",
          "f:2:10: workers: \"many\" is not a number of workers; write auto, or 1 to 256");
    wrong("workers: '2'\n",
          "f:2:10: workers: \"2\" is not a number of workers; write auto, or 1 to 256");
}

Test(config, types)
{
    wrong("tls: x\n",
          "f:2:6: tls: a single value where a mapping belongs; write its keys below it");
    wrong("tls: [x]\n", "f:2:6: tls: a list where a mapping belongs; write its keys below it");
    wrong("tls:\n", "f:2:5: tls: nothing where a mapping belongs; write its keys below it");
    wrong("io_backend: [epoll]\n",
          "f:2:13: io_backend: a list where one value belongs; write auto, io_uring or epoll");
    wrong("io_backend: {a: b}\n",
          "f:2:13: io_backend: a mapping where one value belongs; write auto, io_uring or epoll");
    wrong("io_backend: ~\n",
          "f:2:13: io_backend: has no value; write auto, io_uring or epoll, or remove the line");
    wrong("tls: {certificate: }\n",
          "f:2:20: tls.certificate: has no value; write a path, or remove the line");
    wrong("tls: {certificate: null}\n",
          "f:2:20: tls.certificate: has no value; write a path, or remove the line");
    wrong("tls: {certificate: \"\"}\n", "f:2:20: tls.certificate: is empty; write a path");
    wrong("forward_credentials: yes\n",
          "f:2:22: forward_credentials: unknown value \"yes\"; write true or false");
    wrong("forward_credentials: True\n", "f:2:22: forward_credentials: unknown value \"True\"; did "
                                         "you mean true? write true or false");
    wrong("forward_credentials: 'true'\n",
          "f:2:22: forward_credentials: \"true\" is text; write true or false without quotes");
    wrong("forward_credentials: [true]\n",
          "f:2:22: forward_credentials: a list where one value belongs; write true or false");
    wrong("accept: {dpop: true}\n",
          "f:2:9: accept: a mapping where a list belongs; write a list of dpop and mtls");
    wrong("accept:\n",
          "f:2:8: accept: has no value; write a list of dpop and mtls, or remove the line");
    wrong("accept: []\n",
          "f:2:9: accept: is empty: nothing would be accepted; write a list of dpop and mtls");
    wrong("accept: [dpop, dpop]\n",
          "f:2:16: accept[1]: \"dpop\" is in the list already; remove it");
    wrong("accept: [[dpop]]\n",
          "f:2:10: accept[0]: a list where one value belongs; write dpop or mtls");
    wrong("policy: /x\n",
          "f:2:9: policy: a single value where a list belongs; write a list of mappings such as "
          "{path: /orders/, methods: [GET], scope: [orders.read]}");
    wrong("policy: [/x]\n",
          "f:2:10: policy[0]: a rule is a mapping; write its keys, such as path and scope");
}

Test(config, choices)
{
    wrong("dpop: {mode: enforced}\n", "f:2:14: dpop.mode: unknown value \"enforced\"; did you mean "
                                      "enforce? write enforce, shadow or off");
    wrong("dpop: {mode: audit}\n",
          "f:2:14: dpop.mode: unknown value \"audit\"; write enforce, shadow or off");
    wrong("dpop: {nonce: on}\n", "f:2:15: dpop.nonce: unknown value \"on\"; write off or required");
    wrong("tls: {min_version: 1.1}\n",
          "f:2:20: tls.min_version: unknown value \"1.1\"; did you mean 1.3? write 1.3 or 1.2");
    wrong("dpop: {algorithms: [none]}\n",
          "f:2:21: dpop.algorithms[0]: unknown value \"none\"; write ES256, EdDSA, PS256, RS256, "
          "ES384, ES512 or Ed25519");
    wrong("dpop: {algorithms: [EdDSA, Ed25519]}\n",
          "f:2:28: dpop.algorithms[1]: \"Ed25519\" is in the list already; remove it");
    wrong("log: {level: trace}\n",
          "f:2:14: log.level: unknown value \"trace\"; write debug, info, warn or error");
    wrong("log: {format: Json}\n",
          "f:2:15: log.format: unknown value \"Json\"; did you mean json? write json or text");
}

Test(config, listeners)
{
#define WANT "an IP address and a port are needed; write 0.0.0.0:8443 or [::]:8443"
    wrong("listen: 8443\n", "f:2:9: listen[0]: \"8443\": " WANT);
    wrong("listen: :8443\n", "f:2:9: listen[0]: \":8443\": " WANT);
    wrong("listen: localhost:8443\n", "f:2:9: listen[0]: \"localhost:8443\": " WANT);
    wrong("listen: 1.2.3:8443\n", "f:2:9: listen[0]: \"1.2.3:8443\": " WANT);
    wrong("listen: 01.2.3.4:8443\n", "f:2:9: listen[0]: \"01.2.3.4:8443\": " WANT);
    wrong("listen: '[::1]'\n", "f:2:9: listen[0]: \"[::1]\": " WANT);
    wrong("listen: '[::1'\n", "f:2:9: listen[0]: \"[::1\": " WANT);
    wrong("listen: '[fe80::1%eth0]:1'\n", "f:2:9: listen[0]: \"[fe80::1%eth0]:1\": " WANT);
    wrong("listen: '[1.2.3.4]:1'\n", "f:2:9: listen[0]: \"[1.2.3.4]:1\": " WANT);
    wrong("listen: '::1:8443'\n", "f:2:9: listen[0]: \"::1:8443\": an IPv6 address stands in "
                                  "brackets; write [2001:db8::1]:8443");
    wrong("listen: 1.2.3.4:65536\n",
          "f:2:9: listen[0]: \"1.2.3.4:65536\": the port is not a number from 1 to 65535");
    wrong("listen: '1.2.3.4:'\n",
          "f:2:9: listen[0]: \"1.2.3.4:\": the port is not a number from 1 to 65535");
    wrong("listen: 1.2.3.4:+1\n",
          "f:2:9: listen[0]: \"1.2.3.4:+1\": the port is not a number from 1 to 65535");
    wrong("listen: []\n", "f:2:9: listen: 0 addresses; write 1 to 16 of them");
    wrong("listen:\n  - 1.2.3.4:1\n  - 0.0.0.0:1\n",
          "f:4:5: listen[1]: 0.0.0.0:1 and 1.2.3.4:1 are the same port; remove one");
    wrong("listen: [1.1.1.1:1, 1.1.1.1:2, 1.1.1.1:3, 1.1.1.1:4, 1.1.1.1:5, 1.1.1.1:6, 1.1.1.1:7, "
          "1.1.1.1:8, 1.1.1.1:9, 1.1.1.1:10, 1.1.1.1:11, 1.1.1.1:12, 1.1.1.1:13, 1.1.1.1:14, "
          "1.1.1.1:15, 1.1.1.1:16, 1.1.1.1:17]\n",
          "f:2:9: listen: 17 addresses; write 1 to 16 of them");
    wrong("admin: {listen: 9901}\n", "f:2:17: admin.listen: \"9901\": " WANT);
    wrong("admin: {listen: }\n", "f:2:17: admin.listen: has no value; write 127.0.0.1:9901, or "
                                 "\"\" for none, or remove the line");
    config_free(good("listen: [1.2.3.4:1, 1.2.3.5:1, '[::]:1', 1.2.3.4:0, 1.2.3.4:0]\n"));
}

Test(config, upstreams)
{
#define SCHEMES "http://127.0.0.1:8080, h2c://127.0.0.1:50051 or http+unix:///run/app.sock"
#define LOOPBACK                                                                                   \
    " is not on the loopback, and what goes there is in clear and trusted; write " SCHEMES
#define HOST                                                                                       \
    ": the service is named by an address of the loopback; write http://127.0.0.1:8080, without "  \
    "a path"
    wrong("upstream: https://127.0.0.1:8080\n",
          "f:2:11: upstream: \"https://127.0.0.1:8080\" is not an upstream; write " SCHEMES);
    wrong("upstream: 127.0.0.1:8080\n",
          "f:2:11: upstream: \"127.0.0.1:8080\" is not an upstream; write " SCHEMES);
    struct config *h2c = good("upstream: h2c://127.0.0.1:50051\n");
    cr_assert_eq(h2c->upstream_protocol, CONFIG_H2C);
    config_free(h2c);
    h2c = good("upstream: h2c+unix:///run/app.sock\n");
    cr_assert_eq(h2c->upstream_protocol, CONFIG_H2C);
    cr_assert_eq(h2c->upstream.address.ss_family, AF_UNIX);
    config_free(h2c);
    wrong("upstream: http://10.0.0.1:80\n", "f:2:11: upstream: \"http://10.0.0.1:80\"" LOOPBACK);
    wrong("upstream: http://0.0.0.0:80\n", "f:2:11: upstream: \"http://0.0.0.0:80\"" LOOPBACK);
    wrong("upstream: 'http://[::]:80'\n", "f:2:11: upstream: \"http://[::]:80\"" LOOPBACK);
    wrong("upstream: 'http://[::ffff:127.0.0.1]:80'\n",
          "f:2:11: upstream: \"http://[::ffff:127.0.0.1]:80\"" LOOPBACK);
    wrong("upstream: http://example.com:80\n", "f:2:11: upstream: \"http://example.com:80\"" HOST);
    wrong("upstream: http://localhost.evil:80\n",
          "f:2:11: upstream: \"http://localhost.evil:80\"" HOST);
    wrong("upstream: http://user@127.0.0.1:80\n",
          "f:2:11: upstream: \"http://user@127.0.0.1:80\"" HOST);
    wrong("upstream: http://127.0.0.1:80/api\n",
          "f:2:11: upstream: \"http://127.0.0.1:80/api\"" HOST);
    wrong("upstream: http://127.0.0.1:0\n", "f:2:11: upstream: \"http://127.0.0.1:0\"" HOST);
    wrong("upstream: http://\n", "f:2:11: upstream: \"http://\"" HOST);
    wrong("upstream: http+unix://run/x\n", "f:2:11: upstream: \"http+unix://run/x\": a Unix socket "
                                           "is named by an absolute path, such as /run/app.sock");
    wrong("upstream: "
          "http+unix:///"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaa\n",
          "f:2:11: upstream: \"http+unix:///aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\": "
          "the path of a Unix socket has at most 107 bytes; use a shorter one");
    static const char *const accepted[][2] = {
        {"http://127.0.0.1", "127.0.0.1:80"},    {"http://127.0.0.2:8080/", "127.0.0.2:8080"},
        {"http://localhost:81", "127.0.0.1:81"}, {"http://LocalHost", "127.0.0.1:80"},
        {"'http://[::1]:9'", "[::1]:9"},         {"'http://[::1]'", "[::1]:80"},
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "upstream: %s\n", accepted[i][0]);
        struct config *config = good(text);
        cr_assert_str_eq(config->upstream.text, accepted[i][1]);
        config_free(config);
    }
}

Test(config, origins)
{
#define SUCH "https://orders.example.com"
    wrong("public_origins: [http://a]\n",
          "f:2:18: public_origins[0]: \"http://a\" is not an https origin; write it such as " SUCH);
    wrong(
        "public_origins: [a.example]\n",
        "f:2:18: public_origins[0]: \"a.example\" is not an https origin; write it such as " SUCH);
    wrong("public_origins: [https://a/]\n",
          "f:2:18: public_origins[0]: \"https://a/\" is more than an origin; write the scheme, the "
          "host and perhaps a port, and no slash at the end");
    wrong("public_origins: ['https://a?b']\n",
          "f:2:18: public_origins[0]: \"https://a?b\" is more than an origin; write the scheme, "
          "the host and perhaps a port, and no slash at the end");
    wrong("public_origins: ['https://*.a']\n",
          "f:2:18: public_origins[0]: \"https://*.a\" is a wildcard; list every name by itself");
    wrong("public_origins: [https://]\n",
          "f:2:18: public_origins[0]: \"https://\" does not name a host; write it such as " SUCH);
    wrong(
        "public_origins: ['https://u@a']\n",
        "f:2:18: public_origins[0]: \"https://u@a\" does not name a host; write it such as " SUCH);
    wrong("public_origins: ['https://a:99999']\n", "f:2:18: public_origins[0]: \"https://a:99999\" "
                                                   "does not name a host; write it such as " SUCH);
    wrong("public_origins: [https://a, 'https://A:443']\n",
          "f:2:29: public_origins[1]: \"https://a\" is in the list already; remove it");
    wrong("public_origins: [~]\n",
          "f:2:18: public_origins[0]: has no value; write an origin such as " SUCH
          ", or remove the line");
}

/* `text` is the whole file here. */
static void wrong_file(const char *text, const char *want)
{
    struct config *config = parse(text);
    cr_assert_null(config, "accepted: %s", text);
    cr_assert_str_eq(errors.list[0].text, want);
    cr_assert_eq(errors.count, 1, "%s\nalso: %s", text, errors.list[1].text);
}

Test(config, issuers)
{
    wrong_file("", "f:1:1: issuers: no issuer is trusted, so no token could pass; list one, or "
                   "write dpop.mode: off for mutual TLS alone");
    wrong_file("workers: 1\nissuers: []\n",
               "f:2:10: issuers: no issuer is trusted, so no token could pass; list one, or write "
               "dpop.mode: off for mutual TLS alone");
    wrong_file("issuers: x\n", "f:1:10: issuers: a single value where a list belongs; write a list "
                               "of mappings with issuer, audience and jwks_file");
    wrong_file("issuers: {issuer: x}\n", "f:1:10: issuers: a mapping where a list belongs; write a "
                                         "list of mappings with issuer, audience and jwks_file");
    wrong_file("issuers: [x]\n", "f:1:11: issuers[0]: an issuer is a mapping; write its keys "
                                 "issuer, audience and jwks_file");
    wrong_file("issuers:\n  - {audience: b, jwks_file: c}\n",
               "f:2:5: issuers[0]: has no issuer; write issuer: https://as.example.com");
    wrong_file("issuers:\n  - {issuer: b, jwks_file: c}\n",
               "f:2:5: issuers[0]: has no audience; write audience: https://orders.example.com");
    wrong_file("issuers:\n  - {issuer: b, audience: c}\n",
               "f:2:5: issuers[0]: has no keys; write jwks_file: /etc/popgate/jwks.json");
    wrong_file(
        "issuers:\n  - {issuer: b, audience: [], jwks_file: c}\n",
        "f:2:27: issuers[0].audience: is empty; write https://orders.example.com, or a list");
    wrong_file("issuers:\n  - {issuer: '', audience: c, jwks_file: c}\n",
               "f:2:14: issuers[0].issuer: is empty; write https://as.example.com");
    wrong_file("issuers:\n  - {issuer: a b, audience: c, jwks_file: c}\n",
               "f:2:14: issuers[0].issuer: \"a b\" has a space or a character beyond ASCII in it; "
               "write it as the token does");
    wrong_file("issuers:\n  - {issuer: a, audience: c, jwks_uri: https://x/y}\n",
               "f:2:40: issuers[0].jwks_uri: not supported by this version yet; remove the line");
    wrong_file("issuers:\n  - {issuer: a, audience: c, jwks_file: x}\n  - issuer: a\n    audience: "
               "d\n    jwks_file: x\n",
               "f:3:5: issuers[1]: \"a\" is in the list already; put its audiences together");
    /* With mode off nobody needs one. */
    config_free(parse("dpop: {mode: 'off'}\n"));
    cr_assert_eq(errors.count, 0);
    struct config *config = parse(
        "issuers:\n  - {issuer: a, audience: c, jwks_file: x, jwks_uri: y}\n");
    cr_assert_null(config);
    cr_assert_eq(errors.count, 2);
    cr_assert_str_eq(errors.list[0].text,
                     "f:2:5: issuers[0]: has jwks_file and jwks_uri; write one of them");
}

Test(config, policies)
{
    wrong("policy: [{path: orders}]\n", "f:2:17: policy[0].path: \"orders\" is not a path; write "
                                        "it such as /orders/, without a query");
    wrong("policy: [{path: ''}]\n",
          "f:2:17: policy[0].path: \"\" is not a path; write it such as /orders/, without a query");
    wrong("policy: [{path: '/a?b'}]\n", "f:2:17: policy[0].path: \"/a?b\" is not a path; write it "
                                        "such as /orders/, without a query");
    wrong("policy: [{path: '/a#b'}]\n", "f:2:17: policy[0].path: \"/a#b\" is not a path; write it "
                                        "such as /orders/, without a query");
    wrong("policy: [{path: '/a b'}]\n", "f:2:17: policy[0].path: \"/a b\" is not a path; write it "
                                        "such as /orders/, without a query");
    wrong("policy: [{path: /a/../b}]\n", "f:2:17: policy[0].path: \"/a/../b\" would never match, "
                                         "for requests are normalised; write \"/b\"");
    wrong("policy: [{path: /%61}]\n", "f:2:17: policy[0].path: \"/%61\" would never match, for "
                                      "requests are normalised; write \"/a\"");
    wrong("policy: [{path: /%3a}]\n", "f:2:17: policy[0].path: \"/%3a\" would never match, for "
                                      "requests are normalised; write \"/%3A\"");
    static const char *const ambiguous[] = {"/a//b/", "/a;b",   "/a%2Fb",
                                            "/a%5Cb", "/a%3Bb", "/a%3Ab"};
    for (size_t i = 0; i < sizeof ambiguous / sizeof *ambiguous; i++) {
        char text[100], error[300];
        (void)snprintf(text, sizeof text, "policy: [{path: '%s'}]\n", ambiguous[i]);
        (void)snprintf(error, sizeof error,
                       "f:2:17: policy[0].path: services differ in how they read \"%s\"; write it "
                       "without \"//\", without \";\" and without escapes of what needs none",
                       ambiguous[i]);
        wrong(text, error);
    }
    wrong("policy: [{methods: [get]}]\n", "f:2:21: policy[0].methods[0]: \"get\" is not a method: "
                                          "they are in upper case; write it such as GET");
    wrong("policy: [{methods: ['GET, POST']}]\n",
          "f:2:21: policy[0].methods[0]: \"GET, POST\" is not a method; write it such as GET");
    wrong("policy: [{methods: []}]\n",
          "f:2:20: policy[0].methods: is empty; write a list such as [GET, POST]");
    wrong("policy: [{scope: [a b]}]\n",
          "f:2:19: policy[0].scope[0]: \"a b\" is not one scope; write each by itself, such as "
          "[orders.read, orders.write]");
    wrong("policy: [{open: true, deny: true}]\n",
          "f:2:10: policy[0]: is open and deny at once; write one of them");
    wrong("policy: [{open: true, scope: [a]}]\n",
          "f:2:10: policy[0]: is open, so there is no token to have a scope; remove open or scope");
    wrong("policy: [{deny: true, scope: [a]}]\n",
          "f:2:10: policy[0]: denies everybody, whatever the scope and the certificate; remove "
          "scope and spiffe, or deny");
    wrong(
        "dpop: {mode: 'off'}\npolicy: [{deny: true}]\n",
        "f:3:9: policy: rules are not applied with dpop.mode: off; remove them or change the mode");
    static const char *const not_spiffe[] = {
        "http://td/a",     "spiffe://",      "spiffe://td",       "spiffe://td/",
        "spiffe:///a",     "spiffe://TD/a",  "spiffe://td/a//b",  "spiffe://td/a/",
        "spiffe://td/./a", "spiffe://td/..", "spiffe://td/a%20b", "spiffe://td:1/a",
        "spiffe://u@td/a", "spiffe://td/a?b"};
    for (size_t i = 0; i < sizeof not_spiffe / sizeof not_spiffe[0]; i++) {
        char text[256], want[256];
        (void)snprintf(text, sizeof text, "policy: [{spiffe: ['%s']}]\n", not_spiffe[i]);
        (void)snprintf(want, sizeof want,
                       "f:2:20: policy[0].spiffe[0]: \"%s\" is not a SPIFFE ID; write it such as "
                       "spiffe://example.org/shop/orders",
                       not_spiffe[i]);
        wrong(text, want);
    }
}

Test(config, defaults_of_what_is_off_may_be_written)
{
    /* Their defaults may be written. */
    config_free(
        good("replay: {redis: '', redis_failure: deny}\nproxy_protocol: {trusted: []}\n"
             "admin: {socket: ''}\nuser: ''\ndpop: {nonce_scope: instance, nonce_key_file: ''}\n"));
}

Test(config, a_redis_for_all_replicas)
{
    struct config *config = good("replay: {redis: 'redis://gate:s%40crèt@redis.svc:6380'}\n"
                                 "timeouts: {redis: 250ms}\n");
    cr_assert_str_eq(config->replay.redis_url.host, "redis.svc");
    cr_assert_eq(config->replay.redis_url.port, 6380);
    cr_assert_str_eq(config->replay.redis_url.user, "gate");
    cr_assert_str_eq(config->replay.redis_url.password, "s@crèt");
    cr_assert_not(config->replay.redis_url.tls);
    cr_assert_eq(config->timeouts.redis_ms, 250);
    config_free(config);
    config = good("replay: {redis: 'rediss://h', redis_ca: /ca, redis_failure: local,\n"
                  "  redis_certificate: /crt, redis_private_key: /key}\n");
    cr_assert(config->replay.redis_url.tls && config->replay.redis_failure_local);
    cr_assert_str_eq(config->replay.redis_ca, "/ca");
    config_free(config);

#define WRITE "; write redis://[:password@]host:port or rediss://"
    wrong("replay: {redis: 'http://h'}\n",
          "f:2:17: replay.redis: it begins with neither redis:// nor rediss://" WRITE);
    /* Without what was written: it may hold a password. */
    wrong("replay: {redis: 'redis://:secret@h:x'}\n",
          "f:2:17: replay.redis: the port is not a number from 1 to 65535" WRITE);
    wrong("replay: {redis_failure: local}\n",
          "f:2:25: replay.redis_failure: means nothing without replay.redis; remove it");
    wrong("replay: {redis: 'rediss://h'}\n",
          "f:2:17: replay.redis: rediss:// needs the CA that the server's certificate is from; "
          "write replay.redis_ca");
    wrong("replay: {redis: 'redis://h', redis_ca: /ca}\n",
          "f:2:40: replay.redis_ca: means nothing without a rediss:// server; remove it");
    wrong("replay: {redis: 'redis://h', redis_certificate: /c}\n",
          "f:2:49: replay.redis_certificate: means nothing without a rediss:// server; remove it");
    wrong("replay: {redis: 'rediss://h', redis_ca: /ca, redis_certificate: /c}\n",
          "f:2:65: replay.redis_certificate: needs replay.redis_private_key, and that it; write "
          "both, or neither");
}

Test(config, networks_that_may_send_the_proxy_protocol)
{
    struct config *config = good(
        "proxy_protocol: {trusted: [10.0.0.0/8, 192.0.2.7, '2001:db8::/33', '::1', 0.0.0.0/0]}\n");
    const struct client_network *networks = config->proxy_protocol_trusted;
    cr_assert_eq(config->proxy_protocol_trusted_count, 5);
    cr_assert(networks[0].family == 4 && networks[0].prefix_bits == 8);
    cr_assert_eq(memcmp(networks[0].bytes, "\x0a\0\0\0", 4), 0);
    cr_assert(networks[1].family == 4 && networks[1].prefix_bits == 32);
    cr_assert_eq(memcmp(networks[1].bytes, "\xc0\0\2\7", 4), 0);
    cr_assert(networks[2].family == 6 && networks[2].prefix_bits == 33);
    cr_assert_eq(memcmp(networks[2].bytes, "\x20\x01\x0d\xb8\0", 5), 0);
    cr_assert(networks[3].family == 6 && networks[3].prefix_bits == 128);
    cr_assert(networks[4].family == 4 && networks[4].prefix_bits == 0);
    config_free(config);
#define TRUSTED "f:2:28: proxy_protocol.trusted[0]: "
    wrong("proxy_protocol: {trusted: [10.0.0]}\n",
          TRUSTED "\"10.0.0\" is neither an IPv4 nor an IPv6 address");
    wrong("proxy_protocol: {trusted: [lb.example.com]}\n",
          TRUSTED "\"lb.example.com\" is neither an IPv4 nor an IPv6 address");
    wrong("proxy_protocol: {trusted: [10.0.0.0/33]}\n",
          TRUSTED "\"10.0.0.0/33\" needs 0 to 32 bits behind the slash");
    wrong("proxy_protocol: {trusted: [10.0.0.0/]}\n",
          TRUSTED "\"10.0.0.0/\" needs 0 to 32 bits behind the slash");
    wrong("proxy_protocol: {trusted: ['::/129']}\n",
          TRUSTED "\"::/129\" needs 0 to 128 bits behind the slash");
    wrong("proxy_protocol: {trusted: [10.0.0.1/8]}\n",
          TRUSTED "\"10.0.0.1/8\" has bits set behind the network's; clear them, or write the "
                  "address alone");
    wrong("proxy_protocol: {trusted: ['2001:db8::/28']}\n",
          TRUSTED "\"2001:db8::/28\" has bits set behind the network's; clear them, or write the "
                  "address alone");
    wrong("proxy_protocol: {trusted: ['::ffff:10.0.0.1']}\n",
          TRUSTED "\"::ffff:10.0.0.1\" is an IPv4 address in IPv6; write it as IPv4");
}

Test(config, addresses_that_meet)
{
    wrong("listen: 0.0.0.0:8080\n", "f:1:1: upstream: 127.0.0.1:8080 is our own listener "
                                    "0.0.0.0:8080; write the service's port");
    wrong("upstream: http://127.0.0.1:8443\n", "f:2:11: upstream: 127.0.0.1:8443 is our own "
                                               "listener 0.0.0.0:8443; write the service's port");
    wrong("admin: {listen: 127.0.0.1:8443}\n",
          "f:2:17: admin.listen: 127.0.0.1:8443 is the port of listen; write another one");
    wrong("admin: {listen: 127.0.0.1:8080}\n",
          "f:2:17: admin.listen: 127.0.0.1:8080 is the service's port; write another one");
    config_free(good("listen: 10.0.0.1:8080\n"));
    config_free(good("listen: '[::]:8080'\n"));
}

/* ---- YAML itself ---- */

Test(config, yaml_we_do_not_take)
{
    wrong("log: &a {level: warn}\n",
          "f:2:6: anchors (&) are not supported; write the value where it belongs");
    wrong("log: {level: &a warn}\n",
          "f:2:14: anchors (&) are not supported; write the value where it belongs");
    wrong("accept: &a [dpop]\n",
          "f:2:9: anchors (&) are not supported; write the value where it belongs");
    wrong("log: !!map {level: warn}\n", "f:2:6: tags (!) are not supported; write the plain value");
    wrong("log: {level: !x warn}\n", "f:2:14: tags (!) are not supported; write the plain value");
    wrong("workers: ! 3\n", "f:2:10: tags (!) are not supported; write the plain value");
    wrong("accept: !!seq [dpop]\n", "f:2:9: tags (!) are not supported; write the plain value");
    wrong("---\nworkers: 1\n", "f:2:1: a second document begins here; write one document a file");
    wrong("? [a]\n: b\n", "f:2:3: a list or mapping cannot be a key; write a plain word");
    wrong("? {a: b}\n: b\n", "f:2:3: a list or mapping cannot be a key; write a plain word");
    wrong("user: |\n  x\n",
          "f:2:7: the value has a line break or control character in it; write it on one line");
    wrong("tls: {certificate: \"a\\nb\"}\n",
          "f:2:20: the value has a line break or control character in it; write it on one line");
    wrong("tls: {certificate: \"a\\0b\"}\n",
          "f:2:20: the value has a line break or control character in it; write it on one line");
    wrong_file("%YAML 1.1\n---\n" ISSUER,
               "f:1:1: directives (%) are not supported; remove the line");
    wrong_file("%TAG ! tag:x,2000:\n---\n" ISSUER,
               "f:1:1: directives (%) are not supported; remove the line");
    wrong_file("- a\n",
               "f:1:1: a list where the file's keys belong; write such as listen: 0.0.0.0:8443");
    wrong_file(
        "hello\n",
        "f:1:1: a single value where the file's keys belong; write such as listen: 0.0.0.0:8443");
    wrong_file("a: [[[[[[[[[b]]]]]]]]]\n", "f:1:11: nested more than 8 deep; nothing here is");
    struct config *config = parse("log: &a {level: warn}\nadmin: *a\n" ISSUER);
    cr_assert_null(config);
    cr_assert_eq(errors.count, 2);
    cr_assert_str_eq(errors.list[1].text,
                     "f:2:8: aliases (*) are not supported; write the value again");
}

Test(config, not_yaml)
{
    wrong_file("a: b: c\n",
               "f:1:5: not valid YAML: mapping values are not allowed in this context");
    wrong_file("a: [b\n", "f:2:1: not valid YAML: did not find expected ',' or ']', while parsing "
                          "a flow sequence (from line 1)");
    wrong_file("a:\n\tb: c\n", "f:2:1: not valid YAML: found character that cannot start any "
                               "token, while scanning for the next token (from line 2)");
    wrong_file("a: \"b\n", "f:2:1: not valid YAML: found unexpected end of stream, while scanning "
                           "a quoted scalar (from line 1)");
    wrong_file("a: *nobody\n\x01", "f:2:1: control character 0x01; remove it");
    wrong_file("a: b\n  c: \x7f", "f:2:6: control character 0x7f; remove it");
    wrong_file("# \xc3\xa9\nx: \xff\n", "f:2:4: byte 0xff is not UTF-8; save the file as UTF-8");
    wrong_file("\xc3\xa9: \xc3", "f:1:4: byte 0xc3 is not UTF-8; save the file as UTF-8");
    wrong_file("x: \xc0\x80", "f:1:4: byte 0xc0 is not UTF-8; save the file as UTF-8");
    wrong_file("x: \xed\xa0\x80", "f:1:4: byte 0xed is not UTF-8; save the file as UTF-8");
    wrong_file("x: \xf4\x90\x80\x80", "f:1:4: byte 0xf4 is not UTF-8; save the file as UTF-8");
    wrong_file("a\r\nb\rc\n\x02", "f:4:1: control character 0x02; remove it");
    struct config *config = NULL;
    cr_assert_eq(config_parse(SPAN_LITERAL("a\0b"), "f", &config, &errors), STATUS_MALFORMED);
    cr_assert_str_eq(errors.list[0].text, "f:1:2: control character 0x00; remove it");
    /* UTF-16, as Windows editors save it */
    cr_assert_eq(config_parse(SPAN_LITERAL("\xff\xfe"
                                           "a\0"),
                              "f", &config, &errors),
                 STATUS_MALFORMED);
    cr_assert_str_eq(errors.list[0].text, "f:1:1: byte 0xff is not UTF-8; save the file as UTF-8");
}

Test(config, a_byte_order_mark_is_skipped)
{
    wrong_file("\xef\xbb\xbflisen: 1\n" ISSUER,
               "f:1:1: unknown key \"lisen\" in the file; did you mean listen?");
    config_free(parse("\xef\xbb\xbf" ISSUER));
    cr_assert_eq(errors.count, 0);
}

Test(config, columns_count_characters)
{
    cr_assert_null(parse("log: {'\xc3\xa9\xc3\xa9': 1, level: x}\n" ISSUER));
    cr_assert_eq(errors.count, 2);
    cr_assert_str_eq(errors.list[0].text, "f:1:7: unknown key \"\xc3\xa9\xc3\xa9\" in log; remove "
                                          "it, or see popgate validate --example");
    cr_assert_str_eq(errors.list[1].text,
                     "f:1:23: log.level: unknown value \"x\"; write debug, info, warn or error");
}

/* ---- several errors ---- */

Test(config, all_errors_in_file_order)
{
    cr_assert_null(parse("workers: 0\ntls: {certificat: x}\nreplay: {redis: x}\nlisten: y\n"));
    static const char *const start[] = {"f:1:1: issuers: no issuer",
                                        "f:1:10: workers: ", "f:2:7: unknown key",
                                        "f:3:17: replay.redis: ", "f:4:9: listen[0]: "};
    cr_assert_eq(errors.count, 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(strncmp(errors.list[i].text, start[i], strlen(start[i])), 0, "%s",
                     errors.list[i].text);
    }
}

Test(config, no_more_errors_than_there_is_room_for)
{
    char text[4096];
    size_t at = 0;
    for (int i = 0; i < 100; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "zebra%d: 1\n", i);
    }
    cr_assert_null(parse(text));
    cr_assert_eq(errors.count, CONFIG_ERRORS_MAX);
    cr_assert_str_eq(
        errors.list[0].text,
        "f:1:1: unknown key \"zebra0\" in the file; remove it, or see popgate validate --example");
}

Test(config, more_errors_are_mentioned)
{
    char text[8192];
    size_t at = (size_t)snprintf(text, sizeof text, "accept: [");
    for (int i = 0; i < 40; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "&a%d dpop,\n", i);
    }
    (void)snprintf(text + at, sizeof text - at, "]\n" ISSUER);
    cr_assert_null(parse(text));
    cr_assert_eq(errors.count, CONFIG_ERRORS_MAX);
    cr_assert_str_eq(errors.list[CONFIG_ERRORS_MAX - 1].text,
                     "f:32:1: more errors from here on; mend those above first");
}

Test(config, long_values_are_cut_in_messages)
{
    wrong("io_backend: "
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaa\n",
          "f:2:13: io_backend: unknown value "
          "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"; write auto, "
          "io_uring or epoll");
}

Test(config, values_have_a_length)
{
    char text[6000] = "tls: {certificate: ";
    memset(text + 19, 'a', 4096);
    memcpy(text + 19 + 4096, "}\n", 3);
    wrong(text, "f:2:20: tls.certificate: is 4096 bytes long; at most 4095 are allowed");
}

/* ---- files ---- */

Test(config, a_file_that_is_not_there)
{
    struct config *config = NULL;
    cr_assert_eq(config_load("/nonexistent/popgate.yaml", &config, &errors), STATUS_SYSTEM);
    cr_assert_null(config);
    cr_assert_eq(errors.count, 1);
    cr_assert_str_eq(errors.list[0].text,
                     "/nonexistent/popgate.yaml:1:1: cannot be read: No such file or directory");
    cr_assert_eq(config_load("/", &config, &errors), STATUS_SYSTEM);
    cr_assert_str_eq(errors.list[0].text, "/:1:1: cannot be read: Is a directory");
}

Test(config, a_file_that_is_too_large)
{
    char name[] = "/tmp/popgate-config-XXXXXX";
    int descriptor = mkstemp(name);
    cr_assert_geq(descriptor, 0);
    char block[4096];
    memset(block, '#', sizeof block);
    for (int i = 0; i < 65; i++) {
        cr_assert_eq(write(descriptor, block, sizeof block), (ssize_t)sizeof block);
    }
    close(descriptor);
    struct config *config = NULL;
    cr_assert_eq(config_load(name, &config, &errors), STATUS_MALFORMED);
    cr_assert_not_null(strstr(errors.list[0].text, ":1:1: larger than 256 KiB"));
    unlink(name);
}

/* ---- positions for what only opening the files shows ---- */

static void stands(const struct config *config, const char *key, uint32_t line, uint32_t column)
{
    struct config_position position = config_position(config, key);
    cr_assert(position.line == line && position.column == column, "%s: %u:%u", key, position.line,
              position.column);
}

Test(config, positions)
{
    struct config *config = parse("tls:\n"
                                  "  certificate: /x/y.crt\n"
                                  "issuers:\n"
                                  "  - issuer: a\n"
                                  "    audience: [b, c]\n"
                                  "    jwks_file: f\n"
                                  "listen: [127.0.0.1:1, 127.0.0.1:2]\n");
    cr_assert_not_null(config);
    stands(config, "tls.certificate", 2, 16);
    stands(config, "tls.private_key", 2, 3); /* not named: its section's */
    stands(config, "tls", 2, 3);
    stands(config, "issuers[0].jwks_file", 6, 16);
    stands(config, "issuers[0].audience[1]", 5, 19);
    stands(config, "issuers[0].allow_typ", 4, 5);
    stands(config, "issuers[1].jwks_file", 4, 3);
    stands(config, "listen[1]", 7, 23);
    stands(config, "replay.path", 1, 1);
    stands(config, "", 1, 1);
    config_complain(config, "tls.certificate", &errors, "%s: %s", "/x/y.crt", "No such file");
    cr_assert_eq(errors.count, 1);
    cr_assert_str_eq(errors.list[0].text, "f:2:16: tls.certificate: /x/y.crt: No such file");
    for (int i = 0; i < 2 * CONFIG_ERRORS_MAX; i++) {
        config_complain(config, "listen", &errors, "x");
    }
    cr_assert_eq(errors.count, CONFIG_ERRORS_MAX);
    config_free(config);
    config_free(NULL);
}

/* ---- reloads ---- */

static void reload_says(const char *now_text, const char *next_text, const char *want)
{
    struct config *now = good(now_text), *next = good(next_text);
    errors.count = 0;
    config_check_reload(now, next, &errors);
    if (want == NULL) {
        cr_assert_eq(errors.count, 0, "%s", errors.list[0].text);
    } else {
        cr_assert_eq(errors.count, 1, "%s", next_text);
        cr_assert_str_eq(errors.list[0].text, want);
    }
    config_free(now);
    config_free(next);
}

Test(config, what_takes_a_restart)
{
#define RESTART ": takes a restart to change"
    reload_says("", "listen: 0.0.0.0:8444\n", "f:2:9: listen" RESTART);
    reload_says("", "listen: [0.0.0.0:8443, 127.0.0.1:1]\n", "f:2:9: listen" RESTART);
    reload_says("listen: 127.0.0.1:1\n", "", "f:1:1: listen" RESTART);
    reload_says("workers: 2\n", "workers: 3\n", "f:2:10: workers" RESTART);
    reload_says("workers: auto\n", "workers: 2\n", "f:2:10: workers" RESTART);
    reload_says("", "io_backend: epoll\n", "f:2:13: io_backend" RESTART);
    reload_says("", "user: nobody\n", "f:2:7: user" RESTART);
    reload_says("", "replay: {capacity: 5}\n", "f:2:20: replay.capacity" RESTART);
    reload_says("", "crypto: {key_memory: 5MiB}\n", "f:2:22: crypto.key_memory" RESTART);
    reload_says("", "admin: {listen: ''}\n", "f:2:17: admin.listen" RESTART);
    reload_says("admin: {listen: ''}\n", "", "f:1:1: admin.listen" RESTART);
    reload_says("", "log: {format: text}\n", "f:2:15: log.format" RESTART);
}

/* The CPU quota may have changed between two readings of `auto`. */
Test(config, automatic_workers_are_not_a_change)
{
    struct config *now = good(""), *next = good("workers: auto\n");
    next->workers = now->workers + 1;
    errors.count = 0;
    config_check_reload(now, next, &errors);
    cr_assert_eq(errors.count, 0);
    config_free(now);
    config_free(next);
}

Test(config, what_does_not)
{
    reload_says("", "", NULL);
    reload_says(
        "",
        "upstream: http://127.0.0.1:1\ntls: {certificate: x, client_crl: y, min_version: 1.2}\n"
        "public_origins: ['https://a.example']\naccept: [mtls]\n"
        "dpop: {mode: shadow, algorithms: [ES256], max_age: 10s, clock_skew: 1s, nonce: required}\n"
        "limits: {head_bytes: 8KiB, connections: 5}\ntimeouts: {idle: 1s}\n"
        "forward_credentials: true\nlog: {access: false, level: debug}\npolicy: [{deny: true}]\n",
        NULL);
}
