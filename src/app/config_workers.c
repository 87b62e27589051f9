#include "app/config_workers.h"

#include "base/span.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The file's first bytes with a NUL behind them; false if it cannot be read. */
static bool read_file(const char *path, char *text, size_t size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    size_t got = 0;
    while (got + 1 < size) {
        ssize_t n = read(descriptor, text + got, size - 1 - got);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    close(descriptor);
    text[got] = '\0';
    return got > 0;
}

/* Digits from *at; false if there are none ("max", "-1") or too many. */
static bool read_digits(const char **at, uint64_t *number)
{
    const char *start = *at;
    uint64_t value = 0;
    while (**at >= '0' && **at <= '9' && *at - start < 18) {
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    }
    *number = value;
    return *at > start;
}

static uint32_t smaller(uint32_t most, uint64_t quota, uint64_t period)
{
    if (quota == 0 || period == 0) {
        return most;
    }
    uint64_t cpus = quota / period + (quota % period != 0);
    return cpus < most ? (uint32_t)cpus : most;
}

/* "150000 100000" or "max 100000" */
static uint32_t limit_v2(const char *folder, uint32_t most)
{
    char path[PATH_MAX + 32], text[128];
    uint64_t quota = 0, period = 0;
    (void)snprintf(path, sizeof path, "%s/cpu.max", folder);
    const char *at = text;
    if (read_file(path, text, sizeof text) && read_digits(&at, &quota) && *at == ' ' &&
        (at++, read_digits(&at, &period))) {
        return smaller(most, quota, period);
    }
    return most;
}

static uint32_t limit_v1(const char *folder, uint32_t most)
{
    char path[PATH_MAX + 32], text[128];
    uint64_t quota = 0, period = 0;
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    const char *at = text;
    if (!read_file(path, text, sizeof text) || !read_digits(&at, &quota)) {
        return most;
    }
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    at = text;
    if (!read_file(path, text, sizeof text) || !read_digits(&at, &period)) {
        return most;
    }
    return smaller(most, quota, period);
}

/* The group and all above it, up to the mount itself. In a container the group's path may not exist
 * below the mount: then only the mount's own limit is found, which is the container's. */
static uint32_t walk_up(const char *mount, struct span group, uint32_t most,
                        uint32_t (*limit)(const char *folder, uint32_t most))
{
    char folder[PATH_MAX];
    int size = snprintf(folder, sizeof folder, "%s%.*s", mount, SPAN_ARG(group));
    size_t base = strlen(mount);
    if (size < 0 || (size_t)size >= sizeof folder - 32) {
        return most;
    }
    for (;;) {
        most = limit(folder, most);
        char *slash = strrchr(folder + base, '/');
        if (slash == NULL) {
            return most;
        }
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup: "0::/group", or "4:cpu,cpuacct:/group". */
static uint32_t limit_by_line(const char *mount, struct span line, uint32_t most)
{
    size_t first = span_find(line, ':');
    if (first == line.size) {
        return most;
    }
    struct span rest = span_after(line, first + 1);
    size_t second = span_find(rest, ':');
    if (second == rest.size) {
        return most;
    }
    struct span controllers = span_first(rest, second), group = span_after(rest, second + 1);
    if (controllers.size == 0) {
        return walk_up(mount, group, most, limit_v2);
    }
    for (struct span left = controllers;;) {
        size_t comma = span_find(left, ',');
        if (span_equal_string(span_first(left, comma), "cpu")) {
            char cpu_mount[PATH_MAX];
            (void)snprintf(cpu_mount, sizeof cpu_mount, "%s/%.*s", mount, SPAN_ARG(controllers));
            most = walk_up(cpu_mount, group, most, limit_v1);
            (void)snprintf(cpu_mount, sizeof cpu_mount, "%s/cpu", mount);
            return walk_up(cpu_mount, group, most, limit_v1);
        }
        if (comma == left.size) {
            return most;
        }
        left = span_after(left, comma + 1);
    }
}

uint32_t config_workers_from(const char *mount, const char *membership, uint32_t cpus)
{
    char text[16384];
    uint32_t most = cpus < 1 ? 1 : cpus > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : cpus;
    if (!read_file(membership, text, sizeof text)) {
        return most;
    }
    struct span left = span_from_string(text);
    while (left.size > 0) {
        size_t end = span_find(left, '\n');
        most = limit_by_line(mount, span_first(left, end), most);
        left = span_after(left, end < left.size ? end + 1 : end);
    }
    return most;
}

uint32_t config_workers_auto(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    if (cpus <= 0) { /* more CPUs than a cpu_set_t has room for */
        cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    return config_workers_from("/sys/fs/cgroup", "/proc/self/cgroup",
                               cpus > 0 ? (uint32_t)cpus : 1);
}
