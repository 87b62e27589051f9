/* What one idle, established connection holds on to: heap bytes by mallinfo2 over many connections,
 * and what a request and an answer allocate once the first ones are through. */
#include "tls/authority.h"
#include "tls/connection.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef POPGATE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#define CONNECTIONS 2000

static size_t heap_bytes(void)
{
#ifdef POPGATE_JEMALLOC
    uint64_t epoch = 1;
    size_t size = sizeof epoch, allocated = 0;
    mallctl("epoch", &epoch, &size, &epoch, size);
    size = sizeof allocated;
    mallctl("stats.allocated", &allocated, &size, NULL, 0);
    return allocated;
#else
    return mallinfo2().uordblks;
#endif
}

/* Bytes this thread has ever asked for; without jemalloc nobody counts them. */
static uint64_t bytes_asked_for(void)
{
    uint64_t bytes = 0;
#ifdef POPGATE_JEMALLOC
    size_t size = sizeof bytes;
    mallctl("thread.allocated", &bytes, &size, NULL, 0);
#endif
    return bytes;
}

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_tls_memory: %s\n", what);
        exit(1);
    }
}

static char *write_text(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    must(file != NULL && fputs(text, file) >= 0, path);
    fclose(file);
    return strdup(path);
}

struct end {
    struct buffer out;
    struct tls_connection *server;
    SSL *client;
};

static void pump(struct end *end, struct clock_now *now)
{
    uint8_t wire[20000];
    for (int i = 0; i < 6; i++) {
        (void)SSL_do_handshake(end->client);
        int size = BIO_read(SSL_get_wbio(end->client), wire, sizeof wire);
        if (size > 0) {
            tls_input(end->server, span_make(wire, (size_t)size));
            if (tls_handshake(end->server, now) == STATUS_OK) {
                i = 5;
            }
        }
        struct span spans[8];
        size_t count;
        while ((count = buffer_peek(&end->out, spans, 8)) > 0) {
            BIO_write(SSL_get_rbio(end->client), spans[0].data, (int)spans[0].size);
            buffer_consume(&end->out, spans[0].size);
        }
    }
}

/* One request of 1 KiB and one answer of 8 KiB, on the server's side alone counted. */
static double round_trip(struct end *end, uint64_t *asked_for)
{
    static uint8_t wire[20000], plain[16384 + 256], answer[8192];
    char request[1024];
    memset(request, 'x', sizeof request);
    must(SSL_write(end->client, request, sizeof request) == (int)sizeof request, "client write");
    int size = BIO_read(SSL_get_wbio(end->client), wire, sizeof wire);
    struct timespec from, to;
    uint64_t before = bytes_asked_for();
    size_t got = 0, taken = 0;
    clock_gettime(CLOCK_MONOTONIC, &from);
    tls_input(end->server, span_make(wire, (size_t)size));
    must(tls_read(end->server, (struct span_mut){plain, sizeof plain}, &got) == STATUS_OK, "read");
    must(tls_read(end->server, (struct span_mut){plain, sizeof plain}, &got) == STATUS_AGAIN,
         "end");
    must(tls_write(end->server, span_make(answer, sizeof answer), &taken) == STATUS_OK, "write");
    clock_gettime(CLOCK_MONOTONIC, &to);
    *asked_for = bytes_asked_for() - before;
    buffer_consume(&end->out, end->out.size);
    return (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
}

int main(void)
{
    char folder[] = "/tmp/popgate-bench-XXXXXX";
    must(mkdtemp(folder) != NULL, "mkdtemp");
    struct authority *authority = authority_new("bench CA", 2);
    const char *names[] = {"localhost"};
    struct authority_request server = {.common_name = "server",
                                       .dns_names = names,
                                       .dns_names_count = 1,
                                       .server = true,
                                       .days = 1};
    struct authority_request client = {
        .common_name = "client", .uri = "spiffe://example.com/client", .client = true, .days = 1};
    char *server_pem, *server_key, *client_pem, *client_key;
    must(authority_issue(authority, &server, &server_pem, &server_key) == STATUS_OK, "issue");
    must(authority_issue(authority, &client, &client_pem, &client_key) == STATUS_OK, "issue");
    struct tls_ticket_keys *tickets = tls_ticket_keys_new();
    struct tls_options options = {
        .certificate_path = write_text(folder, "s.crt", server_pem),
        .private_key_path = write_text(folder, "s.key", server_key),
        .client_ca_path = write_text(folder, "ca.crt", authority_certificate(authority)),
        .min_version_minor = 3,
        .ticket_keys = tickets,
    };
    char error[512];
    struct tls_context *context = NULL;
    must(tls_context_new(&options, &context, error, sizeof error) == STATUS_OK, error);
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_method());
    must(SSL_CTX_use_certificate_file(client_ctx, write_text(folder, "c.crt", client_pem),
                                      SSL_FILETYPE_PEM) &&
             SSL_CTX_use_PrivateKey_file(client_ctx, write_text(folder, "c.key", client_key),
                                         SSL_FILETYPE_PEM),
         "client");

    struct chunk_pool pool;
    chunk_pool_init(&pool, 16384, 0);
    struct clock_now now = clock_read();
    static struct end ends[CONNECTIONS];
    /* The clients' share of the heap is taken out by freeing them before the second look. */
    size_t before = 0;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (i == 10) {
            before = heap_bytes(); /* tables and caches exist by now */
        }
        struct end *end = &ends[i];
        buffer_init(&end->out, &pool);
        end->server = tls_connection_new(context, &end->out, 1 << 18);
        end->client = SSL_new(client_ctx);
        SSL_set_bio(end->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(end->client);
        SSL_set_tlsext_host_name(end->client, "localhost");
        pump(end, &now);
        must(tls_handshake(end->server, &now) == STATUS_OK, tls_connection_failure(end->server));
        if (i >= 10) {
            SSL_free(end->client);
            end->client = NULL;
        }
    }
    ERR_clear_error();
    size_t after = heap_bytes();
    printf("%s, TLS 1.3, one client certificate\n", tls_library_version());
    printf("idle connection: %zu bytes of heap each (%d connections)\n",
           (after - before) / (CONNECTIONS - 10), CONNECTIONS - 10);

    uint64_t asked = 0, worst = 0;
    double best_ns = 1e18;
    for (int i = 0; i < 2000; i++) {
        double ns = round_trip(&ends[0], &asked);
        worst = i > 10 && asked > worst ? asked : worst;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    printf("1 KiB in, 8 KiB out: %.0f ns at best, %llu bytes asked of the allocator\n", best_ns,
           (unsigned long long)worst);
    return 0;
}
