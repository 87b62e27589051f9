#include "crypto/p256_engine.h"

#include "base/cpu_features.h"
#include "crypto/table_memory.h"

#include <stdlib.h>

/* SP 800-186 section 3.2.1.3: G, in the Montgomery domain. */
const struct p256_point64 p256_generator = {
    .x = {{0x79e730d418a9143c, 0x75ba95fc5fedb601, 0x79fb732b77622510, 0x18905f76a53755c6}},
    .y = {{0xddf25357ce95560a, 0x8b4ab8e4ba19e45c, 0xd2e88688dd21f325, 0x8571ff1825885d85}}};

/* b of y^2 = x^3 - 3 x + b, not in the domain. */
static const uint64_t curve_b[4] = {0x3bce3c3e27d2604b, 0x651d06b0cc53b0f6, 0xb3ebbd55769886bc,
                                    0x5ac635d8aa3a93e7};

enum status p256_point_load(struct p256_point64 *point, const struct public_key *key)
{
    uint64_t x[4], y[4];
    p256_words(x, key->x);
    p256_words(y, key->y);
    if (!p256_words_below(x, fe64_p.v) || !p256_words_below(y, fe64_p.v)) {
        return STATUS_FAILED;
    }
    fe64_from_words(&point->x, x);
    fe64_from_words(&point->y, y);
    /* y^2 = (x^2 - 3) x + b. The point at infinity has no coordinates to come here with; (0, 0) is
     * not on the curve, for b is not zero. */
    struct fe64 three, b, right, left;
    fe64_add(&three, &fe64_one, &fe64_one);
    fe64_add(&three, &three, &fe64_one);
    fe64_from_words(&b, curve_b);
    fe64_square(&right, &point->x);
    fe64_sub(&right, &right, &three);
    fe64_mul(&right, &right, &point->x);
    fe64_add(&right, &right, &b);
    fe64_square(&left, &point->y);
    return fe64_equal(&left, &right) ? STATUS_OK : STATUS_FAILED;
}

size_t p256_table_bytes(unsigned size)
{
    return p256_table_entries(p256_windows_of(size)) * sizeof(struct p256_entry);
}

static void build(const struct p256_shared *shared, struct p256_entry *table, unsigned windows,
                  const struct p256_point64 *point, struct p256_scratch64 *scratch)
{
#if defined(__x86_64__)
    if (shared->bmi2) {
        p256_build_bmi2_vartime(table, windows, point, scratch);
        return;
    }
#endif
    (void)shared;
    p256_build_portable_vartime(table, windows, point, scratch);
}

static enum status table_build(const void *shared, void *scratch, unsigned size,
                               const struct public_key *key, void *table)
{
    struct p256_point64 point;
    enum status status = p256_point_load(&point, key);
    if (status == STATUS_OK) {
        build(shared, table, p256_windows_of(size), &point, scratch);
    }
    return status;
}

#define GENERATOR_BYTES (p256_table_entries(P256_WINDOWS_GENERATOR) * sizeof(struct p256_entry))

void p256_shared_free(void *memory)
{
    struct p256_shared *shared = memory;
    if (shared != NULL) {
        table_memory_free(shared->generator, GENERATOR_BYTES);
        free(shared);
    }
}

struct p256_shared *p256_shared_allocate(void)
{
    struct p256_shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        return NULL;
    }
    shared->bmi2 = cpu_features_read().bmi2_adx;
    shared->generator = table_memory_new(GENERATOR_BYTES);
    if (shared->generator == NULL) {
        free(shared);
        return NULL;
    }
    return shared;
}

static void *shared_new(void)
{
    struct p256_shared *shared = p256_shared_allocate();
    struct p256_scratch64 *scratch = aligned_alloc(ENGINE_ALIGNMENT, sizeof *scratch);
    if (shared == NULL || scratch == NULL) {
        free(scratch);
        p256_shared_free(shared);
        return NULL;
    }
    build(shared, shared->generator, P256_WINDOWS_GENERATOR, &p256_generator, scratch);
    free(scratch);
    return shared;
}

static void verify_known(const void *memory, void *scratch, unsigned size, struct engine_job *jobs,
                         size_t count)
{
    const struct p256_shared *shared = memory;
#if defined(__x86_64__)
    if (shared->bmi2) {
        p256_verify_bmi2(shared->generator, scratch, p256_windows_of(size), jobs, count);
        return;
    }
#endif
    p256_verify_portable(shared->generator, scratch, p256_windows_of(size), jobs, count);
}

const struct engine p256_engine_portable = {
    .tier = ENGINE_PORTABLE,
    .key_type = KEY_P256,
    .size_max = P256_SIZE_MAX,
    .table_bytes = p256_table_bytes,
    .table_build = table_build,
    .shared_new = shared_new,
    .shared_free = p256_shared_free,
    .scratch_bytes = sizeof(struct p256_scratch64),
    .verify_known = verify_known,
};
