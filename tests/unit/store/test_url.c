#include "store/url.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct store_url url;
static const char *reason;

static enum status parse(const char *text)
{
    reason = NULL;
    return store_url_parse(span_from_string(text), &url, &reason);
}

Test(store_url, host_and_port)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool tls;
    } good[] = {
        {"redis://127.0.0.1:6380", "127.0.0.1", 6380, false},
        {"redis://redis.shop.svc", "redis.shop.svc", 6379, false},
        {"redis://redis.shop.svc/", "redis.shop.svc", 6379, false},
        {"rediss://cache-1_a.example.com:65535", "cache-1_a.example.com", 65535, true},
        {"redis://[2001:db8::1]:1", "2001:db8::1", 1, false},
        {"redis://[::ffff:192.0.2.1]", "::ffff:192.0.2.1", 6379, false},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(parse(good[i].text), STATUS_OK, "%s: %s", good[i].text, reason);
        cr_assert_str_eq(url.host, good[i].host);
        cr_assert_eq(url.port, good[i].port);
        cr_assert_eq(url.tls, good[i].tls);
        cr_assert_str_empty(url.user);
        cr_assert_str_empty(url.password);
    }
}

Test(store_url, user_and_password)
{
    static const struct {
        const char *text, *user, *password;
    } good[] = {
        {"redis://:secret@h", "", "secret"},
        {"redis://gate:secret@h:1", "gate", "secret"},
        {"redis://gate:a:b@c@h", "gate", "a:b@c"},
        {"redis://g%40te:%2f%25@h", "g@te", "/%"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(parse(good[i].text), STATUS_OK, "%s: %s", good[i].text, reason);
        cr_assert_str_eq(url.user, good[i].user);
        cr_assert_str_eq(url.password, good[i].password);
        cr_assert_str_eq(url.host, "h");
    }
}

Test(store_url, what_is_none)
{
    static const char *const bad[] = {
        "",
        "redis:/h",
        "http://h",
        "REDIS://h",
        "redis://",
        "redis:///",
        "redis://:6379",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:123456",
        "redis://h:6379x",
        "redis://h:-1",
        "redis://h/1",
        "redis://h:6379/0",
        "redis://h o",
        "redis://h\x7f",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[::1]6379",
        "redis://[]",
        "redis://[ho-st]",
        "redis://user@h",
        "redis://@h",
        "redis://:@h",
        "redis://user:@h",
        "redis://:%@h",
        "redis://:%4@h",
        "redis://:%00@h",
        "redis://:%g0@h",
        "redis://:%zz@h",
        "redis://u%0:p@h",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(parse(bad[i]), STATUS_MALFORMED, "%s", bad[i]);
        cr_assert(reason != NULL && reason[0] != '\0', "%s", bad[i]);
    }
}

Test(store_url, bounds)
{
    char text[1200] = "redis://";
    memset(text + 8, 'h', STORE_HOST_BYTES_MAX);
    cr_assert_eq(parse(text), STATUS_OK);
    text[8 + STORE_HOST_BYTES_MAX] = 'h';
    cr_assert_eq(parse(text), STATUS_MALFORMED);

    text[8] = ':';
    memset(text + 9, 'p', STORE_SECRET_BYTES_MAX);
    memcpy(text + 9 + STORE_SECRET_BYTES_MAX, "@h", 3);
    cr_assert_eq(parse(text), STATUS_OK);
    cr_assert_eq(strlen(url.password), STORE_SECRET_BYTES_MAX);
    memcpy(text + 9 + STORE_SECRET_BYTES_MAX, "p@h", 4);
    cr_assert_eq(parse(text), STATUS_MALFORMED);
    /* The same as a user. */
    memset(text + 8, 'u', STORE_SECRET_BYTES_MAX + 1);
    memcpy(text + 8 + STORE_SECRET_BYTES_MAX + 1, ":p@h", 5);
    cr_assert_eq(parse(text), STATUS_MALFORMED);
    memcpy(text + 8 + STORE_SECRET_BYTES_MAX, ":p@h", 5);
    cr_assert_eq(parse(text), STATUS_OK);
}
