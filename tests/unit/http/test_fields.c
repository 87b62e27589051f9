#include "http/fields.h"
#include "http/http1.h"
#include "http/scan.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static enum http_field classify(const char *text)
{
    struct span name = span_from_string(text);
    bool plain = scan_plain(name.data, 0, name.size) == name.size;
    return http_field_classify(name, plain);
}

static const struct {
    const char *name;
    enum http_field field;
} known[] = {
    {"authorization", HTTP_FIELD_AUTHORIZATION},
    {"connection", HTTP_FIELD_CONNECTION},
    {"content-length", HTTP_FIELD_CONTENT_LENGTH},
    {"dpop", HTTP_FIELD_DPOP},
    {"dpop-nonce", HTTP_FIELD_DPOP_NONCE},
    {"expect", HTTP_FIELD_EXPECT},
    {"host", HTTP_FIELD_HOST},
    {"keep-alive", HTTP_FIELD_HOP_BY_HOP},
    {"proxy-connection", HTTP_FIELD_HOP_BY_HOP},
    {"te", HTTP_FIELD_HOP_BY_HOP},
    {"proxy-authenticate", HTTP_FIELD_HOP_BY_HOP},
    {"proxy-authorization", HTTP_FIELD_HOP_BY_HOP},
    {"http2-settings", HTTP_FIELD_HOP_BY_HOP},
    {"trailer", HTTP_FIELD_TRAILER},
    {"transfer-encoding", HTTP_FIELD_TRANSFER_ENCODING},
    {"upgrade", HTTP_FIELD_UPGRADE},
    {"x-forwarded-client-cert", HTTP_FIELD_OURS},
    {"x-popgate-subject", HTTP_FIELD_OURS},
    {"x-popgate-client-id", HTTP_FIELD_OURS},
    {"x-popgate-issuer", HTTP_FIELD_OURS},
    {"x-popgate-scope", HTTP_FIELD_OURS},
    {"x-popgate-jkt", HTTP_FIELD_OURS},
    {"x-popgate-spiffe-id", HTTP_FIELD_OURS},
    {"x-popgate-shadow", HTTP_FIELD_OURS},
    {"x-popgate-anything-that-comes-later", HTTP_FIELD_OURS},
    {"x-popgate-", HTTP_FIELD_OURS},
    {"x-popgate", HTTP_FIELD_OURS},
};

Test(fields, every_known_name_in_any_case)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char name[64];
        size_t size = strlen(known[i].name);
        for (unsigned pattern = 0; pattern < 8; pattern++) {
            for (size_t c = 0; c <= size; c++) {
                bool upper = ((pattern >> (c % 3)) & 1) != 0;
                name[c] = upper ? (char)toupper(known[i].name[c]) : known[i].name[c];
            }
            cr_expect_eq(classify(name), known[i].field, "%s", name);
            cr_expect_eq(http_field_is_ours(span_from_string(name)),
                         known[i].field == HTTP_FIELD_OURS);
        }
    }
}

/* One byte more, one less, one other: none of them is the field. */
Test(fields, what_is_nearly_a_known_name_is_another)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].field == HTTP_FIELD_OURS) {
            continue;
        }
        char name[64];
        size_t size = strlen(known[i].name);
        memcpy(name, known[i].name, size + 1);
        name[size] = 'x';
        name[size + 1] = '\0';
        cr_expect_eq(classify(name), HTTP_FIELD_OTHER, "%s", name);
        name[size - 1] = '\0';
        if (strcmp(name, "t") != 0) {
            cr_expect_eq(classify(name), HTTP_FIELD_OTHER, "%s", name);
        }
        for (size_t at = 0; at < size; at++) {
            memcpy(name, known[i].name, size + 1);
            name[at] = 'q';
            cr_expect_eq(classify(name), HTTP_FIELD_OTHER, "%s", name);
            name[at] = '0';
            cr_expect_eq(classify(name), HTTP_FIELD_OTHER, "%s", name);
        }
    }
    static const char *const others[] = {"",
                                         "x",
                                         "x-popgat",
                                         "x-popgateway",
                                         "x-popgate1",
                                         "popgate-jkt",
                                         "xpopgate-jkt",
                                         "x-forwarded-fo",
                                         "x-forwarded-form",
                                         "x-forwarded-client-certs",
                                         "cookie"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_expect_eq(classify(others[i]), HTTP_FIELD_OTHER, "%s", others[i]);
    }
}

Test(fields, any_sign_for_the_dash_is_seen_through)
{
    static const char signs[] = "!#$%&'*+.^_`|~";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strchr(known[i].name, '-') == NULL) {
            continue;
        }
        enum http_field expected = known[i].field == HTTP_FIELD_OURS ? HTTP_FIELD_OURS
                                                                     : HTTP_FIELD_DISGUISED;
        for (size_t s = 0; s < sizeof signs - 1; s++) {
            char all[64], first[64];
            snprintf(all, sizeof all, "%s", known[i].name);
            snprintf(first, sizeof first, "%s", known[i].name);
            *strchr(first, '-') = signs[s];
            for (char *dash = strchr(all, '-'); dash != NULL; dash = strchr(all, '-')) {
                *dash = signs[s];
            }
            all[0] = (char)toupper(all[0]);
            cr_expect_eq(classify(all), expected, "%s", all);
            cr_expect_eq(classify(first), expected, "%s", first);
            cr_expect_eq(http_field_is_ours(span_from_string(all)), expected == HTTP_FIELD_OURS);
        }
    }
    cr_expect_eq(classify("my_header"), HTTP_FIELD_OTHER);
    cr_expect_eq(classify("x_forwarded_client_certs"), HTTP_FIELD_OTHER);
    cr_expect_eq(classify("a_name_that_is_longer_than_any_known_one"), HTTP_FIELD_OTHER);
}

/* ---- what is not forwarded ---- */

static struct http_head head;

static void begin(const char *method)
{
    memset(&head, 0xa5, sizeof head);
    http_head_reset(&head);
    head.method = span_from_string(method);
}

static enum http_field add(const char *name, const char *value)
{
    return http_head_add(&head, span_from_string(name), span_from_string(value));
}

static void expect_dropped(const char *name, bool dropped)
{
    for (size_t i = 0; i < head.headers_count; i++) {
        if (span_equal_string(head.headers[i].name, name)) {
            cr_expect_eq(head.headers[i].dropped, dropped, "%s: %.*s", name,
                         SPAN_ARG(head.headers[i].value));
        }
    }
}

Test(fields, a_head_keeps_the_first_and_the_count)
{
    begin("GET");
    cr_expect_eq(head.headers_count, 0);
    cr_expect_eq(add("DPoP", "one"), HTTP_FIELD_DPOP);
    cr_expect_eq(add("X", "y"), HTTP_FIELD_OTHER);
    cr_expect_eq(add("dpop", "two"), HTTP_FIELD_DPOP);
    cr_expect_eq(add("Authorization", "a"), HTTP_FIELD_AUTHORIZATION);
    cr_expect_eq(add("Authorization", "b"), HTTP_FIELD_AUTHORIZATION);
    cr_expect_eq(head.dpop_count, 2);
    cr_expect_eq(head.authorization_count, 2);
    cr_expect(span_equal_string(head.dpop, "one"));
    cr_expect(span_equal_string(head.authorization, "a"));
    cr_expect_eq(head.fields_seen,
                 1u << HTTP_FIELD_DPOP | 1u << HTTP_FIELD_OTHER | 1u << HTTP_FIELD_AUTHORIZATION);
}

Test(fields, requests_lose_what_is_not_for_the_service)
{
    begin("GET");
    static const char *const dropped[] = {"Connection",
                                          "Keep-Alive",
                                          "Proxy-Connection",
                                          "TE",
                                          "Trailer",
                                          "Transfer-Encoding",
                                          "Upgrade",
                                          "Proxy-Authorization",
                                          "Expect",
                                          "X-Popgate-Subject",
                                          "x_popgate_JKT",
                                          "X-Forwarded-Client-Cert",
                                          "X-Forwarded-For",
                                          "x_forwarded_for",
                                          "X_Forwarded-Client_Cert",
                                          "Authorization",
                                          "DPoP",
                                          "Content_Length"};
    static const char *const kept[] = {"X-Forwarded-Host", "Forwarded",   "X-Forwarded-Proto",
                                       "Cookie",           "Accept",      "traceparent",
                                       "X-Real-IP",        "Content-Type"};
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        add(dropped[i], "x");
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        add(kept[i], "x");
    }
    http_mark_dropped(&head, false);
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        expect_dropped(dropped[i], true);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        expect_dropped(kept[i], false);
    }
    http_mark_dropped(&head, true);
    expect_dropped("Authorization", false);
    expect_dropped("DPoP", false);
    expect_dropped("X-Popgate-Subject", true);
    head.expect_continue = true;
    http_mark_dropped(&head, true);
    expect_dropped("Expect", false);
}

Test(fields, what_connection_names_is_dropped_but_for_what_is_protected)
{
    begin("GET");
    add("Connection", "close, X-One ,,x-TWO");
    add("Connection", "host, content-length, authorization, dpop, X-Three");
    add("X-One", "1");
    add("x-two", "2");
    add("X-THREE", "3");
    add("X-Four", "4");
    add("X-One", "5");
    add("Host", "a");
    add("Content-Length", "1");
    add("Authorization", "a");
    add("DPoP", "a");
    add("X-Popgate-Jkt", "a");
    http_mark_dropped(&head, true);
    static const char *const dropped[] = {"X-One", "x-two", "X-THREE", "X-Popgate-Jkt"};
    static const char *const kept[] = {"X-Four", "Host", "Content-Length", "Authorization", "DPoP"};
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        expect_dropped(dropped[i], true);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        expect_dropped(kept[i], false);
    }
}

Test(fields, responses_lose_hop_by_hop_fields_alone)
{
    begin("");
    head.status = 200;
    add("Connection", "X-One");
    add("X-One", "1");
    add("Keep-Alive", "timeout=5");
    add("Transfer-Encoding", "chunked");
    add("Proxy-Authenticate", "x");
    add("X-Popgate-Subject", "x");
    add("DPoP-Nonce", "n");
    add("Set-Cookie", "n");
    add("my_keep_alive", "n");
    http_mark_dropped(&head, false);
    static const char *const dropped[] = {"Connection", "X-One", "Keep-Alive", "Transfer-Encoding",
                                          "Proxy-Authenticate"};
    static const char *const kept[] = {"X-Popgate-Subject", "DPoP-Nonce", "Set-Cookie",
                                       "my_keep_alive"};
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        expect_dropped(dropped[i], true);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        expect_dropped(kept[i], false);
    }
}

Test(fields, every_status_we_answer_with_has_a_reason)
{
    static const uint16_t ours[] = {400, 401, 403, 408, 413, 414, 417, 421, 429, 431,
                                    500, 501, 502, 503, 504, 505, 100, 101, 200};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        cr_expect(strlen(http_status_reason(ours[i])) > 1, "%u", ours[i]);
    }
    cr_expect_str_eq(http_status_reason(431), "Request Header Fields Too Large");
    cr_expect_str_eq(http_status_reason(299), "");
}

/* A trailer that the head's Connection names goes with it; other fields of the head say nothing. */
Test(fields, a_heads_connection_names_trailers_too)
{
    static struct http_head with, trailers;
    http_head_reset(&with);
    http_head_reset(&trailers);
    (void)http_head_add(&with, SPAN_LITERAL("X-Other"), SPAN_LITERAL("x-b"));
    (void)http_head_add(&with, SPAN_LITERAL("Connection"), SPAN_LITERAL("close, X-A"));
    (void)http_head_add(&trailers, SPAN_LITERAL("x-a"), SPAN_LITERAL("1"));
    (void)http_head_add(&trailers, SPAN_LITERAL("x-b"), SPAN_LITERAL("2"));
    http_mark_trailers_dropped(&with, &trailers);
    cr_expect(trailers.headers[0].dropped);
    cr_expect_not(trailers.headers[1].dropped);
}
