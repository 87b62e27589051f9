#include "replay/file.h"

#include "replay/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

/* Locks of the open file, not of the process (fcntl(2), "Open file description locks"), so that
 * they end with it, however it ends. One byte each: who sets up holds the first alone; who uses the
 * file holds the second together with the others. */
#define LOCK_SETUP 0
#define LOCK_USERS 1

static bool lock(int descriptor, off_t byte, short type)
{
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(descriptor, F_OFD_SETLK, &wanted) == 0;
}

/* A set-up takes milliseconds: asked again and again rather than waited for without an end. */
static bool lock_setup(int descriptor)
{
    for (int waited_ms = 0; waited_ms <= REPLAY_FILE_WAIT_MS; waited_ms += 10) {
        if (lock(descriptor, LOCK_SETUP, F_WRLCK)) {
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                          : -1;
}

/* "4fc3f2d1-…": 16 bytes. */
static enum status read_boot_id(uint8_t out[16])
{
    char text[64];
    int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor < 0 ? -1 : read(descriptor, text, sizeof text);
    if (descriptor >= 0) {
        close(descriptor);
    }
    unsigned digits = 0;
    for (ssize_t i = 0; i < size && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit >= 0) {
            out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | digit);
            digits++;
        }
    }
    return digits == 32 ? STATUS_OK : STATUS_SYSTEM;
}

static uint64_t read_time_namespace(void)
{
    struct stat status;
    /* Kernels before 5.6 have none: all are in the same. */
    return stat("/proc/self/ns/time", &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static uint64_t checksum_of(const struct replay_identity *identity)
{
    return XXH3_64bits(identity, offsetof(struct replay_identity, checksum));
}

static size_t bytes_for(uint64_t buckets)
{
    return REPLAY_HEADER_BYTES + buckets * TABLE_BUCKET_BYTES;
}

/* A file that others can read tells them the hash key, one they can write is worth nothing:
 * refused, not repaired, for somebody has made it so. */
static enum status check_owner(int descriptor, const char *path, char *text, size_t text_size)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        snprintf(text, text_size, "replay.path: %s: %m", path);
    } else if (!S_ISREG(status.st_mode)) {
        snprintf(text, text_size, "replay.path: %s is not a regular file", path);
    } else if (status.st_uid != geteuid()) {
        snprintf(text, text_size, "replay.path: %s belongs to uid %u, we are %u: remove it", path,
                 (unsigned)status.st_uid, (unsigned)geteuid());
    } else if ((status.st_mode & 077) != 0) {
        snprintf(text, text_size,
                 "replay.path: %s has mode %04o, others could read or write it: remove it", path,
                 (unsigned)(status.st_mode & 07777));
    } else if (status.st_nlink > 1) {
        snprintf(text, text_size, "replay.path: %s has %u names, it must have one: remove it", path,
                 (unsigned)status.st_nlink);
    } else {
        return STATUS_OK;
    }
    return STATUS_DENIED;
}

static enum status map(struct replay_file *file, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        file->descriptor, 0);
    if (memory == MAP_FAILED) {
        return STATUS_SYSTEM;
    }
    file->memory = memory;
    file->bytes = bytes;
    return STATUS_OK;
}

static void unmap(struct replay_file *file)
{
    if (file->memory != NULL) {
        munmap(file->memory, file->bytes);
        file->memory = NULL;
    }
}

/* What only damage leaves: a state that is none, or an expiry that no insert asked for. */
static bool slots_are_sane(const struct replay_file *file, uint64_t buckets, uint64_t latest_boot_s)
{
    const struct slot *slots = (const void *)((const char *)file->memory + REPLAY_HEADER_BYTES);
    for (uint64_t i = 0; i < buckets * TABLE_BUCKET_SLOTS; i++) {
        struct slot_value value = slot_load(&slots[i]);
        if (value.low == 0 && value.high == 0) {
            continue;
        }
        if (slot_state(value) < SLOT_TENTATIVE || slot_state(value) > SLOT_BEATEN ||
            slot_expiry(value) > latest_boot_s) {
            return false;
        }
    }
    return true;
}

/* NULL and the file mapped: it can be taken over. Otherwise what is wrong with it, a phrase. */
static const char *take_over(struct replay_file *file, const struct replay_identity *fresh,
                             uint64_t now_boot_s)
{
    struct replay_identity identity;
    struct stat status = {0};
    if (fstat(file->descriptor, &status) != 0 ||
        pread(file->descriptor, &identity, sizeof identity, 0) != (ssize_t)sizeof identity) {
        return status.st_size == 0 ? "new" : "damaged (too short)";
    }
    if (memcmp(identity.magic, fresh->magic, sizeof identity.magic) != 0) {
        return "not a replay file, or one whose making was interrupted";
    }
    if (identity.version != fresh->version || identity.slot_bytes != fresh->slot_bytes) {
        return "of another version";
    }
    if (identity.checksum != checksum_of(&identity) || identity.buckets < 2 ||
        identity.buckets > TABLE_BUCKETS_MAX) {
        return "damaged (its header)";
    }
    if (memcmp(identity.boot_id, fresh->boot_id, sizeof identity.boot_id) != 0 ||
        identity.time_namespace != fresh->time_namespace) {
        return "from before the machine's start";
    }
    if ((uint64_t)status.st_size != bytes_for(identity.buckets)) {
        return "damaged (its size)";
    }
    if (file->alone && identity.buckets != fresh->buckets) {
        return "of another capacity";
    }
    /* Nothing to do for blocks that are there; a copy with holes gets its blocks now, not as a
     * SIGBUS later. */
    if (posix_fallocate(file->descriptor, 0, status.st_size) != 0) {
        return "full of holes, for which the disk has no room";
    }
    if (map(file, (size_t)status.st_size) != STATUS_OK) {
        return "not to be mapped";
    }
    const struct replay_header *header = file->memory;
    uint64_t window_s = atomic_load_explicit(&header->shared.window_s_ever, memory_order_relaxed);
    if (window_s > SLOT_EXPIRY_MAX ||
        (file->alone && !slots_are_sane(file, identity.buckets, now_boot_s + window_s + 1))) {
        unmap(file);
        return "damaged (its entries)";
    }
    return NULL;
}

/* In place, under both locks. The magic goes last: an interrupted making is seen. */
static enum status make_anew(struct replay_file *file, const char *path,
                             const struct replay_identity *fresh, char *text, size_t text_size)
{
    size_t bytes = bytes_for(fresh->buckets);
    int error = ftruncate(file->descriptor, 0) != 0
                    ? errno
                    : posix_fallocate(file->descriptor, 0, (off_t)bytes);
    if (error != 0) {
        errno = error;
        snprintf(text, text_size, "replay.path: %s: no room for %zu bytes: %m", path, bytes);
        if (ftruncate(file->descriptor, 0) != 0) {
            /* Then it is taken for an interrupted making next time. */
        }
        return STATUS_SYSTEM;
    }
    if (map(file, bytes) != STATUS_OK) {
        snprintf(text, text_size, "replay.path: %s cannot be mapped: %m", path);
        return STATUS_SYSTEM;
    }
    struct replay_header *header = file->memory;
    struct replay_identity identity = *fresh;
    memset(identity.magic, 0, sizeof identity.magic);
    header->identity = identity;
    atomic_thread_fence(memory_order_release);
    memcpy(header->identity.magic, fresh->magic, sizeof fresh->magic);
    return STATUS_OK;
}

static enum status set_up(struct replay_file *file, const char *path,
                          const struct replay_identity *fresh, uint64_t now_boot_s, char *text,
                          size_t text_size)
{
    if (!lock_setup(file->descriptor)) {
        snprintf(text, text_size,
                 "replay.path: %s: another process has been setting it up for %d s", path,
                 REPLAY_FILE_WAIT_MS / 1000);
        return STATUS_AGAIN;
    }
    file->alone = lock(file->descriptor, LOCK_USERS, F_WRLCK);
    const char *unfit = take_over(file, fresh, now_boot_s);
    file->found = unfit == NULL;
    if (unfit != NULL && !file->alone) {
        snprintf(text, text_size, "replay.path: %s is in use by another process and %s", path,
                 unfit);
        return STATUS_DENIED;
    }
    if (unfit != NULL && make_anew(file, path, fresh, text, text_size) != STATUS_OK) {
        return STATUS_SYSTEM;
    }
    if (unfit != NULL) {
        snprintf(text, text_size, "%s was %s and has been made anew", path, unfit);
    } else {
        snprintf(text, text_size, "%s was taken over%s", path,
                 file->alone ? "" : " together with a process that still uses it");
    }
    /* From alone to together: of one and the same lock, so nobody comes in between. */
    if (!lock(file->descriptor, LOCK_USERS, F_RDLCK)) {
        snprintf(text, text_size, "replay.path: %s cannot be locked: %m", path);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

enum status replay_file_open(const char *path, const struct replay_identity *fresh,
                             uint64_t now_boot_s, struct replay_file *file, char *text,
                             size_t text_size)
{
    *file = (struct replay_file){.descriptor = -1};
    struct replay_identity identity = *fresh;
    if (read_boot_id(identity.boot_id) != STATUS_OK) {
        snprintf(text, text_size,
                 "replay.path: /proc/sys/kernel/random/boot_id cannot be read: %m");
        return STATUS_SYSTEM;
    }
    identity.time_namespace = read_time_namespace();
    identity.checksum = checksum_of(&identity);
    /* O_NONBLOCK: a FIFO in its place does not stop us; it has no meaning for a file. */
    file->descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file->descriptor < 0) {
        const char *link = errno == ELOOP ? " (it is a symbolic link)" : "";
        snprintf(text, text_size, "replay.path: %s cannot be opened: %m%s", path, link);
        return STATUS_SYSTEM;
    }
    enum status status = check_owner(file->descriptor, path, text, text_size);
    if (status == STATUS_OK) {
        status = set_up(file, path, &identity, now_boot_s, text, text_size);
    }
    if (status != STATUS_OK) {
        replay_file_close(file);
    }
    return status;
}

enum status replay_file_let_in(struct replay_file *file)
{
    return lock(file->descriptor, LOCK_SETUP, F_UNLCK) ? STATUS_OK : STATUS_SYSTEM;
}

void replay_file_close(struct replay_file *file)
{
    unmap(file);
    if (file->descriptor >= 0) {
        close(file->descriptor); /* and with it the locks */
        file->descriptor = -1;
    }
}

bool replay_file_is_whole(const struct replay_file *file)
{
    struct stat status;
    return fstat(file->descriptor, &status) == 0 && (size_t)status.st_size == file->bytes;
}
