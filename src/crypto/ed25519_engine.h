/* What the Ed25519 engines share: everything but the hash and the sum of the terms, where the time
 * goes. */
#ifndef POPGATE_CRYPTO_ED25519_ENGINE_H
#define POPGATE_CRYPTO_ED25519_ENGINE_H

#include "crypto/ed25519_point.h"
#include "crypto/engine.h"

/* Windows of a key's table, and of B's. */
#define ED25519_WINDOW_MIN  4
#define ED25519_WINDOW_MAX  8
#define ED25519_WINDOW_BASE 12
/* floor(252 / 4) + 1 terms of the key, floor(252 / 12) + 1 of B, rounded up to a multiple of 8. */
#define ED25519_TERMS_MAX 88

/* One signature on its way: [S] B + [h] (-A), whose encoding must be R. */
struct ed25519_sum {
    struct engine_job *job;
    size_t count;
    uintptr_t terms[ED25519_TERMS_MAX];
};

struct ed25519_scratch {
    size_t count;
    struct ed25519_sum sums[ENGINE_JOBS_MAX];
    struct ed25519_point points[ENGINE_JOBS_MAX]; /* t is not used */
    uint8_t hashes[ENGINE_JOBS_MAX][64];
    struct ed25519_build_scratch build;
};

/* B's table: struct engine.shared_new and shared_free. */
void *ed25519_shared_new(void);
void ed25519_shared_free(void *shared);

/* struct engine's table_bytes, table_build; the table is that of -A. */
size_t ed25519_table_bytes(unsigned window);
enum status ed25519_table_make(const void *shared, void *scratch, unsigned window,
                               const struct public_key *key, void *table);

/* Takes the jobs whose S is below L into scratch->sums (the others stay failed). */
void ed25519_collect(struct ed25519_scratch *scratch, struct engine_job *jobs, size_t count);
/* scratch->sums[index]: from its hash, SHA-512(R || A || M), and S to its terms. */
void ed25519_set_terms_vartime(const void *shared, unsigned window, struct ed25519_scratch *scratch,
                               size_t index);
/* From scratch->points[0 .. count - 1], the sums (z not zero), to the jobs' statuses: one inversion
 * for all, and R compared byte for byte. */
void ed25519_decide_vartime(struct ed25519_scratch *scratch);

#endif
