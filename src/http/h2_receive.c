/* What the peer sent: frames counted, heads judged, content held against its length. */
#include "http/h2_internal.h"

#include <stdlib.h>

/* A head that is over the limits is decoded further, since HPACK's state must be kept, up to so
 * many times the limit. */
#define EXCESS_MAX 4

static void break_stream(struct h2_session *session, struct h2_stream *stream, const char *reason)
{
    stream->remote_ended = true;
    session->handler->broken(session->owner, stream, reason);
}

/* ---- frames that begin ---- */

/* What nghttp2 passes over in silence. It goes on with the frame, and takes no further one. */
static int connection_error(struct h2_session *session, uint32_t code)
{
    (void)nghttp2_session_terminate_session(session->session, code);
    return 0;
}

/* RFC 9113 section 5.1.1: "The identifier of a newly established stream MUST be numerically greater
 * than all streams that the initiating endpoint has opened or reserved. [...] An endpoint that
 * receives an unexpected stream identifier MUST respond with a connection error of type
 * PROTOCOL_ERROR." Section 5.1, closed: "An endpoint that sends a RST_STREAM frame on a stream that
 * is in the "open" or "half-closed (local)" state could receive any type of frame." */
static int headers_begin(struct h2_session *session, int32_t id)
{
    if (session->client || id == 0) {
        return 0;
    }
    if (id > session->last_stream) {
        session->last_stream = id;
        return session->leaving ? h2_charge(session, H2_COST_CONTROL) : 0;
    }
    if (h2_stream_of(session, id) != NULL) {
        return 0;
    }
    for (size_t i = 0; i < H2_CLOSED_REMEMBERED; i++) {
        if (session->closed[i] == -id) {
            return 0;
        }
        if (session->closed[i] == id) {
            return connection_error(session, H2_STREAM_CLOSED);
        }
    }
    return connection_error(session, H2_PROTOCOL_ERROR);
}

static void remember_closed(struct h2_session *session, int32_t id, bool by_us)
{
    session->closed[session->closed_next++ % H2_CLOSED_REMEMBERED] = by_us ? -id : id;
}

static int frame_begins(nghttp2_session *inner, const nghttp2_frame_hd *frame, void *user)
{
    struct h2_session *session = user;
    (void)inner;
    switch (frame->type) {
    case NGHTTP2_HEADERS:
        return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE
                             : headers_begin(session, frame->stream_id);
    case NGHTTP2_PRIORITY:
        /* RFC 9113 section 6.3: "If a PRIORITY frame is received with a stream identifier of 0x00,
         * the recipient MUST respond with a connection error of type PROTOCOL_ERROR." */
        return frame->stream_id == 0 ? connection_error(session, H2_PROTOCOL_ERROR)
                                     : h2_charge(session, H2_COST_CONTROL);
    case NGHTTP2_DATA:
    case NGHTTP2_PUSH_PROMISE:
        return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    case NGHTTP2_RST_STREAM:
        return h2_charge(session, H2_COST_RESET);
    case NGHTTP2_SETTINGS:
        return h2_charge(session, H2_COST_SETTINGS);
    case NGHTTP2_WINDOW_UPDATE:
        return h2_charge(session, H2_COST_WINDOW);
    case NGHTTP2_CONTINUATION:
        if (++session->continuations > H2_CONTINUATIONS_MAX) {
            session->calm = true;
        }
        return h2_charge(session, H2_COST_CONTINUATION);
    default:
        return h2_charge(session, H2_COST_CONTROL);
    }
}

static int frame_invalid(nghttp2_session *inner, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_session *session = user;
    (void)inner;
    /* RFC 9113 section 5.1.2: "An endpoint that receives a HEADERS frame that causes its advertised
     * concurrent stream limit to be exceeded MUST treat this as a stream error (Section 5.4.2) of
     * type PROTOCOL_ERROR or REFUSED_STREAM." nghttp2 refuses, or ends the connection of who had
     * acknowledged the limit. */
    bool crowded = error == NGHTTP2_ERR_REFUSED_STREAM ||
                   (error == NGHTTP2_ERR_PROTO && session->streams >= session->streams_max);
    if (frame->hd.type == NGHTTP2_HEADERS && !session->client && crowded &&
        session->handler->over_streams != NULL) {
        session->handler->over_streams(session->owner);
    }
    return h2_charge(user, H2_COST_CONTROL);
}

/* RFC 9113 section 5.5: "Implementations MUST ignore unknown or unsupported values in all
 * extensible protocol elements. Implementations MUST discard frames that have unknown or
 * unsupported types." They are asked for so that they can be counted, and dropped. */
static int unpack_unknown(nghttp2_session *inner, void **payload, const nghttp2_frame_hd *frame,
                          void *user)
{
    (void)inner;
    (void)payload;
    (void)frame;
    (void)user;
    return NGHTTP2_ERR_CANCEL;
}

static int unknown_chunk(nghttp2_session *inner, const nghttp2_frame_hd *frame, const uint8_t *data,
                         size_t size, void *user)
{
    (void)inner;
    (void)frame;
    (void)data;
    (void)size;
    (void)user;
    return 0;
}

/* ---- heads ---- */

static bool use_scratch(struct h2_session *session)
{
    uint32_t capacity = session->limits->head_bytes_max + 64;
    if (session->scratch != NULL && session->scratch->text_capacity != capacity) {
        free(session->scratch);
        session->scratch = NULL;
    }
    if (session->scratch == NULL) {
        session->scratch = malloc(sizeof *session->scratch + 2 * (size_t)capacity + 8);
        if (session->scratch == NULL) {
            return false;
        }
        session->scratch->text_capacity = capacity;
    }
    h2_head_begin(&session->block, &session->scratch->head, session->scratch->text, capacity);
    return true;
}

/* What the peer has sent on it by the time our reset arrives is no error of its. */
static int refuse_stream(struct h2_session *session, int32_t id)
{
    remember_closed(session, id, true);
    (void)nghttp2_submit_rst_stream(session->session, NGHTTP2_FLAG_NONE, id, H2_REFUSED_STREAM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int head_begins(nghttp2_session *inner, const nghttp2_frame *frame, void *user)
{
    struct h2_session *session = user;
    session->continuations = 0;
    session->in_head = true;
    session->in_trailers = false;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *stream = session->handler->begin(session->owner, &session->block);
        if (stream == NULL) {
            session->in_head = false;
            return refuse_stream(session, frame->hd.stream_id);
        }
        stream->id = frame->hd.stream_id;
        session->streams++;
        (void)nghttp2_session_set_stream_user_data(inner, stream->id, stream);
        return 0;
    }
    struct h2_stream *stream = h2_stream_of(session, frame->hd.stream_id);
    session->in_trailers = stream != NULL && stream->head_done;
    if (stream == NULL || !use_scratch(session)) {
        session->in_head = false;
        return stream == NULL ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
                              : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* The limits let it in only if it is small, so growing is bounded by them. */
static bool make_room(struct h2_session *session, struct h2_stream *stream, struct span name,
                      struct span value)
{
    struct h2_head *block = &session->block;
    if (block->refusal.status != 0 || h2_head_has_room(block, name, value)) {
        return true;
    }
    size_t needed = h2_field_text_size(name, value);
    if (needed > session->limits->head_bytes_max ||
        block->text_size + needed > session->limits->head_bytes_max + 64) {
        return true; /* over head_bytes: the field is refused before its text is looked at */
    }
    bool scratch = session->scratch != NULL && block->text == session->scratch->text;
    return !scratch && session->handler->grow(session->owner, stream, block, needed);
}

static int head_field(nghttp2_session *inner, const nghttp2_frame *frame, const uint8_t *name_data,
                      size_t name_size, const uint8_t *value_data, size_t value_size, uint8_t flags,
                      void *user)
{
    struct h2_session *session = user;
    struct h2_head *block = &session->block;
    struct h2_stream *stream = h2_stream_of(session, frame->hd.stream_id);
    (void)inner;
    (void)flags;
    if (!session->in_head || stream == NULL) {
        return 0;
    }
    struct span name = span_make(name_data, name_size), value = span_make(value_data, value_size);
    if (!make_room(session, stream, name, value)) {
        block->refusal = (struct http_refusal){.status = 503, .reason = "no memory for the head"};
    }
    if (session->in_trailers) {
        h2_head_trailer_field(block, session->limits, name, value);
    } else if (session->client) {
        h2_head_response_field(block, session->limits, name, value);
    } else {
        h2_head_request_field(block, session->limits, name, value);
    }
    /* A few bytes of indexed fields can name megabytes. */
    if (block->list_bytes / EXCESS_MAX > session->limits->head_bytes_max ||
        block->fields / EXCESS_MAX > HTTP_HEADERS_MAX) {
        session->calm = true;
    }
    return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void note_framing(struct h2_stream *stream, const struct http_head *head)
{
    stream->head_done = true;
    stream->has_length = head->body == HTTP_BODY_LENGTH;
    stream->content_left = head->content_length;
    stream->tunnel = head->extended_connect || head->body == HTTP_BODY_UNTIL_CLOSE;
    stream->no_content = head->body == HTTP_BODY_NONE && !stream->tunnel;
}

static void end_stream(struct h2_session *session, struct h2_stream *stream,
                       const struct http_head *trailers)
{
    if (stream->remote_ended) {
        return;
    }
    if (stream->has_length && stream->content_left > 0) {
        break_stream(session, stream, "less content than Content-Length says");
        return;
    }
    stream->remote_ended = true;
    session->handler->end(session->owner, stream, trailers);
}

static void head_ends(struct h2_session *session, struct h2_stream *stream, bool last)
{
    struct h2_head *block = &session->block;
    enum status status = session->client ? h2_head_response_finish(block, stream->method, last)
                                         : h2_head_request_finish(block, session->limits, last);
    if (status != STATUS_OK) {
        stream->head_done = true;
        stream->remote_ended = last;
        session->handler->head(session->owner, stream, block->head, &block->refusal);
        return;
    }
    if (session->client && block->head->status < 200) {
        session->handler->head(session->owner, stream, block->head, NULL);
        return;
    }
    note_framing(stream, block->head);
    if (last && !session->client) {
        stream->remote_ended = true; /* the owner sees it: there is no `end` for no body */
    }
    session->handler->head(session->owner, stream, block->head, NULL);
    if (last && session->client && !stream->was_reset) {
        stream->remote_ended = true;
        session->handler->end(session->owner, stream, NULL);
    }
}

static void trailers_end(struct h2_session *session, struct h2_stream *stream, bool last)
{
    if (stream->remote_ended) {
        return;
    }
    if (session->block.refusal.status != 0) {
        break_stream(session, stream, session->block.refusal.reason);
    } else if (stream->tunnel) {
        /* RFC 9113 section 8.5: "Frame types other than DATA or stream management frames
         * (RST_STREAM, WINDOW_UPDATE, and PRIORITY) MUST NOT be sent on a connected stream and MUST
         * be treated as a stream error (Section 5.4.2) if received." */
        break_stream(session, stream, "a field block in a tunnel");
    } else if (!last) {
        /* RFC 9113 section 8.1: "a HEADERS frame without the END_STREAM flag set after receiving
         * the HEADERS frame that opens a request [...] as malformed". */
        break_stream(session, stream, "trailers that do not end the stream");
    } else {
        end_stream(session, stream, session->block.head);
    }
}

/* ---- whole frames ---- */

static int data_frame(struct h2_session *session, const nghttp2_frame *frame)
{
    struct h2_stream *stream = h2_stream_of(session, frame->hd.stream_id);
    bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    size_t padding = frame->data.padlen + ((frame->hd.flags & NGHTTP2_FLAG_PADDED) != 0 ? 1u : 0u);
    if (!last && frame->hd.length <= padding) {
        return h2_charge(session, H2_COST_EMPTY_DATA);
    }
    if (last && stream != NULL && !stream->was_reset) {
        end_stream(session, stream, NULL);
    }
    return 0;
}

static int frame_received(nghttp2_session *inner, const nghttp2_frame *frame, void *user)
{
    struct h2_session *session = user;
    struct h2_stream *stream;
    (void)inner;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        return data_frame(session, frame) != 0 || session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    case NGHTTP2_HEADERS:
        stream = h2_stream_of(session, frame->hd.stream_id);
        if (session->in_head && stream != NULL && !stream->was_reset) {
            bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
            session->in_head = false;
            if (session->in_trailers) {
                trailers_end(session, stream, last);
            } else {
                head_ends(session, stream, last);
            }
        }
        session->in_head = false;
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            session->peer_known = true;
            if (session->handler->settings != NULL) {
                session->handler->settings(session->owner);
            }
        }
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && session->handler->pong != NULL) {
            session->handler->pong(session->owner);
        }
        break;
    case NGHTTP2_GOAWAY:
        session->peer_leaves = true;
        break;
    default:
        break;
    }
    return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int data_chunk(nghttp2_session *inner, uint8_t flags, int32_t id, const uint8_t *data,
                      size_t size, void *user)
{
    struct h2_session *session = user;
    struct h2_stream *stream = h2_stream_of(session, id);
    (void)flags;
    if (stream == NULL || stream->was_reset || stream->remote_ended) {
        (void)nghttp2_session_consume(inner, id, size);
        return 0;
    }
    stream->unconsumed += (uint32_t)size;
    if (!stream->head_done || (stream->has_length && size > stream->content_left) ||
        (stream->no_content && size > 0)) {
        h2_session_consume(session, stream, size);
        break_stream(session, stream, "more content than the head announced");
        return 0;
    }
    if (stream->has_length) {
        stream->content_left -= size;
    }
    session->handler->data(session->owner, stream, span_make(data, size));
    return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int stream_closes(nghttp2_session *inner, int32_t id, uint32_t error, void *user)
{
    struct h2_session *session = user;
    struct h2_stream *stream = h2_stream_of(session, id);
    bool ours = stream == NULL || stream->was_reset;
    remember_closed(session, id, ours);
    if (stream == NULL) {
        return 0;
    }
    if (error == H2_NO_ERROR && stream->remote_ended && stream->local_ended) {
        h2_credit(session, 1);
    }
    if (stream->unconsumed > 0) {
        (void)nghttp2_session_consume_connection(inner, stream->unconsumed);
        stream->unconsumed = 0;
    }
    (void)nghttp2_session_set_stream_user_data(inner, id, NULL);
    session->streams -= session->client ? 0 : 1;
    session->handler->closed(session->owner, stream, error);
    return 0;
}

void h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, frame_begins);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, frame_invalid);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, unpack_unknown);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, unknown_chunk);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, head_begins);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, head_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closes);
}
