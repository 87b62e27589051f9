#include "proxy/websocket.h"

#include <criterion/criterion.h>
#include <string.h>

static struct http_head head_with(const char *name, const char *const *values, size_t count)
{
    static struct http_head head;
    http_head_reset(&head);
    for (size_t i = 0; i < count; i++) {
        http_head_add(&head, span_from_string(name), span_from_string(values[i]));
    }
    return head;
}

static bool expects(const char *const *keys, size_t count, char *accept)
{
    struct http_head head = head_with("sec-websocket-KEY", keys, count);
    return websocket_expect(&head, accept);
}

/* RFC 6455 section 1.3 */
Test(websocket, the_example_of_the_rfc)
{
    const char *key = "dGhlIHNhbXBsZSBub25jZQ==";
    char accept[WEBSOCKET_ACCEPT_BYTES];
    cr_assert(expects(&key, 1, accept));
    cr_assert_eq(memcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof accept), 0);
}

Test(websocket, a_key_is_sixteen_bytes_in_base64_and_comes_once)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    const char *const wrong[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQa=",
        "dGhlIHNhbXBsZSBub25jZQ=a",
        "dGhlIHNhbXBsZSBub25jZ-==",
        "dGhlIHNhbXBsZSBub25j ZQ=",
        "=GhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZSBub25jZQ==",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_not(expects(&wrong[i], 1, accept), "%s", wrong[i]);
    }
    const char *const twice[] = {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="};
    cr_assert_not(expects(twice, 2, accept));
    cr_assert_not(expects(NULL, 0, accept));
    const char *const other_bits[] = {"AAAAAAAAAAAAAAAAAAAAAB=="};
    cr_assert(expects(other_bits, 1, accept));
}

Test(websocket, only_the_answer_to_this_key_is_one)
{
    const char *key = "dGhlIHNhbXBsZSBub25jZQ==";
    char accept[WEBSOCKET_ACCEPT_BYTES];
    cr_assert(expects(&key, 1, accept));
    const char *const right[] = {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="};
    struct http_head head = head_with("Sec-WebSocket-Accept", right, 1);
    cr_assert(websocket_accepted(&head, accept));
    head = head_with("Sec-WebSocket-Accept", right, 2);
    cr_assert_not(websocket_accepted(&head, accept));
    head = head_with("Sec-WebSocket-Accept", right, 0);
    cr_assert_not(websocket_accepted(&head, accept));
    const char *const wrong[] = {"S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", ""};
    for (size_t i = 0; i < 3; i++) {
        head = head_with("Sec-WebSocket-Accept", &wrong[i], 1);
        cr_assert_not(websocket_accepted(&head, accept), "%s", wrong[i]);
    }
}

Test(websocket, a_key_of_our_own_is_one_that_we_would_take)
{
    char key[2][WEBSOCKET_KEY_BYTES + 1] = {{0}}, accept[2][WEBSOCKET_ACCEPT_BYTES];
    char again[WEBSOCKET_ACCEPT_BYTES];
    for (size_t i = 0; i < 2; i++) {
        cr_assert(websocket_begin(key[i], accept[i]));
        const char *text = key[i];
        cr_assert(expects(&text, 1, again));
        cr_assert_eq(memcmp(again, accept[i], sizeof again), 0);
    }
    cr_assert_neq(memcmp(key[0], key[1], WEBSOCKET_KEY_BYTES), 0);
}

Test(websocket, fields_of_the_handshake_are_taken_out)
{
    const char *const values[] = {"a", "b"};
    struct http_head head = head_with("Sec-WebSocket-Key", values, 2);
    http_head_add(&head, SPAN_LITERAL("x"), SPAN_LITERAL("1"));
    websocket_remove(&head, SPAN_LITERAL("sec-websocket-key"));
    cr_assert_eq(head.headers_count, 1);
    cr_assert(span_equal_string(head.headers[0].name, "x"));
    websocket_remove(&head, SPAN_LITERAL("sec-websocket-key"));
    cr_assert_eq(head.headers_count, 1);
}
