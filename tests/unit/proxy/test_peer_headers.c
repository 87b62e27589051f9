#include "proxy/peer_headers.h"

#include <criterion/criterion.h>

static struct peer_headers remembered;
static struct tls_peer peer;
static char text[8192];

static void set_up(void)
{
    remembered = (struct peer_headers){0};
    peer = (struct tls_peer){
        .certificate_sha256 = {7, 1, 2},
        .spiffe_id = SPAN_LITERAL("spiffe://td/alice"),
        .subject = SPAN_LITERAL("CN=alice"),
        .uri_san = SPAN_LITERAL("spiffe://td/alice"),
    };
}

static enum status write_into(size_t capacity, const char *own_uri)
{
    struct http1_writer writer;
    http1_writer_init(&writer, text, capacity);
    enum status status = peer_headers_write(&remembered, &writer, &peer, span_from_string(own_uri));
    text[writer.size] = '\0';
    return writer.overflow ? STATUS_TOO_LARGE : status;
}

static const char *lines(const char *own_uri)
{
    cr_assert_eq(write_into(sizeof text - 1, own_uri), STATUS_OK);
    return text;
}

Test(peer_headers, remembered_text_is_the_same_text, .init = set_up)
{
    char first[sizeof text];
    memcpy(first, lines("spiffe://td/gate"), sizeof first);
    cr_assert(strstr(first, "x-popgate-spiffe-id: spiffe://td/alice\r\n") == first);
    cr_assert(strstr(first, "\r\nx-forwarded-client-cert: By=spiffe://td/gate;Hash=070102") !=
              NULL);
    cr_assert_str_eq(lines("spiffe://td/gate"), first);
    struct http1_writer writer;
    http1_writer_init(&writer, text, sizeof text - 1);
    cr_assert_eq(peer_headers_write(NULL, &writer, &peer, SPAN_LITERAL("spiffe://td/gate")),
                 STATUS_OK);
    text[writer.size] = '\0';
    cr_assert_str_eq(text, first);
}

Test(peer_headers, it_is_remembered_by_the_whole_hash, .init = set_up)
{
    lines("");
    peer.spiffe_id = SPAN_LITERAL("spiffe://td/mallory");
    cr_assert(strstr(lines(""), "spiffe-id: spiffe://td/alice\r\n") != NULL, "it was not used");
    peer.certificate_sha256[31] = 1; /* same place, another certificate */
    cr_assert(strstr(lines(""), "spiffe-id: spiffe://td/mallory\r\n") != NULL);
    peer.certificate_sha256[31] = 0;
    peer.spiffe_id = SPAN_LITERAL("spiffe://td/alice");
    cr_assert(strstr(lines(""), "spiffe-id: spiffe://td/alice\r\n") != NULL);
}

Test(peer_headers, a_cleared_one_names_us_anew, .init = set_up)
{
    lines("spiffe://td/old");
    peer_headers_clear(&remembered);
    cr_assert(strstr(lines("spiffe://td/new"), "By=spiffe://td/new;") != NULL);
}

Test(peer_headers, what_is_not_safe_is_neither_written_nor_remembered, .init = set_up)
{
    struct span bad = SPAN_LITERAL("a\r\nx-popgate-subject: admin"), good = peer.subject;
    struct span *values[] = {&peer.spiffe_id, &peer.subject, &peer.uri_san, &peer.dns_sans[3]};
    peer.dns_sans_count = 4;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        *values[i] = bad;
        for (int again = 0; again < 2; again++) {
            cr_assert_eq(write_into(sizeof text - 1, ""), STATUS_FAILED);
            cr_assert_eq(text[0], '\0');
        }
        *values[i] = good;
    }
    cr_assert_eq(write_into(sizeof text - 1, "spiffe://td/\xc3\xa4"), STATUS_FAILED);
    cr_assert_eq(write_into(sizeof text - 1, "spiffe://td/gate"), STATUS_OK);
}

Test(peer_headers, what_did_not_fit_is_not_remembered, .init = set_up)
{
    cr_assert_eq(write_into(60, ""), STATUS_TOO_LARGE);
    cr_assert(strstr(lines(""), ";URI=spiffe://td/alice\r\n") != NULL);
}

Test(peer_headers, a_text_too_long_to_remember_is_written_each_time, .init = set_up)
{
    static char name[PEER_HEADERS_TEXT_BYTES];
    memset(name, 'n', sizeof name);
    peer.subject = span_make(name, sizeof name);
    lines("spiffe://td/one");
    cr_assert(strstr(lines("spiffe://td/two"), "By=spiffe://td/two;") != NULL);
}
