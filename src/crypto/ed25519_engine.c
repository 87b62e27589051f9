#include "crypto/ed25519_engine.h"

#include "crypto/ed25519_rule.h"
#include "crypto/ed25519_scalar.h"
#include "crypto/table_memory.h"

#include <openssl/sha.h>
#include <stdlib.h>

static size_t base_bytes(void)
{
    return ed25519_table_entries(ED25519_WINDOWS_BASE) * sizeof(struct ed25519_entry);
}

void *ed25519_shared_new(void)
{
    struct ed25519_entry *table = table_memory_new(base_bytes());
    union ed25519_build_scratch *scratch = malloc(sizeof *scratch);
    if (table == NULL || scratch == NULL) {
        table_memory_free(table, base_bytes());
        free(scratch);
        return NULL;
    }
    ed25519_table_build_vartime(table, ED25519_WINDOWS_BASE, &ed25519_base, scratch);
    free(scratch);
    return table;
}

void ed25519_shared_free(void *shared)
{
    table_memory_free(shared, base_bytes());
}

size_t ed25519_table_bytes(unsigned size)
{
    return ed25519_table_entries(ed25519_windows_of(size)) * sizeof(struct ed25519_entry);
}

bool ed25519_key_point_vartime(struct ed25519_point *point, const struct public_key *key)
{
    if (!ed25519_key_encoding_allowed(key->x) || !ed25519_decode_vartime(point, key->x)) {
        return false;
    }
    const struct fe zero = {{0}}, one = {{1}};
    point->x = fe_sub(&zero, &point->x);
    point->x = fe_mul(&point->x, &one);
    point->t = fe_mul(&point->x, &point->y);
    return true;
}

enum status ed25519_table_make(const void *shared, void *scratch, unsigned size,
                               const struct public_key *key, void *table)
{
    (void)shared;
    struct ed25519_scratch *own = scratch;
    struct ed25519_point point;
    if (!ed25519_key_point_vartime(&point, key)) {
        return STATUS_FAILED;
    }
    ed25519_table_build_vartime(table, ed25519_windows_of(size), &point, &own->build);
    return STATUS_OK;
}

void ed25519_collect(struct ed25519_scratch *scratch, struct engine_job *jobs, size_t count)
{
    scratch->count = 0;
    for (size_t i = 0; i < count; i++) {
        jobs[i].status = STATUS_FAILED;
        /* RFC 8032 section 5.1.7: "If any of the decodings fail (including S being out of range),
         * the signature is invalid." */
        if (ed25519_scalar_canonical(jobs[i].signature.data + 32)) {
            scratch->live[scratch->count++] = &jobs[i];
        }
    }
}

static void words_of(uint64_t *words, const uint8_t *bytes, size_t count)
{
    memcpy(words, bytes, 8 * count);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count; i++) {
        words[i] = __builtin_bswap64(words[i]);
    }
#endif
}

void ed25519_put_terms_vartime(const void *shared, unsigned windows,
                               const struct ed25519_scratch *scratch, size_t index,
                               struct ed25519_slots *out)
{
    const struct engine_job *job = scratch->live[index];
    uint64_t hash[8], h[4], s[4];
    words_of(hash, scratch->hashes[index], 8);
    ed25519_scalar_reduce_vartime(h, hash);
    words_of(s, job->signature.data + 32, 4);
    ed25519_recode_vartime(out, h, windows, job->table);
    ed25519_recode_vartime(out, s, ED25519_WINDOWS_BASE, shared);
}

void ed25519_decide_vartime(struct ed25519_scratch *scratch)
{
    struct fe product = {{1}};
    for (size_t i = 0; i < scratch->count; i++) {
        scratch->points[i].t = product;
        product = fe_mul(&product, &scratch->points[i].z);
    }
    struct fe inverse = fe_invert_vartime(&product);
    for (size_t i = scratch->count; i-- > 0;) {
        const struct ed25519_point *p = &scratch->points[i];
        struct engine_job *job = scratch->live[i];
        struct fe zi = fe_mul(&inverse, &p->t);
        inverse = fe_mul(&inverse, &p->z);
        struct fe x = fe_mul(&p->x, &zi), y = fe_mul(&p->y, &zi);
        uint64_t xw[4], yw[4], r[4];
        fe_words(xw, &x);
        fe_words(yw, &y);
        yw[3] |= xw[0] << 63;
        words_of(r, job->signature.data, 4);
        job->status = ((yw[0] ^ r[0]) | (yw[1] ^ r[1]) | (yw[2] ^ r[2]) | (yw[3] ^ r[3])) == 0
                          ? STATUS_OK
                          : STATUS_FAILED;
    }
}

void ed25519_hash(struct ed25519_scratch *scratch, size_t index)
{
    const struct engine_job *job = scratch->live[index];
    SHA512_CTX ctx;
    SHA512_Init(&ctx);
    SHA512_Update(&ctx, job->signature.data, 32);
    SHA512_Update(&ctx, job->key->x, 32);
    SHA512_Update(&ctx, job->message.data, job->message.size);
    SHA512_Final(scratch->hashes[index], &ctx);
}

static void verify_known(const void *shared, void *memory, unsigned size, struct engine_job *jobs,
                         size_t count)
{
    struct ed25519_scratch *scratch = memory;
    ed25519_collect(scratch, jobs, count);
    for (size_t i = 0; i < scratch->count; i++) {
        ed25519_hash(scratch, i);
        struct ed25519_slots slots = {
            .slots = scratch->rows[0].slots, .lanes_log2 = 3, .prefetch = true};
        ed25519_put_terms_vartime(shared, ed25519_windows_of(size), scratch, i, &slots);
        scratch->points[i] = ed25519_sum_terms(slots.slots, slots.count);
    }
    ed25519_decide_vartime(scratch);
}

const struct engine ed25519_engine_portable = {
    .tier = ENGINE_PORTABLE,
    .key_type = KEY_ED25519,
    .size_max = ED25519_SIZE_MAX,
    .table_bytes = ed25519_table_bytes,
    .table_build = ed25519_table_make,
    .shared_new = ed25519_shared_new,
    .shared_free = ed25519_shared_free,
    .scratch_bytes = sizeof(struct ed25519_scratch),
    .verify_known = verify_known,
};
