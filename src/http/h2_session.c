#include "http/h2_internal.h"

#include <stdlib.h>

/* ---- the budget ---- */

static void refill(struct h2_session *session, uint64_t now_ms)
{
    uint64_t passed = now_ms - session->refilled_ms;
    uint64_t earned = passed >= UINT64_C(1000) * H2_BUDGET ? H2_BUDGET
                                                           : passed * H2_BUDGET_PER_SECOND / 1000;
    if (earned > 0) {
        session->refilled_ms = now_ms;
        session->budget += (int64_t)earned;
        session->budget = session->budget > H2_BUDGET ? H2_BUDGET : session->budget;
    }
}

void h2_credit(struct h2_session *session, uint32_t amount)
{
    session->budget += amount;
    session->budget = session->budget > H2_BUDGET ? H2_BUDGET : session->budget;
}

/* What a callback returns: 0, or the end of the connection. */
int h2_charge(struct h2_session *session, uint32_t cost)
{
    session->budget -= cost;
    if (session->budget < 0) {
        session->calm = true;
    }
    return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void h2_session_charge(struct h2_session *session, uint32_t cost)
{
    (void)h2_charge(session, cost);
}

/* ---- streams ---- */

struct h2_stream *h2_stream_of(struct h2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2_inner(session), id);
}

void h2_session_reset(struct h2_session *session, struct h2_stream *stream, uint32_t code)
{
    if (!stream->was_reset) {
        stream->was_reset = true;
        (void)nghttp2_submit_rst_stream(h2_inner(session), NGHTTP2_FLAG_NONE, stream->id, code);
    }
}

/* ---- the connection ---- */

static int make_inner(struct h2_session *session, nghttp2_session_callbacks *callbacks,
                      nghttp2_option *option)
{
    /* Messages are judged by h2_head and by us, more strictly, and so that the refusal is logged.
     */
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_auto_window_update(option, 1);
    /* What answers repeat fits; what changes with each only fills the table. */
    nghttp2_option_set_max_deflate_dynamic_table_size(option, H2_DEFLATE_TABLE_BYTES);
    nghttp2_option_set_peer_max_concurrent_streams(option, UINT32_MAX); /* until it says */
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, H2_BUDGET / H2_COST_CONTROL + 1);
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++) {
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
    }
    nghttp2_mem memory = h2_memory_begin(session);
    int error = session->client ? nghttp2_session_client_new3(&session->session, callbacks, session,
                                                              option, &memory)
                                : nghttp2_session_server_new3(&session->session, callbacks, session,
                                                              option, &memory);
    h2_memory_made(session);
    return error;
}

static int submit_settings(struct h2_session *session, const struct h2_options *options)
{
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options->limits->head_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->streams_max},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    size_t count = sizeof entries / sizeof *entries;
    if (session->client) {
        entries[2] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
        count--; /* what a server says */
    }
    int error = nghttp2_submit_settings(h2_inner(session), NGHTTP2_FLAG_NONE, entries, count);
    if (error == 0) {
        error = nghttp2_session_set_local_window_size(h2_inner(session), NGHTTP2_FLAG_NONE, 0,
                                                      H2_CONNECTION_WINDOW);
    }
    return error;
}

enum status h2_session_new(const struct h2_handler *handler, void *owner,
                           const struct h2_options *options, struct h2_session **out)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    struct h2_session *session = calloc(1, sizeof *session);
    if (session == NULL || nghttp2_session_callbacks_new(&callbacks) != 0 ||
        nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        free(session);
        return STATUS_NO_MEMORY;
    }
    session->handler = handler;
    session->owner = owner;
    session->limits = options->limits;
    session->client = options->client;
    session->streams_max = options->streams_max;
    session->budget = H2_BUDGET;
    h2_set_receive_callbacks(callbacks);
    h2_set_send_callbacks(callbacks);
    int error = make_inner(session, callbacks, option);
    if (error == 0) {
        error = submit_settings(session, options);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (error != 0) {
        h2_session_free(session);
        return STATUS_NO_MEMORY;
    }
    *out = session;
    return STATUS_OK;
}

void h2_session_free(struct h2_session *session)
{
    if (session != NULL) {
        nghttp2_session_del(h2_inner(session));
        h2_memory_cleanup(session);
        free(session->scratch);
        free(session);
    }
}

/* The end, with a GOAWAY that says why. */
static enum status fail(struct h2_session *session, int error)
{
    uint32_t code = H2_INTERNAL_ERROR;
    if (session->failed) {
        return STATUS_FAILED;
    }
    session->failed = true;
    if (session->calm || error == NGHTTP2_ERR_FLOODED ||
        error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
        session->calm = true;
        code = H2_ENHANCE_YOUR_CALM;
        session->failure = "too much misbehaviour";
    } else if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
        code = H2_PROTOCOL_ERROR;
        session->failure = "not the client preface of HTTP/2";
    } else {
        session->failure = "the memory for this connection is used up";
    }
    (void)nghttp2_session_terminate_session(h2_inner(session), code);
    return STATUS_FAILED;
}

enum status h2_session_receive(struct h2_session *session, struct span bytes, uint64_t now_ms)
{
    if (session->failed) {
        return STATUS_FAILED;
    }
    refill(session, now_ms);
    ssize_t taken = nghttp2_session_mem_recv(h2_inner(session), bytes.data, bytes.size);
    if (taken < 0 || session->calm) {
        return fail(session, (int)taken);
    }
    return STATUS_OK;
}

enum status h2_session_send(struct h2_session *session, struct span *bytes)
{
    const uint8_t *data = NULL;
    *bytes = span_make(NULL, 0);
    if (session->calm && !session->failed) {
        (void)fail(session, 0);
    }
    ssize_t size = nghttp2_session_mem_send(h2_inner(session), &data);
    if (size < 0) {
        return fail(session, (int)size);
    }
    *bytes = span_make(data, (size_t)size);
    return STATUS_OK;
}

bool h2_session_wants_send(const struct h2_session *session)
{
    if (session->packed != NULL) {
        return false; /* or it would not rest */
    }
    return nghttp2_session_want_write(session->session) != 0;
}

bool h2_session_finished(const struct h2_session *session)
{
    if (session->packed != NULL) {
        return false;
    }
    bool deaf = session->failed || nghttp2_session_want_read(session->session) == 0;
    return deaf && nghttp2_session_want_write(session->session) == 0;
}

const char *h2_session_failure(const struct h2_session *session)
{
    return session->failure;
}

bool h2_session_out_of_budget(const struct h2_session *session)
{
    return session->calm;
}

bool h2_session_head_open(const struct h2_session *session)
{
    return session->in_head;
}

size_t h2_session_memory(const struct h2_session *session)
{
    return session->memory;
}
