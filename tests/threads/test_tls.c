/* What connections of several workers share: contexts that are replaced, the chains one context
 * remembers, ticket keys that rotate. Each worker handshakes over and over (in full and resumed),
 * while one thread reloads and rotates. */
#include "unit/tls/driver.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS 4
#define ROUNDS  400

struct shared {
    struct world world;
    pthread_mutex_t
        lock; /* of `current`: what a worker's configuration pointer is in the sidecar */
    struct tls_context *current;
    _Atomic bool done;
    _Atomic int failures, resumed, reverified;
    struct test_certificate clients[8];
};

struct worker {
    struct shared *shared;
    struct world world; /* its own view: a client context, the shared server context */
    int number;
};

static struct tls_context *take_current(struct shared *shared)
{
    pthread_mutex_lock(&shared->lock);
    struct tls_context *context = shared->current;
    tls_context_acquire(context);
    pthread_mutex_unlock(&shared->lock);
    return context;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct world *world = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(world->session);
    world->session = session;
    return 1;
}

static void one_connection(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct pair pair;
    char text[16];
    enum status status;
    size_t taken = 0;
    worker->world.context = take_current(shared);
    worker->world.now = clock_read();
    pair_open(&pair, &worker->world, 4096, 0, 65536);
    bool ok = pair_handshake(&pair) == STATUS_OK;
    ok = ok && SSL_write(pair.client, "ping", 4) == 4;
    ok = ok && pair_read(&pair, text, sizeof text, &status) == 4;
    ok = ok && tls_write(pair.server, SPAN_LITERAL("pong"), &taken) == STATUS_OK;
    pair_deliver(&pair);
    ok = ok && pair_client_read(&pair, text, sizeof text) == 4;
    ok = ok && span_equal_string(tls_connection_peer(pair.server)->subject, "CN=client");
    if (ok) {
        shared->resumed += tls_connection_resumed(pair.server);
        struct tls_context *other = take_current(shared);
        ok = tls_connection_reverify(pair.server, other, &worker->world.now) == STATUS_OK;
        shared->reverified += ok;
        tls_context_release(other);
    }
    if (!ok) {
        fprintf(stderr, "worker %d: %s\n", worker->number, tls_connection_failure(pair.server));
        shared->failures++;
    }
    pair_close(&pair);
    tls_context_release(worker->world.context);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct shared *shared = worker->shared;
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_app_data(client_ctx, &worker->world);
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
    worker->world.client_ctx = client_ctx;
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 8 == 0) {
            world_client(&worker->world, &shared->clients[(round / 8 + worker->number) % 8], NULL);
            SSL_SESSION_free(worker->world.session);
            worker->world.session = NULL;
        }
        one_connection(worker);
    }
    SSL_SESSION_free(worker->world.session);
    SSL_CTX_free(client_ctx);
    return NULL;
}

static void *reload(void *argument)
{
    struct shared *shared = argument;
    for (unsigned turn = 0; !shared->done; turn++) {
        struct tls_options options = world_options(&shared->world);
        char error[512];
        struct tls_context *made = NULL;
        if (tls_context_new(&options, &made, error, sizeof error) != STATUS_OK) {
            fprintf(stderr, "reload: %s\n", error);
            shared->failures++;
            break;
        }
        pthread_mutex_lock(&shared->lock);
        struct tls_context *old = shared->current;
        shared->current = made;
        pthread_mutex_unlock(&shared->lock);
        tls_context_release(old);
        if (turn % 8 == 0) {
            tls_ticket_keys_rotate(shared->world.tickets);
        }
        struct timespec pause = {0, 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

int main(void)
{
    static struct shared shared;
    static struct worker workers[WORKERS];
    pthread_t threads[WORKERS], reloader;
    world_open(&shared.world);
    pthread_mutex_init(&shared.lock, NULL);
    shared.current = shared.world.context;
    shared.world.context = NULL;
    for (int i = 0; i < 8; i++) {
        shared.clients[i] = test_client_make(&shared.world.ca, "spiffe://example.org/a");
    }
    for (int i = 0; i < WORKERS; i++) {
        workers[i].shared = &shared;
        workers[i].number = i;
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    pthread_create(&reloader, NULL, reload, &shared);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    shared.done = true;
    pthread_join(reloader, NULL);
    int failed = shared.failures;
    /* The test must have tested something: some came back by ticket, all were verified again. */
    failed += shared.resumed < ROUNDS;
    failed += shared.reverified != WORKERS * ROUNDS;
    tls_context_release(shared.current);
    for (int i = 0; i < 8; i++) {
        test_certificate_free(&shared.clients[i]);
    }
    world_close(&shared.world);
    printf("%d connections, %d resumed\n", WORKERS * ROUNDS, (int)shared.resumed);
    printf("%d passed, %d failed\n", failed == 0, failed);
    return failed == 0 ? 0 : 1;
}
