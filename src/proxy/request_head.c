#include "proxy/request_head.h"

#include "proxy/client_cert_header.h"
#include "proxy/traceparent.h"

/* A high bit for each of eight bytes that is below 0x20, 0x7f or above: below 0x80, a byte borrows
 * from 0x80 + byte - 0x20, or carries into it by + 1, only in those cases; what is above has the
 * bit itself. Each byte minds its own, for no sum or difference leaves it. */
static uint64_t unsafe_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    uint64_t low = word & ~high;
    return (word | (low + ones) | ~((low | high) - 0x20 * ones)) & high;
}

/* Printable ASCII: what DESIGN.md allows in a value taken from a claim or a certificate. */
static bool value_is_safe(struct span value)
{
    uint64_t bad = 0, word;
    size_t i = 0;
    for (; i + sizeof word <= value.size; i += sizeof word) {
        memcpy(&word, value.data + i, sizeof word);
        bad |= unsafe_bytes(word);
    }
    for (; i < value.size; i++) {
        bad |= unsafe_bytes(0x2020202020202000 | value.data[i]);
    }
    return bad == 0;
}

static bool peer_is_safe(const struct tls_peer *peer)
{
    bool safe = value_is_safe(peer->spiffe_id) && value_is_safe(peer->subject) &&
                value_is_safe(peer->uri_san);
    for (uint32_t i = 0; i < peer->dns_sans_count; i++) {
        safe = safe && value_is_safe(peer->dns_sans[i]);
    }
    return safe;
}

static bool identity_is_safe(const struct auth_identity *identity)
{
    return value_is_safe(identity->subject) && value_is_safe(identity->client_id) &&
           value_is_safe(identity->issuer) && value_is_safe(identity->scope) &&
           identity->jkt_size <= sizeof identity->jkt &&
           value_is_safe(span_make(identity->jkt, identity->jkt_size));
}

/* An absent value sets no header: empty and absent are the same to the service, and inbound copies
 * are gone. */
static void write_present(struct http1_writer *writer, const char *name, struct span value)
{
    if (value.size > 0) {
        http1_write_header(writer, name, value);
    }
}

static void write_identity(struct http1_writer *writer, const struct auth_identity *identity)
{
    write_present(writer, "x-popgate-subject", identity->subject);
    write_present(writer, "x-popgate-client-id", identity->client_id);
    write_present(writer, "x-popgate-issuer", identity->issuer);
    write_present(writer, "x-popgate-scope", identity->scope);
    write_present(writer, "x-popgate-jkt", span_make(identity->jkt, identity->jkt_size));
}

/* Drops every traceparent and tracestate unless there is exactly one valid traceparent. True if one
 * stays. */
static bool keep_traceparent(struct http_head *head)
{
    struct span name = SPAN_LITERAL("traceparent");
    size_t count = 0;
    bool valid = false;
    for (uint32_t i = 0; i < head->headers_count; i++) {
        struct http_header *header = &head->headers[i];
        if (!header->dropped && span_equal_ignore_case(header->name, name)) {
            count++;
            valid = traceparent_valid(header->value);
        }
    }
    if (count == 1 && valid) {
        return true;
    }
    for (uint32_t i = 0; i < head->headers_count; i++) {
        struct http_header *header = &head->headers[i];
        if (span_equal_ignore_case(header->name, name) ||
            span_equal_ignore_case(header->name, SPAN_LITERAL("tracestate"))) {
            header->dropped = true;
        }
    }
    return false;
}

/* The gate answers 100 itself once the request is allowed, so the service is not asked for it. */
static void drop_expect(struct http_head *head)
{
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (head->headers[i].field == HTTP_FIELD_EXPECT) {
            head->headers[i].dropped = true;
        }
    }
}

static void write_shadow(struct http1_writer *writer, const char *check)
{
    http1_write_string(writer, "x-popgate-shadow: deny; check=");
    http1_write_string(writer, check);
    http1_write_string(writer, "\r\n");
}

/* The gate is the edge of what is trusted: what a client says about the way to it is dropped, and
 * the one address that the gate has seen, or was told by a trusted load balancer, stands alone. */
static void write_forwarded_for(struct http1_writer *writer, const struct client_address *client)
{
    char text[CLIENT_ADDRESS_TEXT_BYTES];
    if (client != NULL) {
        write_present(writer, "x-forwarded-for", client_address_text(client, text));
    }
}

static void write_client_cert(struct http1_writer *writer, const struct request_facts *facts)
{
    write_present(writer, "x-popgate-spiffe-id", facts->peer->spiffe_id);
    http1_write_string(writer, "x-forwarded-client-cert: ");
    client_cert_header_write(writer, facts->peer, facts->own_uri);
    http1_write_string(writer, "\r\n");
}

enum status request_head_write(struct http1_writer *writer, struct http_head *head,
                               const struct request_facts *facts)
{
    if (!peer_is_safe(facts->peer) || !value_is_safe(facts->own_uri) ||
        (facts->identity != NULL && !identity_is_safe(facts->identity))) {
        return STATUS_FAILED;
    }
    http_mark_dropped(head, facts->forward_credentials);
    drop_expect(head);
    bool traced = keep_traceparent(head);
    http1_write_request_head(writer, head);
    if (facts->identity != NULL) {
        write_identity(writer, facts->identity);
    }
    write_client_cert(writer, facts);
    write_forwarded_for(writer, facts->client);
    write_present(writer, "sec-websocket-key", facts->websocket_key);
    if (facts->shadow_check != NULL) {
        write_shadow(writer, facts->shadow_check);
    }
    if (!traced) {
        char text[TRACEPARENT_BYTES];
        traceparent_begin(facts->random_state, text);
        http1_write_header(writer, "traceparent", span_make(text, sizeof text));
    }
    http1_write_string(writer, "\r\n");
    return writer->overflow ? STATUS_TOO_LARGE : STATUS_OK;
}
