#include "proxy/peer_headers.h"

#include "proxy/client_cert_header.h"
#include "proxy/header_value.h"

static bool is_safe(const struct tls_peer *peer, struct span own_uri)
{
    bool safe = header_value_is_safe(peer->spiffe_id) && header_value_is_safe(peer->subject) &&
                header_value_is_safe(peer->uri_san) && header_value_is_safe(own_uri);
    for (uint32_t i = 0; i < peer->dns_sans_count; i++) {
        safe = safe && header_value_is_safe(peer->dns_sans[i]);
    }
    return safe;
}

void peer_headers_clear(struct peer_headers *remembered)
{
    for (size_t i = 0; i < PEER_HEADERS_ENTRIES; i++) {
        remembered->entries[i].size = 0;
    }
}

static void write_anew(struct http1_writer *writer, const struct tls_peer *peer,
                       struct span own_uri)
{
    if (peer->spiffe_id.size > 0) {
        http1_write_header(writer, "x-popgate-spiffe-id", peer->spiffe_id);
    }
    http1_write_string(writer, "x-forwarded-client-cert: ");
    client_cert_header_write(writer, peer, own_uri);
    http1_write_string(writer, "\r\n");
}

enum status peer_headers_write(struct peer_headers *remembered, struct http1_writer *writer,
                               const struct tls_peer *peer, struct span own_uri)
{
    const uint8_t *name = peer->certificate_sha256;
    size_t place = name[0] % PEER_HEADERS_ENTRIES;
    if (remembered != NULL && remembered->entries[place].size > 0 &&
        memcmp(remembered->entries[place].certificate_sha256, name, 32) == 0) {
        http1_write(writer,
                    span_make(remembered->entries[place].text, remembered->entries[place].size));
        return STATUS_OK;
    }
    if (!is_safe(peer, own_uri)) {
        return STATUS_FAILED;
    }
    size_t start = writer->size;
    write_anew(writer, peer, own_uri);
    size_t size = writer->size - start;
    if (remembered != NULL && !writer->overflow && size <= PEER_HEADERS_TEXT_BYTES) {
        memcpy(remembered->entries[place].certificate_sha256, name, 32);
        memcpy(remembered->entries[place].text, writer->data + start, size);
        remembered->entries[place].size = (uint32_t)size;
    }
    return STATUS_OK;
}
