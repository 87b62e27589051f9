/* The table itself. */
#include "app/config_custom.h"
#include "http/message.h"

#define IN(type, member) .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)
/* A list: the pointer, and how many it points to. */
#define LIST(type, member, count)                                                                  \
    .offset = offsetof(type, member), .width = sizeof(void *), .count_offset = offsetof(type, count)
#define AT(member) IN(struct config, member)
#define KIB        1024ull
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define SECOND     1000ull
#define MINUTE     (60 * SECOND)
#define HOUR       (3600 * SECOND)

static const struct config_choice io_backends[] = {
    {"auto", IO_AUTO}, {"io_uring", IO_URING}, {"epoll", IO_EPOLL}, {0}};
static const struct config_choice tls_versions[] = {{"1.3", 3}, {"1.2", 2}, {0}};
static const struct config_choice modes[] = {
    {"enforce", AUTH_ENFORCE}, {"shadow", AUTH_SHADOW}, {"off", AUTH_OFF}, {0}};
static const struct config_choice nonces[] = {{"off", false}, {"required", true}, {0}};
static const struct config_choice nonce_scopes[] = {{"instance", false}, {"shared", true}, {0}};
static const struct config_choice cold_starts[] = {{"challenge", false}, {"accept", true}, {0}};
static const struct config_choice redis_failures[] = {{"deny", false}, {"local", true}, {0}};
static const struct config_choice log_formats[] = {{"json", LOG_JSON}, {"text", LOG_TEXT}, {0}};
static const struct config_choice log_levels[] = {
    {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {0}};

#define TIMEOUT(name, default_value, at_least, at_most, words)                                     \
    {                                                                                              \
        "timeouts." #name, CONFIG_TIME_MS, AT(timeouts.name##_ms),                                 \
            .minimum = at_least, .maximum = at_most, .value = default_value,                       \
            .want = default_value, .help = words                                                   \
    }
#define FILE_PATH(key, member, default_value, at_least, words)                                     \
    {                                                                                              \
        key, CONFIG_STRING, AT(member), .minimum = at_least, .maximum = 4095,                      \
                                        .value = default_value, .want = "a path", .help = words    \
    }

const struct config_key config_keys[] = {
    {"listen", CONFIG_CUSTOM, .read = config_read_listen, .value = "0.0.0.0:8443",
     .want = "0.0.0.0:8443 or [::]:8443, one or a list",
     .help = "Where mutual TLS is terminated: an address or a list of them."},
    {"upstream", CONFIG_CUSTOM, .read = config_read_upstream, .value = "http://127.0.0.1:8080",
     .want = "http://127.0.0.1:8080, h2c://127.0.0.1:50051 or http+unix:///run/app.sock",
     .help = "The service, on loopback or a Unix socket: http://127.0.0.1:8080,\n"
             "http+unix:///run/app.sock; h2c:// and h2c+unix:// for HTTP/2 in clear (gRPC)."},
    {"workers", CONFIG_CUSTOM, .read = config_read_workers, .value = "auto",
     .want = "auto, or 1 to 256",
     .help = "Worker threads; auto is the cgroup's CPU quota, rounded up, at most the CPUs we may\n"
             "run on."},
    {"io_backend", CONFIG_CHOICE, AT(io_backend), .choices = io_backends, .value = "auto",
     .help = "auto | io_uring | epoll. auto tries io_uring and falls back; by name it must work."},
    {"user", CONFIG_STRING, AT(user), .maximum = 64, .value = "", .want = "a user name",
     .help = "Become this user once the listeners are bound."},

    {"tls", CONFIG_SECTION, .help = "PEM files; relative paths start at the working folder."},
    FILE_PATH("tls.certificate", tls.certificate, "/etc/popgate/tls.crt", 1,
              "Our certificate, then its chain."),
    FILE_PATH("tls.private_key", tls.private_key, "/etc/popgate/tls.key", 1, "Its key."),
    FILE_PATH("tls.client_ca", tls.client_ca, "/etc/popgate/ca.crt", 1,
              "The CAs that client certificates must chain to."),
    FILE_PATH("tls.client_crl", tls.client_crl, "", 0, "Their revocation list, if any."),
    {"tls.min_version", CONFIG_CHOICE, AT(tls.min_version_minor), .choices = tls_versions,
     .value = "\"1.3\"", .help = "\"1.3\", or \"1.2\" to allow both."},

    {"public_origins", CONFIG_CUSTOM, .read = config_read_public_origins, .value = "[]",
     .want = "a list such as [https://orders.example.com]",
     .help = "What a proof's htu may name. Without it: the exact DNS names of our certificate."},
    {"accept", CONFIG_CUSTOM, .read = config_read_accept, .value = "[dpop]",
     .want = "a list of dpop and mtls",
     .help = "dpop: tokens bound to a proof's key. mtls: Bearer tokens bound to the client's\n"
             "certificate (x5t#S256). Unbound tokens never pass."},

    {"issuers", CONFIG_RECORDS, .read = config_read_issuers, .value = "",
     .want = "a list of mappings with issuer, audience and jwks_file",
     .help = "The authorization servers whose access tokens are accepted."},
    {"issuers[].issuer", CONFIG_SPAN, IN(struct config_issuer, issuer), .minimum = 1,
     .maximum = 2048, .value = "", .want = "https://as.example.com", .check = config_check_word,
     .example = "https://as.example.com", .help = "Exactly the token's iss."},
    {"issuers[].audience", CONFIG_SPANS, LIST(struct config_issuer, audiences, audiences_count),
     .minimum = 1, .maximum = 2048, .value = "", .want = "https://orders.example.com, or a list",
     .check = config_check_word, .example = "https://orders.example.com",
     .help = "What the token's aud must name: one, or a list of which one is enough."},
    {"issuers[].jwks_file", CONFIG_STRING, IN(struct config_issuer, jwks_file), .minimum = 1,
     .maximum = 4095, .value = "", .want = "/etc/popgate/jwks.json",
     .example = "/etc/popgate/jwks.json", .help = "The issuer's public keys, a JWK Set."},
    {"issuers[].jwks_uri", CONFIG_STRING, IN(struct config_issuer, jwks_uri), .minimum = 1,
     .maximum = 2048, .value = "", .want = "https://as.example.com/jwks.json", .later = true,
     .help = "Or where to fetch them."},
    {"issuers[].allow_typ", CONFIG_SPANS, LIST(struct config_issuer, allow_typ, allow_typ_count),
     .minimum = 1, .maximum = 128, .value = "[]", .want = "a list such as [JWT]",
     .check = config_check_word, .example = "[]",
     .help = "Values of typ beside at+jwt and application/at+jwt, e.g. [JWT] for Keycloak."},

    {"dpop", CONFIG_SECTION, .help = "Proofs (RFC 9449)."},
    {"dpop.mode", CONFIG_CHOICE, AT(dpop.mode), .choices = modes, .value = "enforce",
     .help = "enforce | shadow (check, count, forward all the same) | off (mutual TLS only)."},
    {"dpop.algorithms", CONFIG_CUSTOM, .read = config_read_algorithms, .value = "[ES256, EdDSA]",
     .want = "a list of ES256, EdDSA, PS256, RS256, ES384 and ES512",
     .help = "Of proofs; EdDSA also accepts the name Ed25519. Also PS256, RS256, ES384, ES512."},
    {"dpop.max_age", CONFIG_TIME_S, AT(dpop.max_age_s), .minimum = SECOND, .maximum = HOUR,
     .value = "60s", .want = "60s", .help = "A proof is accepted for so long after its iat."},
    {"dpop.clock_skew", CONFIG_TIME_S, AT(dpop.clock_skew_s), .minimum = 0, .maximum = 300 * SECOND,
     .value = "5s", .want = "5s", .help = "What clocks may differ, in both directions."},
    {"dpop.nonce", CONFIG_CHOICE, AT(dpop.nonce_required), .choices = nonces, .value = "off",
     .help = "off | required: every proof must carry a nonce of ours."},
    {"dpop.nonce_scope", CONFIG_CHOICE, AT(dpop.nonce_shared), .choices = nonce_scopes,
     .value = "instance", .help = "instance | shared, with nonce_key_file."},
    {"dpop.nonce_key_file", CONFIG_STRING, AT(dpop.nonce_key_file), .maximum = 4095, .value = "",
     .want = "a path", .help = "32 bytes that all replicas share, for nonce_scope: shared."},

    {"replay", CONFIG_SECTION, .help = "The memory of used proofs."},
    {"replay.capacity", CONFIG_INTEGER, AT(replay.capacity), .minimum = 1, .maximum = 1ull << 32,
     .value = "1048576", .want = "1048576",
     .help = "Proofs remembered, each for max_age + 2 * clock_skew. Full answers 503."},
    {"replay.path", CONFIG_STRING, AT(replay.path), .maximum = 4095, .value = "", .want = "a path",
     .help = "A file, best on tmpfs (/run/popgate/replay): the memory survives the process."},
    {"replay.cold_start", CONFIG_CHOICE, AT(replay.cold_start_accept), .choices = cold_starts,
     .value = "challenge",
     .help = "challenge | accept: what meets proofs from before a start without memory. accept is\n"
             "for tests and first installs."},
    {"replay.redis", CONFIG_CUSTOM, .read = config_read_redis, .value = "\"\"",
     .want = "redis://[:password@]host:port or rediss://",
     .help = "A Redis or Valkey shared by all replicas; user:password@ and percent-escapes too.\n"
             "rediss:// is TLS, and needs redis_ca."},
    FILE_PATH("replay.redis_ca", replay.redis_ca, "", 0,
              "The CAs that the certificate of a rediss:// server must chain to."),
    FILE_PATH("replay.redis_certificate", replay.redis_certificate, "", 0,
              "Our certificate, for a server that asks for one; with redis_private_key."),
    FILE_PATH("replay.redis_private_key", replay.redis_private_key, "", 0, "Its key."),
    {"replay.redis_failure", CONFIG_CHOICE, AT(replay.redis_failure_local),
     .choices = redis_failures, .value = "deny",
     .help = "deny (503) | local: without it, proofs need a nonce of this replica."},

    {"crypto", CONFIG_SECTION, .help = "Signature verification."},
    {"crypto.key_memory", CONFIG_SIZE, AT(key_memory_bytes), .minimum = MIB, .maximum = 64 * GIB,
     .value = "32MiB", .want = "32MiB",
     .help =
         "For tables of keys seen before: 370 of them; to 128MiB larger ones, above that more."},

    {"limits", CONFIG_SECTION, .help = "Each has a counter: popgate_limits_hit_total."},
    {"limits.head_bytes", CONFIG_SIZE, AT(limits.head_bytes), .minimum = KIB, .maximum = MIB,
     .value = "32KiB", .want = "32KiB", .help = "A request's or response's head. Beyond: 431."},
    {"limits.header_bytes", CONFIG_SIZE, AT(limits.header_bytes), .minimum = 0, .maximum = MIB,
     .value = "0", .want = "8KiB, or 0 for as many as the head",
     .help = "One header line of a request; 0: as many as the head. Beyond: 431."},
    {"limits.headers", CONFIG_INTEGER, AT(limits.headers), .minimum = 1,
     .maximum = HTTP_HEADERS_MAX, .value = "128", .want = "128",
     .help = "Its fields. Beyond: 431."},
    {"limits.proof_bytes", CONFIG_SIZE, AT(limits.proof_bytes), .minimum = 256, .maximum = 64 * KIB,
     .value = "8KiB", .want = "8KiB", .help = "A proof."},
    {"limits.token_bytes", CONFIG_SIZE, AT(limits.token_bytes), .minimum = 256, .maximum = 64 * KIB,
     .value = "16KiB", .want = "16KiB", .help = "An access token."},
    {"limits.jti_bytes", CONFIG_INTEGER, AT(limits.jti_bytes), .minimum = 1, .maximum = 4096,
     .value = "256", .want = "256", .help = "A proof's jti."},
    {"limits.body_bytes", CONFIG_SIZE, AT(limits.body_bytes), .minimum = 0,
     .maximum = 1024 * 1024 * GIB, .value = "0", .want = "10MiB, or 0 for no limit",
     .help = "A request's body; 0: no limit. Beyond: 413."},
    {"limits.connections", CONFIG_INTEGER, AT(limits.connections), .minimum = 1, .maximum = 1 << 20,
     .value = "16384", .want = "16384", .help = "Open at once, of each worker."},
    {"limits.streams", CONFIG_INTEGER, AT(limits.streams), .minimum = 1, .maximum = 1024,
     .value = "128", .want = "128", .help = "Of one HTTP/2 connection."},
    {"limits.pipeline", CONFIG_INTEGER, AT(limits.pipeline), .minimum = 1, .maximum = 1024,
     .value = "16", .want = "16",
     .help = "Pipelined requests of one connection begun in one turn of the loop; the rest waits."},

    {"limits.requests_per_connection", CONFIG_INTEGER, AT(limits.requests_per_connection),
     .minimum = 0, .maximum = UINT32_MAX, .value = "0", .want = "1000, or 0 for no limit",
     .help = "Of a client's; 0: no limit. The last one's answer ends the connection: Connection:\n"
             "close, or GOAWAY."},
    {"limits.buffers", CONFIG_SIZE, AT(limits.buffers), .minimum = MIB, .maximum = 64 * GIB,
     .value = "160MiB", .want = "160MiB",
     .help = "Memory of each worker for what is on its way: bodies and answers. Beyond: 503, or a\n"
             "cut."},

    {"timeouts", CONFIG_SECTION, .help = "Each has a counter: popgate_limits_hit_total."},
    TIMEOUT(handshake, "5s", 1, HOUR, "TLS, from the first byte."),
    TIMEOUT(head, "10s", 1, HOUR, "A request's head, from its first byte. Beyond: 408."),
    TIMEOUT(body_progress, "30s", 1, HOUR, "Between two bytes of a body, in either direction."),
    TIMEOUT(upstream_connect, "2s", 1, HOUR, "To the service. Beyond: 504."),
    TIMEOUT(upstream_head, "30s", 1, HOUR, "The service's answer. Beyond: 504."),
    TIMEOUT(idle, "60s", 1, 24 * HOUR, "A client's connection between requests."),
    TIMEOUT(upstream_idle, "30s", 1, 24 * HOUR, "A pooled connection to the service."),
    TIMEOUT(stream_idle, "0s", 0, 24 * HOUR,
            "A tunnel or a stream of HTTP/2, gRPC too, on which nothing passes either way; 0s: a\n"
            "tunnel as idle, a stream not at all."),
    TIMEOUT(
        total, "0s", 0, 24 * HOUR,
        "A whole request, from its head to the end of its answer, tunnels aside; 0s: no limit.\n"
        "Beyond: 504, or a cut; 408 while its body has not come."),
    TIMEOUT(redis, "500ms", 1, MINUTE, "A connect to replay.redis, and each answer. Beyond: 503."),
    TIMEOUT(drain, "30s", 0, HOUR, "From SIGTERM until what is still open is cut."),

    {"proxy_protocol", CONFIG_SECTION, .help = "PROXY protocol, version 2."},
    {"proxy_protocol.trusted", CONFIG_CUSTOM, .read = config_read_trusted, .value = "[]",
     .want = "a list such as [10.0.0.0/8]",
     .help = "Addresses of load balancers, as 10.0.0.1 or 10.0.0.0/8: connections from them, and\n"
             "no others, must begin with it."},
    {"forward_credentials", CONFIG_BOOLEAN, AT(forward_credentials), .value = "false",
     .help = "Forward Authorization and DPoP to the service instead of removing them."},

    {"admin", CONFIG_SECTION, .help = "For kubelet, Prometheus and you."},
    {"admin.listen", CONFIG_CUSTOM, .read = config_read_admin_listen, .value = "127.0.0.1:9901",
     .want = "127.0.0.1:9901, or \"\" for none", .help = "/livez /readyz /metrics; \"\": none."},
    {"admin.socket", CONFIG_STRING, AT(admin_socket), .maximum = 107, .value = "", .want = "a path",
     .help = "A Unix socket: the same, and /identities, /config, the log level."},

    {"log", CONFIG_SECTION, .help = "To standard output."},
    {"log.format", CONFIG_CHOICE, AT(log_format), .choices = log_formats, .value = "json",
     .help = "json | text."},
    {"log.access", CONFIG_BOOLEAN, AT(log_access), .value = "true", .help = "A line a request."},
    {"log.level", CONFIG_CHOICE, AT(log_level), .choices = log_levels, .value = "info",
     .help = "debug | info | warn | error."},

    {"policy", CONFIG_RECORDS, .read = config_read_policy, .value = "[]",
     .want = "a list of mappings such as {path: /orders/, methods: [GET], scope: [orders.read]}",
     .help = "Who may do what; the first rule whose path and method match decides. Empty: any\n"
             "verified caller, every path."},
    {"policy[].path", CONFIG_CUSTOM, IN(struct auth_policy_rule, path),
     .read = config_read_policy_path, .value = "", .want = "/orders/", .example = "/orders/",
     .help =
         "With a slash at the end: everything below it; else exactly that path, with its case.\n"
         "Left out: all. A request whose rule depends on how the service reads its path\n"
         "(//orders/1, /orders;v=1/1, /orders%2F1) does not pass."},
    {"policy[].methods", CONFIG_SPANS, LIST(struct auth_policy_rule, methods, methods_count),
     .minimum = 1, .maximum = 32, .value = "", .want = "a list such as [GET, POST]",
     .check = config_check_method, .example = "[GET, POST]",
     .help = "Left out: all. GET names the CONNECT of a WebSocket over HTTP/2, too."},
    {"policy[].scope", CONFIG_SPANS, LIST(struct auth_policy_rule, scopes, scopes_count),
     .minimum = 1, .maximum = 256, .value = "", .want = "a list such as [orders.read]",
     .check = config_check_scope, .example = "[orders.read]",
     .help = "All of them must be in the token's scope."},
    {"policy[].spiffe", CONFIG_SPANS, LIST(struct auth_policy_rule, spiffe_ids, spiffe_ids_count),
     .minimum = 1, .maximum = 2048, .value = "",
     .want = "a list such as [spiffe://example.org/shop]", .check = config_check_spiffe,
     .example = "[spiffe://example.org/shop]",
     .help = "The client certificate must name one of them."},
    {"policy[].open", CONFIG_BOOLEAN, IN(struct auth_policy_rule, open), .value = "false",
     .example = "false", .help = "No token needed (mutual TLS still is)."},
    {"policy[].deny", CONFIG_BOOLEAN, IN(struct auth_policy_rule, deny), .value = "false",
     .example = "false", .help = "Nobody."},
};
const size_t config_keys_count = sizeof config_keys / sizeof config_keys[0];
