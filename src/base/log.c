/* The writer thread, and who wakes it.
 *
 * While lines keep coming the writer looks for them every LINGER_MS by itself, so that a worker's
 * log_end is a copy and two atomic operations. Only a writer that found nothing for a whole
 * LINGER_MS goes to sleep on a futex, and only then does the next line cost its worker a system
 * call: at most one every LINGER_MS in the whole process, and no wake-ups at all while nothing
 * happens. */
#include "base/clock.h"
#include "base/log_line.h"
#include "base/log_ring.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINGER_MS 5
/* One write(2) takes at most so much. */
#define BATCH_BYTES 65536
/* log_free gives up on a reader that takes nothing for so long. */
#define STALLED_S_MAX 3

enum writer_state { WRITER_AWAKE, WRITER_ASLEEP };

struct log {
    struct log_ring ring;
    enum log_format format;
    int descriptor;
    _Atomic int level;
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic uint32_t writer; /* enum writer_state; the futex word */
    _Atomic bool stopping;
    pthread_t thread;

    /* the writer thread's own */
    uint64_t dropped_said;
    mode_t kind;      /* of the descriptor: S_IFMT's part */
    bool inside_line; /* the last byte that went out was not a newline */
    bool gave_up;     /* stopping, and nobody reads */
    uint8_t batch[BATCH_BYTES];
};

/* ---- the writer thread ---- */

/* Waits for room, without a bound while we run (lines pile up in the ring and are dropped there),
 * but no longer than STALLED_S_MAX once we are to stop: whoever stopped reading must not keep the
 * process. */
static bool wait_for_room(struct log *log)
{
    for (int stalled_s = 0; stalled_s < STALLED_S_MAX;) {
        struct pollfd wait = {.fd = log->descriptor, .events = POLLOUT};
        int ready = poll(&wait, 1, 1000);
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return false;
        }
        if (atomic_load_explicit(&log->stopping, memory_order_relaxed)) {
            stalled_s++;
        }
    }
    log->gave_up = true;
    return false;
}

/* One write that does not block for ever. To a pipe with room, PIPE_BUF bytes always go at once
 * (pipe(7)). */
static ssize_t write_some(struct log *log, struct span bytes)
{
    if (S_ISREG(log->kind)) {
        return write(log->descriptor, bytes.data, bytes.size);
    }
    if (S_ISSOCK(log->kind)) {
        return send(log->descriptor, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (!wait_for_room(log)) {
        errno = EPIPE;
        return -1;
    }
    return write(log->descriptor, bytes.data, bytes.size < PIPE_BUF ? bytes.size : PIPE_BUF);
}

/* False: the descriptor refused (a closed pipe, a full disk) and the rest is lost. */
static bool write_all(struct log *log, struct span bytes)
{
    while (bytes.size > 0 && !log->gave_up) {
        ssize_t wrote = write_some(log, bytes);
        if (wrote > 0) {
            log->inside_line = bytes.data[wrote - 1] != '\n';
            bytes = span_after(bytes, (size_t)wrote);
        } else if (wrote == 0 || errno == EINTR) {
            continue;
        } else if (errno != EAGAIN || !wait_for_room(log)) {
            return false;
        }
    }
    return bytes.size == 0;
}

/* A write that failed half way leaves half a line: the next one must not be glued to it. */
static bool write_lines(struct log *log, struct span lines)
{
    if (log->inside_line && !write_all(log, SPAN_LITERAL("\n"))) {
        return false;
    }
    return write_all(log, lines);
}

static void say_dropped(struct log *log)
{
    uint64_t dropped = log_dropped(log);
    if (dropped == log->dropped_said) {
        return;
    }
    struct log_line line = {.log = log};
    log_line_start(&line, log->format, LOG_WARN, "log_dropped", clock_read().wall_ns);
    log_number(&line, "lines", (int64_t)(dropped - log->dropped_said));
    log_number(&line, "lines_total", (int64_t)dropped);
    log_line_finish(&line);
    if (write_lines(log, span_make(line.text, line.size))) {
        log->dropped_said = dropped;
    }
}

/* Writes what is there; false if nothing was. */
static bool drain(struct log *log)
{
    bool found = false;
    for (;;) {
        size_t records = 0;
        struct span_mut room = {log->batch, sizeof log->batch};
        size_t size = log_ring_pop(&log->ring, room, &records);
        if (size == 0) {
            say_dropped(log);
            return found;
        }
        found = true;
        if (!write_lines(log, span_make(log->batch, size))) {
            atomic_fetch_add_explicit(&log->dropped, records, memory_order_relaxed);
        }
    }
}

static void linger(void)
{
    struct timespec time = {.tv_nsec = LINGER_MS * 1000000L};
    nanosleep(&time, NULL);
}

/* Sleeps until wake() finds us asleep. No wake-up is lost: with all four accesses sequentially
 * consistent, either the producer sees ASLEEP, which we stored before looking, or we see its
 * record, which it stored before looking. */
static void sleep_until_woken(struct log *log)
{
    atomic_store_explicit(&log->writer, WRITER_ASLEEP, memory_order_seq_cst);
    if (!log_ring_has_record(&log->ring) &&
        !atomic_load_explicit(&log->stopping, memory_order_seq_cst)) {
        while (atomic_load_explicit(&log->writer, memory_order_seq_cst) == WRITER_ASLEEP) {
            syscall(SYS_futex, &log->writer, FUTEX_WAIT_PRIVATE, WRITER_ASLEEP, NULL, NULL, 0);
        }
    }
    atomic_store_explicit(&log->writer, WRITER_AWAKE, memory_order_seq_cst);
}

static void *write_forever(void *context)
{
    struct log *log = context;
    for (;;) {
        /* Read before draining: what was accepted before log_free is drained after it. */
        bool stopping = atomic_load_explicit(&log->stopping, memory_order_seq_cst);
        bool found = drain(log);
        if (stopping) {
            return NULL;
        }
        if (found) {
            linger();
        } else {
            sleep_until_woken(log);
        }
    }
}

static void wake(struct log *log)
{
    if (atomic_load_explicit(&log->writer, memory_order_seq_cst) == WRITER_ASLEEP &&
        atomic_exchange_explicit(&log->writer, WRITER_AWAKE, memory_order_seq_cst) ==
            WRITER_ASLEEP) {
        syscall(SYS_futex, &log->writer, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

/* ---- everyone else ---- */

/* Signals are the other threads' business; a SIGPIPE, which belongs to the thread that writes,
 * stays pending and write(2) says EPIPE. */
static bool start_thread(struct log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return false;
    }
    bool started = pthread_create(&log->thread, NULL, write_forever, log) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        (void)pthread_setname_np(log->thread, "popgate-log");
    }
    return started;
}

struct log *log_new(int descriptor, enum log_format format, enum log_level level, size_t ring_bytes)
{
    struct log *log = aligned_alloc(64, sizeof *log);
    if (log == NULL) {
        return NULL;
    }
    memset(log, 0, sizeof *log);
    log->descriptor = descriptor;
    log->format = format;
    struct stat info;
    log->kind = fstat(descriptor, &info) == 0 ? info.st_mode & S_IFMT : 0;
    atomic_init(&log->level, (int)level);
    atomic_init(&log->writer, WRITER_AWAKE);
    if (log_ring_init(&log->ring, ring_bytes) != STATUS_OK) {
        free(log);
        return NULL;
    }
    if (!start_thread(log)) {
        log_ring_cleanup(&log->ring);
        free(log);
        return NULL;
    }
    return log;
}

void log_free(struct log *log)
{
    if (log == NULL) {
        return;
    }
    atomic_store_explicit(&log->stopping, true, memory_order_seq_cst);
    wake(log);
    (void)pthread_join(log->thread, NULL);
    log_ring_cleanup(&log->ring);
    free(log);
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool log_enabled(const struct log *log, enum log_level level)
{
    return log != NULL &&
           (int)level >= atomic_load_explicit((_Atomic int *)&log->level, memory_order_relaxed);
}

uint64_t log_dropped(const struct log *log)
{
    return atomic_load_explicit((_Atomic uint64_t *)&log->dropped, memory_order_relaxed);
}

enum log_format log_format_of(const struct log *log)
{
    return log->format;
}

void log_submit(struct log *log, struct span line)
{
    if (log_ring_push(&log->ring, line) != STATUS_OK) {
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
        return;
    }
    wake(log);
}
