/* How many workers `auto` is. */
#ifndef POPGATE_APP_CONFIG_WORKERS_H
#define POPGATE_APP_CONFIG_WORKERS_H

#include <stdint.h>

#define CONFIG_WORKERS_MAX 256

/* The cgroup's CPU quota rounded up, at most the CPUs this thread may run on; 1 to
 * CONFIG_WORKERS_MAX. */
uint32_t config_workers_auto(void);

/* The same with the places to look at: `mount` (/sys/fs/cgroup), `membership` (/proc/self/cgroup)
 * and how many CPUs the affinity leaves. Version 2 (cpu.max) and version 1 (cpu.cfs_quota_us); the
 * smallest quota of the group and those above it counts. What cannot be read limits nothing. */
uint32_t config_workers_from(const char *mount, const char *membership, uint32_t cpus);

#endif
