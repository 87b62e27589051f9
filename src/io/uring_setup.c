#include "io/uring.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

/* Completion entries per submission entry: multishot operations complete many times. */
#define CQ_FACTOR        4
#define CQ_ENTRIES_MAX   65536 /* the kernel's, as IO_OPERATIONS_MAX is */
#define OPERATIONS_LEAST 64    /* below it no smaller ring is tried */
#define PROBE_WAIT_S     2

/* Locked, where the kernel counts it: both rings, the index array, the buffer ring. Not the buffers
 * themselves. */
_Static_assert(IO_OPERATIONS_MAX *(sizeof(struct io_uring_sqe) + sizeof(uint32_t)) +
                       CQ_ENTRIES_MAX * sizeof(struct io_uring_cqe) +
                       IO_BUFFERS_MAX * sizeof(struct io_uring_buf) + 4096 * 4 <=
                   IO_LOCKED_BYTES_MAX,
               "the largest rings a configuration can ask for stay below the limit");

/* ---- the ring ---- */

static const struct {
    unsigned flags;
    unsigned features;
} rungs[] = {
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
     URING_DEFER_TASKRUN | URING_COOP_TASKRUN}, /* 6.1 */
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_SINGLE_ISSUER,
     URING_COOP_TASKRUN}, /* 6.0 */
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     URING_COOP_TASKRUN}, /* 5.19 */
    {0, 0},
};

/* The best rung the kernel takes. 0 or a negative errno, of which -EINVAL is "not even the last".
 */
static int open_ring(struct uring *self, uint32_t operations, unsigned denied)
{
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof rungs / sizeof rungs[0] && result == -EINVAL; i++) {
        if (rungs[i].features & denied) {
            continue;
        }
        uint32_t entries = operations * CQ_FACTOR;
        struct io_uring_params parameters = {
            .flags = rungs[i].flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = entries < CQ_ENTRIES_MAX ? entries : CQ_ENTRIES_MAX,
        };
        result = io_uring_queue_init_params(operations, &self->ring, &parameters);
        if (result == 0) {
            self->features = rungs[i].features;
        }
    }
    return result;
}

int uring_setup_ring(struct uring *self, const struct io_options *options, unsigned denied)
{
    uint32_t operations = options->operations_max;
    int result = open_ring(self, operations, denied);
    while (result == -ENOMEM && operations > OPERATIONS_LEAST) {
        operations /= 2;
        result = open_ring(self, operations, denied);
    }
    if (result < 0) {
        return result;
    }
    self->io.options.operations_max = operations;
    if (operations < options->operations_max) {
        io_note(&self->io, "io_uring: %u operations instead of %u, for want of memory to lock",
                operations, options->operations_max);
    }
    if (!(self->ring.features & IORING_FEAT_EXT_ARG) ||
        !(self->ring.features & IORING_FEAT_NODROP)) {
        io_uring_queue_exit(&self->ring);
        return -EINVAL; /* without a wait that times out, or with completions lost, it is of no use
                         */
    }
    if (!(denied & URING_RING_DESCRIPTOR) && io_uring_register_ring_fd(&self->ring) == 1) {
        self->features |= URING_RING_DESCRIPTOR;
    }
    return 0;
}

/* ---- trying out ---- */

/* 0, or the negative errno of the system call. */
static int next_completion(struct uring *self, struct io_uring_cqe *out)
{
    struct __kernel_timespec limit = {.tv_sec = PROBE_WAIT_S};
    struct io_uring_cqe *entry = NULL;
    int result;
    do {
        result = io_uring_submit_and_wait_timeout(&self->ring, &entry, 1, &limit, NULL);
    } while (result == -EINTR);
    if (entry == NULL) {
        return result < 0 ? result : -EIO;
    }
    *out = *entry;
    io_uring_cqe_seen(&self->ring, entry);
    if (out->flags & IORING_CQE_F_BUFFER) {
        self->io.backend->buffer_given(&self->io, out->flags >> IORING_CQE_BUFFER_SHIFT);
    }
    return 0;
}

/* Until the operation that `last` came from has ended. */
static void drain(struct uring *self, struct io_uring_cqe last)
{
    while ((last.flags & IORING_CQE_F_MORE) && next_completion(self, &last) == 0) {
    }
}

/* Receives on one end of a pair what was sent on the other. 0: it did as it should. */
static int try_receive(struct uring *self, unsigned mode)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return -errno;
    }
    int result = -EIO;
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    struct io_uring_cqe done = {0};
    if (entry != NULL && send(pair[1], "ab", 2, MSG_NOSIGNAL) == 2) {
        io_uring_prep_recv(entry, pair[0], NULL, 0, 0);
        entry->ioprio = mode & URING_MULTISHOT_RECEIVE ? IORING_RECV_MULTISHOT : 0;
        entry->file_index = mode & URING_MULTISHOT_CAP ? 1
                                                       : 0; /* optlen: end after a byte or more */
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = URING_BUFFER_GROUP;
        io_uring_sqe_set_data64(entry, 1);
        result = next_completion(self, &done);
        if (result == 0) {
            bool more = (done.flags & IORING_CQE_F_MORE) != 0;
            bool wants_more = (mode & (URING_MULTISHOT_RECEIVE | URING_MULTISHOT_CAP)) ==
                              URING_MULTISHOT_RECEIVE;
            bool right = done.res == 2 && more == wants_more;
            result = right ? 0 : done.res < 0 ? done.res : -EIO;
        }
    }
    close(pair[1]);
    drain(self, done);
    close(pair[0]);
    return result;
}

static int probe_receive(struct uring *self, unsigned denied)
{
    static const unsigned modes[] = {
        URING_MULTISHOT_RECEIVE | URING_MULTISHOT_CAP, /* 6.17 */
        URING_MULTISHOT_RECEIVE,                       /* 6.0 */
        0,
    };
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (modes[i] & denied) {
            continue;
        }
        result = try_receive(self, modes[i]);
        if (result == 0) {
            self->features |= modes[i];
            break;
        }
    }
    if (result == 0 && !(self->features & URING_MULTISHOT_RECEIVE)) {
        io_note(&self->io, "io_uring: no multishot receive, one operation for each");
    } else if (result == 0 && !(self->features & URING_MULTISHOT_CAP)) {
        io_note(&self->io, "io_uring: multishot receive without a cap, bursts are copied aside");
    }
    return result;
}

/* Accepts a connection on a Unix socket of no name. */
static bool try_multishot_accept(struct uring *self)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof address;
    bool works = false;
    struct io_uring_cqe done = {0};
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    if (entry != NULL && listener >= 0 && client >= 0 &&
        bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 &&
        listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &size) == 0 &&
        connect(client, (struct sockaddr *)&address, size) == 0) {
        io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
        io_uring_sqe_set_data64(entry, 2);
        works = next_completion(self, &done) == 0 && done.res >= 0 &&
                (done.flags & IORING_CQE_F_MORE);
        if (done.res > 0) {
            close(done.res);
        }
        if (works) {
            struct io_uring_sqe *stop = io_uring_get_sqe(&self->ring);
            io_uring_prep_cancel64(stop, 2, 0);
            stop->flags |= IOSQE_CQE_SKIP_SUCCESS;
            io_uring_sqe_set_data64(stop, 0);
        }
    } else if (entry != NULL) {
        io_uring_prep_nop(entry);
        io_uring_sqe_set_data64(entry, 0);
        (void)next_completion(self, &done);
    }
    drain(self, done);
    if (listener >= 0) {
        close(listener);
    }
    if (client >= 0) {
        close(client);
    }
    return works;
}

int uring_setup_buffers(struct uring *self, unsigned denied)
{
    struct io *io = &self->io;
    self->buffer_ring_bytes = io->buffers.count * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, self->buffer_ring_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    self->buffer_ring = memory;
    io_uring_buf_ring_init(self->buffer_ring);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)memory,
        .ring_entries = io->buffers.count,
        .bgid = URING_BUFFER_GROUP,
    };
    int result = io_uring_register_buf_ring(&self->ring, &registration, 0);
    if (result < 0) {
        return result; /* older than 5.19: epoll is better then */
    }
    for (uint32_t id = 0; id < io->buffers.count; id++) {
        io->backend->buffer_given(io, id);
    }
    result = probe_receive(self, denied);
    if (result < 0) {
        return result;
    }
    if (!(denied & URING_MULTISHOT_ACCEPT) && try_multishot_accept(self)) {
        self->features |= URING_MULTISHOT_ACCEPT;
    } else {
        io_note(io, "io_uring: no multishot accept, one operation for each");
    }
    self->features |= URING_SEND_WHOLE & ~denied;
    if (!(self->features & URING_DEFER_TASKRUN)) {
        io_note(io, "io_uring: no DEFER_TASKRUN");
    }
    if (!(self->features & URING_COOP_TASKRUN)) {
        io_note(io, "io_uring: no COOP_TASKRUN");
    }
    io->counters.locked_bytes = self->ring.sq.ring_sz + self->ring.cq.ring_sz +
                                self->ring.sq.ring_entries * sizeof(struct io_uring_sqe) +
                                self->buffer_ring_bytes;
    return 0;
}

void uring_cleanup_ring(struct uring *self)
{
    io_uring_queue_exit(&self->ring);
    if (self->buffer_ring != NULL) {
        munmap(self->buffer_ring, self->buffer_ring_bytes);
    }
}
