/* io_wake from many threads: what a thread published before it woke the loop is seen by `woken`, no
 * wake-up is lost, and nothing is a data race (this program is for the thread sanitizer). */
#include "io/io.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 4, MESSAGES = 5000 };

struct mailbox {
    struct io *io;
    pthread_mutex_t lock;
    unsigned posted, taken; /* under the lock */
    unsigned wakes;         /* the loop's own */
    unsigned plain; /* written by one thread before its wake, read by the loop after: no lock */
};

static unsigned passed, failed;

static void check(bool holds, const char *what)
{
    *(holds ? &passed : &failed) += 1;
    if (!holds) {
        printf("FAILED: %s\n", what);
    }
}

static void woken(void *context)
{
    struct mailbox *box = context;
    box->wakes++;
    pthread_mutex_lock(&box->lock);
    box->taken = box->posted;
    pthread_mutex_unlock(&box->lock);
}

static void *post(void *context)
{
    struct mailbox *box = context;
    for (unsigned i = 0; i < MESSAGES; i++) {
        pthread_mutex_lock(&box->lock);
        box->posted++;
        pthread_mutex_unlock(&box->lock);
        io_wake(box->io);
        if (i % 64 == 0) {
            nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
        }
    }
    return NULL;
}

static void many_threads(struct io *io, const char *name)
{
    struct mailbox box = {.io = io, .lock = PTHREAD_MUTEX_INITIALIZER};
    io_set_wake(io, woken, &box);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, post, &box);
    }
    unsigned idle = 0;
    while (box.taken < THREADS * MESSAGES && idle < 3) {
        unsigned before = box.taken;
        if (io_turn(io, 2000) != STATUS_OK) {
            break;
        }
        idle = box.taken == before ? idle + 1
                                   : 0; /* a lost wake-up shows as a wait of two seconds */
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    check(box.taken == THREADS * MESSAGES, name);
    printf("%s: %u messages, %u wake-ups\n", name, box.taken, box.wakes);
}

static void *publish(void *context)
{
    struct mailbox *box = context;
    box->plain = 42;
    io_wake(box->io);
    return NULL;
}

static void published(void *context)
{
    struct mailbox *box = context;
    check(box->plain == 42, "what was written before the wake is seen after it");
    box->wakes++;
}

static void happens_before(struct io *io)
{
    for (int i = 0; i < 200; i++) {
        struct mailbox box = {.io = io};
        io_set_wake(io, published, &box);
        pthread_t thread;
        pthread_create(&thread, NULL, publish, &box);
        for (int turns = 0; box.wakes == 0 && turns < 5; turns++) {
            (void)!io_turn(io, 1000);
        }
        check(box.wakes == 1, "woken");
        pthread_join(thread, NULL);
    }
}

int main(void)
{
    static const enum io_backend backends[] = {IO_EPOLL, IO_URING};
    for (size_t i = 0; i < 2; i++) {
        struct io_options options = {.backend = backends[i]};
        struct io *io;
        enum status status = io_new(&options, &io);
        if (status == STATUS_DENIED) {
            printf("%s: skipped, the kernel blocks it\n", io_backend_name(backends[i]));
            continue;
        }
        check(status == STATUS_OK, "io_new");
        many_threads(io, io_backend_name(backends[i]));
        happens_before(io);
        io_free(io);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
