#include "app/config_workers.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A /sys/fs/cgroup and a /proc/self/cgroup of our own. */
static char root[64];

static void set_up(void)
{
    (void)snprintf(root, sizeof root, "/tmp/popgate-cgroup-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void tear_down(void)
{
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(config_workers, .init = set_up, .fini = tear_down);

/* Makes the folders on the way. */
static void put(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

static uint32_t workers(uint32_t cpus)
{
    char mount[128], membership[128];
    (void)snprintf(mount, sizeof mount, "%s/fs", root);
    (void)snprintf(membership, sizeof membership, "%s/membership", root);
    return config_workers_from(mount, membership, cpus);
}

Test(config_workers, without_cgroups_the_affinity_decides)
{
    cr_assert_eq(workers(6), 6);
    cr_assert_eq(workers(0), 1);
    cr_assert_eq(workers(1000), CONFIG_WORKERS_MAX);
    put("membership", "");
    cr_assert_eq(workers(6), 6);
}

Test(config_workers, version_2)
{
    put("membership", "0::/kubepods/pod1/container\n");
    cr_assert_eq(workers(8), 8);
    put("fs/kubepods/pod1/container/cpu.max", "max 100000\n");
    cr_assert_eq(workers(8), 8);
    put("fs/kubepods/pod1/container/cpu.max", "250000 100000\n");
    cr_assert_eq(workers(8), 3); /* rounded up */
    cr_assert_eq(workers(2), 2); /* never more than may run */
    put("fs/kubepods/pod1/container/cpu.max", "200000 100000\n");
    cr_assert_eq(workers(8), 2);
    put("fs/kubepods/pod1/container/cpu.max", "1000 100000\n");
    cr_assert_eq(workers(8), 1);
    put("fs/kubepods/pod1/container/cpu.max", "0 100000\n");
    cr_assert_eq(workers(8), 8); /* no such quota: it limits nothing */
}

Test(config_workers, the_smallest_of_the_groups_above_counts)
{
    put("membership", "0::/a/b/c\n");
    put("fs/a/b/c/cpu.max", "500000 100000\n");
    put("fs/a/b/cpu.max", "max 100000\n");
    put("fs/a/cpu.max", "300000 100000\n");
    cr_assert_eq(workers(8), 3);
    put("fs/cpu.max", "150000 100000\n"); /* the mount itself: a container's own root */
    cr_assert_eq(workers(8), 2);
}

Test(config_workers, a_group_that_is_not_below_the_mount)
{
    put("membership", "0::/../../outside\n");
    put("fs/cpu.max", "100000 100000\n");
    cr_assert_eq(workers(8), 1);
}

Test(config_workers, version_1)
{
    put("membership", "12:pids:/x\n5:cpu,cpuacct:/docker/1\n1:name=systemd:/x\n");
    cr_assert_eq(workers(8), 8);
    put("fs/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n");
    put("fs/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(workers(8), 8);
    put("fs/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "120000\n");
    cr_assert_eq(workers(8), 2);
    put("fs/cpu/docker/1/cpu.cfs_quota_us", "50000\n"); /* the other name of the mount */
    put("fs/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(workers(8), 1);
}

Test(config_workers, version_1_without_a_period)
{
    put("membership", "5:cpuacct,cpu:/d\n");
    put("fs/cpuacct,cpu/d/cpu.cfs_quota_us", "100000\n");
    cr_assert_eq(workers(8), 8);
    put("fs/cpuacct,cpu/d/cpu.cfs_period_us", "x\n");
    cr_assert_eq(workers(8), 8);
    put("fs/cpuacct,cpu/d/cpu.cfs_period_us", "0\n");
    cr_assert_eq(workers(8), 8);
}

Test(config_workers, nonsense_limits_nothing)
{
    static const char *const lines[] = {"\n",    "0\n",   "0:\n",          "0:x\n",
                                        "0::\n", ":::\n", "5:cpuset:/a\n", "5:acpu:/a\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        put("membership", lines[i]);
        cr_assert_eq(workers(8), 8, "%s", lines[i]);
    }
    static const char *const limits[] = {
        "",         "\n",  "max",       "100000",         "100000 ",
        "100000 x", "x 1", "-5 100000", "100000\t100000", "99999999999999999999 100000"};
    put("membership", "0::/a\n");
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        put("fs/a/cpu.max", limits[i]);
        cr_assert_eq(workers(8), 8, "%s", limits[i]);
    }
}

Test(config_workers, a_path_that_is_too_long)
{
    char line[5000] = "0::/";
    memset(line + 4, 'a', 4500);
    put("membership", line);
    put("fs/cpu.max", "100000 100000\n");
    cr_assert_eq(workers(8), 8);
}

Test(config_workers, of_this_process)
{
    uint32_t count = config_workers_auto();
    cr_assert(count >= 1 && count <= (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
}
