/* BoringSSL as an engine: what a context saves is parsing, the curve check and RSA's Montgomery
 * constants. */
#include "crypto/engine.h"
#include "crypto/reference.h"

/* The most that the library allocates for one key, so that it counts against the memory: a modulus
 * of 4096 bits with its Montgomery constants, or a point of P-521 (a few hundred bytes); rounded up
 * generously. */
#define LIBRARY_KEY_BYTES 4096

static size_t table_bytes(unsigned size)
{
    (void)size;
    return sizeof(struct reference_key) + LIBRARY_KEY_BYTES;
}

static enum status table_build(const void *shared, void *scratch, unsigned size,
                               const struct public_key *key, void *table)
{
    (void)shared;
    (void)scratch;
    (void)size;
    return reference_key_init(table, key);
}

static void table_cleanup(void *table)
{
    reference_key_cleanup(table);
}

static void verify_known(const void *shared, void *scratch, unsigned size, struct engine_job *jobs,
                         size_t count)
{
    (void)shared;
    (void)scratch;
    (void)size;
    for (size_t i = 0; i < count; i++) {
        jobs[i].status = reference_verify_prepared(jobs[i].algorithm, jobs[i].table,
                                                   jobs[i].message, jobs[i].signature);
    }
}

#define REFERENCE_ENGINE(type)                                                                     \
    [type] = {                                                                                     \
        .tier = ENGINE_REFERENCE,                                                                  \
        .key_type = type,                                                                          \
        .table_bytes = table_bytes,                                                                \
        .table_build = table_build,                                                                \
        .table_cleanup = table_cleanup,                                                            \
        .verify_known = verify_known,                                                              \
    }

const struct engine reference_engines[KEY_TYPES] = {
    REFERENCE_ENGINE(KEY_P256),    REFERENCE_ENGINE(KEY_P384), REFERENCE_ENGINE(KEY_P521),
    REFERENCE_ENGINE(KEY_ED25519), REFERENCE_ENGINE(KEY_RSA),
};
