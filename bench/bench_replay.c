/* What remembering a proof costs, beside what nobody can do without (one random access to memory of
 * the same size) and what one would write first (a mutex around a hash set) or take from a library
 * (liburcu's cds_lfht). Prints nanoseconds and the ratios, all from this run.
 * usage: bench_replay [CAPACITY...] (default: 1048576 8388608) */
#include "base/clock.h"
#include "replay/replay_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <urcu/urcu-qsbr.h>

#include <urcu/rculfhash.h>

#define BATCH    32    /* proofs of one loop turn */
#define REPEATS  5     /* the best of: what else the machine does is not ours */
#define CHUNK    16384 /* of one thread's inserts, the median of so many at a time: likewise */
#define WINDOW_S 3600

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct replay_key key_of(uint64_t number)
{
    uint64_t low = mix(number * 2 + 1), high = mix(number * 2 + 2);
    return (struct replay_key){.low = low, .high = high};
}

static uint64_t now_ns(void)
{
    return clock_read().boot_ns;
}

static struct replay_cache *make_cache(uint64_t capacity)
{
    struct replay_options options = {.capacity = capacity, .window_s_max = WINDOW_S};
    struct replay_cache *cache = NULL;
    int survived;
    char error[256];
    if (replay_cache_new(&options, &cache, &survived, error, sizeof error) != STATUS_OK) {
        fprintf(stderr, "bench_replay: %s\n", error);
        exit(1);
    }
    return cache;
}

/* `count` fresh keys from `first` on, a turn's batch at a time, as auth does: each key is known
 * (and asked for) when its proof is parsed, and inserted when its signature has been verified. */
static void insert_range(struct replay_cache *cache, uint64_t first, uint64_t count)
{
    struct replay_insertion turn[BATCH];
    uint64_t now = now_ns() / 1000000000u;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            turn[i].key = key_of(first + done + i);
            turn[i].expires_boot_s = now + WINDOW_S - 100;
            replay_prefetch(cache, turn[i].key);
        }
        replay_insert_many(cache, turn, BATCH, now);
        for (unsigned i = 0; i < BATCH; i++) {
            if (turn[i].status != STATUS_OK) {
                fprintf(stderr, "bench_replay: a fresh key was refused\n");
                exit(1);
            }
        }
    }
}

/* The same accesses to nothing but memory: 16 bytes read, changed, written. */
static void touch_range(uint64_t *words, uint64_t slots, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct replay_key key = key_of(first + i);
        uint64_t *slot = words + 2 * ((key.low & UINT32_MAX) * slots >> 32);
        slot[0] += key.low;
        slot[1] ^= key.high;
    }
}

/* What one would write first: open addressing, linear probing, 16-byte keys, one mutex. */
struct set {
    pthread_mutex_t mutex;
    struct replay_key *keys;
    uint64_t *expiries;
    uint64_t mask;
};

static void set_init(struct set *set, uint64_t capacity)
{
    uint64_t size = 16;
    while (size < capacity * 3 / 2) {
        size *= 2;
    }
    pthread_mutex_init(&set->mutex, NULL);
    set->keys = calloc(size, sizeof *set->keys);
    set->expiries = calloc(size, sizeof *set->expiries);
    set->mask = size - 1;
    for (uint64_t i = 0; i < size; i += 64) {
        ((volatile struct replay_key *)set->keys)[i].low = 0;
        ((volatile uint64_t *)set->expiries)[i] = 0;
    }
}

static bool set_insert(struct set *set, struct replay_key key, uint64_t now, uint64_t expires)
{
    pthread_mutex_lock(&set->mutex);
    uint64_t at = key.low & set->mask;
    bool fresh = true;
    while (set->expiries[at] > now) {
        if (set->keys[at].low == key.low && set->keys[at].high == key.high) {
            fresh = false;
            break;
        }
        at = (at + 1) & set->mask;
    }
    if (fresh) {
        set->keys[at] = key;
        set->expiries[at] = expires;
    }
    pthread_mutex_unlock(&set->mutex);
    return fresh;
}

struct entry {
    struct cds_lfht_node node;
    struct replay_key key;
    uint64_t expires;
};

static int entry_matches(struct cds_lfht_node *node, const void *key)
{
    const struct entry *entry = caa_container_of(node, struct entry, node);
    return memcmp(&entry->key, key, sizeof entry->key) == 0;
}

/* ---- several threads on one of them ---- */

struct job {
    pthread_barrier_t *barrier;
    struct replay_cache *cache;
    struct set *set;
    struct cds_lfht *lfht;
    struct entry *entries;
    uint64_t *words; /* the plain array */
    uint64_t slots;
    uint64_t first, count;
    uint64_t begin_ns, end_ns;
};

static void insert_part(const struct job *job)
{
    if (job->cache != NULL) {
        insert_range(job->cache, job->first, job->count);
    } else if (job->words != NULL) {
        touch_range(job->words, job->slots, job->first, job->count);
    } else if (job->set != NULL) {
        uint64_t now = now_ns() / 1000000000u;
        for (uint64_t i = 0; i < job->count; i++) {
            if (!set_insert(job->set, key_of(job->first + i), now, now + WINDOW_S)) {
                exit(1);
            }
        }
    } else {
        for (uint64_t i = 0; i < job->count; i++) {
            struct entry *entry = &job->entries[i];
            entry->key = key_of(job->first + i);
            cds_lfht_node_init(&entry->node);
            if (cds_lfht_add_unique(job->lfht, (unsigned long)entry->key.low, entry_matches,
                                    &entry->key, &entry->node) != &entry->node) {
                exit(1);
            }
            if (i % BATCH == 0) {
                urcu_qsbr_quiescent_state();
            }
        }
    }
}

static void *work(void *context)
{
    struct job *job = context;
    if (job->lfht != NULL) {
        urcu_qsbr_register_thread();
    }
    pthread_barrier_wait(job->barrier);
    job->begin_ns = now_ns();
    insert_part(job);
    job->end_ns = now_ns();
    if (job->lfht != NULL) {
        urcu_qsbr_unregister_thread();
    }
    return NULL;
}

/* Nanoseconds an insert, of all threads together. */
static double run_jobs(struct job *job, unsigned threads, uint64_t count)
{
    pthread_t started[8];
    struct job jobs[8];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = *job;
        jobs[i].barrier = &barrier;
        jobs[i].count = count / threads;
        jobs[i].first = job->first + i * jobs[i].count;
        jobs[i].entries = job->entries != NULL ? job->entries + i * jobs[i].count : NULL;
        pthread_create(&started[i], NULL, work, &jobs[i]);
    }
    uint64_t begin = UINT64_MAX, end = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(started[i], NULL);
        begin = jobs[i].begin_ns < begin ? jobs[i].begin_ns : begin;
        end = jobs[i].end_ns > end ? jobs[i].end_ns : end;
    }
    uint64_t took = end - begin;
    pthread_barrier_destroy(&barrier);
    return (double)took / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nanoseconds an insert of this thread: the median of parts, so that what else the machine does
 * falls on few of them. */
static double run_parts(struct job *job, uint64_t count)
{
    double took[4096];
    size_t parts = 0;
    uint64_t first = job->first;
    struct entry *entries = job->entries;
    if (job->lfht != NULL) {
        urcu_qsbr_register_thread();
    }
    for (uint64_t done = 0; done + CHUNK <= count && parts < 4096; done += CHUNK) {
        job->first = first + done;
        job->count = CHUNK;
        job->entries = entries != NULL ? entries + done : NULL;
        uint64_t begin = now_ns();
        insert_part(job);
        took[parts++] = (double)(now_ns() - begin) / CHUNK;
    }
    if (job->lfht != NULL) {
        urcu_qsbr_unregister_thread();
    }
    qsort(took, parts, sizeof took[0], by_value);
    return took[parts / 2];
}

static double run(struct job *job, unsigned threads, uint64_t count)
{
    return threads == 1 ? run_parts(job, count) : run_jobs(job, threads, count);
}

static double lesser(double a, double b)
{
    return a < b ? a : b;
}

/* From a quarter to three quarters full: half load on average. */
static double bench_cache(uint64_t capacity, unsigned threads)
{
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        struct job job = {.cache = make_cache(capacity)};
        insert_range(job.cache, 0, capacity / 4);
        job.first = capacity;
        best = lesser(best, run(&job, threads, capacity / 2));
        replay_cache_free(job.cache);
    }
    return best;
}

static double bench_array(uint64_t capacity, bool huge)
{
    size_t bytes = capacity * 24;
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        uint64_t *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                               0);
        if (words == MAP_FAILED) {
            exit(1);
        }
        madvise(words, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        memset(words, 1, bytes);
        struct job job = {.words = words, .slots = bytes / 16};
        best = lesser(best, run(&job, 1, capacity / 2));
        munmap(words, bytes);
    }
    return best;
}

static double bench_set(uint64_t capacity, unsigned threads)
{
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        struct set set;
        set_init(&set, capacity);
        struct job job = {.set = &set, .first = capacity};
        for (uint64_t i = 0; i < capacity / 4; i++) {
            (void)set_insert(&set, key_of(i), 1, UINT64_MAX);
        }
        best = lesser(best, run(&job, threads, capacity / 2));
        pthread_mutex_destroy(&set.mutex);
        free(set.keys);
        free(set.expiries);
    }
    return best;
}

static double bench_lfht(uint64_t capacity, unsigned threads)
{
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        uint64_t buckets = 1;
        while (buckets < capacity) {
            buckets *= 2;
        }
        urcu_qsbr_register_thread();
        struct cds_lfht *lfht = cds_lfht_new_flavor(buckets, buckets, buckets, 0, &urcu_qsbr_flavor,
                                                    NULL);
        struct entry *entries = calloc(capacity, sizeof *entries);
        memset(entries, 1, capacity * sizeof *entries);
        urcu_qsbr_unregister_thread();
        struct job job = {.lfht = lfht, .entries = entries};
        (void)run_jobs(&job, 1, capacity / 4);
        job.first = capacity;
        job.entries = entries + capacity / 4;
        best = lesser(best, run(&job, threads, capacity / 2));
        urcu_qsbr_register_thread();
        struct cds_lfht_iter iter;
        struct entry *entry;
        cds_lfht_for_each_entry(lfht, &iter, entry, node)
        {
            (void)cds_lfht_del(lfht, &entry->node);
        }
        urcu_qsbr_unregister_thread();
        (void)cds_lfht_destroy(lfht, NULL);
        free(entries);
    }
    return best;
}

static void bench(uint64_t capacity)
{
    struct replay_cache *cache = make_cache(capacity);
    struct replay_counters counters;
    replay_read_counters(cache, 0, &counters);
    double bytes = (double)counters.bytes / (double)capacity;
    replay_cache_free(cache);
    printf("capacity %llu: %.2f bytes a proof\n", (unsigned long long)capacity, bytes);
    double array = bench_array(capacity, false), array_huge = bench_array(capacity, true);
    double one = bench_cache(capacity, 1);
    printf("  1 thread: insert %.1f ns; read-modify-write %.1f ns (%.2f x), in huge pages %.1f ns "
           "(%.2f x)\n",
           one, array, one / array, array_huge, one / array_huge);
    double set_one = bench_set(capacity, 1), lfht_one = bench_lfht(capacity, 1);
    printf("            mutex and hash set %.1f ns (%.2f x faster), cds_lfht %.1f ns (%.2f x "
           "faster)\n",
           set_one, set_one / one, lfht_one, lfht_one / one);
    double two = bench_cache(capacity, 2), set_two = bench_set(capacity, 2);
    double lfht_two = bench_lfht(capacity, 2);
    printf("  2 threads: insert %.1f ns; mutex and hash set %.1f ns (%.2f x the operations), "
           "cds_lfht %.1f ns (%.2f x)\n",
           two, set_two, set_two / two, lfht_two, lfht_two / two);
}

int main(int count, char **arguments)
{
    static const uint64_t usual[] = {1048576, 8388608};
    for (int i = 1; i < count; i++) {
        bench(strtoull(arguments[i], NULL, 10));
    }
    for (size_t i = 0; count == 1 && i < sizeof usual / sizeof usual[0]; i++) {
        bench(usual[i]);
    }
    return 0;
}
