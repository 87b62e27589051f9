/* What uri_normalise accepts: has no dot segment, no decodable escape and no upper case where none
 * belongs, and normalises to itself. What it takes apart as an absolute URI and as a request target
 * is the same. */
#include "base/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool unreserved(int byte)
{
    return byte != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~",
                               byte) != NULL;
}

static void check_path(struct span path)
{
    check(path.size > 0 && path.data[0] == '/');
    size_t start = 1;
    for (size_t i = 1; i <= path.size; i++) {
        if (i == path.size || path.data[i] == '/') {
            struct span segment = span_make(path.data + start, i - start);
            check(!span_equal_string(segment, ".") && !span_equal_string(segment, ".."));
            start = i + 1;
        } else if (path.data[i] == '%') {
            check(i + 2 < path.size);
            char digits[3] = {(char)path.data[i + 1], (char)path.data[i + 2], '\0'};
            char *end;
            long byte = strtol(digits, &end, 16);
            check(*end == '\0' && byte != 0 && !unreserved((int)byte));
            check((digits[0] < 'a' || digits[0] > 'f') && (digits[1] < 'a' || digits[1] > 'f'));
        } else {
            check(path.data[i] > ' ' && path.data[i] < 0x7f && path.data[i] != '?');
        }
    }
}

static void check_target(struct span text)
{
    struct span_mut out = {malloc(text.size + 1), text.size + 1};
    struct uri uri;
    if (uri_normalise_target(text, out, &uri) == STATUS_OK) {
        check_path(uri.path);
        struct span whole = span_make(out.data, uri.path.size + uri.query.size + uri.has_query);
        check(whole.size <= text.size);
        struct span_mut again = {malloc(whole.size + 1), whole.size + 1};
        struct uri second;
        check(uri_normalise_target(whole, again, &second) == STATUS_OK);
        check(span_equal(uri.path, second.path) && span_equal(uri.query, second.query) &&
              uri.has_query == second.has_query);
        free(again.data);
    }
    free(out.data);
}

static void check_authority(struct span text)
{
    struct span_mut out = {malloc(text.size + 1), text.size};
    struct span first, second;
    if (uri_normalise_authority(text, SPAN_LITERAL("https"), out, &first) == STATUS_OK) {
        struct span_mut again = {malloc(first.size), first.size};
        check(uri_normalise_authority(first, SPAN_LITERAL("https"), again, &second) == STATUS_OK);
        check(span_equal(first, second));
        free(again.data);
    }
    free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    struct span_mut out = {malloc(size + 2), size + 2};
    struct uri uri;
    if (uri_normalise(text, out, &uri) == STATUS_OK) {
        check(span_equal_string(uri.scheme, "https") || span_equal_string(uri.scheme, "http"));
        check(uri.authority.size > 0 && span_find(uri.authority, '@') == uri.authority.size);
        for (size_t i = 0; i < uri.authority.size; i++) {
            check(uri.authority.data[i] < 'A' || uri.authority.data[i] > 'Z');
        }
        check_path(uri.path);
        /* "scheme://authority/path?query" stands in `out` in one piece. */
        struct span whole = span_make(out.data,
                                      (size_t)(uri.query.data + uri.query.size - out.data));
        struct span_mut again = {malloc(whole.size + 2), whole.size + 2};
        struct uri second;
        check(uri_normalise(whole, again, &second) == STATUS_OK);
        check(span_equal(uri.scheme, second.scheme) &&
              span_equal(uri.authority, second.authority) && span_equal(uri.path, second.path) &&
              span_equal(uri.query, second.query) && uri.has_query == second.has_query);
        free(again.data);
        check_target(span_after(whole, (size_t)(uri.path.data - out.data)));
        check_authority(uri.authority);
    }
    free(out.data);
    check_target(text);
    check_authority(text);
    return 0;
}
