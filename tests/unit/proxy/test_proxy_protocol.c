#include "proxy/proxy_protocol.h"

#include <criterion/criterion.h>
#include <string.h>

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
static const uint8_t v4[12] = {203, 0, 113, 7, 10, 0, 0, 1, 0xc8, 0x22, 0x20, 0xfb};
static const uint8_t v6[36] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1, [16] = 0xfd, [31] = 2, [33] = 99};

static uint8_t header[8192];

/* Version 2 with `command`, `family` and a block; returns its size. */
static size_t make(uint8_t command, uint8_t family, const void *block, size_t size)
{
    memcpy(header, signature, 12);
    header[12] = (uint8_t)(0x20 | command);
    header[13] = family;
    header[14] = (uint8_t)(size >> 8);
    header[15] = (uint8_t)size;
    if (size > 0) {
        memcpy(header + 16, block, size);
    }
    return 16 + size;
}

static struct proxy_protocol out;
static size_t taken;
static const char *reason;

static enum status parse(size_t size)
{
    reason = NULL;
    return proxy_protocol_parse(span_make(header, size), &out, &taken, &reason);
}

static void is_client(const char *want)
{
    char text[CLIENT_ADDRESS_TEXT_BYTES];
    cr_assert(out.has_client);
    struct span got = client_address_port_text(&out.client, text);
    cr_assert(span_equal_string(got, want), "%.*s", SPAN_ARG(got));
}

Test(proxy_protocol, an_ipv4_client)
{
    size_t size = make(1, 0x11, v4, sizeof v4);
    cr_assert_eq(parse(size), STATUS_OK);
    cr_assert_eq(taken, size);
    is_client("203.0.113.7:51234");
}

Test(proxy_protocol, an_ipv6_client_and_what_follows_is_not_touched)
{
    size_t size = make(1, 0x21, v6, sizeof v6);
    memset(header + size, 0xff, 100);
    cr_assert_eq(parse(size + 100), STATUS_OK);
    cr_assert_eq(taken, size);
    is_client("[2001:db8::1]:99");
}

Test(proxy_protocol, in_any_pieces)
{
    size_t size = make(1, 0x21, v6, sizeof v6);
    for (size_t cut = 0; cut < size; cut++) {
        cr_assert_eq(parse(cut), STATUS_AGAIN, "%zu", cut);
        cr_assert_eq(taken, cut < 16 ? 16 : size);
        cr_assert_not(out.has_client);
    }
}

Test(proxy_protocol, local_and_unspecified_are_the_senders_own_connection)
{
    const uint8_t junk[] = {1, 2, 3};
    cr_assert_eq(parse(make(0, 0x00, NULL, 0)), STATUS_OK);
    cr_assert_not(out.has_client);
    cr_assert_eq(parse(make(0, 0x77, junk, sizeof junk)), STATUS_OK);
    cr_assert_not(out.has_client);
    cr_assert_eq(taken, 19);
    cr_assert_eq(parse(make(1, 0x00, junk, sizeof junk)), STATUS_OK);
    cr_assert_not(out.has_client);
    const uint8_t paths[216] = "/run/a";
    cr_assert_eq(parse(make(1, 0x31, paths, sizeof paths)), STATUS_OK);
    cr_assert_not(out.has_client);
}

Test(proxy_protocol, each_byte_of_the_signature_counts_and_at_once)
{
    size_t size = make(1, 0x11, v4, sizeof v4);
    for (size_t i = 0; i < 12; i++) {
        header[i] ^= 1;
        for (size_t cut = 0; cut <= size; cut++) {
            cr_assert_eq(parse(cut), cut > i ? STATUS_MALFORMED : STATUS_AGAIN);
            cr_assert_eq(reason != NULL, cut > i);
        }
        header[i] ^= 1;
    }
    cr_assert_eq(parse(size), STATUS_OK);
}

Test(proxy_protocol, version_1_and_tls_are_no_header)
{
    memcpy(header, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 32);
    cr_assert_eq(parse(32), STATUS_MALFORMED);
    memcpy(header, "\x16\x03\x01\x02\x00", 5);
    cr_assert_eq(parse(5), STATUS_MALFORMED);
    cr_assert_eq(parse(1), STATUS_MALFORMED);
}

Test(proxy_protocol, other_versions_commands_and_families_are_refused)
{
    size_t size = make(1, 0x11, v4, sizeof v4);
    for (unsigned i = 0; i < 256; i++) {
        header[12] = (uint8_t)i;
        cr_assert_eq(parse(size), i == 0x20 || i == 0x21 ? STATUS_OK : STATUS_MALFORMED, "%x", i);
    }
    uint8_t block[300] = {0};
    for (unsigned i = 0; i < 256; i++) {
        size = make(1, (uint8_t)i, block, i == 0x11 ? 12 : i == 0x21 ? 36 : i == 0x31 ? 216 : 0);
        bool good = i == 0x00 || i == 0x11 || i == 0x21 || i == 0x31;
        cr_assert_eq(parse(size), good ? STATUS_OK : STATUS_MALFORMED, "%x", i);
    }
}

Test(proxy_protocol, addresses_that_are_cut_short_are_refused)
{
    const uint8_t zeros[216] = {0};
    cr_assert_eq(parse(make(1, 0x11, v4, 11)), STATUS_MALFORMED);
    cr_assert_eq(parse(make(1, 0x11, NULL, 0)), STATUS_MALFORMED);
    cr_assert_eq(parse(make(1, 0x21, v6, 35)), STATUS_MALFORMED);
    cr_assert_eq(parse(make(1, 0x31, zeros, 215)), STATUS_MALFORMED);
    cr_assert_not(out.has_client);
}

Test(proxy_protocol, longer_than_the_bound_is_known_from_the_first_sixteen_bytes)
{
    make(1, 0x11, v4, sizeof v4);
    size_t over = PROXY_PROTOCOL_BYTES_MAX - 16 + 1;
    header[14] = (uint8_t)(over >> 8);
    header[15] = (uint8_t)over;
    cr_assert_eq(parse(16), STATUS_TOO_LARGE);
    header[14] = header[15] = 0xff;
    cr_assert_eq(parse(16), STATUS_TOO_LARGE);
    static uint8_t block[PROXY_PROTOCOL_BYTES_MAX - 16];
    memcpy(block, v4, sizeof v4);
    block[12] = 4; /* NOOP, over all that is left */
    block[13] = (uint8_t)((sizeof block - 15) >> 8);
    block[14] = (uint8_t)(sizeof block - 15);
    cr_assert_eq(parse(make(1, 0x11, block, sizeof block)), STATUS_OK);
    cr_assert_eq(taken, PROXY_PROTOCOL_BYTES_MAX);
}

static size_t with_tlvs(const void *tlvs, size_t size)
{
    uint8_t block[512];
    memcpy(block, v4, sizeof v4);
    memcpy(block + sizeof v4, tlvs, size);
    return make(1, 0x11, block, sizeof v4 + size);
}

Test(proxy_protocol, tlvs_are_passed_over_and_must_be_whole)
{
    cr_assert_eq(parse(with_tlvs("\1\0\2h2\xea\0\0", 8)), STATUS_OK);
    is_client("203.0.113.7:51234");
    cr_assert_eq(parse(with_tlvs("\1\0\2h2\xea\0", 7)), STATUS_MALFORMED);
    cr_assert_eq(parse(with_tlvs("\1\0\2h2\xea", 6)), STATUS_MALFORMED);
    cr_assert_eq(parse(with_tlvs("\1\0\3h2", 5)), STATUS_MALFORMED);
    cr_assert_eq(parse(with_tlvs("\1\xff\xffh2", 5)), STATUS_MALFORMED);
}

/* The sum was made by another implementation, checked with RFC 3720's 0xe3069283. */
Test(proxy_protocol, a_checksum_is_checked)
{
    size_t size = with_tlvs("\3\0\4CRC3\1\0\2h2", 12);
    uint32_t sum = 0xb5e2d049;
    for (int i = 0; i < 4; i++) {
        header[31 + i] = (uint8_t)(sum >> (24 - 8 * i));
    }
    cr_assert_eq(parse(size), STATUS_OK);
    is_client("203.0.113.7:51234");
    for (size_t i = 16; i < size; i++) {
        if (i >= 28 && i < 31) {
            continue; /* which TLV it is, and its length */
        }
        header[i] ^= 0x40;
        cr_assert_neq(parse(size), STATUS_OK, "%zu", i);
        header[i] ^= 0x40;
    }
    cr_assert_eq(parse(with_tlvs("\3\0\3abc", 6)), STATUS_MALFORMED);
}
