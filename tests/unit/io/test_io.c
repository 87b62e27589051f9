#include "harness.h"
#include "io/internal.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- which backend ---- */

Test(io, names)
{
    cr_assert_str_eq(io_backend_name(IO_AUTO), "auto");
    cr_assert_str_eq(io_backend_name(IO_URING), "io_uring");
    cr_assert_str_eq(io_backend_name(IO_EPOLL), "epoll");
    cr_assert_str_eq(io_backend_name(IO_SIM), "sim");
    cr_assert_str_eq(io_backend_name((enum io_backend)99), "unknown");
}

Test(io, options_are_brought_into_their_bounds)
{
    struct io_options options = {.backend = IO_EPOLL};
    struct io *io;
    cr_assert_eq(io_new(&options, &io), STATUS_OK);
    cr_assert_eq(io->options.operations_max, IO_OPERATIONS_DEFAULT);
    cr_assert_eq(io->options.buffers, IO_BUFFERS_DEFAULT);
    cr_assert_eq(io->options.buffer_bytes, IO_BUFFER_BYTES_DEFAULT);
    cr_assert_eq(io->options.buffers_per_socket_max, IO_BUFFERS_PER_SOCKET_DEFAULT);
    io_free(io);
    options = (struct io_options){.backend = IO_EPOLL,
                                  .operations_max = 1000,
                                  .buffers = 3,
                                  .buffer_bytes = 100,
                                  .buffers_per_socket_max = 1000};
    cr_assert_eq(io_new(&options, &io), STATUS_OK);
    cr_assert_eq(io->options.operations_max, 1024);
    cr_assert_eq(io->options.buffers, 4);
    cr_assert_eq(io->options.buffer_bytes, 100);
    cr_assert_eq(io->options.buffers_per_socket_max, 2, "no socket may take them all");
    io_free(io);
    options = (struct io_options){.backend = IO_EPOLL,
                                  .operations_max = UINT32_MAX,
                                  .buffers = 64,
                                  .buffer_bytes = UINT32_MAX,
                                  .buffers_per_socket_max = UINT32_MAX};
    cr_assert_eq(io_new(&options, &io), STATUS_OK);
    cr_assert_eq(io->options.operations_max, IO_OPERATIONS_MAX);
    cr_assert_eq(io->options.buffer_bytes, IO_BUFFER_BYTES_MAX);
    cr_assert_eq(io->options.buffers_per_socket_max, IO_BUFFERS_PER_SOCKET_MAX);
    io_free(io);
    io_free(NULL);
}

/* Runs `check` in a child whose `call` answers `error`, where its first argument is above
 * `first_min`. */
static void with_blocked(int call, int error, int64_t first_min, void (*check)(int error))
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        unsigned conditions = first_min >= 0 ? 1 : 0;
        int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)error), call, conditions,
                                      SCMP_A0(SCMP_CMP_GT, (uint64_t)first_min));
        if (filter == NULL || result != 0 || seccomp_load(filter) != 0) {
            _exit(99);
        }
        seccomp_release(filter);
        check(error);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
}

static void with_uring_blocked(int error, int64_t entries_min, void (*check)(int error))
{
    with_blocked(SCMP_SYS(io_uring_setup), error, entries_min, check);
}

/* In the child: the exit status is which check failed. */
#define CHILD_ASSERT(number, condition)                                                            \
    if (!(condition)) {                                                                            \
        _exit(number);                                                                             \
    }

static void auto_falls_back(int error)
{
    struct io_options options = {.backend = IO_AUTO};
    struct io *io = NULL;
    size_t open = descriptors_open();
    CHILD_ASSERT(1, io_new(&options, &io) == STATUS_OK);
    CHILD_ASSERT(2, io_backend_of(io) == IO_EPOLL);
    CHILD_ASSERT(3, strstr(io_notes(io), "io_uring not taken") != NULL);
    CHILD_ASSERT(4, strstr(io_notes(io), strerrordesc_np(error)) != NULL);
    CHILD_ASSERT(5, io_turn(io, 0) == STATUS_OK);
    io_free(io);
    CHILD_ASSERT(6, descriptors_open() == open);
}

static void by_name_fails_hard(int error)
{
    struct io_options options = {.backend = IO_URING};
    struct io *io = (struct io *)&options;
    size_t open = descriptors_open();
    errno = 0;
    CHILD_ASSERT(11, io_new(&options, &io) == STATUS_DENIED);
    CHILD_ASSERT(12, io == NULL);
    CHILD_ASSERT(13, errno == error);
    CHILD_ASSERT(14, descriptors_open() == open);
}

Test(io, where_io_uring_is_blocked_auto_takes_epoll)
{
    with_uring_blocked(EPERM, -1, auto_falls_back);
    with_uring_blocked(ENOSYS, -1, auto_falls_back);
    with_uring_blocked(EACCES, -1, auto_falls_back);
    with_uring_blocked(EINVAL, -1, auto_falls_back);
    with_uring_blocked(ENOMEM, -1, auto_falls_back);
}

Test(io, where_io_uring_is_blocked_asking_for_it_fails)
{
    with_uring_blocked(EPERM, -1, by_name_fails_hard);
    with_uring_blocked(ENOSYS, -1, by_name_fails_hard);
    with_uring_blocked(EACCES, -1, by_name_fails_hard);
}

/* A profile may let the ring be made and still block what it is for: only a real operation tells.
 */
Test(io, where_io_uring_can_be_made_but_not_used)
{
    io_free(harness_io(IO_URING)); /* skips where there is none */
    with_blocked(SCMP_SYS(io_uring_enter), EPERM, -1, auto_falls_back);
    with_blocked(SCMP_SYS(io_uring_enter), ENOSYS, -1, by_name_fails_hard);
    with_blocked(SCMP_SYS(io_uring_register), EPERM, -1, auto_falls_back);
    with_blocked(SCMP_SYS(io_uring_register), EACCES, -1, by_name_fails_hard);
}

static void nothing_works(int error)
{
    static const enum io_backend backends[] = {IO_EPOLL, IO_AUTO};
    size_t open = descriptors_open();
    for (size_t i = 0; i < 2; i++) {
        struct io_options options = {.backend = backends[i]};
        struct io *io;
        CHILD_ASSERT(31, io_new(&options, &io) == STATUS_SYSTEM);
        CHILD_ASSERT(32, io == NULL && errno == error);
        CHILD_ASSERT(33, descriptors_open() == open);
    }
}

static void epoll_does_not_work(int error)
{
    struct io_options options = {.backend = IO_EPOLL};
    struct io *io;
    size_t open = descriptors_open();
    CHILD_ASSERT(41, io_new(&options, &io) == STATUS_SYSTEM);
    CHILD_ASSERT(42, io == NULL && errno == error);
    CHILD_ASSERT(43, descriptors_open() == open);
}

Test(io, a_system_call_that_fails_is_told_and_leaves_nothing)
{
    with_blocked(SCMP_SYS(eventfd2), EMFILE, -1, nothing_works);
    with_blocked(SCMP_SYS(epoll_create1), EMFILE, -1, epoll_does_not_work);
    with_blocked(SCMP_SYS(epoll_ctl), ENOSPC, -1, epoll_does_not_work);
}

static void smaller_and_said_so(int error)
{
    (void)error;
    struct io_options options = {.backend = IO_URING, .operations_max = 4096};
    struct io *io = NULL;
    CHILD_ASSERT(21, io_new(&options, &io) == STATUS_OK);
    CHILD_ASSERT(22, io->options.operations_max == 256);
    CHILD_ASSERT(23, strstr(io_notes(io), "256 operations instead of 4096") != NULL);
    CHILD_ASSERT(24, io_turn(io, 0) == STATUS_OK);
    io_free(io);
}

Test(io, where_memory_cannot_be_locked_the_ring_is_smaller)
{
    io_free(harness_io(IO_URING)); /* skips where there is none */
    with_uring_blocked(ENOMEM, 256, smaller_and_said_so);
}

Test(io, locked_memory_stays_below_its_limit)
{
    struct io *io = harness_io_with((struct io_options){.backend = IO_URING,
                                                        .operations_max = IO_OPERATIONS_MAX,
                                                        .buffers = IO_BUFFERS_MAX,
                                                        .buffer_bytes = 64});
    struct io_counters counters;
    io_read_counters(io, &counters);
    cr_assert_gt(counters.locked_bytes, 0);
    cr_assert_leq(counters.locked_bytes, IO_LOCKED_BYTES_MAX);
    io_free(io);
}

static void makes_and_frees_leave_nothing(enum io_backend backend)
{
    io_free(harness_io(backend));
    size_t before = descriptors_open();
    for (int i = 0; i < 20; i++) {
        struct io *io = harness_io(backend);
        if (i % 2) {
            cr_assert_eq(io_turn(io, 0), STATUS_OK);
        }
        io_free(io);
    }
    cr_assert_eq(descriptors_open(), before);
}
ON_BOTH(io, makes_and_frees_leave_nothing)

/* ---- time ---- */

struct clock_timer {
    struct io_timer timer;
    struct io *io;
    uint64_t set_ns, delay_ms, fired_ns;
    unsigned fired;
    unsigned again;
};

static void fired(struct io_timer *timer)
{
    struct clock_timer *self = (struct clock_timer *)timer;
    self->fired++;
    self->fired_ns = clock_read().boot_ns;
    cr_assert_geq(self->fired_ns, self->set_ns + self->delay_ms * 1000000, "early");
    cr_assert_geq(io_now(self->io)->boot_ns, self->set_ns + self->delay_ms * 1000000, "early");
    if (self->again > 0) {
        self->again--;
        self->set_ns = clock_read().boot_ns;
        io_timer_set(self->io, timer, self->delay_ms);
    }
}

static void timers_are_never_early_and_hardly_late(enum io_backend backend)
{
    enum { COUNT = 40 };
    struct io *io = harness_io(backend);
    struct clock_timer timers[COUNT] = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        timers[i].timer.fired = fired;
        timers[i].io = io;
        timers[i].delay_ms = i * 3;
        timers[i].again = i % 3;
        timers[i].set_ns = clock_read().boot_ns;
        io_timer_set(io, &timers[i].timer, timers[i].delay_ms);
        /* Time passes between a turn and a call: the delay counts from the call. */
        for (volatile int spin = 0; spin < 20000; spin++) {
        }
    }
    for (unsigned i = COUNT; i-- > 0;) {
        cr_assert(turn_until(io, &timers[i].fired, 1 + i % 3));
        cr_assert_eq(timers[i].fired, 1 + i % 3);
    }
    io_free(io);
}
ON_BOTH(io, timers_are_never_early_and_hardly_late)

static void a_turn_lasts_until_the_timer_and_no_longer(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    struct clock_timer timer = {.timer.fired = fired, .io = io, .delay_ms = 30};
    timer.set_ns = clock_read().boot_ns;
    io_timer_set(io, &timer.timer, 30);
    unsigned turns = 0;
    while (timer.fired == 0) {
        cr_assert_eq(io_turn(io, 10000), STATUS_OK);
        cr_assert_leq(++turns, 4);
    }
    cr_assert_lt(timer.fired_ns - timer.set_ns, 1000000000);
    /* Cancelled: the wait's own bound ends the turn. */
    io_timer_set(io, &timer.timer, 20);
    io_timer_cancel(io, &timer.timer);
    cr_assert_not(io_timer_is_set(&timer.timer));
    uint64_t start = boot_ms();
    cr_assert_eq(io_turn(io, 60), STATUS_OK);
    cr_assert_geq(boot_ms() - start, 59);
    cr_assert_eq(timer.fired, 1);
    /* Zero: this turn, without waiting. Very long: no overflow, nothing fires. */
    timer.delay_ms = 0;
    timer.set_ns = clock_read().boot_ns;
    io_timer_set(io, &timer.timer, 0);
    start = boot_ms();
    cr_assert_eq(io_turn(io, 5000), STATUS_OK);
    cr_assert_eq(timer.fired, 2);
    cr_assert_lt(boot_ms() - start, 1000);
    io_timer_set(io, &timer.timer, UINT64_MAX);
    cr_assert_eq(io_turn(io, 5), STATUS_OK);
    cr_assert_eq(timer.fired, 2);
    io_timer_cancel(io, &timer.timer);
    io_free(io);
}
ON_BOTH(io, a_turn_lasts_until_the_timer_and_no_longer)

static void a_timer_from_the_turn_counts_from_its_clock(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    struct clock_timer timer = {.timer.fired = fired, .io = io, .delay_ms = 30};
    timer.set_ns = io_now(io)->boot_ns;
    uint64_t start = boot_ms();
    while (boot_ms() - start < 20) {
    }
    io_timer_set_from_turn(io, &timer.timer, timer.delay_ms);
    cr_assert(turn_until(io, &timer.fired, 1)); /* and `fired` saw that it was not early */
    cr_assert_lt(timer.fired_ns - timer.set_ns, 1000000000);
    io_timer_set_from_turn(io, &timer.timer, UINT64_MAX);
    cr_assert_eq(io_turn(io, 5), STATUS_OK);
    cr_assert_eq(timer.fired, 1);
    io_timer_cancel(io, &timer.timer);
    io_free(io);
}
ON_BOTH(io, a_timer_from_the_turn_counts_from_its_clock)

static void no_wait_is_no_wait(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    uint64_t start = boot_ms();
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    }
    cr_assert_lt(boot_ms() - start, 1000);
    io_free(io);
}
ON_BOTH(io, no_wait_is_no_wait)

static void noticed(int signal)
{
    (void)signal;
}

/* A signal ends the wait, and is no failure. */
static void a_signal_is_no_failure(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    struct sigaction action = {.sa_handler = noticed};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {.it_interval.tv_usec = 3000, .it_value.tv_usec = 3000};
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(io_turn(io, 50), STATUS_OK);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    io_free(io);
}
ON_BOTH(io, a_signal_is_no_failure)

/* ---- wake-up, from this thread; from others: tests/threads/test_io_wake.c ---- */

static void woken(void *context)
{
    (*(unsigned *)context)++;
}

static void a_wake_ends_the_wait(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    io_wake(io); /* nobody to tell: no harm */
    cr_assert_eq(io_turn(io, 1000), STATUS_OK);
    unsigned count = 0;
    io_set_wake(io, woken, &count);
    uint64_t start = boot_ms();
    for (unsigned i = 1; i <= 50; i++) {
        io_wake(io);
        io_wake(io); /* one is enough */
        cr_assert_eq(count, i - 1, "a callback within a call");
        cr_assert(turn_until(io, &count, i));
        cr_assert_eq(count, i);
    }
    cr_assert_lt(boot_ms() - start, 2000);
    cr_assert_eq(io_turn(io, 10), STATUS_OK);
    cr_assert_eq(count, 50);
    io_wake(io); /* pending when it is freed */
    io_free(io);
}
ON_BOTH(io, a_wake_ends_the_wait)

/* ---- counters and notes ---- */

static void counters_count(enum io_backend backend)
{
    struct io *io = harness_io(backend);
    int ours, theirs;
    unix_pair(&ours, &theirs);
    struct probe probe;
    probe_open(&probe, io, ours);
    io_receive(&probe.socket);
    write_all(theirs, "x", 1);
    cr_assert(turn_until(io, &probe.received, 1));
    struct io_counters counters;
    io_read_counters(io, &counters);
    cr_assert_gt(counters.turns, 0);
    cr_assert_gt(counters.system_calls, 0);
    cr_assert_gt(counters.completions, 0);
    cr_assert_eq(counters.overflows, 0);
    close(theirs);
    probe_finish(&probe);
    io_free(io);
}
ON_BOTH(io, counters_count)

Test(io, notes_are_joined_and_cut)
{
    struct io *io = harness_io(IO_EPOLL);
    cr_assert_str_eq(io_notes(io), "");
    io_note(io, "one %d", 1);
    io_note(io, "two");
    cr_assert_str_eq(io_notes(io), "one 1; two");
    for (int i = 0; i < 200; i++) {
        io_note(io, "a note that is rather long");
    }
    cr_assert_lt(strlen(io_notes(io)), IO_NOTES_BYTES);
    io_free(io);
}
