#include "unit/tls/driver.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- the world ---- */

struct tls_options world_options(struct world *world)
{
    return (struct tls_options){
        .certificate_path = world->server_path,
        .private_key_path = world->server_key_path,
        .client_ca_path = world->ca_path,
        .client_crl_path = world->crl_path,
        .min_version_minor = 3,
        .ticket_keys = world->tickets,
        .generation = ++world->generation,
    };
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct world *world = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(world->session);
    world->session = session;
    return 1;
}

void world_open(struct world *world)
{
    *world = (struct world){0};
    world->folder = test_folder_make();
    world->ca = test_ca_make("test CA");
    world->server = test_server_make(&world->ca);
    world->client = test_client_make(&world->ca, "spiffe://example.org/client-a");
    world->ca_path = test_write_certificates(world->folder, "ca.crt",
                                             (X509 *[]){world->ca.x509, NULL});
    world->server_path = test_write_certificates(world->folder, "tls.crt",
                                                 (X509 *[]){world->server.x509, NULL});
    world->server_key_path = test_write_key(world->folder, "tls.key", world->server.key);
    world->tickets = tls_ticket_keys_new();
    world->now = clock_read();
    world->client_ctx = SSL_CTX_new(TLS_method());
    MUST(world->tickets != NULL && world->client_ctx != NULL);
    SSL_CTX_set_app_data(world->client_ctx, world);
    MUST(SSL_CTX_set_max_proto_version(world->client_ctx, TLS1_3_VERSION));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(world->client_ctx), world->ca.x509);
    SSL_CTX_set_verify(world->client_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(world->client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(world->client_ctx, keep_session);
    world_client(world, &world->client, NULL);
    struct tls_options options = world_options(world);
    world_reload(world, &options);
}

void world_reload(struct world *world, const struct tls_options *options)
{
    char error[512] = "";
    struct tls_context *context = NULL;
    enum status status = tls_context_new(options, &context, error, sizeof error);
    if (status != STATUS_OK) {
        fprintf(stderr, "tls_context_new: %s: %s\n", status_name(status), error);
        abort();
    }
    tls_context_release(world->context);
    world->context = context;
}

void world_client(struct world *world, const struct test_certificate *certificate, X509 *chain)
{
    world->anonymous = certificate == NULL;
    if (world->anonymous) {
        return;
    }
    MUST(SSL_CTX_use_certificate(world->client_ctx, certificate->x509));
    MUST(SSL_CTX_use_PrivateKey(world->client_ctx, certificate->key));
    SSL_CTX_clear_chain_certs(world->client_ctx);
    if (chain != NULL) {
        MUST(SSL_CTX_add1_chain_cert(world->client_ctx, chain));
    }
}

void world_close(struct world *world)
{
    SSL_SESSION_free(world->session);
    SSL_CTX_free(world->client_ctx);
    tls_context_release(world->context);
    tls_ticket_keys_free(world->tickets);
    test_certificate_free(&world->ca);
    test_certificate_free(&world->server);
    test_certificate_free(&world->client);
    free(world->ca_path);
    free(world->server_path);
    free(world->server_key_path);
    free(world->crl_path);
    test_folder_remove(world->folder);
}

/* ---- a pair ---- */

static void note_alert(const SSL *ssl, int type, int value)
{
    struct pair *pair = SSL_get_app_data(ssl);
    if (type == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL) {
        pair->client_alert = value & 0xff;
    }
}

void pair_open(struct pair *pair, struct world *world, size_t chunk_bytes, size_t chunks_max,
               size_t out_bytes_max)
{
    *pair = (struct pair){.world = world, .client_alert = -1};
    chunk_pool_init(&pair->pool, chunk_bytes, chunks_max);
    buffer_init(&pair->out, &pair->pool);
    pair->server = tls_connection_new(world->context, &pair->out, out_bytes_max);
    pair->client = SSL_new(world->client_ctx);
    MUST(pair->server != NULL && pair->client != NULL);
    pair->to_client = BIO_new(BIO_s_mem());
    pair->from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(pair->client, pair->to_client, pair->from_client);
    SSL_set_app_data(pair->client, pair);
    SSL_set_info_callback(pair->client, note_alert);
    SSL_set_connect_state(pair->client);
    if (world->anonymous) {
        SSL_certs_clear(pair->client);
    }
    MUST(SSL_set_tlsext_host_name(pair->client, "LocalHost"));
    if (world->session != NULL) {
        MUST(SSL_set_session(pair->client, world->session));
    }
}

void pair_close(struct pair *pair)
{
    tls_connection_free(pair->server);
    SSL_free(pair->client);
    buffer_clear(&pair->out);
    chunk_pool_cleanup(&pair->pool);
    ERR_clear_error();
}

size_t pair_deliver(struct pair *pair)
{
    size_t total = 0;
    struct span spans[8];
    size_t count;
    while ((count = buffer_peek(&pair->out, spans, 8)) > 0) {
        size_t moved = 0;
        for (size_t i = 0; i < count; i++) {
            MUST(BIO_write(pair->to_client, spans[i].data, (int)spans[i].size) ==
                 (int)spans[i].size);
            moved += spans[i].size;
        }
        buffer_consume(&pair->out, moved);
        total += moved;
    }
    return total;
}

size_t pair_offer(struct pair *pair)
{
    /* Exactly as many bytes as offered, on the heap, so that a sanitizer sees one byte too many
     * being read. The connection has taken all of them when the next are offered. */
    size_t pending = BIO_pending(pair->from_client);
    size_t size = pair->step != 0 && pair->step < pending ? pair->step : pending;
    if (size == 0) {
        return 0;
    }
    uint8_t *bytes = malloc(size);
    MUST(BIO_read(pair->from_client, bytes, (int)size) == (int)size);
    tls_input(pair->server, span_make(bytes, size));
    if (!pair->handshake_done) {
        pair->server_status = tls_handshake(pair->server, &pair->world->now);
        pair->handshake_done = pair->server_status == STATUS_OK;
        /* What follows the handshake belongs to pair_read, while these bytes live. */
        MUST(!pair->handshake_done || tls_input_left(pair->server) == 0);
    }
    free(bytes);
    return size;
}

static bool client_step(struct pair *pair)
{
    ERR_clear_error();
    int result = SSL_do_handshake(pair->client);
    pair->client_error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(pair->client, result);
    return result == 1;
}

enum status pair_handshake(struct pair *pair)
{
    bool moved = true;
    while (moved) {
        moved = false;
        client_step(pair);
        while (pair_offer(pair) > 0) {
            moved = true;
            if (pair->server_status == STATUS_FAILED) {
                break;
            }
        }
        if (pair_deliver(pair) > 0) {
            moved = true;
        } else if (pair->server_status == STATUS_AGAIN && !pair->handshake_done) {
            pair->server_status = tls_handshake(pair->server, &pair->world->now);
            pair->handshake_done = pair->server_status == STATUS_OK;
            moved = pair->handshake_done || pair->out.size > 0;
        }
        if (pair->server_status == STATUS_FAILED) {
            pair_deliver(pair);
            client_step(pair);
            char byte;
            if (pair->client_alert < 0) {
                (void)SSL_read(pair->client, &byte, 1);
            }
            break;
        }
    }
    return pair->server_status;
}

size_t pair_read(struct pair *pair, void *into, size_t size, enum status *status)
{
    size_t total = 0;
    *status = STATUS_AGAIN;
    while (BIO_pending(pair->from_client) > 0) {
        size_t pending = BIO_pending(pair->from_client);
        size_t offered = pair->step != 0 && pair->step < pending ? pair->step : pending;
        uint8_t *bytes = malloc(offered);
        MUST(BIO_read(pair->from_client, bytes, (int)offered) == (int)offered);
        tls_input(pair->server, span_make(bytes, offered));
        do {
            size_t got = 0;
            uint8_t spill[64];
            struct span_mut room = {(uint8_t *)into + total, size - total};
            if (room.size == 0) {
                room = (struct span_mut){spill, sizeof spill};
            }
            *status = tls_read(pair->server, room, &got);
            MUST(*status == STATUS_OK ? got > 0 : got == 0);
            MUST(room.data != spill || got == 0);
            total += got;
        } while (*status == STATUS_OK);
        MUST(*status != STATUS_AGAIN || tls_input_left(pair->server) == 0);
        free(bytes);
        if (*status != STATUS_AGAIN) {
            break;
        }
    }
    return total;
}

size_t pair_client_read(struct pair *pair, void *into, size_t size)
{
    size_t total = 0;
    while (total < size) {
        int got = SSL_read(pair->client, (uint8_t *)into + total, (int)(size - total));
        if (got <= 0) {
            pair->client_error = SSL_get_error(pair->client, got);
            break;
        }
        total += (size_t)got;
    }
    return total;
}
