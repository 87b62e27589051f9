#include "proxy/request_head.h"

#include "proxy/header_value.h"
#include "proxy/traceparent.h"

static bool identity_is_safe(const struct auth_identity *identity)
{
    return header_value_is_safe(identity->subject) && header_value_is_safe(identity->client_id) &&
           header_value_is_safe(identity->issuer) && header_value_is_safe(identity->scope) &&
           identity->jkt_size <= sizeof identity->jkt &&
           header_value_is_safe(span_make(identity->jkt, identity->jkt_size));
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

enum status request_head_write(struct http1_writer *writer, struct http_head *head,
                               const struct request_facts *facts)
{
    if (facts->identity != NULL && !identity_is_safe(facts->identity)) {
        return STATUS_FAILED;
    }
    size_t start = writer->size;
    http_mark_dropped(head, facts->forward_credentials);
    drop_expect(head);
    bool traced = keep_traceparent(head);
    http1_write_request_head(writer, head);
    if (facts->identity != NULL) {
        write_identity(writer, facts->identity);
    }
    if (peer_headers_write(facts->peer_headers, writer, facts->peer, facts->own_uri) != STATUS_OK) {
        writer->size = start;
        return STATUS_FAILED;
    }
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
