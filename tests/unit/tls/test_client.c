/* Our client against our server. */
#include "tls/connection.h"

#include "unit/tls/driver.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static struct world world;
static struct chunk_pool pool;
static char *client_path, *client_key_path;
static struct tls_context *client_context;

struct end {
    struct buffer out;
    struct tls_connection *connection;
};
static struct end server, client;

static void set_up(void)
{
    world_open(&world);
    chunk_pool_init(&pool, 4096, 0);
    client_path = test_write_certificates(world.folder, "client.crt",
                                          (X509 *[]){world.client.x509, NULL});
    client_key_path = test_write_key(world.folder, "client.key", world.client.key);
}

static void tear_down(void)
{
    tls_context_release(client_context);
    free(client_path);
    free(client_key_path);
    chunk_pool_cleanup(&pool);
    world_close(&world);
}

TestSuite(client, .init = set_up, .fini = tear_down);

static struct tls_client_options client_options(void)
{
    return (struct tls_client_options){.ca_path = world.ca_path,
                                       .certificate_path = client_path,
                                       .private_key_path = client_key_path,
                                       .min_version_minor = 3};
}

static void make_client_context(const struct tls_client_options *options)
{
    char error[512] = "";
    tls_context_release(client_context);
    cr_assert(tls_client_context_new(options, &client_context, error, sizeof error) == STATUS_OK,
              "%s", error);
}

static void open_ends(const char *name, struct tls_session *session)
{
    buffer_init(&server.out, &pool);
    buffer_init(&client.out, &pool);
    server.connection = tls_connection_new(world.context, &server.out, 100000);
    client.connection = tls_connection_new_client(client_context, &client.out, 100000, name,
                                                  session);
    cr_assert(server.connection != NULL && client.connection != NULL);
}

static void close_ends(void)
{
    tls_connection_free(server.connection);
    tls_connection_free(client.connection);
    buffer_clear(&server.out);
    buffer_clear(&client.out);
}

/* What one has to send becomes the other's input; it lives until it is taken. */
static uint8_t transit[64 * 1024];

static bool carry(struct end *from, struct end *to)
{
    struct span spans[16];
    size_t count = buffer_peek(&from->out, spans, 16), size = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(transit + size, spans[i].data, spans[i].size);
        size += spans[i].size;
    }
    buffer_consume(&from->out, size);
    if (size > 0) {
        tls_input(to->connection, span_make(transit, size));
    }
    return size > 0;
}

static enum status shake(enum status *server_status)
{
    enum status status = STATUS_AGAIN;
    *server_status = STATUS_AGAIN;
    for (int i = 0; i < 6; i++) {
        status = tls_handshake(client.connection, &world.now);
        if (carry(&client, &server)) {
            *server_status = tls_handshake(server.connection, &world.now);
        }
        if (status == STATUS_OK && *server_status == STATUS_OK) {
            break;
        }
        if (*server_status != STATUS_OK && tls_input_left(client.connection) == 0) {
            carry(&server, &client);
        }
    }
    return status;
}

static void send_one_way(struct end *from, struct end *to, const char *text)
{
    char got_text[256];
    size_t taken = 0, got = 0, total = 0;
    cr_assert(tls_write(from->connection, span_from_string(text), &taken) == STATUS_OK);
    cr_assert(taken == strlen(text) && carry(from, to));
    enum status status;
    while (
        (status = tls_read(to->connection,
                           (struct span_mut){(uint8_t *)got_text + total, sizeof got_text - total},
                           &got)) == STATUS_OK) {
        total += got;
    }
    cr_assert(status == STATUS_AGAIN, "%s", tls_connection_failure(to->connection));
    cr_expect(span_equal_string(span_make(got_text, total), text));
}

static void expect_talk(const char *name)
{
    enum status server_status;
    open_ends(name, NULL);
    cr_assert(shake(&server_status) == STATUS_OK, "%s", tls_connection_failure(client.connection));
    cr_assert(server_status == STATUS_OK);
    send_one_way(&client, &server, "ping");
    send_one_way(&server, &client, "pong"); /* behind the ticket */
    send_one_way(&client, &server, "ping again");
    send_one_way(&server, &client, "pong again");
    tls_shutdown(client.connection);
    cr_expect(carry(&client, &server));
    uint8_t byte;
    size_t got = 0;
    cr_expect(tls_read(server.connection, (struct span_mut){&byte, 1}, &got) == STATUS_CLOSED);
    close_ends();
}

Test(client, talks_to_our_server)
{
    struct tls_client_options options = client_options();
    make_client_context(&options);
    expect_talk("localhost");
    expect_talk("orders.example.com");
}

Test(client, talks_tls_1_2)
{
    struct tls_options server_options = world_options(&world);
    server_options.min_version_minor = 2;
    world_reload(&world, &server_options);
    struct tls_client_options options = client_options();
    options.min_version_minor = 2;
    make_client_context(&options);
    expect_talk("localhost");
}

Test(client, keeps_sessions_when_asked)
{
    struct tls_client_options options = client_options();
    options.keep_sessions = true;
    make_client_context(&options);
    struct tls_session *session = NULL;
    for (int i = 0; i < 3; i++) {
        enum status server_status;
        open_ends("localhost", session);
        tls_session_free(session);
        cr_assert(shake(&server_status) == STATUS_OK && server_status == STATUS_OK);
        cr_expect(tls_connection_resumed(server.connection) == (i > 0));
        cr_expect(tls_connection_resumed(client.connection) == (i > 0));
        cr_expect(span_equal_string(tls_connection_peer(server.connection)->subject, "CN=client"));
        send_one_way(&client, &server, "ping");
        send_one_way(&server, &client, "pong");
        session = tls_connection_session(client.connection);
        cr_assert(session != NULL);
        cr_expect(tls_connection_session(client.connection) == NULL);
        close_ends();
    }
    tls_session_free(session);
    tls_session_free(NULL);
}

Test(client, refuses_a_server_of_another_name_or_CA)
{
    struct tls_client_options options = client_options();
    make_client_context(&options);
    enum status server_status;
    static const char *const names[] = {"example.com", "127.0.0.1", "sub.localhost"};
    for (size_t i = 0; i < 3; i++) {
        open_ends(names[i], NULL);
        cr_expect(shake(&server_status) == STATUS_FAILED, "%s", names[i]);
        cr_expect(strstr(tls_connection_failure(client.connection), "another name") != NULL, "%s",
                  tls_connection_failure(client.connection));
        close_ends();
    }
    struct test_certificate other = test_ca_make("other CA");
    char *path = test_write_certificates(world.folder, "other.crt", (X509 *[]){other.x509, NULL});
    options.ca_path = path;
    make_client_context(&options);
    open_ends("localhost", NULL);
    cr_expect(shake(&server_status) == STATUS_FAILED);
    cr_expect(strstr(tls_connection_failure(client.connection), "no trusted CA") != NULL);
    cr_expect(strstr(tls_connection_failure(server.connection), "does not know our CA") != NULL,
              "%s", tls_connection_failure(server.connection));
    close_ends();
    free(path);
    test_certificate_free(&other);
}

Test(client, refuses_a_clients_certificate_as_a_servers)
{
    struct test_san sans[] = {{2 /* GEN_DNS */, "localhost"}, {0, NULL}};
    struct test_certificate_options certificate = {
        .issuer = &world.ca, .sans = sans, .extended_key_usage = "clientAuth"};
    struct test_certificate wrong = test_certificate_make(&certificate);
    free(test_write_certificates(world.folder, "tls.crt", (X509 *[]){wrong.x509, NULL}));
    free(test_write_key(world.folder, "tls.key", wrong.key));
    struct tls_options server_options = world_options(&world);
    world_reload(&world, &server_options);
    struct tls_client_options options = client_options();
    make_client_context(&options);
    enum status server_status;
    open_ends("localhost", NULL);
    cr_expect(shake(&server_status) == STATUS_FAILED);
    cr_expect(strstr(tls_connection_failure(client.connection), "extended key usage") != NULL);
    close_ends();
    test_certificate_free(&wrong);
}

Test(client, offers_what_it_is_told)
{
    struct tls_options server_options = world_options(&world);
    server_options.http2 = true;
    world_reload(&world, &server_options);
    static const struct {
        bool http1, http2, chosen;
    } cases[] = {{true, true, true}, {true, false, false}, {false, true, true}, {0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_client_options options = client_options();
        options.offer_http1 = cases[i].http1;
        options.offer_http2 = cases[i].http2;
        make_client_context(&options);
        enum status server_status;
        open_ends("localhost", NULL);
        cr_assert(shake(&server_status) == STATUS_OK && server_status == STATUS_OK);
        cr_expect(tls_connection_is_http2(client.connection) == cases[i].chosen);
        cr_expect(tls_connection_is_http2(server.connection) == cases[i].chosen);
        close_ends();
    }
}

Test(client, without_a_certificate_is_refused_by_our_server)
{
    struct tls_client_options options = client_options();
    options.certificate_path = options.private_key_path = NULL;
    make_client_context(&options);
    enum status server_status;
    open_ends("localhost", NULL);
    shake(&server_status);
    cr_expect(server_status == STATUS_FAILED);
    close_ends();
}

Test(client, tells_which_file_is_wrong)
{
    char error[512] = "";
    struct tls_client_options options = client_options();
    options.ca_path = "/nonexistent";
    struct tls_context *context = NULL;
    cr_expect(tls_client_context_new(&options, &context, error, sizeof error) != STATUS_OK);
    cr_expect(context == NULL && strstr(error, "/nonexistent") != NULL);
    options = client_options();
    options.private_key_path = world.server_key_path;
    cr_expect(tls_client_context_new(&options, &context, error, sizeof error) != STATUS_OK);
    cr_expect(strstr(error, "is not the key") != NULL);
}
