#include "proxy/downstream.h"

#include "proxy/core.h"
#include "proxy/proxy_protocol.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

struct downstream_preface {
    size_t size, wanted;
    uint8_t bytes[PROXY_PROTOCOL_BYTES_MAX];
};

/* ---- lists ---- */

static void link_open(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    downstream->next = proxy->connections;
    if (downstream->next != NULL) {
        downstream->next->previous = downstream;
    }
    proxy->connections = downstream;
    proxy->connections_count++;
    counter_set(&proxy->metrics.connections_downstream, proxy->connections_count);
}

static void unlink_open(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    if (downstream->previous != NULL) {
        downstream->previous->next = downstream->next;
    } else {
        proxy->connections = downstream->next;
    }
    if (downstream->next != NULL) {
        downstream->next->previous = downstream->previous;
    }
    proxy->connections_count--;
    counter_set(&proxy->metrics.connections_downstream, proxy->connections_count);
}

static void mark_dirty(struct downstream *downstream)
{
    if (!downstream->dirty && downstream->state != DOWNSTREAM_CLOSING) {
        downstream->dirty = true;
        downstream->dirty_next = downstream->proxy->dirty_downstreams;
        downstream->proxy->dirty_downstreams = downstream;
    }
}

/* ---- what the bytes mean: HTTP/1.1 or HTTP/2 ---- */

static void protocol_end(struct downstream *downstream, const char *reason)
{
    h1_end(downstream, reason);
    h2_end(downstream, reason);
}

static void protocol_open(struct downstream *downstream)
{
    if (!tls_connection_is_http2(downstream->tls)) {
        h1_open(downstream);
    } else if (!h2_open(downstream)) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_BUFFERS);
        downstream_close(downstream, DOWNSTREAM_END_NOW);
    }
}

static void protocol_received(struct downstream *downstream, struct span plain)
{
    if (downstream->h2 != NULL) {
        h2_received(downstream, plain);
    } else {
        h1_received(downstream, plain);
    }
}

static void protocol_client_done(struct downstream *downstream)
{
    if (downstream->h2 != NULL) {
        h2_client_done(downstream);
    } else {
        h1_client_done(downstream);
    }
}

static void protocol_room(struct downstream *downstream)
{
    if (downstream->h2 != NULL) {
        h2_room(downstream);
    } else {
        h1_room(downstream);
    }
}

static void protocol_timeout(struct downstream *downstream, int kind)
{
    if (downstream->h2 != NULL) {
        h2_timeout(downstream, kind);
    } else {
        h1_timeout(downstream, kind);
    }
}

static void protocol_drain(struct downstream *downstream)
{
    if (downstream->h2 != NULL) {
        h2_drain(downstream);
    } else {
        h1_drain(downstream);
    }
}

/* ---- timers ---- */

void downstream_set_timer(struct downstream *downstream, enum downstream_timer kind,
                          uint32_t delay_ms)
{
    bool restarts = kind == DOWNSTREAM_TIMER_IDLE || kind == DOWNSTREAM_TIMER_BODY ||
                    kind == DOWNSTREAM_TIMER_TUNNEL;
    if (kind == downstream->timer_kind && !restarts) {
        return;
    }
    downstream->timer_kind = kind;
    if (kind == DOWNSTREAM_TIMER_NONE) {
        io_timer_rest(&downstream->timer);
    } else {
        io_timer_set_from_turn(downstream->proxy->io, &downstream->timer, delay_ms);
    }
}

static void count_handshake(struct downstream *downstream, enum proxy_handshake result)
{
    bool resumed = result == PROXY_HANDSHAKE_OK && tls_connection_resumed(downstream->tls);
    counter_add(&downstream->proxy->metrics.handshakes[result][resumed], 1);
}

static void timer_fired(struct io_timer *timer)
{
    struct downstream *downstream = CONTAINER_OF(timer, struct downstream, timer);
    uint8_t kind = downstream->timer_kind;
    downstream->timer_kind = DOWNSTREAM_TIMER_NONE;
    if (kind == DOWNSTREAM_TIMER_HANDSHAKE) {
        proxy_count_limit(downstream->proxy, PROXY_LIMIT_HANDSHAKE);
        count_handshake(downstream, PROXY_HANDSHAKE_TIMEOUT);
        downstream_close(downstream, DOWNSTREAM_END_NOW);
    } else if (kind == DOWNSTREAM_TIMER_LINGER) {
        downstream_close(downstream, DOWNSTREAM_END_NOW);
    } else {
        protocol_timeout(downstream, kind);
    }
}

/* The client takes nothing of what we send. */
static void write_timer_fired(struct io_timer *timer)
{
    struct downstream *downstream = CONTAINER_OF(timer, struct downstream, write_timer);
    proxy_count_limit(downstream->proxy, PROXY_LIMIT_BODY_PROGRESS);
    protocol_end(downstream, "the client does not read its answer");
    downstream_close(downstream, DOWNSTREAM_END_NOW);
}

/* ---- writing ---- */

/* Encrypts what was gathered. The bound of `out` is over anything that pausing in time lets
 * through, so meeting it means that the worker's chunks are used up. */
static void flush_record(struct proxy *proxy)
{
    struct downstream *downstream = proxy->record_owner;
    struct span plain = span_make(proxy->record, proxy->record_size);
    proxy->record_owner = NULL;
    proxy->record_size = 0;
    while (downstream != NULL && plain.size > 0) {
        size_t taken = 0;
        if (tls_write(downstream->tls, plain, &taken) != STATUS_OK) {
            proxy_count_limit(proxy, PROXY_LIMIT_BUFFERS);
            protocol_end(downstream, "the worker's buffers are used up");
            downstream_close(downstream, DOWNSTREAM_END_NOW);
            return;
        }
        plain = span_after(plain, taken);
        mark_dirty(downstream);
    }
}

void downstream_write(struct downstream *downstream, struct span plain)
{
    struct proxy *proxy = downstream->proxy;
    while (plain.size > 0) {
        if (downstream->state != DOWNSTREAM_OPEN) {
            return; /* closed under the writer's feet: it will hear of it */
        }
        if (proxy->record_owner != downstream) {
            flush_record(proxy);
            proxy->record_owner = downstream;
        }
        size_t room = PROXY_RECORD_BYTES - proxy->record_size;
        size_t size = plain.size < room ? plain.size : room;
        memcpy(proxy->record + proxy->record_size, plain.data, size);
        proxy->record_size += size;
        plain = span_after(plain, size);
        if (proxy->record_size == PROXY_RECORD_BYTES) {
            flush_record(proxy);
        }
    }
}

size_t downstream_waiting(const struct downstream *downstream)
{
    const struct proxy *proxy = downstream->proxy;
    return downstream->out.size + (proxy->record_owner == downstream ? proxy->record_size : 0);
}

static void end_step(struct downstream *downstream);

static void flush(struct downstream *downstream)
{
    if (downstream->state == DOWNSTREAM_CLOSING || downstream->sending > 0) {
        return;
    }
    if (downstream->out.size == 0) {
        end_step(downstream);
        return;
    }
    struct span spans[PROXY_SEND_SPANS];
    size_t count = buffer_peek(&downstream->out, spans, PROXY_SEND_SPANS);
    for (size_t i = 0; i < count; i++) {
        downstream->sending += spans[i].size;
    }
    io_send(&downstream->socket, spans, count);
    io_timer_set_from_turn(downstream->proxy->io, &downstream->write_timer,
                           downstream->proxy->settings->timeouts.body_progress_ms);
}

void downstream_flush_all(struct proxy *proxy)
{
    flush_record(proxy);
    while (proxy->dirty_downstreams != NULL) {
        struct downstream *downstream = proxy->dirty_downstreams;
        proxy->dirty_downstreams = downstream->dirty_next;
        downstream->dirty = false;
        flush(downstream);
    }
}

static void on_sent(struct io_socket *socket, enum status status)
{
    struct downstream *downstream = (struct downstream *)socket;
    size_t sent = downstream->sending;
    downstream->sending = 0;
    io_timer_rest(&downstream->write_timer);
    if (status != STATUS_OK) {
        protocol_end(downstream, "the client closed the connection");
        downstream_close(downstream, DOWNSTREAM_END_NOW);
        return;
    }
    buffer_consume(&downstream->out, sent);
    if (downstream->out.size > 0 || downstream->state == DOWNSTREAM_FLUSHING) {
        mark_dirty(downstream);
    }
    if (downstream->state == DOWNSTREAM_OPEN) {
        protocol_room(downstream);
    }
}

/* ---- ending ---- */

static void close_now(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    if (proxy->record_owner == downstream) {
        proxy->record_owner = NULL;
        proxy->record_size = 0;
    }
    downstream->state = DOWNSTREAM_CLOSING;
    free(downstream->preface);
    downstream->preface = NULL;
    io_timer_cancel(proxy->io, &downstream->timer);
    io_timer_cancel(proxy->io, &downstream->write_timer);
    io_close(&downstream->socket);
}

/* FLUSHING with nothing left to send: the next step of the end. */
static void end_step(struct downstream *downstream)
{
    if (downstream->state != DOWNSTREAM_FLUSHING) {
        return;
    }
    if (downstream->end == DOWNSTREAM_END_CUT || downstream->peer_closed) {
        close_now(downstream);
        return;
    }
    downstream->state = DOWNSTREAM_LINGERING;
    io_shutdown(&downstream->socket);
    downstream_receive(downstream, true);
    downstream_set_timer(downstream, DOWNSTREAM_TIMER_LINGER, PROXY_LINGER_MS);
}

void downstream_close(struct downstream *downstream, enum downstream_end end)
{
    if (downstream->state == DOWNSTREAM_CLOSING) {
        return;
    }
    protocol_end(downstream, "the connection was closed");
    if (end == DOWNSTREAM_END_NOW) {
        close_now(downstream);
        return;
    }
    if (downstream->state == DOWNSTREAM_FLUSHING || downstream->state == DOWNSTREAM_LINGERING) {
        return;
    }
    if (downstream->proxy->record_owner == downstream) {
        flush_record(downstream->proxy);
        if (downstream->state == DOWNSTREAM_CLOSING) {
            return;
        }
    }
    if (end == DOWNSTREAM_END_CLEAN) {
        tls_shutdown(downstream->tls);
    }
    downstream->end = (uint8_t)end;
    downstream->state = DOWNSTREAM_FLUSHING;
    downstream_set_timer(downstream, DOWNSTREAM_TIMER_NONE, 0);
    mark_dirty(downstream); /* the end of the turn flushes, or takes the next step */
}

static void on_closed(struct io_socket *socket)
{
    struct downstream *downstream = (struct downstream *)socket;
    struct proxy *proxy = downstream->proxy;
    assert(!downstream->dirty && downstream->h1.exchange == NULL && downstream->h2 == NULL);
    assert(!downstream->h1.waits_for_turn);
    assert(downstream->timer.next == NULL && downstream->write_timer.next == NULL);
    unlink_open(downstream);
    tls_connection_free(downstream->tls);
    buffer_clear(&downstream->out);
    slab_give(&proxy->downstreams, downstream);
    proxy_connection_freed(proxy);
}

/* ---- reading ---- */

void downstream_receive(struct downstream *downstream, bool wanted)
{
    if (downstream->receiving == wanted || downstream->state == DOWNSTREAM_CLOSING) {
        return;
    }
    downstream->receiving = wanted;
    if (wanted) {
        io_receive(&downstream->socket);
    } else {
        io_receive_pause(&downstream->socket);
    }
}

static void log_refusal(const struct downstream *downstream, const char *event, const char *reason)
{
    struct log_line line;
    char text[CLIENT_ADDRESS_TEXT_BYTES];
    log_begin(&line, downstream->proxy->log, LOG_WARN, event);
    log_string(&line, "reason", reason);
    log_span(&line, "client_address", client_address_port_text(&downstream->client, text));
    log_end(&line);
}

static void tls_failed(struct downstream *downstream)
{
    log_refusal(downstream, "tls", tls_connection_failure(downstream->tls));
    mark_dirty(downstream);
    protocol_end(downstream, "TLS failed");
    downstream_close(downstream, DOWNSTREAM_END_ALERT);
}

/* What was judged by another configuration's rules is judged again, also when the reload came
 * between the first bytes and the end of the handshake. */
static bool accepted_now(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    uint64_t generation = tls_context_generation(proxy->tls);
    if (downstream->tls_generation == generation) {
        return true;
    }
    downstream->tls_generation = generation;
    return tls_connection_reverify(downstream->tls, proxy->tls, io_now(proxy->io)) == STATUS_OK;
}

static void handshake(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    enum status status = tls_handshake(downstream->tls, io_now(proxy->io));
    if (downstream->out.size > 0) {
        mark_dirty(downstream);
    }
    if (status == STATUS_AGAIN) {
        return;
    }
    if (status != STATUS_OK || !accepted_now(downstream)) {
        count_handshake(downstream, PROXY_HANDSHAKE_REFUSED);
        tls_failed(downstream);
        return;
    }
    count_handshake(downstream, PROXY_HANDSHAKE_OK);
    downstream->state = DOWNSTREAM_OPEN;
    protocol_open(downstream);
}

/* The PROXY header at the beginning. Gathers it, and returns how much of `bytes` it took; the state
 * tells whether it is whole. "The receiver MUST be configured to only receive the protocol
 * described in this specification and MUST not try to guess whether the protocol header is present
 * or not": without it the client behind a load balancer could name any address. */
static size_t read_preface(struct downstream *downstream, struct span bytes)
{
    struct downstream_preface *preface = downstream->preface;
    size_t taken = 0;
    while (downstream->state == DOWNSTREAM_PREFACE) {
        size_t missing = preface->wanted - preface->size, left = bytes.size - taken;
        size_t size = left < missing ? left : missing;
        memcpy(preface->bytes + preface->size, bytes.data + taken, size);
        preface->size += size;
        taken += size;
        struct proxy_protocol header;
        const char *reason = NULL;
        enum status status = proxy_protocol_parse(span_make(preface->bytes, preface->size), &header,
                                                  &preface->wanted, &reason);
        if (status == STATUS_OK) {
            downstream->client = header.has_client ? header.client : downstream->client;
            downstream->preface = NULL;
            free(preface);
            downstream->state = DOWNSTREAM_HANDSHAKE;
        } else if (status != STATUS_AGAIN) {
            log_refusal(downstream, "proxy_protocol", reason);
            count_handshake(downstream, PROXY_HANDSHAKE_REFUSED);
            downstream_close(downstream, DOWNSTREAM_END_NOW);
        } else if (taken == bytes.size) {
            return taken;
        }
    }
    return taken;
}

/* Everything that was received is decrypted at once and belongs to h1: io's buffers are never held.
 */
static void decrypt(struct downstream *downstream)
{
    struct proxy *proxy = downstream->proxy;
    while (downstream->state == DOWNSTREAM_OPEN) {
        size_t got = 0;
        enum status status = tls_read(downstream->tls,
                                      (struct span_mut){proxy->plain, sizeof proxy->plain}, &got);
        if (downstream->out.size > 0) {
            mark_dirty(downstream);
        }
        if (status == STATUS_AGAIN) {
            return;
        }
        if (status == STATUS_CLOSED) {
            downstream->peer_closed = true;
            protocol_client_done(downstream);
            return;
        }
        if (status != STATUS_OK) {
            tls_failed(downstream);
            return;
        }
        protocol_received(downstream, span_make(proxy->plain, got));
    }
}

/* The client's stream ended. Without close_notify before it, it is a cut: what it asked for is
 * given up. */
static void stream_ended(struct downstream *downstream)
{
    bool clean = downstream->peer_closed;
    downstream->peer_closed = true;
    downstream->receiving = false;
    switch (downstream->state) {
    case DOWNSTREAM_PREFACE:
    case DOWNSTREAM_HANDSHAKE:
        count_handshake(downstream, PROXY_HANDSHAKE_CLOSED);
        downstream_close(downstream, DOWNSTREAM_END_NOW);
        break;
    case DOWNSTREAM_OPEN:
        if (!clean) {
            protocol_end(downstream, "the client closed the connection");
            downstream_close(downstream, DOWNSTREAM_END_NOW);
        }
        break;
    case DOWNSTREAM_LINGERING:
        downstream_close(downstream, DOWNSTREAM_END_NOW);
        break;
    default:
        break; /* flushing goes on: the client may still read */
    }
}

static void drop(struct downstream *downstream, size_t size)
{
    downstream->lingered_bytes += (uint32_t)size;
    if (downstream->lingered_bytes > PROXY_LINGER_BYTES_MAX) {
        downstream_close(downstream, DOWNSTREAM_END_NOW);
    }
}

static void on_received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct downstream *downstream = (struct downstream *)socket;
    if (status != STATUS_OK) {
        bool beginning = downstream->state == DOWNSTREAM_PREFACE ||
                         downstream->state == DOWNSTREAM_HANDSHAKE;
        if (status == STATUS_SYSTEM && !beginning) {
            downstream_close(downstream, DOWNSTREAM_END_NOW);
        } else {
            stream_ended(downstream);
        }
        return;
    }
    struct span bytes = span_make(buffer.data, buffer.size);
    if (downstream->state == DOWNSTREAM_PREFACE) {
        bytes = span_after(bytes, read_preface(downstream, bytes));
    }
    bool reading = downstream->state == DOWNSTREAM_HANDSHAKE ||
                   (downstream->state == DOWNSTREAM_OPEN && !downstream->peer_closed);
    if (bytes.size == 0) {
        /* all of it was the PROXY header's */
    } else if (reading) {
        tls_input(downstream->tls, bytes);
        if (downstream->state == DOWNSTREAM_HANDSHAKE) {
            handshake(downstream);
        }
        decrypt(downstream);
    } else {
        drop(downstream, bytes.size);
    }
    io_buffer_return(socket, buffer);
}

static const struct io_socket_events events = {
    .received = on_received,
    .sent = on_sent,
    .closed = on_closed,
};

/* ---- beginning ---- */

static struct downstream *make(struct proxy *proxy)
{
    struct downstream *downstream = slab_take(&proxy->downstreams);
    if (downstream == NULL) {
        return NULL;
    }
    *downstream = (struct downstream){.proxy = proxy, .state = DOWNSTREAM_HANDSHAKE};
    downstream->timer.fired = timer_fired;
    downstream->write_timer.fired = write_timer_fired;
    buffer_init(&downstream->out, &proxy->chunks);
    h1_init(&downstream->h1, proxy);
    downstream->tls_generation = tls_context_generation(proxy->tls);
    downstream->tls = tls_connection_new(proxy->tls, &downstream->out, PROXY_OUT_MAX);
    if (downstream->tls == NULL) {
        slab_give(&proxy->downstreams, downstream);
        return NULL;
    }
    return downstream;
}

/* Who is there, and whether a PROXY header must come first. */
static bool identify(struct downstream *downstream, int descriptor)
{
    const struct proxy_settings *settings = downstream->proxy->settings;
    struct sockaddr_storage address = {0};
    io_peer_address(descriptor, &address);
    downstream->client = client_address_of(&address);
    if (!client_network_has(settings->proxy_protocol_trusted,
                            settings->proxy_protocol_trusted_count, &downstream->client)) {
        return true;
    }
    downstream->state = DOWNSTREAM_PREFACE;
    downstream->preface = malloc(sizeof *downstream->preface);
    if (downstream->preface != NULL) {
        downstream->preface->size = 0;
        downstream->preface->wanted = PROXY_PROTOCOL_FIXED_BYTES;
    }
    return downstream->preface != NULL;
}

void downstream_accept(struct proxy *proxy, int descriptor)
{
    if (proxy->connections_count >= proxy->settings->connections_max) {
        proxy_count_limit(proxy, PROXY_LIMIT_CONNECTIONS);
        close(descriptor);
        return;
    }
    struct downstream *downstream = make(proxy);
    if (downstream == NULL) {
        proxy_count_limit(proxy, PROXY_LIMIT_BUFFERS);
        close(descriptor);
        return;
    }
    if (!identify(downstream, descriptor) ||
        io_socket_open(proxy->io, &downstream->socket, &events, descriptor) != STATUS_OK) {
        free(downstream->preface);
        tls_connection_free(downstream->tls);
        slab_give(&proxy->downstreams, downstream);
        close(descriptor);
        return;
    }
    link_open(downstream);
    downstream_set_timer(downstream, DOWNSTREAM_TIMER_HANDSHAKE,
                         proxy->settings->timeouts.handshake_ms);
    downstream_receive(downstream, true);
}

/* ---- all of them ---- */

void downstream_reverify_all(struct proxy *proxy)
{
    struct downstream *next;
    for (struct downstream *one = proxy->connections; one != NULL; one = next) {
        next = one->next;
        if (one->state == DOWNSTREAM_OPEN && !accepted_now(one)) {
            log_message(proxy->log, LOG_WARN, "reverify", "an open connection was closed: %s",
                        tls_connection_failure(one->tls));
            protocol_end(one, "the client certificate is no longer accepted");
            downstream_close(one, DOWNSTREAM_END_CUT);
        }
    }
}

void downstream_drain_all(struct proxy *proxy)
{
    for (struct downstream *one = proxy->connections; one != NULL; one = one->next) {
        if (one->state == DOWNSTREAM_OPEN) {
            protocol_drain(one);
        }
    }
}

void downstream_cut_all(struct proxy *proxy)
{
    struct downstream *next;
    for (struct downstream *one = proxy->connections; one != NULL; one = next) {
        next = one->next;
        if (one->state != DOWNSTREAM_CLOSING) {
            proxy_count_limit(proxy, PROXY_LIMIT_DRAIN);
            protocol_end(one, "the drain timeout ran out");
            downstream_close(one, DOWNSTREAM_END_NOW);
        }
    }
}
