#include "store/client.h"

#include "base/clock.h"
#include "base/container_of.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CHUNK_BYTES 20416 /* one TLS record, as in proxy/limits.h */
#define CHUNKS_MAX  256
#define SEALED_MAX  262144
#define SEND_SPANS  8
/* Before the next attempt: doubled each time, and anything between half of it and all, so that
 * replicas do not come back in step. */
#define RETRY_MS_MIN 50
#define RETRY_MS_MAX 2000
#define NS_PER_MS    1000000u
#define NS_PER_S     1000000000u

static uint64_t now_ms(const struct store_client *client)
{
    return io_now(client->io)->boot_ns / NS_PER_MS;
}

/* ---- slots ---- */

static struct client_slot *slot_at(struct store_client *client, uint32_t number)
{
    return &client->slots[number & (CLIENT_SLOTS - 1)];
}

struct client_slot *client_push(struct store_client *client, enum client_step step)
{
    assert(client->tail - client->head < CLIENT_SLOTS);
    struct client_slot *slot = slot_at(client, client->tail++);
    *slot = (struct client_slot){
        .step = (uint8_t)step,
        .result = STATUS_FAILED,
        .asked_ms = (uint32_t)now_ms(client),
    };
    if (!io_timer_is_set(&client->deadline)) {
        io_timer_set(client->io, &client->deadline, client->store->options.timeout_ms);
    }
    return slot;
}

void client_settle(struct store_client *client, uint32_t end, enum status all)
{
    /* Read after the answers came: an insert that found nothing may have come when an earlier one
     * of the same proof had ended, and then this one's time is over too. */
    uint64_t now_boot_s = clock_read().boot_ns / NS_PER_S;
    while (client->head != end) {
        struct client_slot *slot = slot_at(client, client->head++);
        if (slot->step != CLIENT_INSERT) {
            continue;
        }
        client->in_flight--;
        struct store_request *request = slot->request;
        if (request == NULL) {
            continue;
        }
        enum status status = all != STATUS_OK ? all : (enum status)slot->result;
        if (status == STATUS_OK && now_boot_s >= request->expires_boot_s) {
            status = STATUS_EXPIRED;
        }
        slot->request = NULL;
        request->waiting = false;
        request->done(request, status); /* may cancel others */
    }
}

/* ---- sending ---- */

static bool encrypt(struct store_client *client)
{
    while (client->plain.size > 0) {
        struct span first;
        (void)buffer_peek(&client->plain, &first, 1);
        size_t taken = 0;
        enum status status = tls_write(client->tls, first, &taken);
        if (status == STATUS_AGAIN) {
            return true; /* the rest when this is out */
        }
        if (status != STATUS_OK) {
            client_fail(client, STORE_TLS, "TLS: %s", tls_connection_failure(client->tls));
            return false;
        }
        buffer_consume(&client->plain, taken);
    }
    return true;
}

void client_send(struct store_client *client)
{
    bool open = client->phase == CLIENT_SHAKING || client->phase == CLIENT_GREETING ||
                client->phase == CLIENT_READY;
    if (!open || client->sending > 0 ||
        (client->tls != NULL && client->phase != CLIENT_SHAKING && !encrypt(client))) {
        return;
    }
    const struct buffer *wire = client->tls != NULL ? &client->sealed : &client->plain;
    if (wire->size == 0) {
        return;
    }
    struct span spans[SEND_SPANS];
    size_t count = buffer_peek(wire, spans, SEND_SPANS);
    for (size_t i = 0; i < count; i++) {
        client->sending += spans[i].size;
    }
    io_send(&client->socket, spans, count);
}

static void on_sent(struct io_socket *socket, enum status status)
{
    struct store_client *client = (struct store_client *)socket;
    if (status != STATUS_OK) {
        client_fail(client, STORE_UNREACHABLE, "the connection broke");
        return;
    }
    buffer_consume(client->tls != NULL ? &client->sealed : &client->plain, client->sending);
    client->sending = 0;
    client_send(client);
}

/* ---- receiving ---- */

static bool is_open(const struct store_client *client)
{
    return client->phase == CLIENT_GREETING || client->phase == CLIENT_READY;
}

static void take(struct store_client *client, struct span bytes)
{
    if (resp_feed(client->reader, bytes) != STATUS_OK) {
        client_fail(client, STORE_PROTOCOL, "out of memory for an answer");
    }
    while (is_open(client)) {
        const struct resp_answer *answer = NULL;
        enum status status = resp_next(client->reader, &answer);
        if (status == STATUS_AGAIN) {
            return;
        }
        if (status != STATUS_OK) {
            client_fail(client, STORE_PROTOCOL, "the answer is not RESP, or too long");
        } else if (client->next == client->tail) {
            client_fail(client, STORE_PROTOCOL, "an answer that nobody asked for");
        } else {
            conversation_answer(client, slot_at(client, client->next++), answer);
        }
    }
}

static void shake_hands(struct store_client *client)
{
    enum status status = tls_handshake(client->tls, io_now(client->io));
    if (status == STATUS_OK) {
        client->phase = CLIENT_GREETING;
        conversation_begin(client);
    } else if (status != STATUS_AGAIN) {
        client_fail(client, STORE_TLS, "TLS: %s", tls_connection_failure(client->tls));
    }
}

static void take_ciphertext(struct store_client *client, struct span bytes)
{
    tls_input(client->tls, bytes);
    if (client->phase == CLIENT_SHAKING) {
        shake_hands(client);
    }
    while (is_open(client)) {
        size_t got = 0;
        enum status status = tls_read(
            client->tls, (struct span_mut){client->scratch, sizeof client->scratch}, &got);
        if (status == STATUS_AGAIN) {
            break;
        }
        if (status != STATUS_OK) {
            client_fail(client, status == STATUS_CLOSED ? STORE_UNREACHABLE : STORE_TLS, "TLS: %s",
                        status == STATUS_CLOSED ? "the server closed the connection"
                                                : tls_connection_failure(client->tls));
            return;
        }
        take(client, span_make(client->scratch, got));
    }
    if (is_open(client) && tls_input_left(client->tls) > 0) {
        client_fail(client, STORE_TLS, "TLS left bytes unread");
    }
}

static void on_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct store_client *client = (struct store_client *)socket;
    if (status != STATUS_OK) {
        client_fail(client, STORE_UNREACHABLE, "the server closed the connection");
        return;
    }
    struct span bytes = span_make(buffer.data, buffer.size);
    if (client->tls != NULL) {
        take_ciphertext(client, bytes);
    } else {
        take(client, bytes);
    }
    io_buffer_return(socket, buffer);
    client_send(client);
}

/* ---- connecting, failing, trying again ---- */

static void on_connected(struct io_socket *socket, enum status status)
{
    struct store_client *client = (struct store_client *)socket;
    if (status != STATUS_OK) {
        errno = socket->error;
        client_fail(client, STORE_UNREACHABLE, "connecting: %m");
        return;
    }
    io_receive(socket);
    if (client->tls != NULL) {
        client->phase = CLIENT_SHAKING;
        shake_hands(client);
    } else {
        client->phase = CLIENT_GREETING;
        conversation_begin(client);
    }
    client_send(client);
}

/* xorshift: it need not be secret. */
static uint64_t next_random(struct store_client *client)
{
    uint64_t x = client->random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return client->random_state = x;
}

static void wait_for_retry(struct store_client *client)
{
    if (client->leaving) {
        client->phase = CLIENT_ENDED;
        return;
    }
    uint32_t doublings = client->attempts < 8 ? client->attempts : 8;
    uint64_t longest = (uint64_t)RETRY_MS_MIN << doublings;
    longest = longest < RETRY_MS_MAX ? longest : RETRY_MS_MAX;
    client->attempts++;
    client->phase = CLIENT_WAITING;
    io_timer_set(client->io, &client->retry, longest / 2 + next_random(client) % (longest / 2 + 1));
}

static void on_closed(struct io_socket *socket)
{
    struct store_client *client = (struct store_client *)socket;
    tls_connection_free(client->tls);
    client->tls = NULL;
    buffer_clear(&client->plain);
    buffer_clear(&client->sealed);
    client->sending = 0;
    wait_for_retry(client);
}

static const struct io_socket_events socket_events = {
    .received = on_received, .sent = on_sent, .connected = on_connected, .closed = on_closed};

void client_fail(struct store_client *client, enum store_state why, const char *format, ...)
{
    if (client->phase == CLIENT_CLOSING || client->phase == CLIENT_ENDED) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->failure, sizeof client->failure, format, arguments);
    va_end(arguments);
    bool connected = client->phase != CLIENT_WAITING;
    client->phase = CLIENT_CLOSING;
    client->state = why;
    io_timer_cancel(client->io, &client->deadline);
    io_timer_cancel(client->io, &client->look);
    /* Before anyone is told: with failure_local the floor has risen by then. */
    if (!client->leaving) {
        store_failed(client->store, &client->standing, why, client->failure);
    }
    client_settle(client, client->tail, STATUS_SYSTEM);
    client->next = client->tail;
    client->unsealed = false;
    client->resealing = false;
    if (connected) {
        io_close(&client->socket);
    } else {
        wait_for_retry(client);
    }
}

static void connect_now(struct store_client *client)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    store_address(client->store, &address, &size);
    if (size == 0) {
        client_fail(client, STORE_UNREACHABLE, "the name has no address yet");
        return;
    }
    resp_reader_free(client->reader);
    client->reader = resp_reader_new();
    const struct store_url *url = &client->store->url;
    if (client->tls_context != NULL) {
        client->tls = tls_connection_new_client(client->tls_context, &client->sealed, SEALED_MAX,
                                                url->host, NULL);
    }
    if (client->reader == NULL || (client->tls_context != NULL && client->tls == NULL)) {
        tls_connection_free(client->tls);
        client->tls = NULL;
        client_fail(client, STORE_UNREACHABLE, "out of memory");
        return;
    }
    memset(&client->socket, 0, sizeof client->socket);
    if (io_connect(client->io, &client->socket, &socket_events, (const struct sockaddr *)&address,
                   size) != STATUS_OK) {
        tls_connection_free(client->tls);
        client->tls = NULL;
        errno = client->socket.error;
        client_fail(client, STORE_UNREACHABLE, "connecting: %m");
        return;
    }
    client->phase = CLIENT_CONNECTING;
    io_timer_set(client->io, &client->deadline, client->store->options.timeout_ms);
}

static void retry_fired(struct io_timer *timer)
{
    connect_now(CONTAINER_OF(timer, struct store_client, retry));
}

static void deadline_fired(struct io_timer *timer)
{
    struct store_client *client = CONTAINER_OF(timer, struct store_client, deadline);
    uint32_t timeout_ms = client->store->options.timeout_ms;
    if (!is_open(client)) {
        client_fail(client, STORE_TIMEOUT, "no connection within %u ms", timeout_ms);
        return;
    }
    if (client->next == client->tail) {
        return;
    }
    uint32_t waited_ms = (uint32_t)now_ms(client) - slot_at(client, client->next)->asked_ms;
    if (waited_ms < timeout_ms) {
        io_timer_set(client->io, timer, timeout_ms - waited_ms);
        return;
    }
    client_fail(client, STORE_TIMEOUT, "no answer within %u ms", timeout_ms);
}

static void look_fired(struct io_timer *timer)
{
    struct store_client *client = CONTAINER_OF(timer, struct store_client, look);
    conversation_look(client);
    client_send(client);
}

/* ---- the worker's side ---- */

struct store_client *store_client_new(struct store *store, struct io *io, struct tls_context *tls)
{
    struct store_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return NULL;
    }
    client->store = store;
    client->io = io;
    client->retry.fired = retry_fired;
    client->deadline.fired = deadline_fired;
    client->look.fired = look_fired;
    chunk_pool_init(&client->chunks, CHUNK_BYTES, CHUNKS_MAX);
    buffer_init(&client->plain, &client->chunks);
    buffer_init(&client->sealed, &client->chunks);
    if (getrandom(&client->random_state, sizeof client->random_state, 0) !=
        (ssize_t)sizeof client->random_state) {
        client->random_state = 0;
    }
    client->random_state |= 1;
    store_client_use_tls(client, tls);
    connect_now(client);
    return client;
}

void store_client_use_tls(struct store_client *client, struct tls_context *tls)
{
    if (tls != NULL) {
        tls_context_acquire(tls);
    }
    tls_context_release(client->tls_context);
    client->tls_context = tls;
}

enum status store_insert(struct store_client *client, struct store_request *request)
{
    if (client->phase != CLIENT_READY) {
        return STATUS_SYSTEM;
    }
    if (client->in_flight == STORE_IN_FLIGHT_MAX) {
        return STATUS_FULL;
    }
    uint64_t slack_s = atomic_load_explicit(&client->store->slack_s, memory_order_relaxed);
    uint64_t until_ms = (request->expires_boot_s + slack_s) * 1000, now = now_ms(client);
    uint64_t ttl_ms = until_ms > now ? until_ms - now : 1;
    if (command_insert(&client->plain, request->key, ttl_ms) != STATUS_OK) {
        return STATUS_FULL;
    }
    struct client_slot *slot = client_push(client, CLIENT_INSERT);
    slot->request = request;
    request->slot = client->tail - 1;
    request->waiting = true;
    client->in_flight++;
    client->unsealed = true;
    atomic_fetch_add_explicit(&client->store->inserts, 1, memory_order_relaxed);
    return STATUS_OK;
}

void store_cancel(struct store_client *client, struct store_request *request)
{
    if (request->waiting) {
        request->waiting = false;
        slot_at(client, request->slot)->request = NULL;
    }
}

void store_flush(struct store_client *client)
{
    if (client->phase != CLIENT_READY) {
        return;
    }
    conversation_seal(client);
    client_send(client);
}

enum store_state store_client_state(const struct store_client *client)
{
    return client->phase == CLIENT_READY ? STORE_READY : client->state;
}

const char *store_client_failure(const struct store_client *client)
{
    return client->failure;
}

void store_client_close(struct store_client *client)
{
    client->leaving = true;
    io_timer_cancel(client->io, &client->retry);
    client_fail(client, client->state, "closed by us");
    /* One that had failed before ends with its socket. */
    if (client->phase == CLIENT_WAITING) {
        client->phase = CLIENT_ENDED;
    }
}

bool store_client_is_closed(const struct store_client *client)
{
    return client->phase == CLIENT_ENDED;
}

void store_client_free(struct store_client *client)
{
    if (client == NULL) {
        return;
    }
    assert(client->phase == CLIENT_ENDED);
    resp_reader_free(client->reader);
    chunk_pool_cleanup(&client->chunks);
    tls_context_release(client->tls_context);
    free(client);
}
