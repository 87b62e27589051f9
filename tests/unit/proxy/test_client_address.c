#include "proxy/client_address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

static struct client_address parse(const char *text)
{
    struct sockaddr_storage storage = {0};
    if (strchr(text, ':') != NULL) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(443);
        cr_assert_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(80);
        cr_assert_eq(inet_pton(AF_INET, text, &in->sin_addr), 1);
    }
    return client_address_of(&storage);
}

static struct client_network network(const char *text, unsigned bits)
{
    struct client_address address = parse(text);
    struct client_network made = {.prefix_bits = (uint8_t)bits, .family = address.family};
    memcpy(made.bytes, address.bytes, sizeof made.bytes);
    return made;
}

static bool has(const char *net, unsigned bits, const char *text)
{
    struct client_network one = network(net, bits);
    struct client_address address = parse(text);
    return client_network_has(&one, 1, &address);
}

Test(client_address, texts)
{
    const struct {
        const char *in, *alone, *with_port;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.1:80"},
        {"255.255.255.255", "255.255.255.255", "255.255.255.255:80"},
        {"2001:db8::1", "2001:db8::1", "[2001:db8::1]:443"},
        {"::", "::", "[::]:443"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:443"},
        {"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1:443"},
        {"::ffff:0:1", "0.0.0.1", "0.0.0.1:443"},
        {"::fffe:0:1", "::fffe:0:1", "[::fffe:0:1]:443"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CLIENT_ADDRESS_TEXT_BYTES];
        struct client_address address = parse(cases[i].in);
        struct span got = client_address_text(&address, text);
        cr_assert(span_equal_string(got, cases[i].alone), "%.*s", SPAN_ARG(got));
        got = client_address_port_text(&address, text);
        cr_assert(span_equal_string(got, cases[i].with_port), "%.*s", SPAN_ARG(got));
    }
}

Test(client_address, what_is_no_ip_address_has_no_text_and_is_in_no_network)
{
    struct sockaddr_storage unix_socket = {.ss_family = AF_UNIX};
    struct client_address address = client_address_of(&unix_socket);
    char text[CLIENT_ADDRESS_TEXT_BYTES];
    cr_assert_eq(address.family, 0);
    cr_assert_eq(client_address_text(&address, text).size, 0);
    cr_assert_eq(client_address_port_text(&address, text).size, 0);
    struct client_network all[] = {network("0.0.0.0", 0), network("::", 0)};
    cr_assert_not(client_network_has(all, 2, &address));
}

Test(client_address, networks)
{
    cr_assert(has("10.0.0.0", 8, "10.255.1.2"));
    cr_assert_not(has("10.0.0.0", 8, "11.0.0.0"));
    cr_assert(has("10.0.0.0", 0, "200.1.1.1"));
    cr_assert(has("192.0.2.7", 32, "192.0.2.7"));
    cr_assert_not(has("192.0.2.7", 32, "192.0.2.6"));
    cr_assert(has("192.0.2.128", 25, "192.0.2.255"));
    cr_assert_not(has("192.0.2.128", 25, "192.0.2.127"));
    cr_assert(has("172.16.0.0", 12, "172.31.255.255"));
    cr_assert_not(has("172.16.0.0", 12, "172.32.0.0"));
    cr_assert(has("2001:db8::", 32, "2001:db8:ffff::1"));
    cr_assert_not(has("2001:db8::", 32, "2001:db9::1"));
    cr_assert(has("2001:db8::1", 128, "2001:db8::1"));
    cr_assert_not(has("2001:db8::1", 128, "2001:db8::2"));
    /* One is not the other, but for the mapped ones. */
    cr_assert_not(has("::", 0, "10.0.0.1"));
    cr_assert_not(has("0.0.0.0", 0, "2001:db8::1"));
    cr_assert(has("10.0.0.0", 8, "::ffff:10.1.2.3"));
}

Test(client_address, any_network_of_several)
{
    struct client_network several[] = {network("10.0.0.0", 8), network("2001:db8::", 32)};
    struct client_address in = parse("2001:db8::5"), out = parse("192.0.2.1");
    cr_assert(client_network_has(several, 2, &in));
    cr_assert_not(client_network_has(several, 2, &out));
    cr_assert_not(client_network_has(several, 0, &in));
    cr_assert_not(client_network_has(NULL, 0, &in));
}

/* Written by hand, so held against the library's, every byte in every place. */
Test(client_address, ipv4_reads_as_inet_ntop_writes_it)
{
    char text[CLIENT_ADDRESS_TEXT_BYTES], wanted[INET_ADDRSTRLEN];
    for (unsigned place = 0; place < 4; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t bytes[4] = {9, 10, 99, 100};
            bytes[place] = (uint8_t)byte;
            struct client_address address = client_address_from(bytes, 4, 1);
            cr_assert_not_null(inet_ntop(AF_INET, bytes, wanted, sizeof wanted));
            cr_assert(span_equal_string(client_address_text(&address, text), wanted), "%s", wanted);
            cr_assert_str_eq(text, wanted);
        }
    }
}
