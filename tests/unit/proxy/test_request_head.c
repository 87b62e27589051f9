#include "proxy/request_head.h"
#include "proxy/traceparent.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct http_limits limits = {.head_bytes_max = 8192, .headers_max = 64};
static struct http_head head;
static char target[8200];
static char text[16384];
static uint64_t random_state;
static struct tls_peer peer;
static struct auth_identity identity;
static struct request_facts facts;

static void set_up(void)
{
    peer = (struct tls_peer){
        .spiffe_id = SPAN_LITERAL("spiffe://td/alice"),
        .subject = SPAN_LITERAL("CN=alice"),
        .uri_san = SPAN_LITERAL("spiffe://td/alice"),
    };
    identity = (struct auth_identity){
        .issuer = SPAN_LITERAL("https://as.example"),
        .subject = SPAN_LITERAL("user-1"),
        .client_id = SPAN_LITERAL("client-1"),
        .scope = SPAN_LITERAL("read write"),
        .jkt_size = 43,
    };
    memset(identity.jkt, 'k', sizeof identity.jkt);
    facts = (struct request_facts){
        .peer = &peer, .identity = &identity, .random_state = &random_state};
}

static void parse(const char *request)
{
    struct http1_scan scan = {0};
    struct http_refusal refusal = {0};
    size_t size = 0;
    enum status status = http1_parse_request(&scan, span_from_string(request), &limits,
                                             (struct span_mut){(uint8_t *)target, sizeof target},
                                             &head, &size, &refusal);
    cr_assert_eq(status, STATUS_OK, "%s", refusal.reason);
}

static enum status write_into(size_t capacity)
{
    struct http1_writer writer;
    http1_writer_init(&writer, text, capacity);
    enum status status = request_head_write(&writer, &head, &facts);
    text[writer.size] = '\0';
    return status;
}

static const char *forwarded(const char *request)
{
    parse(request);
    cr_assert_eq(write_into(sizeof text - 1), STATUS_OK);
    return text;
}

static bool has(const char *line)
{
    return strstr(text, line) != NULL;
}

static size_t count_of(const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strcasestr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}

Test(request_head, the_identity_is_set_and_credentials_are_gone, .init = set_up)
{
    forwarded("GET /a%7Eb?q=1 HTTP/1.1\r\nHost: a.example\r\nAuthorization: DPoP tok\r\n"
              "DPoP: proof\r\nAccept: */*\r\n\r\n");
    cr_assert(strncmp(text, "GET /a~b?q=1 HTTP/1.1\r\n", 23) == 0);
    cr_assert(has("\r\nAccept: */*\r\n"));
    cr_assert(has("\r\nx-popgate-subject: user-1\r\n"));
    cr_assert(has("\r\nx-popgate-client-id: client-1\r\n"));
    cr_assert(has("\r\nx-popgate-issuer: https://as.example\r\n"));
    cr_assert(has("\r\nx-popgate-scope: read write\r\n"));
    cr_assert(has("\r\nx-popgate-jkt: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\r\n"));
    cr_assert(has("\r\nx-popgate-spiffe-id: spiffe://td/alice\r\n"));
    cr_assert(has(";Subject=\"CN=alice\";URI=spiffe://td/alice\r\n"));
    cr_assert_eq(count_of("authorization"), 0);
    cr_assert_eq(count_of("dpop"), 0);
    cr_assert(strcmp(text + strlen(text) - 4, "\r\n\r\n") == 0);
}

Test(request_head, credentials_pass_when_the_configuration_says_so, .init = set_up)
{
    facts.forward_credentials = true;
    forwarded("GET / HTTP/1.1\r\nHost: a.example\r\nAuthorization: DPoP tok\r\nDPoP: p\r\n\r\n");
    cr_assert(has("\r\nAuthorization: DPoP tok\r\n"));
    cr_assert(has("\r\nDPoP: p\r\n"));
}

Test(request_head, forged_copies_of_our_headers_are_gone_under_any_spelling, .init = set_up)
{
    forwarded("GET / HTTP/1.1\r\nHost: a.example\r\nX-Popgate-Subject: admin\r\n"
              "x_popgate_scope: admin\r\nX-POPGATE-SHADOW: no\r\nX-Popgate_Jkt: admin\r\n"
              "X-Forwarded-Client-Cert: By=admin\r\nx_forwarded_client_cert: admin\r\n"
              "Connection: x-popgate-subject, keep-alive\r\n\r\n");
    cr_assert_eq(count_of("admin"), 0);
    cr_assert_eq(count_of("shadow"), 0);
    cr_assert(has("\r\nx-popgate-subject: user-1\r\n"));
    cr_assert_eq(count_of("x-forwarded-client-cert"), 1);
}

Test(request_head, shadow_mode_forwards_no_identity_of_a_failed_token, .init = set_up)
{
    facts.identity = NULL;
    facts.shadow_check = "proof_iat";
    forwarded("GET / HTTP/1.1\r\nHost: a.example\r\nX-Popgate-Subject: admin\r\n\r\n");
    cr_assert(has("\r\nx-popgate-shadow: deny; check=proof_iat\r\n"));
    cr_assert_eq(count_of("x-popgate-subject"), 0);
    cr_assert_eq(count_of("x-popgate-jkt"), 0);
    cr_assert(has("\r\nx-popgate-spiffe-id: spiffe://td/alice\r\n"));
}

Test(request_head, a_valid_traceparent_passes, .init = set_up)
{
    forwarded("GET / HTTP/1.1\r\nHost: a.example\r\ntraceparent: " TRACE
              "\r\nTraceState: a=b\r\n\r\n");
    cr_assert(has("\r\ntraceparent: " TRACE "\r\n"));
    cr_assert_eq(count_of("traceparent"), 1);
    cr_assert(has("\r\nTraceState: a=b\r\n"));
}

Test(request_head, a_traceparent_that_is_missing_bad_or_repeated_is_begun_anew, .init = set_up)
{
    static const char *const lines[] = {"", "traceparent: 00-xyz\r\nTracestate: a=b\r\n",
                                        "traceparent: " TRACE "\r\ntraceparent: " TRACE
                                        "\r\ntracestate: a=b\r\n"};
    for (size_t i = 0; i < 3; i++) {
        char request[512];
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a.example\r\n%s\r\n", lines[i]);
        forwarded(request);
        cr_assert_eq(count_of("traceparent"), 1, "%zu", i);
        cr_assert_eq(count_of("tracestate"), 0);
        cr_assert_not(has(TRACE));
        const char *value = strstr(text, "traceparent: ") + strlen("traceparent: ");
        cr_assert(traceparent_valid(span_make(value, TRACEPARENT_BYTES)));
    }
}

Test(request_head, expect_is_answered_by_the_gate_and_not_forwarded, .init = set_up)
{
    forwarded("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n"
              "Expect: 100-continue\r\n\r\n");
    cr_assert_eq(count_of("expect"), 0);
    cr_assert(has("\r\nContent-Length: 5\r\n"));
}

Test(request_head, the_address_the_gate_knows_is_the_only_one, .init = set_up)
{
    const char *request = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.66\r\n"
                          "x_forwarded_for: 192.0.2.67\r\n\r\n";
    struct client_address client = client_address_from((const uint8_t *)"\xc0\0\2\1", 4, 99);
    facts.client = &client;
    const char *written = forwarded(request);
    cr_assert(strstr(written, "\r\nx-forwarded-for: 192.0.2.1\r\n") != NULL, "%s", written);
    cr_assert(strstr(written, "192.0.2.6") == NULL, "%s", written);
    client = (struct client_address){0};
    written = forwarded(request);
    cr_assert(strstr(written, "orwarded-for") == NULL, "%s", written);
    cr_assert(strstr(written, "192.0.2") == NULL, "%s", written);
    facts.client = NULL;
    cr_assert(strstr(forwarded(request), "192.0.2") == NULL);
}

Test(request_head, a_value_that_could_forge_a_line_is_never_forwarded, .init = set_up)
{
    static const char *const bad[] = {"a\r\nx-admin: 1", "a\nb", "\x01", "\x7f", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span value = span_from_string(bad[i]);
        struct span *fields[] = {&identity.subject, &identity.client_id, &identity.issuer,
                                 &identity.scope,   &peer.spiffe_id,     &peer.subject,
                                 &peer.uri_san,     &peer.dns_sans[0],   &facts.own_uri};
        for (size_t j = 0; j < sizeof fields / sizeof fields[0]; j++) {
            set_up();
            peer.dns_sans_count = 1;
            *fields[j] = value;
            parse("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
            cr_assert_eq(write_into(sizeof text - 1), STATUS_FAILED, "%zu %zu", i, j);
            cr_assert_eq(text[0], '\0');
        }
    }
    set_up();
    identity.jkt[42] = '\n';
    parse("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    cr_assert_eq(write_into(sizeof text - 1), STATUS_FAILED);
}

Test(request_head, what_does_not_fit_is_refused_and_never_cut, .init = set_up)
{
    const char *request = "GET / HTTP/1.1\r\nHost: a.example\r\ntraceparent: " TRACE "\r\n\r\n";
    size_t whole = strlen(forwarded(request));
    for (size_t size = 0; size < whole; size++) {
        parse(request);
        cr_assert_eq(write_into(size), STATUS_TOO_LARGE, "%zu of %zu", size, whole);
    }
    parse(request);
    cr_assert_eq(write_into(whole), STATUS_OK);
}
