/* What the Ed25519 engines share: everything but the hash and the sum of the terms, where the time
 * goes. */
#ifndef POPGATE_CRYPTO_ED25519_ENGINE_H
#define POPGATE_CRYPTO_ED25519_ENGINE_H

#include "crypto/ed25519_point.h"
#include "crypto/engine.h"

/* Windows of a key's table, from the largest table (366 KiB) to the smallest (47 KiB), and of B's
 * (4.1 MiB). Tables of size 0 have the most, of every next size one less. */
#define ED25519_WINDOWS_MIN  32
#define ED25519_WINDOWS_MAX  64
#define ED25519_WINDOWS_BASE 21
#define ED25519_SIZE_MAX     (ED25519_WINDOWS_MAX - ED25519_WINDOWS_MIN)

static inline unsigned ed25519_windows_of(unsigned size)
{
    return ED25519_WINDOWS_MAX - size;
}

/* A term a window, rounded up to a multiple of 8. */
#define ED25519_TERMS_MAX ((ED25519_WINDOWS_MAX + ED25519_WINDOWS_BASE + 7) / 8 * 8)

/* The portable sum uses these as a list; the vector one as rows of eight lanes, a sum having one
 * lane or several. */
struct ed25519_rows {
    uintptr_t slots[ED25519_TERMS_MAX * 8];
};

struct ed25519_scratch {
    size_t count;
    struct engine_job *live[ENGINE_JOBS_MAX];     /* S in range: [S] B + [h] (-A) is to be R */
    struct ed25519_rows rows[2];                  /* one being summed, one being filled */
    struct ed25519_point points[ENGINE_JOBS_MAX]; /* t is not used */
    uint8_t hashes[ENGINE_JOBS_MAX][64];
    union ed25519_build_scratch build;
};

/* B's table: struct engine.shared_new and shared_free. */
void *ed25519_shared_new(void);
void ed25519_shared_free(void *shared);

/* -A, if the key is valid (ed25519_rule.h): what a key's table is of. */
bool ed25519_key_point_vartime(struct ed25519_point *point, const struct public_key *key);

/* struct engine's table_bytes, table_build; the table is that of -A. */
size_t ed25519_table_bytes(unsigned size);
enum status ed25519_table_make(const void *shared, void *scratch, unsigned size,
                               const struct public_key *key, void *table);

/* Takes the jobs whose S is below L into scratch->live (the others stay failed). */
void ed25519_collect(struct ed25519_scratch *scratch, struct engine_job *jobs, size_t count);
/* scratch->live[index]: from its hash, SHA-512(R || A || M), and S to its terms. */
void ed25519_put_terms_vartime(const void *shared, unsigned windows,
                               const struct ed25519_scratch *scratch, size_t index,
                               struct ed25519_slots *out);
/* scratch->hashes[index] by BoringSSL. */
void ed25519_hash(struct ed25519_scratch *scratch, size_t index);
/* From scratch->points[0 .. count - 1], the sums (z not zero), to the jobs' statuses: one inversion
 * for all, and R compared byte for byte. */
void ed25519_decide_vartime(struct ed25519_scratch *scratch);

#endif
