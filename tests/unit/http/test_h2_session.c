/* Server and client sessions against each other, and frames by hand against the server. */
#include "http/h2_session.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

static const struct http_limits usual = {.head_bytes_max = 4096, .headers_max = 32};

enum { STREAMS = 8, TEXT = 4096 + 64 };

struct stream {
    struct h2_stream stream; /* first */
    bool used, head_seen, ended, broken, closed;
    uint32_t error;
    uint16_t refusal, status;
    char path[128], body[4096], trailers[256];
    size_t body_size, to_send, sent;
    struct http_head head;
    uint8_t text[2 * TEXT + 8];
};

struct end {
    struct h2_session *session;
    bool answers, hold; /* a server: answers at once; keeps the payload */
    unsigned heads, pongs;
    struct stream streams[STREAMS];
};

static struct end server, client;

static struct h2_stream *on_begin(void *owner, struct h2_head *builder)
{
    struct end *end = owner;
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *one = &end->streams[i];
        if (!one->used) {
            *one = (struct stream){.used = true};
            h2_head_begin(builder, &one->head, one->text, 256);
            return &one->stream;
        }
    }
    return NULL;
}

static bool on_grow(void *owner, struct h2_stream *stream, struct h2_head *builder, size_t needed)
{
    static uint8_t copy[TEXT];
    struct stream *one = (struct stream *)stream;
    (void)owner;
    if (builder->text_capacity == TEXT || builder->text_size + needed > TEXT) {
        return false;
    }
    memcpy(copy, one->text, 256);
    h2_head_move(builder, one->text, TEXT); /* in place: the same bytes, other bounds */
    return true;
}

static void on_head(void *owner, struct h2_stream *stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct end *end = owner;
    struct stream *one = (struct stream *)stream;
    end->heads++;
    one->head_seen = true;
    one->refusal = refusal != NULL ? refusal->status : 0;
    one->status = head->status;
    one->ended = stream->remote_ended;
    if (refusal == NULL) {
        snprintf(one->path, sizeof one->path, "%.*s", SPAN_ARG(head->uri.path));
    }
    if (end->answers && refusal == NULL) {
        struct h2_field field = {SPAN_LITERAL("X-Answer"), SPAN_LITERAL("yes")};
        h2_session_respond(end->session, stream, 200, &field, 1, one->to_send > 0);
    }
}

static void on_data(void *owner, struct h2_stream *stream, struct span payload)
{
    struct end *end = owner;
    struct stream *one = (struct stream *)stream;
    size_t size = payload.size < sizeof one->body - one->body_size
                      ? payload.size
                      : sizeof one->body - one->body_size;
    memcpy(one->body + one->body_size, payload.data, size);
    one->body_size += size;
    if (!end->hold) {
        h2_session_consume(end->session, stream, payload.size);
    }
}

static void on_end(void *owner, struct h2_stream *stream, const struct http_head *trailers)
{
    struct stream *one = (struct stream *)stream;
    (void)owner;
    one->ended = true;
    if (trailers != NULL && trailers->headers_count > 0) {
        snprintf(one->trailers, sizeof one->trailers, "%.*s=%.*s",
                 SPAN_ARG(trailers->headers[0].name), SPAN_ARG(trailers->headers[0].value));
    }
}

static void on_broken(void *owner, struct h2_stream *stream, const char *reason)
{
    struct end *end = owner;
    cr_assert_not_null(reason);
    ((struct stream *)stream)->broken = true;
    h2_session_reset(end->session, stream, H2_PROTOCOL_ERROR);
}

static void on_closed(void *owner, struct h2_stream *stream, uint32_t error)
{
    struct stream *one = (struct stream *)stream;
    (void)owner;
    one->closed = true;
    one->error = error;
}

static size_t on_read(void *owner, struct h2_stream *stream, struct span_mut into, bool *end)
{
    struct stream *one = (struct stream *)stream;
    (void)owner;
    size_t left = one->to_send - one->sent;
    size_t size = left < into.size ? left : into.size;
    memset(into.data, 'r', size);
    one->sent += size;
    *end = one->sent == one->to_send;
    return size;
}

static void on_trailers(void *owner, struct h2_stream *stream)
{
    struct end *end = owner;
    struct h2_field field = {SPAN_LITERAL("grpc-status"), SPAN_LITERAL("0")};
    h2_session_send_trailers(end->session, stream, &field, 1);
}

static void on_pong(void *owner)
{
    ((struct end *)owner)->pongs++;
}

static const struct h2_handler handler = {on_begin,  on_grow,   on_head, on_data,     on_end,
                                          on_broken, on_closed, on_read, on_trailers, on_pong};

static void make(struct end *end, bool is_client)
{
    struct h2_options options = {.client = is_client, .limits = &usual, .streams_max = 4};
    memset(end, 0, sizeof *end);
    cr_assert_eq(h2_session_new(&handler, end, &options, &end->session), STATUS_OK);
}

static void drop(struct end *end)
{
    h2_session_free(end->session);
    end->session = NULL;
}

/* Everything one side has goes to the other. */
static bool pass(struct end *from, struct end *to)
{
    bool moved = false;
    struct span bytes;
    for (;;) {
        cr_assert_eq(h2_session_send(from->session, &bytes), STATUS_OK);
        if (bytes.size == 0) {
            return moved;
        }
        moved = true;
        cr_assert_eq(h2_session_receive(to->session, bytes, 0), STATUS_OK);
    }
}

static void settle(void)
{
    bool moved = true;
    while (moved) {
        moved = pass(&client, &server);
        moved = pass(&server, &client) || moved;
    }
}

static void both(void)
{
    make(&server, false);
    make(&client, true);
    settle();
}

static struct stream *ask(const char *path, size_t body, const struct h2_field *more, size_t count)
{
    struct h2_field fields[16] = {
        {SPAN_LITERAL(":method"), SPAN_LITERAL("POST")},
        {SPAN_LITERAL(":scheme"), SPAN_LITERAL("https")},
        {SPAN_LITERAL(":authority"), SPAN_LITERAL("a.example")},
        {SPAN_LITERAL(":path"), span_from_string(path)},
    };
    for (size_t i = 0; i < count; i++) {
        fields[4 + i] = more[i];
    }
    struct stream *one = NULL;
    for (size_t i = 0; i < STREAMS && one == NULL; i++) {
        one = client.streams[i].used ? NULL : &client.streams[i];
    }
    cr_assert_not_null(one);
    *one = (struct stream){.used = true, .to_send = body};
    one->stream.method = SPAN_LITERAL("POST");
    cr_assert_eq(h2_session_request(client.session, &one->stream, fields, 4 + count, body > 0),
                 STATUS_OK);
    return one;
}

static void finish(void)
{
    drop(&server);
    drop(&client);
}

Test(h2_session, a_request_and_its_answer)
{
    both();
    server.answers = true;
    struct stream *one = ask("/a", 0, NULL, 0);
    settle();
    cr_assert(server.streams[0].head_seen);
    cr_assert_str_eq(server.streams[0].path, "/a");
    cr_assert_eq(one->status, 200);
    cr_assert(one->ended && one->closed);
    cr_assert_eq(one->error, H2_NO_ERROR);
    cr_assert(server.streams[0].closed);
    finish();
}

Test(h2_session, bodies_and_trailers_pass)
{
    both();
    struct h2_field length = {SPAN_LITERAL("content-length"), SPAN_LITERAL("3000")};
    struct stream *one = ask("/b", 3000, &length, 1);
    one->stream.has_trailers = true;
    settle();
    struct stream *seen = &server.streams[0];
    cr_assert(seen->ended && !seen->broken);
    cr_assert_eq(seen->body_size, 3000);
    cr_assert_str_eq(seen->trailers, "grpc-status=0");
    seen->to_send = 2000;
    seen->stream.has_trailers = true;
    h2_session_respond(server.session, &seen->stream, 200, NULL, 0, true);
    settle();
    cr_assert_eq(one->body_size, 2000);
    cr_assert(one->ended && one->closed);
    cr_assert_str_eq(one->trailers, "grpc-status=0");
    finish();
}

Test(h2_session, content_that_the_length_contradicts)
{
    const char *const lengths[] = {"2999", "3001"};
    for (size_t i = 0; i < 2; i++) {
        both();
        struct h2_field length = {SPAN_LITERAL("content-length"), span_from_string(lengths[i])};
        struct stream *one = ask("/b", 3000, &length, 1);
        settle();
        cr_assert(server.streams[0].broken && !server.streams[0].ended);
        cr_assert(one->closed);
        cr_assert_eq(one->error, H2_PROTOCOL_ERROR);
        finish();
    }
}

Test(h2_session, what_is_not_taken_closes_the_window)
{
    both();
    server.hold = true;
    struct stream *one = ask("/b", 200000, NULL, 0);
    settle();
    cr_assert_eq(one->sent, 65535);
    struct h2_stream *stream = &server.streams[0].stream;
    cr_assert_eq(stream->unconsumed, 65535);
    server.hold = false;
    h2_session_consume(server.session, stream, stream->unconsumed);
    settle();
    cr_assert_eq(one->sent, 200000);
    cr_assert(server.streams[0].ended);
    finish();
}

Test(h2_session, a_head_that_is_refused_is_told)
{
    both();
    struct h2_field bad = {SPAN_LITERAL("te"), SPAN_LITERAL("gzip")};
    (void)ask("/a", 0, &bad, 1);
    settle();
    cr_assert_eq(server.streams[0].refusal, 400);
    cr_assert(server.streams[0].ended);
    finish();
}

Test(h2_session, a_large_head_asks_for_room)
{
    static char wide[2000];
    memset(wide, 'w', sizeof wide);
    both();
    struct h2_field large = {SPAN_LITERAL("x-wide"), span_make(wide, sizeof wide)};
    (void)ask("/wide", 0, &large, 1);
    settle();
    cr_assert_eq(server.streams[0].refusal, 0);
    cr_assert_str_eq(server.streams[0].path, "/wide");
    struct h2_field larger[] = {large, large, large};
    (void)ask("/wide", 0, larger, 3);
    settle();
    cr_assert_eq(server.streams[1].refusal, 431);
    finish();
}

Test(h2_session, resets_pings_and_goaway)
{
    both();
    struct stream *one = ask("/a", 0, NULL, 0);
    settle();
    h2_session_reset(client.session, &one->stream, H2_CANCEL);
    h2_session_reset(client.session, &one->stream, H2_CANCEL); /* once is enough */
    settle();
    cr_assert(server.streams[0].closed);
    cr_assert_eq(server.streams[0].error, H2_CANCEL);
    h2_session_ping(client.session);
    settle();
    cr_assert_eq(client.pongs, 1);
    cr_assert_eq(h2_session_peer_streams_max(client.session), 4);
    h2_session_notice(server.session);
    settle();
    cr_assert(h2_session_peer_is_leaving(client.session));
    h2_session_goaway(server.session, H2_NO_ERROR);
    settle();
    cr_assert(h2_session_finished(server.session));
    finish();
}

Test(h2_session, informational_answers_come_first)
{
    both();
    struct stream *one = ask("/a", 0, NULL, 0);
    settle();
    struct h2_stream *stream = &server.streams[0].stream;
    h2_session_informational(server.session, stream, 103, NULL, 0);
    settle();
    cr_assert_eq(one->status, 103);
    cr_assert_not(one->stream.head_done);
    h2_session_respond(server.session, stream, 204, NULL, 0, false);
    settle();
    cr_assert_eq(one->status, 204);
    cr_assert_eq(client.heads, 2);
    cr_assert(one->closed);
    finish();
}

Test(h2_session, a_reset_can_follow_the_answer)
{
    both();
    struct stream *one = ask("/a", 100000, NULL, 0);
    server.hold = true;
    settle();
    struct h2_stream *stream = &server.streams[0].stream;
    stream->resets_after = true;
    stream->after_code = H2_NO_ERROR;
    h2_session_respond(server.session, stream, 413, NULL, 0, false);
    settle();
    cr_assert_eq(one->status, 413);
    cr_assert(one->closed && server.streams[0].closed);
    cr_assert_eq(one->error, H2_NO_ERROR);
    finish();
}

/* ---- by hand ---- */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static enum status give(const void *data, size_t size, uint64_t now_ms)
{
    return h2_session_receive(server.session, span_make(data, size), now_ms);
}

static void by_hand(void)
{
    make(&server, false);
    cr_assert_eq(give(preface, sizeof preface - 1, 0), STATUS_OK);
}

/* The error code of the last GOAWAY that was sent. */
static int64_t goaway_code(void)
{
    static uint8_t out[65536];
    size_t size = 0;
    int64_t code = -1;
    struct span bytes;
    for (;;) {
        if (h2_session_send(server.session, &bytes) != STATUS_OK) {
            continue; /* the GOAWAY comes with the next call */
        }
        if (bytes.size == 0 || size + bytes.size > sizeof out) {
            break;
        }
        memcpy(out + size, bytes.data, bytes.size);
        size += bytes.size;
    }
    for (size_t at = 0; at + 9 <= size;) {
        size_t length = (size_t)out[at] << 16 | (size_t)out[at + 1] << 8 | out[at + 2];
        if (out[at + 3] == 7) {
            code = (int64_t)out[at + 13] << 24 | (int64_t)out[at + 14] << 16 | out[at + 15] << 8 |
                   out[at + 16];
        }
        at += 9 + length;
    }
    return code;
}

static unsigned flood(const void *frame, size_t size, uint64_t ms_each)
{
    for (unsigned i = 0; i < 5000; i++) {
        if (give(frame, size, i * ms_each) != STATUS_OK) {
            return i;
        }
    }
    return 5000;
}

Test(h2_session, floods_end_in_calm)
{
    static const struct {
        const char *what;
        const char frame[32];
        size_t size;
        unsigned least, most;
    } cases[] = {
        {"ping", "\0\0\10\6\0\0\0\0\0floodflo", 17, 400, 500},
        {"settings", "\0\0\0\4\0\0\0\0\0", 9, 40, 50},
        {"priority", "\0\0\5\2\0\0\0\0\7\0\0\0\0\20", 14, 400, 500},
        {"window update", "\0\0\4\10\0\0\0\0\0\0\0\0\1", 13, 900, 1000},
        {"unknown", "\0\0\1\276\0\0\0\0\0u", 10, 400, 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        by_hand();
        unsigned count = flood(cases[i].frame, cases[i].size, 0);
        cr_assert(count >= cases[i].least && count <= cases[i].most, "%s: %u", cases[i].what,
                  count);
        cr_assert(h2_session_out_of_budget(server.session));
        cr_assert_str_eq(h2_session_failure(server.session), "too much misbehaviour");
        cr_assert_eq(goaway_code(), H2_ENHANCE_YOUR_CALM, "%s", cases[i].what);
        cr_assert(h2_session_finished(server.session));
        cr_assert_eq(give("x", 1, 0), STATUS_FAILED);
        drop(&server);
    }
}

Test(h2_session, the_budget_comes_back_with_time)
{
    by_hand();
    static const char ping[] = "\0\0\10\6\0\0\0\0\0pingping";
    for (unsigned i = 0; i < 2000; i++) { /* 20 a second cost 40 of the 50 */
        cr_assert_eq(give(ping, 17, i * 50), STATUS_OK, "%u", i);
        (void)goaway_code();
    }
    drop(&server);
}

Test(h2_session, the_owner_can_charge_too)
{
    by_hand();
    h2_session_charge(server.session, H2_BUDGET + 1);
    struct span bytes;
    cr_assert_eq(h2_session_send(server.session, &bytes), STATUS_OK);
    cr_assert_eq(goaway_code(), H2_ENHANCE_YOUR_CALM);
    drop(&server);
}

Test(h2_session, what_is_not_http2_ends_at_once)
{
    make(&server, false);
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    cr_assert_eq(give(text, sizeof text - 1, 0), STATUS_FAILED);
    cr_assert_eq(goaway_code(), H2_PROTOCOL_ERROR);
    drop(&server);
}

Test(h2_session, an_open_head_is_seen_and_continuations_are_counted)
{
    by_hand();
    static const char head[] = "\0\0\1\1\1\0\0\0\1\202";
    static const char more[] = "\0\0\0\11\0\0\0\0\1";
    cr_assert_eq(give(head, sizeof head - 1, 0), STATUS_OK);
    cr_assert(h2_session_head_open(server.session));
    unsigned count = flood(more, sizeof more - 1, 0);
    cr_assert_leq(count, H2_CONTINUATIONS_MAX);
    cr_assert_eq(goaway_code(), H2_ENHANCE_YOUR_CALM);
    drop(&server);
}

Test(h2_session, its_memory_is_counted_and_given_back)
{
    by_hand();
    size_t idle = h2_session_memory(server.session);
    cr_assert(idle > 0 && idle < 64 * 1024, "%zu", idle);
    static const char head[] = "\0\0\16\1\5\0\0\0\1\202\207\204\1\11a.example";
    static const char reset[] = "\0\0\4\3\0\0\0\0\1\0\0\0\10";
    cr_assert_eq(give(head, sizeof head - 1, 0), STATUS_OK);
    cr_assert(server.streams[0].head_seen);
    cr_assert_eq(server.streams[0].refusal, 0);
    cr_assert(h2_session_memory(server.session) > idle);
    (void)goaway_code();
    cr_assert_eq(give(reset, sizeof reset - 1, 0), STATUS_OK);
    (void)goaway_code();
    cr_assert(server.streams[0].closed);
    cr_assert_leq(h2_session_memory(server.session), idle + 256);
    drop(&server);
}

static struct stream *open_tunnel(void)
{
    static const struct h2_field fields[] = {
        {SPAN_LITERAL(":method"), SPAN_LITERAL("CONNECT")},
        {SPAN_LITERAL(":protocol"), SPAN_LITERAL("websocket")},
        {SPAN_LITERAL(":scheme"), SPAN_LITERAL("https")},
        {SPAN_LITERAL(":authority"), SPAN_LITERAL("a.example")},
        {SPAN_LITERAL(":path"), SPAN_LITERAL("/ws")},
    };
    struct stream *one = &client.streams[0];
    *one = (struct stream){.used = true, .to_send = 3000};
    one->stream.method = SPAN_LITERAL("CONNECT");
    cr_assert_eq(h2_session_request(client.session, &one->stream, fields, 5, true), STATUS_OK);
    return one;
}

Test(h2_session, a_tunnel_passes_bytes_both_ways)
{
    both();
    cr_assert(h2_session_peer_is_known(client.session));
    cr_assert(h2_session_peer_takes_connect(client.session), "the server announces it");
    cr_assert_not(h2_session_peer_takes_connect(server.session), "it is not a client's to say");
    struct stream *one = open_tunnel();
    settle();
    struct stream *seen = &server.streams[0];
    cr_assert(seen->head_seen && seen->stream.tunnel);
    cr_assert_eq(seen->refusal, 0);
    cr_assert_eq(seen->body_size, 3000);
    cr_assert(seen->ended && !seen->broken);
    seen->to_send = 100;
    h2_session_respond(server.session, &seen->stream, 200, NULL, 0, true);
    settle();
    cr_assert(one->stream.tunnel && one->ended && one->closed);
    cr_assert_eq(one->body_size, 100);
    finish();
}

/* RFC 9113 section 8.5 */
Test(h2_session, a_field_block_within_a_tunnel_breaks_it)
{
    both();
    struct stream *one = open_tunnel();
    one->stream.has_trailers = true;
    settle();
    cr_assert(server.streams[0].broken && !server.streams[0].ended);
    cr_assert_eq(one->error, H2_PROTOCOL_ERROR);
    finish();
}

Test(h2_session, nothing_is_known_of_a_peer_before_its_settings)
{
    make(&client, true);
    cr_assert_not(h2_session_peer_is_known(client.session));
    cr_assert_not(h2_session_peer_takes_connect(client.session));
    drop(&client);
}

Test(h2_session, one_that_rests_goes_on_where_it_was)
{
    static char token[900];
    memset(token, 't', sizeof token);
    struct h2_field field = {SPAN_LITERAL("authorization"), span_make(token, sizeof token)};
    both();
    server.answers = true;
    for (int i = 0; i < 4; i++) {
        struct stream *one = ask("/again", 0, &field, 1); /* from the table, but for the first */
        settle();
        cr_assert_eq(one->status, 200);
        cr_assert(one->ended && one->closed);
        cr_assert_eq(h2_session_resting_bytes(server.session), 0);
        h2_session_rest(server.session);
        size_t kept = h2_session_resting_bytes(server.session);
        cr_assert(kept > 0 && kept < 4096, "%zu", kept);
        h2_session_rest(server.session);
        cr_assert_eq(h2_session_resting_bytes(server.session), kept, "once is enough");
        cr_assert_not(h2_session_wants_send(server.session));
        cr_assert_not(h2_session_finished(server.session));
    }
    h2_session_ping(client.session);
    settle();
    cr_assert_eq(client.pongs, 1);
    h2_session_rest(server.session);
    h2_session_goaway(server.session, H2_NO_ERROR);
    settle();
    cr_assert(h2_session_peer_is_leaving(client.session));
    finish();
}

Test(h2_session, one_with_something_to_send_does_not_rest)
{
    both();
    h2_session_notice(server.session);
    h2_session_rest(server.session);
    cr_assert_eq(h2_session_resting_bytes(server.session), 0);
    settle();
    h2_session_rest(server.session);
    cr_assert_gt(h2_session_resting_bytes(server.session), 0);
    finish(); /* from rest */
}

/* Streams that are open, windows, and half a frame are there again. */
Test(h2_session, nothing_is_lost_by_resting_in_the_middle)
{
    both();
    server.hold = true;
    struct stream *one = ask("/b", 3000, NULL, 0);
    struct span bytes;
    for (;;) {
        cr_assert_eq(h2_session_send(client.session, &bytes), STATUS_OK);
        if (bytes.size == 0) {
            break;
        }
        for (size_t i = 0; i < bytes.size; i++) {
            cr_assert_eq(h2_session_receive(server.session, span_make(bytes.data + i, 1), 0),
                         STATUS_OK);
            h2_session_rest(server.session);
        }
    }
    struct stream *seen = &server.streams[0];
    cr_assert(seen->ended && !seen->broken);
    cr_assert_eq(seen->body_size, 3000);
    seen->to_send = 2000;
    h2_session_respond(server.session, &seen->stream, 200, NULL, 0, true);
    settle();
    cr_assert_eq(one->body_size, 2000);
    finish();
}
