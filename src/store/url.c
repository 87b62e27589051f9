#include "store/url.h"

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Percent-escapes decoded (RFC 3986 section 2.1), a NUL behind. false: too long, or not one. */
static bool decode(struct span text, char *out, size_t size_max)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        int byte = text.data[i];
        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            byte = high >= 0 && low >= 0 ? high * 16 + low : -1;
            i += 2;
        }
        if (byte <= 0 || used == size_max) {
            return false;
        }
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return true;
}

static bool is_host(struct span text, bool in_brackets)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i], lower = byte | 0x20;
        bool good = (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z') || byte == '.' ||
                    (in_brackets ? byte == ':' : byte == '-' || byte == '_');
        if (!good) {
            return false;
        }
    }
    return text.size > 0 && text.size <= STORE_HOST_BYTES_MAX;
}

/* What stands before the colon of the port, and the port. */
static const char *read_address(struct span text, struct store_url *url)
{
    bool in_brackets = text.size > 0 && text.data[0] == '[';
    size_t end = span_find(text, in_brackets ? ']' : ':');
    struct span host = in_brackets && end < text.size ? span_make(text.data + 1, end - 1)
                                                      : span_first(text, end);
    if (!is_host(host, in_brackets) || (in_brackets && end == text.size)) {
        return "the host is neither a name nor an address";
    }
    memcpy(url->host, host.data, host.size);
    url->host[host.size] = '\0';
    struct span rest = span_after(text, in_brackets ? end + 1 : end);
    url->port = STORE_PORT_DEFAULT;
    if (rest.size == 0) {
        return NULL;
    }
    uint32_t port = 0;
    bool good = rest.data[0] == ':' && rest.size > 1 && rest.size <= 6;
    for (size_t i = 1; good && i < rest.size; i++) {
        good = rest.data[i] >= '0' && rest.data[i] <= '9';
        port = port * 10 + (uint32_t)(rest.data[i] - '0');
    }
    if (!good || port == 0 || port > UINT16_MAX) {
        return "the port is not a number from 1 to 65535";
    }
    url->port = (uint16_t)port;
    return NULL;
}

static const char *read_credentials(struct span text, struct store_url *url)
{
    size_t colon = span_find(text, ':');
    if (colon == text.size) {
        return "a user without a password; write :password@ or user:password@";
    }
    if (!decode(span_first(text, colon), url->user, STORE_SECRET_BYTES_MAX) ||
        !decode(span_after(text, colon + 1), url->password, STORE_SECRET_BYTES_MAX)) {
        return "user or password is too long, or has a % that is no escape (write %25)";
    }
    return url->password[0] == '\0' ? "the password is empty" : NULL;
}

/* The last '@', so that one in a password need not be escaped. */
static size_t find_at(struct span text)
{
    size_t at = text.size;
    for (size_t i = text.size; i > 0 && at == text.size; i--) {
        at = text.data[i - 1] == '@' ? i - 1 : at;
    }
    return at;
}

enum status store_url_parse(struct span text, struct store_url *url, const char **reason)
{
    *url = (struct store_url){0};
    struct span plain = SPAN_LITERAL("redis://"), tls = SPAN_LITERAL("rediss://");
    url->tls = span_starts_with(text, tls);
    if (!url->tls && !span_starts_with(text, plain)) {
        *reason = "it begins with neither redis:// nor rediss://";
        return STATUS_MALFORMED;
    }
    struct span rest = span_after(text, url->tls ? tls.size : plain.size);
    size_t at = find_at(rest);
    const char *wrong = NULL;
    if (at < rest.size) {
        wrong = read_credentials(span_first(rest, at), url);
        rest = span_after(rest, at + 1);
    }
    if (rest.size > 0 && rest.data[rest.size - 1] == '/') {
        rest.size--;
    }
    if (wrong == NULL && span_find(rest, '/') < rest.size) {
        wrong = "nothing may follow the host; databases other than 0 are not used";
    }
    if (wrong == NULL) {
        wrong = read_address(rest, url);
    }
    *reason = wrong != NULL ? wrong : "";
    return wrong == NULL ? STATUS_OK : STATUS_MALFORMED;
}
