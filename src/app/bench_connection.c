#include "app/bench_connection.h"

#include "app/bench_h2.h"

#include <assert.h>
#include <string.h>

#define OUT_BYTES_MAX 262144
/* A request's body is encrypted piece by piece: a whole record each. */
#define BODY_PIECE_BYTES 16384
#define SEND_SPANS       8

static void end(struct bench_connection *connection, const char *failure)
{
    if (connection->state == BENCH_CLOSING) {
        return;
    }
    /* Whatever goes wrong after goodbye is no failure. */
    connection->failure = connection->leaving ? NULL : failure;
    connection->state = BENCH_CLOSING;
    io_close(&connection->socket);
}

static void flush(struct bench_connection *connection)
{
    if (connection->state == BENCH_CLOSING || connection->state == BENCH_CLOSED ||
        connection->sending > 0) {
        return;
    }
    if (connection->out.size == 0) {
        if (connection->leaving) {
            end(connection, NULL);
        }
        return;
    }
    struct span spans[SEND_SPANS];
    size_t count = buffer_peek(&connection->out, spans, SEND_SPANS);
    for (size_t i = 0; i < count; i++) {
        connection->sending += spans[i].size;
    }
    io_send(&connection->socket, spans, count);
}

/* ---- requests ---- */

static bool encrypt(struct bench_connection *connection, struct span plain)
{
    while (plain.size > 0) {
        size_t taken = 0;
        if (tls_write(connection->tls, plain, &taken) != STATUS_OK) {
            end(connection, "the request could not be encrypted");
            return false;
        }
        plain = span_after(plain, taken);
    }
    return true;
}

static void send_body(struct bench_connection *connection)
{
    static const uint8_t zeroes[BODY_PIECE_BYTES];
    while (connection->body_left > 0 && connection->out.size < OUT_BYTES_MAX / 2) {
        size_t size = connection->body_left < sizeof zeroes ? connection->body_left : sizeof zeroes;
        if (!encrypt(connection, span_make(zeroes, size))) {
            return;
        }
        connection->body_left -= size;
    }
}

/* What HTTP/2 has to send, into as few records as hold it. */
static void send_h2(struct bench_connection *connection)
{
    uint8_t *gathered = connection->client->scratch;
    size_t size = 0;
    bool more = true;
    while (more && connection->state != BENCH_CLOSING && !connection->leaving &&
           connection->out.size < OUT_BYTES_MAX / 2) {
        struct span piece = {NULL, 0};
        if (bench_h2_send(connection->h2, &piece) != STATUS_OK) {
            end(connection, bench_h2_failure(connection->h2));
            return;
        }
        more = piece.size > 0;
        if (size + piece.size > sizeof connection->client->scratch || (!more && size > 0)) {
            if (!encrypt(connection, span_make(gathered, size))) {
                return;
            }
            size = 0;
        }
        if (piece.size > sizeof connection->client->scratch) {
            (void)encrypt(connection, piece);
        } else if (more) {
            memcpy(gathered + size, piece.data, piece.size);
            size += piece.size;
        }
    }
    if (size > 0 && connection->state != BENCH_CLOSING) {
        (void)encrypt(connection, span_make(gathered, size));
    }
}

bool bench_connection_has_room(const struct bench_connection *connection)
{
    return connection->state == BENCH_IDLE ||
           (connection->state == BENCH_BUSY && connection->h2 != NULL &&
            bench_h2_has_room(connection->h2, connection->under_way));
}

static void send_stream(struct bench_connection *connection, struct span head, uint64_t due_ns)
{
    if (bench_h2_request(connection->h2, head, connection->client->body_bytes, due_ns) !=
        STATUS_OK) {
        end(connection, "the server takes no more streams");
    } else if (!connection->reading) {
        send_h2(connection);
        flush(connection);
    }
}

void bench_connection_send(struct bench_connection *connection, struct span head, uint64_t due_ns)
{
    struct bench_client *client = connection->client;
    assert(bench_connection_has_room(connection) && head.size <= sizeof client->scratch);
    connection->state = BENCH_BUSY;
    connection->under_way++;
    if (connection->h2 != NULL) {
        send_stream(connection, head, due_ns);
        return;
    }
    connection->in_body = false;
    connection->head_used = 0;
    connection->scan = (struct http1_scan){0};
    connection->answer = (struct bench_answer){.due_ns = due_ns};
    connection->body_left = client->body_bytes;
    /* A small body goes into the head's record, as clients do it. */
    if (client->body_bytes > 0 && head.size + client->body_bytes <= sizeof client->scratch) {
        memmove(client->scratch, head.data, head.size);
        memset(client->scratch + head.size, 0, client->body_bytes);
        head = span_make(client->scratch, head.size + client->body_bytes);
        connection->body_left = 0;
    }
    if (encrypt(connection, head)) {
        send_body(connection);
        flush(connection);
    }
}

static void on_sent(struct io_socket *socket, enum status status)
{
    struct bench_connection *connection = (struct bench_connection *)socket;
    if (status != STATUS_OK) {
        end(connection, "the server closed the connection");
        return;
    }
    buffer_consume(&connection->out, connection->sending);
    connection->sending = 0;
    if (connection->h2 != NULL) {
        send_h2(connection);
    } else if (connection->state == BENCH_BUSY) {
        send_body(connection);
    }
    flush(connection);
}

/* ---- answers ---- */

static void answer_done(struct bench_connection *connection)
{
    struct bench_answer answer = connection->answer;
    connection->answer = (struct bench_answer){0};
    connection->under_way--;
    connection->state = connection->under_way == 0 ? BENCH_IDLE : BENCH_BUSY;
    bool reusable = connection->keep_alive && connection->body_left == 0;
    connection->client->events->answered(connection, answer, reusable);
}

/* What is left of `plain` after one piece of the answer's body; the answer may be done then. */
static struct span take_body(struct bench_connection *connection, struct span plain)
{
    size_t consumed = 0;
    struct span payload;
    if (http1_body_feed(&connection->body, plain, &consumed, &payload) != STATUS_OK) {
        end(connection, "the answer's body is malformed");
        return (struct span){NULL, 0};
    }
    plain = span_after(plain, consumed);
    if (connection->body.done) {
        if (plain.size > 0) {
            end(connection, "bytes after the answer");
            return (struct span){NULL, 0};
        }
        answer_done(connection);
    }
    return plain;
}

static void take_head(struct bench_connection *connection)
{
    static const struct http_limits limits = {.head_bytes_max = BENCH_HEAD_BYTES_MAX,
                                              .headers_max = 128};
    struct bench_client *client = connection->client;
    struct span bytes = span_make(connection->head_bytes, connection->head_used);
    size_t size = 0;
    const char *reason = "";
    enum status status = http1_parse_response(&connection->scan, bytes, &limits, client->method,
                                              false, &client->head, &size, &reason);
    if (status == STATUS_AGAIN && bytes.size < BENCH_HEAD_BYTES_MAX) {
        return;
    }
    if (status != STATUS_OK) {
        end(connection, "the answer's head is malformed or too large");
        return;
    }
    struct span rest = span_after(bytes, size);
    connection->scan = (struct http1_scan){0};
    if (client->head.status < 200) {
        memmove(connection->head_bytes, rest.data, rest.size);
        connection->head_used = (uint32_t)rest.size;
        return;
    }
    connection->answer.status = client->head.status;
    connection->keep_alive = client->head.keep_alive && client->head.body != HTTP_BODY_UNTIL_CLOSE;
    connection->in_body = true;
    http1_body_init(&connection->body, &client->head, 0);
    if (connection->body.done && rest.size == 0) {
        answer_done(connection);
        return;
    }
    while (rest.size > 0 && connection->state == BENCH_BUSY) {
        rest = take_body(connection, rest);
    }
}

static struct span_mut room(struct bench_connection *connection)
{
    if (connection->in_body || connection->state != BENCH_BUSY) {
        return (struct span_mut){connection->client->scratch, sizeof connection->client->scratch};
    }
    return (struct span_mut){connection->head_bytes + connection->head_used,
                             BENCH_HEAD_BYTES_MAX - connection->head_used};
}

static void closed_by_server(struct bench_connection *connection)
{
    if (connection->state == BENCH_BUSY && connection->in_body &&
        connection->body.kind == HTTP_BODY_UNTIL_CLOSE) {
        answer_done(connection);
        return;
    }
    end(connection, "the server closed the connection");
}

static void read_plain(struct bench_connection *connection)
{
    while (!connection->leaving &&
           (connection->state == BENCH_IDLE || connection->state == BENCH_BUSY)) {
        struct span_mut into = room(connection);
        bool idle = connection->state == BENCH_IDLE, in_body = connection->in_body;
        size_t got = 0;
        enum status status = tls_read(connection->tls, into, &got);
        if (status == STATUS_AGAIN) {
            return;
        }
        if (status != STATUS_OK) {
            if (status == STATUS_CLOSED) {
                closed_by_server(connection);
            } else {
                end(connection, tls_connection_failure(connection->tls));
            }
            return;
        }
        if (idle) {
            end(connection, "an answer nobody asked for");
            return;
        }
        connection->answer.bytes += got;
        if (in_body) {
            struct span rest = span_make(into.data, got);
            while (rest.size > 0 && connection->state == BENCH_BUSY && connection->in_body) {
                rest = take_body(connection, rest);
            }
        } else {
            connection->head_used += (uint32_t)got;
            take_head(connection);
        }
    }
}

/* ---- HTTP/2 ---- */

static void on_h2_answered(void *owner, uint16_t status, uint64_t due_ns)
{
    struct bench_connection *connection = owner;
    connection->answer.status = status;
    connection->answer.due_ns = due_ns;
    connection->keep_alive = true;
    answer_done(connection);
}

static void on_h2_failed(void *owner, const char *failure)
{
    end(owner, failure);
}

static const struct bench_h2_events h2_events = {on_h2_answered, on_h2_failed};

static void read_h2(struct bench_connection *connection)
{
    struct bench_client *client = connection->client;
    connection->reading = true; /* what is asked for meanwhile is sent together, below */
    while (!connection->leaving && connection->state != BENCH_CLOSING) {
        size_t got = 0;
        enum status status = tls_read(
            connection->tls, (struct span_mut){client->scratch, sizeof client->scratch}, &got);
        if (status == STATUS_AGAIN) {
            break;
        }
        if (status != STATUS_OK) {
            end(connection, status == STATUS_CLOSED ? "the server closed the connection"
                                                    : tls_connection_failure(connection->tls));
            break;
        }
        connection->answer.bytes += got;
        uint64_t now_ms = io_now(client->io)->boot_ns / 1000000;
        if (bench_h2_receive(connection->h2, span_make(client->scratch, got), now_ms) !=
            STATUS_OK) {
            end(connection, bench_h2_failure(connection->h2));
        }
    }
    connection->reading = false;
    send_h2(connection);
}

/* False: the connection has ended. */
static bool choose_protocol(struct bench_connection *connection)
{
    if (!connection->client->http2) {
        return true;
    }
    if (!tls_connection_is_http2(connection->tls)) {
        end(connection, "the server does not speak HTTP/2");
        return false;
    }
    connection->h2 = bench_h2_new(&h2_events, connection, connection->client->streams_max);
    if (connection->h2 == NULL) {
        end(connection, "out of memory");
    }
    return connection->h2 != NULL;
}

static void shake_hands(struct bench_connection *connection)
{
    enum status status = tls_handshake(connection->tls, io_now(connection->client->io));
    if (status == STATUS_AGAIN) {
        return;
    }
    if (status != STATUS_OK) {
        end(connection, tls_connection_failure(connection->tls));
        return;
    }
    if (!choose_protocol(connection)) {
        return;
    }
    connection->state = BENCH_IDLE;
    connection->resumed = tls_connection_resumed(connection->tls);
    connection->open_ns = clock_read().boot_ns;
    connection->client->events->ready(connection);
}

static void on_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct bench_connection *connection = (struct bench_connection *)socket;
    if (status != STATUS_OK) {
        closed_by_server(connection);
        return;
    }
    if (!connection->leaving) {
        tls_input(connection->tls, span_make(buffer.data, buffer.size));
        if (connection->state == BENCH_CONNECTING) {
            shake_hands(connection);
        }
        if (connection->h2 != NULL) {
            read_h2(connection);
        } else {
            read_plain(connection);
        }
        if (connection->state != BENCH_CLOSING && !connection->leaving &&
            tls_input_left(connection->tls) > 0) {
            end(connection, "TLS left bytes unread");
        }
    }
    io_buffer_return(socket, buffer);
    flush(connection);
}

/* ---- opening and closing ---- */

static void on_connected(struct io_socket *socket, enum status status)
{
    struct bench_connection *connection = (struct bench_connection *)socket;
    if (status != STATUS_OK) {
        end(connection, "the connection was refused");
        return;
    }
    io_receive(socket);
    shake_hands(connection);
    flush(connection);
}

static void on_closed(struct io_socket *socket)
{
    struct bench_connection *connection = (struct bench_connection *)socket;
    tls_connection_free(connection->tls);
    connection->tls = NULL;
    bench_h2_free(connection->h2);
    connection->h2 = NULL;
    buffer_clear(&connection->out);
    connection->sending = 0;
    connection->state = BENCH_CLOSED;
    connection->client->events->ended(connection);
}

static const struct io_socket_events socket_events = {
    .received = on_received, .sent = on_sent, .connected = on_connected, .closed = on_closed};

enum status bench_connection_open(struct bench_connection *connection)
{
    struct bench_client *client = connection->client;
    assert(connection->state == BENCH_CLOSED);
    buffer_init(&connection->out, &client->chunks);
    connection->leaving = false;
    connection->failure = NULL;
    connection->resumed = false;
    connection->in_body = false;
    connection->under_way = 0;
    connection->answer = (struct bench_answer){0};
    connection->opened_ns = clock_read().boot_ns;
    connection->tls = tls_connection_new_client(client->tls, &connection->out, OUT_BYTES_MAX,
                                                client->server_name,
                                                client->resume ? connection->session : NULL);
    if (connection->tls == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(&connection->socket, 0, sizeof connection->socket);
    if (io_connect(client->io, &connection->socket, &socket_events,
                   (const struct sockaddr *)&client->address, client->address_size) != STATUS_OK) {
        tls_connection_free(connection->tls);
        connection->tls = NULL;
        return STATUS_SYSTEM;
    }
    connection->state = BENCH_CONNECTING;
    return STATUS_OK;
}

void bench_connection_close(struct bench_connection *connection)
{
    if (connection->state == BENCH_CLOSED || connection->state == BENCH_CLOSING ||
        connection->leaving) {
        return;
    }
    if (connection->state == BENCH_CONNECTING) {
        end(connection, NULL);
        return;
    }
    if (connection->client->resume) {
        struct tls_session *session = tls_connection_session(connection->tls);
        if (session != NULL) {
            tls_session_free(connection->session);
            connection->session = session;
        }
    }
    connection->leaving = true;
    tls_shutdown(connection->tls);
    flush(connection);
}

void bench_connection_cleanup(struct bench_connection *connection)
{
    assert(connection->state == BENCH_CLOSED);
    tls_session_free(connection->session);
    connection->session = NULL;
}
