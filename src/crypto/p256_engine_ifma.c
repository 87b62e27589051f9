#include "crypto/p256_ifma.h"

#if defined(__x86_64__)

#include <stdlib.h>

static enum status table_build(const void *shared, void *scratch, unsigned size,
                               const struct public_key *key, void *table)
{
    struct p256_point64 point;
    (void)shared;
    enum status status = p256_point_load(&point, key);
    if (status == STATUS_OK) {
        p256_build_ifma_vartime(table, p256_windows_of(size), &point, scratch);
    }
    return status;
}

static void *shared_new(void)
{
    struct p256_shared *shared = p256_shared_allocate();
    struct p256_scratch_ifma *scratch = aligned_alloc(ENGINE_ALIGNMENT, sizeof *scratch);
    if (shared == NULL || scratch == NULL) {
        free(scratch);
        p256_shared_free(shared);
        return NULL;
    }
    p256_build_ifma_vartime(shared->generator, P256_WINDOWS_GENERATOR, &p256_generator, scratch);
    free(scratch);
    return shared;
}

static void verify_known(const void *memory, void *scratch, unsigned size, struct engine_job *jobs,
                         size_t count)
{
    const struct p256_shared *shared = memory;
    p256_verify_ifma(shared->generator, scratch, p256_windows_of(size), jobs, count);
}

static void verify_unknown(const void *memory, void *scratch, struct engine_job *jobs, size_t count)
{
    const struct p256_shared *shared = memory;
    p256_verify_unknown_ifma(shared->generator, scratch, jobs, count);
}

/* A group of eight costs a little more than one verification by BoringSSL, however many of its
 * lanes are used. */
#define UNKNOWN_MIN 2

const struct engine p256_engine_ifma = {
    .tier = ENGINE_IFMA,
    .key_type = KEY_P256,
    .size_max = P256_SIZE_MAX,
    .table_bytes = p256_table_bytes,
    .table_build = table_build,
    .shared_new = shared_new,
    .shared_free = p256_shared_free,
    .scratch_bytes = sizeof(struct p256_scratch_ifma),
    .verify_known = verify_known,
    .unknown_min = UNKNOWN_MIN,
    .verify_unknown = verify_unknown,
};

#endif
