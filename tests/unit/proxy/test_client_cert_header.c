#include "proxy/client_cert_header.h"

#include <criterion/criterion.h>

#define HASH "Hash=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff;"

static char text[8192];

/* The header for a peer whose hash is HASH; a C string in `text`. */
static const char *header_of(struct tls_peer *peer, const char *own_uri)
{
    for (size_t i = 0; i < 31; i++) {
        peer->certificate_sha256[i] = (uint8_t)i;
    }
    peer->certificate_sha256[31] = 0xff;
    struct http1_writer writer;
    http1_writer_init(&writer, text, sizeof text - 1);
    client_cert_header_write(&writer, peer, span_from_string(own_uri));
    cr_assert_not(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

Test(client_cert_header, all_of_it)
{
    struct tls_peer peer = {
        .subject = SPAN_LITERAL("CN=alice,O=Example"),
        .uri_san = SPAN_LITERAL("spiffe://td/ns/a/sa/alice"),
        .dns_sans = {SPAN_LITERAL("a.example"), SPAN_LITERAL("b.example")},
        .dns_sans_count = 2,
    };
    cr_assert_str_eq(header_of(&peer, "spiffe://td/gate"),
                     "By=spiffe://td/gate;" HASH "Subject=\"CN=alice,O=Example\";"
                     "URI=spiffe://td/ns/a/sa/alice;DNS=a.example;DNS=b.example");
}

Test(client_cert_header, an_empty_subject_keeps_its_key_and_no_own_uri_has_no_by)
{
    struct tls_peer peer = {.uri_san = SPAN_LITERAL("spiffe://td/x")};
    cr_assert_str_eq(header_of(&peer, ""), HASH "Subject=\"\";URI=spiffe://td/x");
}

Test(client_cert_header, a_quote_in_the_subject_cannot_end_the_value)
{
    /* CN is: x";URI="spiffe://td/admin */
    struct tls_peer peer = {
        .subject = SPAN_LITERAL("CN=x\\\"\\;URI=\\\"spiffe://td/admin"),
        .uri_san = SPAN_LITERAL("spiffe://td/x"),
    };
    cr_assert_str_eq(header_of(&peer, ""),
                     HASH "Subject=\"CN=x\\\"\\;URI=\\\"spiffe://td/admin\";URI=spiffe://td/x");
}

Test(client_cert_header, a_bare_quote_gets_its_backslash)
{
    struct tls_peer peer = {.subject = SPAN_LITERAL("CN=a\"b")};
    cr_assert_str_eq(header_of(&peer, ""), HASH "Subject=\"CN=a\\\"b\";URI=");
}

Test(client_cert_header, a_backslash_at_the_end_cannot_swallow_the_closing_quote)
{
    struct tls_peer whole = {.subject = SPAN_LITERAL("CN=a\\\\")};
    cr_assert_str_eq(header_of(&whole, ""), HASH "Subject=\"CN=a\\5C\";URI=");
    struct tls_peer lone = {.subject = SPAN_LITERAL("CN=a\\")};
    cr_assert_str_eq(header_of(&lone, ""), HASH "Subject=\"CN=a\\5C\";URI=");
    struct tls_peer both = {.subject = SPAN_LITERAL("CN=a\\\\\\\"")};
    cr_assert_str_eq(header_of(&both, ""), HASH "Subject=\"CN=a\\5C\\\"\";URI=");
}

Test(client_cert_header, separators_in_other_values_are_quoted)
{
    struct tls_peer peer = {
        .uri_san = SPAN_LITERAL("urn:a,b;c=d"),
        .dns_sans = {SPAN_LITERAL("a\"b\\c")},
        .dns_sans_count = 1,
    };
    cr_assert_str_eq(header_of(&peer, "urn:x=y"),
                     "By=\"urn:x=y\";" HASH "Subject=\"\";URI=\"urn:a,b;c=d\";DNS=\"a\\\"b\\\\c\"");
}
