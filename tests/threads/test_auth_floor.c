/* The floor is raised while workers check: a proof below it never passes with a nonce from before
 * the raise. Workers do what proof.c does: read the floor (acquire), then judge the nonce. Salts
 * and floors only go up, so whoever has seen floor f must not take a nonce minted before f was
 * raised. */
#include "auth/gate.h"
#include "auth/nonce.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WORKERS 4
#define RAISES  2000
#define NOW     INT64_C(1800000000)

/* A nonce and the floor that stood when it was minted, published together. */
struct minted {
    int64_t floor_s;
    char nonce[NONCE_TEXT_BYTES];
};

static struct shared {
    struct auth_shared auth;
    _Atomic(struct minted *) latest;
    atomic_bool stop;
    atomic_ulong checks, admitted, wrong, lowered, local_seen, local_wrong;
} shared;

/* What a check does while the shared store is away: the count, `local`, the nonce, and the count
 * again. The nonces here are all from before that time, so none may pass. */
static void judge_local(const struct minted *minted)
{
    struct auth_shared *auth = &shared.auth;
    uint64_t raises = atomic_load_explicit(&auth->floor_raises, memory_order_acquire);
    if (!atomic_load_explicit(&auth->local, memory_order_acquire)) {
        return;
    }
    atomic_fetch_add(&shared.local_seen, 1);
    int64_t age_s = 0;
    enum status status = nonce_check(auth->nonces, span_make(minted->nonce, NONCE_TEXT_BYTES), NOW,
                                     NONCE_BELOW_FLOOR, &age_s);
    bool void_by_now = atomic_load_explicit(&auth->floor_raises, memory_order_acquire) != raises;
    atomic_fetch_add(&shared.local_wrong, status == STATUS_OK && !void_by_now);
}

static void *work(void *unused)
{
    (void)unused;
    int64_t highest = 0;
    while (!atomic_load_explicit(&shared.stop, memory_order_relaxed)) {
        const struct minted *minted = atomic_load_explicit(&shared.latest, memory_order_acquire);
        judge_local(minted);
        int64_t floor_s = atomic_load_explicit(&shared.auth.floor_s, memory_order_acquire);
        int64_t age_s = 0;
        enum status status = nonce_check(shared.auth.nonces,
                                         span_make(minted->nonce, NONCE_TEXT_BYTES), NOW,
                                         NONCE_BELOW_FLOOR, &age_s);
        atomic_fetch_add(&shared.checks, 1);
        if (status == STATUS_OK) {
            atomic_fetch_add(&shared.admitted, 1);
            atomic_fetch_add(&shared.wrong, floor_s > minted->floor_s);
        }
        atomic_fetch_add(&shared.lowered, floor_s < highest);
        highest = floor_s;
    }
    return NULL;
}

/* Linked in place of nonce_issuer_rotate (--wrap): takes its time first, so that a floor raised
 * before the rotation would stand long enough for someone to pass below it. */
void __real_nonce_issuer_rotate(struct nonce_issuer *issuer);
void __wrap_nonce_issuer_rotate(struct nonce_issuer *issuer);
void __wrap_nonce_issuer_rotate(struct nonce_issuer *issuer)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    __real_nonce_issuer_rotate(issuer);
}

/* Lower raises against the other raiser: they rotate, and must not lower it. */
static void *raise_low(void *unused)
{
    (void)unused;
    for (int64_t i = 0; i < RAISES; i++) {
        auth_raise_floor(&shared.auth, i % 2);
    }
    return NULL;
}

int main(void)
{
    shared.auth.nonces = nonce_issuer_new(NULL, NONCE_INSTANCE);
    struct minted *all = calloc(RAISES + 2, sizeof(*all));
    if (shared.auth.nonces == NULL || all == NULL) {
        return 1;
    }
    nonce_mint(shared.auth.nonces, NOW, all[0].nonce, NONCE_TEXT_BYTES);
    atomic_store(&shared.latest, &all[0]);
    pthread_t workers[WORKERS], low;
    for (int i = 0; i < WORKERS; i++) {
        pthread_create(&workers[i], NULL, work, NULL);
    }
    pthread_create(&low, NULL, raise_low, NULL);
    for (int64_t i = 1; i <= RAISES; i++) {
        if (i % 2 == 0) {
            auth_raise_floor(&shared.auth, i);
        } else {
            auth_set_local(&shared.auth, true, i);
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
            auth_set_local(&shared.auth, false, i);
        }
        all[i].floor_s = i;
        nonce_mint(shared.auth.nonces, NOW, all[i].nonce, NONCE_TEXT_BYTES);
        atomic_store_explicit(&shared.latest, &all[i], memory_order_release);
    }
    pthread_join(low, NULL);
    /* the last one stays good: let the workers see it */
    struct minted *last = &all[RAISES + 1];
    nonce_mint(shared.auth.nonces, NOW, last->nonce, NONCE_TEXT_BYTES);
    last->floor_s = RAISES;
    unsigned long before = atomic_load(&shared.checks);
    atomic_store_explicit(&shared.latest, last, memory_order_release);
    while (atomic_load(&shared.checks) < before + 1000) {
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i], NULL);
    }
    unsigned failed = 0;
    failed += atomic_load(&shared.wrong) != 0;
    failed += atomic_load(&shared.lowered) != 0;
    failed += atomic_load(&shared.admitted) == 0;
    failed += atomic_load(&shared.auth.floor_s) != RAISES;
    printf("floor: %lu checks, %lu admitted, %lu wrongly\n", atomic_load(&shared.checks),
           atomic_load(&shared.admitted), atomic_load(&shared.wrong));
    failed += atomic_load(&shared.local_wrong) != 0;
    failed += atomic_load(&shared.local_seen) == 0;
    printf("local: %lu checks, %lu admitted wrongly\n", atomic_load(&shared.local_seen),
           atomic_load(&shared.local_wrong));
    printf("%u passed, %u failed\n", 6 - failed, failed);
    nonce_issuer_free(shared.auth.nonces);
    free(all);
    return failed != 0;
}
