/* What the kernel may refuse, in the middle of opening a file or making a cache: said, and nothing
 * left behind. The program is linked so that these calls come here first (tests/CMakeLists.txt). */
#include "replay/cache.h"
#include "replay/guard.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum call {
    FSTAT,
    STAT,
    MMAP,
    FALLOCATE,
    FTRUNCATE,
    RANDOM,
    SIGACTION,
    LOCK,
    READ,
    OPEN,
    ALLOC,
    CALLS
};

/* How many more of each go well; -1: all. One that fails does so once. */
static int left[CALLS] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
static int failing_errno = EIO;

static bool fails(enum call call)
{
    if (left[call] < 0) {
        return false;
    }
    if (left[call]-- > 0) {
        return false;
    }
    errno = failing_errno;
    return true;
}

int __real_fstat(int descriptor, struct stat *status);
int __wrap_fstat(int descriptor, struct stat *status);
int __wrap_fstat(int descriptor, struct stat *status)
{
    return fails(FSTAT) ? -1 : __real_fstat(descriptor, status);
}

int __real_stat(const char *path, struct stat *status);
int __wrap_stat(const char *path, struct stat *status);
int __wrap_stat(const char *path, struct stat *status)
{
    return fails(STAT) ? -1 : __real_stat(path, status);
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    return fails(MMAP) ? MAP_FAILED : __real_mmap(at, size, protection, flags, descriptor, offset);
}

int __real_posix_fallocate(int descriptor, off_t offset, off_t size);
int __wrap_posix_fallocate(int descriptor, off_t offset, off_t size);
int __wrap_posix_fallocate(int descriptor, off_t offset, off_t size)
{
    return fails(FALLOCATE) ? failing_errno : __real_posix_fallocate(descriptor, offset, size);
}

int __real_ftruncate(int descriptor, off_t size);
int __wrap_ftruncate(int descriptor, off_t size);
int __wrap_ftruncate(int descriptor, off_t size)
{
    return fails(FTRUNCATE) ? -1 : __real_ftruncate(descriptor, size);
}

ssize_t __real_getrandom(void *bytes, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    return fails(RANDOM) ? -1 : __real_getrandom(bytes, size, flags);
}

int __real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    return fails(SIGACTION) ? -1 : __real_sigaction(number, action, old);
}

int __real_fcntl(int descriptor, int command, ...);
int __wrap_fcntl(int descriptor, int command, ...);
int __wrap_fcntl(int descriptor, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fails(LOCK) ? -1 : __real_fcntl(descriptor, command, argument);
}

static const char *boot_id; /* what is read instead of the kernel's */

ssize_t __real_read(int descriptor, void *bytes, size_t size);
ssize_t __wrap_read(int descriptor, void *bytes, size_t size);
ssize_t __wrap_read(int descriptor, void *bytes, size_t size)
{
    if (boot_id != NULL) {
        size_t said = strlen(boot_id) < size ? strlen(boot_id) : size;
        memcpy(bytes, boot_id, said);
        return (ssize_t)said;
    }
    return fails(READ) ? -1 : __real_read(descriptor, bytes, size);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(OPEN) ? -1 : __real_open(path, flags, mode);
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails(ALLOC) ? NULL : __real_aligned_alloc(alignment, size);
}

/* What _FILE_OFFSET_BITS=64, which a library's flags may bring, makes of them: the same. */
#define ALSO_64(call)                                                                              \
    extern __typeof__(__wrap_##call) __wrap_##call##64 __attribute__((alias("__wrap_" #call)))
ALSO_64(fstat);
ALSO_64(stat);
ALSO_64(mmap);
ALSO_64(posix_fallocate);
ALSO_64(ftruncate);
ALSO_64(fcntl);
ALSO_64(open);

static char folder[64], path[128], text[512];

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/popgate-faults-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/cache", folder);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(faults, .init = set_up, .fini = tear_down);

static uint64_t read_now(void *context)
{
    (void)context;
    return 1000;
}

static enum status make(const char *at, struct replay_cache **cache, int *survived)
{
    struct replay_options options = {
        .capacity = 1000, .window_s_max = 73, .reach_s = 65, .path = at, .clock_boot_s = read_now};
    *cache = NULL;
    *survived = -1;
    text[0] = '\0';
    return replay_cache_new(&options, cache, survived, text, sizeof text);
}

static size_t descriptors(void)
{
    size_t count = 0;
    struct stat status;
    for (int i = 0; i < 256; i++) {
        count += __real_fstat(i, &status) == 0;
    }
    return count;
}

/* The `number`th call of its kind fails: told so, nothing is left open, and the next one works. */
static void expect_told(const char *at, enum call call, int number, const char *said)
{
    size_t before = descriptors();
    struct replay_cache *cache;
    int survived;
    left[call] = number;
    enum status status = make(at, &cache, &survived);
    cr_assert_eq(left[call], -1, "call %d was made fewer times: %d left", (int)call, left[call]);
    cr_assert_neq(status, STATUS_OK, "call %d number %d", (int)call, number);
    cr_assert_null(cache);
    cr_assert_not_null(strstr(text, said), "call %d number %d: %s", (int)call, number, text);
    cr_assert_eq(descriptors(), before);
    cr_assert_eq(make(at, &cache, &survived), STATUS_OK, "%s", text);
    replay_cache_free(cache);
    cr_assert_eq(descriptors(), before);
}

Test(faults, in_memory)
{
    expect_told(NULL, ALLOC, 0, "out of memory");
    expect_told(NULL, MMAP, 0, "replay.capacity");
    expect_told(NULL, RANDOM, 0, "getrandom");
    expect_told("", RANDOM, 0, "getrandom");
}

Test(faults, a_new_file)
{
    static const struct {
        enum call call;
        int number;
        const char *said;
    } cases[] = {
        {RANDOM, 0, "getrandom"},
        {OPEN, 0, "boot_id cannot be read"},
        {READ, 0, "boot_id cannot be read"},
        {OPEN, 1, "cannot be opened"},
        {FSTAT, 0, "Input/output error"},
        {FALLOCATE, 0, "no room for"},
        {FTRUNCATE, 0, "no room for"},
        {MMAP, 0, "cannot be mapped"},
        {SIGACTION, 0, ""},
        {LOCK, 2, "cannot be locked"},
        {LOCK, 3, "cannot be locked"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unlink(path);
        expect_told(path, cases[i].call, cases[i].number, cases[i].said);
    }
}

/* No room for what replaces a file, and none to cut it either: said, and repaired the next time. */
Test(faults, a_file_that_cannot_be_emptied)
{
    left[FALLOCATE] = 0;
    left[FTRUNCATE] = 1;
    struct replay_cache *cache;
    int survived;
    cr_assert_neq(make(path, &cache, &survived), STATUS_OK);
    cr_assert_not_null(strstr(text, "no room for"), "%s", text);
    cr_assert_eq(make(path, &cache, &survived), STATUS_OK, "%s", text);
    cr_assert_eq(survived, REPLAY_FRESH);
    replay_cache_free(cache);
}

/* A file that is there and cannot be used as it is: made anew, never trusted in part. */
Test(faults, a_file_that_is_there_is_made_anew)
{
    static const struct {
        enum call call;
        int number;
        const char *said;
    } cases[] = {
        {FSTAT, 1, "new"}, /* its size is not known, so nothing in it counts */
        {FALLOCATE, 0, "full of holes"},
        {MMAP, 0, "not to be mapped"},
    };
    struct replay_cache *cache;
    int survived;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(make(path, &cache, &survived), STATUS_OK, "%s", text);
        replay_cache_free(cache);
        left[cases[i].call] = cases[i].number;
        cr_assert_eq(make(path, &cache, &survived), STATUS_OK, "%s", text);
        cr_assert_eq(left[cases[i].call], -1);
        cr_assert_eq(survived, REPLAY_FRESH, "case %zu", i);
        cr_assert_not_null(strstr(text, cases[i].said), "case %zu: %s", i, text);
        replay_cache_free(cache);
    }
}

Test(faults, a_kernel_without_time_namespaces)
{
    struct replay_cache *cache;
    int survived;
    for (int round = 0; round < 2; round++) {
        left[STAT] = 0;
        cr_assert_eq(make(path, &cache, &survived), STATUS_OK, "%s", text);
        cr_assert_eq(survived, round == 0 ? REPLAY_FRESH : REPLAY_SURVIVED);
        cr_assert_eq(left[STAT], -1);
        replay_cache_free(cache);
    }
    /* Moved to one that has them: the clock may be another. */
    cr_assert_eq(make(path, &cache, &survived), STATUS_OK);
    cr_assert_eq(survived, REPLAY_FRESH);
    cr_assert_not_null(strstr(text, "machine's start"), "%s", text);
    replay_cache_free(cache);
}

Test(faults, a_boot_id_that_is_none)
{
    static const char *const none[] = {"", "4fc3f2d1\n", "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz\n",
                                       "4FC3F2D1-0000-0000-0000-ABCDEFABCDEF\n"};
    struct replay_cache *cache;
    int survived;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        boot_id = none[i];
        enum status status = make(path, &cache, &survived);
        boot_id = NULL;
        cr_assert_neq(status, STATUS_OK, "%s", none[i]);
        cr_assert_not_null(strstr(text, "boot_id"), "%s", text);
    }
    boot_id = "4fc3f2d1-0000-0000-0000-abcdefabcdef\n";
    cr_assert_eq(make(path, &cache, &survived), STATUS_OK);
    replay_cache_free(cache);
    cr_assert_eq(make(path, &cache, &survived), STATUS_OK);
    boot_id = NULL;
    cr_assert_eq(survived, REPLAY_SURVIVED);
    replay_cache_free(cache);
}

/* The setting-up lock as another process would find it. */
static bool is_being_set_up(void)
{
    int descriptor = open(path, O_RDWR);
    struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    cr_assert_eq(fcntl(descriptor, F_OFD_GETLK, &asked), 0);
    close(descriptor);
    return asked.l_type != F_UNLCK;
}

/* Who is alone is so until it has done what only one who is alone may do: nobody begins meanwhile.
 */
Test(faults, nobody_comes_in_before_they_are_let_in)
{
    struct replay_file file;
    struct replay_identity identity = {
        .magic = REPLAY_MAGIC, .version = REPLAY_VERSION, .slot_bytes = 16, .buckets = 16};
    cr_assert_eq(replay_file_open(path, &identity, 1000, &file, text, sizeof text), STATUS_OK);
    cr_assert(file.alone);
    cr_assert(is_being_set_up());
    cr_assert_eq(replay_file_let_in(&file), STATUS_OK);
    cr_assert_not(is_being_set_up());
    replay_file_close(&file);

    unlink(path);
    struct replay_cache *cache;
    int survived;
    cr_assert_eq(make(path, &cache, &survived), STATUS_OK, "%s", text);
    cr_assert_not(is_being_set_up(), "a cache that is there lets others in");
    replay_cache_free(cache);
}

Test(faults, whether_it_is_whole_is_not_known)
{
    struct replay_file file;
    struct replay_identity identity = {
        .magic = REPLAY_MAGIC, .version = REPLAY_VERSION, .slot_bytes = 16, .buckets = 16};
    cr_assert_eq(replay_file_open(path, &identity, 1000, &file, text, sizeof text), STATUS_OK);
    cr_assert(replay_file_is_whole(&file));
    left[FSTAT] = 0;
    cr_assert_not(replay_file_is_whole(&file), "what cannot be looked at is not whole");
    cr_assert(replay_file_is_whole(&file));
    replay_file_close(&file);
    replay_file_close(&file); /* twice is once */
}
