/* What the P-256 engines share. */
#ifndef POPGATE_CRYPTO_P256_ENGINE_H
#define POPGATE_CRYPTO_P256_ENGINE_H

#include "crypto/p256_field64.h"
#include "crypto/p256_recode.h"

/* struct engine.shared of either engine. */
struct p256_shared {
    struct p256_entry *generator; /* of P256_WINDOWS_GENERATOR windows */
    bool bmi2;                    /* the CPU has what p256_verify_bmi2.c is compiled for */
};

/* An affine point in the domain of p256_field64.h; never the point at infinity. */
struct p256_point64 {
    struct fe64 x, y;
};

/* One affine addition of a list: out = a + b. */
struct p256_pair64 {
    const struct p256_point64 *a, *b;
    struct p256_point64 *out;
    size_t owner;
};

#define P256_DOUBLINGS   P256_SCALAR_BITS /* 2^i P, i = 0 .. 255 */
#define P256_PAIRS64_MAX (ENGINE_JOBS_MAX * ((P256_TERMS_MAX + 1) / 2))

/* A thread's working memory. */
struct p256_scratch64 {
    struct p256_loading loading;
    bool exceptional[ENGINE_JOBS_MAX];
    uintptr_t terms[ENGINE_JOBS_MAX][P256_TERMS_MAX];
    struct p256_point64 points[ENGINE_JOBS_MAX][P256_TERMS_MAX];
    struct p256_pair64 pairs[P256_PAIRS64_MAX];
    struct fe64 differences[P256_PAIRS64_MAX], products[P256_PAIRS64_MAX];
    /* Of table building: 2^i P, projective and affine. Read by vector loads, the affine ones as
     * entries. */
    _Alignas(64) struct fe64 chain_x[P256_DOUBLINGS];
    struct fe64 chain_y[P256_DOUBLINGS], chain_z[P256_DOUBLINGS];
    _Alignas(64) struct p256_point64 chain[P256_DOUBLINGS];
};

/* The two compilations of p256_verify64.h. verify: struct engine.verify_known. build: from a point
 * of the curve, the table of so many windows, entries in the domain of p256_field64.h. chain: 2^i P
 * into scratch->chain_x, _y, _z. */
void p256_verify_portable(const struct p256_entry *generator, struct p256_scratch64 *scratch,
                          unsigned windows, struct engine_job *jobs, size_t count);
void p256_build_portable_vartime(struct p256_entry *table, unsigned windows,
                                 const struct p256_point64 *point, struct p256_scratch64 *scratch);
void p256_chain_portable_vartime(const struct p256_point64 *point, struct p256_scratch64 *scratch);
#if defined(__x86_64__)
void p256_verify_bmi2(const struct p256_entry *generator, struct p256_scratch64 *scratch,
                      unsigned windows, struct engine_job *jobs, size_t count);
void p256_build_bmi2_vartime(struct p256_entry *table, unsigned windows,
                             const struct p256_point64 *point, struct p256_scratch64 *scratch);
void p256_chain_bmi2_vartime(const struct p256_point64 *point, struct p256_scratch64 *scratch);
#endif

/* Tables of size 0 have P256_WINDOWS_MAX windows, of every next size one less. */
#define P256_SIZE_MAX (P256_WINDOWS_MAX - P256_WINDOWS_MIN)

static inline unsigned p256_windows_of(unsigned size)
{
    return P256_WINDOWS_MAX - size;
}

/* struct engine's members that are the same for all. */
size_t p256_table_bytes(unsigned size);
void p256_shared_free(void *memory);
/* An engine's shared part without the generator's table written; NULL when memory fails. */
struct p256_shared *p256_shared_allocate(void);

/* A public key as a point: STATUS_FAILED if a coordinate is not below p or the point is not on the
 * curve. */
MUST_CHECK enum status p256_point_load(struct p256_point64 *point, const struct public_key *key);

extern const struct p256_point64 p256_generator;

#endif
