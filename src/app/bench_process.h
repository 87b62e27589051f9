/* What other processes cost, as the kernel counts it. */
#ifndef POPGATE_APP_BENCH_PROCESS_H
#define POPGATE_APP_BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* User and system time of all their threads so far, in nanoseconds; one that is gone counts as 0.
 */
uint64_t bench_process_cpu_ns(const pid_t *processes, size_t count);
uint64_t bench_own_cpu_ns(void);

/* Proportional set size (pages shared by n processes count 1/n to each) of all of them, in bytes;
 * 0 when the kernel does not tell. */
uint64_t bench_process_memory(const pid_t *processes, size_t count);

#endif
