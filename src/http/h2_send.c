/* What goes to the peer: heads, bodies as the window allows, trailers, and the ends. */
#include "http/h2_internal.h"

/* ---- sending ---- */

/* Streams that cross our GOAWAY are refused, and nobody's fault. */
static bool is_peers_fault(const struct h2_session *session, uint32_t code)
{
    if (session->leaving && code == H2_REFUSED_STREAM) {
        return false;
    }
    return code != H2_NO_ERROR && code != H2_INTERNAL_ERROR && code != H2_CANCEL;
}

static int frame_sent(nghttp2_session *inner, const nghttp2_frame *frame, void *user)
{
    struct h2_session *session = user;
    if (frame->hd.type == NGHTTP2_RST_STREAM &&
        is_peers_fault(session, frame->rst_stream.error_code)) {
        (void)h2_charge(session, H2_COST_MADE_RESET);
    }
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_DATA) {
        h2_credit(session, 2 * H2_COST_WINDOW);
    }
    struct h2_stream *stream = h2_stream_of(session, frame->hd.stream_id);
    if (stream != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        stream->local_ended = true;
        if (stream->resets_after && !stream->was_reset) {
            stream->was_reset = true;
            (void)nghttp2_submit_rst_stream(inner, NGHTTP2_FLAG_NONE, stream->id,
                                            stream->after_code);
        }
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *inner, int32_t id, uint8_t *into, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_session *session = user;
    struct h2_stream *stream = source->ptr;
    bool end = false;
    (void)inner;
    (void)id;
    size_t filled = session->handler->read(session->owner, stream, (struct span_mut){into, size},
                                           &end);
    if (filled == 0 && !end) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->has_trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            session->handler->trailers(session->owner, stream);
        }
    }
    return (ssize_t)filled;
}

/* Names and values are copied by nghttp2, names in lower case. */
static size_t fill_fields(nghttp2_nv *out, const struct h2_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* nghttp2 only reads them: its type serves both directions. */
        out[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[i].name.data,
                              (uint8_t *)(uintptr_t)fields[i].value.data, fields[i].name.size,
                              fields[i].value.size, NGHTTP2_NV_FLAG_NONE};
    }
    return count;
}

static size_t fill_response(nghttp2_nv *out, uint16_t status, char digits[4],
                            const struct h2_field *fields, size_t count)
{
    digits[0] = (char)('0' + status / 100);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    struct h2_field first = {SPAN_LITERAL(":status"), span_make(digits, 3)};
    (void)fill_fields(out, &first, 1);
    return 1 + fill_fields(out + 1, fields, count < H2_FIELDS_MAX ? count : H2_FIELDS_MAX);
}

void h2_session_respond(struct h2_session *session, struct h2_stream *stream, uint16_t status,
                        const struct h2_field *fields, size_t count, bool has_body)
{
    nghttp2_nv all[H2_FIELDS_MAX + 1];
    char digits[4];
    size_t total = fill_response(all, status, digits, fields, count);
    nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = read_body};
    if (nghttp2_submit_response(h2_inner(session), stream->id, all, total,
                                has_body ? &provider : NULL) != 0) {
        h2_session_reset(session, stream, H2_INTERNAL_ERROR);
    }
}

void h2_session_informational(struct h2_session *session, struct h2_stream *stream, uint16_t status,
                              const struct h2_field *fields, size_t count)
{
    nghttp2_nv all[H2_FIELDS_MAX + 1];
    char digits[4];
    size_t total = fill_response(all, status, digits, fields, count);
    (void)nghttp2_submit_headers(h2_inner(session), NGHTTP2_FLAG_NONE, stream->id, NULL, all, total,
                                 NULL);
}

enum status h2_session_request(struct h2_session *session, struct h2_stream *stream,
                               const struct h2_field *fields, size_t count, bool has_body)
{
    nghttp2_nv all[H2_FIELDS_MAX];
    size_t total = fill_fields(all, fields, count < H2_FIELDS_MAX ? count : H2_FIELDS_MAX);
    nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = read_body};
    int32_t id = nghttp2_submit_request(h2_inner(session), NULL, all, total,
                                        has_body ? &provider : NULL, stream);
    if (id < 0) {
        return STATUS_FULL;
    }
    stream->id = id;
    return STATUS_OK;
}

void h2_session_send_trailers(struct h2_session *session, struct h2_stream *stream,
                              const struct h2_field *fields, size_t count)
{
    nghttp2_nv all[H2_FIELDS_MAX];
    size_t total = fill_fields(all, fields, count < H2_FIELDS_MAX ? count : H2_FIELDS_MAX);
    if (nghttp2_submit_trailer(h2_inner(session), stream->id, all, total) != 0) {
        h2_session_reset(session, stream, H2_INTERNAL_ERROR);
    }
}

void h2_session_resume(struct h2_session *session, struct h2_stream *stream)
{
    (void)nghttp2_session_resume_data(h2_inner(session), stream->id);
}

void h2_session_consume(struct h2_session *session, struct h2_stream *stream, size_t size)
{
    stream->unconsumed -= (uint32_t)size;
    (void)nghttp2_session_consume(h2_inner(session), stream->id, size);
}

void h2_session_ping(struct h2_session *session)
{
    (void)nghttp2_submit_ping(h2_inner(session), NGHTTP2_FLAG_NONE, NULL);
}

void h2_session_notice(struct h2_session *session)
{
    (void)nghttp2_submit_shutdown_notice(h2_inner(session));
}

void h2_session_goaway(struct h2_session *session, uint32_t code)
{
    session->leaving = true;
    int32_t last = session->client ? 0 : nghttp2_session_get_last_proc_stream_id(h2_inner(session));
    (void)nghttp2_submit_goaway(h2_inner(session), NGHTTP2_FLAG_NONE, last, code, NULL, 0);
}

uint32_t h2_session_peer_streams_max(const struct h2_session *session)
{
    return nghttp2_session_get_remote_settings(session->session,
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool h2_session_peer_is_leaving(const struct h2_session *session)
{
    return session->peer_leaves;
}

bool h2_session_peer_is_known(const struct h2_session *session)
{
    return session->peer_known;
}

bool h2_session_peer_takes_connect(const struct h2_session *session)
{
    return nghttp2_session_get_remote_settings(session->session,
                                               NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

void h2_set_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_sent);
}
