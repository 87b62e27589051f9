/* Bytes from the network to a fresh server, whole or in pieces: no crash, no leak, and never past
 * the handshake. The first byte says how large the pieces are (0: whole). */
#include "unit/tls/driver.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world world;

static void close_world(void)
{
    world_close(&world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (world.context == NULL) {
        world_open(&world);
        struct tls_options options = world_options(&world);
        options.min_version_minor = 2;
        options.http2 = true;
        world_reload(&world, &options);
        atexit(close_world);
    }
    if (size == 0) {
        return 0;
    }
    size_t step = data[0] == 0 ? size : data[0];
    struct span rest = span_make(data + 1, size - 1);
    struct chunk_pool pool;
    struct buffer out;
    chunk_pool_init(&pool, 1024, 64);
    buffer_init(&out, &pool);
    struct tls_connection *server = tls_connection_new(world.context, &out, 16384);
    assert(server != NULL);
    enum status status = STATUS_AGAIN;
    while (rest.size > 0 && status == STATUS_AGAIN) {
        struct span piece = span_first(rest, step < rest.size ? step : rest.size);
        rest = span_after(rest, piece.size);
        tls_input(server, piece);
        status = tls_handshake(server, &world.now);
        assert(tls_input_left(server) == 0);
        buffer_clear(&out);
    }
    /* Nobody who has not shown a key of ours gets in. */
    assert(status != STATUS_OK);
    assert(tls_connection_failure(server) != NULL);
    tls_connection_free(server);
    buffer_clear(&out);
    chunk_pool_cleanup(&pool);
    return 0;
}
