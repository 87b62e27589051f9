/* The head of a request to a service that speaks HTTP/2. */
#include "proxy/upstream_h2_internal.h"

#include <assert.h>

/* Takes "name: value" up to the next line. */
static bool next_line(struct span *text, struct span *line)
{
    size_t end = span_find(*text, '\n');
    if (end == text->size || end < 2) {
        return false;
    }
    *line = span_first(*text, end - 1);
    *text = span_after(*text, end + 1);
    return true;
}

/* What HTTP/2 says otherwise, or not at all. */
static bool is_framing(struct span name, bool websocket)
{
    static const char *const always[] = {"host", "transfer-encoding", "te", "connection"};
    static const char *const upgrade[] = {"upgrade", "sec-websocket-key"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (span_equal_ignore_case(name, span_from_string(always[i]))) {
            return true;
        }
    }
    for (size_t i = 0; websocket && i < sizeof upgrade / sizeof *upgrade; i++) {
        if (span_equal_ignore_case(name, span_from_string(upgrade[i]))) {
            return true;
        }
    }
    return false;
}

void upstream_h2_fill_head(struct h2_fields *fields, struct span text, const struct http_head *head)
{
    struct span line = {NULL, 0};
    size_t method = next_line(&text, &line) ? span_find(line, ' ') : 0;
    assert(method > 0 && method < line.size);
    if (method >= line.size) {
        return;
    }
    bool websocket = head->upgrade_websocket;
    struct span target = span_after(line, method + 1);
    target = span_first(target, span_find(target, ' '));
    h2_fields_add(fields, SPAN_LITERAL(":method"),
                  websocket ? SPAN_LITERAL("CONNECT") : span_first(line, method));
    if (websocket) {
        h2_fields_add(fields, SPAN_LITERAL(":protocol"), SPAN_LITERAL("websocket"));
    }
    h2_fields_add(fields, SPAN_LITERAL(":scheme"), SPAN_LITERAL("http"));
    h2_fields_add(fields, SPAN_LITERAL(":authority"), head->uri.authority);
    h2_fields_add(fields, SPAN_LITERAL(":path"), target);
    while (next_line(&text, &line)) {
        size_t colon = span_find(line, ':');
        struct span name = span_first(line, colon);
        if (colon + 2 <= line.size && !is_framing(name, websocket)) {
            h2_fields_add(fields, name, span_after(line, colon + 2));
        }
    }
    if (head->te_trailers) {
        h2_fields_add(fields, SPAN_LITERAL("te"), SPAN_LITERAL("trailers"));
    }
}
