/* A verdict does not change with the bytes that follow the header, nor with how it was cut; what is
 * asked for more is what is needed; nothing beyond the bytes is read. */
#include "proxy/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* In memory of exactly its size. */
static enum status parse(const uint8_t *data, size_t size, struct proxy_protocol *out,
                         size_t *wanted, const char **reason)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    check(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    enum status status = proxy_protocol_parse(span_make(copy, size), out, wanted, reason);
    free(copy);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_protocol whole, part;
    size_t whole_size, part_size;
    const char *reason = NULL;
    enum status status = parse(data, size, &whole, &whole_size, &reason);
    check(whole_size <= PROXY_PROTOCOL_BYTES_MAX);
    check((status == STATUS_MALFORMED || status == STATUS_TOO_LARGE) == (reason != NULL));
    if (status == STATUS_AGAIN) {
        check(whole_size > size);
        return 0;
    }
    bool refused = false;
    for (size_t cut = 0; cut < size && cut < 64 && !refused; cut++) {
        const char *words = NULL;
        enum status early = parse(data, cut, &part, &part_size, &words);
        check(early != STATUS_OK || (status == STATUS_OK && cut >= whole_size));
        refused = early == STATUS_MALFORMED || early == STATUS_TOO_LARGE;
        check(!refused || early == status);
    }
    if (status == STATUS_OK) {
        check(whole_size >= PROXY_PROTOCOL_FIXED_BYTES && whole_size <= size);
        check(parse(data, whole_size, &part, &part_size, &reason) == STATUS_OK);
        check(part_size == whole_size && part.has_client == whole.has_client);
        check(memcmp(&part.client, &whole.client, sizeof part.client) == 0);
        check(parse(data, whole_size - 1, &part, &part_size, &reason) == STATUS_AGAIN);
        check(!whole.has_client || whole.client.family == 4 || whole.client.family == 6);
        char text[CLIENT_ADDRESS_TEXT_BYTES];
        check((client_address_port_text(&whole.client, text).size > 0) == whole.has_client);
    }
    return 0;
}
