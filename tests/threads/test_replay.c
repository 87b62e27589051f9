/* The replay cache under threads: one winner a proof, whatever expires and is reused meanwhile; a
 * recorded history has an order in which it is right; a thread that is stopped in the middle blocks
 * nobody. POPGATE_REPLAY_ROUNDS sets the rounds of the first test, POPGATE_SEED the seed. */
#include "replay/cache.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef POPGATE_TSAN
#define ROUNDS_DEFAULT 10000
#define STRESS_INSERTS 20000
#define HISTORY_TURNS  1500
#define PARKED_ROUNDS  50
#else
#define ROUNDS_DEFAULT 10000
#define STRESS_INSERTS 200000
#define HISTORY_TURNS  20000
#define PARKED_ROUNDS  300
#endif

#define WINNER_THREADS 64
#define STRESS_THREADS 4

static unsigned passed, failed;

static void check(bool ok, const char *what)
{
    if (ok) {
        passed++;
    } else {
        failed++;
        printf("FAILED %s\n", what);
    }
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct replay_key key_of(uint64_t number)
{
    uint64_t state = number * 2 + 1;
    struct replay_key key;
    key.low = next(&state);
    key.high = next(&state);
    return key;
}

/* The clock of a test: moved by the test, read by the cache. */
static uint64_t read_clock(void *context)
{
    return atomic_load((_Atomic uint64_t *)context);
}

static struct replay_cache *make_cache(uint64_t capacity, uint64_t window_s,
                                       _Atomic uint64_t *clock)
{
    struct replay_options options = {
        .capacity = capacity,
        .window_s_max = window_s,
        .clock_boot_s = read_clock,
        .clock_context = clock,
    };
    struct replay_cache *cache = NULL;
    int survived;
    char error[256];
    if (replay_cache_new(&options, &cache, &survived, error, sizeof error) != STATUS_OK) {
        printf("%s\n", error);
        abort();
    }
    return cache;
}

/* ---- 64 threads, one proof a round ---- */

struct winners {
    struct replay_cache *cache;
    uint64_t rounds;
    pthread_barrier_t barrier;
    _Atomic uint64_t ok, exists, wrong_rounds, other;
};

static void *win(void *context)
{
    struct winners *all = context;
    for (uint64_t round = 0; round < all->rounds; round++) {
        int last = pthread_barrier_wait(&all->barrier);
        enum status status = replay_insert(all->cache, key_of(round), 1000, 1060);
        if (status == STATUS_OK) {
            atomic_fetch_add(&all->ok, 1);
        } else if (status == STATUS_EXISTS) {
            atomic_fetch_add(&all->exists, 1);
        } else {
            atomic_fetch_add(&all->other, 1);
        }
        last = pthread_barrier_wait(&all->barrier);
        if (last == PTHREAD_BARRIER_SERIAL_THREAD && atomic_load(&all->ok) != round + 1) {
            atomic_fetch_add(&all->wrong_rounds, 1);
            atomic_store(&all->ok, round + 1);
        }
    }
    return NULL;
}

static void test_one_winner(void)
{
    _Atomic uint64_t clock = 1000;
    static struct winners all;
    all.rounds = number_of("POPGATE_REPLAY_ROUNDS", ROUNDS_DEFAULT);
    all.cache = make_cache(all.rounds, 60, &clock);
    pthread_barrier_init(&all.barrier, NULL, WINNER_THREADS);
    pthread_t threads[WINNER_THREADS];
    for (int i = 0; i < WINNER_THREADS; i++) {
        pthread_create(&threads[i], NULL, win, &all);
    }
    for (int i = 0; i < WINNER_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("one winner: %d threads, %llu rounds, %llu replays refused\n", WINNER_THREADS,
           (unsigned long long)all.rounds, (unsigned long long)atomic_load(&all.exists));
    check(atomic_load(&all.wrong_rounds) == 0, "each round has exactly one winner");
    check(atomic_load(&all.ok) == all.rounds, "as many winners as rounds");
    check(atomic_load(&all.other) == 0, "the others are told it exists");
    check(atomic_load(&all.exists) == all.rounds * (WINNER_THREADS - 1), "all of them");
    pthread_barrier_destroy(&all.barrier);
    replay_cache_free(all.cache);
}

/* ---- seeded stress: few keys, few slots, a clock that moves ---- */

#define STRESS_KEYS   64
#define STRESS_LIFE_S 3
/* More than the clock ever reaches: threads times inserts, a 64th of them a second. */
#define STRESS_EXPIRIES 8192

/* A key with one expiry is one proof; accepted a second time is what must not be. */
struct stress {
    struct replay_cache *cache;
    _Atomic uint64_t clock;
    _Atomic uint32_t accepted[STRESS_KEYS][STRESS_EXPIRIES];
    _Atomic uint64_t ok, exists, full, expired, twice;
    uint64_t seed;
    _Atomic uint64_t threads;
};

static void *stress(void *context)
{
    struct stress *all = context;
    uint64_t state = all->seed + atomic_fetch_add(&all->threads, 1) * 977;
    for (int i = 0; i < STRESS_INSERTS; i++) {
        uint64_t random = next(&state);
        unsigned number = (unsigned)(random % STRESS_KEYS);
        /* Proofs live for a while from a second that all who present them agree on. */
        uint64_t now = atomic_load(&all->clock);
        if ((random >> 32) % 8 == 0) {
            now -= (random >> 40) % 6; /* a thread that was stopped for so long */
        }
        uint64_t expires = (now / STRESS_LIFE_S + 1) * STRESS_LIFE_S + 1;
        if ((random >> 48) % 64 == 0) {
            atomic_fetch_add(&all->clock, 1);
        }
        enum status status = replay_insert(all->cache, key_of(number), now, expires);
        if (status == STATUS_OK) {
            uint64_t which = expires / STRESS_LIFE_S % STRESS_EXPIRIES;
            atomic_fetch_add(&all->twice, atomic_fetch_add(&all->accepted[number][which], 1) != 0);
            atomic_fetch_add(&all->ok, 1);
        } else if (status == STATUS_EXISTS) {
            atomic_fetch_add(&all->exists, 1);
        } else if (status == STATUS_EXPIRED) {
            atomic_fetch_add(&all->expired, 1);
        } else {
            atomic_fetch_add(&all->full, 1);
        }
    }
    return NULL;
}

static void test_stress(void)
{
    static struct stress all;
    all.clock = 1000;
    all.seed = number_of("POPGATE_SEED", 1);
    all.cache = make_cache(1, STRESS_LIFE_S + 1, &all.clock); /* 16 buckets: slots are reused */
    pthread_t threads[STRESS_THREADS];
    for (int i = 0; i < STRESS_THREADS; i++) {
        pthread_create(&threads[i], NULL, stress, &all);
    }
    for (int i = 0; i < STRESS_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("stress: %llu ok, %llu exist, %llu expired, %llu full, %llu s\n",
           (unsigned long long)all.ok, (unsigned long long)all.exists,
           (unsigned long long)all.expired, (unsigned long long)all.full,
           (unsigned long long)all.clock - 1000);
    check(all.twice == 0, "stress: no proof is accepted twice");
    check(all.ok > STRESS_KEYS, "stress: slots are reused");
    check(all.exists > 0, "stress: replays are tried");
    check(all.expired > 0, "stress: late threads are refused");
    replay_cache_free(all.cache);
}

/* ---- a recorded history and an order in which it is right ---- */

/* Of each insert: when it was called and when it came back, on one counter, and what it was told.
 * Keys are used for one generation each; between generations the clock passes their expiry, while
 * inserts of the generation before may still be under way. The specification, in some order that
 * keeps to call and return: of one key the first insert is told OK and all others EXISTS, until it
 * has expired. So there is such an order if and only if, for each key and expiry,
 *   - at most one was told OK;
 *   - none that was told EXISTS had come back before the winner was called;
 *   - with no winner, none was told EXISTS, unless another insert was under way to its end that
 *     was told EXPIRED (the specification lets it take the place and be late). */
struct record {
    uint64_t called, returned;
    uint32_t key;
    enum status status;
};

#define HISTORY_THREADS 4
#define HISTORY_KEYS    2 /* a generation */

struct history {
    struct replay_cache *cache;
    _Atomic uint64_t clock, counter;
    struct record *records[HISTORY_THREADS];
    _Atomic unsigned threads;
    pthread_barrier_t barrier;
};

static void *record_history(void *context)
{
    struct history *all = context;
    unsigned index = atomic_fetch_add(&all->threads, 1);
    uint64_t state = index + 7;
    pthread_barrier_wait(&all->barrier);
    for (unsigned turn = 0; turn < HISTORY_TURNS; turn++) {
        uint64_t now = atomic_load(&all->clock);
        uint64_t generation = now / 2;
        struct record *record = &all->records[index][turn];
        record->key = (uint32_t)(generation * HISTORY_KEYS + next(&state) % HISTORY_KEYS);
        record->called = atomic_fetch_add(&all->counter, 1);
        if (next(&state) % 16 == 0) {
            sched_yield(); /* so that calls overlap on few processors too */
        }
        record->status = replay_insert(all->cache, key_of(record->key), now, generation * 2 + 2);
        record->returned = atomic_fetch_add(&all->counter, 1);
        if (next(&state) % 16 == 0) {
            atomic_fetch_add(&all->clock, 1);
        }
    }
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key ? -1 : 1)
                            : (x->called > y->called) - (x->called < y->called);
}

/* Of one key. */
static bool has_an_order(const struct record *records, size_t count)
{
    const struct record *winner = NULL;
    bool late = false;
    for (size_t i = 0; i < count; i++) {
        if (records[i].status == STATUS_OK) {
            if (winner != NULL) {
                return false;
            }
            winner = &records[i];
        }
        late = late || records[i].status == STATUS_EXPIRED;
    }
    for (size_t i = 0; i < count; i++) {
        if (records[i].status == STATUS_EXISTS &&
            (winner == NULL ? !late : records[i].returned < winner->called)) {
            return false;
        }
    }
    return true;
}

static void test_history(void)
{
    static struct history all;
    all.clock = 1000;
    all.cache = make_cache(1, 2, &all.clock);
    pthread_barrier_init(&all.barrier, NULL, HISTORY_THREADS);
    pthread_t threads[HISTORY_THREADS];
    struct record *merged = calloc((size_t)HISTORY_THREADS * HISTORY_TURNS, sizeof *merged);
    for (int i = 0; i < HISTORY_THREADS; i++) {
        all.records[i] = merged + (size_t)i * HISTORY_TURNS;
    }
    for (int i = 0; i < HISTORY_THREADS; i++) {
        pthread_create(&threads[i], NULL, record_history, &all);
    }
    for (int i = 0; i < HISTORY_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    size_t count = (size_t)HISTORY_THREADS * HISTORY_TURNS, wrong = 0, keys = 0, contended = 0;
    qsort(merged, count, sizeof *merged, by_key);
    for (size_t first = 0; first < count;) {
        size_t end = first;
        while (end < count && merged[end].key == merged[first].key) {
            contended += end > first && merged[end].called < merged[end - 1].returned;
            end++;
        }
        wrong += !has_an_order(merged + first, end - first);
        keys++;
        first = end;
    }
    printf("history: %zu inserts of %zu keys, %zu overlapping\n", count, keys, contended);
    check(contended > 0, "history: calls overlap");
    check(wrong == 0, "history: every key's inserts have an order in which they are right");
    /* The judge can say no. */
    struct record bad[2] = {{0, 1, 1, STATUS_OK}, {2, 3, 1, STATUS_OK}};
    check(!has_an_order(bad, 2), "history: two winners are found");
    bad[0].status = STATUS_EXISTS;
    check(!has_an_order(bad, 2), "history: a replay before the first is found");
    bad[1].status = STATUS_EXISTS;
    check(!has_an_order(bad, 2), "history: replays of nothing are found");
    pthread_barrier_destroy(&all.barrier);
    free(merged);
    replay_cache_free(all.cache);
}

/* ---- a process stopped in the middle blocks nobody ---- */

static uint64_t read_boot_s(void)
{
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (uint64_t)boot.tv_sec;
}

/* A child inserts without an end and is stopped at a moment nobody chooses, often between its place
 * and its commit; the parent, on the same file, must get an answer for every key at once. */
static void insert_for_ever(const char *path, _Atomic uint64_t *progress)
{
    struct replay_options options = {.capacity = 4096, .window_s_max = 3600, .path = path};
    struct replay_cache *cache = NULL;
    int survived;
    char error[512];
    if (replay_cache_new(&options, &cache, &survived, error, sizeof error) != STATUS_OK) {
        _exit(1);
    }
    uint64_t now = read_boot_s();
    for (;;) {
        uint64_t number = atomic_fetch_add(progress, 1);
        enum status status = replay_insert(cache, key_of(number), now, now + 2);
        if (status == STATUS_EXPIRED || status == STATUS_FULL) {
            now = read_boot_s();
        }
    }
}

static void test_stopped(void)
{
    char path[] = "/tmp/popgate-threads-replay-XXXXXX";
    int descriptor = mkstemp(path);
    close(descriptor);
    _Atomic uint64_t *progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(progress, 1);
    struct replay_options options = {.capacity = 4096, .window_s_max = 3600, .path = path};
    struct replay_cache *cache = NULL;
    int survived;
    char error[512];
    check(replay_cache_new(&options, &cache, &survived, error, sizeof error) == STATUS_OK, error);
    pid_t child = fork();
    if (child == 0) {
        insert_for_ever(path, progress);
    }
    uint64_t slowest_ns = 0;
    bool all_answered = true;
    for (int round = 0; round < PARKED_ROUNDS; round++) {
        uint64_t seen = atomic_load(progress);
        while (atomic_load(progress) == seen) {
            sched_yield();
        }
        kill(child, SIGSTOP);
        int state;
        waitpid(child, &state, WUNTRACED);
        uint64_t last = atomic_load(progress);
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        uint64_t now = read_boot_s();
        for (uint64_t number = last > 8 ? last - 8 : 1; number <= last; number++) {
            enum status status = replay_insert(cache, key_of(number), now, now + 2);
            all_answered = all_answered && (status == STATUS_OK || status == STATUS_EXISTS ||
                                            status == STATUS_FULL || status == STATUS_EXPIRED);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        uint64_t took = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec -
                        (uint64_t)from.tv_nsec;
        slowest_ns = took > slowest_ns ? took : slowest_ns;
        kill(child, SIGCONT);
    }
    kill(child, SIGKILL);
    int state;
    waitpid(child, &state, 0);
    printf("stopped: %d rounds, the slowest nine inserts took %llu us\n", PARKED_ROUNDS,
           (unsigned long long)slowest_ns / 1000);
    check(WIFSIGNALED(state), "stopped: the child lived until it was killed");
    check(all_answered, "stopped: every insert is answered beside a stopped one");
    check(slowest_ns < UINT64_C(5000000000), "stopped: and at once");
    replay_cache_free(cache);
    munmap((void *)progress, 4096);
    unlink(path);
}

/* Precisely: a tentative slot whose owner never comes back. Every later insert of that key is
 * answered, and none passes until it expires. */
static void test_left_tentative(void)
{
    _Atomic uint64_t clock = 1000;
    struct replay_cache *cache = make_cache(100, 60, &clock);
    struct replay_key key = key_of(5);
    check(replay_insert(cache, key, 1000, 1060) == STATUS_OK, "left: inserted");
    for (uint64_t i = 0; i < cache->table.buckets * TABLE_BUCKET_SLOTS; i++) {
        struct slot *slot = &cache->table.slots[i];
        if (slot_holds(slot_load(slot), key)) {
            check(slot_replace(slot, slot_load(slot),
                               slot_with_state(slot_load(slot), SLOT_TENTATIVE)),
                  "left: made tentative");
        }
    }
    check(replay_insert(cache, key, 1001, 1060) == STATUS_EXISTS, "left: it counts as used");
    atomic_store(&clock, 1061);
    check(replay_insert(cache, key, 1061, 1100) == STATUS_OK, "left: until its expiry");
    replay_cache_free(cache);
}

int main(void)
{
    test_one_winner();
    test_stress();
    test_history();
    test_stopped();
    test_left_tentative();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
