#include "app/bench_target.h"

#include "base/uri.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

static enum status look_up(const char *host, const char *port, struct bench_target *target,
                           char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0 || found == NULL) {
        snprintf(error, error_size, "%s:%s: %s", host, port, gai_strerror(code));
        return STATUS_NOT_FOUND;
    }
    /* "localhost" is ::1 and 127.0.0.1; servers that are tried out mostly listen on the latter. */
    const struct addrinfo *chosen = found;
    for (const struct addrinfo *info = found; info != NULL; info = info->ai_next) {
        if (info->ai_family == AF_INET) {
            chosen = info;
            break;
        }
    }
    memcpy(&target->address, chosen->ai_addr, chosen->ai_addrlen);
    target->address_size = chosen->ai_addrlen;
    freeaddrinfo(found);
    return STATUS_OK;
}

/* "host", "host:port", "[v6]:port" -> the host without brackets and the port's text. */
static enum status split(struct span authority, char *host, size_t host_size, char *port,
                         size_t port_size)
{
    size_t colon = authority.size;
    while (colon > 0 && authority.data[colon - 1] >= '0' && authority.data[colon - 1] <= '9') {
        colon--;
    }
    struct span name = authority, number = SPAN_LITERAL("443");
    if (colon > 0 && colon < authority.size && authority.data[colon - 1] == ':') {
        number = span_after(authority, colon);
        name = span_first(authority, colon - 1);
    }
    if (name.size > 2 && name.data[0] == '[' && name.data[name.size - 1] == ']') {
        name = span_make(name.data + 1, name.size - 2);
    }
    if (name.size == 0 || name.size >= host_size || number.size >= port_size) {
        return STATUS_MALFORMED;
    }
    snprintf(host, host_size, "%.*s", SPAN_ARG(name));
    snprintf(port, port_size, "%.*s", SPAN_ARG(number));
    return STATUS_OK;
}

enum status bench_target_read(const char *url, const char *connect, struct bench_target *target,
                              char *error, size_t error_size)
{
    uint8_t text[BENCH_URL_BYTES_MAX + 2];
    struct uri uri;
    char port[8], connect_host[256];
    memset(target, 0, sizeof *target);
    if (uri_normalise(span_from_string(url), (struct span_mut){text, sizeof text}, &uri) !=
            STATUS_OK ||
        !span_equal_string(uri.scheme, "https")) {
        snprintf(error, error_size, "'%s' is not an https URL", url);
        return STATUS_MALFORMED;
    }
    if (split(uri.authority, target->host, sizeof target->host, port, sizeof port) != STATUS_OK) {
        snprintf(error, error_size, "'%s' has no usable host and port", url);
        return STATUS_MALFORMED;
    }
    snprintf(target->authority, sizeof target->authority, "%.*s", SPAN_ARG(uri.authority));
    snprintf(target->origin, sizeof target->origin, "https://%.*s", SPAN_ARG(uri.authority));
    int size = snprintf(target->url, sizeof target->url, "%s%.*s", target->origin,
                        SPAN_ARG(uri.path));
    snprintf(target->path, sizeof target->path, "%.*s%s%.*s", SPAN_ARG(uri.path),
             uri.has_query ? "?" : "", uri.has_query ? (int)uri.query.size : 0,
             uri.has_query ? (const char *)uri.query.data : "");
    if (size < 0 || (size_t)size >= sizeof target->url) {
        snprintf(error, error_size, "the URL is too long");
        return STATUS_TOO_LARGE;
    }
    if (connect == NULL) {
        return look_up(target->host, port, target, error, error_size);
    }
    if (split(span_from_string(connect), connect_host, sizeof connect_host, port, sizeof port) !=
        STATUS_OK) {
        snprintf(error, error_size, "'%s' is not ADDRESS:PORT", connect);
        return STATUS_MALFORMED;
    }
    return look_up(connect_host, port, target, error, error_size);
}
