#include "upstream_h2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { STREAMS_MAX = 1000, OUT_SIZE = 65536, OUT_FULL = OUT_SIZE - 16384 - 256, PATH_SIZE = 64 };

struct request {
    char path[PATH_SIZE];
    size_t size, sent; /* of the answer's body */
};

struct upstream_h2 {
    nghttp2_session *session;
    upstream_body_size *size_of;
    const uint8_t *body;
    size_t used, gone; /* of `out` */
    uint8_t out[OUT_SIZE];
};

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    (void)owner;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, request);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *owner)
{
    (void)flags;
    (void)owner;
    struct request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (request != NULL && name_size == 5 && memcmp(name, ":path", 5) == 0) {
        snprintf(request->path, sizeof request->path, "%.*s", (int)value_size, (const char *)value);
    }
    return 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *into, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *owner)
{
    struct upstream_h2 *h2 = owner;
    struct request *request = source->ptr;
    (void)session;
    (void)id;
    size_t part = request->size - request->sent;
    part = part < size ? part : size;
    memcpy(into, h2->body + request->sent, part);
    request->sent += part;
    if (request->sent == request->size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)part;
}

static nghttp2_nv field(const char *name, char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    struct upstream_h2 *h2 = owner;
    struct request *request = NULL;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    }
    if (request == NULL) {
        return 0;
    }
    char status[] = "200", type[] = "text/plain", length[24];
    request->size = h2->size_of(request->path);
    snprintf(length, sizeof length, "%zu", request->size);
    nghttp2_nv fields[] = {field(":status", status), field("content-type", type),
                           field("content-length", length)};
    nghttp2_data_provider data = {.source.ptr = request, .read_callback = on_read};
    return nghttp2_submit_response(session, frame->hd.stream_id, fields,
                                   sizeof fields / sizeof fields[0], &data);
}

static int on_closed(nghttp2_session *session, int32_t id, uint32_t error, void *owner)
{
    (void)error;
    (void)owner;
    free(nghttp2_session_get_stream_user_data(session, id));
    return nghttp2_session_set_stream_user_data(session, id, NULL);
}

static int make_session(struct upstream_h2 *h2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return -1;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_closed);
    int failed = nghttp2_session_server_new(&h2->session, callbacks, h2);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX}};
    return failed != 0 ? failed : nghttp2_submit_settings(h2->session, 0, settings, 1);
}

struct upstream_h2 *upstream_h2_new(upstream_body_size *size_of, const uint8_t *body)
{
    struct upstream_h2 *h2 = calloc(1, sizeof *h2);
    if (h2 == NULL) {
        return NULL;
    }
    h2->size_of = size_of;
    h2->body = body;
    if (make_session(h2) != 0) {
        upstream_h2_free(h2);
        return NULL;
    }
    return h2;
}

void upstream_h2_free(struct upstream_h2 *h2)
{
    if (h2 != NULL) {
        nghttp2_session_del(h2->session); /* calls on_closed for what is open */
        free(h2);
    }
}

bool upstream_h2_receive(struct upstream_h2 *h2, const uint8_t *bytes, size_t size)
{
    return nghttp2_session_mem_recv(h2->session, bytes, size) == (ssize_t)size;
}

static bool fill(struct upstream_h2 *h2)
{
    while (h2->used < OUT_FULL) {
        const uint8_t *piece;
        ssize_t size = nghttp2_session_mem_send(h2->session, &piece);
        if (size <= 0) {
            return size == 0;
        }
        if ((size_t)size > sizeof h2->out - h2->used) {
            return false; /* a frame of ours is 16 KiB at most */
        }
        memcpy(h2->out + h2->used, piece, (size_t)size);
        h2->used += (size_t)size;
    }
    return true;
}

bool upstream_h2_send(struct upstream_h2 *h2, int descriptor)
{
    for (;;) {
        if (h2->gone == h2->used) {
            h2->gone = h2->used = 0;
            if (!fill(h2)) {
                return false;
            }
            if (h2->used == 0) {
                return nghttp2_session_want_read(h2->session) != 0;
            }
        }
        ssize_t sent = send(descriptor, h2->out + h2->gone, h2->used - h2->gone, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN;
        }
        h2->gone += (size_t)sent;
    }
}
