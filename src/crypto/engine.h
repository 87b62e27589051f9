/* What an implementation of one kind of key provides. crypto/batch.c sorts the jobs of a turn,
 * looks each key up (crypto/key_contexts.h) and hands every engine its own; crypto/engines.c names
 * the engines there are.
 *
 * For whoever writes one, say P-256: define `const struct engine p256_engine_portable,
 * p256_engine_ifma;` (declared at the end of this file), fill every member below, put them into the
 * table in engines.c. Nothing else changes.
 *
 * The rules an engine keeps:
 *  - The verdict is the reference's, bit for bit, alone and in every lane, whatever stands in the
 * other lanes.
 *  - An exceptional case it does not compute (equal or opposite points met in an addition that
 * assumes otherwise) gets STATUS_AGAIN, for that job alone: the caller asks the reference, whose
 * cost per job is bounded. It never guesses and never lets one job's poison decide another's.
 *  - No allocation, no locks, no clock, no BoringSSL error queue in verify_known and
 * verify_unknown.
 *  - Nothing here is secret, so nothing needs to be constant-time; functions that are not end in
 * _vartime.
 *  - Scalar inverses: crypto/modinv.h (any odd modulus, 0.7 us), after simultaneous
 * inversion over the batch.
 *  - Short groups are padded by the engine itself, with copies of a job that is there. */
#ifndef POPGATE_CRYPTO_ENGINE_H
#define POPGATE_CRYPTO_ENGINE_H

#include "crypto/verify.h"

/* The columns of verifier_counters.signatures, and of POPGATE_CRYPTO. */
enum engine_tier { ENGINE_REFERENCE, ENGINE_PORTABLE, ENGINE_IFMA, ENGINE_TIERS };

#define KEY_TYPES        (KEY_RSA + 1)
#define ENGINE_JOBS_MAX  64 /* jobs of one call */
#define ENGINE_ALIGNMENT 64 /* of tables and of scratch */

/* One signature, for an engine. `algorithm` fits the key's type. */
struct engine_job {
    enum signature_algorithm algorithm;
    enum status status; /* out: FAILED when called; OK, FAILED, or AGAIN (ask the reference) */
    const void *table;  /* verify_known: what table_build wrote for this key */
    const struct public_key *key; /* ES256, EdDSA in verify_unknown: not validated yet */
    struct span
        signature; /* ES256, EdDSA: 64 bytes, any content (r, s or S out of range: FAILED) */
    struct span message;
    /* ES256 only: SHA-256 of the message, which the engine writes first where it is wanted. */
    bool digest_wanted;
    uint8_t digest[32];
    struct verify_job *job; /* batch.c's */
    uint64_t key_hash;      /* batch.c's */
};

struct engine {
    enum engine_tier tier;
    enum public_key_type key_type;

    /* Tables have sizes 0 to size_max, each larger than the one before and each worth its memory
     * in time; a verifier uses the same for all its tables of a type. */
    unsigned size_max;
    /* Bytes of a key's table (counted against the memory; what the library allocates for it is
     * counted here too). */
    size_t (*table_bytes)(unsigned size);
    /* Validates the key and writes the table, aligned to ENGINE_ALIGNMENT, to be read by many
     * threads and never written again. STATUS_FAILED: the key is not valid (off the curve, out of
     * range, small order). STATUS_NO_MEMORY. */
    enum status (*table_build)(const void *shared, void *scratch, unsigned size,
                               const struct public_key *key, void *table);
    /* May be NULL. Before the table's memory is freed. */
    void (*table_cleanup)(void *table);

    /* What all threads of a verifier share read-only: the generator's table. Both NULL, or both
     * not. shared_new runs at start and returns owned, or NULL when memory fails. A sidecar must be
     * ready within 200 ms, this included. */
    void *(*shared_new)(void);
    void (*shared_free)(void *shared);

    /* A thread's working memory, aligned, not initialised; enough for every call below. May be 0.
     */
    size_t scratch_bytes;

    /* 1 <= count <= ENGINE_JOBS_MAX. Every job has a table; several may have the same. */
    void (*verify_known)(const void *shared, void *scratch, unsigned size, struct engine_job *jobs,
                         size_t count);
    /* Keys without a table, unknown_min <= count <= ENGINE_JOBS_MAX; fewer go to the reference, and
     * all do if this is NULL. */
    size_t unknown_min;
    void (*verify_unknown)(const void *shared, void *scratch, struct engine_job *jobs,
                           size_t count);
};

/* The engine of a tier for a key type, or the best below it; never NULL for a valid type. */
const struct engine *engine_choose(enum engine_tier tier, enum public_key_type type);

/* BoringSSL with the key parsed once: every key type, and what there is when no better engine is.
 */
extern const struct engine reference_engines[KEY_TYPES];

/* ES256; the second only where the CPU has AVX-512 IFMA. */
extern const struct engine p256_engine_portable;
#if defined(__x86_64__)
extern const struct engine p256_engine_ifma;
#endif

/* Ed25519; the second only where the CPU has AVX-512 IFMA. */
extern const struct engine ed25519_engine_portable;
#if defined(__x86_64__)
extern const struct engine ed25519_engine_ifma;
#endif

#endif
