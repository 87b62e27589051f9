/* What the files of the AVX-512 IFMA engine share: points in eight lanes and the simultaneous
 * inversion. Bounds of values are in units of 2^256, as in p256_field_ifma.h. */
#ifndef POPGATE_CRYPTO_P256_IFMA_H
#define POPGATE_CRYPTO_P256_IFMA_H

#include "crypto/p256_engine.h"
#include "crypto/p256_field_ifma.h"

#if defined(__x86_64__)

#define P256_GROUPS    (ENGINE_JOBS_MAX / FE8_LANES)
#define P256_STEPS_MAX (P256_GROUPS * ((P256_TERMS_MAX + 1) / 2))

/* Windows of a key that has no table. */
#define P256_WINDOWS_UNKNOWN 52
#define P256_UNKNOWN_ENTRIES ((size_t)1 << (P256_SCALAR_BITS / P256_WINDOWS_UNKNOWN))

struct p256_point8 {
    struct fe8 x, y;
};

/* An affine addition between the way through the list and the way back. */
struct p256_step8 {
    struct fe8 x, difference, product;
};

struct p256_scratch_ifma {
    /* verify_known: a term for every slot and lane; points of a group after the first level. */
    uintptr_t terms[P256_GROUPS][P256_TERMS_MAX][FE8_LANES];
    struct p256_point8 points[P256_GROUPS][(P256_TERMS_MAX + 1) / 2];
    struct p256_step8 steps[P256_STEPS_MAX];
    struct p256_loading loading;
    /* verify_unknown: 1, 3, ... 31 times the key of every lane. */
    struct p256_entry multiples[FE8_LANES][P256_UNKNOWN_ENTRIES];
    struct p256_scratch64 build;
};

/* 2^260 mod p, which stands for 1. */
extern const struct fe8_constant fe8_one;
/* 2^520 mod p, which brings a number into the domain. */
extern const struct fe8_constant fe8_r2;

/* 1 / a in every lane, by one inversion for all and six products. a: carried, below 2, zero in no
 * lane. Carried, below 1.2. */
struct fe8 fe8_invert_vartime(const struct fe8 *a);

/* Lanes whose signature is valid: where x zz = -minus_x for x = r or r + n. zz carried, below 4.3;
 * minus_x wide, 0 to 3. Lanes whose zz is zero are added to *exceptional. */
__mmask8 p256_decide_ifma(const struct p256_signature *const lanes[FE8_LANES], const struct fe8 *zz,
                          const struct fe8 *minus_x, __mmask8 *exceptional);

/* Eight points in the domain, wide and below 16, as entries. */
void p256_store_ifma(struct p256_entry *const out[FE8_LANES], const struct fe8 *x,
                     const struct fe8 *y);

/* struct engine.table_build's second half: the table of a point of the curve. */
void p256_build_ifma_vartime(struct p256_entry *table, unsigned windows,
                             const struct p256_point64 *point, struct p256_scratch_ifma *scratch);

/* From scratch->loading, after p256_load, with live > 0, to the terms of every lane, for a
 * signature a lane: u1 and u2 are not stored. */
void p256_load_terms_ifma_vartime(const struct p256_entry *generator,
                                  struct p256_scratch_ifma *scratch, unsigned windows);

/* From scratch->loading, after p256_load, with 1 <= live <= P256_FEW_MAX, to the jobs' statuses. */
#define P256_FEW_MAX 4
void p256_verify_few_ifma(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                          unsigned windows);

/* struct engine.verify_known and verify_unknown. */
void p256_verify_unknown_ifma(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                              struct engine_job *jobs, size_t count);
void p256_verify_ifma(const struct p256_entry *generator, struct p256_scratch_ifma *scratch,
                      unsigned windows, struct engine_job *jobs, size_t count);

#endif
#endif
