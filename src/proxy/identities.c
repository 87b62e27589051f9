#include "proxy/identities.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct identities {
    pthread_mutex_t lock;
    uint64_t seed; /* of our own: nobody can aim at one set */
    struct identity_entry sets[IDENTITIES_SETS][IDENTITIES_PER_SET];
};

struct identities *identities_new(void)
{
    struct identities *identities = calloc(1, sizeof *identities);
    if (identities == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&identities->lock, NULL) != 0 ||
        getrandom(&identities->seed, sizeof identities->seed, 0) !=
            (ssize_t)sizeof identities->seed) {
        free(identities);
        return NULL;
    }
    return identities;
}

void identities_free(struct identities *identities)
{
    if (identities != NULL) {
        pthread_mutex_destroy(&identities->lock);
        free(identities);
    }
}

/* Each value's hash is the seed of the next, so that no two lists of values read alike. */
static uint64_t hash_of(const struct identities *identities, const struct span values[4])
{
    uint64_t hash = identities->seed;
    for (size_t i = 0; i < 4; i++) {
        hash = XXH3_64bits_withSeed(values[i].data, values[i].size, hash + values[i].size);
    }
    return hash != 0 ? hash : 1;
}

static void begin_entry(struct identity_entry *entry, uint64_t hash, const struct span values[4],
                        int64_t now_s)
{
    memset(entry, 0, offsetof(struct identity_entry, values));
    entry->hash = hash;
    entry->first_s = now_s;
    for (size_t i = 0; i < 4; i++) {
        size_t size = values[i].size < IDENTITIES_VALUE_BYTES ? values[i].size
                                                              : IDENTITIES_VALUE_BYTES;
        entry->sizes[i] = (uint8_t)size;
        if (size > 0) {
            memcpy(entry->values[i], values[i].data, size);
        }
    }
}

void identities_note(struct identities *identities, const struct identity_names *names,
                     enum proxy_outcome outcome, int64_t now_s)
{
    const struct span values[4] = {names->spiffe_id, names->issuer, names->subject,
                                   names->client_id};
    uint64_t hash = hash_of(identities, values);
    pthread_mutex_lock(&identities->lock);
    struct identity_entry *set = identities->sets[hash % IDENTITIES_SETS], *entry = &set[0];
    for (size_t i = 0; i < IDENTITIES_PER_SET; i++) {
        if (set[i].hash == hash) {
            entry = &set[i];
            break;
        }
        if (set[i].last_s < entry->last_s) {
            entry = &set[i]; /* unused ones were seen at 0 */
        }
    }
    if (entry->hash != hash) {
        begin_entry(entry, hash, values, now_s);
    }
    entry->last_s = now_s;
    entry->requests[outcome]++;
    pthread_mutex_unlock(&identities->lock);
}

size_t identities_copy(struct identities *identities, size_t set,
                       struct identity_entry out[IDENTITIES_PER_SET])
{
    size_t count = 0;
    pthread_mutex_lock(&identities->lock);
    for (size_t i = 0; i < IDENTITIES_PER_SET; i++) {
        if (identities->sets[set][i].hash != 0) {
            out[count++] = identities->sets[set][i];
        }
    }
    pthread_mutex_unlock(&identities->lock);
    return count;
}
