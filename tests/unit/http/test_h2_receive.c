/* Frames by hand, in any order that a peer may send them, against a session with limits and memory
 * of the test's own. Allocations of the code under test go through here (tests/CMakeLists.txt). */
#include "http/h2_session.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

/* The allocation that fails, counted from now; -1: none. It and all that follow. */
static long allocations_left = -1;

static bool refuses(void)
{
    if (allocations_left > 0) {
        allocations_left--;
        return false;
    }
    return allocations_left == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return refuses() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return refuses() ? NULL : __real_calloc(count, size);
}

static struct http_limits limits;

enum { STREAMS = 4, TEXT = 8192 };

struct one {
    struct h2_stream stream; /* first */
    bool used, head, ended, broken, closed;
    uint16_t refusal, status;
    uint32_t error;
    size_t body, trailers;
    struct http_head head_storage;
    uint8_t text[2 * TEXT + 8];
};

static struct one streams[STREAMS];
static struct h2_session *session;
static bool answers, grows, keeps_broken;
static bool resets_at_head, resets_at_data;
static uint32_t charge_at_data, charge_at_head, charge_at_end;
static const char *body; /* what is to be sent; NULL: not yet */
static unsigned settings_seen;

static struct h2_stream *on_begin(void *owner, struct h2_head *builder)
{
    (void)owner;
    for (size_t i = 0; i < STREAMS; i++) {
        if (!streams[i].used) {
            streams[i] = (struct one){.used = true};
            h2_head_begin(builder, &streams[i].head_storage, streams[i].text, 256);
            return &streams[i].stream;
        }
    }
    return NULL;
}

static bool on_grow(void *owner, struct h2_stream *stream, struct h2_head *builder, size_t needed)
{
    (void)owner;
    (void)needed;
    if (grows) {
        h2_head_move(builder, ((struct one *)stream)->text, TEXT);
    }
    return grows;
}

static void on_head(void *owner, struct h2_stream *stream, struct http_head *head,
                    const struct http_refusal *refusal)
{
    struct one *one = (struct one *)stream;
    (void)owner;
    one->head = true;
    one->refusal = refusal != NULL ? refusal->status : 0;
    one->status = head->status;
    if (answers) {
        h2_session_respond(session, stream, 200, NULL, 0, false);
    }
    if (resets_at_head) {
        h2_session_reset(session, stream, H2_CANCEL);
    }
    h2_session_charge(session, charge_at_head);
}

static void on_data(void *owner, struct h2_stream *stream, struct span payload)
{
    (void)owner;
    ((struct one *)stream)->body += payload.size;
    h2_session_consume(session, stream, payload.size);
    if (resets_at_data) {
        h2_session_reset(session, stream, H2_CANCEL);
    }
    h2_session_charge(session, charge_at_data);
}

static void on_end(void *owner, struct h2_stream *stream, const struct http_head *trailers)
{
    (void)owner;
    ((struct one *)stream)->ended = true;
    ((struct one *)stream)->trailers = trailers != NULL ? trailers->headers_count : 0;
    h2_session_charge(session, charge_at_end);
}

static void on_broken(void *owner, struct h2_stream *stream, const char *reason)
{
    (void)owner;
    cr_assert_not_null(reason);
    ((struct one *)stream)->broken = true;
    if (!keeps_broken) {
        h2_session_reset(session, stream, H2_PROTOCOL_ERROR);
    }
}

static void on_closed(void *owner, struct h2_stream *stream, uint32_t error)
{
    (void)owner;
    ((struct one *)stream)->closed = true;
    ((struct one *)stream)->error = error;
}

static size_t on_read(void *owner, struct h2_stream *stream, struct span_mut into, bool *end)
{
    (void)owner;
    (void)stream;
    size_t size = body != NULL ? strlen(body) : 0;
    cr_assert_leq(size, into.size);
    memcpy(into.data, body != NULL ? body : "", size);
    *end = body != NULL;
    return size;
}

static void on_settings(void *owner)
{
    (void)owner;
    settings_seen++;
}

static const struct h2_handler handler = {
    .begin = on_begin,
    .grow = on_grow,
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .broken = on_broken,
    .closed = on_closed,
    .read = on_read,
    .settings = on_settings,
};

/* ---- frames ---- */

static uint8_t out[1 << 18];
static size_t out_size;

enum { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

static void frame(unsigned type, unsigned flags, uint32_t id, const void *payload, size_t size)
{
    uint8_t *at = out + out_size;
    cr_assert_lt(out_size + size + 9, sizeof out);
    const uint8_t head[9] = {(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,
                             (uint8_t)type,         (uint8_t)flags,       (uint8_t)(id >> 24),
                             (uint8_t)(id >> 16),   (uint8_t)(id >> 8),   (uint8_t)id};
    memcpy(at, head, 9);
    memcpy(at + 9, payload, size);
    out_size += 9 + size;
}

/* What `frame` put together goes in, in one piece. */
static enum status give(void)
{
    enum status status = h2_session_receive(session, span_make(out, out_size), 0);
    out_size = 0;
    return status;
}

/* Everything the session has to say; the error code of its last GOAWAY and RST_STREAM, -1: none. */
static int64_t goaway, reset;
static size_t data_said; /* and its DATA */
static bool end_said;
static void drain(void)
{
    static uint8_t said[1 << 18];
    size_t size = 0;
    struct span bytes;
    goaway = reset = -1;
    data_said = 0;
    end_said = false;
    for (int quiet = 0; quiet < 2;) {
        if (h2_session_send(session, &bytes) == STATUS_OK && bytes.size > 0) {
            cr_assert_lt(size + bytes.size, sizeof said);
            memcpy(said + size, bytes.data, bytes.size);
            size += bytes.size;
        } else {
            quiet++;
        }
    }
    for (size_t at = 0; at + 9 <= size;) {
        size_t length = (size_t)said[at] << 16 | (size_t)said[at + 1] << 8 | said[at + 2];
        if (said[at + 3] == GOAWAY) {
            goaway = said[at + 16];
        } else if (said[at + 3] == RST) {
            reset = said[at + 12];
        } else if (said[at + 3] == DATA) {
            data_said += length;
            end_said = (said[at + 4] & END_STREAM) != 0;
        }
        at += 9 + length;
    }
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void open_as(bool client)
{
    limits = (struct http_limits){.head_bytes_max = 4096, .headers_max = 32};
    struct h2_options options = {.client = client, .limits = &limits, .streams_max = 100};
    memset(streams, 0, sizeof streams);
    out_size = 0;
    answers = keeps_broken = false;
    grows = true;
    resets_at_head = resets_at_data = false;
    charge_at_data = charge_at_head = charge_at_end = 0;
    body = NULL;
    cr_assert_eq(h2_session_new(&handler, NULL, &options, &session), STATUS_OK);
    if (!client) {
        memcpy(out, preface, sizeof preface - 1);
        out_size = sizeof preface - 1;
    }
    frame(SETTINGS, 0, 0, "", 0);
    cr_assert_eq(give(), STATUS_OK);
    drain();
}

static void set_up(void)
{
    open_as(false);
}

static void tear_down(void)
{
    h2_session_free(session);
}

TestSuite(h2_receive, .init = set_up, .fini = tear_down);

#define GET  "\202\207\204\1\11a.example"
#define POST "\203\207\204\1\11a.example"
#define LENGTH5                                                                                    \
    "\17\15\1"                                                                                     \
    "5"

static void head(uint32_t id, const char *block, unsigned flags)
{
    frame(HEADERS, END_HEADERS | flags, id, block, strlen(block));
}

static void expect_connection_error(uint32_t code)
{
    (void)give();
    drain();
    cr_assert_eq(goaway, code, "%lld", (long long)goaway);
}

/* ---- streams that are not to be opened ---- */

Test(h2_receive, a_head_on_no_stream)
{
    head(0, GET, END_STREAM);
    expect_connection_error(H2_PROTOCOL_ERROR);
}

Test(h2_receive, a_number_below_the_highest_that_was_never_opened)
{
    head(5, GET, END_STREAM);
    head(3, GET, END_STREAM);
    expect_connection_error(H2_PROTOCOL_ERROR);
    cr_assert(streams[0].head && !streams[1].used);
}

Test(h2_receive, a_stream_that_has_ended)
{
    answers = true;
    head(1, GET, END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    drain();
    cr_assert(streams[0].closed);
    head(1, GET, END_STREAM);
    expect_connection_error(H2_STREAM_CLOSED);
}

/* RFC 9113 section 5.1: frames that were on their way when we reset the stream are passed over. */
Test(h2_receive, a_stream_that_we_have_reset)
{
    head(1, POST, 0);
    cr_assert_eq(give(), STATUS_OK);
    h2_session_reset(session, &streams[0].stream, H2_CANCEL);
    frame(DATA, 0, 1, "late", 4);
    frame(DATA, END_STREAM, 1, "", 0);
    head(1, GET, END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    drain();
    head(1, GET, END_STREAM);
    frame(DATA, 0, 1, "later", 5);
    cr_assert_eq(give(), STATUS_OK);
    drain();
    cr_assert_eq(goaway, -1);
    cr_assert_eq(streams[0].body, 0);
    cr_assert_not(streams[0].ended);
    head(3, GET, END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[1].head, "the next one is served");
}

/* More than are remembered have closed since: their numbers were never opened, for all we know. */
Test(h2_receive, streams_closed_long_ago_are_forgotten)
{
    answers = true;
    for (uint32_t id = 1; id < 401; id += 2) {
        streams[0].used = false;
        head(id, GET, END_STREAM);
        cr_assert_eq(give(), STATUS_OK);
        drain();
        cr_assert(streams[0].closed);
    }
    head(1, GET, END_STREAM);
    expect_connection_error(H2_PROTOCOL_ERROR);
}

Test(h2_receive, a_stream_the_owner_does_not_take_is_refused_and_what_follows_on_it_passed_over)
{
    for (uint32_t id = 1; id <= 2 * STREAMS; id += 2) {
        head(id, POST, 0);
    }
    cr_assert_eq(give(), STATUS_OK);
    drain();
    for (uint32_t id = 2 * STREAMS + 1; id < 2 * STREAMS + 9; id += 2) {
        /* All of it was on its way before our reset could arrive. */
        head(id, POST, id == 2 * STREAMS + 7 ? END_STREAM : 0);
        if (id > 2 * STREAMS + 1 && id < 2 * STREAMS + 7) {
            frame(DATA, 0, id, "x", 1);
        }
        if (id == 2 * STREAMS + 5) {
            frame(HEADERS, END_HEADERS | END_STREAM, id, "\0\1x\1y", 5);
        }
        cr_assert_eq(give(), STATUS_OK);
        drain();
        cr_assert_eq(reset, H2_REFUSED_STREAM, "%u: %lld", id, (long long)reset);
        cr_assert_eq(goaway, -1, "%u: %lld", id, (long long)goaway);
    }
    frame(DATA, END_STREAM, 1, "body", 4);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].ended && streams[0].body == 4, "the others go on");
}

Test(h2_receive, priority_is_on_a_stream)
{
    frame(PRIORITY, 0, 3, "\0\0\0\0\20", 5);
    cr_assert_eq(give(), STATUS_OK);
    drain();
    cr_assert_eq(goaway, -1);
    frame(PRIORITY, 0, 0, "\0\0\0\0\20", 5);
    expect_connection_error(H2_PROTOCOL_ERROR);
}

/* ---- content and trailers ---- */

Test(h2_receive, content_must_be_what_was_announced)
{
    static const struct {
        const char *head;
        const char *data[2];
        bool broken, ended;
        size_t passed_on;
    } cases[] = {
        {POST LENGTH5, {"hello", ""}, false, true, 5},
        {POST LENGTH5, {"he", "llo"}, false, true, 5},
        {POST LENGTH5, {"hello", "!"}, true, false, 5},
        {POST LENGTH5, {"hello!", ""}, true, false, 0},
        {POST LENGTH5, {"hell", ""}, true, false, 4},
        {POST, {"any", "thing"}, false, true, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t id = (uint32_t)(2 * i + 1);
        memset(streams, 0, sizeof streams);
        head(id, cases[i].head, 0);
        frame(DATA, 0, id, cases[i].data[0], strlen(cases[i].data[0]));
        frame(DATA, END_STREAM, id, cases[i].data[1], strlen(cases[i].data[1]));
        cr_assert_eq(give(), STATUS_OK, "case %zu", i);
        cr_assert_eq(streams[0].broken, cases[i].broken, "case %zu", i);
        cr_assert_eq(streams[0].ended, cases[i].ended, "case %zu", i);
        cr_assert_eq(streams[0].body, cases[i].passed_on, "case %zu", i);
        drain();
        cr_assert_eq(reset, cases[i].broken ? H2_PROTOCOL_ERROR : -1, "case %zu", i);
    }
}

/* The owner may leave the stream open to answer: nothing more is told of it. */
Test(h2_receive, what_is_broken_is_told_once)
{
    keeps_broken = true;
    head(1, POST LENGTH5, 0);
    frame(DATA, 0, 1, "hello!", 6);
    frame(DATA, 0, 1, "more", 4);
    head(1, "\0\1x\1y", END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].broken && !streams[0].ended);
    cr_assert_eq(streams[0].body, 0);
    head(3, POST LENGTH5, 0);
    frame(DATA, 0, 3, "hello!", 6);
    frame(DATA, END_STREAM, 3, "", 0);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[1].broken && !streams[1].ended);
}

Test(h2_receive, trailers_end_the_stream_or_break_it)
{
    static const struct {
        const char *block;
        unsigned flags;
        bool ended;
    } cases[] = {
        {"\0\1x\1y", END_STREAM, true},      {"\0\1x\1y", 0, false}, /* and more would follow */
        {"\0\1X\1y", END_STREAM, false},                             /* upper case */
        {"\0\5:path\1/", END_STREAM, false},                         /* a pseudo-header field */
        {"\0\1x\2y\r", END_STREAM, false},                           /* a control character */
        {"\0\6cookie\1y", END_STREAM, true}, /* what trailers may hold is HTTP's business */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t id = (uint32_t)(2 * i + 1);
        memset(streams, 0, sizeof streams);
        head(id, POST LENGTH5, 0);
        frame(DATA, 0, id, "hello", 5);
        size_t name = (uint8_t)cases[i].block[1];
        size_t size = 3 + name + (uint8_t)cases[i].block[2 + name];
        frame(HEADERS, END_HEADERS | cases[i].flags, id, cases[i].block, size);
        cr_assert_eq(give(), STATUS_OK, "case %zu", i);
        cr_assert_eq(streams[0].ended, cases[i].ended, "case %zu", i);
        cr_assert_eq(streams[0].broken, !cases[i].ended, "case %zu", i);
        drain();
    }
}

Test(h2_receive, trailers_before_the_length_is_reached)
{
    head(1, POST LENGTH5, 0);
    frame(DATA, 0, 1, "hell", 4);
    frame(HEADERS, END_HEADERS | END_STREAM, 1, "\0\1x\1y", 5);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].broken && !streams[0].ended);
}

/* ---- limits ---- */

/* A few bytes that name an entry of the dynamic table again and again. */
static void bomb(uint32_t id, size_t value, size_t times)
{
    static uint8_t block[1 << 15];
    size_t at = sizeof GET - 1;
    memcpy(block, GET, at);
    block[at++] = 0x40;
    block[at++] = 1;
    block[at++] = 'x';
    block[at++] = 0x7f; /* the value's size: 127 and the rest in seven bits each */
    for (size_t left = value - 127;; left >>= 7) {
        block[at++] = (uint8_t)(left & 127) | (left > 127 ? 128 : 0);
        if (left <= 127) {
            break;
        }
    }
    memset(block + at, 'v', value);
    at += value;
    memset(block + at, 0xbe, times);
    frame(HEADERS, END_HEADERS | END_STREAM, id, block, at + times);
}

Test(h2_receive, a_head_that_unpacks_far_over_the_limit_ends_the_connection)
{
    bomb(1, 3000, 3);
    cr_assert_eq(give(), STATUS_OK, "over the limit: refused, and the connection goes on");
    cr_assert_eq(streams[0].refusal, 431);
    drain();
    bomb(3, 3000, 8);
    cr_assert_eq(give(), STATUS_FAILED);
    drain();
    cr_assert_eq(goaway, H2_ENHANCE_YOUR_CALM);
}

Test(h2_receive, so_does_one_of_thousands_of_fields)
{
    limits.head_bytes_max = 1 << 20;
    bomb(1, 127, 4 * HTTP_HEADERS_MAX + 4);
    cr_assert_eq(give(), STATUS_FAILED);
    drain();
    cr_assert_eq(goaway, H2_ENHANCE_YOUR_CALM);
}

Test(h2_receive, a_head_the_owner_has_no_room_for_is_503)
{
    grows = false;
    bomb(1, 1000, 0);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert_eq(streams[0].refusal, 503);
    bomb(3, 5000, 0);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert_eq(streams[1].refusal, 431, "the limit refuses it before room is asked for");
}

/* A reload may have changed the limits between two trailers of one connection. */
Test(h2_receive, trailers_follow_the_limits_of_the_moment)
{
    for (uint32_t i = 0; i < 3; i++) {
        limits.head_bytes_max = i == 2 ? 8192 : 4096;
        head(2 * i + 1, POST, 0);
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, "\0\1x\1y", 5);
        cr_assert_eq(give(), STATUS_OK);
        cr_assert(streams[i].ended && streams[i].trailers == 1);
    }
}

/* ---- misbehaviour ---- */

Test(h2_receive, when_the_budget_is_used_up_no_frame_is_taken)
{
    static const struct {
        unsigned type;
        const char *payload;
        size_t size;
    } cases[] = {{HEADERS, GET, sizeof GET - 1},
                 {DATA, "x", 1},
                 {PING, "12345678", 8},
                 {SETTINGS, "", 0},
                 {RST, "\0\0\0\10", 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(1, POST, 0);
        cr_assert_eq(give(), STATUS_OK);
        h2_session_charge(session, H2_BUDGET + 1);
        uint32_t id = cases[i].type == HEADERS ? 3 : cases[i].type == DATA || cases[i].type == RST;
        frame(cases[i].type, cases[i].type == HEADERS ? END_HEADERS : 0, id, cases[i].payload,
              cases[i].size);
        cr_assert_eq(give(), STATUS_FAILED, "case %zu", i);
        cr_assert_not(streams[1].used, "case %zu", i);
        cr_assert_eq(streams[0].body, 0, "case %zu", i);
        drain();
        cr_assert_eq(goaway, H2_ENHANCE_YOUR_CALM, "case %zu", i);
        tear_down();
        set_up();
    }
}

Test(h2_receive, the_owner_may_use_it_up_in_the_middle)
{
    charge_at_data = H2_BUDGET + 1;
    head(1, POST, 0);
    frame(DATA, 0, 1, "x", 1);
    head(3, GET, END_STREAM);
    cr_assert_eq(give(), STATUS_FAILED);
    cr_assert_not(streams[1].used);
    tear_down();
    set_up();
    charge_at_head = H2_BUDGET + 1;
    head(1, POST, 0);
    frame(DATA, 0, 1, "x", 1);
    cr_assert_eq(give(), STATUS_FAILED);
    cr_assert_eq(streams[0].body, 0);
    drain();
    cr_assert_eq(goaway, H2_ENHANCE_YOUR_CALM);
}

Test(h2_receive, empty_data_costs_and_padding_alone_is_empty)
{
    for (int padded = 0; padded < 2; padded++) {
        head(1, POST, 0);
        cr_assert_eq(give(), STATUS_OK);
        unsigned taken = 0;
        while (taken < 200) {
            frame(DATA, padded ? PADDED : 0, 1, "\4\0\0\0\0", padded ? 5 : 0);
            if (give() != STATUS_OK) {
                break;
            }
            taken++;
        }
        cr_assert_eq(taken, (H2_BUDGET - H2_COST_SETTINGS) / H2_COST_EMPTY_DATA, "padded %d: %u",
                     padded, taken);
        tear_down();
        set_up();
    }
}

Test(h2_receive, an_acknowledgement_nobody_asked_for_and_a_goaway)
{
    frame(PING, ACK, 0, "12345678", 8); /* servers have no use for it */
    cr_assert_eq(give(), STATUS_OK);
    cr_assert_not(h2_session_peer_is_leaving(session));
    frame(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(h2_session_peer_is_leaving(session));
    cr_assert(h2_session_finished(session));
}

/* ---- clients ---- */

static struct one *ask(void)
{
    static const struct h2_field fields[] = {
        {SPAN_LITERAL(":method"), SPAN_LITERAL("GET")},
        {SPAN_LITERAL(":scheme"), SPAN_LITERAL("http")},
        {SPAN_LITERAL(":authority"), SPAN_LITERAL("a")},
        {SPAN_LITERAL(":path"), SPAN_LITERAL("/")},
    };
    struct one *one = &streams[0];
    while (one->used) {
        one++;
    }
    *one = (struct one){.used = true};
    one->stream.method = SPAN_LITERAL("GET");
    cr_assert_eq(h2_session_request(session, &one->stream, fields, 4, false), STATUS_OK);
    drain();
    return one;
}

static void as_client(void)
{
    tear_down();
    open_as(true);
}

Test(h2_receive, an_answer_without_content_and_its_end)
{
    as_client();
    struct one *one = ask();
    head(1, "\210", END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(one->head && one->ended && one->closed);
    cr_assert_eq(one->status, 200);
    cr_assert_eq(one->error, H2_NO_ERROR);
}

Test(h2_receive, an_answer_that_may_have_no_content_and_has)
{
    as_client();
    struct one *one = ask();
    head(1, "\211", 0); /* 204 */
    frame(DATA, 0, 1, "x", 1);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(one->broken && !one->ended);
    one = ask();
    head(3, "\211", 0);
    frame(DATA, END_STREAM, 3, "", 0);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(one->ended && !one->broken);
}

Test(h2_receive, content_before_the_head)
{
    as_client();
    struct one *one = ask();
    frame(DATA, 0, 1, "x", 1);
    (void)give();
    cr_assert_not(one->ended);
    cr_assert_eq(one->body, 0);
}

Test(h2_receive, an_answer_to_nobody)
{
    as_client();
    struct one *one = ask();
    h2_session_reset(session, &one->stream, H2_CANCEL);
    head(1, "\210", 0);
    frame(DATA, END_STREAM, 1, "x", 1);
    cr_assert_eq(give(), STATUS_OK);
    drain();
    cr_assert_not(one->head);
    head(1, "\210", END_STREAM); /* behind the reset: nobody's */
    (void)give();
    cr_assert_not(one->head);
}

Test(h2_receive, statuses_are_three_digits_from_100_to_599)
{
    static const struct {
        const char *block; /* a literal :status */
        bool good;
    } cases[] = {{"\0\7:status\3"
                  "299",
                  true},
                 {"\0\7:status\3"
                  "599",
                  true},
                 {"\0\7:status\3"
                  "099",
                  false},
                 {"\0\7:status\3"
                  "600",
                  false},
                 {"\0\7:status\2"
                  "20",
                  false},
                 {"\0\7:status\4"
                  "2000",
                  false},
                 {"\0\7:status\3"
                  "2x0",
                  false},
                 {"\0\7:status\3"
                  "20x",
                  false},
                 {"\0\7:status\3"
                  "+20",
                  false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        as_client();
        struct one *one = ask();
        size_t size = 10 + (uint8_t)cases[i].block[9];
        frame(HEADERS, END_HEADERS | END_STREAM, 1, cases[i].block, size);
        cr_assert_eq(give(), STATUS_OK);
        cr_assert(one->head);
        cr_assert_eq(one->refusal == 0, cases[i].good, "case %zu", i);
    }
}

Test(h2_receive, the_owner_may_reset_in_the_middle_and_hears_no_more_of_it)
{
    as_client();
    resets_at_head = true;
    struct one *one = ask();
    head(1, "\210", END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(one->head && !one->ended);
    tear_down();
    set_up();
    resets_at_head = true;
    head(1, POST, 0);
    frame(DATA, END_STREAM, 1, "x", 1);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].head && streams[0].body == 0 && !streams[0].ended);
    resets_at_head = false;
    resets_at_data = true;
    head(3, POST, 0);
    frame(DATA, END_STREAM, 3, "x", 1);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[1].body == 1 && !streams[1].ended);
    drain();
    cr_assert_eq(goaway, -1);
}

Test(h2_receive, the_end_of_the_body_may_use_up_the_budget)
{
    charge_at_end = H2_BUDGET + 1;
    head(1, POST, 0);
    frame(DATA, END_STREAM, 1, "x", 1);
    cr_assert_eq(give(), STATUS_FAILED);
    cr_assert(streams[0].ended);
    drain();
    cr_assert_eq(goaway, H2_ENHANCE_YOUR_CALM);
    cr_assert(h2_session_finished(session));
}

Test(h2_receive, te_may_say_trailers_twice_and_a_method_must_say_something)
{
    static const char twice[] = GET "\0\2te\10trailers\0\2te\10trailers";
    frame(HEADERS, END_HEADERS | END_STREAM, 1, GET, sizeof GET - 1);
    static const char empty[] = "\0\7:method\0\207\204\1\11a.example";
    cr_assert_eq(give(), STATUS_OK);
    /* "\0" ends no block here: sizes are given. */
    frame(HEADERS, END_HEADERS | END_STREAM, 3, twice, sizeof twice - 1);
    frame(HEADERS, END_HEADERS | END_STREAM, 5, empty, sizeof empty - 1);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[1].head && streams[1].refusal == 0);
    cr_assert_eq(streams[2].refusal, 400);
}

Test(h2_receive, settings_are_told_to_who_wants_to_know)
{
    settings_seen = 0;
    frame(SETTINGS, 0, 0, "", 0);
    frame(SETTINGS, ACK, 0, "", 0);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert_eq(settings_seen, 1);
    cr_assert(h2_session_peer_is_known(session));
    tear_down();
    struct h2_handler deaf = handler;
    deaf.settings = NULL;
    struct h2_options options = {.limits = &limits, .streams_max = 100};
    cr_assert_eq(h2_session_new(&deaf, NULL, &options, &session), STATUS_OK);
    cr_assert_not(h2_session_peer_is_known(session));
    memcpy(out, preface, sizeof preface - 1);
    out_size = sizeof preface - 1;
    frame(SETTINGS, 0, 0, "", 0);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(h2_session_peer_is_known(session));
    cr_assert_eq(settings_seen, 1);
}

/* Streams that cross our GOAWAY: nobody's fault, and never begun. */
Test(h2_receive, streams_behind_our_goaway_are_not_begun)
{
    head(1, POST, 0);
    cr_assert_eq(give(), STATUS_OK);
    h2_session_goaway(session, H2_NO_ERROR);
    drain();
    cr_assert_eq(goaway, H2_NO_ERROR);
    for (uint32_t id = 3; id < 103; id += 2) {
        head(id, POST, 0);
        cr_assert_eq(give(), STATUS_OK);
        drain();
        cr_assert(reset == -1 || reset == H2_REFUSED_STREAM);
        cr_assert_eq(goaway, -1);
    }
    cr_assert_not(streams[1].used);
    frame(DATA, END_STREAM, 1, "x", 1);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].ended, "what was open goes on");
}

/* Nothing is put away in the middle of a head, nor without memory to keep what it needs. */
Test(h2_receive, a_session_that_cannot_rest_goes_on)
{
    allocations_left = 0;
    h2_session_rest(session);
    allocations_left = -1;
    cr_assert_eq(h2_session_resting_bytes(session), 0);
    frame(HEADERS, END_STREAM, 1, GET, sizeof GET - 1);
    cr_assert_eq(give(), STATUS_OK);
    h2_session_rest(session);
    cr_assert_eq(h2_session_resting_bytes(session), 0);
    frame(CONTINUATION, END_HEADERS, 1, "\0\1x\1y", 5);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].head && streams[0].refusal == 0);
}

static unsigned crowds;

static void on_over_streams(void *owner)
{
    (void)owner;
    crowds++;
}

Test(h2_receive, more_streams_than_may_be_are_told_to_who_wants_to_know)
{
    for (int told = 0; told < 2; told++) {
        tear_down();
        struct h2_handler counting = handler;
        counting.over_streams = told ? on_over_streams : NULL;
        struct h2_options options = {.limits = &limits, .streams_max = 2};
        memset(streams, 0, sizeof streams);
        cr_assert_eq(h2_session_new(&counting, NULL, &options, &session), STATUS_OK);
        memcpy(out, preface, sizeof preface - 1);
        out_size = sizeof preface - 1;
        frame(SETTINGS, 0, 0, "", 0);
        head(1, POST, 0);
        head(3, POST, 0);
        cr_assert_eq(give(), STATUS_OK);
        crowds = 0;
        head(5, POST, 0);
        (void)give();
        cr_assert_eq(crowds, told);
        cr_assert_not(streams[2].used);
        drain();
        cr_assert(reset == H2_REFUSED_STREAM || goaway == H2_PROTOCOL_ERROR);
        frame(SETTINGS, ACK, 0, "", 0);
        head(7, POST, 0);
        (void)give();
        cr_assert_not(streams[2].used);
    }
}

Test(h2_receive, a_header_line_has_a_limit_of_its_own)
{
    limits.header_bytes_max = 20;
    static const char fits[] = GET "\0\2xy\20yyyyyyyyyyyyyyyy",
                      over[] = GET "\0\2xy\21yyyyyyyyyyyyyyyyy", nameless[] = GET "\0\0\1y";
    frame(HEADERS, END_HEADERS | END_STREAM, 1, fits, sizeof fits - 1);
    frame(HEADERS, END_HEADERS | END_STREAM, 3, over, sizeof over - 1);
    frame(HEADERS, END_HEADERS | END_STREAM, 5, nameless, sizeof nameless - 1);
    cr_assert_eq(give(), STATUS_OK);
    cr_assert(streams[0].head && streams[0].refusal == 0);
    cr_assert_eq(streams[1].refusal, 431);
    cr_assert_eq(streams[2].refusal, 400);
}

/* ---- sending ---- */

Test(h2_receive, a_body_that_is_not_there_yet_waits)
{
    head(1, POST, END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    h2_session_respond(session, &streams[0].stream, 200, NULL, 0, true);
    drain();
    cr_assert(data_said == 0 && !end_said);
    cr_assert_not(h2_session_wants_send(session));
    body = "hello";
    h2_session_resume(session, &streams[0].stream);
    drain();
    cr_assert(data_said == 5 && end_said);
    head(3, POST, END_STREAM);
    cr_assert_eq(give(), STATUS_OK);
    body = "";
    h2_session_respond(session, &streams[1].stream, 200, NULL, 0, true);
    drain();
    cr_assert(data_said == 0 && end_said, "an end without bytes");
}

/* A stream that is reset before its answer's end has been sent: no second reset behind it. */
Test(h2_receive, our_own_errors_are_not_the_peers)
{
    for (uint32_t i = 0; i < 200; i++) {
        static const uint32_t codes[] = {H2_INTERNAL_ERROR, H2_CANCEL, H2_NO_ERROR};
        streams[0].used = false;
        head(2 * i + 1, POST, 0);
        cr_assert_eq(give(), STATUS_OK, "%u", i);
        h2_session_reset(session, &streams[0].stream, codes[i % 3]);
        drain();
        cr_assert_eq(reset, codes[i % 3]);
    }
    cr_assert_not(h2_session_out_of_budget(session));
    for (uint32_t i = 200; !h2_session_out_of_budget(session); i++) {
        cr_assert_lt(i, 200 + H2_BUDGET / H2_COST_MADE_RESET + 2);
        streams[0].used = false;
        head(2 * i + 1, POST, 0);
        (void)give();
        h2_session_reset(session, &streams[0].stream, H2_PROTOCOL_ERROR);
        drain();
    }
}

Test(h2_receive, a_client_says_goodbye_too)
{
    as_client();
    h2_session_goaway(session, H2_NO_ERROR);
    drain();
    cr_assert_eq(goaway, H2_NO_ERROR);
    cr_assert(h2_session_finished(session));
}

/* What waits for a peer that reads nothing is bounded, and so is what it makes us keep. */
Test(h2_receive, memory_is_bounded)
{
    head(1, POST, 0);
    cr_assert_eq(give(), STATUS_OK);
    static char wide[4000];
    memset(wide, 'w', sizeof wide);
    struct h2_field field = {SPAN_LITERAL("x"), span_make(wide, sizeof wide)};
    for (unsigned i = 0; i < 1000; i++) {
        h2_session_informational(session, &streams[0].stream, 103, &field, 1);
        cr_assert_leq(h2_session_memory(session), H2_SESSION_BYTES_MAX);
    }
    cr_assert_gt(h2_session_memory(session), H2_SESSION_BYTES_MAX / 2);
}

Test(h2_receive, a_budget_comes_back_whole_after_long_enough)
{
    for (uint64_t hour = 1; hour < 5; hour++) {
        for (unsigned i = 0; i < H2_BUDGET / H2_COST_CONTROL - 50; i++) {
            frame(PRIORITY, 0, 3, "\0\0\0\0\20", 5);
        }
        cr_assert_eq(h2_session_receive(session, span_make(out, out_size), hour * 3600000),
                     STATUS_OK);
        out_size = 0;
    }
}

/* ---- when nghttp2 says no ---- */

Test(h2_receive, without_memory_what_cannot_be_said_is_reset)
{
    head(1, POST, 0);
    cr_assert_eq(give(), STATUS_OK);
    struct h2_field field = {SPAN_LITERAL("a"), SPAN_LITERAL("b")};
    allocations_left = 0;
    h2_session_respond(session, &streams[0].stream, 200, &field, 1, true);
    allocations_left = -1;
    cr_assert(streams[0].stream.was_reset);
    head(3, POST, 0);
    cr_assert_eq(give(), STATUS_OK);
    allocations_left = 0;
    h2_session_send_trailers(session, &streams[1].stream, &field, 1);
    allocations_left = -1;
    cr_assert(streams[1].stream.was_reset);
    as_client();
    streams[0] = (struct one){.used = true};
    allocations_left = 0;
    enum status status = h2_session_request(session, &streams[0].stream, &field, 1, false);
    allocations_left = -1;
    cr_assert_eq(status, STATUS_FULL);
}

Test(h2_receive, without_memory_there_is_no_session_and_nothing_is_left)
{
    struct h2_options options = {.limits = &limits, .streams_max = 4};
    long needed = 0;
    for (enum status status = STATUS_NO_MEMORY; status != STATUS_OK; needed++) {
        struct h2_session *made = NULL;
        allocations_left = needed;
        status = h2_session_new(&handler, NULL, &options, &made);
        allocations_left = -1;
        cr_assert(status == STATUS_OK || (status == STATUS_NO_MEMORY && made == NULL));
        h2_session_free(made);
        cr_assert_lt(needed, 100);
    }
    cr_assert_gt(needed, 5);
}

/* Wherever memory ends, the connection ends with it or the request does: nothing half-taken. */
Test(h2_receive, without_memory_a_request_fails_cleanly)
{
    for (long after = 0; after < 40; after++) {
        frame(HEADERS, END_HEADERS, 1, POST, sizeof POST - 1);
        frame(DATA, 0, 1, "hello", 5);
        frame(HEADERS, END_HEADERS | END_STREAM, 1, "\0\1x\1y", 5);
        allocations_left = after;
        enum status status = give();
        allocations_left = -1;
        cr_assert(status == STATUS_OK || !streams[0].ended);
        cr_assert(status == STATUS_FAILED || streams[0].head || streams[0].refusal == 0);
        drain();
        if (status == STATUS_FAILED) {
            cr_assert_not_null(h2_session_failure(session));
            cr_assert(goaway == H2_INTERNAL_ERROR || goaway == -1, "without memory, perhaps none");
        }
        tear_down();
        set_up();
    }
}
