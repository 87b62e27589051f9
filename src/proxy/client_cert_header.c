#include "proxy/client_cert_header.h"

#include "base/hex.h"

static void write_byte(struct http1_writer *writer, uint8_t byte)
{
    http1_write(writer, span_make(&byte, 1));
}

/* The subject, always in quotes. RFC 2253 text already writes a quote as \" , which is how Envoy's
 * quoting writes it too. It writes a backslash as \\ , which a reader that knows only \" would
 * misread at the end of the value, so it goes out in RFC 2253's other form, \5C. A quote that comes
 * without a backslash gets one. */
static void write_subject(struct http1_writer *writer, struct span subject)
{
    write_byte(writer, '"');
    for (size_t i = 0; i < subject.size; i++) {
        uint8_t byte = subject.data[i];
        if (byte == '"') {
            http1_write_string(writer, "\\\"");
        } else if (byte != '\\') {
            write_byte(writer, byte);
        } else if (i + 1 == subject.size || subject.data[i + 1] == '\\') {
            http1_write_string(writer, "\\5C");
            i++;
        } else if (subject.data[i + 1] == '"') {
            http1_write_string(writer, "\\\"");
            i++;
        } else {
            write_byte(writer, byte);
        }
    }
    write_byte(writer, '"');
}

static bool needs_quotes(struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        if (byte == ',' || byte == ';' || byte == '=' || byte == '"' || byte == '\\') {
            return true;
        }
    }
    return false;
}

/* "If ',', ';' or '=' appear in a value, the value should be double-quoted. Double-quotes in the
 * value should be replaced by backslash-double-quote." */
static void write_value(struct http1_writer *writer, struct span value)
{
    if (!needs_quotes(value)) {
        http1_write(writer, value);
        return;
    }
    write_byte(writer, '"');
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\') {
            write_byte(writer, '\\');
        }
        write_byte(writer, value.data[i]);
    }
    write_byte(writer, '"');
}

static void write_hash(struct http1_writer *writer, const uint8_t digest[32])
{
    char text[64];
    hex_write(digest, 32, text);
    http1_write(writer, span_make(text, sizeof text));
}

void client_cert_header_write(struct http1_writer *writer, const struct tls_peer *peer,
                              struct span own_uri)
{
    if (own_uri.size > 0) {
        http1_write_string(writer, "By=");
        write_value(writer, own_uri);
        write_byte(writer, ';');
    }
    http1_write_string(writer, "Hash=");
    write_hash(writer, peer->certificate_sha256);
    http1_write_string(writer, ";Subject=");
    write_subject(writer, peer->subject);
    http1_write_string(writer, ";URI=");
    write_value(writer, peer->uri_san);
    for (uint32_t i = 0; i < peer->dns_sans_count; i++) {
        http1_write_string(writer, ";DNS=");
        write_value(writer, peer->dns_sans[i]);
    }
}
