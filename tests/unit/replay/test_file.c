/* replay.path: what survives, what is refused, what is made anew. */
#include "replay/cache.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

static char folder[64];
static char path[128];
static uint64_t now = 1000;
static char text[512];

static uint64_t read_now(void *context)
{
    (void)context;
    return now;
}

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/popgate-replay-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/cache", folder);
    now = 1000;
}

static void tear_down(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(file, .init = set_up, .fini = tear_down);

static enum status try_open(uint64_t capacity, uint64_t reach_s, struct replay_cache **cache,
                            int *survived)
{
    struct replay_options options = {
        .capacity = capacity,
        .window_s_max = reach_s + 8,
        .reach_s = reach_s,
        .path = path,
        .clock_boot_s = read_now,
    };
    *cache = NULL;
    text[0] = '\0';
    return replay_cache_new(&options, cache, survived, text, sizeof text);
}

static struct replay_cache *open_expecting(uint64_t capacity, uint64_t reach_s, int expected)
{
    struct replay_cache *cache;
    int survived = -1;
    cr_assert_eq(try_open(capacity, reach_s, &cache, &survived), STATUS_OK, "%s", text);
    cr_assert_eq(survived, expected, "%d: %s", survived, text);
    return cache;
}

static void expect_refused(const char *word)
{
    struct replay_cache *cache;
    int survived;
    cr_assert_neq(try_open(1000, 65, &cache, &survived), STATUS_OK);
    cr_assert_not_null(strstr(text, word), "%s", text);
    cr_assert_null(cache);
}

static struct replay_key key_of(const struct replay_cache *cache, unsigned number)
{
    static const uint8_t jkt[32] = {9};
    struct span htu = SPAN_LITERAL("https://a/"), htm = SPAN_LITERAL("GET");
    struct span jti = span_make(&number, sizeof number);
    return replay_key_hash(cache, jkt, &htu, &htm, &jti);
}

static enum status insert(struct replay_cache *cache, unsigned number)
{
    return replay_insert(cache, key_of(cache, number), now, now + 60);
}

Test(file, proofs_of_an_earlier_process_are_still_used)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_not_null(strstr(text, "new"), "%s", text);
    for (unsigned i = 0; i < 500; i++) {
        cr_assert_eq(insert(cache, i), STATUS_OK);
    }
    replay_cache_free(cache);
    cache = open_expecting(1000, 65, REPLAY_SURVIVED);
    for (unsigned i = 0; i < 500; i++) {
        cr_assert_eq(insert(cache, i), STATUS_EXISTS, "the hash key survives too");
    }
    cr_assert_eq(insert(cache, 500), STATUS_OK);
    now += 62;
    cr_assert_eq(insert(cache, 3), STATUS_OK, "expiry goes on");
    replay_cache_free(cache);
}

Test(file, it_is_private_and_has_all_its_blocks)
{
    replay_cache_free(open_expecting(100000, 65, REPLAY_FRESH));
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0600);
    cr_assert_geq((uint64_t)status.st_blocks * 512, (uint64_t)status.st_size);
    cr_assert_leq((uint64_t)status.st_size, 100000u * 24 + REPLAY_HEADER_BYTES + 128);
}

/* What twenty rounds at their bound come to, and more. */
#define KILLED_CAPACITY  200000
#define KILLED_ROUND_MAX 9000

Test(file, a_killed_process_leaves_every_insert_it_was_told_of)
{
    int *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            struct replay_cache *cache;
            int survived;
            if (try_open(KILLED_CAPACITY, 65, &cache, &survived) != STATUS_OK) {
                _exit(1);
            }
            for (int end = *told + KILLED_ROUND_MAX; *told < end;) {
                if (insert(cache, (unsigned)*told) == STATUS_OK) {
                    __atomic_fetch_add(told, 1, __ATOMIC_SEQ_CST);
                } else if (insert(cache, (unsigned)*told) != STATUS_EXISTS) {
                    _exit(1);
                } else {
                    /* The one before it was killed in between: used, though nobody was told. */
                    __atomic_fetch_add(told, 1, __ATOMIC_SEQ_CST);
                }
            }
            pause();
        }
        usleep(3000);
        kill(child, SIGKILL);
        int result;
        waitpid(child, &result, 0);
        cr_assert(WIFSIGNALED(result), "round %d", round);
    }
    struct replay_cache *cache = open_expecting(KILLED_CAPACITY, 65, REPLAY_SURVIVED);
    cr_assert_gt(*told, 0);
    for (int i = 0; i < *told; i++) {
        cr_assert_eq(insert(cache, (unsigned)i), STATUS_EXISTS, "%d of %d", i, *told);
    }
    replay_cache_free(cache);
    munmap(told, 4096);
}

Test(file, two_at_once_share_it)
{
    struct replay_cache *a = open_expecting(1000, 65, REPLAY_FRESH);
    struct replay_cache *b = open_expecting(1000, 65, REPLAY_SURVIVED);
    cr_assert_not_null(strstr(text, "still uses it"), "%s", text);
    cr_assert_eq(insert(a, 1), STATUS_OK);
    cr_assert_eq(insert(b, 1), STATUS_EXISTS);
    cr_assert_eq(insert(b, 2), STATUS_OK);
    cr_assert_eq(insert(a, 2), STATUS_EXISTS);
    replay_cache_free(a);
    cr_assert_eq(insert(b, 1), STATUS_EXISTS);
    replay_cache_free(b);
}

Test(file, another_capacity_is_made_anew_when_nobody_has_it)
{
    struct replay_cache *a = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_eq(insert(a, 1), STATUS_OK);
    struct replay_cache *b = open_expecting(5000, 65, REPLAY_SURVIVED);
    struct replay_counters counters;
    replay_read_counters(b, now, &counters);
    cr_assert_eq(counters.capacity, 1000, "in use: it stays as it is");
    cr_assert_eq(insert(b, 1), STATUS_EXISTS);
    replay_cache_free(a);
    replay_cache_free(b);
    b = open_expecting(5000, 65, REPLAY_FRESH);
    cr_assert_not_null(strstr(text, "another capacity"), "%s", text);
    replay_read_counters(b, now, &counters);
    cr_assert_eq(counters.capacity, 5000);
    replay_cache_free(b);
}

/* Whoever was before us remembered for a shorter time than we accept. */
Test(file, a_longer_reach_is_told)
{
    struct replay_cache *a = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_eq(replay_reach_s(a), 65);
    struct replay_cache *b = open_expecting(1000, 130, REPLAY_SHORTER);
    cr_assert_eq(replay_reach_s(a), 130, "the other process remembers for both from now on");
    struct replay_cache *c = open_expecting(1000, 65, REPLAY_SURVIVED);
    cr_assert_eq(replay_reach_s(c), 130, "as long as b may live");
    replay_cache_free(a);
    replay_cache_free(b);
    replay_cache_free(c);
    c = open_expecting(1000, 65, REPLAY_SURVIVED);
    cr_assert_eq(replay_reach_s(c), 65, "alone: its own");
    cr_assert_eq(replay_widen(c, 73, 65), false);
    cr_assert_eq(replay_widen(c, 200, 190), true);
    cr_assert_eq(replay_reach_s(c), 190);
    cr_assert_eq(replay_ahead_s(c), 10);
    replay_cache_free(c);
    replay_cache_free(open_expecting(1000, 191, REPLAY_SHORTER));
}

Test(file, the_floor_and_the_clock_are_kept)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_eq(replay_kept_floor_s(cache), 0);
    replay_keep_floor(cache, 1700000000);
    replay_keep_floor(cache, 1600000000);
    replay_keep_clock_offset(cache, 42);
    replay_cache_free(cache);
    cache = open_expecting(1000, 65, REPLAY_SURVIVED);
    cr_assert_eq(replay_kept_floor_s(cache), 1700000000);
    cr_assert_eq(replay_kept_clock_offset_ns(cache), 42);
    replay_cache_free(cache);
}

static void change(long offset, const void *bytes, size_t size)
{
    int descriptor = open(path, O_WRONLY);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(pwrite(descriptor, bytes, size, offset), (ssize_t)size);
    close(descriptor);
}

static void make_one(void)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_eq(insert(cache, 1), STATUS_OK);
    replay_cache_free(cache);
}

static void expect_anew(const char *word)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_not_null(strstr(text, word), "%s", text);
    cr_assert_eq(insert(cache, 1), STATUS_OK);
    cr_assert_eq(insert(cache, 1), STATUS_EXISTS);
    replay_cache_free(cache);
    replay_cache_free(open_expecting(1000, 65, REPLAY_SURVIVED));
}

#define AT(member) (long)offsetof(struct replay_identity, member)

Test(file, every_damaged_byte_of_the_header_makes_it_anew)
{
    for (long at = 0; at < (long)sizeof(struct replay_identity); at += 5) {
        unlink(path);
        make_one();
        uint8_t byte;
        int descriptor = open(path, O_RDONLY);
        cr_assert_eq(pread(descriptor, &byte, 1, at), 1);
        close(descriptor);
        byte ^= 0x40;
        change(at, &byte, 1);
        struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
        replay_cache_free(cache);
    }
}

Test(file, another_version_is_made_anew)
{
    make_one();
    uint32_t version = REPLAY_VERSION + 1;
    change(AT(version), &version, sizeof version);
    expect_anew("another version");
}

Test(file, another_boot_is_made_anew)
{
    make_one();
    struct replay_identity identity;
    int descriptor = open(path, O_RDONLY);
    cr_assert_eq(read(descriptor, &identity, sizeof identity), (ssize_t)sizeof identity);
    close(descriptor);
    identity.boot_id[3] ^= 1;
    identity.checksum = XXH3_64bits(&identity, offsetof(struct replay_identity, checksum));
    change(0, &identity, sizeof identity);
    expect_anew("machine's start");
}

Test(file, a_short_long_or_foreign_file_is_made_anew)
{
    make_one();
    cr_assert_eq(truncate(path, 100), 0);
    expect_anew("too short");
    cr_assert_eq(truncate(path, 8192), 0);
    expect_anew("its size");
    cr_assert_eq(truncate(path, 1 << 20), 0);
    expect_anew("its size");
    change(0, "#!/bin/sh\necho hello\n", 21);
    expect_anew("not a replay file");
    uint64_t low = UINT64_C(0xffff) << 16 | SLOT_COMMITTED; /* lives for centuries */
    change(REPLAY_HEADER_BYTES + 64, &low, sizeof low);
    expect_anew("its entries");
    low = UINT64_C(1000) << 4 | 9;
    change(REPLAY_HEADER_BYTES + 64, &low, sizeof low);
    expect_anew("its entries");
}

/* A header that is whole and says what no cache of ours would. */
Test(file, a_number_of_buckets_that_cannot_be_is_damage)
{
    static const uint64_t numbers[] = {0, 1, TABLE_BUCKETS_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        unlink(path);
        make_one();
        struct replay_identity identity;
        int descriptor = open(path, O_RDONLY);
        cr_assert_eq(read(descriptor, &identity, sizeof identity), (ssize_t)sizeof identity);
        close(descriptor);
        identity.buckets = numbers[i];
        identity.checksum = XXH3_64bits(&identity, offsetof(struct replay_identity, checksum));
        change(0, &identity, sizeof identity);
        expect_anew("its header");
    }
}

Test(file, a_window_or_a_slot_that_cannot_be_is_damage)
{
    make_one();
    uint64_t window_s = (uint64_t)SLOT_EXPIRY_MAX + 1;
    change((long)offsetof(struct replay_header, shared.window_s_ever), &window_s, sizeof window_s);
    expect_anew("its entries");
    uint64_t half = 7; /* a slot of which only the upper word was written */
    change(REPLAY_HEADER_BYTES + 64 + 8, &half, sizeof half);
    expect_anew("its entries");
}

Test(file, a_damaged_file_in_use_is_refused)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    uint32_t version = REPLAY_VERSION + 1;
    change(AT(version), &version, sizeof version);
    expect_refused("in use by another process");
    replay_cache_free(cache);
}

Test(file, what_others_could_touch_is_refused)
{
    make_one();
    cr_assert_eq(chmod(path, 0640), 0);
    expect_refused("mode 0640");
    cr_assert_eq(chmod(path, 0602), 0);
    expect_refused("mode 0602");
    cr_assert_eq(chmod(path, 0600), 0);
    char other[160];
    snprintf(other, sizeof other, "%s.link", path);
    cr_assert_eq(link(path, other), 0);
    expect_refused("2 names");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink(other, path), 0);
    expect_refused("symbolic link");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(unlink(other), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused("regular file");
    cr_assert_eq(unlink(path), 0);
    if (geteuid() == 0) {
        make_one();
        cr_assert_eq(chown(path, 12345, 12345), 0);
        expect_refused("12345");
    }
}

Test(file, a_folder_that_is_not_there_is_told)
{
    snprintf(path, sizeof path, "%s/no/cache", folder);
    expect_refused("No such file");
}

/* An interrupted set-up of a process that is stopped: not waited for without an end. */
Test(file, a_stuck_set_up_is_told, .timeout = 20)
{
    int descriptor = open(path, O_RDWR | O_CREAT, 0600);
    struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    cr_assert_eq(fcntl(descriptor, F_OFD_SETLK, &wanted), 0);
    expect_refused("setting it up");
    close(descriptor);
}

/* SIGBUS: the process goes on and refuses; nothing is told OK again. */
Test(file, cut_short_under_us_nothing_passes)
{
    struct replay_cache *cache = open_expecting(100000, 65, REPLAY_FRESH);
    cr_assert_eq(insert(cache, 1), STATUS_OK);
    cr_assert_eq(truncate(path, REPLAY_HEADER_BYTES), 0);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(insert(cache, i), STATUS_SYSTEM, "%u", i);
    }
    replay_cache_free(cache);

    unlink(path);
    cache = open_expecting(100000, 65, REPLAY_FRESH);
    cr_assert_eq(truncate(path, 0), 0);
    cr_assert_eq(insert(cache, 1), STATUS_SYSTEM, "the header itself is gone");
    replay_cache_free(cache);
}

/* Cut and made longer again there is no SIGBUS: found within a second if the size is another. */
Test(file, another_size_is_found_within_a_second)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    cr_assert_eq(replay_admit(cache, 1, now), STATUS_OK);
    cr_assert_eq(truncate(path, 1 << 20), 0);
    now++;
    cr_assert_eq(replay_admit(cache, 1, now), STATUS_OK);
    cr_assert_eq(insert(cache, 1), STATUS_SYSTEM);
    replay_cache_free(cache);
}

Test(file, another_bus_error_still_ends_the_process, .signal = SIGBUS)
{
    struct replay_cache *cache = open_expecting(1000, 65, REPLAY_FRESH);
    char other[160];
    snprintf(other, sizeof other, "%s/other", folder);
    int descriptor = open(other, O_RDWR | O_CREAT, 0600);
    unlink(other);
    volatile char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, descriptor, 0);
    tear_down();
    (void)memory[0];
    replay_cache_free(cache);
}

Test(file, a_full_disk_is_told_and_a_file_made_when_there_is_room)
{
    if (geteuid() != 0 || mount("none", folder, "tmpfs", 0, "size=256k") != 0) {
        cr_skip_test("needs to mount a tmpfs");
    }
    struct replay_cache *cache;
    int survived;
    cr_expect_eq(try_open(100000, 65, &cache, &survived), STATUS_SYSTEM);
    cr_expect_not_null(strstr(text, "no room for"), "%s", text);
    cr_expect_not_null(strstr(text, "No space left"), "%s", text);
    cr_expect_eq(try_open(1000, 65, &cache, &survived), STATUS_OK, "%s", text);
    replay_cache_free(cache);
    umount2(folder, MNT_DETACH);
}

Test(file, guards_are_given_back)
{
    for (int i = 0; i < 3 * GUARD_RANGES_MAX; i++) {
        struct replay_cache *cache = open_expecting(100, 65,
                                                    i == 0 ? REPLAY_FRESH : REPLAY_SURVIVED);
        replay_cache_free(cache);
    }
    struct replay_cache *all[GUARD_RANGES_MAX];
    for (int i = 0; i < GUARD_RANGES_MAX; i++) {
        all[i] = open_expecting(100, 65, REPLAY_SURVIVED);
    }
    expect_refused("no guard");
    for (int i = 0; i < GUARD_RANGES_MAX; i++) {
        replay_cache_free(all[i]);
    }
}
